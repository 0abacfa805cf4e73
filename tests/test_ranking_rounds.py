"""Rounds of the Rank page in the store: put to a person, decided once, taken back, and what the night reads of them."""

import pytest

from nightschool.errors import BadInput
from nightschool.feedback import FeedbackStore
from nightschool.feedback_rounds import place_of
from nightschool.records import RoundOutcome
from nightschool.schema import FeedbackDatabase
from tests.talks import ANN, BOB, CLICKS, Talk, at_once, rows

PROMPT = ("en-story-001", "en", "Begin a story with a lighthouse keeper.")


def put_round(store: FeedbackStore, count: int = 3, person: str = ANN, language: str = "en") -> tuple[str, list[str]]:
    """A round with so many written replies; (round, replies by seat)."""
    prompt_id, _, text = PROMPT
    round_id, conversation, question = store.start_round(person, prompt_id, language, text)
    talk = Talk(store, conversation, question)
    replies = [talk.answer(f"answer {number}", show=False) for number in range(count)]
    store.seat_replies(round_id, replies[::-1])
    return round_id, replies[::-1]


def test_a_round_is_read_back_with_its_question_and_its_replies_on_their_seats(store: FeedbackStore) -> None:
    round_id, _ = put_round(store)
    found = store.ranking_round(round_id, ANN)
    assert (found.question, found.prompt_id, found.person_id) == (PROMPT[2], PROMPT[0], ANN)
    assert [reply.text for reply in found.replies] == ["answer 2", "answer 1", "answer 0"]
    assert (found.outcome, found.ranks) == (None, ())
    assert store.open_rounds(ANN, "en") == [round_id]
    assert store.asked_prompts(ANN) == [PROMPT[0]]


def test_an_order_decides_a_round_and_the_night_reads_it(store: FeedbackStore) -> None:
    round_id, seats = put_round(store)
    store.rank_round(round_id, ANN, seats[::-1], [1, 2, 2])
    (ranking,) = store.snapshot().rankings
    assert [reply.id for reply in ranking.replies] == seats[::-1]
    assert ranking.ranks == (1, 2, 2)
    found = store.ranking_round(round_id, ANN)
    assert (found.outcome, found.ranks) == (RoundOutcome.RANKED, (2, 2, 1))  # by seat
    assert store.open_rounds(ANN, "en") == []
    assert store.count_ranked(ANN) == 1


def test_the_same_order_again_is_one_vote_and_another_one_is_refused(
    store: FeedbackStore, database: FeedbackDatabase
) -> None:
    round_id, seats = put_round(store)
    store.rank_round(round_id, ANN, seats, [1, 2, 3])
    store.rank_round(round_id, ANN, seats[::-1], [3, 2, 1])  # the same, told from the other end
    with pytest.raises(BadInput, match="already decided; press Undo"):
        store.rank_round(round_id, ANN, seats, [3, 2, 1])
    with pytest.raises(BadInput, match="already decided; press Undo"):
        store.close_round(round_id, ANN, RoundOutcome.SKIPPED)
    assert len(rows(database, "SELECT id FROM rankings")) == 1


def test_twenty_clicks_at_once_make_one_ranking(store: FeedbackStore, database: FeedbackDatabase) -> None:
    round_id, seats = put_round(store)
    accepted, refused = at_once(lambda: store.rank_round(round_id, ANN, seats, [2, 1, 3]))
    assert (len(accepted), refused) == (CLICKS, [])
    assert len(rows(database, "SELECT id FROM rankings")) == 1
    assert len(rows(database, "SELECT * FROM ranked_replies")) == 3


def test_an_order_that_leaves_a_reply_out_or_names_a_strange_one_is_refused(
    store: FeedbackStore, database: FeedbackDatabase
) -> None:
    round_id, seats = put_round(store)
    _, of_another_round = put_round(store)
    for order in (seats[:2], [*seats[:2], of_another_round[0]], [*seats, of_another_round[0]]):
        with pytest.raises(BadInput, match="does not name each reply"):
            store.rank_round(round_id, ANN, order, list(range(1, len(order) + 1)))
    assert rows(database, "SELECT id FROM rankings") == []
    assert store.ranking_round(round_id, ANN).outcome is None


def test_somebody_elses_round_can_be_neither_read_nor_decided(store: FeedbackStore) -> None:
    round_id, seats = put_round(store)
    put_round(store, person=BOB)
    for act in (
        lambda: store.ranking_round(round_id, BOB),
        lambda: store.rank_round(round_id, BOB, seats, [1, 2, 3]),
        lambda: store.close_round(round_id, BOB, RoundOutcome.SKIPPED),
        lambda: store.ranking_round("no such round", ANN),
    ):
        with pytest.raises(BadInput, match="not yours or does not exist"):
            act()
    assert store.ranking_round(round_id, ANN).outcome is None


