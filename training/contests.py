"""Decided duels as ratings see them."""

from dataclasses import dataclass
from enum import StrEnum

from training.style import PLAIN


class Outcome(StrEnum):
    LEFT = "left"
    RIGHT = "right"
    TIE = "tie"


@dataclass(frozen=True)
class Contest:
    """One decided duel between two different versions."""

    left: str
    right: str
    outcome: Outcome
    person: str
    conversation: str
    style: tuple[float, ...] = PLAIN
    """By how much the left reply leads in each style of `STYLES`, from -1 to 1."""
