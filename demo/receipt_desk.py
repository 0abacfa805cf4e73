"""The receipts of a version: which judgements made it, page by page, and whether they still rebuild its training set.

The rebuilding is done by the training side (`python -m training receipts VERSION --check`), which alone knows how
judgements become a training set.
"""

import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from demo.training_child import PATIENCE, ask_training
from nightschool.errors import BadInput
from nightschool.feedback import FeedbackStore
from nightschool.records import DuelOutcome, FeedbackSnapshot
from nightschool.registry import VersionRegistry

RECEIPTS_COMMAND = (sys.executable, "-m", "training", "receipts")
LATE = f"The training set was not rebuilt within {PATIENCE:.0f} seconds; is a night running? Try again later."
PAGE_SIZE = 15


@dataclass(frozen=True)
class ReceiptRow:
    """One judgement that made a version."""

    kind: str
    id: str
    judged_at: str
    """Empty for one that was deleted at a time nobody noted."""
    outcome: str
    """Of a duel or thumb; empty for others and for what was deleted."""
    text: str
    """The reply that was liked, disliked, preferred or written."""
    is_deleted: bool = False


@dataclass(frozen=True)
class ReceiptPage:
    """Some of a version's receipts."""

    rows: tuple[ReceiptRow, ...]
    page: int
    """From 0."""
    pages: int
    counts: Mapping[str, int]
    """Kind -> how many of all."""


@dataclass(frozen=True)
class Check:
    """What came of rebuilding the training set."""

    is_same: bool
    found: str
    """sha256 of what was rebuilt."""
    complaint: str
    """Why it is not the same, in a sentence."""


class ReceiptDesk:
    """Receipts of any version. One check at a time."""

    def __init__(
        self,
        store: FeedbackStore,
        registry: VersionRegistry,
        *,
        db: Path,
        versions: Path,
        environment: dict[str, str],
        command: Sequence[str] = RECEIPTS_COMMAND,
    ) -> None:
        self._store = store
        self._registry = registry
        self._arguments = ["--check", "--json", "--db", str(db.resolve()), "--versions", str(versions.resolve())]
        self._environment = environment
        self._command = tuple(command)
        self._turn = threading.Lock()

    def page(self, version_id: str, page: int) -> ReceiptPage:
        """A page of them; one too far is the last. Raises `UnknownVersion`."""
        sources = self._registry.receipts(version_id)
        pages = max(1, -(-len(sources) // PAGE_SIZE))
        page = min(max(page, 0), pages - 1)
        wanted = sources[page * PAGE_SIZE : (page + 1) * PAGE_SIZE]
        found = {(row.kind, row.id): row for row in rows_of(self._store.judged(wanted))}
        rows = tuple(found.get(source) or self._deleted(*source) for source in wanted)
        return ReceiptPage(rows, page, pages, self._registry.receipt_counts().get(version_id, {}))

    def check(self, version_id: str) -> Check:
        """Rebuild the version's training set from its receipts and compare the hash that its night recorded.

        Raises `BadInput` for a version that has none or is damaged, `StoreError` when it takes too long.
        """
        version = self._registry.get(version_id)
        if not self._turn.acquire(blocking=False):
            raise BadInput("Another version's receipts are being checked; wait until that is done, then try again.")
        try:
            answer = ask_training([*self._command, version.id, *self._arguments], self._environment, LATE)
        finally:
            self._turn.release()
        if answer.found is None or "check" not in answer.found:
            raise BadInput(answer.complaint)
        told = answer.found["check"]
        return Check(bool(told["same"]), str(told["found"]), answer.complaint)

    def _deleted(self, kind: str, source_id: str) -> ReceiptRow:
        return ReceiptRow(kind, source_id, self._store.erased_at(source_id) or "", "", "", is_deleted=True)


def rows_of(snapshot: FeedbackSnapshot) -> Iterator[ReceiptRow]:
    """The judgements of a snapshot as rows."""
    for duel in snapshot.duels:
        preferred = duel.right if duel.outcome is DuelOutcome.RIGHT else duel.left
        yield ReceiptRow("duel", duel.id, duel.decided_at or "", str(duel.outcome or ""), preferred.text)
    for thumb in snapshot.thumbs:
        yield ReceiptRow("thumb", thumb.id, thumb.created_at, thumb.value, thumb.reply.text)
    for ranking in snapshot.rankings:
        best = ranking.replies[ranking.ranks.index(min(ranking.ranks))]
        yield ReceiptRow("ranking", ranking.id, ranking.created_at, "", best.text)
    for correction in snapshot.corrections:
        yield ReceiptRow("correction", correction.id, correction.created_at, "", correction.text)
