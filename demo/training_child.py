"""Asks the training side a question: a child process that prints one JSON object, because only that side has tensors.

It runs behind the chat, and is ended at its time limit, and when the server that asked stops.
"""

import json
import os
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from demo.nights import REPOSITORY
from nightschool.errors import StoreError

PATIENCE = 120.0
"""Seconds a child may take."""
NICENESS = 10
"""Behind the chat, before a night: a person waits for it."""


_at_work: set[subprocess.Popen[str]] = set()
_turn = threading.Lock()


@dataclass(frozen=True)
class Answer:
    """What a child said."""

    found: Any
    """The JSON value it printed; None: nothing."""
    complaint: str
    """Its last words where it failed, else empty."""


def ask_training(command: Sequence[str], environment: dict[str, str], late: str) -> Answer:
    """Run a command of the training side to its end. Raises `StoreError` with the sentence `late` when it takes too
    long."""
    child = subprocess.Popen(
        command,
        cwd=REPOSITORY,
        env={**os.environ, "OMP_WAIT_POLICY": "passive", **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with child, _known(child):
        _step_back(child.pid)
        try:
            printed, said = child.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired as error:
            child.kill()
            raise StoreError(late) from error
    if child.returncode < 0:  # ended by a signal: what it printed may be cut
        return Answer(None, f"The training side was ended by signal {-child.returncode}.")
    found = json.loads(printed) if printed.strip() else None
    if not child.returncode:
        return Answer(found, "")
    silent = f"The training side ended with status {child.returncode}, without a word."
    return Answer(found, (said.strip().splitlines() or [silent])[-1])


@contextmanager
def children_end() -> Iterator[None]:
    """Whatever still computes when the block ends is ended: nobody would hear its answer."""
    try:
        yield
    finally:
        with _turn:
            for child in _at_work:
                child.kill()


@contextmanager
def _known(child: subprocess.Popen[str]) -> Iterator[None]:
    """The child ends with `children_end` while the block lasts."""
    with _turn:
        _at_work.add(child)
    try:
        yield
    finally:
        with _turn:
            _at_work.discard(child)


def _step_back(pid: int) -> None:
    try:
        os.setpriority(os.PRIO_PROCESS, pid, NICENESS)
    except OSError:
        return  # it ended already, or the machine does not allow it: its answer is the same
