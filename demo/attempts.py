"""How often somebody may try a password: a few times a minute per name and address, then they wait.

A try counts before it is checked and is taken back when it was right, so that many tries at once gain nothing.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterable

WINDOW_SECONDS = 60.0
MOST_REMEMBERED = 10_000
PER_NAME = 5
"""Tries per minute for one name from one address."""
PER_ADDRESS = 20
"""Tries per minute from one address, whatever the names."""


class Attempts:
    """Counts tries of the last minute, in memory: a restart forgets them."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._tries: dict[Hashable, deque[float]] = {}
        self._turn = threading.Lock()

    def take(self, name: str, address: str) -> float:
        """Count a try; 0 when it may be made, otherwise the seconds to wait (and nothing is counted)."""
        limits = ((name, address), PER_NAME), ((address,), PER_ADDRESS)
        with self._turn:
            now = self._clock()
            self._forget(now)
            wait = max(self._wait(key, limit, now) for key, limit in limits)
            if wait <= 0:
                for key, _ in limits:
                    self._tries.setdefault(key, deque()).append(now)
            return max(wait, 0.0)

    def forgive(self, name: str, address: str) -> None:
        """Take the newest try back: the password was right."""
        with self._turn:
            for key in ((name, address), (address,)):
                if tries := self._tries.get(key):
                    tries.pop()

    def _wait(self, key: Hashable, limit: int, now: float) -> float:
        tries = self._tries.get(key, ())
        return 0.0 if len(tries) < limit else tries[-limit] + WINDOW_SECONDS - now

    def _forget(self, now: float) -> None:
        """Drop what is older than the window; under a flood of names, all of the oldest."""
        for key in _old(self._tries.items(), now):
            del self._tries[key]
        while len(self._tries) > MOST_REMEMBERED:
            del self._tries[next(iter(self._tries))]


def _old(tries: Iterable[tuple[Hashable, deque[float]]], now: float) -> list[Hashable]:
    return [key for key, times in tries if not times or times[-1] <= now - WINDOW_SECONDS]
