"""`feedback.db`: one way to open it, one way to read, one way to write.

What it guarantees
- A write is acknowledged only after its commit is on disk (WAL, synchronous=FULL).
- All writes and checkpoints of all processes go one after the other under a file lock beside the database, and each
  runs in `BEGIN IMMEDIATE`. Without the lock, `sqlite_utils.Database.atomic()` (a deferred BEGIN) fails at once with
  "database is locked" under load, and SQLite before 3.51.3 can corrupt a WAL that is written and reset concurrently.
- Readers are read-only connections, one per thread; a connection is never shared by threads that are at work.
- Migrations (`nightschool/migrations.py`) are applied each in a transaction; several processes may start at once.
"""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlite_utils
from filelock import FileLock
from sqlite_utils.migrations import Migrations

from nightschool.errors import NewerSchema, StoreError
from nightschool.migrations import migrations

BUSY_SECONDS = 30.0


class FeedbackDatabase:
    """`feedback.db` opened by one process: `read()` for this thread's reader, `write()` for a write transaction.

    Raises `NewerSchema` when a newer NightSchool wrote the file (which stays untouched), `StoreError` when it cannot
    be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self._readers = threading.local()
        self._writer_turn = threading.Lock()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file_lock = FileLock(
                f"{self.path}.lock",
                timeout=BUSY_SECONDS,
                thread_local=False,
                poll_interval=0.005,
                fallback_to_soft=False,
            )
            self._refuse_newer_schema()
            self._writer = self._open_writer()
        except (sqlite3.Error, OSError) as error:
            raise StoreError(
                f"The database {self.path} could not be opened ({error}); give a writable SQLite file with --db, "
                "or move this one away to start afresh."
            ) from error

    def _refuse_newer_schema(self) -> None:
        if not self.path.exists() or self.path.stat().st_size == 0:
            return
        with sqlite3.connect(f"{self.path.as_uri()}?mode=ro", uri=True, timeout=BUSY_SECONDS) as connection:
            has_table = connection.execute(
                "SELECT 1 FROM sqlite_master WHERE name = ?", [Migrations.migrations_table]
            ).fetchone()
            applied = (
                {
                    row[0]
                    for row in connection.execute(
                        "SELECT name FROM _sqlite_migrations WHERE migration_set = ?", [migrations.name]
                    )
                }
                if has_table
                else set()
            )
        connection.close()
        unknown = sorted(applied - {migration.name for migration in migrations._migrations})
        if unknown:
            raise NewerSchema(
                f"The database {self.path} was written by a newer NightSchool (it has {', '.join(unknown)}, which this "
                "version does not know); update NightSchool, or give another file with --db. Nothing was changed."
            )

    def _open_writer(self) -> sqlite_utils.Database:
        with self._file_lock:
            connection = sqlite3.connect(self.path, timeout=BUSY_SECONDS, check_same_thread=False)
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute("PRAGMA foreign_keys=ON")
            connection.execute("PRAGMA secure_delete=ON")
            database = sqlite_utils.Database(connection, strict=True)
            migrations.apply(database)
        return database

    @contextmanager
    def write(self) -> Iterator[sqlite_utils.Database]:
        """A write transaction: committed and on disk when the block ends, undone whole when it raises.

        Do not nest: the second `write()` of a thread would wait for itself.
        """
        with self._writer_turn, self._file_turn():
            connection = self._writer.conn
            try:
                connection.execute("BEGIN IMMEDIATE")
                yield self._writer
                connection.execute("COMMIT")
            except sqlite3.OperationalError as error:
                connection.rollback()
                raise StoreError(
                    f"Not saved: the database {self.path} refused the write ({error}); free disk space or make the "
                    "file writable, then try again."
                ) from error
            except BaseException:
                connection.rollback()
                raise

    @contextmanager
    def _file_turn(self) -> Iterator[None]:
        try:
            self._file_lock.acquire()
        except OSError as error:  # a timeout is one too
            raise StoreError(
                f"Not saved: the lock {self._file_lock.lock_file} was not free within {BUSY_SECONDS:.0f} seconds "
                f"({error}); see which other program holds it, then try again."
            ) from error
        try:
            yield
        finally:
            self._file_lock.release()

    def read(self) -> sqlite_utils.Database:
        """This thread's read-only view; each query sees all commits made before it."""
        reader: sqlite_utils.Database | None = getattr(self._readers, "database", None)
        if reader is None:
            connection = sqlite3.connect(f"{self.path.as_uri()}?mode=ro", uri=True, timeout=BUSY_SECONDS)
            reader = self._readers.database = sqlite_utils.Database(connection)
        return reader

    @contextmanager
    def snapshot(self) -> Iterator[sqlite_utils.Database]:
        """One read transaction: every query inside sees the same moment, whatever is written meanwhile."""
        database = self.read()
        database.conn.execute("BEGIN")
        try:
            yield database
        finally:
            database.conn.rollback()

    def scrub(self) -> bool:
        """Bring everything into the database's one file and empty the WAL; False while a reader still needs it.

        What was deleted is overwritten in the file (secure_delete), but lies in the WAL until then. Never VACUUM
        instead: it renumbers rows, and full-text search finds rows by their numbers.
        """
        with self._writer_turn, self._file_turn():
            busy, _, _ = self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        return not busy

    def close(self) -> None:
        """Bring everything into the database's one file, then close the writer and this thread's reader.

        Readers of other threads may still be open; without this their presence would leave the newest rows in the WAL.
        """
        with self._writer_turn, self._file_turn():
            self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._writer.conn.close()
        reader: sqlite_utils.Database | None = getattr(self._readers, "database", None)
        if reader is not None:
            reader.conn.close()
            del self._readers.database
