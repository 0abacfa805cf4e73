"""What a visitor can do with feedback, and what only an owner can."""

import json

import pytest

from demo.feedback_room import PAGE_SIZE, FeedbackRoom, Scope, Visitor
from nightschool.browsing import FeedbackFilter, FeedbackKind
from nightschool.errors import BadInput
from nightschool.examples import TrainerFormat
from nightschool.feedback import FeedbackStore
from nightschool.records import INITIAL, ThumbValue, VerdictKind, Version
from nightschool.registry import VersionRegistry
from tests.judged import judge_everything
from tests.scripted_engine import ScriptedEngine
from tests.talks import ANN, BOB, start_talk

VISITOR, OWNER = Visitor(ANN, is_owner=False), Visitor(ANN, is_owner=True)
EVERYTHING = FeedbackFilter()


@pytest.fixture
def room(store: FeedbackStore, registry: VersionRegistry) -> FeedbackRoom:
    judge_everything(store)
    judge_everything(store, BOB, "And electricity?")
    return FeedbackRoom(store, ScriptedEngine(), registry)


def test_a_visitor_sees_their_own_and_an_owner_everybodys(room: FeedbackRoom) -> None:
    mine = room.shelf(VISITOR, Scope.MINE, EVERYTHING, 0, 0)
    assert {item.person_id for item in mine.items} == {ANN}
    assert (mine.counts.total, mine.people) == (6, ())
    with pytest.raises(BadInput, match="Only the owner"):
        room.shelf(VISITOR, Scope.ALL, EVERYTHING, 0, 0)
    everybodys = room.shelf(OWNER, Scope.ALL, EVERYTHING, 0, 0)
    assert everybodys.counts.total == 12
    assert dict(everybodys.people) == {ANN: 6, BOB: 6}
    assert room.shelf(OWNER, Scope.ALL, FeedbackFilter(person_id=BOB), 0, 0).counts.total == 6


def test_a_filter_by_person_opens_nothing_of_somebody_elses(room: FeedbackRoom) -> None:
    of_bob = FeedbackFilter(person_id=BOB)
    assert {item.person_id for item in room.shelf(VISITOR, Scope.MINE, of_bob, 0, 0).items} == {ANN}
    assert b"electricity" not in room.listed(VISITOR, Scope.MINE, of_bob)


def test_pages_are_whole_and_one_too_far_is_the_last(room: FeedbackRoom, store: FeedbackStore) -> None:
    talk = start_talk(store)
    for number in range(PAGE_SIZE):
        store.set_thumb(talk.answer(f"answer {number}"), ANN, ThumbValue.UP)
    last = room.shelf(VISITOR, Scope.MINE, EVERYTHING, 99, 0)
    assert (last.page, last.pages, len(last.items)) == (1, 2, 6)
    first = room.shelf(VISITOR, Scope.MINE, EVERYTHING, -1, 0)
    assert (first.page, len(first.items)) == (0, PAGE_SIZE)
    assert room.shelf(Visitor("nobody", False), Scope.MINE, EVERYTHING, 3, 0).pages == 1


def test_a_judgement_tells_which_versions_it_went_into(
    room: FeedbackRoom, store: FeedbackStore, registry: VersionRegistry
) -> None:
    [duel, *_] = store.feedback(FeedbackFilter(person_id=ANN, kind=FeedbackKind.DUEL))
    for name, sources in (("v1", [("duel", duel.id)]), ("v2", [("duel", duel.id), ("thumb", "of somebody")])):
        registry.add(Version(name, INITIAL, f"2026-01-0{name[1]}", None, "base", "sha", VerdictKind.HELD), sources)
    assert room.shelf(VISITOR, Scope.MINE, EVERYTHING, 0, 0).learned_by == {duel.id: ("v1", "v2")}


