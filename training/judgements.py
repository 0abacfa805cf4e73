"""What people did -> typed, weighted judgements, each naming the row it came from (its receipt).

A decided duel is a pair (weight 1) or a tie (1); "both bad" is half a tie and half a thumb down for each side; a thumb
counts half. Replies with the same tokens teach nothing about each other and make no pair.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

from nightschool.records import Correction, Duel, DuelOutcome, FeedbackSnapshot, Ranking, Reply, Thumb, ThumbValue
from training.split import Side, Split, split_of

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
    side: Side
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
    side: Side
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
            tuple(pair for pair in self.pairs if pair.side in sides),
            tuple(thumb for thumb in self.thumbs if thumb.side in sides),
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


def judged_conversations(snapshot: FeedbackSnapshot) -> list[str]:
    """The conversations in which somebody judged something, each once, sorted."""
    rows: list[Duel | Thumb | Ranking | Correction] = [*snapshot.duels, *snapshot.thumbs]
    rows += [*snapshot.rankings, *snapshot.corrections]
    return sorted({row.conversation_id for row in rows})


def split_of_snapshot(snapshot: FeedbackSnapshot) -> Split:
    """The side of every conversation; a judged one without a question of its own stands for itself by its id."""
    own_ids = {conversation: conversation for conversation in judged_conversations(snapshot)}
    return split_of(own_ids | snapshot.openings, snapshot.sides)


def judgements_of(snapshot: FeedbackSnapshot, split: Split | None = None) -> Judgements:
    """Everything people judged, as judgements; replies without a token are left out. The split is the snapshot's."""
    split = split or split_of_snapshot(snapshot)
    pairs: list[PairJudgement] = []
    thumbs: list[ThumbJudgement] = []
    for duel in snapshot.duels:
        from_duel = _of_duel(duel, *_place(split, duel.conversation_id))
        pairs += from_duel.pairs
        thumbs += from_duel.thumbs
    for thumb in snapshot.thumbs:
        if thumb.reply.token_ids:
            place = _place(split, thumb.conversation_id)
            is_up = thumb.value is ThumbValue.UP
            thumbs.append(ThumbJudgement(_answer(thumb.reply), is_up, THUMB_WEIGHT, *place, ("thumb", thumb.id)))
    return Judgements(tuple(pairs), tuple(thumbs))


def _place(split: Split, conversation: str) -> tuple[str, Side]:
    return split.component_of_conversation[conversation], split.side_of_conversation[conversation]


def _of_duel(duel: Duel, component: str, side: Side) -> Judgements:
    if not duel.left.token_ids or not duel.right.token_ids:
        return Judgements((), ())
    left, right, source = _answer(duel.left), _answer(duel.right), ("duel", duel.id)
    differ = left.token_ids != right.token_ids
    if duel.outcome is DuelOutcome.BOTH_BAD:
        tie = PairJudgement(left, right, Preferred.TIE, TIE_WEIGHT_OF_BOTH_BAD, component, side, source)
        downs = tuple(ThumbJudgement(answer, False, THUMB_WEIGHT, component, side, source) for answer in (left, right))
        return Judgements((tie,) if differ else (), downs)
    preferred = {
        DuelOutcome.LEFT: Preferred.LEFT,
        DuelOutcome.RIGHT: Preferred.RIGHT,
        DuelOutcome.TIE: Preferred.TIE,
    }[duel.outcome]  # type: ignore[index]
    return Judgements((PairJudgement(left, right, preferred, 1.0, component, side, source),) if differ else (), ())


def _answer(reply: Reply) -> Answer:
    return Answer(reply.prompt_ids[-PROMPT_TOKENS:], reply.token_ids[:REPLY_TOKENS])
