"""A night steps back behind the chat: what it sets on itself, seen from outside."""

import subprocess
import sys
from pathlib import Path

import pytest

SHOW = """
import os
from training.priority import step_back
step_back()
print(os.nice(0), os.environ["OMP_WAIT_POLICY"])
print(open("/proc/self/autogroup").read() if os.path.exists("/proc/self/autogroup") else "")
print(open("/proc/self/oom_score_adj").read())
"""
linux = pytest.mark.skipif(not Path("/proc/self/oom_score_adj").exists(), reason="only Linux has these files")


def stepped_back(*, own_session: bool) -> list[str]:
    """What a process says of itself after it stepped back: (niceness, waiting), session, memory."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SHOW],
        capture_output=True,
        text=True,
        check=True,
        start_new_session=own_session,
    )
    return [line for line in done.stdout.splitlines() if line]


@linux
def test_a_night_with_a_session_of_its_own_gives_way_as_a_session_too() -> None:
    first, *rest = stepped_back(own_session=True)
    assert first == "19 passive"
    assert rest[-1] == "1000"
    if Path("/proc/self/autogroup").exists():
        assert rest[0].endswith("nice 10")


@linux
def test_in_a_persons_terminal_the_session_stays_as_it_was() -> None:
    before = Path("/proc/self/autogroup").read_text() if Path("/proc/self/autogroup").exists() else ""
    first, *rest = stepped_back(own_session=False)
    assert first == "19 passive"
    if before:
        assert rest[0] == before.strip()
