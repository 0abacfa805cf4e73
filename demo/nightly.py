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
from nightschool.nightly_dates import NightlyDates, Outcome
from nightschool.records import NightlyDate

LOOK_SECONDS = 30

log = logging.getLogger(__name__)


class Nightly:
    """Starts a night at a time of day for as long as the server runs. Raises `BadInput` for a machine without a zone.

    A server that is killed between taking a date and starting its night leaves that date without one.
    """

    def __init__(
        self,
        nights: Nights,
        dates: NightlyDates,
        *,
        clock: time,
        zone_name: str,
        effort: str,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._nights, self._dates = nights, dates
        self._clock, self._zone_name, self._effort, self._now = clock, zone_name, effort, now
        zone = zone_named(zone_name)
        dates.set(self._dated(newest_slot(now(), clock, zone), zone, Outcome.SET))
        self._scheduler = BackgroundScheduler(timezone=UTC)

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
        zone = zone_named(self._zone_name)
        slot = due(self._now(), self._clock, zone, self._dates.decided())
        if slot is None or not self._dates.take(self._dated(slot, zone, Outcome.TAKEN)):
            return
        outcome: str = Outcome.STARTED
        try:
            self._nights.start(self._effort, practice=False)
        except NightSchoolError as error:
            outcome = str(error)
            log.warning("The night of %s was not started: %s", slot.local_date, error)
        self._dates.tell(slot.local_date, outcome)

    def told(self) -> Told:
        """When the next night begins, and what became of the last date."""
        zone = zone_named(self._zone_name)
        following = next_slot(self._now(), self._clock, zone)
        return Told(following.moment.astimezone(zone), zone.key, self._dates.last())

    def close(self) -> None:
        """Start no more nights; one that runs goes on."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=True)

    def _dated(self, slot: Slot, zone: ZoneInfo, outcome: str) -> NightlyDate:
        clock = self._clock.strftime("%H:%M")
        return NightlyDate(slot.local_date, clock, zone.key, slot.moment.isoformat(), utc_now(), outcome)
