"""What a visitor can do with feedback, without a line of Gradio: look through it, take it along, delete it, allow it.

Guarantees
- Everybody sees and deletes their own feedback only; an owner may look at everybody's, delete any of it, and import.
- What is said to be deleted is deleted for good, and committed, when a method returns.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from nightschool.browsing import Erasure, FeedbackCounts, FeedbackFilter, FeedbackItem, FeedbackKind
from nightschool.errors import BadInput
from nightschool.example_rows import Encoder, imports_of
from nightschool.examples import TrainerFormat
from nightschool.feedback import FeedbackStore
from nightschool.records import IMPORTER
from nightschool.registry import VersionRegistry
from nightschool.trainer_files import ENDINGS, file_of, read_examples

PAGE_SIZE = 10
LARGEST_IMPORT = 64 * 1024 * 1024
"""Bytes."""
NOT_THE_OWNER = "Only the owner may do this with everybody's feedback; choose your own."


class Scope(StrEnum):
    """Whose feedback is looked at."""

    MINE = "mine"
    ALL = "all"


@dataclass(frozen=True)
class Visitor:
    """Who asks. The page finds it out at every event; it is never what a browser says."""

    person_id: str
    is_owner: bool

    def person_of(self, scope: Scope) -> str | None:
        """The person whose feedback this scope means; None: everybody's. Raises `BadInput` for who may not see it."""
        if scope is Scope.MINE:
            return self.person_id
        if not self.is_owner:
            raise BadInput(NOT_THE_OWNER)
        return None


@dataclass(frozen=True)
class Shelf:
    """One page of feedback, and what stands around it."""

    items: tuple[FeedbackItem, ...]
    page: int
    """From 0."""
    pages: int
    counts: FeedbackCounts
    days: dict[str, FeedbackCounts]
    """Day -> what was judged on it, of what the filter finds."""
    versions: tuple[str, ...]
    """Versions to filter by."""
    people: tuple[tuple[str, int], ...]
    """People to filter by, with how much each judged; for an owner only."""
    consent: bool
    """Whether the visitor's own feedback may be learned from."""
    learned_by: dict[str, tuple[str, ...]]
    """Id of an item -> the versions it went into, oldest first; without those that went into none."""


@dataclass(frozen=True)
class Import:
    """What a file brought."""

    added: int
    known: int


class FeedbackRoom:
    """The use cases of the Feedback page, for any number of people at once."""

    def __init__(
        self,
        store: FeedbackStore,
        encoder: Encoder,
        registry: VersionRegistry,
        *,
        leave: Callable[[str], None] = lambda person_id: None,
    ) -> None:
        """`leave` is told of a person before all that is theirs is deleted, to end what they did not ask for."""
        self._store = store
        self._leave = leave
        self._registry = registry
        self._encoder = encoder

    # ---- looking -------------------------------------------------------------------------------------------------

    def shelf(self, visitor: Visitor, scope: Scope, wanted: FeedbackFilter, page: int, minutes: int) -> Shelf:
        """A page of what the filter finds; days begin `minutes` before those of UTC. A page too far is the last one."""
        whose = visitor.person_of(scope)
        wanted = _within(wanted, whose)
        counts = self._store.count_feedback(wanted)
        pages = max(1, -(-counts.total // PAGE_SIZE))
        page = min(max(page, 0), pages - 1)
        items = tuple(self._store.feedback(wanted, PAGE_SIZE, page * PAGE_SIZE))
        return Shelf(
            items=items,
            page=page,
            pages=pages,
            counts=counts,
            days=self._store.feedback_by_day(wanted, minutes),
            versions=tuple(self._store.judged_versions(whose)),
            people=tuple(self._store.judging_people()) if whose is None else (),
            consent=self._store.consent(visitor.person_id),
            learned_by=self._registry.versions_of([item.id for item in items]),
        )

    def amount(self, visitor: Visitor) -> tuple[int, int]:
        """How many judgements and conversations are the visitor's own."""
        judgements = self._store.count_feedback(FeedbackFilter(person_id=visitor.person_id)).total
        return judgements, len(self._store.conversations(visitor.person_id))

    def consent(self, visitor: Visitor) -> bool:
        """Whether nights may learn from what this person judges."""
        return self._store.consent(visitor.person_id)

    # ---- allowing and deleting -----------------------------------------------------------------------------------

    def allow(self, visitor: Visitor, may_learn: bool) -> None:
        """Say whether nights may learn from what this person judged; returns once it is on disk."""
        self._store.set_consent(visitor.person_id, may_learn)

    def delete(self, visitor: Visitor, scope: Scope, kind: FeedbackKind, item_id: str) -> Erasure:
        """Delete one item for good."""
        return self._store.erase_feedback(kind, item_id, visitor.person_of(scope))

    def delete_everything(self, visitor: Visitor) -> Erasure:
        """Delete all that is this person's for good: feedback, conversations, consent."""
        self._leave(visitor.person_id)
        return self._store.erase_person(visitor.person_id)

    # ---- files ---------------------------------------------------------------------------------------------------

    def listed(self, visitor: Visitor, scope: Scope, wanted: FeedbackFilter) -> bytes:
        """All that the filter finds as JSON lines, newest first, everything about it that is known."""
        items = self._store.feedback(_within(wanted, visitor.person_of(scope)))
        return "".join(json.dumps(_told(item), ensure_ascii=False) + "\n" for item in items).encode()

    def examples(self, visitor: Visitor, scope: Scope, shape: TrainerFormat, ending: str) -> bytes:
        """A file for a trainer, of people who consent. Raises `BadInput` where there is nothing to write."""
        if ending not in ENDINGS:
            raise BadInput(f"A file ends with {' or '.join(ENDINGS)}, not with {ending!r}; choose one of them.")
        return file_of(self._store.examples(shape, visitor.person_of(scope)), shape, ending)

    def take(self, visitor: Visitor, name: str, content: bytes) -> Import:
        """Import a file of examples, whole or not at all. Raises `BadInput`, naming its first bad line.

        An owner's act: what is imported counts as many people's, so no cap on one person bounds it.
        """
        if not visitor.is_owner:
            raise BadInput("Only the owner may import feedback; ask them to do it.")
        if len(content) > LARGEST_IMPORT:
            raise BadInput(
                f"The file {name} is larger than {LARGEST_IMPORT // 1024**2} MB; import it in parts, or with "
                "`python -m training import`."
            )
        found = imports_of(read_examples(content, name), name, self._encoder)
        added = self._store.import_judgements(IMPORTER, found.preferences, found.opinions)
        return Import(added, len(found) - added)


def _within(wanted: FeedbackFilter, whose: str | None) -> FeedbackFilter:
    """The filter, bound to one person where only theirs may be seen."""
    if whose is None:
        return wanted
    return FeedbackFilter(whose, wanted.kind, wanted.version, wanted.since, wanted.until, wanted.search)


def _told(item: FeedbackItem) -> dict[str, object]:
    """An item as a line of the exported list."""
    told: dict[str, object] = {
        "kind": item.kind,
        "id": item.id,
        "person": item.person_id,
        "judged_at": item.judged_at,
        "question": item.question,
        "answers": [{"text": one.text, "version": one.version, "mark": one.mark} for one in item.answers],
        "outcome": item.outcome,
    }
    if item.corrected:
        told["corrected"] = item.corrected
    if item.reasons or item.comment:
        told |= {"reasons": list(item.reasons), "comment": item.comment}
    return told
