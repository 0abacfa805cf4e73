"""Deleting for good: what goes, what stays, and that no byte of it is left in the files."""

from pathlib import Path

import pytest

from nightschool.browsing import FeedbackFilter, FeedbackKind
from nightschool.errors import BadInput
from nightschool.feedback import FeedbackStore
from nightschool.ids import utc_now
from nightschool.records import (
    DuelOutcome,
    Message,
    Preference,
    ReplyStatus,
    RoundOutcome,
    Style,
    ThumbValue,
    VerdictKind,
    Version,
)
from nightschool.registry import VersionRegistry
from nightschool.schema import FeedbackDatabase
from tests.judged import Judged, judge_everything
from tests.talks import ANN, BOB, Talk, rows, start_talk

CANARY = "zanzibar-canary"
MINE = FeedbackFilter(person_id=ANN)


def bytes_with(path: Path, words: str) -> list[str]:
    """The database's files in which these words stand."""
    return [file.name for file in path.parent.iterdir() if words.encode() in file.read_bytes()]


@pytest.fixture
def judged(store: FeedbackStore) -> Judged:
    return judge_everything(store)


@pytest.mark.parametrize("name", ["up", "down", "duel", "both_bad", "ranking", "correction"])
def test_one_item_is_deleted_and_the_others_stay(store: FeedbackStore, judged: Judged, name: str) -> None:
    before = store.feedback(MINE)
    gone = next(item for item in before if item.id == getattr(judged, name))
    store.erase_feedback(gone.kind, gone.id, ANN)
    assert store.feedback(MINE) == [item for item in before if item != gone]
    assert judged.talk.texts()  # the conversation stays


@pytest.mark.parametrize("kind", FeedbackKind)
def test_somebody_elses_item_is_not_there(store: FeedbackStore, judged: Judged, kind: FeedbackKind) -> None:
    item = next(item for item in store.feedback(MINE) if item.kind is kind)
    with pytest.raises(BadInput, match="not yours or does not exist"):
        store.erase_feedback(kind, item.id, BOB)
    wrong_kind = next(other for other in FeedbackKind if other is not kind)
    with pytest.raises(BadInput, match="not yours or does not exist"):
        store.erase_feedback(wrong_kind, item.id, ANN)
    assert len(store.feedback(MINE)) == 6
    store.erase_feedback(kind, item.id, None)  # the owner
    assert len(store.feedback(MINE)) == 5


def test_an_item_goes_with_its_history(store: FeedbackStore, talk: Talk, database: FeedbackDatabase) -> None:
    reply, other = talk.answer("so so"), talk.answer("other")
    for value in (ThumbValue.UP, ThumbValue.DOWN):
        store.set_thumb(reply, ANN, value)
    for text in ("better", "best"):
        store.correct(reply, ANN, text, [1])
    for ranks in ([1, 2], [2, 1]):
        store.rank(ANN, [reply, other], ranks)
    for item in store.feedback(MINE):
        store.erase_feedback(item.kind, item.id, ANN)
    for table in ("thumbs", "corrections", "rankings", "ranked_replies"):
        assert rows(database, f"SELECT * FROM {table}") == []
    assert store.feedback(MINE) == []


def test_an_imported_item_goes_with_the_conversation_that_was_made_for_it(
    store: FeedbackStore, database: FeedbackDatabase
) -> None:
    pair = Preference("key", (Message("user", "Hm?"),), (1,), ("a", (2,)), ("b", (3,)), DuelOutcome.RIGHT)
    store.import_preferences("importer", [pair])
    [item] = store.feedback(FeedbackFilter())
    store.erase_feedback(item.kind, item.id, None)
    assert rows(database, "SELECT * FROM messages") == []
    assert store.import_preferences("importer", [pair]) == 1  # and may come again


def test_everything_of_a_person_is_gone_and_nothing_of_anybody_else(
    store: FeedbackStore, judged: Judged, database: FeedbackDatabase
) -> None:
    judge_everything(store, BOB)
    store.keep_sides({judged.talk.id: "train"})
    store.set_consent(ANN, False)
    bobs = store.feedback(FeedbackFilter(person_id=BOB))
    erasure = store.erase_person(ANN)
    assert erasure.rows["conversations"] == 1
    assert erasure.rows["thumbs"] == 2
    assert store.feedback(FeedbackFilter()) == bobs
    assert [row["id"] for row in rows(database, "SELECT id FROM people")] == [BOB]
    assert store.conversations(ANN) == []
    assert rows(database, "SELECT * FROM split_sides") == []
    assert rows(database, "PRAGMA foreign_key_check") == []
    assert rows(database, "PRAGMA integrity_check") == [{"integrity_check": "ok"}]


