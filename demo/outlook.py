"""What the next night would learn from: counted by the training side, which alone knows, in a child process.

Nobody waits for it: `look` returns what was counted last, and has it counted anew in the background when the store has
changed, one count at a time. Looks at the store and counts are far enough apart to cost nothing beside a chat.
"""

import json
import logging
import os
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from demo.nights import REPOSITORY, TRAINING
from nightschool.feedback import FeedbackStore

LOOK_SECONDS = 3.0
"""Between two looks at the store."""
COUNT_SECONDS = 10.0
"""Between two counts: each costs about a second of one core."""
RETRY_SECONDS = 60.0
PATIENCE = 120.0
"""Seconds a count may take."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Counted:
    """What a night that began now would find."""

    kinds: dict[str, tuple[int, int]]
    """Kind of judgement -> (how many, how many of them new)."""
    new: int
    training: float
    """Effective judgements to train on."""
    missing: int
    """About how many more are needed; 0 when a night is worth running."""
    is_rebuild: bool
    """A version is to be made anew without deleted judgements: then nothing new is needed."""


class Outlook:
    """Keeps the newest count."""

    def __init__(
        self,
        store: FeedbackStore,
        *,
        db: Path,
        environment: dict[str, str],
        command: Sequence[str] = TRAINING,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._command = [*command, "status", "--db", str(db.resolve()), "--json"]
        self._environment = environment
        self._clock = clock
        self._turn = threading.Lock()
        self._next_look = 0.0
        self._next_count = 0.0
        self._counting: threading.Thread | None = None
        self._counted_for: str | None = None
        self._counted: Counted | str | None = None

    def look(self) -> Counted | str | None:
        """The newest count; a sentence where counting failed; None before the first one has ended."""
        with self._turn:
            now = self._clock()
            if now >= self._next_look and not (self._counting and self._counting.is_alive()):
                self._next_look = now + LOOK_SECONDS
                fingerprint = self._store.fingerprint()
                if fingerprint != self._counted_for and now >= self._next_count:
                    self._next_count = now + COUNT_SECONDS
                    self._counting = threading.Thread(
                        target=self._count, args=(fingerprint,), name="outlook", daemon=True
                    )
                    self._counting.start()
            return self._counted

    def _count(self, fingerprint: str) -> None:
        found = self._ask()
        with self._turn:
            self._counted = found
            self._counted_for = fingerprint if isinstance(found, Counted) else None
            if isinstance(found, str):
                self._next_count = self._clock() + RETRY_SECONDS

    def _ask(self) -> Counted | str:
        try:
            done = subprocess.run(
                self._command,
                cwd=REPOSITORY,
                env={**os.environ, **self._environment},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=PATIENCE,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            log.warning("The judgements could not be counted: %s", error)
            return str(error)
        if done.returncode:
            sentence = (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]
            log.warning("The judgements could not be counted: %s", sentence)
            return sentence
        told = json.loads(done.stdout)
        return Counted(
            {kind: (count["all"], count["new"]) for kind, count in told["kinds"].items()},
            told["new_judgements"],
            told["training_judgements"],
            told["missing_judgements"],
            told["is_rebuild"],
        )
