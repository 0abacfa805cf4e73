"""Runs pytest again and again without loading torch again and again: each run is a fork of a process that has it.

As a program it reads from stdin, a line for each run, JSON with `tree`, `words` and `seconds`, and writes to stdout, a
line for each, JSON with `code` (pytest's, or null when it did not end in time) and `said`. It imports nothing of the
project, so that each fork imports the tree it is told.
"""

import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

LOADED = (
    "hypothesis",
    "peft",
    "playwright.sync_api",
    "pydantic_settings",
    "pytest",
    "sqlite_utils",
    "torch",
    "transformers.models.llama.modeling_llama",
)
"""What most runs import, but for the project itself."""


@dataclass(frozen=True)
class Run:
    """What came of one run of pytest: its exit code, None when it did not end in time, and all it printed."""

    code: int | None
    said: str


class PytestServer:
    """The client's side; `pytest_server` opens it."""

    def __init__(self, program: "subprocess.Popen[str]") -> None:
        self._program = program

    def run(self, tree: Path, words: Sequence[str], seconds: float) -> Run:
        """pytest with these words in that folder."""
        assert self._program.stdin is not None
        assert self._program.stdout is not None
        print(json.dumps({"tree": str(tree), "words": [*words], "seconds": seconds}), file=self._program.stdin)
        self._program.stdin.flush()
        return Run(**json.loads(self._program.stdout.readline()))


@contextmanager
def pytest_server() -> Iterator[PytestServer]:
    """A server for as long as the block lasts."""
    # No bytecode: a changed file of the same size within the same second would be taken for the old one.
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, str(Path(__file__).resolve())]
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as program:
        yield PytestServer(program)


def _serve() -> None:
    sys.path.remove(str(Path(__file__).resolve().parent))
    for name in LOADED:
        importlib.import_module(name)
    for line in sys.stdin:
        asked = json.loads(line)
        with tempfile.TemporaryFile() as paper:
            child = os.fork()
            if child == 0:
                _run_here(asked["tree"], asked["words"], paper.fileno())
            code = _wait(child, asked["seconds"])
            paper.seek(0)
            print(json.dumps({"code": code, "said": paper.read().decode(errors="replace")}), flush=True)


def _run_here(tree: str, words: Sequence[str], paper: int) -> None:
    """In the fork: pytest, and the end of the process. Its children are of its group, to be killed with it."""
    os.setsid()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(paper, 1)
    os.dup2(paper, 2)
    os.chdir(tree)
    sys.path.insert(0, tree)
    code = 3  # pytest's own code for an internal error
    try:
        import pytest

        # A plugin that peft's own imports have loaded is not rewritten; pytest tells, and warnings are errors here.
        code = int(pytest.main(["-W", "ignore::pytest.PytestAssertRewriteWarning", *words]))
    except BaseException:  # nothing leaves the fork, whose caller would go on serving
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _wait(child: int, seconds: float) -> int | None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


if __name__ == "__main__":
    _serve()
