"""Feedback as trainers take it: pairs, labelled answers, and answers to imitate. Values, without a file or a model."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from nightschool.records import Message


class TrainerFormat(StrEnum):
    """The dataset formats of TRL, by the names of their trainers' needs."""

    PREFERENCE = "trl-preference"
    KTO = "kto"
    SFT = "sft"


@dataclass(frozen=True)
class Pair:
    """Of two answers to one prompt, the better one and the worse one."""

    prompt: tuple[Message, ...]
    chosen: str
    rejected: str


@dataclass(frozen=True)
class Labelled:
    """One answer, liked or not."""

    prompt: tuple[Message, ...]
    completion: str
    label: bool


@dataclass(frozen=True)
class Shown:
    """An answer to imitate: written or liked by a person."""

    prompt: tuple[Message, ...]
    completion: str


Example = Pair | Labelled | Shown
Numbered = Sequence[tuple[int, Example]]
"""Examples with the numbers of their lines."""


def fault_of(text: str) -> str | None:
    """Why a text can be neither trained on nor stored, in a few words; None when it can."""
    if not text.strip():
        return "has no text"
    if "\0" in text:
        return "holds a NUL character"
    if any("\ud800" <= character <= "\udfff" for character in text):
        return "holds half a character (a lone surrogate)"
    return None
