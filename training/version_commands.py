"""Commands that tell of versions: which there are, what made each, and what became of one judgement."""

import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from nightschool.errors import BadInput, DamagedVersion
from nightschool.feedback import FeedbackStore
from nightschool.records import INITIAL
from nightschool.registry import NightBook, VersionRegistry
from nightschool.settings import load_settings
from nightschool.version_check import check_files
from training.receipt_check import Rebuilt, read_receipts, rebuild
from training.report_text import markdown_of
from training.telling import opened, told

Db = Annotated[Path | None, typer.Option(help="The database (default feedback.db).")]
Versions = Annotated[Path | None, typer.Option(help="Folder of the versions (default versions/).")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def add_version_commands(app: typer.Typer) -> None:
    """Add them to the commands of the night."""
    for command in (versions, receipts, trace, report):
        app.command()(command)


def versions(db: Db = None, as_json: AsJson = False) -> None:
    """All versions, oldest first; the champion is marked, and what deleted judgements made is named."""
    with told(), opened(load_settings(db=db)) as database:
        registry = VersionRegistry(database)
        champion, tainted = registry.champion().id, registry.tainted()
        found = [
            asdict(version)
            | {"champion": version.id == champion, "deleted_judgements": len(tainted.get(version.id, ()))}
            for version in registry.list(retired=True)
        ]
    if as_json:
        print(json.dumps(found, indent=2, ensure_ascii=False))
        return
    for version in found:
        mark = "*" if version["champion"] else " "
        line = f"{mark} {version['id']:<16} {version['created_at'][:19]} {version['verdict'] or ''}{_taint(version)}"
        print(line.rstrip())


def _taint(version: dict[str, Any]) -> str:
    if version["retired_at"] is not None:
        return f"  retired: {version['deleted_judgements']} of its judgements were deleted"
    if version["deleted_judgements"]:
        return f"  tainted: {version['deleted_judgements']} of its judgements were deleted; the next night retires it"
    return ""


def report(
    of: Annotated[str | None, typer.Argument(help="A version, or the id of a night (default: the last night).")] = None,
    db: Db = None,
    as_json: AsJson = False,
) -> None:
    """The report of a night, also of one that made no version: as Markdown, or as JSON."""
    with told(), opened(load_settings(db=db)) as database:
        nights = NightBook(database).nights()
        found = next((night for night in reversed(nights) if of in {None, night.id, night.version_id}), None)
        if found is None:
            raise BadInput(
                f"There is no night {of!r}, and no version of that name that a night made; `python -m training "
                "versions` lists the versions."
                if of
                else "There was no night yet; start one with `python -m training night`."
            )
        if found.report is None:
            raise BadInput(
                f"The night of {found.started_at[:16]} is {found.state} and has no report; wait until it ends."
            )
    print(json.dumps(found.report, indent=2, ensure_ascii=False) if as_json else markdown_of(found.report))


def receipts(
    version: str,
    db: Db = None,
    versions: Versions = None,
    check: Annotated[bool, typer.Option(help="Rebuild the training set from them and compare its hash.")] = False,
    as_json: AsJson = False,
) -> None:
    """Which judgements made a version; with --check, whether they are still what it was trained on."""
    with told():
        settings = load_settings(db=db, versions=versions)
        with opened(settings) as database:
            registry = VersionRegistry(database)
            known, made_from = registry.get(version), registry.receipts(version)
            rebuilt = None
            if check:
                if known.id == INITIAL:
                    raise BadInput("The initial version was made from no judgements; name one that a night made.")
                check_files(settings.versions / known.id, known)
                rebuilt = rebuild(FeedbackStore(database), *read_receipts(settings.versions / known.id))
    found: dict[str, Any] = {"version": version, "judgements": [{"kind": kind, "id": row} for kind, row in made_from]}
    if rebuilt is not None:
        found["check"] = asdict(rebuilt) | {"same": rebuilt.is_same}
    if as_json:
        print(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        for kind, row in made_from:
            print(f"{kind} {row}")
        counts = ", ".join(f"{count} of kind {kind}" for kind, count in Counter(kind for kind, _ in made_from).items())
        print(f"{version} was made from {len(made_from)} judgements{': ' + counts if counts else ''}.")
        if rebuilt is not None and rebuilt.is_same:
            print(f"Rebuilt from them, its training set is the very same (sha256 {rebuilt.found}).")
    if rebuilt is not None and not rebuilt.is_same:
        with told():
            raise DamagedVersion(_difference(version, rebuilt))


def _difference(version: str, rebuilt: Rebuilt) -> str:
    if rebuilt.told is None:
        return (
            f"The version {version} is from before training sets had a hash; it cannot be checked, versions of later "
            "nights can."
        )
    if rebuilt.gone:
        return (
            f"The training set of {version} cannot be rebuilt: {len(rebuilt.gone)} of its judgements were deleted; the "
            "next night retires it and makes one without them."
        )
    return (
        f"The training set of {version} is not what its receipts rebuild (sha256 {rebuilt.found}, recorded "
        f"{rebuilt.told}): rows of the database were changed by another program; restore a backup to tell which."
    )


def trace(judgement: str, db: Db = None, as_json: AsJson = False) -> None:
    """Which versions a judgement (a vote, a ranking, a correction, by its id) went into."""
    with told(), opened(load_settings(db=db)) as database:
        registry = VersionRegistry(database)
        into = registry.versions_of([judgement]).get(judgement, ())
        store = FeedbackStore(database)
        exists, erased_at = store.has_judgement(judgement), store.erased_at(judgement)
        if not into and not exists and erased_at is None:
            raise BadInput(
                f"There is no judgement {judgement!r}; give the id of a thumb, duel, ranking or correction, as "
                "`python -m training receipts VERSION` lists them."
            )
        champion = registry.champion().id
    if as_json:
        print(json.dumps({"judgement": judgement, "deleted": not exists, "versions": into, "champion": champion}))
        return
    marked = [f"{version} (answers now)" if version == champion else version for version in into]
    when = f" on {erased_at[:10]}" if erased_at else ""
    print(f"{judgement} went into {', '.join(marked) or 'no version'}." + ("" if exists else f" It was deleted{when}."))
