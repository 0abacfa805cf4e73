"""Deleting on the Feedback page and retiring by the next night are one promise: what was learned from it goes too."""

import json
from pathlib import Path

import pytest

from nightschool.browsing import FeedbackKind
from nightschool.feedback import FeedbackStore
from nightschool.ids import utc_now
from nightschool.records import INITIAL, NightState, VerdictKind, Version
from nightschool.registry import NightBook, VersionRegistry
from nightschool.said import Said
from nightschool.schema import FeedbackDatabase
from nightschool.settings import load_settings
from tests.judged import Judged, judge_everything
from tests.talks import ANN, BOB, rows
from training.effort import EFFORTS
from training.night_log import NightLog
from training.night_stages import NightPlan, Stages
from training.night_work import NightWork
from training.shortage import Shortage

WORDS = "ann's very own words"
BETTER = Said("It is better.", "新版本更好。")


@pytest.fixture
def ann(store: FeedbackStore) -> Judged:
    return judge_everything(store)


@pytest.fixture
def bob(store: FeedbackStore) -> Judged:
    return judge_everything(store, BOB)


def add(registry: VersionRegistry, name: str, parent: str, *sources: tuple[str, str]) -> None:
    """A promoted version, watched beside the one that answers."""
    version = Version(name, parent, utc_now(), None, "base", "manifest", VerdictKind.PROMOTED)
    registry.add(version, sources, promote_because="better", rival=registry.champion().id)


@pytest.fixture
def nights(database: FeedbackDatabase, registry: VersionRegistry, ann: Judged, bob: Judged) -> None:
    """v1 learned from bob, v2 grew from it and learned from ann; each night's report shows what people asked."""
    add(registry, "v1", INITIAL, ("duel", bob.duel), ("thumb", bob.up))
    add(registry, "v2", "v1", ("duel", ann.duel), ("ranking", ann.ranking), ("correction", ann.correction))
    book = NightBook(database)
    for name in ("v1", "v2"):
        night = book.start("quick", 1, practice=False)
        shown = [{"prompt": f"{WORDS}, by {name}"}]
        report = {"samples": shown, "worst": shown, "kl": 0.5}
        book.finish(night, NightState.DONE, VerdictKind.PROMOTED, "", version_id=name, report=report)


def noted(database: FeedbackDatabase) -> set[tuple[str, str]]:
    return {(row["source_kind"], row["source_id"]) for row in rows(database, "SELECT * FROM erased_sources")}


@pytest.mark.usefixtures("nights")
def test_what_a_deleted_person_taught_is_tainted_by_what_erasing_noted(
    store: FeedbackStore, registry: VersionRegistry, database: FeedbackDatabase, ann: Judged
) -> None:
    assert store.erase_person(ANN).versions == ("v2",)
    gone = registry.tainted()
    assert gone == {"v2": {("duel", ann.duel), ("ranking", ann.ranking), ("correction", ann.correction)}}
    assert gone["v2"] <= noted(database)
    assert registry.retire_tainted() == ("v2",)
    assert registry.champion().id == "v1"
    assert registry.rebuild_is_due()


@pytest.mark.usefixtures("nights")
@pytest.mark.parametrize("kind", [FeedbackKind.DUEL, FeedbackKind.RANKING, FeedbackKind.CORRECTION])
def test_one_deleted_item_is_enough(
    store: FeedbackStore, registry: VersionRegistry, database: FeedbackDatabase, ann: Judged, kind: FeedbackKind
) -> None:
    store.erase_feedback(kind, getattr(ann, kind.value), ANN)
    assert registry.tainted() == {"v2": {(kind.value, getattr(ann, kind.value))}}
    assert noted(database) == registry.tainted()["v2"]


@pytest.mark.usefixtures("nights")
def test_what_no_version_learned_from_retires_nothing(
    store: FeedbackStore, registry: VersionRegistry, bob: Judged
) -> None:
    store.erase_feedback(FeedbackKind.THUMB, bob.down, BOB)
    assert registry.tainted() == {}
    assert registry.retire_tainted() == ()


