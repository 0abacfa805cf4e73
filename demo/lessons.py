"""What the chat's use cases hand to its pages: questions being answered, and conversations as they are shown."""

from collections.abc import Generator
from dataclasses import dataclass

from nightschool.records import OWNERS_STYLE, Duel, Style, Turn


@dataclass(frozen=True)
class Draft:
    """One step of an answer being written: the text so far, or the texts of both sides of a duel."""

    texts: tuple[str, ...]
    warning: str = ""


Drafts = Generator[Draft, None, None]


@dataclass(frozen=True)
class Lesson:
    """A stored question and the answer about to be written. Nothing is written until `drafts` is read."""

    conversation_id: str
    is_duel: bool
    drafts: Drafts


@dataclass(frozen=True)
class Scene:
    """What a page shows of one conversation."""

    conversation_id: str
    turns: tuple[Turn, ...]
    duel: Duel | None
    hidden: int = 0
    """How many earlier messages are stored but outside the window."""
    style: Style = OWNERS_STYLE
    tried_version: str | None = None
    """The version that the owner tries in this conversation."""
    read: str = ""
    """An id made before it was read from the store: what was saved under a later one may not be in it."""


@dataclass(frozen=True)
class ThumbReasons:
    """Keys of the reasons that are offered with a thumb."""

    up: tuple[str, ...] = ()
    down: tuple[str, ...] = ()


NO_REASONS = ThumbReasons()


EMPTY_SCENE = Scene("", (), None)
