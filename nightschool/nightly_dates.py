"""The local dates of which the timetable has decided. The only writer of that table.

One row a date, so that the database itself lets a date have one night at most: whatever the clock does, however often
the server starts, and however many servers watch one database.
"""

from datetime import date
from enum import StrEnum
from typing import Any

from nightschool.ids import utc_now
from nightschool.records import NightlyDate
from nightschool.schema import FeedbackDatabase


class Outcome(StrEnum):
    """What became of a date; any other text is the reason why no night was started."""

    SET = "set"  # the timetable was set on this date, after its hour
    TAKEN = "taken"  # a server is starting the night
    STARTED = "started"


class NightlyDates:
    """Dates with their nights. Raises `StoreError` when they cannot be written."""

    def __init__(self, database: FeedbackDatabase) -> None:
        self._database = database

    def decided(self) -> frozenset[date]:
        """The dates that need no night any more."""
        rows = self._database.read().query("SELECT local_date FROM nightly_dates")
        return frozenset(date.fromisoformat(row["local_date"]) for row in rows)

    def set(self, newest: NightlyDate) -> None:
        """Begin a timetable whose newest date has passed: unless it is the one kept before, that date is off."""
        with self._database.write() as db:
            kept = db.execute("SELECT clock FROM nightly_dates ORDER BY decided_at DESC LIMIT 1").fetchone()
            if kept is None or kept[0] != newest.clock:
                db.execute(
                    """INSERT INTO nightly_dates (local_date, clock, zone, due_at, decided_at, outcome)
                       VALUES (:local_date, :clock, :zone, :due_at, :decided_at, :outcome)
                       ON CONFLICT (local_date) DO UPDATE
                       SET clock = excluded.clock, decided_at = excluded.decided_at""",
                    _row(newest),
                )

    def off(self) -> None:
        """No timetable is kept: whichever begins next makes up for nothing."""
        with self._database.write() as db:
            db.execute(
                """UPDATE nightly_dates SET clock = ''
                   WHERE local_date = (SELECT local_date FROM nightly_dates ORDER BY decided_at DESC LIMIT 1)"""
            )

    def take(self, wanted: NightlyDate) -> bool:
        """Take a date, so that nobody else starts its night; False when somebody has."""
        with self._database.write() as db:
            cursor = db.execute(
                """INSERT INTO nightly_dates (local_date, clock, zone, due_at, decided_at, outcome)
                   VALUES (:local_date, :clock, :zone, :due_at, :decided_at, :outcome)
                   ON CONFLICT (local_date) DO NOTHING""",
                _row(wanted),
            )
            return int(cursor.rowcount) == 1

    def tell(self, local_date: date, outcome: str) -> None:
        """Record what became of a date that was taken."""
        with self._database.write() as db:
            db.table("nightly_dates").update(local_date.isoformat(), {"outcome": outcome, "decided_at": utc_now()})

    def last(self) -> NightlyDate | None:
        """The newest date on which a night was due, whatever became of it."""
        rows = self._database.read().query(
            "SELECT * FROM nightly_dates WHERE outcome <> ? ORDER BY local_date DESC LIMIT 1", [Outcome.SET]
        )
        row = next(rows, None)
        return None if row is None else NightlyDate(**row | {"local_date": date.fromisoformat(row["local_date"])})


def _row(wanted: NightlyDate) -> dict[str, Any]:
    return vars(wanted) | {"local_date": wanted.local_date.isoformat()}