@pytest.mark.usefixtures("nights")
def test_what_grew_from_a_deleted_judgement_goes_with_it(store: FeedbackStore, registry: VersionRegistry) -> None:
    assert store.erase_person(BOB).versions == ("v1",)
    assert registry.retire_tainted() == ("v1", "v2")
    assert registry.champion().id == INITIAL


@pytest.mark.usefixtures("nights")
def test_the_probation_of_a_retired_version_is_over(store: FeedbackStore, registry: VersionRegistry) -> None:
    store.erase_person(ANN)
    watched = registry.probation()
    assert watched is not None
    assert watched.version_id == "v2"
    registry.retire_tainted()
    assert registry.probation() is None
    assert registry.probations()[-1].fate == "ended"
    assert registry.probations()[-1].reason_zh == "用来训练它的评判已被删除。"


@pytest.mark.usefixtures("nights")
def test_votes_do_not_confirm_a_version_whose_judgements_were_deleted(
    store: FeedbackStore, registry: VersionRegistry
) -> None:
    watched = registry.probation()
    assert watched is not None
    store.erase_person(ANN)
    registry.roll_back(watched, BETTER)
    add(registry, "v3", "v2")  # grew from it
    watched = registry.probation()
    assert watched is not None
    assert not registry.confirm(watched, BETTER)
    assert registry.probation() is None
    assert registry.probations()[-1].fate == "ended"


@pytest.mark.usefixtures("nights")
def test_judgements_of_a_retired_version_are_new_to_the_page_as_to_the_night(
    store: FeedbackStore, registry: VersionRegistry
) -> None:
    before = store.tally().new
    assert registry.used_sources()
    store.erase_person(ANN)
    store.erase_feedback(FeedbackKind.DUEL, next(iter(registry.receipts("v1")))[1], BOB)
    registry.retire_tainted()
    assert registry.used_sources() == set()
    assert before != store.tally().new == 5  # all that bob has left, his thumb that v1 had learned from too


@pytest.mark.usefixtures("nights")
def test_the_next_night_removes_the_folder_and_peoples_words_from_the_report(
    store: FeedbackStore, registry: VersionRegistry, database: FeedbackDatabase, tmp_path: Path
) -> None:
    for name in ("v1", "v2"):
        folder = tmp_path / "versions" / name
        folder.mkdir(parents=True)
        (folder / "report.json").write_text(WORDS, encoding="utf-8")
    store.erase_person(ANN)
    book = NightBook(database)
    night = book.start("quick", 1, practice=False)
    settings = load_settings(db=database.path, versions=tmp_path / "versions", model="none is needed")
    said: list[str] = []
    plan = NightPlan(settings, EFFORTS["quick"], seed=1, practice=False)
    work = NightWork(tmp_path / "versions", night)
    stages = Stages(plan, database, night, NightLog(book, night, said.append), work)
    stages.retire()
    assert [folder.name for folder in (tmp_path / "versions").iterdir() if folder.name.startswith("v")] == ["v1"]
    reports = {told.version_id: told.report for told in book.nights() if told.version_id}
    assert reports["v2"] == {"kl": 0.5}
    assert WORDS in json.dumps(reports["v1"])  # bob's, who is still there
    assert stages.champion_before == "v1"
    assert any("Retired v2" in line for line in said)


def test_the_night_after_a_retirement_needs_nothing_new_but_enough() -> None:
    assert Shortage(40.0, 0).missing == 20
    assert Shortage(40.0, 0, is_rebuild=True).missing == 0
    assert Shortage(10.0, 0, is_rebuild=True).missing == 50


def test_a_deleted_conversation_is_not_to_be_learned_from(store: FeedbackStore, ann: Judged, bob: Judged) -> None:
    anns = {("thumb", ann.up), ("duel", ann.duel), ("ranking", ann.ranking), ("correction", ann.correction)}
    everything = {*anns, ("thumb", bob.up), ("duel", bob.duel)}
    assert store.not_to_be_learned_from(everything) == set()
    store.set_deleted(ann.talk.id, ANN, deleted=True)
    assert store.not_to_be_learned_from(everything) == anns
