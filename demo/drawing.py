"""Several replies written to one prompt, a step of each in turn: one pace, so that speed does not tell who writes."""

import inspect
import logging
import threading
from collections.abc import Sequence

from demo.writing import Pen
from nightschool.errors import NightSchoolError

log = logging.getLogger(__name__)


class Drawing:
    """Writes with all pens until each has ended; one that breaks does not stop the others. Read `texts` at any time."""

    def __init__(self, pens: Sequence[Pen]) -> None:
        self._pens = tuple(pens)
        self._texts = [""] * len(self._pens)
        self.is_stopped = False
        self.over = threading.Event()

    @property
    def texts(self) -> tuple[str, ...]:
        """What each pen has written so far."""
        return tuple(self._texts)

    def run(self) -> None:
        """Write. Returns when every reply's row is closed; whoever waits for `over` is told, whatever happens."""
        streams = {place: pen.texts() for place, pen in enumerate(self._pens)}
        try:
            while streams and not self.is_stopped:
                for place, stream in list(streams.items()):
                    try:
                        self._texts[place] = next(stream)
                    except StopIteration:
                        del streams[place]
                    except NightSchoolError as error:
                        log.warning("Reply %s of a ranking broke: %s", self._pens[place].reply_id, error)
                        del streams[place]
        finally:
            for stream in streams.values():
                if inspect.getgeneratorstate(stream) == inspect.GEN_CREATED:
                    next(stream)  # what was not begun would not be closed either: its row would be written for ever
                stream.close()
            self.over.set()

    def stop(self) -> None:
        """End within one step; what is written so far is kept."""
        self.is_stopped = True
