"""The receipts of a version: which judgements it was trained on, on which side each lay, and if they still say so.

`receipts.json` in a version's folder names the row of everything that was judged, its side of the split, its component
by a number, and whether it was used: what a later vote on the same texts replaced was not, but decided which votes pair
up. `config.json` holds the sha256 of the training set. Rebuilding the set from the rows in the database and these
receipts gives the same hash, unless a judgement was deleted: a vote that was changed or whose person took back consent
is still there as it was made.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nightschool.errors import DamagedVersion
from nightschool.feedback import FeedbackStore
from nightschool.records import FeedbackSnapshot
from training.judgements import Judgement, Judgements, PairJudgement
from training.receipts import judgements_of
from training.split import Side, Split

Source = tuple[str, str]


@dataclass(frozen=True)
class Receipt:
    """One judgement that a night read, and where the split had put it."""

    source: Source
    side: Side
    component: int
    """Judgements with the same number lay in one component."""
    is_used: bool = True


@dataclass(frozen=True)
class Rebuilt:
    """What comes of rebuilding a version's training set."""

    told: str | None
    """sha256 that the night recorded; None: the version is from before there were any."""
    found: str
    gone: tuple[Source, ...]

    @property
    def is_same(self) -> bool:
        """Whether the judgements in the database are still what the version was trained on."""
        return self.told == self.found


def receipts_for(judgements: Judgements, snapshot: FeedbackSnapshot, split: Split) -> list[Receipt]:
    """One for each row of the snapshot that the judgements came from, sorted by row."""
    used = set(judgements.sources())
    numbers: dict[str, int] = {}
    found = []
    for source, conversation in sorted(conversations_of(snapshot).items()):
        number = numbers.setdefault(split.component_of_conversation[conversation], len(numbers))
        found.append(Receipt(source, split.side_of_conversation[conversation], number, source in used))
    return found


def receipts_to_json(receipts: Sequence[Receipt]) -> list[dict[str, Any]]:
    """As `receipts.json` holds them."""
    return [
        {
            "kind": each.source[0],
            "id": each.source[1],
            "side": each.side,
            "component": each.component,
            "used": each.is_used,
        }
        for each in receipts
    ]


def receipts_from_json(rows: Sequence[dict[str, Any]]) -> list[Receipt]:
    """The way back. Receipts from before sides were noted in them lie on the training side."""
    return [
        Receipt(
            (str(row["kind"]), str(row["id"])),
            Side(row.get("side", Side.TRAIN)),
            int(row.get("component", 0)),
            bool(row.get("used", True)),
        )
        for row in rows
    ]


def read_receipts(folder: Path) -> tuple[list[Receipt], str | None]:
    """A version's receipts and the hash of its training set. Raises `DamagedVersion` where they cannot be read."""
    try:
        told = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("training_set")
        receipts = receipts_from_json(json.loads((folder / "receipts.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise DamagedVersion(
            f"The receipts of {folder.name} cannot be read ({error}); restore its folder from a backup, or promote "
            "another version with `python -m training promote VERSION`."
        ) from error
    return receipts, told


def rebuild(store: FeedbackStore, receipts: Sequence[Receipt], told: str | None) -> Rebuilt:
    """Make the training set again from the rows in the database, split as the receipts say."""
    snapshot = store.judged([each.source for each in receipts])
    conversations = conversations_of(snapshot)
    placed = {conversations[each.source]: each for each in receipts if each.source in conversations}
    split = Split(
        {conversation: each.side for conversation, each in placed.items()},
        {conversation: str(each.component) for conversation, each in placed.items()},
    )
    gone = tuple(each.source for each in receipts if each.source not in conversations)
    return Rebuilt(told, training_set_sha256(judgements_of(snapshot, split)), gone)


def conversations_of(snapshot: FeedbackSnapshot) -> dict[Source, str]:
    """(kind, id) of each judgement -> its conversation."""
    found = {("duel", duel.id): duel.conversation_id for duel in snapshot.duels}
    found |= {("thumb", thumb.id): thumb.conversation_id for thumb in snapshot.thumbs}
    found |= {("ranking", ranking.id): ranking.conversation_id for ranking in snapshot.rankings}
    return found | {("correction", each.id): each.conversation_id for each in snapshot.corrections}


def training_set_sha256(judgements: Judgements) -> str:
    """sha256 over all that a night learns from; not over the order of judgements or the names of components.

    Weights are those of the judgements themselves: what age, copies and persons make of them follows from these.
    """
    names: dict[str, Source] = {}
    for judgement in judgements.all:
        first = min(_rows(judgement))
        names[judgement.component] = min(names.get(judgement.component, first), first)
    lines = sorted(json.dumps(_told(judgement, names[judgement.component])) for judgement in judgements.all)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _rows(judgement: Judgement) -> list[Source]:
    return [judgement.source, *(judgement.also if isinstance(judgement, PairJudgement) else ())]


def _told(judgement: Judgement, component: Source) -> list[Any]:
    where: list[Any] = [_rows(judgement), judgement.side, component, judgement.person, judgement.created_at]
    texts: list[Any]
    if isinstance(judgement, PairJudgement):
        texts = [vars(judgement.left), vars(judgement.right), judgement.preferred]
    else:
        texts = [vars(judgement.answer), judgement.is_up]
    return [*where, *texts, round(judgement.weight, 9)]  # the last bits of a weight depend on the order of a sum
