"""What became of a judgement, and what becomes of the versions it made when it is deleted."""

import json
from dataclasses import dataclass, replace

import pytest

from nightschool.errors import BadInput
from nightschool.feedback import FeedbackStore
from nightschool.records import INITIAL, DuelOutcome, NightState, ThumbValue, VerdictKind, Version
from nightschool.registry import NightBook, VersionRegistry
from nightschool.schema import FeedbackDatabase
from tests.talks import ANN, Talk


@dataclass
class Taught:
    """Three judgements: a duel, a thumb and a ranking, and versions that learned from them.

    v1 learned from the duel; v2 grew from v1 and learned from the duel and the thumb; w grew from the initial version
    and learned from the ranking alone.
    """

    duel: str
    thumb: str
    ranking: str


def add(registry: VersionRegistry, name: str, parent: str, *sources: tuple[str, str], day: int) -> None:
    version = Version(name, parent, f"9999-01-0{day}", None, "base", "manifest", VerdictKind.PROMOTED)
    registry.add(version, sources, promote_because="better")


@pytest.fixture
def taught(store: FeedbackStore, talk: Talk, database: FeedbackDatabase, registry: VersionRegistry) -> Taught:
    duel, left, right = talk.duel()
    store.decide_duel(duel, ANN, DuelOutcome.LEFT)
    store.set_thumb(left, ANN, ThumbValue.UP)
    ranking = store.rank(ANN, [left, right], [1, 2])
    thumb = str(next(database.read().query("SELECT id FROM thumbs"))["id"])
    add(registry, "w", INITIAL, ("ranking", ranking), day=1)
    add(registry, "v1", INITIAL, ("duel", duel), day=2)
    add(registry, "v2", "v1", ("duel", duel), ("thumb", thumb), day=3)
    return Taught(duel, thumb, ranking)


def delete(database: FeedbackDatabase, table: str, row_id: str) -> None:
    with database.write() as db:
        db.table(table).delete(row_id)


def test_the_versions_that_a_judgement_went_into_are_known(registry: VersionRegistry, taught: Taught) -> None:
    assert registry.versions_of([taught.duel, taught.thumb, taught.ranking, "nothing"]) == {
        taught.duel: ("v1", "v2"),
        taught.thumb: ("v2",),
        taught.ranking: ("w",),
    }
    assert registry.receipts("v2") == (("duel", taught.duel), ("thumb", taught.thumb))
    assert registry.receipts(INITIAL) == ()


def test_while_nothing_was_deleted_no_version_is_tainted(registry: VersionRegistry, taught: Taught) -> None:
    assert registry.tainted() == {}
    assert registry.retire_tainted() == ()
    assert registry.champion().id == "v2"
    assert not registry.rebuild_is_due()


def test_a_vote_that_was_changed_or_taken_back_taints_nothing(
    store: FeedbackStore, registry: VersionRegistry, taught: Taught, database: FeedbackDatabase
) -> None:
    reply = str(next(database.read().query("SELECT reply_id FROM thumbs"))["reply_id"])
    store.set_thumb(reply, ANN, None)
    store.set_consent(ANN, False)
    assert registry.tainted() == {}


def test_a_deleted_judgement_retires_what_it_made_and_the_version_before_answers(
    registry: VersionRegistry, taught: Taught, database: FeedbackDatabase
) -> None:
    delete(database, "thumbs", taught.thumb)
    assert registry.tainted() == {"v2": {("thumb", taught.thumb)}}
    assert registry.champion().id == "v2"  # until the next night
    assert registry.rebuild_is_due()
    assert registry.retire_tainted() == ("v2",)
    assert registry.champion().id == "v1"
    assert [version.id for version in registry.list()] == [INITIAL, "w", "v1"]
    assert {version.id for version in registry.list(retired=True)} == {INITIAL, "w", "v1", "v2"}
    assert registry.get("v2").retired_at is not None  # its replies still name it
    assert registry.next_number() == 4  # no later version takes its number
    assert registry.retire_tainted() == ()  # once
    assert registry.rebuild_is_due()  # until a newer version is there
    add(registry, "v3", "v1", ("duel", taught.duel), day=4)
    assert not registry.rebuild_is_due()


