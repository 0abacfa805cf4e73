"""How a night is asked to stop: Ctrl-C, SIGINT or SIGTERM. It then closes its row and can be resumed."""

import signal
from types import FrameType

ASKED_BY = (signal.SIGINT, signal.SIGTERM)


def stop_when_asked() -> None:
    """From now on each of these signals ends the night as `KeyboardInterrupt`.

    Also where the program inherited that SIGINT is ignored, as what a shell started in the background does.
    """
    for number in ASKED_BY:
        signal.signal(number, _stop)


def _stop(number: int, frame: FrameType | None) -> None:
    for each in ASKED_BY:  # asked once is enough: a second one must not cut off the writing of the row
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt
