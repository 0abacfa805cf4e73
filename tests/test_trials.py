"""Trying a version: every reply of one conversation is written by it, for its owner alone."""

import random

import pytest

from demo.classroom import Classroom
from demo.lessons import Lesson
from nightschool.errors import BadInput, DamagedVersion, UnknownVersion
from nightschool.feedback import FeedbackStore
from nightschool.ids import utc_now
from nightschool.records import INITIAL, DuelOutcome, Sampling, VerdictKind, Version
from nightschool.registry import VersionRegistry
from nightschool.schema import FeedbackDatabase
from tests.scripted_engine import ScriptedEngine
from tests.talks import start_talk

ANNA, BEN = "anna", "ben"


class School:
    """A classroom in which every turn would be a duel; v2 answers, v1 did before, v3 was rejected."""

    def __init__(self, database: FeedbackDatabase) -> None:
        self.database, self.store = database, FeedbackStore(database)
        self.registry, self.engine = VersionRegistry(database), ScriptedEngine()
        for name, kind in (("v1", VerdictKind.PROMOTED), ("v2", VerdictKind.PROMOTED), ("v3", VerdictKind.REJECTED)):
            self.registry.add(Version(name, INITIAL, utc_now(), None, "base", "sha", kind), [])
        self.registry.promote("v2", "better")
        self.room = self.open()

    def open(self, duel_share: float = 1) -> Classroom:
        return Classroom(
            self.store,
            self.registry,
            self.engine,
            sampling=Sampling(0.7, 50),
            duel_share=duel_share,
            chance=random.Random(7),
        )

    def writers(self) -> list[str]:
        """The version of each reply, in order."""
        return [row[0] for row in self.database.read().execute("SELECT version FROM replies ORDER BY id").fetchall()]


@pytest.fixture
def school(database: FeedbackDatabase) -> School:
    return School(database)


def finish(lesson: Lesson) -> str:
    assert list(lesson.drafts)
    return lesson.conversation_id


def test_every_reply_of_the_conversation_is_written_by_the_version_until_the_trial_ends(school: School) -> None:
    room = school.room
    trial = room.trials.start(ANNA, "v1", "Trying v1")
    assert finish(room.ask(ANNA, trial, "one?", may_try=True)) == trial
    finish(room.ask_again(ANNA, trial, may_try=True))
    first, *_ = room.scene(ANNA, trial).turns
    finish(room.edit(ANNA, trial, first.id, "one, in other words?", may_try=True))
    school.registry.promote("v3", "meanwhile")  # whoever answers everybody
    finish(room.ask(ANNA, trial, "two?", may_try=True))
    assert school.writers() == ["v1"] * 4  # and no duel, though every turn would be one
    room.trials.end(ANNA, trial)
    finish(school.open(duel_share=0).ask(ANNA, trial, "three?", may_try=True))
    assert school.writers() == [*["v1"] * 4, "v3"]


def test_a_trial_is_there_after_a_restart_and_in_no_other_conversation(school: School) -> None:
    trial = school.room.trials.start(ANNA, "v1", "Trying v1")
    restarted = school.open(duel_share=0)
    assert restarted.scene(ANNA, trial).tried_version == "v1"
    finish(restarted.ask(ANNA, trial, "one?", may_try=True))
    finish(restarted.ask(ANNA, "", "elsewhere?", may_try=True))
    finish(restarted.ask(BEN, "", "somebody else?"))
    assert school.writers() == ["v1", "v2", "v2"]
    assert [talk.title for talk in restarted.conversations(ANNA)] == ["elsewhere?", "Trying v1"]


