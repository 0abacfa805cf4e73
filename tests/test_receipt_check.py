"""The training set of a version is told by its receipts: rebuilt from them it has the same hash, or that is told."""

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

QUESTIONS, REPLIES = 3, 5
"""How many questions, each in a conversation of its own, and how many replies to each."""


def reply(question: int, number: int) -> Reply:
    """Replies 3 and 4 came out as 0 and 1 did; 2 has no tokens."""
    tokens = () if number == 2 else (number % 3 + 10, 2)
    at = f"2026-01-0{number + 1}"
    return Reply(f"r{question}{number}", "initial", f"some words {number % 3}", ReplyStatus.DONE, (1,), tokens, at)


@st.composite
def snapshots(draw: st.DrawFn) -> FeedbackSnapshot:
    """What two people judged, as the store keeps it: of thumbs and corrections one by each person on each reply."""
    people = st.sampled_from(["ann", "bob"])
    questions, replies = st.integers(0, QUESTIONS - 1), st.integers(0, REPLIES - 1)
    days = st.integers(10, 28).map(lambda day: f"2026-02-{day}")
    on_replies = st.lists(st.tuples(people, questions, replies), unique=True, max_size=14)
    duels = []
    for n in range(draw(st.integers(0, 8))):
        q = draw(questions)
        sides = reply(q, draw(replies)), reply(q, draw(replies))
        duels.append(
            Duel(f"d{n}", f"c{q}", f"q{q}", draw(people), *sides, draw(st.sampled_from(DuelOutcome)), draw(days))
        )
    thumbs = [
        Thumb(f"t{n}", person, f"c{q}", draw(st.sampled_from(ThumbValue)), draw(days), reply(q, r), f"q{q}")
        for n, (person, q, r) in enumerate(draw(on_replies))
    ]
    texts = st.sampled_from(["some words 0", "others"])
    corrections = [
        Correction(f"x{n}", person, f"c{q}", reply(q, r), draw(texts), (90, n % 2), draw(days))
        for n, (person, q, r) in enumerate(draw(on_replies))
    ]
    rankings = []
    for n, (person, q) in enumerate(draw(st.lists(st.tuples(people, questions), unique=True, max_size=4))):
        order = draw(st.permutations(range(REPLIES)))[: draw(st.integers(2, 4))]
        ranks = tuple(draw(st.integers(1, 3)) for _ in order)
        rankings.append(
            Ranking(f"k{n}", person, f"c{q}", f"q{q}", tuple(reply(q, r) for r in order), ranks, draw(days))
        )
    openings = {f"c{question}": f"question number {question * 7919} of its own" for question in range(QUESTIONS)}
    return FeedbackSnapshot("2026-03-01", tuple(duels), tuple(thumbs), openings, tuple(rankings), tuple(corrections))


@given(snapshots())
def test_the_rows_that_the_receipts_name_make_the_very_same_training_set(snapshot: FeedbackSnapshot) -> None:
    split = split_of_snapshot(snapshot)
    judgements = judgements_of(snapshot, split)
    receipts = receipts_for(judgements, snapshot, split)
    assert [each.source for each in receipts if each.is_used] == judgements.sources()
    conversations = conversations_of(snapshot)
    told = Split(
        {conversations[each.source]: each.side for each in receipts},
        {conversations[each.source]: str(each.component) for each in receipts},
    )
    assert training_set_sha256(judgements_of(replace(snapshot, openings={}), told)) == training_set_sha256(judgements)


def test_a_vote_that_was_replaced_still_decides_which_votes_pair_up() -> None:
    """Down on reply 0, down on 1, up on 4, which came out as 1 did: the up replaces the second down, and is no pair.

    Without the replaced down, which left no judgement, the up would be taken for an answer to the first one.
    """
    thumbs = [
        Thumb(f"t{n}", "ann", "c0", value, f"2026-02-1{n}", reply(0, r), "q0")
        for n, (value, r) in enumerate(((ThumbValue.DOWN, 0), (ThumbValue.DOWN, 1), (ThumbValue.UP, 4)))
    ]
    snapshot = FeedbackSnapshot("2026-03-01", (), tuple(thumbs), {"c0": "a question"})
    judgements, split = judgements_of(snapshot), split_of_snapshot(snapshot)
    assert (len(judgements.pairs), {each.source: each.is_up for each in judgements.thumbs}) == (
        0,
        {("thumb", "t0"): False, ("thumb", "t2"): True},
    )
    assert [each.is_used for each in receipts_for(judgements, snapshot, split)] == [True, False, True]
    assert len(judgements_of(replace(snapshot, thumbs=(thumbs[0], thumbs[2]))).pairs) == 1


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
    split = split_of_snapshot(snapshot)
    judgements = judgements_of(snapshot, split)
    return receipts_for(judgements, snapshot, split), training_set_sha256(judgements)


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


@pytest.mark.parametrize(
    "text", ["", "{}x", '[{"kind": "duel"}]', '[{"kind": "duel", "id": "d", "side": "moon"}]', "[1]"]
)
def test_receipts_that_cannot_be_read_are_told_in_a_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "receipts.json").write_text(text)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(DamagedVersion, match="cannot be read"):
        read_receipts(tmp_path)
