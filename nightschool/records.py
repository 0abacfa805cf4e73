"""Frozen values that travel between the store, the engine, the pages and the night. Only the standard library."""

from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Any, Literal

Role = Literal["system", "user", "assistant"]

INITIAL = "initial"
"""Name of the version that is the untouched base model: the champion of a fresh install, the reference of PPO."""

IMPORTER = "importer"
"""The person to whom imported judgements belong: many people nobody here knows."""


@dataclass(frozen=True)
class Message:
    """One turn as the model sees it."""

    role: Role
    content: str


@dataclass(frozen=True)
class Sampling:
    """How a reply is drawn: plain temperature sampling, so that the night can train the distribution that is served."""

    temperature: float = 0.7
    max_new_tokens: int = 256


class ReplyStatus(StrEnum):
    STREAMING = "streaming"
    DONE = "done"  # the model ended the turn, or the length limit did
    STOPPED = "stopped"  # the person pressed stop, closed the page, or the server was killed
    FAILED = "failed"


class ThumbValue(StrEnum):
    UP = "up"
    DOWN = "down"


class DuelOutcome(StrEnum):
    LEFT = "left"
    RIGHT = "right"
    TIE = "tie"
    BOTH_BAD = "both_bad"


class RoundOutcome(StrEnum):
    RANKED = "ranked"
    SKIPPED = "skipped"  # the person declined
    BROKEN = "broken"  # its replies were not written, or came out the same: nothing to put in order


class VerdictKind(StrEnum):
    PROMOTED = "promoted"
    PROBATION = "probation"  # the exam says that it is better, and people must confirm it
    HELD = "held"  # no guard failed, but the exam does not show that it is better
    REJECTED = "rejected"  # a guard failed: it is worse or broken
    SKIPPED = "skipped"  # nothing was trained


class NightState(StrEnum):
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    INTERRUPTED = "interrupted"  # its process died without a word


@dataclass(frozen=True)
class Reply:
    """One assistant message by one version, with all that is needed to draw it again."""

    id: str
    version: str | None  # None: imported, written by nobody here
    text: str
    status: ReplyStatus
    prompt_ids: tuple[int, ...]
    token_ids: tuple[int, ...]  # as generated, end-of-turn token included where the model wrote one
    created_at: str


@dataclass(frozen=True)
class Turn:
    """One message of a conversation's current branch, as a page shows it."""

    id: str
    parent_id: str | None
    role: Role
    text: str
    created_at: str
    status: ReplyStatus | None = None
    at_length_limit: bool = False
    """The reply is as long as it was allowed to be, so it may end in the middle of a sentence."""
    version: str | None = None
    thumb: ThumbValue | None = None
    reasons: tuple[str, ...] = ()
    """Why the thumb: keys of `thumb_reasons_up` or `thumb_reasons_down`."""
    comment: str = ""
    correction: str | None = None
    """What this person would have answered; from then on it is the conversation's text."""
    siblings: tuple[str, ...] = ()
    """Ids of the messages that share the parent, itself included, oldest first."""

    @property
    def sibling_count(self) -> int:
        """How many messages share the parent: more than one after an edit, a regeneration or a duel."""
        return max(len(self.siblings), 1)

    @property
    def said(self) -> str:
        """What the conversation goes on from: the correction where there is one."""
        return self.text if self.correction is None else self.correction


@dataclass(frozen=True)
class Style:
    """How one conversation is to be answered; None: as the owner has set it."""

    system_prompt: str = ""
    temperature: float | None = None
    max_new_tokens: int | None = None


OWNERS_STYLE = Style()


@dataclass(frozen=True)
class Conversation:
    id: str
    person_id: str
    title: str
    created_at: str
    leaf_id: str | None
    style: Style = OWNERS_STYLE
    last_at: str = ""
    """When it was last written in; known where conversations are listed."""
    tried_version: str | None = None
    """The version that the owner tries in it; None: whichever answers everybody."""


@dataclass(frozen=True)
class FoundConversation:
    """A conversation in which every word of a search occurs, and the place of the first of them."""

    conversation: Conversation
    excerpt: str
    """A piece of a message around the word; empty where only the title has it."""


@dataclass(frozen=True)
class Duel:
    """Two replies to one question. Which version wrote which side stays on the server until it is decided."""

    id: str
    conversation_id: str
    question_id: str
    person_id: str
    left: Reply
    right: Reply
    outcome: DuelOutcome | None
    decided_at: str | None


@dataclass(frozen=True)
class Thumb:
    """One person's active vote on one reply."""

    id: str
    person_id: str
    conversation_id: str
    value: ThumbValue
    created_at: str
    reply: Reply
    question_id: str = ""
    """The question the reply answers: a disliked reply and a liked one to one question make a pair."""


@dataclass(frozen=True)
class Ranking:
    """Several replies to one question in one person's order."""

    id: str
    person_id: str
    conversation_id: str
    question_id: str
    replies: tuple[Reply, ...]
    ranks: tuple[int, ...]
    """Rank of each reply, 1 for the best; equal ranks are ties."""
    created_at: str