def test_who_is_not_the_owner_any_more_is_refused_and_may_end_the_trial(school: School) -> None:
    trial = school.room.trials.start(ANNA, "v1", "Trying v1")
    finish(school.room.ask(ANNA, trial, "one?", may_try=True))
    for refused in (
        lambda: school.room.ask(ANNA, trial, "two?"),
        lambda: school.room.ask(ANNA, trial, "two?", compare=True),
        lambda: school.room.ask_again(ANNA, trial),
        lambda: school.room.compare_again(ANNA, trial),
    ):
        with pytest.raises(BadInput, match="Only the owner may try a version; end the trial of v1"):
            refused()
    assert len(school.room.scene(ANNA, trial).turns) == 2  # nothing of what was refused is stored
    with pytest.raises(BadInput, match="not yours"):
        school.room.trials.end(BEN, trial)
    school.room.trials.end(ANNA, trial)
    finish(school.open(duel_share=0).ask(ANNA, trial, "two?"))
    assert school.writers() == ["v1", "v2"]


def test_a_comparison_in_a_trial_is_between_the_version_and_the_one_that_answers(school: School) -> None:
    trial = school.room.trials.start(ANNA, "v1", "Trying v1")
    lesson = school.room.ask(ANNA, trial, "one?", compare=True, may_try=True)
    finish(lesson)
    assert lesson.is_duel
    assert sorted(school.writers()) == ["v1", "v2"]
    duel = school.room.scene(ANNA, trial).duel
    assert duel is not None
    school.room.vote(ANNA, duel.id, DuelOutcome.LEFT)
    finish(school.room.compare_again(ANNA, trial, may_try=True))
    assert sorted(school.writers()) == ["v1", "v1", "v2", "v2"]
    assert school.store.duels_with("v1") == {"v2": 1}  # it counts like any other


def test_trying_the_version_that_answers_compares_it_as_usual(school: School) -> None:
    trial = school.room.trials.start(ANNA, "v2", "Trying v2")
    finish(school.room.ask(ANNA, trial, "one?", compare=True, may_try=True))
    writers = school.writers()
    assert "v2" in writers
    assert set(writers) - {"v2"} <= {"v1", INITIAL}


def test_a_damaged_version_is_refused_in_words_and_the_champion_goes_on(school: School) -> None:
    trial = school.room.trials.start(ANNA, "v1", "Trying v1")
    school.engine.damaged.add("v1")
    with pytest.raises(DamagedVersion, match="v1 is damaged"):
        school.room.ask(ANNA, trial, "one?", may_try=True)
    assert school.room.scene(ANNA, trial).turns == ()  # nobody stands in for it, nothing is stored
    with pytest.raises(DamagedVersion):
        school.room.trials.start(ANNA, "v1", "Trying v1 again")
    finish(school.open(duel_share=0).ask(BEN, "", "and me?"))
    assert school.writers() == ["v2"]


def test_what_deleted_judgements_made_is_not_tried(school: School) -> None:
    duel, *_ = start_talk(school.store).duel()
    school.registry.add(Version("v4", "v2", utc_now(), None, "base", "sha", VerdictKind.HELD), [("duel", duel)])
    trial = school.room.trials.start(ANNA, "v4", "Trying v4")
    with school.database.write() as db:
        db.table("duels").delete(duel)
    for tried in (
        lambda: school.room.trials.start(ANNA, "v4", "again"),
        lambda: school.room.ask(ANNA, trial, "one?", may_try=True),
    ):
        with pytest.raises(BadInput, match="learned from judgements that were deleted"):
            tried()
        school.registry.retire_tainted()  # and no more once it is retired
    assert set(school.writers()) == {INITIAL}  # the duel's own, of before


def test_a_version_that_there_is_not_cannot_be_tried(school: School) -> None:
    with pytest.raises(UnknownVersion):
        school.room.trials.start(ANNA, "v9", "Trying v9")
    assert school.room.conversations(ANNA) == []


def test_an_empty_trial_is_taken_again_in_place_of_another_one(school: School) -> None:
    first = school.room.trials.start(ANNA, "v1", "Trying v1")
    assert school.room.trials.start(ANNA, "v1", "Trying v1") == first
    assert school.room.trials.start(ANNA, "v3", "Trying v3") != first
    assert school.room.trials.start(BEN, "v1", "Trying v1") != first
    finish(school.room.ask(ANNA, first, "one?", may_try=True))
    assert school.room.trials.start(ANNA, "v1", "Trying v1") != first
