"""How replies behave, whatever they say: lengths, ends, loops."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from training.judgements import Answer

LOOP_GRAM, LOOP_TIMES = 4, 4


@dataclass(frozen=True)
class Conduct:
    """How a set of replies behaves, whatever they say."""

    length: float
    """Mean tokens per reply."""
    finished: float
    empty: float
    looping: float
    """Share of replies in which some 4 tokens in a row occur 4 times or more."""


def conduct(answers: Sequence[Answer], stop_ids: frozenset[int]) -> Conduct:
    """Lengths, ends and loops of replies."""
    bodies = [[token for token in answer.token_ids if token not in stop_ids] for answer in answers]
    return Conduct(
        length=fmean(len(answer.token_ids) for answer in answers),
        finished=fmean(answer.token_ids[-1] in stop_ids for answer in answers),
        empty=fmean(not body for body in bodies),
        looping=fmean(loops(body) for body in bodies),
    )


def loops(tokens: Sequence[int]) -> bool:
    """Whether some 4 tokens in a row occur 4 times or more."""
    grams = Counter(tuple(tokens[start : start + LOOP_GRAM]) for start in range(len(tokens) - LOOP_GRAM + 1))
    return any(times >= LOOP_TIMES for times in grams.values())
