"""Sessions that their people ended by logging out. The cookie of a session is signed and needs no row; its end does."""

from datetime import UTC, datetime, timedelta

from nightschool.ids import utc_now
from nightschool.schema import FeedbackDatabase


class EndedSessions:
    """The only writer of `ended_sessions`. Rows go once the cookie would not be accepted any more anyway."""

    def __init__(self, database: FeedbackDatabase, *, kept_seconds: int) -> None:
        self._database = database
        self._kept = timedelta(seconds=kept_seconds)

    def end(self, session_id: str) -> None:
        """End a session for good; returns once that is on disk."""
        oldest = (datetime.now(UTC) - self._kept).isoformat(timespec="microseconds")
        with self._database.write() as db:
            db.table("ended_sessions").insert({"id": session_id, "ended_at": utc_now()}, ignore=True)
            db.execute("DELETE FROM ended_sessions WHERE ended_at < ?", [oldest])

    def has(self, session_id: str) -> bool:
        """Whether a session was ended."""
        row = self._database.read().execute("SELECT 1 FROM ended_sessions WHERE id = ?", [session_id]).fetchone()
        return row is not None
