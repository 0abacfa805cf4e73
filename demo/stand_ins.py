"""Who answers for a version that is damaged: its nearest sound forebear."""

import logging

from nightschool.engine import Engine
from nightschool.errors import DamagedVersion
from nightschool.records import Version
from nightschool.registry import VersionRegistry

log = logging.getLogger(__name__)


def servable(engine: Engine, registry: VersionRegistry, version: Version) -> tuple[Version, str]:
    """The version once it is in memory; for a damaged one its nearest sound forebear and the sentence that says so.

    Raises `DamagedVersion` when not even the initial version can be served.
    """
    try:
        engine.prepare(version)
    except DamagedVersion as error:
        forebears = registry.forebears(version)
        if not forebears:
            raise
        stand_in, _ = servable(engine, registry, forebears[0])
        log.warning("The version %s stands in for %s: %s", stand_in.id, version.id, error)
        return stand_in, f"The version {stand_in.id} answers in place of {version.id}: {error}"
    return version, ""