def test_no_byte_of_a_deleted_person_is_left_in_the_files(store: FeedbackStore, database: FeedbackDatabase) -> None:
    for number in range(30):
        talk = start_talk(store, f"{CANARY} question {number}")
        reply = talk.answer(f"{CANARY} answer {number} " + "long " * (number * 40))
        store.correct(reply, ANN, f"{CANARY} correction {number}", [1])
        start_talk(store, f"quiet question {number}", BOB).answer("quiet answer " * number)
    assert bytes_with(database.path, CANARY)
    store.erase_person(ANN)
    assert bytes_with(database.path, CANARY) == []
    assert bytes_with(database.path, "quiet question")


def test_full_text_search_forgets_too(store: FeedbackStore, database: FeedbackDatabase) -> None:
    for person in (ANN, "carl", "dora"):  # each after the index was merged for the one before
        for number in range(20):
            judge_everything(store, person, f"Who is {CANARY} {number}?")
            judge_everything(store, BOB, f"Who is quiet {number} beside {person}?")
        assert len(store.search(person, CANARY)) == 20
        store.erase_person(person)
        assert store.search(person, CANARY) == []
        for part in (CANARY, "zan", "zib", "ary"):  # the index keeps words in pieces
            assert bytes_with(database.path, part) == []
    assert len(store.search(BOB, "beside dora")) == 20
    for table in ("messages", "conversations"):
        with database.write() as db:  # raises where an index says something else than its table
            db.execute(f"INSERT INTO {table}_fts ({table}_fts, rank) VALUES ('integrity-check', 1)")


def live(store: FeedbackStore, database: FeedbackDatabase, person: str, mark: str) -> None:
    """A person leaves their words, and rows of every kind, wherever a page lets them."""
    style = Style(f"{mark} system prompt", 0.5, 20)
    for deleted in (False, True):
        conversation = store.start_conversation(person, f"{mark} title", style)
        talk = Talk(store, conversation, store.add_message(conversation, None, Message("user", f"{mark} question")))
        reply, other = talk.answer(f"{mark} answer"), talk.answer(f"{mark} another answer")
        store.rename(conversation, person, f"{mark} new title")
        for value, reason in ((ThumbValue.UP, "helpful"), (ThumbValue.DOWN, "wrong"), (None, "")):
            store.set_thumb(reply, person, value, reasons=[reason] if reason else [], comment=f"{mark} {value}")
        store.set_thumb(other, person, ThumbValue.UP, comment=f"{mark} comment")
        for text in ("first", "second"):
            store.correct(reply, person, f"{mark} {text} correction", [1])
        store.withdraw_correction(reply, person)
        store.correct(other, person, f"{mark} correction", [1])
        store.rank(person, [reply, other], [1, 2])
        duels = [store.start_duel(conversation, talk.question, person, reply, other)]
        store.decide_duel(duels[-1], person, DuelOutcome.LEFT)
        duels.append(store.start_duel(conversation, talk.question, person, reply, other))
        store.decline_duel(duels[-1], person)
        store.start_duel(conversation, talk.question, person, reply, other)
        store.keep_sides({conversation: "train"})
        store.set_deleted(conversation, person, deleted)
    for end in ("ranked", "taken back", "skipped", "open"):
        begin_round(store, person, end, mark)
    store.set_consent(person, False)


def begin_round(store: FeedbackStore, person: str, end: str, mark: str = "") -> str:
    """A round of the Rank page that came to this end; its conversation."""
    round_id, conversation, question = store.start_round(person, "en-story-001", "en", f"{mark} prompt")
    talk = Talk(store, conversation, question)
    replies = [talk.answer(f"{mark} reply {number}", show=False) for number in range(3)]
    store.seat_replies(round_id, replies)
    if end in {"ranked", "taken back"}:
        store.rank_round(round_id, person, replies, [1, 2, 3])
    if end == "skipped":
        store.close_round(round_id, person, RoundOutcome.SKIPPED)
    if end == "taken back":
        store.reopen_last_round(person, "en")
    return conversation


