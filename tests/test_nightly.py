"""Nights by the timetable: the server that looks at the clock, and the dates it keeps in the database."""

import sys
import time as clock_of_the_machine
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest

from demo.catalogue import LANGUAGES, Words
from demo.nightly import Nightly
from demo.nights import Nights, Phase
from demo.pages.timetable_view import timetable_line
from demo.timetable import Told, choice_read
from nightschool.errors import BadInput
from nightschool.nightly_clock import Choice, NightlyClock
from nightschool.nightly_dates import NightlyDates, Outcome
from nightschool.records import NightlyDate
from nightschool.registry import NightBook
from nightschool.schema import FeedbackDatabase

DAY = timedelta(days=1)
NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


class Clock:
    """A clock that a test puts forward."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def dates(database: FeedbackDatabase) -> NightlyDates:
    return NightlyDates(database)


@pytest.fixture
def nights(database: FeedbackDatabase, book: NightBook, tmp_path: Path) -> Iterator[Nights]:
    yield Nights(
        book,
        db=database.path,
        versions=tmp_path / "versions",
        environment={"STAND_IN": "verdict", "NIGHTSCHOOL_MODEL": "some-model"},
        command=[sys.executable, "-m", "tests.stand_in_night"],
    )
    for child in psutil.Process().children():
        child.kill()


Make = Callable[..., Nightly]


@pytest.fixture
def nightly(nights: Nights, dates: NightlyDates, clock: Clock, database: FeedbackDatabase) -> Make:
    def make(at: time | None = time(2, 30)) -> Nightly:
        return Nightly(nights, dates, NightlyClock(database), clock=at, zone_name="UTC", effort="quick", now=clock)

    return make


def wait_until(holds: Callable[[], Any], seconds: float = 40) -> None:
    deadline = clock_of_the_machine.monotonic() + seconds
    while not holds():
        assert clock_of_the_machine.monotonic() < deadline, "waited too long"
        clock_of_the_machine.sleep(0.05)


def test_a_night_is_started_at_its_time_once_and_told_with_its_date(
    nightly: Make, nights: Nights, book: NightBook, clock: Clock
) -> None:
    timetable = nightly()
    timetable.look()
    assert nights.status().phase is Phase.IDLE  # the hour of the day on which it was set has passed
    clock.now = datetime(2026, 6, 2, 2, 30, tzinfo=UTC)
    timetable.look()
    wait_until(lambda: nights.status().phase is Phase.ENDED)
    for _ in range(3):
        clock.now += timedelta(hours=1)
        timetable.look()
    assert [night.effort for night in book.nights()] == ["quick"]
    told = timetable.told()
    assert told is not None
    assert told.last is not None
    assert (told.last.local_date, told.last.outcome) == (date(2026, 6, 2), Outcome.STARTED)
    assert told.next == datetime(2026, 6, 3, 2, 30, tzinfo=UTC)


def test_a_server_that_starts_again_keeps_the_date_and_makes_up_for_one(
    nightly: Make, nights: Nights, book: NightBook, clock: Clock
) -> None:
    nightly()
    clock.now += 5 * DAY
    restarted = nightly()
    restarted.look()
    restarted.look()
    wait_until(lambda: nights.status().phase is Phase.ENDED)
    nightly().look()
    assert len(book.nights()) == 1


def test_of_two_servers_on_one_database_one_starts_the_night(
    nights: Nights, clock: Clock, database: FeedbackDatabase
) -> None:
    taken = []
    with closing(FeedbackDatabase(database.path)) as other:
        for opened in (database, other):
            wanted = NightlyDate(date(2026, 6, 2), "02:30", "UTC", "", "", Outcome.TAKEN)
            taken.append(NightlyDates(opened).take(wanted))
    assert taken == [True, False]


def test_why_no_night_was_started_is_kept_and_told(
    nightly: Make, nights: Nights, book: NightBook, clock: Clock, dates: NightlyDates, tmp_path: Path
) -> None:
    timetable = nightly()
    (tmp_path / "versions").write_text("a file where the folder of versions should be")
    clock.now += DAY
    timetable.look()
    last = dates.last()
    assert last is not None
    assert last.outcome.startswith("The night could not be started")
    timetable.look()
    assert book.nights() == []


def test_another_time_begins_with_its_next_hour_and_one_that_was_kept_goes_on(
    nightly: Make, dates: NightlyDates, clock: Clock
) -> None:
    nightly()
    clock.now += 5 * DAY
    nightly(time(5, 0))  # set at noon: 5 o'clock has passed
    assert dates.decided() == {date(2026, 6, 1), date(2026, 6, 6)}
    clock.now += DAY
    nightly(time(5, 0))
    assert date(2026, 6, 7) not in dates.decided()  # not set anew: this one is made up for


def test_another_time_on_a_date_that_had_its_night_keeps_what_became_of_it(
    nightly: Make, dates: NightlyDates, clock: Clock, database: FeedbackDatabase
) -> None:
    wanted = NightlyDate(date(2026, 6, 1), "02:30", "UTC", "", "2026-06-01", Outcome.TAKEN)
    assert dates.take(wanted)
    dates.tell(date(2026, 6, 1), Outcome.STARTED)
    nightly(time(5, 0))
    last = dates.last()
    assert last is not None
    assert (last.local_date, last.clock, last.outcome) == (date(2026, 6, 1), "05:00", Outcome.STARTED)


def test_the_last_night_is_the_newest_date_whenever_it_was_decided(
    nightly: Make, dates: NightlyDates, clock: Clock
) -> None:
    timetable = nightly(time(11, 0))
    for day in (2, 3):
        wanted = NightlyDate(date(2026, 6, day), "11:00", "UTC", "", f"2026-06-{day:02d}", Outcome.TAKEN)
        assert dates.take(wanted)
        dates.tell(date(2026, 6, day), Outcome.STARTED)
    clock.now = datetime(2026, 6, 3, 12, tzinfo=UTC)
    timetable.choose(Choice(time(23, 0)))  # its newest date is the second
    last = dates.last()
    assert last is not None
    assert last.local_date == date(2026, 6, 3)


def test_the_server_looks_by_itself_from_its_start_until_it_is_closed(
    nightly: Make, nights: Nights, clock: Clock
) -> None:
    timetable = nightly()
    clock.now += DAY
    with closing(timetable):
        timetable.start()
        wait_until(lambda: nights.status().phase is Phase.ENDED)
    nightly().close()  # one that was never started


def test_a_time_chosen_on_the_page_begins_with_its_next_hour(
    nightly: Make, nights: Nights, book: NightBook, clock: Clock
) -> None:
    timetable = nightly(None)
    assert (timetable.clock, timetable.told()) == (None, None)
    timetable.look()
    timetable.choose(Choice(time(11, 0)))  # it is noon
    timetable.look()
    assert nights.status().phase is Phase.IDLE
    told = timetable.told()
    assert told is not None
    assert told.next == datetime(2026, 6, 2, 11, tzinfo=UTC)
    clock.now = told.next
    timetable.look()
    wait_until(lambda: nights.status().phase is Phase.ENDED)
    assert len(book.nights()) == 1


def test_a_timetable_that_was_off_makes_up_for_nothing_when_it_is_on_again(
    nightly: Make, nights: Nights, book: NightBook, clock: Clock
) -> None:
    timetable = nightly()
    timetable.choose(Choice(None))
    clock.now += 5 * DAY
    timetable.look()
    assert timetable.told() is None
    timetable.choose(Choice(time(2, 30)))
    timetable.look()
    assert nights.status().phase is Phase.IDLE
    assert book.nights() == []
    timetable.choose(Choice(time(2, 30)))  # what holds already
    told = timetable.told()
    assert told is not None
    assert told.next == datetime(2026, 6, 7, 2, 30, tzinfo=UTC)


def test_what_the_page_chose_holds_whatever_servers_are_started_with_until_the_page_takes_it_back(
    nightly: Make, caplog: pytest.LogCaptureFixture
) -> None:
    nightly(time(2, 30)).choose(Choice(time(4, 0)))
    assert nightly(time(2, 30)).clock == time(4, 0)
    assert "at 04:00, as chosen on the School page; this server was started with 02:30" in caplog.text
    restarted = nightly(None)
    assert (restarted.clock, restarted.given, restarted.choice) == (time(4, 0), None, Choice(time(4, 0)))
    restarted.choose(None)
    assert (restarted.clock, restarted.choice) == (None, None)
    assert nightly(time(5, 0)).clock == time(5, 0)
    nightly(time(5, 0)).choose(Choice(None))
    assert nightly(time(5, 0)).clock is None


def test_two_servers_on_one_database_follow_what_either_page_chose(
    nightly: Make, nights: Nights, book: NightBook, clock: Clock
) -> None:
    one, other = nightly(time(11, 0)), nightly(None)
    other.choose(Choice(time(23, 0)))
    assert one.clock == time(23, 0)
    clock.now = datetime(2026, 6, 2, 12, tzinfo=UTC)
    for server in (one, other):
        server.look()
    other.choose(None)
    assert (one.clock, other.clock) == (time(11, 0), None)
    one.look()
    assert nights.status().phase is Phase.IDLE  # at 23:00 it was missed, and 11:00 did not hold then
    assert book.nights() == []
    clock.now = datetime(2026, 6, 3, 11, tzinfo=UTC)
    other.look()
    assert book.nights() == []
    one.look()
    wait_until(lambda: nights.status().phase is Phase.ENDED)


def test_a_server_started_without_a_time_in_between_makes_up_for_nothing_later(
    nightly: Make, nights: Nights, book: NightBook, clock: Clock
) -> None:
    nightly()
    nightly(None)
    clock.now += 5 * DAY
    again = nightly()
    again.look()
    assert nights.status().phase is Phase.IDLE
    assert book.nights() == []


def test_a_date_that_had_its_night_at_another_hour_is_not_told_as_the_next(nightly: Make, clock: Clock) -> None:
    timetable = nightly(time(12, 0))  # it is noon: today's date is off
    timetable.choose(Choice(time(20, 0)))
    told = timetable.told()
    assert told is not None
    assert told.next == datetime(2026, 6, 2, 20, tzinfo=UTC)
    clock.now = told.next - timedelta(minutes=1)
    told = timetable.told()
    assert told is not None
    assert told.next == datetime(2026, 6, 2, 20, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "choice"),
    [("02:30", Choice(time(2, 30))), (" 4:05 ", Choice(time(4, 5))), ("off", Choice(None)), ("given", None)],
)
def test_a_time_of_day_is_read_from_what_was_typed(text: str, choice: Choice | None) -> None:
    assert choice_read(text) == choice


@pytest.mark.parametrize("text", ["", " ", "25:00", "12:3", "noon", "02:30:15", "-1:00", "2 o'clock" * 50, "１２:３０"])
def test_what_is_no_time_of_day_is_refused_in_one_sentence(text: str) -> None:
    with pytest.raises(BadInput, match="give a time of day as 02:30, or choose none") as refused:
        choice_read(text)
    assert len(str(refused.value)) < 120


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_says_when_the_next_night_begins_and_what_became_of_the_last(language: Any) -> None:
    words = Words(language)
    following = datetime(2026, 6, 3, 2, 30, tzinfo=UTC)

    def line(outcome: str) -> str:
        return timetable_line(
            Told(following, "Europe/Berlin", NightlyDate(date(2026, 6, 2), "02:30", "UTC", "", "", outcome)), words
        )

    assert words("timetable.no_night") in timetable_line(None, words)
    for part in ("2026-06-03", "02:30", "Europe/Berlin"):
        assert part in line(Outcome.SET)
    assert "2026-06-02" not in line(Outcome.SET)
    assert "2026-06-02" in line(Outcome.STARTED)
    assert "&lt;no&gt; room" in line("<no> room")
