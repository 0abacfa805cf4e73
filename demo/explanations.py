"""Asks the training side why an answer is as it is: a child process, because only that side can read a reward model.

It loads the model anew, which takes some seconds; it runs at low priority, one at a time, and dies with its time limit.
"""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from demo.nights import REPOSITORY
from nightschool.errors import BadInput, StoreError
from nightschool.records import Explanation

EXPLAIN_COMMAND = (sys.executable, "-m", "training", "explain")
PATIENCE = 120.0
"""Seconds a child may take."""


class Explanations:
    """One question at a time."""

    def __init__(
        self, *, db: Path, versions: Path, environment: dict[str, str], command: Sequence[str] = EXPLAIN_COMMAND
    ) -> None:
        self._arguments = ["--db", str(db.resolve()), "--versions", str(versions.resolve()), "--json"]
        self._environment = environment
        self._command = tuple(command)
        self._turn = threading.Lock()

    def of(self, reply_id: str) -> Explanation:
        """Explain a stored reply. Raises `BadInput` with the child's sentence, `StoreError` when it takes too long."""
        if not self._turn.acquire(blocking=False):
            raise BadInput("Another answer is being looked at; wait until its card is shown, then ask again.")
        try:
            done = subprocess.run(
                [*self._command, reply_id, *self._arguments],
                cwd=REPOSITORY,
                env={**os.environ, **self._environment},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=PATIENCE,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise StoreError(
                f"The answer was not explained within {PATIENCE:.0f} seconds; is a night running? Try again later."
            ) from error
        finally:
            self._turn.release()
        if done.returncode:
            raise BadInput((done.stderr.strip().splitlines() or ["The answer could not be explained."])[-1])
        return Explanation(**json.loads(done.stdout))
