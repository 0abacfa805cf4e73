"""The training set of a version is told by its receipts: rebuilt from them it has the same hash, or is told to differ."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightschool.errors import DamagedVersion
from nightschool.feedback import FeedbackStore
from nightschool.records import (
    Correction,
    Duel,
    DuelOutcome,
    FeedbackSnapshot,
    Ranking,
    Reply,
    ReplyStatus,
    Thumb,
    ThumbValue,
)
from nightschool.schema import FeedbackDatabase
from tests.talks import ANN, BOB, Talk, start_talk
from training.judgements import Judgements
from training.receipt_check import (
    Receipt,
    conversations_of,
    read_receipts,
    rebuild,
    receipts_for,
    receipts_to_json,
    training_set_sha256,
)
from training.receipts import judgements_of, split_of_snapshot
from training.split import Side, Split

# ---- the hash --------------------------------------------------------------------------------------------------------

numbers = st.integers(0, 5)


@st.composite
def snapshots(draw: st.DrawFn) -> FeedbackSnapshot:
    """Judgements of two people in three conversations, on few different replies, so that votes meet and are replaced."""

    def reply(number: int) -> Reply:
        # Replies 4 and 5 have the tokens of 0 and 1; 3 has none.
        tokens = () if number == 3 else (number % 4 + 10, 2)
        text = f"reply of some length {number % 4}"
        return Reply(f"r{number}", "initial", text, ReplyStatus.DONE, (1, 2), tokens, f"2026-01-0{number + 1}")

    def who() -> str:
        return draw(st.sampled_from(["ann", "bob"]))

    def talk() -> tuple[str, str]:
        place = draw(st.integers(0, 2))
        return f"c{place}", f"q{place}"

    def when() -> str:
        return f"2026-02-{draw(st.integers(10, 28))}"

    duels, thumbs, rankings, corrections = [], [], [], []
    for number in range(draw(st.integers(0, 8))):
        conversation, question = talk()
        outcome = draw(st.sampled_from(DuelOutcome))
        sides = reply(draw(numbers)), reply(draw(numbers))
        duels.append(Duel(f"d{number}", conversation, question, who(), *sides, outcome, when()))
    for number in range(draw(st.integers(0, 10))):
        conversation, question = talk()
        value = draw(st.sampled_from(ThumbValue))
        thumbs.append(Thumb(f"t{number}", who(), conversation, value, when(), reply(draw(numbers)), question))
    for number in range(draw(st.integers(0, 3))):
        conversation, question = talk()
        count = draw(st.integers(2, 4))
        ranked = tuple(reply(draw(numbers)) for _ in range(count))
        ranks = tuple(draw(st.lists(st.integers(1, 3), min_size=count, max_size=count)))
        rankings.append(Ranking(f"k{number}", who(), conversation, question, ranked, ranks, when()))
    for number in range(draw(st.integers(0, 4))):
        text = draw(st.sampled_from(["reply of some length 0", "something else", "quite another thing"]))
        given_to = reply(draw(numbers))
        corrections.append(Correction(f"x{number}", who(), talk()[0], given_to, text, (90, number % 2, 2), when()))
    openings = {f"c{place}": f"question number {place * 7919} of its own" for place in range(3)}
    return FeedbackSnapshot("2026-03-01", tuple(duels), tuple(thumbs), openings, tuple(rankings), tuple(corrections))


def only(snapshot: FeedbackSnapshot, sources: set[tuple[str, str]]) -> FeedbackSnapshot:
    """What the store returns for these receipts."""
    return replace(
        snapshot,
        duels=tuple(row for row in snapshot.duels if ("duel", row.id) in sources),
        thumbs=tuple(row for row in snapshot.thumbs if ("thumb", row.id) in sources),
        rankings=tuple(row for row in snapshot.rankings if ("ranking", row.id) in sources),
        corrections=tuple(row for row in snapshot.corrections if ("correction", row.id) in sources),
        openings={},
    )


@given(snapshots())
def test_the_rows_that_the_receipts_name_make_the_very_same_training_set(snapshot: FeedbackSnapshot) -> None:
    judgements = judgements_of(snapshot)
    receipts = receipts_for(judgements)
    kept = only(snapshot, {each.source for each in receipts})
    conversations = conversations_of(kept)
    split = Split(
        {conversations[each.source]: each.side for each in receipts},
        {conversations[each.source]: str(each.component) for each in receipts},
    )
    assert training_set_sha256(judgements_of(kept, split)) == training_set_sha256(judgements)


@given(snapshots(), st.randoms())
def test_the_hash_does_not_depend_on_order_and_does_on_everything_else(snapshot: FeedbackSnapshot, random) -> None:  # type: ignore[no-untyped-def]
    judgements = judgements_of(snapshot)
    before = training_set_sha256(judgements)
    pairs, thumbs = list(judgements.pairs), list(judgements.thumbs)
    random.shuffle(pairs)
    random.shuffle(thumbs)
    assert training_set_sha256(Judgements(tuple(pairs), tuple(thumbs))) == before
    if pairs:
        for change in (
            {"left": pairs[0].right, "right": pairs[0].left},
            {"weight": pairs[0].weight + 0.001},
            {"person": "somebody else"},
            {"created_at": "another day"},
            {"side": Side.EXAM if pairs[0].side is Side.TRAIN else Side.TRAIN},
            {"source": ("duel", "another")},
        ):
            changed = Judgements((replace(pairs[0], **change), *pairs[1:]), tuple(thumbs))  # type: ignore[arg-type]
            assert training_set_sha256(changed) != before, change
        assert training_set_sha256(Judgements(tuple(pairs[1:]), tuple(thumbs))) != before
    if thumbs:
        changed = Judgements(tuple(pairs), (replace(thumbs[0], is_up=not thumbs[0].is_up), *thumbs[1:]))
        assert training_set_sha256(changed) != before


# ---- from the database -----------------------------------------------------------------------------------------------


def judge(store: FeedbackStore) -> Talk:
    """One judgement of each kind, in two conversations that begin alike and one that does not."""
    talk = start_talk(store)
    reply, other = talk.answer("so so"), talk.answer("other")
    store.finish_reply(other, "other", [6, 7], ReplyStatus.DONE)
    store.set_thumb(reply, ANN, ThumbValue.DOWN)
    store.rank(ANN, [reply, other], [1, 2])
    store.correct(reply, ANN, "quite another answer", [8, 9])
    for person, question in ((ANN, "How do magnets work ?"), (BOB, "Who was the first person on the moon, and when?")):
        duel, left, _ = start_talk(store, question, person).duel() if person == ANN else _duel(store, person, question)
        store.finish_reply(left, "left text", [11], ReplyStatus.DONE)
        store.decide_duel(duel, person, DuelOutcome.LEFT)
    return talk


def _duel(store: FeedbackStore, person: str, question: str) -> tuple[str, str, str]:
    talk = start_talk(store, question, person)
    replies = talk.answer("left text", show=False), talk.answer("right text", show=False)
    return store.start_duel(talk.id, talk.question, person, *replies), *replies


def sealed(store: FeedbackStore) -> tuple[list[Receipt], str]:
    """Receipts and hash as a night of now would record them."""
    snapshot = store.snapshot()
    judgements = judgements_of(snapshot, split_of_snapshot(snapshot))
    return receipts_for(judgements), training_set_sha256(judgements)


def test_later_votes_changed_minds_and_new_conversations_do_not_change_what_receipts_rebuild(
    store: FeedbackStore,
) -> None:
    talk = judge(store)
    receipts, told = sealed(store)
    assert len(receipts) == 5
    assert len({each.component for each in receipts}) == 2
    assert rebuild(store, receipts, told).is_same
    judge(store)  # more of the same
    thumbed = store.branch(talk.id, None, ANN) or store.snapshot().thumbs[0].reply
    assert not isinstance(thumbed, list)
    store.set_thumb(thumbed.id, ANN, ThumbValue.UP)
    store.correct(thumbed.id, ANN, "thought over once more", [8])
    store.set_consent(ANN, False)
    assert sealed(store)[1] != told
    again = rebuild(store, receipts, told)
    assert again.is_same
    assert again.gone == ()


def test_a_deleted_judgement_is_named_and_the_hash_differs(store: FeedbackStore, database: FeedbackDatabase) -> None:
    judge(store)
    receipts, told = sealed(store)
    with database.write() as db:
        thumb = db.execute("SELECT id FROM thumbs").fetchone()[0]
        db.table("thumbs").delete(thumb)
    found = rebuild(store, receipts, told)
    assert not found.is_same
    assert found.gone == (("thumb", thumb),)


def test_a_row_that_another_program_changed_is_seen(store: FeedbackStore, database: FeedbackDatabase) -> None:
    judge(store)
    receipts, told = sealed(store)
    with database.write() as db:
        db.execute("UPDATE duels SET outcome = 'right'")
    found = rebuild(store, receipts, told)
    assert not found.is_same
    assert found.gone == ()


# ---- the files -------------------------------------------------------------------------------------------------------


def test_receipts_come_back_from_their_files_and_hold_no_words_of_people(store: FeedbackStore, tmp_path: Path) -> None:
    judge(store)
    receipts, told = sealed(store)
    text = json.dumps(receipts_to_json(receipts))
    assert "magnets" not in text
    assert "moon" not in text
    (tmp_path / "receipts.json").write_text(text)
    (tmp_path / "config.json").write_text(json.dumps({"training_set": told}))
    assert read_receipts(tmp_path) == (receipts, told)


def test_receipts_from_before_there_was_a_hash_are_read_without_one(tmp_path: Path) -> None:
    (tmp_path / "receipts.json").write_text('[{"kind": "duel", "id": "d"}]')
    (tmp_path / "config.json").write_text("{}")
    assert read_receipts(tmp_path) == ([Receipt(("duel", "d"), Side.TRAIN, 0)], None)


@pytest.mark.parametrize("text", ["", "{}x", '[{"kind": "duel"}]', '[{"kind": "duel", "id": "d", "side": "moon"}]', "[1]"])
def test_receipts_that_cannot_be_read_are_told_in_a_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "receipts.json").write_text(text)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(DamagedVersion, match="cannot be read"):
        read_receipts(tmp_path)