def test_everything_that_a_person_deletes_taints_what_it_made(
    store: FeedbackStore, registry: VersionRegistry, taught: Taught
) -> None:
    erased = store.erase_person(ANN)
    assert set(erased.versions) == {"w", "v1", "v2"} == registry.tainted().keys()
    assert registry.tainted()["v2"] == {("duel", taught.duel), ("thumb", taught.thumb)}
    assert registry.retire_tainted() == ("v1", "v2", "w")
    assert registry.champion().id == INITIAL


def test_what_grew_from_a_tainted_version_is_tainted_too(
    registry: VersionRegistry, taught: Taught, database: FeedbackDatabase
) -> None:
    add(
        registry, "v3", "v2", ("ranking", taught.ranking), day=4
    )  # began with v2's weights, which learned from the duel
    delete(database, "duels", taught.duel)
    gone = {("duel", taught.duel)}
    assert registry.tainted() == {"v1": gone, "v2": gone, "v3": gone}
    assert registry.retire_tainted() == ("v1", "v2", "v3")
    assert registry.champion().id == INITIAL
    assert {version.id for version in registry.list()} == {INITIAL, "w"}


def test_a_retired_or_tainted_version_is_not_promoted_again(
    registry: VersionRegistry, taught: Taught, database: FeedbackDatabase
) -> None:
    registry.promote("v1", "rolled back")
    delete(database, "thumbs", taught.thumb)
    for _ in ("tainted", "retired"):
        with pytest.raises(BadInput, match="The version v2 learned from judgements that were deleted since"):
            registry.promote("v2", "by hand")
        assert registry.champion().id == "v1"
        registry.retire_tainted()


def test_judgements_of_a_retired_version_count_as_new_again(
    registry: VersionRegistry, taught: Taught, database: FeedbackDatabase
) -> None:
    assert ("thumb", taught.thumb) in registry.used_sources()
    delete(database, "duels", taught.duel)
    registry.retire_tainted()
    assert registry.used_sources() == {("ranking", taught.ranking)}


def test_the_forebears_of_a_version_are_those_it_grew_from_without_retired_ones(
    registry: VersionRegistry, taught: Taught, database: FeedbackDatabase
) -> None:
    assert [version.id for version in registry.forebears(registry.get("v2"))] == ["v1", INITIAL]
    assert registry.forebears(registry.get(INITIAL)) == ()
    delete(database, "duels", taught.duel)
    registry.retire_tainted()
    assert [version.id for version in registry.forebears(registry.get("v2"))] == [INITIAL]


def test_peoples_words_go_from_the_report_of_a_retired_versions_night_and_its_numbers_stay(
    registry: VersionRegistry, taught: Taught, database: FeedbackDatabase, book: NightBook
) -> None:
    nights = {}
    for name in ("v1", "v2"):
        nights[name] = book.start("quick", 1, practice=False)
        report = {"samples": [{"prompt": f"words of people in {name}"}], "kl": 0.5}
        book.finish(nights[name], NightState.DONE, VerdictKind.PROMOTED, "", version_id=name, report=report)
    delete(database, "thumbs", taught.thumb)
    registry.retire_tainted()
    reports = {name: json.dumps(night.report) for name in nights if (night := book.night(nights[name]))}
    assert "words of people" in reports["v1"]
    assert reports["v2"] == '{"kl": 0.5}'


def test_retiring_is_one_transaction(registry: VersionRegistry, taught: Taught, database: FeedbackDatabase) -> None:
    delete(database, "duels", taught.duel)
    with database.write() as db:
        db.execute("CREATE TRIGGER refuse BEFORE INSERT ON promotions BEGIN SELECT RAISE(ABORT, 'no'); END")
    with pytest.raises(Exception, match="no"):
        registry.retire_tainted()
    assert registry.champion() == registry.get("v2")
    assert replace(registry.get("v1"), retired_at=None) == registry.get("v1")