def test_no_row_of_any_table_holds_a_word_or_the_id_of_who_deleted_everything(
    store: FeedbackStore, database: FeedbackDatabase
) -> None:
    mine, theirs = "7d0c5b7e-of-mine", "7d0c5b7e-of-theirs"
    live(store, database, mine, CANARY)
    live(store, database, theirs, "quiet")
    tables = [row["name"] for row in rows(database, "SELECT name FROM sqlite_master WHERE type IN ('table', 'view')")]

    def holding(word: str) -> set[str]:
        return {table for table in tables if word in str(rows(database, f"SELECT * FROM [{table}]"))}

    # A table that comes later is to be filled above, or named here: nothing of a person is in it.
    empty = {table for table in tables if not rows(database, f"SELECT * FROM [{table}]")}
    assert empty == {
        "nights", "night_stages", "night_log", "night_metrics", "promotions", "receipts", "ended_sessions",
        "erased_sources", "nightly_clock", "nightly_dates", "probations", "used_sources",
    }  # fmt: skip
    assert holding(mine)
    assert holding(CANARY)
    store.erase_person(mine)
    assert holding(CANARY) == holding(mine) == set()
    assert bytes_with(database.path, CANARY) == bytes_with(database.path, mine) == []
    # The test would see them: somebody else's are all there.
    of_them = {"people", "conversations", "thumbs", "duels", "rankings", "corrections", "ranking_rounds"}
    assert of_them <= holding(theirs)
    assert {"messages", "thumbs", "corrections", "conversations"} <= holding("quiet")
    assert {table for table in tables if not rows(database, f"SELECT * FROM [{table}]")} == empty - {"erased_sources"}


def test_a_ranking_of_the_rank_page_goes_with_its_round_and_never_shows_up_in_the_chat(
    store: FeedbackStore, database: FeedbackDatabase
) -> None:
    begin_round(store, ANN, "ranked")
    [item] = store.feedback(MINE)
    assert store.conversations(ANN) == []
    store.erase_feedback(item.kind, item.id, ANN)
    assert store.feedback(MINE) == store.conversations(ANN) == []
    for table in ("ranking_rounds", "seated_replies", "rankings", "conversations", "messages"):
        assert rows(database, f"SELECT * FROM {table}") == []


def test_rows_of_tables_that_came_later_are_deleted_by_their_foreign_keys(
    store: FeedbackStore, judged: Judged, database: FeedbackDatabase
) -> None:
    with database.write() as db:
        db.execute("CREATE TABLE notes (id TEXT PRIMARY KEY, duel_id TEXT NOT NULL REFERENCES duels(id)) STRICT")
        db.table("notes").insert({"id": "n", "duel_id": judged.duel})
    assert store.erase_person(ANN).rows["notes"] == 1
    assert rows(database, "SELECT * FROM notes") == []


def test_ids_of_deleted_judgements_stay_and_name_the_versions_that_learned_from_them(
    store: FeedbackStore, judged: Judged, database: FeedbackDatabase, registry: VersionRegistry
) -> None:
    version = Version("v1", "initial", utc_now(), None, None, None, VerdictKind.PROMOTED)
    registry.add(version, [("duel", judged.duel), ("thumb", judged.up)])
    assert store.erase_feedback(FeedbackKind.THUMB, judged.down, ANN).versions == ()
    assert store.erase_person(ANN).versions == ("v1",)
    noted = {(row["source_kind"], row["source_id"]) for row in rows(database, "SELECT * FROM erased_sources")}
    everything = {("thumb", judged.up), ("thumb", judged.down), ("duel", judged.duel), ("duel", judged.both_bad)}
    assert noted == {*everything, ("ranking", judged.ranking), ("correction", judged.correction)}
    assert ANN not in str(rows(database, "SELECT * FROM erased_sources"))


def test_nothing_is_deleted_while_an_answer_is_being_written(store: FeedbackStore, judged: Judged) -> None:
    reply = judged.talk.answer("", status=ReplyStatus.STREAMING)
    with pytest.raises(BadInput, match="still being written"):
        store.erase_person(ANN)
    assert len(store.feedback(MINE)) == 6
    store.finish_reply(reply, "done", [1], ReplyStatus.DONE)
    store.erase_person(ANN)
    assert store.feedback(MINE) == []


def test_somebody_unknown_has_nothing_to_delete(store: FeedbackStore, judged: Judged) -> None:
    assert store.erase_person("nobody").rows == {}
    assert len(store.feedback(MINE)) == 6


def test_who_deleted_everything_may_begin_anew(store: FeedbackStore, judged: Judged) -> None:
    store.erase_person(ANN)
    judge_everything(store)
    assert len(store.feedback(MINE)) == 6
    assert store.consent(ANN)
