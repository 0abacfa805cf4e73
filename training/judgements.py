"""What people did -> typed, weighted judgements, each naming the row it came from (its receipt).

A decided duel is a pair (weight 1) or a tie (1); "both bad" is half a tie and half a thumb down for each side; a thumb
counts half. Replies with the same tokens teach nothing about each other and make no pair.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

from nightschool.records import Duel, DuelOutcome, FeedbackSnapshot, Reply, ThumbValue
from training.split import Side, component_of, side_of

TIE_WEIGHT_OF_BOTH_BAD = 0.5
THUMB_WEIGHT = 0.5
PROMPT_TOKENS = 512
"""The end of a longer prompt is kept: what came last is what the reply answers."""
REPLY_TOKENS = 512
"""Of a longer reply (an imported one) the beginning is read."""


class Preferred(StrEnum):
    LEFT = "left"
    RIGHT = "right"
    TIE = "tie"


@dataclass(frozen=True)
class Answer:
    """A reply as the reward model reads it. Equal answers are equal values, so their states are computed once."""

    prompt_ids: tuple[int, ...]
    token_ids: tuple[int, ...]


@dataclass(frozen=True)
class PairJudgement:
    left: Answer
    right: Answer
    preferred: Preferred
    weight: float
    component: str
    source: tuple[str, str]
    """(kind of row, its id)."""
    person: str = ""
    created_at: str = ""


@dataclass(frozen=True)
class ThumbJudgement:
    answer: Answer
    is_up: bool
    weight: float
    component: str
    source: tuple[str, str]
    person: str = ""
    created_at: str = ""


Judgement = PairJudgement | ThumbJudgement


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

    def on(self, *sides: Side) -> "Judgements":
        """Those whose conversation lies on one of these sides."""
        return Judgements(
            tuple(pair for pair in self.pairs if side_of(pair.component) in sides),
            tuple(thumb for thumb in self.thumbs if side_of(thumb.component) in sides),
        )

    def answers(self) -> list[Answer]:
        """Every different answer, in order of first appearance."""
        found = [answer for pair in self.pairs for answer in (pair.left, pair.right)]
        return list(dict.fromkeys(found + [thumb.answer for thumb in self.thumbs]))

    def effective(self) -> float:
        """How many whole judgements they amount to: the weights of each source's row, at most 1 for each."""
        weights: defaultdict[tuple[str, str], float] = defaultdict(float)
        for judgement in self.all:
            weights[judgement.source] += judgement.weight
        return sum(min(weight, 1.0) for weight in weights.values())

    def sources(self) -> list[tuple[str, str]]:
        """The rows they came from, each once, sorted."""
        return sorted({judgement.source for judgement in self.all})


def judgements_of(snapshot: FeedbackSnapshot) -> Judgements:
    """Everything people judged, as judgements; replies without a token are left out."""
    pairs: list[PairJudgement] = []
    thumbs: list[ThumbJudgement] = []
    for duel in snapshot.duels:
        component = component_of(snapshot.openings.get(duel.conversation_id, duel.conversation_id))
        from_duel = _of_duel(duel, component)
        pairs += from_duel.pairs
        thumbs += from_duel.thumbs
    for thumb in snapshot.thumbs:
        if thumb.reply.token_ids:
            component = component_of(snapshot.openings.get(thumb.conversation_id, thumb.conversation_id))
            is_up = thumb.value is ThumbValue.UP
            thumbs.append(ThumbJudgement(_answer(thumb.reply), is_up, THUMB_WEIGHT, component, ("thumb", thumb.id)))
    return Judgements(tuple(pairs), tuple(thumbs))


def _of_duel(duel: Duel, component: str) -> Judgements:
    if not duel.left.token_ids or not duel.right.token_ids:
        return Judgements((), ())
    left, right, source = _answer(duel.left), _answer(duel.right), ("duel", duel.id)
    differ = left.token_ids != right.token_ids
    if duel.outcome is DuelOutcome.BOTH_BAD:
        tie = PairJudgement(left, right, Preferred.TIE, TIE_WEIGHT_OF_BOTH_BAD, component, source)
        downs = tuple(ThumbJudgement(answer, False, THUMB_WEIGHT, component, source) for answer in (left, right))
        return Judgements((tie,) if differ else (), downs)
    preferred = {
        DuelOutcome.LEFT: Preferred.LEFT,
        DuelOutcome.RIGHT: Preferred.RIGHT,
        DuelOutcome.TIE: Preferred.TIE,
    }[duel.outcome]  # type: ignore[index]
    return Judgements((PairJudgement(left, right, preferred, 1.0, component, source),) if differ else (), ())


def _answer(reply: Reply) -> Answer:
    return Answer(reply.prompt_ids[-PROMPT_TOKENS:], reply.token_ids[:REPLY_TOKENS])