@dataclass(frozen=True)
class RankingRound:
    """A prompt of the bank put to one person, with the replies to be put in order."""

    id: str
    person_id: str
    prompt_id: str
    question: str
    replies: tuple[Reply, ...]
    """In the order in which they are first shown. Which version wrote which stays on the server until it is ranked."""
    outcome: RoundOutcome | None
    ranks: tuple[int, ...]
    """Rank of each reply in the person's newest order, also one taken back; empty where there is none."""


@dataclass(frozen=True)
class Tally:
    """What people who consent to it had judged, as a night counts it before it looks closer."""

    facts: float
    """Whole judgements: 1 for a duel, K - 1 for a ranking of K, half for a thumb or a correction."""
    new: int
    """Judgements that no promoted version was made from."""


@dataclass(frozen=True)
class Correction:
    """What a person would have answered in place of a reply."""

    id: str
    person_id: str
    conversation_id: str
    reply: Reply
    text: str
    token_ids: tuple[int, ...]
    """The corrected text as tokens, end-of-turn token included."""
    created_at: str


@dataclass(frozen=True)
class FeedbackSnapshot:
    """What people who consent to it had judged at one moment."""

    taken_at: str
    duels: tuple[Duel, ...]
    thumbs: tuple[Thumb, ...]
    openings: dict[str, str]
    """Conversation id -> its first question: what begins alike is never split between training and exam."""
    rankings: tuple[Ranking, ...] = ()
    corrections: tuple[Correction, ...] = ()
    sides: dict[str, str] = field(default_factory=dict)
    """Conversation id -> the side (train, validation, exam) an earlier night put it on."""


@dataclass(frozen=True)
class Preference:
    """A pair judged elsewhere, ready to be stored: (text, token ids) of each side, and which side was chosen."""

    key: str
    """Same record, same key: a second import of one file adds nothing."""
    prompt: tuple[Message, ...]
    prompt_ids: tuple[int, ...]
    left: tuple[str, tuple[int, ...]]
    right: tuple[str, tuple[int, ...]]
    outcome: DuelOutcome


@dataclass(frozen=True)
class Opinion:
    """A reply judged elsewhere, ready to be stored: its (text, token ids), and whether it was liked."""

    key: str
    """As of `Preference`."""
    prompt: tuple[Message, ...]
    prompt_ids: tuple[int, ...]
    reply: tuple[str, tuple[int, ...]]
    value: ThumbValue


@dataclass(frozen=True)
class Version:
    id: str
    parent_id: str | None
    created_at: str
    night_id: str | None
    base_fingerprint: str | None
    manifest_sha256: str | None
    verdict: VerdictKind | None
    retired_at: str | None = None
    """Taken out of service for good: judgements that made it were deleted."""


@dataclass(frozen=True)
class NightlyDate:
    """A local date of the timetable, and what became of it."""

    local_date: date
    clock: str
    """Time of day, as 02:30."""
    zone: str
    due_at: str
    decided_at: str
    outcome: str


@dataclass(frozen=True)
class Probation:
    """A version that people watch beside another one: it may become the champion, or be rolled back."""

    version_id: str
    rival_id: str
    started_at: str
    ended_at: str | None = None
    fate: str | None = None
    reason: str = ""
    reason_zh: str = ""


@dataclass(frozen=True)
class Term:
    """A time during which a version answered."""

    version: str
    since: str
    until: str | None
    """None: it answers still."""


@dataclass(frozen=True)
class Figures:
    """What is told of a version from the night that made it. None where its report does not say."""

    started_at: str
    effort: str
    practice: bool
    verdict: VerdictKind | None
    """Of the night; what became of the version later is its own."""
    reason: str
    reason_zh: str | None
    win_rate: float | None
    """Share of the exam's replies that it won against the champion of then."""
    win_rate_low: float | None
    win_rate_high: float | None
    """Each bound holds one-sided with 95 % confidence."""
    prompts: int | None
    """How many the exam asked."""
    kl: float | None
    """Nats per reply from the initial model."""
    judgements: int | None
    """Rows of people's votes that were read; what follows is what they became."""
    pairs: int | None
    thumbs: int | None
    training_set: str | None
    """sha256."""


@dataclass(frozen=True)
class Stage:
    name: str
    state: NightState
    started_at: str
    seconds: float | None
    progress: float
    """From 0 to 1."""
    detail: str


@dataclass(frozen=True)
class Night:
    id: str
    state: NightState
    effort: str
    seed: int
    practice: bool
    started_at: str
    ended_at: str | None
    verdict: VerdictKind | None
    reason: str
    version_id: str | None
    report: dict[str, Any] | None
    stages: tuple[Stage, ...] = field(default=())
    pid: int | None = None
    """Of the process that works on it, or worked on it last."""
    taken_at: str | None = None
    """When that process took it, at first or to resume it."""
    rolled_back: dict[str, str] | None = None
    """By language: why its version was taken back by what people said of it, where it was."""


Curves = dict[str, dict[str, list[tuple[int, float]]]]
"""What a night recorded as it went: stage -> name -> points (step, value), in order of steps."""


@dataclass(frozen=True)
class Explanation:
    """Why a reply is as it is. None where it cannot be known."""

    reply: str
    version: str | None
    """None: imported, written by nobody here."""
    score: float | None
    """Standard deviations above the mean of the initial model's replies."""
    scored_by: str | None
    """The version with whose reward model it was scored; None: no night has fitted one yet."""
    drift: float | None
    """Nats, summed over the reply's tokens."""
    tokens: int
