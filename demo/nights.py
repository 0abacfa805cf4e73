"""Starts, stops and resumes the night as a child process and tells what became of it, from the rows the night wrote.

The child has a session of its own, so it survives this server; a server that starts later finds it by its rows and by
the lock it holds, and can stop it too. What the child prints goes to `last-night.log` beside the versions, where the
last line explains a night that died before it could write a row.
"""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

from demo.night_process import ask_to_stop, has_ended, is_alive, process_of
from demo.timetable import Timetable
from nightschool.errors import BadInput, NightAlreadyRunning, StoreError
from nightschool.records import Night, NightState
from nightschool.registry import DIED, NightBook

EFFORTS = ("quick", "normal", "thorough")
REPOSITORY = Path(__file__).resolve().parent.parent
TRAINING = (sys.executable, "-m", "training")
GRACE = 90.0
"""Seconds a night has to stop by itself: one update of PPO on a slow machine, and the writing of its row."""
KILLED = "The night was stopped by hand; it did not end by itself in time and was killed. What it had kept is there."
CANCELLED = "The night was cancelled before it began."


class Phase(StrEnum):
    """What the School page shows."""

    IDLE = "idle"  # no night yet
    STARTING = "starting"  # the child runs but has not written its row
    RUNNING = "running"
    STOPPING = "stopping"  # it was asked to stop and has not ended yet
    ENDED = "ended"  # the newest night's row says how
    NOT_STARTED = "not_started"  # the child ended without a row; `sentence` is its last word


@dataclass(frozen=True)
class NightStatus:
    phase: Phase
    night: Night | None
    sentence: str = ""

    @property
    def is_busy(self) -> bool:
        """Whether no other night can begin."""
        return self.phase in {Phase.STARTING, Phase.RUNNING, Phase.STOPPING}

    @property
    def can_resume(self) -> bool:
        """Whether the newest night can go on where it was interrupted or failed."""
        ended = self.night is not None and self.night.state in {NightState.INTERRUPTED, NightState.FAILED}
        return ended and not self.is_busy


class Nights:
    """One night at a time, started with one click, stopped and resumed with another."""

    def __init__(
        self,
        book: NightBook,
        *,
        db: Path,
        versions: Path,
        environment: dict[str, str],
        command: Sequence[str] = TRAINING,
        grace: float = GRACE,
    ) -> None:
        self._book = book
        self._db = db.resolve()
        self._versions = versions.resolve()
        self._environment = environment
        self._command = tuple(command)
        self._grace = grace
        self._turn = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._newest_before: tuple[str, str | None] | None = None
        self._asked: psutil.Process | None = None
        self._asked_for: tuple[str, str | None] | None = None
        self._is_killed = False
        self.timetable: Timetable | None = None
        """What starts nights by itself, once there is such a thing."""

    @property
    def _lock_path(self) -> Path:
        """What a night holds while it runs."""
        return self._db.with_name(f"{self._db.name}.night.lock")

    @property
    def log_path(self) -> Path:
        """What the last night printed."""
        return self._versions / "last-night.log"

    def start(self, effort: str, *, practice: bool) -> None:
        """Start a night. Raises `NightAlreadyRunning`, or `BadInput` for an unknown effort."""
        if effort not in EFFORTS:
            raise BadInput(f"The effort was {effort!r}; choose one of {', '.join(EFFORTS)}.")
        self._begin("night", ["--effort", effort, *(["--practice"] if practice else [])])

    def resume(self) -> None:
        """Go on with the newest night. Raises `NightAlreadyRunning`, or `BadInput` where there is nothing to resume."""
        self._begin("resume", [])

    def _begin(self, verb: str, arguments: Sequence[str]) -> None:
        with self._turn:
            status = self._status()
            if status.is_busy:
                raise NightAlreadyRunning("A night is running already; wait for its verdict, then start the next one.")
            if verb == "resume" and not status.can_resume:
                raise BadInput("There is nothing to resume: the last night came to its end; start another one.")
            self._newest_before = _mark(status.night)
            self._asked, self._is_killed = None, False
            files = ["--db", str(self._db), "--versions", str(self._versions)]
            self._child = self._spawn([*self._command, verb, *files, *arguments])
        threading.Thread(target=self._child.wait, name="night-reaper", daemon=True).start()

    def cancel(self) -> None:
        """Stop the night that runs, whoever started it: politely, and after `grace` seconds by force.

        Returns at once; a second call for the same night does nothing. Raises `BadInput` where none runs, or its
        process cannot be found.
        """
        with self._turn:
            status = self._status()
            was_asked = self._asked is not None and _mark(status.night) == self._asked_for
            if status.phase is Phase.STOPPING or was_asked:
                return  # it stops, or has stopped since
            if status.phase is Phase.STARTING and self._child is not None:
                process = psutil.Process(self._child.pid)
                ask_to_stop(process, signal.SIGTERM)  # it may not listen to SIGINT yet, and has nothing to lose
            elif status.phase is Phase.RUNNING and status.night is not None:
                process = process_of(status.night, self._lock_path)
                ask_to_stop(process, signal.SIGINT)
            else:
                raise BadInput("No night is running, so there is nothing to cancel.")
            self._asked, self._asked_for = process, _mark(status.night)
        threading.Thread(target=self._see_it_end, args=(process,), name="night-stopper", daemon=True).start()

    def _see_it_end(self, process: psutil.Process) -> None:
        if not has_ended(process, self._grace):
            self._is_killed = True
            ask_to_stop(process, signal.SIGKILL)
            has_ended(process, self._grace)
        ended = self.status()  # closes the row of one that was killed
        with self._turn:
            if self._asked is process:  # one that was asked before it had its row has it now
                self._asked_for = _mark(ended.night)

    def status(self) -> NightStatus:
        """How the newest night stands. A night whose process was killed is closed as interrupted first."""
        with self._turn:
            return self._status()

    def _status(self) -> NightStatus:
        night = self._book.last()
        if night is not None and night.state is NightState.RUNNING:
            night = self._close_if_dead(night)
        is_asked = self._asked is not None and is_alive(self._asked)
        if self._child is not None and _mark(night) == self._newest_before:
            exit_status = self._child.poll()
            if exit_status is None:
                return NightStatus(Phase.STOPPING if is_asked else Phase.STARTING, night)
            return NightStatus(Phase.NOT_STARTED, night, CANCELLED if self._asked else self._last_words(exit_status))
        if night is None:
            return NightStatus(Phase.IDLE, None)
        if night.state is not NightState.RUNNING:
            return NightStatus(Phase.ENDED, night)
        return NightStatus(Phase.STOPPING if is_asked else Phase.RUNNING, night)

    def _close_if_dead(self, night: Night) -> Night:
        """A running night holds its lock; if the lock is free, its process is gone."""
        try:
            with FileLock(self._lock_path, timeout=0, fallback_to_soft=False):
                self._book.close_dead(KILLED if self._is_killed else DIED)
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


def _mark(night: Night | None) -> tuple[str, str | None] | None:
    """What changes when a child has taken its night: another row, or the same one taken again to be resumed."""
    return None if night is None else (night.id, night.taken_at)
