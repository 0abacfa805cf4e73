"""One night at a time: a file lock that the kernel frees when its process dies."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from nightschool.errors import NightAlreadyRunning, StoreError


@contextmanager
def night_lock(db: Path) -> Iterator[None]:
    """Hold the night's lock of a database. Raises `NightAlreadyRunning` when another process holds it."""
    # One second, not none: the chat's School page takes this lock for a moment to see whether a night is alive.
    lock = FileLock(f"{db.resolve()}.night.lock", timeout=1, fallback_to_soft=False)
    try:
        lock.acquire()
    except OSError as error:
        if not isinstance(error, Timeout):
            raise StoreError(
                f"The night's lock beside {db} cannot be taken ({error}); make the folder and its lock files writable."
            ) from error
        raise NightAlreadyRunning(
            f"Another night is running on {db}; wait until it ends (`python -m training status --db {db}` shows how "
            "far it is)."
        ) from error
    try:
        yield
    finally:
        lock.release()
