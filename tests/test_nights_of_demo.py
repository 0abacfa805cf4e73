"""The night as the chat sees it: a child process that is started, watched through its rows, and never trusted to live.

The child is a stand-in with the same arguments, lock and rows as the real night.
"""

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from filelock import FileLock

from demo.catalogue import Words
from demo.nights import REPOSITORY, Nights, NightStatus, Phase
from demo.pages import school_view
from nightschool.errors import BadInput, NightAlreadyRunning
from nightschool.records import Night, NightState, Stage, VerdictKind
from nightschool.registry import NightBook
from nightschool.schema import FeedbackDatabase

ENGLISH = Words("en")
Start = Callable[[str], Nights]


@pytest.fixture
def nights_that(database: FeedbackDatabase, book: NightBook, tmp_path: Path) -> Iterator[Start]:
    """Makes `Nights` whose child behaves as named; children that are left are killed at the end."""

    def make(behaviour: str) -> Nights:
        return Nights(
            book,
            db=database.path,
            versions=tmp_path / "versions",
            environment={"STAND_IN": behaviour, "NIGHTSCHOOL_MODEL": "some-model"},
            command=[sys.executable, "-m", "tests.stand_in_night"],
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
    wait_until(lambda: nights.status().phase not in {Phase.STARTING, Phase.RUNNING})
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


# ---- what the page says --------------------------------------------------------------------------------------------

STAGE = Stage("<ppo>", NightState.RUNNING, "2026-01-01T00:00:00.000000+00:00", None, 0.25, "step <1>")
NIGHT = Night(
    "n1", NightState.DONE, "quick", 0, False, "2026-01-01T00:00:00+00:00", "2026-01-01T00:02:05+00:00",
    VerdictKind.PROMOTED, "It won <60 %> of the exam.", "v1", {"win_rate": 0.6, "kl": 0.1234, "notes": "<b>"}, (STAGE,),
)  # fmt: skip


def test_the_verdict_comes_with_its_reason_and_main_numbers() -> None:
    card = school_view.night_card(NightStatus(Phase.ENDED, NIGHT), ENGLISH)
    for part in ("Promoted", "It won &lt;60 %&gt; of the exam.", "60%", "0.123", "Version v1."):
        assert part in card


def test_nothing_that_was_written_elsewhere_becomes_html() -> None:
    card = school_view.night_card(NightStatus(Phase.ENDED, NIGHT), ENGLISH)
    log = school_view.log_lines([("2026-01-01T00:00:00", "<script>alert(1)</script>")], ENGLISH)
    sentence = school_view.night_card(NightStatus(Phase.NOT_STARTED, None, "<i>no</i>"), ENGLISH)
    for shown in (card, log, sentence, school_view.history_table([NIGHT], ENGLISH)):
        assert "<script" not in shown
        assert "<ppo" not in shown
        assert "<i>" not in shown


def test_the_history_lists_the_newest_night_first_with_its_time() -> None:
    table = school_view.history_table([NIGHT], ENGLISH)
    assert "2 min 05 s" in table
    assert table.index("<thead>") < table.index("promoted")
