"""A night's place in the machine: behind the chat, for the processor and for memory."""

import os
from pathlib import Path

AUTOGROUP = Path("/proc/self/autogroup")
OOM_SCORE = Path("/proc/self/oom_score_adj")
SESSION_NICENESS = 10


def step_back() -> None:
    """The chat comes first. To be called before torch is loaded.

    - Idle torch threads must sleep instead of spinning on the cores that the chat needs (measured: with spinning, both
      programs slow each other down several times).
    - Linux weighs sessions against each other before it looks at the niceness inside one (autogroup): a night with a
      session of its own, as the chat starts it, got as much of a busy core as the chat, however nice it was. At 10 a
      session weighs 110 where others weigh 1,024: a tenth of what is wanted by both, and still enough for a night to
      go on beside other work. In a terminal's session, which is the person's, it stays as it was.
    - When memory runs out, Linux ends the night, which can be resumed, and not the chat.
    """
    os.nice(19)
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    if os.getsid(0) == os.getpid():
        _write(AUTOGROUP, str(SESSION_NICENESS))
    _write(OOM_SCORE, "1000")


def _write(path: Path, value: str) -> None:
    """Tell Linux; a machine without such a file, or a container that does not allow it, has no more to give."""
    try:
        path.write_text(value, encoding="ascii")
    except OSError:
        return
