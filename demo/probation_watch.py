"""Looks at the votes on a version that is on probation, every two seconds, and acts as soon as they speak clearly."""

import logging
import threading

from nightschool.errors import NightSchoolError
from nightschool.feedback import FeedbackStore
from nightschool.probation import Fate, fate_of
from nightschool.registry import VersionRegistry

SECONDS = 2.0

log = logging.getLogger(__name__)


class ProbationWatch:
    """Promotes a version that people prefer, and rolls back one that they do not. Any number may watch one database."""

    def __init__(self, store: FeedbackStore, registry: VersionRegistry) -> None:
        self._store = store
        self._registry = registry
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="probation-watch", daemon=True)

    def look(self) -> Fate | None:
        """Look once; what became of the version on probation, if that is decided now."""
        probation = self._registry.probation()
        if probation is None:
            return None
        end = fate_of(probation, self._store.said_of(probation))
        if end is None:
            return None
        fate, reason = end
        act = self._registry.confirm if fate is Fate.PROMOTED else self._registry.roll_back
        if not act(probation, reason):
            return None  # somebody else was faster
        log.warning("Probation of %s: %s. %s", probation.version_id, fate, reason.en)
        return fate

    def start(self) -> None:
        """Look every two seconds from now on."""
        self._thread.start()

    def close(self) -> None:
        """Stop looking; returns once the last look is over."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._stopped.wait(SECONDS):
            try:
                self.look()
            except NightSchoolError as error:  # a full disk, say: the next look may do better
                log.warning("The probation could not be looked at: %s", error)
