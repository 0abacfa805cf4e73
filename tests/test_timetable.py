"""The timetable: one night for each local date, whatever the clock does. The clock of these tests is virtual."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demo.timetable import due, newest_slot, next_slot, slot_on, zone_named
from nightschool.errors import BadInput

# The first of two years for each zone, with something odd in them.
ZONES = {
    "America/New_York": 2026,
    "Europe/Berlin": 2026,
    "Australia/Lord_Howe": 2026,  # daylight saving of half an hour
    "America/Santiago": 2026,  # changes at midnight
    "Africa/Cairo": 2023,  # daylight saving came back
    "America/Havana": 2026,  # the hour from 0:00 comes twice
    "Pacific/Apia": 2011,  # 30 December 2011 was left out
    "America/St_Johns": 2010,  # changed at one minute past midnight
    "Africa/Casablanca": 2026,  # daylight saving stops for Ramadan
    "Asia/Kathmandu": 2026,  # five hours and three quarters, no daylight saving
}
CLOCKS = [time(2, 30), time(0, 0), time(23, 30), time(3, 0)]
STEP = timedelta(minutes=15)
HOUR = timedelta(hours=1)


def nights(moments: Iterable[datetime], clock: time, zone: ZoneInfo) -> list[tuple[date, datetime]]:
    """(date, moment) of each night that looks at these moments start; the timetable is set at the first of them."""
    decided: set[date] = set()
    started = []
    for now in moments:
        if not decided:
            decided.add(newest_slot(now, clock, zone).local_date)
        slot = due(now, clock, zone, decided)
        if slot is not None:
            decided.add(slot.local_date)
            started.append((slot.local_date, now))
    return started


def quarters(first_year: int, years: int = 2) -> list[datetime]:
    begin, end = datetime(first_year, 1, 1, 12, tzinfo=UTC), datetime(first_year + years, 1, 1, 12, tzinfo=UTC)
    return [begin + number * STEP for number in range((end - begin) // STEP)]


@pytest.mark.parametrize("clock", CLOCKS, ids=str)
@pytest.mark.parametrize("name", ZONES)
def test_in_two_years_every_local_date_has_one_night_at_its_time(name: str, clock: time) -> None:
    zone = ZoneInfo(name)
    moments = quarters(ZONES[name])
    started = nights(moments, clock, zone)
    dates = [day for day, _ in started]
    whole_days = sorted({moment.astimezone(zone).date() for moment in moments})[1:-1]
    assert [day for day in dates if day in whole_days[1:]] == whole_days[1:]
    assert len(set(dates)) == len(dates)
    for day, moment in started:
        late = moment.astimezone(zone).replace(tzinfo=None) - datetime.combine(day, clock)
        # On time, but on a day whose clock leaves that time out: then up to an hour later.
        assert timedelta(0) <= late <= HOUR, (day, moment)
        if late:
            local = datetime.combine(day, clock, zone)
            assert local.astimezone(UTC).astimezone(zone).replace(tzinfo=None) != local.replace(tzinfo=None)


@pytest.mark.parametrize(
    ("day", "moment"),
    [
        (date(2026, 3, 8), "2026-03-08T07:30"),  # 2:30 was left out: it is 3:30, the hour after 1:30
        (date(2026, 11, 1), "2026-11-01T07:30"),  # 2:30 comes once, 1:30 twice
        (date(2026, 7, 1), "2026-07-01T06:30"),
        (date(2026, 1, 1), "2026-01-01T07:30"),
    ],
)
def test_days_in_new_york_worked_by_hand(day: date, moment: str) -> None:
    at = datetime.fromisoformat(moment).replace(tzinfo=UTC)
    zone = ZoneInfo("America/New_York")
    assert slot_on(day, time(2, 30), zone).moment == at
    around = [at + minutes * timedelta(minutes=1) for minutes in range(-180, 181)]
    assert nights(around, time(2, 30), zone) == [(day, at)]


def test_a_time_that_comes_twice_counts_once_the_first_time() -> None:
    zone = ZoneInfo("America/New_York")
    minutes = [datetime(2026, 11, 1, 3, tzinfo=UTC) + number * timedelta(minutes=1) for number in range(600)]
    assert nights(minutes, time(1, 30), zone) == [(date(2026, 11, 1), datetime(2026, 11, 1, 5, 30, tzinfo=UTC))]


def test_after_a_week_asleep_one_night_catches_up_and_the_next_is_on_time() -> None:
    zone = ZoneInfo("Europe/Berlin")
    awake = datetime(2026, 6, 1, 10, tzinfo=UTC)
    moments = [datetime(2026, 5, 24, 10, tzinfo=UTC)] + [awake + number * STEP for number in range(96)]
    assert nights(moments, time(2, 30), zone) == [
        (date(2026, 6, 1), awake),
        (date(2026, 6, 2), datetime(2026, 6, 2, 0, 30, tzinfo=UTC)),
    ]


def test_a_machine_that_is_never_on_at_night_still_has_a_night_every_day() -> None:
    zone = ZoneInfo("Asia/Shanghai")
    office_hours = [moment for moment in quarters(2026, 1) if 9 <= moment.astimezone(zone).hour < 17]
    started = nights(office_hours, time(2, 30), zone)
    assert len(started) == len({moment.astimezone(zone).date() for moment in office_hours}) - 1
    assert {moment.astimezone(zone).time() for _, moment in started} == {time(9)}


def test_the_timetable_waits_for_its_first_hour_after_it_was_set() -> None:
    now = datetime(2026, 6, 1, 10, tzinfo=UTC)
    assert due(now, time(2, 30), ZoneInfo("UTC"), []) is None
    assert nights([now], time(2, 30), ZoneInfo("UTC")) == []
    assert nights([now, now + timedelta(hours=20)], time(2, 30), ZoneInfo("UTC")) != []


def test_a_clock_that_is_put_back_starts_nothing_again_and_nothing_from_before_the_timetable() -> None:
    zone, clock = ZoneInfo("UTC"), time(2, 30)
    decided = {date(2026, 6, day) for day in (1, 2, 3)}
    for wrong in (datetime(2026, 6, 2, 3, tzinfo=UTC), datetime(1970, 1, 1, 3, tzinfo=UTC)):
        assert due(wrong, clock, zone, decided) is None
    # A clock that was a year ahead for a moment took a date a year ahead: that stops none of the dates before.
    assert due(datetime(2026, 6, 4, 3, tzinfo=UTC), clock, zone, {*decided, date(2027, 6, 3)}) is not None


@given(
    name=st.sampled_from(sorted(ZONES)),
    clock=st.sampled_from(CLOCKS),
    gaps=st.lists(st.integers(1, 60 * 24 * 9), min_size=1, max_size=60),
)
def test_however_a_machine_sleeps_no_date_has_two_nights_and_each_waking_at_most_one(
    name: str, clock: time, gaps: list[int]
) -> None:
    zone = ZoneInfo(name)
    moments = [datetime(ZONES[name], 1, 2, tzinfo=UTC)]
    for gap in gaps:
        moments.append(moments[-1] + timedelta(minutes=gap))
    started = nights(moments, clock, zone)
    assert len({day for day, _ in started}) == len(started)
    assert len({moment for _, moment in started}) == len(started)
    # Whoever looks once a local day or more often misses no date; whoever sleeps longer makes up for the newest.
    for day, moment in started:
        assert day == newest_slot(moment, clock, zone).local_date


@given(
    name=st.sampled_from(sorted(ZONES)),
    clock=st.sampled_from(CLOCKS),
    minute=st.integers(0, 2 * 365 * 24 * 60),
)
def test_the_slot_that_is_foretold_is_the_one_that_comes(name: str, clock: time, minute: int) -> None:
    zone = ZoneInfo(name)
    now = datetime(ZONES[name], 1, 2, tzinfo=UTC) + timedelta(minutes=minute)
    foretold = next_slot(now, clock, zone)
    assert foretold.moment > now
    assert newest_slot(foretold.moment, clock, zone) == foretold
    assert newest_slot(foretold.moment - timedelta(seconds=1), clock, zone).moment <= now


def test_a_machine_that_does_not_tell_its_zone_is_asked_to_be_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Middle/Earth")
    with pytest.raises(BadInput, match="name one with --nightly-zone"):
        zone_named("")
    monkeypatch.setenv("TZ", "Asia/Kathmandu")
    assert zone_named("") == ZoneInfo("Asia/Kathmandu")
    assert zone_named("Europe/Berlin") == ZoneInfo("Europe/Berlin")
