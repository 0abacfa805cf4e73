"""One night at a time: a file lock that the kernel frees when its process dies."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from nightschool.errors import NightAlreadyRunning


@contextmanager
def night_lock(db: Path) -> Iterator[None]:
    """Hold the night's lock of a database. Raises `NightAlreadyRunning` at once when another process holds it."""
    lock = FileLock(f"{db.resolve()}.night.lock", timeout=0, fallback_to_soft=False)
    try:
        lock.acquire()
    except Timeout as error:
        raise NightAlreadyRunning(
            f"Another night is running on {db}; wait until it ends (`python -m training status --db {db}` shows how "
            "far it is)."
        ) from error
    try:
        yield
    finally:
        lock.release()
