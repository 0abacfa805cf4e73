"""Typed, weighted judgements, each naming the row it came from (its receipt). Rows become judgements in `receipts`."""

import math
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

from training.split import Side

PROMPT_TOKENS = 512
"""The end of a longer prompt is kept: what came last is what the reply answers."""
NOBODY = ""
"""The person of imported judgements: many people nobody here knows. They are neither capped nor compared."""


class Preferred(StrEnum):
    LEFT = "left"
    RIGHT = "right"
    TIE = "tie"


@dataclass(frozen=True)
class Answer:
    """A reply as the reward model reads it. Equal answers are equal values, so their states are computed once."""

    prompt_ids: tuple[int, ...]
    token_ids: tuple[int, ...]

    def after(self, context: int) -> "Answer":
        """The same reply after the last `context` tokens of what came before it."""
        return self if len(self.prompt_ids) <= context else Answer(self.prompt_ids[-context:], self.token_ids)


@dataclass(frozen=True)
class PairJudgement:
    left: Answer
    right: Answer
    preferred: Preferred
    weight: float
    component: str
    side: Side
    source: tuple[str, str]
    """(kind of row, its id)."""
    person: str = NOBODY
    created_at: str = ""
    """When it was judged; empty: unknown, counted as new."""
    also: tuple[tuple[str, str], ...] = ()
    """Further rows it was made from."""

    @property
    def prompt(self) -> tuple[int, ...]:
        """What was answered."""
        return self.left.prompt_ids


@dataclass(frozen=True)
class ThumbJudgement:
    answer: Answer
    is_up: bool
    weight: float
    component: str
    side: Side
    source: tuple[str, str]
    person: str = NOBODY
    created_at: str = ""

    @property
    def prompt(self) -> tuple[int, ...]:
        """What was answered."""
        return self.answer.prompt_ids


Judgement = PairJudgement | ThumbJudgement


def facts_of_ranking(pairs: int) -> float:
    """How many independent facts all pairs of one ranking amount to: K - 1 of K (K - 1) / 2. Of one pair: 1."""
    return (math.sqrt(8 * pairs + 1) - 1) / 2


@dataclass(frozen=True)
class Judgements:
    """All judgements of one side (or of all)."""

    pairs: tuple[PairJudgement, ...]
    thumbs: tuple[ThumbJudgement, ...]

    @property
    def all(self) -> tuple[Judgement, ...]:
        """Pairs first, then thumbs."""
        return (*self.pairs, *self.thumbs)

    def __len__(self) -> int:
        return len(self.pairs) + len(self.thumbs)

    def __add__(self, other: "Judgements") -> "Judgements":
        return Judgements(self.pairs + other.pairs, self.thumbs + other.thumbs)

    def where(self, wanted: Callable[["Judgement"], bool]) -> "Judgements":
        """Those for which wanted(judgement) holds."""
        return Judgements(tuple(filter(wanted, self.pairs)), tuple(filter(wanted, self.thumbs)))

    def reweighted(self, factor: Callable[["Judgement"], float]) -> "Judgements":
        """The same judgements, each weight times factor(judgement)."""
        return Judgements(
            tuple(replace(pair, weight=pair.weight * factor(pair)) for pair in self.pairs),
            tuple(replace(thumb, weight=thumb.weight * factor(thumb)) for thumb in self.thumbs),
        )

    def after(self, context: int) -> "Judgements":
        """The same judgements of replies that are read after the last `context` tokens of what came before them."""
        return Judgements(
            tuple(replace(pair, left=pair.left.after(context), right=pair.right.after(context)) for pair in self.pairs),
            tuple(replace(thumb, answer=thumb.answer.after(context)) for thumb in self.thumbs),
        )

    def sampled(self, most: int) -> "Judgements":
        """At most so many, evenly spread over all (pairs first, then thumbs)."""
        every = self.all
        step = max(len(every) / most, 1.0)
        kept = {id(every[int(place * step)]) for place in range(min(most, len(every)))}
        return self.where(lambda judgement: id(judgement) in kept)

    def on(self, *sides: Side) -> "Judgements":
        """Those whose conversation lies on one of these sides."""
        return Judgements(
            tuple(pair for pair in self.pairs if pair.side in sides),
            tuple(thumb for thumb in self.thumbs if thumb.side in sides),
        )

    def answers(self) -> list[Answer]:
        """Every different answer, in order of first appearance."""
        found = [answer for pair in self.pairs for answer in (pair.left, pair.right)]
        return list(dict.fromkeys(found + [thumb.answer for thumb in self.thumbs]))

    def effective(self) -> float:
        """How many whole judgements they amount to: the weights of each source's row, at most 1 for each but rankings.

        A ranking of K amounts to the K - 1 facts that its pairs' weights of 2 / K sum to.
        """
        weights: defaultdict[tuple[str, str], float] = defaultdict(float)
        for judgement in self.all:
            weights[judgement.source] += judgement.weight
        return sum(weight if kind == "ranking" else min(weight, 1.0) for (kind, _), weight in weights.items())

    def sources(self) -> list[tuple[str, str]]:
        """The rows they came from, each once, sorted."""
        return sorted({judgement.source for judgement in self.all} | {row for pair in self.pairs for row in pair.also})
