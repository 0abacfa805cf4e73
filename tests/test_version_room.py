"""What can be done with versions, on a real store with true receipts, folders on a disk, and a scripted engine."""

import random
from pathlib import Path

import pytest

from demo.classroom import Classroom
from demo.leaderboards import Leaderboards
from demo.receipt_desk import PAGE_SIZE, ReceiptDesk
from demo.version_room import VersionRoom
from demo.version_states import State
from nightschool.errors import BadInput, DamagedVersion, UnknownVersion
from nightschool.feedback import FeedbackStore
from nightschool.records import INITIAL, Sampling, VerdictKind
from nightschool.registry import NightBook, VersionRegistry
from nightschool.schema import FeedbackDatabase
from tests.lineage import V1, V2, V3, V4, V5, add_lineage
from tests.scripted_engine import ScriptedEngine


class School:
    """A school after five nights, and the room of its versions."""

    def __init__(self, database: FeedbackDatabase, folder: Path) -> None:
        self.database, self.folder = database, folder / "versions"
        add_lineage(database, self.folder, duels=4)
        self.store, self.registry, self.engine = FeedbackStore(database), VersionRegistry(database), ScriptedEngine()
        chance = random.Random(0)
        classroom = Classroom(self.store, self.registry, self.engine, sampling=Sampling(), duel_share=0, chance=chance)
        where = {"db": database.path, "environment": {}}
        self.room = VersionRoom(
            self.store,
            self.registry,
            NightBook(database),
            self.engine,
            versions=self.folder,
            leaderboards=Leaderboards(self.store, self.registry, **where),
            receipts=ReceiptDesk(self.store, self.registry, versions=self.folder, **where),
            trials=classroom.trials,
        )

    def damage(self, version: str) -> None:
        (self.folder / version / "config.json").write_text("{}")

    def champion(self) -> str:
        return self.registry.champion().id


@pytest.fixture
def school(database: FeedbackDatabase, tmp_path: Path) -> School:
    return School(database, tmp_path)


# ---- looking -------------------------------------------------------------------------------------------------------


def test_the_album_tells_everything_about_every_version_newest_first(school: School) -> None:
    album = school.room.album()
    assert [version.id for version in album.versions] == [V5, V4, V3, V2, V1, INITIAL]
    assert {name: found.state for name, found in album.standings.items()} == {
        V5: State.ANSWERS,
        V4: State.QUARANTINED,
        V3: State.BEFORE,
        V2: State.HELD,
        V1: State.BEFORE,
        INITIAL: State.BEFORE,
    }
    assert [rail.lane for rail in album.rails] == [0, 1, 0, 1, 0, 0]
    assert (album.champion.id, album.before and album.before.id) == (V5, V3)
    assert album.deleted == {V2: 1}
    assert album.figures[V4].win_rate == 0.59
    assert album.figures[V4].verdict is VerdictKind.PROMOTED  # of its night; its row says what people made of it
    assert album.receipts[V1] == {"duel": 3, "thumb": 1}
    assert album.watched is not None
    assert (album.watched.probation.version_id, album.watched.probation.rival_id, album.watched.answers) == (
        V5,
        V3,
        True,
    )
    assert album.watched.said.wins + album.watched.said.losses <= 4


def test_the_mark_changes_with_what_is_shown(school: School) -> None:
    marks = [school.room.mark()]
    assert school.room.mark() == marks[0]
    school.room.promote(V3)
    marks.append(school.room.mark())
    school.room.roll_back(V5)
    marks.append(school.room.mark())
    school.store.set_consent("ann", False)
    marks.append(school.room.mark())
    assert len(set(marks)) == 4


# ---- deciding ------------------------------------------------------------------------------------------------------


def test_promoting_ends_the_probation_and_answers_from_the_next_reply_on(school: School) -> None:
    assert school.room.promote(V1).id == V1
    assert school.champion() == V1
    album = school.room.album()
    assert album.watched is None
    assert album.standings[V5].state is State.BEFORE
    assert album.before is not None
    assert album.before.id == V5


def test_rolling_back_goes_to_the_version_that_was_shown_or_nowhere(school: School) -> None:
    with pytest.raises(BadInput, match="has changed meanwhile"):
        school.room.roll_back(V1)
    assert school.champion() == V5
    assert school.room.roll_back(V3).id == V3
    assert school.champion() == V3
    assert school.room.album().standings[V5].state is State.BEFORE  # not quarantined: it may come back


