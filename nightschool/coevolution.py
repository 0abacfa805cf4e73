"""Co-evolution: what every reward model thinks of every version, as nights leave it in a file beside the versions.

Nights fill the file (`training.coevolution`); here it is read. It holds scores, and replies to prompts of the bank, of
versions that are registered and not retired. A file that cannot be read is as good as none: it is made anew.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from nightschool.alarm import NightFigures, alarm_of, history_of
from nightschool.feedback import FeedbackStore
from nightschool.records import INITIAL
from nightschool.registry import NightBook, VersionRegistry
from nightschool.said import Said

COEVOLUTION = "coevolution.json"


@dataclass(frozen=True)
class Cell:
    """How much higher one reward model scores a version's replies than the initial model's to the same prompts."""

    gain: float
    """In standard deviations of the initial model's replies, as the judge's own night drew them."""
    error: float
    """Standard error of the gain, over prompts."""


@dataclass(frozen=True)
class Matrix:
    """Every reward model's opinion of every version."""

    judges: tuple[str, ...]
    """Versions whose reward models judge, oldest first."""
    versions: tuple[str, ...]
    """Versions that are judged, oldest first, the initial one included."""
    cells: Mapping[tuple[str, str], Cell]
    """(judge, version) -> opinion; what waits for the next night is not in it."""
    prompts: int
    """How many each version answered."""
    left_out: Mapping[str, str]
    """Version -> why it does not judge, or is not judged: a sentence."""


@dataclass(frozen=True)
class Coevolution:
    """All that the section shows."""

    matrix: Matrix | None
    """None: no night has made one yet."""
    history: tuple[NightFigures, ...]
    alarm: Said | None
    retired: tuple[str, ...] = ()


def coevolution(versions: Path, registry: VersionRegistry, book: NightBook, store: FeedbackStore) -> Coevolution:
    """What is known now. Reads a file and rows; nothing is computed by a model."""
    every = registry.list(retired=True)
    history = tuple(history_of(book.nights(), store.votes_between))
    return Coevolution(
        matrix=read_matrix(versions, [version.id for version in every if version.retired_at is None]),
        history=history,
        alarm=alarm_of(history),
        retired=tuple(version.id for version in every if version.retired_at is not None),
    )


def kept_scores(versions: Path) -> dict[str, Any] | None:
    """What is in the file; None where there is none or it cannot be used."""
    try:
        kept = json.loads((versions / COEVOLUTION).read_text(encoding="utf-8"))
        known = {"of": dict, "replies": dict, "scores": dict, "left_out": dict}
        return kept if all(isinstance(kept[name], kind) for name, kind in known.items()) else None
    except (OSError, ValueError, LookupError, TypeError):
        return None


def read_matrix(versions: Path, registered: list[str]) -> Matrix | None:
    """The matrix of these versions, in their order."""
    kept = kept_scores(versions)
    if kept is None or INITIAL not in kept["replies"]:
        return None
    scores: dict[str, dict[str, list[float]]] = kept["scores"]
    judged = tuple(version for version in registered if version in kept["replies"])
    judges = tuple(version for version in registered if INITIAL in scores.get(version, {}))
    return Matrix(
        judges=judges,
        versions=judged,
        cells={
            (judge, version): gain_of(scores[judge][version], scores[judge][INITIAL])
            for judge in judges
            for version in judged
            if version in scores[judge]
        },
        prompts=len(kept["replies"][INITIAL]),
        left_out={version: kept["left_out"][version] for version in registered if version in kept["left_out"]},
    )


def gain_of(scores: list[float], initial: list[float]) -> Cell:
    """The mean difference, prompt by prompt, and its standard error."""
    gains = [score - before for score, before in zip(scores, initial, strict=True)]
    return Cell(fmean(gains), stdev(gains) / math.sqrt(len(gains)) if len(gains) > 1 else 0.0)
