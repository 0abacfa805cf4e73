"""Asks the training side why an answer is as it is, because only that side can read a reward model.

It loads the model anew, which takes some seconds; one question at a time.
"""

import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from demo.training_child import PATIENCE, ask_training
from nightschool.errors import BadInput
from nightschool.records import Explanation

EXPLAIN_COMMAND = (sys.executable, "-m", "training", "explain")
LATE = f"The answer was not explained within {PATIENCE:.0f} seconds; is a night running? Try again later."


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
            answer = ask_training([*self._command, reply_id, *self._arguments], self._environment, LATE)
        finally:
            self._turn.release()
        if answer.complaint:
            raise BadInput(answer.complaint)
        return Explanation(**answer.found)