def test_a_confirmed_version_answers_and_is_not_watched_any_more(school: School) -> None:
    assert school.room.confirm(V5).id == V5
    album = school.room.album()
    assert (album.champion.id, album.watched, album.standings[V5].is_watched) == (V5, None, False)
    with pytest.raises(BadInput, match="not on probation any more"):
        school.room.confirm(V5)


def test_a_version_that_is_taken_back_is_shown_no_more(school: School) -> None:
    assert school.room.take_back(V5).id == V3
    album = school.room.album()
    assert (album.champion.id, album.watched) == (V3, None)
    assert album.standings[V5].state is State.QUARANTINED
    assert album.standings[V5].taken_back is not None
    assert album.standings[V5].taken_back.reason_zh == "由管理员手动退回。"
    with pytest.raises(BadInput, match="not on probation any more"):
        school.room.take_back(V5)


@pytest.mark.parametrize("act", ["promote", "roll_back", "try_out"])
def test_a_damaged_version_is_refused_and_whoever_answered_goes_on(school: School, act: str) -> None:
    school.damage(V3)
    refused = {
        "promote": lambda: school.room.promote(V3),
        "roll_back": lambda: school.room.roll_back(V3),
        "try_out": lambda: school.room.try_out("ann", V3, "Trying"),
    }
    with pytest.raises(DamagedVersion, match=r"is damaged \(config.json was changed\)"):
        refused[act]()
    assert school.champion() == V5
    assert school.room.album().watched is not None


def test_what_the_engine_cannot_load_is_not_promoted(school: School) -> None:
    school.engine.damaged = {V3, V5}
    with pytest.raises(DamagedVersion):
        school.room.promote(V3)
    with pytest.raises(DamagedVersion):
        school.room.confirm(V5)
    assert (school.champion(), school.room.album().watched is not None) == (V5, True)


def test_what_deleted_judgements_made_is_refused_retired_or_not(school: School) -> None:
    for _ in range(2):
        for act in (lambda: school.room.promote(V2), lambda: school.room.try_out("ann", V2, "Trying")):
            with pytest.raises(BadInput, match="learned from judgements that were deleted"):
                act()
        assert school.registry.retire_tainted() in {(V2,), ()}
    assert school.room.album().standings[V2].state is State.RETIRED


# ---- receipts ------------------------------------------------------------------------------------------------------


def test_receipts_come_in_pages_with_what_was_judged(school: School) -> None:
    first = school.room.receipts.page(V5, 0)
    assert (first.page, len(first.rows)) == (0, PAGE_SIZE)
    assert first.pages == -(-sum(first.counts.values()) // PAGE_SIZE)
    last = school.room.receipts.page(V5, 99)
    assert last.page == first.pages - 1
    every = [row for page in range(first.pages) for row in school.room.receipts.page(V5, page).rows]
    assert [(row.kind, row.id) for row in every] == list(school.registry.receipts(V5))
    assert {row.outcome for row in every if row.kind == "thumb"} <= {"up", "down"}
    assert all(row.text and row.judged_at and not row.is_deleted for row in every)
    assert school.room.receipts.page(INITIAL, 0).rows == ()
    with pytest.raises(UnknownVersion):
        school.room.receipts.page("v9", 0)


def test_a_deleted_judgement_is_listed_as_such_with_when_it_went(school: School) -> None:
    [gone] = [row for row in school.room.receipts.page(V2, 0).rows if row.is_deleted]
    assert (gone.kind, gone.text, gone.judged_at != "") == ("duel", "", True)


def test_the_training_set_is_rebuilt_by_the_real_command(school: School) -> None:
    check = school.room.receipts.check(V5)
    assert (check.is_same, check.complaint) == (True, "")
    assert check.found == school.room.album().figures[V5].training_set
    differs = school.room.receipts.check(V2)
    assert not differs.is_same
    assert "1 of its judgements were deleted" in differs.complaint


def test_a_check_that_cannot_be_made_says_why(school: School) -> None:
    with pytest.raises(BadInput, match="made from no judgements"):
        school.room.receipts.check(INITIAL)
    school.damage(V1)
    with pytest.raises(BadInput, match="is damaged"):
        school.room.receipts.check(V1)
    with school.room.receipts._turn, pytest.raises(BadInput, match="being checked"):
        school.room.receipts.check(V3)
