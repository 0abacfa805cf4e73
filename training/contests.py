"""Decided duels as ratings see them."""

from dataclasses import dataclass

from training.judgements import Preferred
from training.style import PLAIN


@dataclass(frozen=True)
class Contest:
    """One decided duel between two different versions."""

    left: str
    right: str
    outcome: Preferred
    person: str
    conversation: str
    style: tuple[float, ...] = PLAIN
    """By how much the left reply leads in each style of `STYLES`, from -1 to 1."""
