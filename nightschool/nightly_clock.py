"""The nightly time that the owner chose on the School page. The only writer of that table.

While there is one it holds for every server on this database, in place of the time that each was started with
(`--nightly`, environment or nightschool.toml).
"""

from dataclasses import dataclass
from datetime import time

from nightschool.ids import utc_now
from nightschool.schema import FeedbackDatabase


@dataclass(frozen=True)
class Choice:
    """What the owner chose: a time of day, or (None) that no night begins by itself."""

    clock: time | None


class NightlyClock:
    """One row at most. Raises `StoreError` when it cannot be written."""

    def __init__(self, database: FeedbackDatabase) -> None:
        self._database = database

    def chosen(self) -> Choice | None:
        """The owner's choice; None: each server follows the time it was started with."""
        row = self._database.read().execute("SELECT clock FROM nightly_clock").fetchone()
        if row is None:
            return None
        return Choice(None if row[0] is None else time.fromisoformat(row[0]))

    def choose(self, choice: Choice | None) -> None:
        """Keep a choice, or (None) take the last one back."""
        with self._database.write() as db:
            if choice is None:
                db.execute("DELETE FROM nightly_clock")
                return
            db.execute(
                """INSERT INTO nightly_clock (id, clock, chosen_at) VALUES (1, ?, ?)
                   ON CONFLICT (id) DO UPDATE SET clock = excluded.clock, chosen_at = excluded.chosen_at""",
                [choice.clock and choice.clock.strftime("%H:%M"), utc_now()],
            )
