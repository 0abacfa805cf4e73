"""A person's conversations in the store: search, renaming, deleting, styles, branches, and how duels end."""

from contextlib import closing
from pathlib import Path

import pytest

from nightschool.errors import BadInput
from nightschool.feedback import FeedbackStore
from nightschool.records import DuelOutcome, Message, ReplyStatus, Style, ThumbValue
from nightschool.schema import FeedbackDatabase
from tests.talks import ANN, BOB, CLICKS, Talk, at_once, rows, start_talk

# ---- the list and the search -----------------------------------------------------------------------------------------


def found(store: FeedbackStore, words: str, person: str = ANN) -> list[str]:
    return [one.conversation.title for one in store.search(person, words)]


def test_the_conversation_that_was_last_written_in_comes_first(store: FeedbackStore) -> None:
    first, second = start_talk(store, "First?"), start_talk(store, "Second?")
    assert [one.title for one in store.conversations(ANN)] == ["Second?", "First?"]
    first.answer("late news")
    assert [one.title for one in store.conversations(ANN)] == ["First?", "Second?"]
    assert store.conversations(ANN)[0].last_at > store.conversation(second.id, ANN).created_at


def test_every_word_of_a_search_must_occur_somewhere_in_the_conversation(store: FeedbackStore) -> None:
    magnets, clouds = start_talk(store, "How do magnets work?"), start_talk(store, "Why are clouds white?")
    magnets.answer("By the spin of ELECTRONS.")
    clouds.answer("Droplets scatter light.")
    assert found(store, "electrons") == ["How do magnets work?"]
    assert found(store, "magnets spin") == ["How do magnets work?"]
    assert found(store, "magnets droplets") == []
    assert found(store, "scatter  WHITE") == ["Why are clouds white?"]
    assert found(store, "  ") == []


@pytest.mark.parametrize("words", ["枯萎", "花", "为什么枯", "我的花 水"])
def test_chinese_is_found_by_one_two_or_more_letters(store: FeedbackStore, words: str) -> None:
    start_talk(store, "我的花为什么枯萎了？").answer("浇水太多了。")
    start_talk(store, "天空为什么是蓝色的？")
    assert found(store, words) == ["我的花为什么枯萎了？"]


@pytest.mark.parametrize("words", ['"', "50%", "a_b", "\\", "NEAR(", "x* OR", "'; DROP", "(", "\0", "-x"])
def test_signs_in_a_search_are_letters_and_no_commands(store: FeedbackStore, words: str) -> None:
    start_talk(store, "nothing of that kind")
    wanted = words.replace("\0", "")
    if not wanted:
        assert found(store, words) == []
        return
    start_talk(store, f"here is {wanted} in it")
    assert found(store, words) == [f"here is {wanted} in it"]


def test_a_corrected_text_is_found_and_the_place_is_shown(store: FeedbackStore) -> None:
    talk = start_talk(store)
    reply = talk.answer("By fields.")
    store.correct(reply, ANN, "x " * 40 + "because of lodestone" + " y" * 40, [1, 2])
    [one] = store.search(ANN, "lodestone")
    assert "because of lodestone y" in one.excerpt
    assert one.excerpt.startswith("…")
    assert one.excerpt.endswith("…")
    assert len(one.excerpt) < 100
    store.withdraw_correction(reply, ANN)
    assert found(store, "lodestone") == []


def test_a_search_sees_only_ones_own_and_nothing_deleted(store: FeedbackStore) -> None:
    talk = start_talk(store, "a secret of Ann")
    assert found(store, "secret", BOB) == []
    store.set_deleted(talk.id, ANN, True)
    assert found(store, "secret") == []
    store.set_deleted(talk.id, ANN, False)
    assert found(store, "secret") == ["a secret of Ann"]


def test_the_index_follows_renaming_and_growing_replies(store: FeedbackStore, database: FeedbackDatabase) -> None:
    talk = start_talk(store)
    store.rename(talk.id, ANN, "  Attraction\nexplained ")
    assert found(store, "attraction") == ["Attraction explained"]
    reply = talk.answer("", status=ReplyStatus.STREAMING)
    store.finish_reply(reply, "first half", [1], ReplyStatus.STREAMING)
    store.finish_reply(reply, "whole thing", [1, 2], ReplyStatus.DONE)
    assert found(store, "half") == []
    assert found(store, "whole") == ["Attraction explained"]
    for table in ("conversations", "messages", "corrections"):  # raises where index and table differ
        with database.write() as db:
            db.execute(f"INSERT INTO {table}_fts ({table}_fts) VALUES ('integrity-check')")


def test_a_blank_title_is_refused(talk: Talk) -> None:
    with pytest.raises(BadInput, match="title was empty"):
        talk.store.rename(talk.id, ANN, " \n ")


def test_nobody_renames_deletes_or_restyles_somebody_elses_conversation(talk: Talk) -> None:
    for forged in (
        lambda: talk.store.rename(talk.id, BOB, "mine now"),
        lambda: talk.store.set_deleted(talk.id, BOB, True),
        lambda: talk.store.set_style(talk.id, BOB, Style("be rude")),
        lambda: talk.store.show_message(talk.id, BOB, talk.question),
        lambda: talk.store.is_writing(talk.id, BOB),
    ):
        with pytest.raises(BadInput):
            forged()
    assert talk.store.conversation(talk.id, ANN).title == "How do magnets work?"


