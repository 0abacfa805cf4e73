"""The nightly timetable: one night for each local date, at a time of day.

The decision is `due`, a pure function of the moment, the zone and the dates decided so far. Each date's moment is when
the clock shows the time first; where daylight saving leaves the time out, an hour later by the clock, as PEP 495 reads
it. A clock that is looked at twice a minute, not an alarm set ahead: a machine that slept or was off, a clock that was
put right and a zone that changed are all the same case, a newest moment that has passed and was not decided yet. So
at most one night catches up, however many were missed.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

import tzlocal

from nightschool.errors import BadInput
from nightschool.nightly_clock import Choice
from nightschool.records import NightlyDate

DAY = timedelta(days=1)
OFF = "off"
"""In place of a time of day: no night begins by itself."""
GIVEN = "given"
"""In place of a time of day: the one that the server was started with."""
CLOCK = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])")


@dataclass(frozen=True)
class Slot:
    """A local date and the moment (UTC) at which its night is due."""

    local_date: date
    moment: datetime


@dataclass(frozen=True)
class Told:
    """What the School page shows of the timetable."""

    next: datetime
    """In the timetable's zone."""
    zone: str
    last: NightlyDate | None


class Timetable(Protocol):
    """What the School page asks of the timetable."""

    @property
    def given(self) -> time | None:
        """The time that the server was started with."""

    @property
    def choice(self) -> Choice | None:
        """What the owner chose in its place."""

    def choose(self, choice: Choice | None) -> None:
        """From now on this holds; None: what the server was started with."""

    def told(self) -> Told | None:
        """When the next night begins; None where none begins by itself."""


def choice_read(text: str) -> Choice | None:
    """A time of day as 02:30, `OFF` or `GIVEN`. Raises `BadInput`."""
    said = text.strip()
    if said in {OFF, GIVEN}:
        return Choice(None) if said == OFF else None
    if (found := CLOCK.fullmatch(said)) is None:
        raise BadInput(f"The time was given as {said[:20]!r}; give a time of day as 02:30, or choose none.")
    return Choice(time(int(found[1]), int(found[2])))


def slot_on(local_date: date, clock: time, zone: ZoneInfo) -> Slot:
    """When the night of a date is due."""
    return Slot(local_date, datetime.combine(local_date, clock, zone).astimezone(UTC))


def newest_slot(now: datetime, clock: time, zone: ZoneInfo) -> Slot:
    """The last slot that is not in the future."""
    day = now.astimezone(zone).date()
    slot = slot_on(day, clock, zone)
    while slot.moment > now:
        day -= DAY
        slot = slot_on(day, clock, zone)
    return slot


def next_slot(now: datetime, clock: time, zone: ZoneInfo) -> Slot:
    """The first slot in the future; of two dates with one moment (a zone that left a date out) the later."""
    today = now.astimezone(zone).date()
    slots = [slot_on(today + days * DAY, clock, zone) for days in range(-1, 4)]
    first = min(slot.moment for slot in slots if slot.moment > now)
    return [slot for slot in slots if slot.moment == first][-1]


def due(now: datetime, clock: time, zone: ZoneInfo, decided: Collection[date]) -> Slot | None:
    """The slot whose night is to be started now. None: decided already, or from before the timetable was set."""
    slot = newest_slot(now, clock, zone)
    return slot if decided and slot.local_date not in decided and slot.local_date > min(decided) else None


def zone_named(name: str) -> ZoneInfo:
    """A zone by its name, the machine's own for none. Raises `BadInput` where the machine does not tell it."""
    if name:
        return ZoneInfo(name)
    try:
        return ZoneInfo(str(tzlocal.reload_localzone()))
    except (LookupError, ValueError, OSError) as error:
        raise BadInput(
            f"The time zone of this machine cannot be told ({error}); name one with --nightly-zone, as Europe/Berlin."
        ) from error
