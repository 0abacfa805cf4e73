"""Starts the night as a child process and tells what became of it, from the rows the night wrote.

The child has a session of its own, so it survives this server; a server that starts later finds it by its rows and by
the lock it holds. What the child prints goes to `last-night.log` beside the versions, where the last line explains a
night that died before it could write a row.
"""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from filelock import FileLock, Timeout

from demo.timetable import Told
from nightschool.errors import BadInput, NightAlreadyRunning, StoreError
from nightschool.records import Night, NightState
from nightschool.registry import NightBook

EFFORTS = ("quick", "normal", "thorough")
REPOSITORY = Path(__file__).resolve().parent.parent
NIGHT_COMMAND = (sys.executable, "-m", "training", "night")


class Phase(StrEnum):
    """What the School page shows."""

    IDLE = "idle"  # no night yet
    STARTING = "starting"  # the child runs but has not written its row
    RUNNING = "running"
    ENDED = "ended"  # the newest night's row says how
    NOT_STARTED = "not_started"  # the child ended without a row; `sentence` is its last word


@dataclass(frozen=True)
class NightStatus:
    phase: Phase
    night: Night | None
    sentence: str = ""


class Nights:
    """One night at a time, started with one click."""

    def __init__(
        self,
        book: NightBook,
        *,
        db: Path,
        versions: Path,
        environment: dict[str, str],
        command: Sequence[str] = NIGHT_COMMAND,
    ) -> None:
        self._book = book
        self._db = db.resolve()
        self._versions = versions.resolve()
        self._environment = environment
        self._command = tuple(command)
        self._turn = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._newest_before: str | None = None
        self._timetable: Callable[[], Told | None] = lambda: None

    def follow(self, timetable: Callable[[], Told | None]) -> None:
        """Name what tells when the next night begins by itself."""
        self._timetable = timetable

    def timetable(self) -> Told | None:
        """When the next night begins by itself; None where nights are only started by hand."""
        return self._timetable()

    @property
    def log_path(self) -> Path:
        """What the last night printed."""
        return self._versions / "last-night.log"

    def start(self, effort: str, *, practice: bool) -> None:
        """Start a night. Raises `NightAlreadyRunning`, or `BadInput` for an unknown effort."""
        if effort not in EFFORTS:
            raise BadInput(f"The effort was {effort!r}; choose one of {', '.join(EFFORTS)}.")
        with self._turn:
            status = self._status()
            if status.phase in {Phase.STARTING, Phase.RUNNING}:
                raise NightAlreadyRunning("A night is running already; wait for its verdict, then start the next one.")
            self._newest_before = status.night.id if status.night else None
            arguments = ["--db", str(self._db), "--versions", str(self._versions), "--effort", effort]
            self._child = self._spawn([*self._command, *arguments, *(["--practice"] if practice else [])])
        threading.Thread(target=self._child.wait, name="night-reaper", daemon=True).start()

    def status(self) -> NightStatus:
        """How the newest night stands. A night whose process was killed is closed as interrupted first."""
        with self._turn:
            return self._status()

    def _status(self) -> NightStatus:
        night = self._book.last()
        if night is not None and night.state is NightState.RUNNING:
            night = self._close_if_dead(night)
        if self._child is not None and (night.id if night else None) == self._newest_before:
            exit_status = self._child.poll()
            if exit_status is None:
                return NightStatus(Phase.STARTING, night)
            return NightStatus(Phase.NOT_STARTED, night, self._last_words(exit_status))
        if night is None:
            return NightStatus(Phase.IDLE, None)
        return NightStatus(Phase.RUNNING if night.state is NightState.RUNNING else Phase.ENDED, night)

    def _close_if_dead(self, night: Night) -> Night:
        """A running night holds its lock; if the lock is free, its process is gone."""
        try:
            with FileLock(f"{self._db}.night.lock", timeout=0, fallback_to_soft=False):
                self._book.close_dead()
        except Timeout:
            return night
        return self._book.night(night.id) or night

    def _spawn(self, command: list[str]) -> subprocess.Popen[bytes]:
        try:
            self._versions.mkdir(parents=True, exist_ok=True)
            with self.log_path.open("wb") as output:
                return subprocess.Popen(
                    command,
                    cwd=REPOSITORY,
                    env={**os.environ, **self._environment},
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
        except OSError as error:
            raise StoreError(
                f"The night could not be started ({error}); make {self._versions} writable and free some disk space."
            ) from error

    def _last_words(self, exit_status: int) -> str:
        lines = self.log_path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        if lines:
            return lines[-1]
        return f"The night's process ended with status {exit_status} before it began, without a word."