# ---- deleting --------------------------------------------------------------------------------------------------------


def test_a_deleted_conversation_is_as_good_as_missing_until_it_is_had_back(talk: Talk) -> None:
    reply = talk.answer("By fields.")
    duel, *_ = talk.duel()
    talk.store.set_deleted(talk.id, ANN, True)
    assert talk.store.conversations(ANN) == []
    for gone in (
        lambda: talk.store.conversation(talk.id, ANN),
        lambda: talk.store.set_thumb(reply, ANN, ThumbValue.UP),
        lambda: talk.store.correct(reply, ANN, "better", [1]),
        lambda: talk.store.decide_duel(duel, ANN, DuelOutcome.TIE),
    ):
        with pytest.raises(BadInput):
            gone()
    talk.store.set_deleted(talk.id, ANN, False)
    talk.store.set_thumb(reply, ANN, ThumbValue.UP)
    assert talk.texts()[0] == "How do magnets work?"


def test_what_was_judged_in_a_deleted_conversation_does_not_count_and_counts_again(
    talk: Talk, database: FeedbackDatabase
) -> None:
    store = talk.store
    duel, left, right = talk.duel()
    store.decide_duel(duel, ANN, DuelOutcome.LEFT)
    store.set_thumb(left, ANN, ThumbValue.UP)
    store.correct(right, ANN, "better", [1, 2])
    store.rank(ANN, [left, right], [1, 2])

    def counted() -> tuple[int, ...]:
        snapshot = store.snapshot()
        parts = (snapshot.duels, snapshot.thumbs, snapshot.corrections, snapshot.rankings, snapshot.openings)
        views = [len(rows(database, f"SELECT * FROM {view}")) for view in ("preference_pairs", "unpaired_thumbs")]
        return (*map(len, parts), *store.counts(), *views)

    assert counted() == (1, 1, 1, 1, 1, 1, 1, 1, 1)
    store.set_deleted(talk.id, ANN, True)
    assert counted() == (0,) * 9
    store.set_deleted(talk.id, ANN, False)
    assert counted() == (1, 1, 1, 1, 1, 1, 1, 1, 1)


# ---- style, thumbs with reasons --------------------------------------------------------------------------------------


def test_a_conversation_keeps_its_style(store: FeedbackStore) -> None:
    conversation = store.start_conversation(ANN, "Hello", Style("Be brief.", 0.3))
    assert store.conversation(conversation, ANN).style == Style("Be brief.", 0.3, None)
    store.set_style(conversation, ANN, Style("", None, 64))
    assert store.conversation(conversation, ANN).style == Style(max_new_tokens=64)


def test_reasons_and_comment_stand_with_the_thumb_and_their_changes_stay_as_history(
    talk: Talk, database: FeedbackDatabase
) -> None:
    reply = talk.answer("By fields.")
    talk.store.set_thumb(reply, ANN, ThumbValue.DOWN, reasons=["wrong"], comment="no")
    talk.store.set_thumb(reply, ANN, ThumbValue.DOWN, reasons=["wrong"], comment="no")
    talk.store.set_thumb(reply, ANN, ThumbValue.DOWN, reasons=["wrong", "too_long"], comment="no")
    turn = talk.store.branch(talk.id, reply, ANN)[-1]
    assert (turn.thumb, turn.reasons, turn.comment) == (ThumbValue.DOWN, ("wrong", "too_long"), "no")
    history = "SELECT reasons, replaced_at IS NULL AS active FROM thumbs ORDER BY id"
    assert rows(database, history) == [
        {"reasons": '["wrong"]', "active": 0},
        {"reasons": '["wrong", "too_long"]', "active": 1},
    ]
    assert talk.store.branch(talk.id, reply, BOB) == []


def test_a_correction_is_what_the_conversation_says_until_it_is_withdrawn(talk: Talk) -> None:
    reply = talk.answer("By fields.")
    talk.store.correct(reply, ANN, "By spin.", [1, 2])
    turn = talk.store.branch(talk.id, reply, ANN)[-1]
    assert (turn.text, turn.correction, turn.said) == ("By fields.", "By spin.", "By spin.")
    talk.store.withdraw_correction(reply, ANN)
    talk.store.withdraw_correction(reply, ANN)
    assert talk.store.branch(talk.id, reply, ANN)[-1].said == "By fields."


# ---- branches --------------------------------------------------------------------------------------------------------


def test_an_edited_question_stands_beside_the_first_one_and_each_leads_to_its_newest_end(talk: Talk) -> None:
    talk.answer("By fields.")
    follow_up = talk.store.add_message(talk.id, talk.answer("By spin."), Message("user", "And why?"))
    edited = talk.store.add_message(talk.id, None, Message("user", "How do fields work?"))
    [turn] = talk.store.branch(talk.id, edited, ANN)
    assert turn.siblings == (talk.question, edited)
    talk.store.show_message(talk.id, ANN, talk.question)
    assert talk.store.conversation(talk.id, ANN).leaf_id == follow_up
    assert talk.texts() == ["How do magnets work?", "By spin.", "And why?"]
    talk.store.show_message(talk.id, ANN, edited)
    assert talk.texts() == ["How do fields work?"]


