"""The night as the chat sees it: a child process that is started, watched through its rows, and never trusted to live.

The child is a stand-in with the same arguments, lock and rows as the real night.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from filelock import FileLock

from demo.nights import CANCELLED, KILLED, REPOSITORY, Nights, NightStatus, Phase
from nightschool.errors import BadInput, NightAlreadyRunning
from nightschool.records import Night, NightState, VerdictKind
from nightschool.registry import NightBook
from nightschool.schema import FeedbackDatabase

Start = Callable[..., Nights]


@pytest.fixture
def nights_that(database: FeedbackDatabase, book: NightBook, tmp_path: Path) -> Iterator[Start]:
    """Makes `Nights` whose child behaves as named; children that are left are killed at the end."""

    def make(behaviour: str, grace: float = 20.0) -> Nights:
        return Nights(
            book,
            db=database.path,
            versions=tmp_path / "versions",
            environment={"STAND_IN": behaviour, "NIGHTSCHOOL_MODEL": "some-model"},
            command=[sys.executable, "-m", "tests.stand_in_night"],
            grace=grace,
        )

    yield make
    for child in psutil.Process().children():
        child.kill()
    wait_until(lambda: not psutil.Process().children())


def wait_until(holds: Callable[[], Any], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)


def ended(nights: Nights) -> NightStatus:
    wait_until(lambda: nights.status().phase not in {Phase.STARTING, Phase.RUNNING, Phase.STOPPING})
    return nights.status()


def running(nights: Nights) -> Night:
    """The night once its child has told that half of its first stage is done."""

    def halfway() -> Night | None:
        status = nights.status()
        at_work = status.phase is Phase.RUNNING and status.night and status.night.stages
        return status.night if at_work and status.night and status.night.stages[0].progress == 0.5 else None

    wait_until(halfway)
    night = halfway()
    assert night is not None
    return night


def what_the_child_saw(book: NightBook, night: Night) -> dict[str, Any]:
    return dict(json.loads(book.log_lines(night.id)[0][1]))


def test_before_the_first_night_there_is_nothing_to_tell(nights_that: Start) -> None:
    assert nights_that("verdict").status() == NightStatus(Phase.IDLE, None)


def test_a_night_is_started_and_its_verdict_read_from_its_row(nights_that: Start) -> None:
    nights = nights_that("verdict")
    nights.start("quick", practice=True)
    assert nights.status().phase in {Phase.STARTING, Phase.RUNNING, Phase.ENDED}
    night = ended(nights).night
    assert night is not None
    assert (night.state, night.verdict, night.effort, night.practice) == (
        NightState.DONE,
        VerdictKind.SKIPPED,
        "quick",
        True,
    )
    assert [stage.name for stage in night.stages] == ["snapshot"]


def test_the_child_gets_the_settings_and_a_session_of_its_own(
    nights_that: Start, book: NightBook, tmp_path: Path
) -> None:
    nights = nights_that("verdict")
    nights.start("normal", practice=False)
    night = ended(nights).night
    assert night is not None
    seen = what_the_child_saw(book, night)
    assert seen["session"] != os.getsid(0)
    assert (seen["folder"], seen["model"]) == (str(REPOSITORY), "some-model")
    assert seen["versions"] == str(tmp_path / "versions")


def test_the_child_leaves_no_zombie(nights_that: Start, book: NightBook) -> None:
    nights = nights_that("verdict")
    nights.start("quick", practice=False)
    night = ended(nights).night
    assert night is not None
    pid = what_the_child_saw(book, night)["pid"]
    wait_until(lambda: not psutil.pid_exists(pid))


def test_a_second_night_is_refused_in_one_sentence(nights_that: Start) -> None:
    nights = nights_that("waits")
    nights.start("quick", practice=False)
    with pytest.raises(NightAlreadyRunning, match="running already"):  # also before its row is there
        nights.start("quick", practice=False)
    running(nights)
    with pytest.raises(NightAlreadyRunning):
        nights.start("quick", practice=False)


def test_a_server_that_starts_later_finds_the_running_night(nights_that: Start) -> None:
    nights_that("waits").start("quick", practice=False)
    restarted = nights_that("waits")
    assert running(restarted).stages[0].name == "snapshot"
    with pytest.raises(NightAlreadyRunning):
        restarted.start("quick", practice=False)


def test_a_killed_night_is_shown_as_interrupted_and_the_next_one_can_run(nights_that: Start, book: NightBook) -> None:
    nights = nights_that("waits")
    nights.start("quick", practice=False)
    os.kill(what_the_child_saw(book, running(nights))["pid"], signal.SIGKILL)
    night = ended(nights).night
    assert night is not None
    assert (night.state, night.stages[0].state) == (NightState.INTERRUPTED, NightState.INTERRUPTED)
    assert "ended without a word" in night.reason
    after = nights_that("verdict")
    after.start("quick", practice=False)
    newest = ended(after).night
    assert newest is not None
    assert newest.verdict is VerdictKind.SKIPPED


def test_a_night_that_dies_before_its_row_shows_its_last_words(nights_that: Start) -> None:
    nights = nights_that("stumbles")
    nights.start("quick", practice=False)
    assert ended(nights).sentence == "The model 'nobody/knows' could not be loaded; give another one."
    nights = nights_that("silent")
    nights.start("quick", practice=False)
    assert "status 3" in ended(nights).sentence


def test_a_night_started_elsewhere_makes_the_child_say_so(nights_that: Start, database: FeedbackDatabase) -> None:
    nights = nights_that("verdict")
    with FileLock(f"{database.path}.night.lock"):
        nights.start("quick", practice=False)
        status = ended(nights)
    assert status.phase is Phase.NOT_STARTED
    assert status.sentence.startswith("Another night is running")


def test_an_unknown_effort_is_refused(nights_that: Start) -> None:
    with pytest.raises(BadInput, match="quick, normal, thorough"):
        nights_that("verdict").start("heroic", practice=False)


# ---- stopping and going on -----------------------------------------------------------------------------------------


def test_a_cancelled_night_ends_by_itself_with_a_reason_and_can_be_resumed(nights_that: Start, book: NightBook) -> None:
    nights = nights_that("waits")
    nights.start("quick", practice=False)
    pid = what_the_child_saw(book, running(nights))["pid"]
    nights.cancel()
    nights.cancel()  # a second click changes nothing
    status = ended(nights)
    nights.cancel()  # nor one that comes after the end
    assert status.night is not None
    assert (status.night.state, status.night.reason) == (NightState.INTERRUPTED, "The night was stopped by hand.")
    assert status.can_resume
    wait_until(lambda: not psutil.pid_exists(pid))
    again = nights_that("verdict")
    again.resume()
    wait_until(lambda: again.status().phase is Phase.ENDED)
    resumed = again.status()
    assert resumed.night is not None
    assert (resumed.night.id, resumed.night.verdict) == (status.night.id, VerdictKind.SKIPPED)
    assert not resumed.can_resume
    with pytest.raises(BadInput, match="nothing to resume"):
        again.resume()


def test_a_night_that_an_earlier_server_or_the_command_line_started_is_cancelled_too(
    nights_that: Start, database: FeedbackDatabase, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "tests.stand_in_night", "night", "--effort", "quick"]
    arguments = ["--db", str(database.path), "--versions", str(tmp_path / "versions")]
    environment = {**os.environ, "STAND_IN": "waits", "NIGHTSCHOOL_MODEL": "none"}
    with subprocess.Popen([*command, *arguments], env=environment) as child:
        nights = nights_that("verdict")
        assert running(nights).pid == child.pid
        nights.cancel()
        assert child.wait(20) == 0
    night = ended(nights).night
    assert night is not None
    assert night.reason == "The night was stopped by hand."
    after = nights_that("verdict")
    after.start("quick", practice=False)
    ended(after)
    with pytest.raises(BadInput, match="No night is running"):
        nights.cancel()  # it was another night that this one was asked to stop


def test_a_night_that_does_not_listen_is_killed_and_its_row_says_so(
    nights_that: Start, book: NightBook, database: FeedbackDatabase, tmp_path: Path
) -> None:
    nights = nights_that("deaf", grace=0.3)
    nights.start("quick", practice=False)
    pid = what_the_child_saw(book, running(nights))["pid"]
    nights.cancel()
    assert nights.status().phase is Phase.STOPPING
    with pytest.raises(NightAlreadyRunning):
        nights.resume()
    night = ended(nights).night
    assert night is not None
    assert (night.state, night.reason) == (NightState.INTERRUPTED, KILLED)
    wait_until(lambda: not psutil.pid_exists(pid))


def test_a_night_is_cancelled_before_it_has_a_row(nights_that: Start) -> None:
    nights = nights_that("dawdles")
    nights.start("quick", practice=False)
    assert nights.status().phase is Phase.STARTING
    nights.cancel()
    status = ended(nights)
    assert (status.phase, status.sentence) == (Phase.NOT_STARTED, CANCELLED)


def test_a_night_that_gets_its_row_after_it_was_asked_to_stop_is_still_the_one_that_was_asked(
    nights_that: Start,
) -> None:
    nights = nights_that("late")
    nights.start("quick", practice=False)
    wait_until(lambda: "Loading" in nights.log_path.read_text(encoding="utf-8"))
    assert nights.status().phase is Phase.STARTING
    nights.cancel()
    wait_until(lambda: nights.status().phase is Phase.ENDED)
    night = nights.status().night
    assert night is not None
    assert (night.state, night.reason) == (NightState.INTERRUPTED, "The night was stopped by hand.")
    wait_until(lambda: "night-stopper" not in {thread.name for thread in threading.enumerate()})
    nights.cancel()  # a second click that comes after the end


def test_where_no_night_runs_there_is_nothing_to_cancel_or_resume(nights_that: Start) -> None:
    with pytest.raises(BadInput, match="No night is running"):
        nights_that("verdict").cancel()
    with pytest.raises(BadInput, match="nothing to resume"):
        nights_that("verdict").resume()


HOLD = """
import sys, filelock
lock = filelock.FileLock(sys.argv[1])
lock.acquire()
print("held", flush=True)
sys.stdin.read()
"""


def test_a_process_that_is_not_the_nights_is_never_signalled(
    nights_that: Start, book: NightBook, database: FeedbackDatabase
) -> None:
    """The row names this very process; somebody else holds the lock."""
    book.start("quick", 0, practice=False)
    command = [sys.executable, "-c", HOLD, f"{database.path}.night.lock"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdin is not None
        assert holder.stdout.readline() == "held\n"
        nights = nights_that("verdict")
        assert nights.status().phase is Phase.RUNNING
        with pytest.raises(BadInput, match="cannot be found from here"):
            nights.cancel()
        with database.write() as db:  # the holder itself, but it began after the night took its row
            db.execute("UPDATE nights SET pid = ?, taken_at = '2026-01-01T00:00:00+00:00'", [holder.pid])
        with pytest.raises(BadInput, match="cannot be found from here"):
            nights.cancel()
        assert holder.poll() is None
        holder.stdin.close()