def test_a_reply_without_a_seat_is_not_to_be_ranked(store: FeedbackStore) -> None:
    round_id, seats = put_round(store, 4)
    store.keep_seated(round_id, [seats[3], seats[0]])
    assert [reply.id for reply in store.ranking_round(round_id, ANN).replies] == [seats[0], seats[3]]
    store.rank_round(round_id, ANN, [seats[3], seats[0]], [1, 2])
    assert store.ranking_round(round_id, ANN).ranks == (2, 1)


# ---- taking back -----------------------------------------------------------------------------------------------------


def test_an_order_taken_back_stays_as_history_but_the_night_does_not_read_it(
    store: FeedbackStore, database: FeedbackDatabase
) -> None:
    round_id, seats = put_round(store)
    later, _ = put_round(store)
    store.rank_round(round_id, ANN, seats, [3, 1, 2])
    assert store.reopen_last_round(ANN, "en") == round_id
    assert store.snapshot().rankings == ()
    assert [row["undone_at"] is None for row in rows(database, "SELECT undone_at FROM rankings")] == [False]
    assert store.open_rounds(ANN, "en") == [round_id, later]  # it is shown next
    assert store.ranking_round(round_id, ANN).ranks == (3, 1, 2)  # as the person left it
    store.rank_round(round_id, ANN, seats, [1, 1, 3])
    (ranking,) = store.snapshot().rankings
    assert ranking.ranks == (1, 1, 3)
    assert len(rows(database, "SELECT id FROM rankings")) == 2


def test_taking_back_goes_from_the_last_decision_to_the_first(store: FeedbackStore) -> None:
    first, seats = put_round(store)
    second, _ = put_round(store)
    broken, _ = put_round(store)
    store.rank_round(first, ANN, seats, [1, 2, 3])
    store.close_round(second, ANN, RoundOutcome.SKIPPED)
    store.close_round(broken, ANN, RoundOutcome.BROKEN)
    assert store.reopen_last_round(ANN, "en") == second
    assert store.reopen_last_round(ANN, "en") == first
    assert not store.has_decided_round(ANN, "en")
    with pytest.raises(BadInput, match="nothing to undo yet"):
        store.reopen_last_round(ANN, "en")


def test_nobody_takes_back_what_somebody_else_or_another_language_decided(store: FeedbackStore) -> None:
    round_id, seats = put_round(store, language="zh")
    store.rank_round(round_id, ANN, seats, [1, 2, 3])
    for person, language in ((BOB, "zh"), (ANN, "en")):
        assert not store.has_decided_round(person, language)
        with pytest.raises(BadInput, match="nothing to undo yet"):
            store.reopen_last_round(person, language)
    assert store.has_decided_round(ANN, "zh")
    assert len(store.snapshot().rankings) == 1


def test_a_skip_again_changes_nothing(store: FeedbackStore, database: FeedbackDatabase) -> None:
    round_id, _ = put_round(store)
    store.close_round(round_id, ANN, RoundOutcome.SKIPPED)
    before = rows(database, "SELECT * FROM ranking_rounds")
    store.close_round(round_id, ANN, RoundOutcome.SKIPPED)
    assert rows(database, "SELECT * FROM ranking_rounds") == before


# ---- beside the chat -------------------------------------------------------------------------------------------------


def test_what_is_ranked_does_not_stand_among_the_conversations_of_the_chat(
    store: FeedbackStore, database: FeedbackDatabase
) -> None:
    put_round(store)
    chat = store.start_conversation(ANN, "hello")
    assert [conversation.id for conversation in store.conversations(ANN)] == [chat]
    assert store.search(ANN, "lighthouse") == store.search(ANN, "answer") == []
    round_id, _ = put_round(store)
    with database.write() as db:
        conversation, _ = place_of(db, round_id)
    with pytest.raises(BadInput, match="not yours or does not exist"):  # there its versions would be told
        store.conversation(conversation, ANN)


def test_rounds_go_with_the_conversations_and_people_they_belong_to(
    store: FeedbackStore, database: FeedbackDatabase
) -> None:
    round_id, seats = put_round(store)
    store.rank_round(round_id, ANN, seats, [1, 2, 3])
    kept, _ = put_round(store, person=BOB)
    with database.write() as db:
        db.execute("DELETE FROM ranked_replies")
        db.execute("DELETE FROM rankings")
        db.execute("UPDATE conversations SET leaf_id = NULL WHERE person_id = 'ann'")
        mine = (
            "(SELECT id FROM messages WHERE conversation_id IN (SELECT id FROM conversations WHERE person_id = 'ann'))"
        )
        db.execute(f"DELETE FROM replies WHERE id IN {mine}")
        db.execute(f"DELETE FROM messages WHERE id IN {mine} AND parent_id IS NOT NULL")
        db.execute(f"DELETE FROM messages WHERE id IN {mine}")
        db.execute("DELETE FROM conversations WHERE person_id = 'ann'")
        db.execute("DELETE FROM people WHERE id = 'ann'")
    assert rows(database, "SELECT id FROM ranking_rounds") == [{"id": kept}]
    assert len(rows(database, "SELECT * FROM seated_replies")) == 3
