"""The leaderboard, made by the training side whenever the duels changed: looked at often, computed seldom.

A mark of the duels and versions says whether the board that is kept is still true. While a new one is made (in a child
process, one at a time, with a pause between two) the last one is shown.
"""

import logging
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from demo.training_child import PATIENCE, ask_training
from nightschool.errors import NightSchoolError
from nightschool.feedback import FeedbackStore
from nightschool.registry import VersionRegistry
from nightschool.standings import Leaderboard, standings_from_json

LEADERBOARD_COMMAND = (sys.executable, "-m", "training", "leaderboard")
LATE = f"The leaderboard was not made within {PATIENCE:.0f} seconds; is a night running? Open the page again later."
PAUSE = 20.0
"""Seconds between the end of one computation and the beginning of the next, however many votes come in."""

RETRY = 300.0
"""Seconds before an attempt that failed is made again where nothing changed: the machine may have been busy."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Board:
    """What there is to show."""

    standings: Leaderboard | None
    """None: none was made yet."""
    is_current: bool
    """Whether all duels are in it."""
    fault: str
    """Why the last attempt failed, in a sentence."""
    mark: str
    """Of the duels and versions there are now."""


class Leaderboards:
    """Keeps the newest leaderboard. Any number of people may look."""

    def __init__(
        self,
        store: FeedbackStore,
        registry: VersionRegistry,
        *,
        db: Path,
        environment: dict[str, str],
        command: Sequence[str] = LEADERBOARD_COMMAND,
    ) -> None:
        self._store = store
        self._registry = registry
        self._command = [*command, "--db", str(db.resolve()), "--json"]
        self._environment = environment
        self._turn = threading.Lock()
        self._worker: threading.Thread | None = None
        self._standings: Leaderboard | None = None
        self._fault = ""
        self._made_of = ""
        self._ended_at = -PAUSE
        self.computed = 0
        """How often one was computed."""

    def look(self) -> Board:
        """What is kept; where the duels have changed since, a new one is begun and shown at a later look."""
        wanted = self._mark()
        with self._turn:
            is_new = wanted != self._made_of
            pause = PAUSE if is_new else RETRY
            is_wanted = is_new or bool(self._fault)
            if is_wanted and self._worker is None and time.monotonic() - self._ended_at >= pause:
                self._worker = threading.Thread(target=self._make, args=(wanted,), name="leaderboard", daemon=True)
                self._worker.start()
            return Board(self._standings, wanted == self._made_of, self._fault, wanted)

    def wait(self) -> None:
        """Return once nothing is being computed."""
        worker = self._worker
        if worker is not None:
            worker.join()

    def _mark(self) -> str:
        versions = " ".join(version.id for version in self._registry.list(retired=True))
        return f"{self._store.duels_mark()} {versions}"

    def _make(self, wanted: str) -> None:
        """Ask for a new one; votes that come in meanwhile are in the next."""
        standings, fault = self._standings, ""
        try:
            answer = ask_training(self._command, self._environment, LATE)
            fault = answer.complaint
            if not fault:
                standings = standings_from_json(answer.found)
        except NightSchoolError as error:
            fault = str(error)
        finally:
            with self._turn:
                self.computed += 1
                self._standings, self._fault, self._made_of = standings, fault, wanted
                self._worker, self._ended_at = None, time.monotonic()
        if fault:
            log.warning("The leaderboard could not be made: %s", fault)
