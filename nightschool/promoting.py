"""Letting another version answer by hand, for the page and for the command line alike.

The version's files are checked first, so that a damaged one is refused and the champion stays.
"""

from pathlib import Path

from nightschool.errors import BadInput
from nightschool.records import Version
from nightschool.registry import VersionRegistry
from nightschool.version_check import check_files

BY_HAND = "by hand"
BACK_BY_HAND = "rolled back by hand"


def promote(registry: VersionRegistry, versions: Path, version_id: str, reason: str = BY_HAND) -> Version:
    """Let a version answer from the next reply on. Raises `UnknownVersion`, `DamagedVersion`, or `BadInput` for one
    that deleted judgements made."""
    version = registry.get(version_id)
    if version.retired_at is None:  # a retired one has no folder; the registry refuses it, and says why
        check_files(versions / version.id, version)
    registry.promote(version.id, reason)
    return version


def refuse_what_deleted_judgements_made(registry: VersionRegistry, version: Version) -> None:
    """Raise `BadInput` for a version that may not answer anybody, not even on trial."""
    if version.retired_at is not None or version.id in registry.tainted():
        raise BadInput(
            f"The version {version.id} learned from judgements that were deleted since, so it may not answer anybody; "
            "try another one."
        )


def version_before(registry: VersionRegistry) -> Version | None:
    """The version that answered last before the champion and may answer again; None where there is none."""
    unfit = registry.tainted().keys() | {registry.champion().id}
    for term in reversed(registry.terms()):
        version = registry.get(term.version)
        if version.id not in unfit and version.retired_at is None:
            return version
    return None


def roll_back(registry: VersionRegistry, versions: Path) -> Version:
    """Let the version before answer again. Raises `BadInput` where there is none, `DamagedVersion`."""
    before = version_before(registry)
    if before is None:
        raise BadInput("No version answered before this one, so there is none to go back to; promote another one.")
    return promote(registry, versions, before.id, BACK_BY_HAND)
