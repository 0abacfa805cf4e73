"""The nightly time that the owner chose on the School page. The only writer of that table.

It stands in for the time that the server was started with (`--nightly`, environment or nightschool.toml) for as long as
that one stays as it was: of the page and the command, whichever changed last holds.
"""

from datetime import time

from nightschool.ids import utc_now
from nightschool.schema import FeedbackDatabase


class NightlyClock:
    """One row at most. Raises `StoreError` when it cannot be written."""

    def __init__(self, database: FeedbackDatabase) -> None:
        self._database = database

    def begin(self, given: time | None) -> None:
        """A server starts with `given`: a choice that stood in for another time is over for good."""
        with self._database.write() as db:
            db.execute("DELETE FROM nightly_clock WHERE instead_of IS NOT ?", [_text(given)])

    def in_force(self, given: time | None) -> time | None:
        """The time that holds where the server was started with `given`; None: no night begins by itself."""
        row = self._database.read().execute("SELECT clock, instead_of FROM nightly_clock").fetchone()
        if row is None or row[1] != _text(given):
            return given
        return None if row[0] is None else time.fromisoformat(row[0])

    def choose(self, clock: time | None, given: time | None) -> None:
        """Let `clock` stand in for `given`."""
        with self._database.write() as db:
            db.execute(
                """INSERT INTO nightly_clock (id, clock, instead_of, chosen_at) VALUES (1, ?, ?, ?)
                   ON CONFLICT (id) DO UPDATE SET clock = excluded.clock, instead_of = excluded.instead_of,
                   chosen_at = excluded.chosen_at""",
                [_text(clock), _text(given), utc_now()],
            )


def _text(clock: time | None) -> str | None:
    return None if clock is None else clock.strftime("%H:%M")
