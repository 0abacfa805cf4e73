"""The process of a running night: found by its row, told from any other by the lock it holds, asked to stop, ended.

A process id alone proves nothing: the kernel gives it away again. So a process counts as the night's only if it began
before the night took its row, and has the lock's file open; then nothing else is ever signalled.
"""

import os
import signal
import time
from datetime import datetime
from pathlib import Path

import psutil

from nightschool.errors import BadInput
from nightschool.records import Night

LOOK_SECONDS = 0.1
CLOCK_SLACK = 2.0
"""Seconds by which the kernel's and the row's moments may disagree."""


def process_of(night: Night, lock: Path) -> psutil.Process:
    """The process that works on a night. Raises `BadInput` where it cannot be found here."""
    try:
        if night.pid is not None and night.taken_at is not None:
            process = psutil.Process(night.pid)
            taken = datetime.fromisoformat(night.taken_at).timestamp()
            if process.create_time() <= taken + CLOCK_SLACK and _has_open(process, lock):
                return process
    except psutil.Error:
        pass  # gone, or another user's: told below
    raise BadInput(
        "The night's process cannot be found from here (another user's, another machine's, or an older NightSchool "
        "started it); stop it where it was started, with Ctrl-C."
    )


def ask_to_stop(process: psutil.Process, number: signal.Signals) -> None:
    """Signal it, with its whole group where it leads a session of its own, as a night that the chat started does."""
    try:
        if os.getsid(process.pid) == process.pid:
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
    except (ProcessLookupError, psutil.NoSuchProcess):
        return  # it ended meanwhile
    except (PermissionError, psutil.AccessDenied) as error:
        raise BadInput(
            "The night belongs to another user of this machine; stop it where it was started, with Ctrl-C."
        ) from error


def has_ended(process: psutil.Process, seconds: float) -> bool:
    """Wait so long at most; whether it has ended. (Its status is left to its parent.)"""
    deadline = time.monotonic() + seconds
    while is_alive(process):
        if time.monotonic() >= deadline:
            return False
        time.sleep(LOOK_SECONDS)
    return True


def is_alive(process: psutil.Process) -> bool:
    """Whether it runs still, and is not merely waiting to be reaped."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _has_open(process: psutil.Process, file: Path) -> bool:
    wanted = file.resolve()
    return any(Path(opened.path).resolve() == wanted for opened in process.open_files())
