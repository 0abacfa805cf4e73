"""What can be done with versions, without a line of Gradio: look at them, let one answer, end a probation, try one.

Guarantees
- A version is promoted or confirmed only after its files were checked and the engine has it in memory; a damaged one is
  refused, and whoever answered goes on.
- What is done is committed when a method returns; the next reply is written by the version that is named then.
- Who may do it is checked by the caller, at every event.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from demo.leaderboards import Board, Leaderboards
from demo.rails import Rail, rails_of
from demo.receipt_desk import ReceiptDesk
from demo.trials import Trials
from demo.version_states import Standing, states_of
from nightschool import promoting
from nightschool.coevolution import COEVOLUTION, Coevolution, coevolution
from nightschool.engine import Engine
from nightschool.errors import BadInput
from nightschool.feedback import FeedbackStore
from nightschool.probation import Standing as VotesSoFar
from nightschool.records import Figures, Probation, VerdictKind, Version
from nightschool.registry import NightBook, VersionRegistry
from nightschool.said import Said
from nightschool.version_check import check_files

CONFIRMED = Said("The owner confirmed it by hand.", "由管理员手动确认。")
TAKEN_BACK = Said("The owner took it back by hand.", "由管理员手动退回。")


@dataclass(frozen=True)
class Watched:
    """The version on probation, and what people said of it so far."""

    probation: Probation
    said: VotesSoFar
    answers: bool
    """Whether it answers already; else its rival does until people confirm it."""


@dataclass(frozen=True)
class Album:
    """All versions, newest first, with what is known of each by its id."""

    versions: tuple[Version, ...]
    champion: Version
    before: Version | None
    """The version that a roll back leads to."""
    standings: Mapping[str, Standing]
    figures: Mapping[str, Figures]
    receipts: Mapping[str, Mapping[str, int]]
    """Kind of judgement -> how many of it made the version."""
    deleted: Mapping[str, int]
    """How many of the judgements behind it were deleted since."""
    rails: tuple[Rail, ...]
    watched: Watched | None

    def is_later(self, version_id: str) -> bool:
        """Whether a version was made after the champion: then the way back to it leads forward."""
        places = {version.id: place for place, version in enumerate(self.versions)}
        return places[version_id] < places[self.champion.id]

    def was_held(self, version_id: str) -> bool:
        """Whether the night that made a version held it: nobody but the owner lets it answer."""
        return any(version.id == version_id and version.verdict is VerdictKind.HELD for version in self.versions)


class VersionRoom:
    """The use cases of the Versions page, for any number of people at once."""

    def __init__(
        self,
        store: FeedbackStore,
        registry: VersionRegistry,
        book: NightBook,
        engine: Engine,
        *,
        versions: Path,
        leaderboards: Leaderboards,
        receipts: ReceiptDesk,
        trials: Trials,
    ) -> None:
        self._store = store
        self._registry = registry
        self._book = book
        self._engine = engine
        self._folder = versions
        self._leaderboards = leaderboards
        self._trials = trials
        self.receipts = receipts

    # ---- looking -------------------------------------------------------------------------------------------------

    def mark(self) -> str:
        """Changes whenever what is told here may have changed; quick, to be asked often."""
        board, (duels, thumbs) = self._leaderboards.look(), self._store.counts()
        matrix = self._folder / COEVOLUTION
        made = matrix.stat().st_mtime_ns if matrix.is_file() else 0
        return f"{self._registry.state_mark()} {board.mark} {board.is_current} {board.fault} {duels} {thumbs} {made}"

    def board(self) -> Board:
        """The leaderboard that is kept; a new one is begun where the duels have changed."""
        return self._leaderboards.look()

    def coevolution(self) -> Coevolution:
        """What reward models think of versions, beside what examiner and people thought, as nights left it."""
        return coevolution(self._folder, self._registry, self._book, self._store)

    def album(self) -> Album:
        """Everything about every version."""
        versions = tuple(reversed(self._registry.list(retired=True)))
        champion = self._registry.champion()
        standings = states_of(versions, champion.id, self._registry.terms(), self._registry.probations())
        return Album(
            versions=versions,
            champion=champion,
            before=promoting.version_before(self._registry),
            standings=standings,
            figures=self._book.figures(),
            receipts=self._registry.receipt_counts(),
            deleted={version: len(gone) for version, gone in self._registry.tainted().items()},
            rails=tuple(rails_of(versions, champion.id)),
            watched=self._watched(champion),
        )

    def version(self, version_id: str) -> Version:
        """One version. Raises `UnknownVersion`."""
        return self._registry.get(version_id)

    def _watched(self, champion: Version) -> Watched | None:
        probation = self._registry.probation()
        if probation is None:
            return None
        return Watched(probation, self._store.said_of(probation), probation.version_id == champion.id)

    # ---- deciding ------------------------------------------------------------------------------------------------

    def promote(self, version_id: str) -> Version:
        """Let a version answer from the next reply on. Raises `DamagedVersion`, or `BadInput` where it must not."""
        version = self._sound(version_id)
        if version.retired_at is None:
            self._engine.prepare(version)
        return promoting.promote(self._registry, self._folder, version.id)

    def roll_back(self, version_id: str) -> Version:
        """Let the version answer that did before this one, which must be the one that was shown."""
        before = promoting.version_before(self._registry)
        if before is None or before.id != version_id:
            raise BadInput("The version that answers has changed meanwhile; look at the page again, then decide.")
        self._engine.prepare(self._sound(version_id))
        return promoting.roll_back(self._registry, self._folder)

    def confirm(self, version_id: str) -> Version:
        """End a probation in favour of its version, which answers from the next reply on."""
        probation = self._open_probation(version_id)
        version = self._sound(version_id)
        self._engine.prepare(version)
        if not self._registry.confirm(probation, CONFIRMED):
            raise BadInput(
                f"The version {version_id} was not confirmed: its probation is over, or judgements that made it were "
                "deleted; look at the page again."
            )
        return version

    def take_back(self, version_id: str) -> Version:
        """End a probation against its version, which is shown no more; the version that answers then."""
        if not self._registry.roll_back(self._open_probation(version_id), TAKEN_BACK):
            raise BadInput(f"The version {version_id} is not on probation any more; look at the page again.")
        return self._registry.champion()

    def try_out(self, person_id: str, version_id: str, title: str) -> str:
        """A conversation in which this version writes every reply; its id. Raises `DamagedVersion`, `BadInput`."""
        return self._trials.start(person_id, self._sound(version_id).id, title)

    def _sound(self, version_id: str) -> Version:
        """A version whose files are what was registered; one that is in memory may be damaged on the disk."""
        version = self._registry.get(version_id)
        if version.retired_at is None:
            check_files(self._folder / version.id, version)
        return version  # a retired one has no folder: it is refused in other words

    def _open_probation(self, version_id: str) -> Probation:
        probation = self._registry.probation()
        if probation is None or probation.version_id != version_id:
            raise BadInput(f"The version {version_id} is not on probation any more; look at the page again.")
        return probation
