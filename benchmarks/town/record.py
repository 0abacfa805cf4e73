"""What a report says of how it came about, the raw acts, and what two runs of one seed must have in common."""

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from benchmarks.town.days import Act
from benchmarks.town.machinery import HOME
from benchmarks.town.measure import Measure
from nightschool.files import whole_file

CLOCK = "seconds"
"""Figures of the wall clock have names that begin so."""
CODE = ("nightschool", "demo", "training", "benchmarks")


def about(measure: Measure, settings: dict[str, str], **told: Any) -> dict[str, Any]:
    """Seeds, hashes and settings; `told` is what was asked for."""
    base = measure.base
    hidden = {"NIGHTSCHOOL_MODEL", "NIGHTSCHOOL_CACHE"}  # folders of this machine
    town = told["town"]
    return told | {
        "town_sha256": sha256_of_text(json.dumps(town, sort_keys=True)),
        "model": base.name.rstrip("/").rsplit("/", 1)[-1],
        "model_fingerprint": base.fingerprint,
        "dtype": str(base.model.dtype).removeprefix("torch."),
        "exam_prompts": len(measure.prompts),
        "exam_sha256": sha256_of_text("\n".join(prompt.text for prompt in measure.prompts)),
        "code_sha256": code_sha256(),
        "settings": {name: value for name, value in settings.items() if name not in hidden},
        "threads": torch.get_num_threads(),
    }


def write_acts(path: Path, acts: Sequence[Act]) -> None:
    """One JSON object a line: everything that was read, thought and voted."""
    whole_file(path, lambda temporary: temporary.write_text("".join(f"{_line(act)}\n" for act in acts), "utf-8"))


def acts_sha256(acts: Sequence[Act]) -> str:
    """What two days must agree in to be the same day."""
    return sha256_of_text("\n".join(map(_line, acts)))


def _line(act: Act) -> str:
    told = asdict(act)
    told["worths"] = [worth if math.isfinite(worth) else None for worth in act.worths]  # None: it has the phrase
    return json.dumps(told, ensure_ascii=False, sort_keys=True)


def without_clock(report: Any) -> Any:
    """A report without the figures of the wall clock: two runs of one seed agree in it."""
    if isinstance(report, dict):
        return {name: without_clock(value) for name, value in report.items() if not name.startswith(CLOCK)}
    if isinstance(report, list):
        return [without_clock(value) for value in report]
    return report


def flat(report: dict[str, Any]) -> dict[str, Any]:
    """The figures alone: what `--json` prints."""
    return {name: value for name, value in report.items() if not isinstance(value, dict | list)}


def code_sha256() -> str:
    """Of all source files of this project, so that a report names the code that made it."""
    digest = hashlib.sha256()
    for package in CODE:
        for path in sorted((HOME / package).rglob("*.py")):
            digest.update(f"{path.relative_to(HOME)}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def sha256_of_text(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def share(values: Sequence[bool]) -> float:
    """How many of them are true; 0 of none."""
    return sum(values) / len(values) if values else 0.0
