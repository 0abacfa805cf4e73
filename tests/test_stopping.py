"""A night that is asked to stop: once is heard, whoever asks; what it writes then is not cut off by asking again."""

import signal
import subprocess
import sys

import pytest

LISTENS = """
import signal, time
from training.stopping import stop_when_asked
signal.signal(signal.SIGINT, signal.SIG_IGN)  # as a shell leaves it to what it starts in the background
stop_when_asked()
try:
    print("ready", flush=True)
    time.sleep(60)
except KeyboardInterrupt:
    print("asked", flush=True)
    time.sleep(0.5)
    print("written", flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_a_signal_is_heard_once_and_what_follows_is_not_cut_off(number: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", LISTENS], stdout=subprocess.PIPE, text=True) as night:
        assert night.stdout is not None
        assert night.stdout.readline() == "ready\n"
        night.send_signal(number)
        assert night.stdout.readline() == "asked\n"
        night.send_signal(signal.SIGINT)
        night.send_signal(signal.SIGTERM)
        assert night.stdout.readline() == "written\n"
        assert night.wait(10) == 0