def test_first_questions_of_other_conversations_are_no_siblings(store: FeedbackStore) -> None:
    start_talk(store, "Another?")
    talk = start_talk(store)
    [turn] = store.branch(talk.id, talk.question, ANN)
    assert turn.siblings == (talk.question,)


def test_replies_of_an_undecided_duel_cannot_be_looked_at_one_by_one(talk: Talk) -> None:
    earlier = talk.answer("earlier")
    duel, left, right = talk.duel()
    for hidden in (left, right, "no such message"):
        with pytest.raises(BadInput, match="not in a conversation of yours"):
            talk.store.show_message(talk.id, ANN, hidden)
    assert talk.store.branch(talk.id, earlier, ANN)[-1].siblings == (earlier,)
    talk.store.show_message(talk.id, ANN, talk.question)
    assert talk.texts()[-1] == "earlier"
    talk.store.show_branch(talk.id, talk.question)
    talk.store.decide_duel(duel, ANN, DuelOutcome.RIGHT)
    assert talk.store.branch(talk.id, right, ANN)[-1].siblings == (earlier, left, right)


# ---- how a duel ends -------------------------------------------------------------------------------------------------


def test_a_declined_duel_has_no_outcome_and_takes_no_vote_any_more(talk: Talk, database: FeedbackDatabase) -> None:
    duel, left, right = talk.duel()
    assert talk.store.decline_duel(duel, ANN).outcome is None
    shown = talk.store.conversation(talk.id, ANN).leaf_id
    assert shown in (left, right)
    talk.store.decline_duel(duel, ANN)  # the same click again
    assert talk.store.conversation(talk.id, ANN).leaf_id == shown
    with pytest.raises(BadInput, match="already decided"):
        talk.store.decide_duel(duel, ANN, DuelOutcome.LEFT)
    assert talk.store.snapshot().duels == ()
    assert rows(database, "SELECT outcome FROM duels") == [{"outcome": None}]


def test_a_decided_duel_cannot_be_declined_and_the_same_vote_again_moves_nothing(talk: Talk) -> None:
    duel, *_ = talk.duel()
    first = talk.store.decide_duel(duel, ANN, DuelOutcome.TIE)
    shown = talk.texts()
    for _ in range(10):  # a tie shows one of the two by chance: only the first time
        assert talk.store.decide_duel(duel, ANN, DuelOutcome.TIE) == first
    assert talk.texts() == shown
    with pytest.raises(BadInput, match="already decided"):
        talk.store.decline_duel(duel, ANN)
    with pytest.raises(BadInput, match="not yours"):
        talk.store.decline_duel(duel, BOB)


def test_of_skips_and_votes_at_once_one_kind_wins(talk: Talk, database: FeedbackDatabase) -> None:
    duel, *_ = talk.duel()
    clicks = iter([True, False] * (CLICKS // 2))

    def click() -> object:
        if next(clicks):
            return talk.store.decline_duel(duel, ANN).outcome
        return talk.store.decide_duel(duel, ANN, DuelOutcome.LEFT).outcome

    accepted, refused = at_once(click)
    assert len(set(accepted)) == 1
    assert len(accepted) == len(refused) == CLICKS // 2
    [row] = rows(database, "SELECT outcome, closed_at FROM duels")
    assert (row["outcome"] is None) != (row["closed_at"] is None)


def test_a_void_duel_lets_its_replies_stand_beside_the_others(talk: Talk) -> None:
    earlier = talk.answer("earlier")
    duel, left, right = talk.duel("same", "same")
    talk.store.void_duel(duel)
    assert talk.store.branch(talk.id, earlier, ANN)[-1].siblings == (earlier, left, right)
    assert talk.store.open_duel(talk.id, ANN) is None


def test_a_conversation_is_being_written_in_until_its_reply_ends(talk: Talk) -> None:
    reply = talk.answer("", status=ReplyStatus.STREAMING)
    assert talk.store.is_writing(talk.id, ANN)
    talk.store.finish_reply(reply, "so far", [1], ReplyStatus.STREAMING)
    assert talk.store.is_writing(talk.id, ANN)
    talk.store.finish_reply(reply, "so far", [1], ReplyStatus.STOPPED)
    assert not talk.store.is_writing(talk.id, ANN)


def test_the_indexes_are_known_to_sqlite_utils_and_can_be_rebuilt(tmp_path: Path) -> None:
    with closing(FeedbackDatabase(tmp_path / "feedback.db")) as database:
        store = FeedbackStore(database)
        start_talk(store, "an otter")
        with database.write() as db:
            for table in ("conversations", "messages", "corrections"):
                assert db.table(table).detect_fts() == f"{table}_fts"
                db.table(table).rebuild_fts()
        assert found(store, "otter") == ["an otter"]
