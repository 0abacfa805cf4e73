"""How replies behave, whatever they say: lengths, ends, loops, variety, script, copies of each other."""

import zlib
from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean

from training.judgements import Answer
from training.writing_system import answers_in_script

LOOP_GRAM, LOOP_TIMES = 4, 4
LOOP_RATIO = 0.25
"""A text that deflate shrinks below this share of its bytes repeats itself, whatever the length of what it repeats."""
OPENING = 20
"""Tokens: replies to different prompts that begin with the same ones are copies of each other."""


@dataclass(frozen=True)
class Conduct:
    """How a set of replies behaves, whatever they say."""

    length: float
    """Mean tokens per reply."""
    finished: float
    empty: float
    looping: float
    """Share of replies in which some 4 tokens in a row occur 4 times or more, or that deflate to a quarter."""
    variety: float
    """Different pairs of neighbouring tokens among all such pairs (distinct-2)."""
    in_script: float
    """Share of replies in the script of their question."""
    copies: float
    """Share of replies whose first 20 tokens begin the reply to another prompt as well."""


@dataclass(frozen=True)
class Spoken:
    """A reply with what its conduct is judged by."""

    answer: Answer
    question: str
    text: str
    prompt: Hashable
    """Which prompt it answers: two replies to one prompt may be alike."""
    counted: int
    """So many tokens count for the variety: as many as on the other side, or the shorter-spoken would seem richer."""


def conduct(replies: Sequence[Spoken], stop_ids: frozenset[int]) -> Conduct:
    """Lengths, ends, loops, variety, script and copies of replies."""
    bodies = [[token for token in reply.answer.token_ids if token not in stop_ids] for reply in replies]
    return Conduct(
        length=fmean(len(reply.answer.token_ids) for reply in replies),
        finished=finished([reply.answer for reply in replies], stop_ids),
        empty=fmean(not body for body in bodies),
        looping=fmean(loops(body) or deflates(reply.text) for body, reply in zip(bodies, replies, strict=True)),
        variety=variety([body[: reply.counted] for body, reply in zip(bodies, replies, strict=True)]),
        in_script=fmean(answers_in_script(reply.question, reply.text) for reply in replies),
        copies=copies(bodies, [reply.prompt for reply in replies]),
    )


def finished(answers: Sequence[Answer], stop_ids: frozenset[int]) -> float:
    """Share of replies that ended by themselves."""
    return fmean(answer.token_ids[-1] in stop_ids for answer in answers)


def loops(tokens: Sequence[int]) -> bool:
    """Whether some 4 tokens in a row occur 4 times or more."""
    grams = Counter(tuple(tokens[start : start + LOOP_GRAM]) for start in range(len(tokens) - LOOP_GRAM + 1))
    return any(times >= LOOP_TIMES for times in grams.values())


def deflates(text: str) -> bool:
    """Whether the text shrinks below a quarter: a long phrase said again and again, which no short gram shows."""
    raw = text.encode("utf-8", errors="replace")
    return bool(raw) and len(zlib.compress(raw, 9)) < LOOP_RATIO * len(raw)


def variety(bodies: Sequence[Sequence[int]]) -> float:
    """Different pairs of neighbours among all; 1 where there are none."""
    pairs = Counter(pair for body in bodies for pair in pairwise(body))
    return len(pairs) / pairs.total() if pairs else 1.0


def copies(bodies: Sequence[Sequence[int]], prompts: Sequence[Hashable]) -> float:
    """Share of replies that open like a reply to another prompt. An empty one is no copy: it is counted elsewhere."""
    prompts_of: defaultdict[tuple[int, ...], set[Hashable]] = defaultdict(set)
    openings = [tuple(body[:OPENING]) for body in bodies]
    for opening, prompt in zip(openings, prompts, strict=True):
        prompts_of[opening].add(prompt)
    return fmean(bool(opening) and len(prompts_of[opening]) > 1 for opening in openings)
