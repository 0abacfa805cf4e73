"""What a running night tells: its stages, progress, curves and log, to the database and to whoever watches."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from nightschool.records import NightState
from nightschool.registry import NightBook


class NightLog:
    """Records one night as it goes. `seconds` holds the wall time of each finished stage, by name.

    For a night that is resumed, `earlier` are the seconds that its stages took before it was interrupted.
    """

    def __init__(
        self, book: NightBook, night_id: str, echo: Callable[[str], None], earlier: dict[str, float] | None = None
    ) -> None:
        self.seconds: dict[str, float] = dict(earlier or {})
        self._book, self._night_id, self._echo = book, night_id, echo
        self._position = -1
        self._stage = ""

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """A named stage: a row while it runs, its seconds when it ends; `failed` when it raises, or `interrupted`."""
        self._position += 1
        self._stage = name
        self._book.start_stage(self._night_id, self._position, name)
        self._echo(f"[{name}]")
        began = time.monotonic()
        try:
            yield
        except KeyboardInterrupt:
            self._book.end_stage(self._night_id, self._position, NightState.INTERRUPTED, time.monotonic() - began, "")
            raise
        except BaseException as error:
            detail = str(error) or type(error).__name__
            self._book.end_stage(self._night_id, self._position, NightState.FAILED, time.monotonic() - began, detail)
            raise
        self.seconds[name] = round(self.seconds.get(name, 0.0) + time.monotonic() - began, 2)
        self._book.end_stage(self._night_id, self._position, NightState.DONE, self.seconds[name], "")

    def say(self, text: str) -> None:
        """A line of the log."""
        self._book.log(self._night_id, text)
        self._echo(f"  {text}")

    def progress(self, fraction: float, detail: str) -> None:
        """How far the current stage is, from 0 to 1."""
        self._book.stage_progress(self._night_id, self._position, fraction, detail)

    def curve(self, step: int, figures: dict[str, float]) -> None:
        """One point of the current stage's curves."""
        self._book.metrics(self._night_id, self._stage, step, figures)
