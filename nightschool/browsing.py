"""Values for looking through feedback: what people judged, how it is searched, counted and taken back."""

from dataclasses import dataclass, field
from enum import StrEnum


class FeedbackKind(StrEnum):
    THUMB = "thumb"
    DUEL = "duel"
    RANKING = "ranking"
    CORRECTION = "correction"


@dataclass(frozen=True)
class JudgedAnswer:
    """One answer that was judged, and what it got: up, down, left, right, or its rank (1 for the best)."""

    text: str
    version: str | None
    """None: imported, written by nobody here."""
    mark: str


@dataclass(frozen=True)
class FeedbackItem:
    """One act of judging, as a person sees it. Earlier votes on the same thing are its history, not items."""

    kind: FeedbackKind
    id: str
    person_id: str
    judged_at: str
    question: str
    outcome: str
    """Thumb: up or down. Duel: left, right, tie or both_bad. Empty for a ranking and a correction."""
    answers: tuple[JudgedAnswer, ...]
    corrected: str = ""
    """What a correction says in place of its one answer."""
    reasons: tuple[str, ...] = ()
    """Keys of the reasons that were given with a thumb."""
    comment: str = ""
    imported: bool = False


@dataclass(frozen=True)
class FeedbackFilter:
    """Which feedback to look at. None and empty: all of it."""

    person_id: str | None = None
    kind: FeedbackKind | None = None
    version: str | None = None
    since: str = ""
    """UTC ISO moment; later ones count, this one too."""
    until: str = ""
    """UTC ISO moment; earlier ones count, this one not."""
    search: str = ""
    """Words that stand in the question, an answer, a correction or a comment."""


@dataclass(frozen=True)
class FeedbackCounts:
    """How much feedback a filter finds."""

    by_kind: dict[FeedbackKind, int] = field(default_factory=dict)
    thumbs_up: int = 0

    @property
    def total(self) -> int:
        return sum(self.by_kind.values())

    @property
    def thumbs_down(self) -> int:
        return self.by_kind.get(FeedbackKind.THUMB, 0) - self.thumbs_up


@dataclass(frozen=True)
class Erasure:
    """What was deleted for good: how many rows of each table, and which versions had learned from them."""

    rows: dict[str, int]
    versions: tuple[str, ...]
