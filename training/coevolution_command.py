"""The command that tells how reward models and versions grew together, and whether they still agree with people."""

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from nightschool.alarm import NightFigures, Share
from nightschool.coevolution import Coevolution, Matrix, coevolution
from nightschool.feedback import FeedbackStore
from nightschool.registry import NightBook, VersionRegistry
from nightschool.settings import load_settings
from training.night_lock import night_lock
from training.priority import step_back
from training.telling import opened, told

WIDTH = 16


def coevolution_command(
    db: Annotated[Path | None, typer.Option(help="The database (default feedback.db).")] = None,
    versions: Annotated[Path | None, typer.Option(help="Folder of the versions (default versions/).")] = None,
    model: Annotated[str | None, typer.Option(help="embedded, a Hugging Face id, or a model folder.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Every reward model's opinion of every version, and what proxy, examiner and people say over the nights.

    Computes what no night has computed yet.
    """
    with told():
        settings = load_settings(db=db, versions=versions, model=model)
        step_back()
        from nightschool.model import base_of
        from training.coevolution import coevolve

        with opened(settings) as database, night_lock(database.path):
            registry = VersionRegistry(database)
            coevolve(settings, registry, base_of(settings), _echo)
            found = coevolution(settings.versions, registry, NightBook(database), FeedbackStore(database))
    print(json.dumps(as_dict(found), indent=2, ensure_ascii=False) if as_json else "\n".join(in_lines(found)))


def _echo(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def as_dict(found: Coevolution) -> dict[str, Any]:
    """All of it as one JSON object; opinions as rows of judges."""
    matrix = found.matrix
    rows = [] if matrix is None else [{"judge": judge, "of": _row(matrix, judge)} for judge in matrix.judges]
    return {
        "versions": list(matrix.versions) if matrix else [],
        "prompts": matrix.prompts if matrix else 0,
        "opinions": rows,
        "left_out": dict(matrix.left_out) if matrix else {},
        "retired": list(found.retired),
        "nights": [_figures(night) for night in found.history],
        "alarm": asdict(found.alarm) if found.alarm else None,
    }


def _row(matrix: Matrix, judge: str) -> dict[str, Any]:
    return {
        version: asdict(matrix.cells[judge, version]) for version in matrix.versions if (judge, version) in matrix.cells
    }


def _figures(night: NightFigures) -> dict[str, Any]:
    kept = {name: value for name, value in asdict(night).items() if name != "votes"}
    return kept | {"people": asdict(night.people) if night.people else None, "votes": len(night.votes)}


def in_lines(found: Coevolution) -> Iterator[str]:
    """The same for a person to read."""
    if found.matrix is None:
        yield "No version has been looked at yet."
    else:
        yield from _matrix_lines(found.matrix)
    for version in found.retired:
        yield f"{version} is left out: it was retired."
    if found.history:
        yield ""
        yield f"{'version':<{WIDTH}} {'reward model':>14} {'examiner':>14} {'people':>14}   (share won, 95 % bounds)"
        yield from (
            f"{night.version or '-':<{WIDTH}} {_told(night.proxy)} {_told(night.examiner)} {_told(night.people)}"
            for night in found.history
        )
    if found.alarm is not None:
        yield found.alarm.en


def _matrix_lines(matrix: Matrix) -> Iterator[str]:
    yield f"Gain over the initial model on {matrix.prompts} prompts, in standard deviations, by each reward model:"
    yield " " * WIDTH + " ".join(f"{version[:12]:>12}" for version in matrix.versions)
    for judge in matrix.judges:
        cells = (matrix.cells.get((judge, version)) for version in matrix.versions)
        yield f"{judge:<{WIDTH}}" + " ".join(f"{f'{cell.gain:+.2f}' if cell else '...':>12}" for cell in cells)
    for version, reason in matrix.left_out.items():
        yield f"{version} is left out: {reason}"


def _told(share: Share | None) -> str:
    return f"{f'{share.mean:.0%} ({share.low:.0%}-{share.high:.0%})' if share else '-':>14}"