def test_only_an_owner_deletes_what_is_somebody_elses(room: FeedbackRoom, store: FeedbackStore) -> None:
    [bobs] = store.feedback(FeedbackFilter(person_id=BOB, kind=FeedbackKind.RANKING))
    for scope in Scope:
        with pytest.raises(BadInput):
            room.delete(VISITOR, scope, bobs.kind, bobs.id)
    room.delete(OWNER, Scope.ALL, bobs.kind, bobs.id)
    assert store.count_feedback(EVERYTHING).total == 11


def test_everything_of_a_visitor_goes_and_nothing_else(room: FeedbackRoom, store: FeedbackStore) -> None:
    assert room.amount(VISITOR) == (6, 1)
    room.delete_everything(VISITOR)
    assert room.amount(VISITOR) == (0, 0)
    assert store.count_feedback(EVERYTHING).total == 6


def test_the_list_is_taken_along_whole_as_json_lines(room: FeedbackRoom) -> None:
    lines = [json.loads(line) for line in room.listed(VISITOR, Scope.MINE, EVERYTHING).decode().splitlines()]
    assert [line["kind"] for line in lines] == ["correction", "ranking", "duel", "duel", "thumb", "thumb"]
    assert lines[0]["corrected"] == "rich"
    assert lines[1]["answers"][0] == {"text": "first", "version": "initial", "mark": "1"}
    assert {line["person"] for line in lines} == {ANN}
    assert (lines[4]["reasons"], lines[4]["comment"]) == (["wrong"], "Not so.")
    thumbs = room.listed(VISITOR, Scope.MINE, FeedbackFilter(kind=FeedbackKind.THUMB))
    assert len(thumbs.splitlines()) == 2
    with pytest.raises(BadInput, match="Only the owner"):
        room.listed(VISITOR, Scope.ALL, EVERYTHING)
    assert len(room.listed(OWNER, Scope.ALL, EVERYTHING).splitlines()) == 12


def test_a_file_for_trainers_obeys_the_switch(room: FeedbackRoom) -> None:
    for_all = len(room.examples(OWNER, Scope.ALL, TrainerFormat.KTO, ".jsonl").splitlines())
    mine = len(room.examples(VISITOR, Scope.MINE, TrainerFormat.KTO, ".jsonl").splitlines())
    assert (for_all, mine) == (8, 4)
    room.allow(VISITOR, False)
    assert not room.consent(VISITOR)
    assert len(room.examples(OWNER, Scope.ALL, TrainerFormat.KTO, ".jsonl").splitlines()) == 4
    with pytest.raises(BadInput, match="nothing to export"):
        room.examples(VISITOR, Scope.MINE, TrainerFormat.KTO, ".jsonl")
    with pytest.raises(BadInput, match="Only the owner"):
        room.examples(VISITOR, Scope.ALL, TrainerFormat.KTO, ".jsonl")
    assert room.listed(VISITOR, Scope.MINE, EVERYTHING)  # their own stays theirs to take along


def test_only_an_owner_imports(room: FeedbackRoom, store: FeedbackStore) -> None:
    content = room.examples(OWNER, Scope.ALL, TrainerFormat.PREFERENCE, ".parquet")
    with pytest.raises(BadInput, match="Only the owner may import"):
        room.take(VISITOR, "file.parquet", content)
    assert store.count_feedback(EVERYTHING).total == 12
    assert room.take(OWNER, "file.parquet", content).added == 8
    again = room.take(OWNER, "file.parquet", content)
    assert (again.added, again.known) == (0, 8)


def test_what_a_file_may_be_is_bounded(room: FeedbackRoom, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("demo.feedback_room.LARGEST_IMPORT", 10)
    with pytest.raises(BadInput, match="larger than 0 MB"):
        room.take(OWNER, "file", b"x" * 11)
    with pytest.raises(BadInput, match="holds nothing to import"):
        room.take(OWNER, "file", b" " * 10)
    with pytest.raises(BadInput, match=r"ends with \.jsonl or \.parquet"):
        room.examples(OWNER, Scope.ALL, TrainerFormat.SFT, ".exe")
