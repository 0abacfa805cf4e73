"""Starts the nights of the timetable for as long as the server runs: APScheduler looks at the clock twice a minute."""

import logging
from collections.abc import Callable
from datetime import UTC, datetime, time
from zoneinfo import ZoneInfo

from apscheduler.schedulers.background import BackgroundScheduler

from demo.nights import Nights
from demo.timetable import Slot, Told, due, newest_slot, next_slot, zone_named
from nightschool.errors import NightSchoolError
from nightschool.ids import utc_now
from nightschool.nightly_clock import Choice, NightlyClock
from nightschool.nightly_dates import NightlyDates, Outcome
from nightschool.records import NightlyDate

LOOK_SECONDS = 30

log = logging.getLogger(__name__)


class Nightly:
    """Starts a night at a time of day for as long as the server runs. Raises `BadInput` for a machine without a zone.

    `clock` is the time that the server was started with; what the owner chooses on the School page of any server on
    this database holds in its place. A server that is killed between taking a date and starting its night leaves that
    date without one.
    """

    def __init__(
        self,
        nights: Nights,
        dates: NightlyDates,
        clocks: NightlyClock,
        *,
        clock: time | None,
        zone_name: str,
        effort: str,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._nights, self._dates, self._clocks = nights, dates, clocks
        self._given, self._zone_name, self._effort, self._now = clock, zone_name, effort, now
        self._followed = self._begin(self.clock)
        if (choice := self.choice) is not None and choice.clock != clock:
            log.warning(
                "Nights begin by themselves at %s, as chosen on the School page; this server was started with %s.",
                _told(choice.clock), _told(clock),
            )  # fmt: skip
        self._scheduler = BackgroundScheduler(timezone=UTC)

    @property
    def given(self) -> time | None:
        """The time that the server was started with."""
        return self._given

    @property
    def choice(self) -> Choice | None:
        """What the owner chose in its place."""
        return self._clocks.chosen()

    @property
    def clock(self) -> time | None:
        """The time that holds now; None: no night begins by itself."""
        choice = self.choice
        return self._given if choice is None else choice.clock

    def choose(self, choice: Choice | None) -> None:
        """From now on this holds; None: what the server was started with.

        Raises `BadInput` for a machine without a zone. Choosing the time that holds already changes nothing about its
        nights. A night whose hour has passed today begins tomorrow.
        """
        if (self._given if choice is None else choice.clock) is not None:
            zone_named(self._zone_name)
        self._clocks.choose(choice)
        self._follow()

    def _follow(self) -> time | None:
        """The time that holds; one that did not at the last look begins with its next hour."""
        if (clock := self.clock) != self._followed:
            self._followed = self._begin(clock)
        return clock

    def _begin(self, clock: time | None) -> time | None:
        """The newest date of this timetable has passed, unless it was kept until now."""
        if clock is None:
            self._dates.off()
        else:
            zone = zone_named(self._zone_name)
            self._dates.set(_dated(newest_slot(self._now(), clock, zone), clock, zone, Outcome.SET))
        return clock

    def start(self) -> None:
        """Look at the clock now, and again and again until `close`."""
        self._scheduler.add_job(
            self.look,
            "interval",
            seconds=LOOK_SECONDS,
            next_run_time=self._now(),
            coalesce=True,
            max_instances=1,
            misfire_grace_time=None,  # a look that was slept through is made up for at once
        )
        self._scheduler.start()

    def look(self) -> None:
        """Start the night that is due, if one is, and record what became of it."""
        clock = self._follow()
        if clock is None:
            return
        zone = zone_named(self._zone_name)
        slot = due(self._now(), clock, zone, self._dates.decided())
        if slot is None or not self._dates.take(_dated(slot, clock, zone, Outcome.TAKEN)):
            return
        outcome: str = Outcome.STARTED
        try:
            self._nights.start(self._effort, practice=False)
        except NightSchoolError as error:
            outcome = str(error)
            log.warning("The night of %s was not started: %s", slot.local_date, error)
        self._dates.tell(slot.local_date, outcome)

    def told(self) -> Told | None:
        """When the next night begins, and what became of the last date; None where none begins by itself."""
        clock = self.clock
        if clock is None:
            return None
        zone = zone_named(self._zone_name)
        following = next_slot(self._now(), clock, zone)
        if following.local_date in self._dates.decided():  # it had its night at another hour
            following = next_slot(following.moment, clock, zone)
        return Told(following.moment.astimezone(zone), zone.key, self._dates.last())

    def close(self) -> None:
        """Start no more nights; one that runs goes on."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=True)


def _told(clock: time | None) -> str:
    return "no time" if clock is None else clock.strftime("%H:%M")


def _dated(slot: Slot, clock: time, zone: ZoneInfo, outcome: str) -> NightlyDate:
    return NightlyDate(slot.local_date, clock.strftime("%H:%M"), zone.key, slot.moment.isoformat(), utc_now(), outcome)
