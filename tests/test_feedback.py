"""What people say and judge: the conversation tree, thumbs, duels, imported preferences, the night's snapshot."""

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest

from nightschool.errors import BadInput
from nightschool.feedback import FeedbackStore
from nightschool.records import (
    INITIAL,
    DuelOutcome,
    Message,
    Preference,
    ReplyStatus,
    Sampling,
    ThumbValue,
)
from nightschool.schema import FeedbackDatabase
from tests.talks import ANN, BOB, CLICKS, Talk, at_once, rows, start_talk

# ---- conversations ---------------------------------------------------------------------------------------------------


def test_a_conversation_grows_turn_by_turn(talk: Talk) -> None:
    reply = talk.answer("By fields.")
    talk.store.add_message(talk.id, reply, Message("user", "Why?"))
    turns = talk.store.branch(talk.id, talk.store.conversation(talk.id, ANN).leaf_id, ANN)
    assert [(turn.role, turn.text) for turn in turns] == [
        ("user", "How do magnets work?"),
        ("assistant", "By fields."),
        ("user", "Why?"),
    ]
    assert [turn.parent_id for turn in turns] == [None, turns[0].id, turns[1].id]
    assert [turn.version for turn in turns] == [None, INITIAL, None]
    assert [turn.status for turn in turns] == [None, ReplyStatus.DONE, None]


def test_a_regeneration_stands_beside_the_earlier_reply(talk: Talk) -> None:
    first = talk.answer("By fields.")
    second = talk.answer("By spin.")
    assert talk.texts() == ["How do magnets work?", "By spin."]
    assert talk.store.branch(talk.id, second, ANN)[-1].sibling_count == 2
    assert talk.store.reply(first).text == "By fields."
    talk.store.show_branch(talk.id, first)
    assert talk.texts() == ["How do magnets work?", "By fields."]


def test_a_reply_keeps_what_is_needed_to_draw_it_again(talk: Talk, database: FeedbackDatabase) -> None:
    reply = talk.store.start_reply(talk.id, talk.question, INITIAL, Sampling(0.9, 33), 77, [1, 2, 3], show=True)
    assert talk.store.reply(reply).status is ReplyStatus.STREAMING
    talk.store.finish_reply(reply, "So.", [4, 5, 2], ReplyStatus.STOPPED, first_token_seconds=0.25, seconds=2.0)
    stored = talk.store.reply(reply)
    assert (stored.text, stored.status, stored.version) == ("So.", ReplyStatus.STOPPED, INITIAL)
    assert (stored.prompt_ids, stored.token_ids) == ((1, 2, 3), (4, 5, 2))
    columns = "temperature, max_new_tokens, seed, first_token_seconds, seconds"
    assert rows(database, f"SELECT {columns} FROM replies") == [
        {"temperature": 0.9, "max_new_tokens": 33, "seed": 77, "first_token_seconds": 0.25, "seconds": 2.0}
    ]


def test_a_reply_that_is_not_to_be_shown_leaves_the_shown_end_alone(talk: Talk) -> None:
    talk.answer("aside", show=False)
    assert talk.texts() == ["How do magnets work?"]


def test_a_server_that_starts_closes_the_replies_its_forerunner_left_open(talk: Talk) -> None:
    left_open = talk.answer("", status=ReplyStatus.STREAMING)
    ended = talk.answer("done")
    assert talk.store.close_abandoned_replies() == 1
    assert talk.store.reply(left_open).status is ReplyStatus.STOPPED
    assert talk.store.reply(ended).status is ReplyStatus.DONE
    assert talk.store.close_abandoned_replies() == 0


def test_conversations_are_listed_newest_first_and_only_ones_own(store: FeedbackStore) -> None:
    first, second = start_talk(store, "First one?"), start_talk(store, "Second one?")
    store.start_conversation(BOB, "Bob's")
    assert [conversation.id for conversation in store.conversations(ANN)] == [second.id, first.id]
    assert [conversation.title for conversation in store.conversations(BOB)] == ["Bob's"]


def test_a_title_is_one_line_of_at_most_sixty_characters(store: FeedbackStore) -> None:
    short = store.start_conversation(ANN, "  two\n\n lines\t here ")
    assert store.conversation(short, ANN).title == "two lines here"
    # 11 times "word " is 55 characters, with the 12th "word" 59, and the mark of what was cut is the 60th
    long = store.start_conversation(ANN, "word " * 13)
    title = store.conversation(long, ANN).title
    assert title == "word " * 11 + "word…"
    assert len(title) == 60


def test_somebody_elses_conversation_is_as_good_as_missing(talk: Talk) -> None:
    reply = talk.answer("By fields.")
    duel, *_ = talk.duel()
    with pytest.raises(BadInput, match="not yours or does not exist"):
        talk.store.conversation(talk.id, BOB)
    assert talk.store.branch(talk.id, reply, BOB) == []
    assert talk.store.open_duel(talk.id, BOB) is None
    with pytest.raises(BadInput, match="not yours or does not exist"):
        talk.store.duel(duel, BOB)


def test_a_leaf_of_another_conversation_shows_nothing(store: FeedbackStore, talk: Talk) -> None:
    other = start_talk(store, "Another?")
    assert store.branch(talk.id, other.answer("elsewhere"), ANN) == []


def test_a_reply_that_does_not_exist_is_refused_in_words(store: FeedbackStore) -> None:
    with pytest.raises(BadInput, match="This reply does not exist; reload the page"):
        store.reply("no such id")


# ---- thumbs ----------------------------------------------------------------------------------------------------------


def thumb_of(talk: Talk, reply: str) -> ThumbValue | None:
    return talk.store.branch(talk.id, reply, ANN)[-1].thumb


def test_a_thumb_is_set_changed_and_taken_back_and_each_step_stays_as_history(
    talk: Talk, database: FeedbackDatabase
) -> None:
    reply = talk.answer("By fields.")
    history = "SELECT value, replaced_at IS NULL AS active FROM thumbs ORDER BY id"
    talk.store.set_thumb(reply, ANN, ThumbValue.UP)
    assert thumb_of(talk, reply) is ThumbValue.UP
    assert rows(database, history) == [{"value": "up", "active": 1}]
    talk.store.set_thumb(reply, ANN, ThumbValue.DOWN)
    assert thumb_of(talk, reply) is ThumbValue.DOWN
    assert rows(database, history) == [{"value": "up", "active": 0}, {"value": "down", "active": 1}]
    talk.store.set_thumb(reply, ANN, None)
    assert thumb_of(talk, reply) is None
    assert rows(database, history) == [{"value": "up", "active": 0}, {"value": "down", "active": 0}]
    assert talk.store.counts() == (0, 0)
    talk.store.set_thumb(reply, ANN, ThumbValue.UP)
    assert thumb_of(talk, reply) is ThumbValue.UP
    assert talk.store.counts() == (0, 1)


def test_the_same_thumb_twice_is_one_vote(talk: Talk, database: FeedbackDatabase) -> None:
    reply = talk.answer("By fields.")
    talk.store.set_thumb(reply, ANN, ThumbValue.UP)
    first = rows(database, "SELECT * FROM thumbs")
    talk.store.set_thumb(reply, ANN, ThumbValue.UP)
    assert rows(database, "SELECT * FROM thumbs") == first


def test_taking_back_a_thumb_that_was_never_set_changes_nothing(talk: Talk, database: FeedbackDatabase) -> None:
    talk.store.set_thumb(talk.answer("By fields."), ANN, None)
    assert rows(database, "SELECT * FROM thumbs") == []


def test_twenty_clicks_at_once_leave_one_row(talk: Talk, database: FeedbackDatabase) -> None:
    reply = talk.answer("By fields.")
    accepted, refused = at_once(lambda: talk.store.set_thumb(reply, ANN, ThumbValue.UP))
    assert (len(accepted), refused) == (CLICKS, [])
    assert rows(database, "SELECT value FROM thumbs") == [{"value": "up"}]


def test_up_and_down_clicked_in_turns_by_twenty_threads_leave_one_active_row(
    talk: Talk, database: FeedbackDatabase
) -> None:
    reply = talk.answer("By fields.")
    values = [ThumbValue.UP, ThumbValue.DOWN] * (CLICKS // 2)
    with ThreadPoolExecutor(CLICKS) as pool:
        list(pool.map(lambda value: talk.store.set_thumb(reply, ANN, value), values))
    assert len(rows(database, "SELECT 1 FROM thumbs WHERE replaced_at IS NULL")) == 1
    # no two neighbours of the history are alike: a click that changes nothing adds nothing
    history = [row["value"] for row in rows(database, "SELECT value FROM thumbs ORDER BY id")]
    assert all(before != after for before, after in pairwise(history))


@pytest.mark.parametrize("person", [BOB, "a stranger"])
def test_a_thumb_on_somebody_elses_reply_is_refused_and_leaves_no_row(
    talk: Talk, database: FeedbackDatabase, person: str
) -> None:
    talk.store.start_conversation(BOB, "my own")
    reply = talk.answer("By fields.")
    with pytest.raises(BadInput, match="not in a conversation of yours"):
        talk.store.set_thumb(reply, person, ThumbValue.DOWN)
    assert rows(database, "SELECT * FROM thumbs") == []


def test_a_question_takes_no_thumb(talk: Talk) -> None:
    with pytest.raises(BadInput, match="not in a conversation of yours"):
        talk.store.set_thumb(talk.question, ANN, ThumbValue.UP)


# ---- duels -----------------------------------------------------------------------------------------------------------


def test_a_duel_keeps_its_sides(talk: Talk) -> None:
    duel_id, left, right = talk.duel()
    duel = talk.store.duel(duel_id, ANN)
    assert (duel.left.id, duel.left.text, duel.right.id, duel.right.text) == (left, "left text", right, "right text")
    assert (duel.question_id, duel.outcome, duel.decided_at) == (talk.question, None, None)


@pytest.mark.parametrize(("outcome", "shown"), [(DuelOutcome.LEFT, "left text"), (DuelOutcome.RIGHT, "right text")])
def test_the_chosen_reply_continues_the_conversation(talk: Talk, outcome: DuelOutcome, shown: str) -> None:
    duel_id, *_ = talk.duel()
    decided = talk.store.decide_duel(duel_id, ANN, outcome)
    assert decided.outcome is outcome
    assert decided.decided_at is not None
    assert talk.texts() == ["How do magnets work?", shown]


@pytest.mark.parametrize("outcome", [DuelOutcome.TIE, DuelOutcome.BOTH_BAD])
def test_without_a_winner_one_of_the_two_continues_the_conversation(talk: Talk, outcome: DuelOutcome) -> None:
    duel_id, *_ = talk.duel()
    assert talk.store.decide_duel(duel_id, ANN, outcome).outcome is outcome
    assert talk.texts()[1:] in (["left text"], ["right text"])


def test_twenty_votes_at_once_decide_a_duel_once(talk: Talk, database: FeedbackDatabase) -> None:
    duel_id, *_ = talk.duel()
    outcomes = iter([DuelOutcome.LEFT, DuelOutcome.RIGHT] * (CLICKS // 2))
    accepted, refused = at_once(lambda: talk.store.decide_duel(duel_id, ANN, next(outcomes)).outcome)
    assert len(set(accepted)) == 1  # the same vote again changes nothing, the other one is refused
    assert {str(refusal) for refusal in refused} == {"This duel was already decided; a duel takes one vote."}
    assert len(accepted) == len(refused) == CLICKS // 2
    assert rows(database, "SELECT outcome FROM duels") == [{"outcome": accepted[0]}]
    assert talk.texts()[1] == f"{accepted[0]} text"


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("", ReplyStatus.STREAMING),
        ("half an ans", ReplyStatus.FAILED),
        ("", ReplyStatus.STOPPED),
        (" ", ReplyStatus.DONE),
    ],
)
def test_a_duel_with_a_side_that_is_not_written_takes_no_vote(talk: Talk, text: str, status: ReplyStatus) -> None:
    duel_id, *_ = talk.duel(text, status=status)
    with pytest.raises(BadInput, match="Both answers must be written"):
        talk.store.decide_duel(duel_id, ANN, DuelOutcome.RIGHT)
    assert talk.store.duel(duel_id, ANN).outcome is None
    assert talk.texts() == ["How do magnets work?"]


def test_a_duel_whose_side_was_stopped_half_way_takes_a_vote(talk: Talk) -> None:
    duel_id, *_ = talk.duel("half an ans", status=ReplyStatus.STOPPED)
    assert talk.store.decide_duel(duel_id, ANN, DuelOutcome.RIGHT).outcome is DuelOutcome.RIGHT


def test_somebody_elses_duel_takes_no_vote(talk: Talk) -> None:
    duel_id, *_ = talk.duel()
    with pytest.raises(BadInput, match="not yours or does not exist"):
        talk.store.decide_duel(duel_id, BOB, DuelOutcome.LEFT)
    assert talk.store.duel(duel_id, ANN).outcome is None


def test_a_duel_is_open_only_while_its_question_is_the_shown_end(talk: Talk) -> None:
    assert talk.store.open_duel(talk.id, ANN) is None
    duel_id, left, _ = talk.duel()
    opened = talk.store.open_duel(talk.id, ANN)
    assert opened is not None
    assert opened.id == duel_id
    talk.store.show_branch(talk.id, left)
    assert talk.store.open_duel(talk.id, ANN) is None
    talk.store.show_branch(talk.id, talk.question)
    talk.store.decide_duel(duel_id, ANN, DuelOutcome.LEFT)
    talk.store.show_branch(talk.id, talk.question)
    assert talk.store.open_duel(talk.id, ANN) is None


def test_a_duel_without_two_texts_is_not_open(talk: Talk) -> None:
    talk.duel("", status=ReplyStatus.STOPPED)
    assert talk.store.open_duel(talk.id, ANN) is None


# ---- what the night reads --------------------------------------------------------------------------------------------


def test_the_snapshot_holds_the_decided_duels_and_the_active_thumbs_and_later_votes_do_not_enter_it(
    store: FeedbackStore,
) -> None:
    magnets, clouds = start_talk(store), start_talk(store, "Why are clouds white?")
    decided, left, right = magnets.duel()
    undecided, *_ = clouds.duel()
    store.decide_duel(decided, ANN, DuelOutcome.RIGHT)
    liked, disliked, forgotten = clouds.answer("liked"), clouds.answer("disliked"), clouds.answer("forgotten")
    store.set_thumb(liked, ANN, ThumbValue.UP)
    store.set_thumb(disliked, ANN, ThumbValue.UP)
    store.set_thumb(disliked, ANN, ThumbValue.DOWN)
    store.set_thumb(forgotten, ANN, ThumbValue.UP)
    store.set_thumb(forgotten, ANN, None)

    snapshot = store.snapshot()
    store.decide_duel(undecided, ANN, DuelOutcome.LEFT)
    store.set_thumb(liked, ANN, None)

    assert [(duel.id, duel.outcome) for duel in snapshot.duels] == [(decided, DuelOutcome.RIGHT)]
    assert (snapshot.duels[0].left.id, snapshot.duels[0].right.id) == (left, right)
    assert snapshot.duels[0].left.token_ids == (4, 5)
    assert [(thumb.reply.text, thumb.value, thumb.conversation_id, thumb.person_id) for thumb in snapshot.thumbs] == [
        ("liked", ThumbValue.UP, clouds.id, ANN),
        ("disliked", ThumbValue.DOWN, clouds.id, ANN),
    ]
    assert store.counts() == (2, 1)
    later = store.snapshot()
    assert [duel.id for duel in later.duels] == [decided, undecided]
    assert [thumb.reply.text for thumb in later.thumbs] == ["disliked"]


def test_the_opening_of_a_conversation_is_its_first_question(store: FeedbackStore) -> None:
    conversation = store.start_conversation(ANN, "x")
    system = store.add_message(conversation, None, Message("system", "Be kind."))
    first = store.add_message(conversation, system, Message("user", "zebras?"))
    reply = store.start_reply(conversation, first, INITIAL, Sampling(), 1, [], show=True)
    store.add_message(conversation, reply, Message("user", "apes?"))
    assert store.snapshot().openings == {conversation: "zebras?"}


def preference(key: str, outcome: DuelOutcome = DuelOutcome.LEFT, *, chosen: str = "good") -> Preference:
    prompt = (Message("system", "Be kind."), Message("user", f"question {key}"))
    return Preference(key, prompt, (1, 2), (chosen, (3,)), ("bad", (4,)), outcome)


def test_an_imported_preference_is_a_decided_duel_in_a_conversation_of_its_own(store: FeedbackStore) -> None:
    assert store.import_preferences(ANN, [preference("a"), preference("b", DuelOutcome.RIGHT)]) == 2
    snapshot = store.snapshot()
    assert [duel.outcome for duel in snapshot.duels] == [DuelOutcome.LEFT, DuelOutcome.RIGHT]
    first = snapshot.duels[0]
    assert (first.left.text, first.left.token_ids, first.left.version) == ("good", (3,), None)
    assert (first.right.text, first.right.prompt_ids) == ("bad", (1, 2))
    assert sorted(snapshot.openings.values()) == ["question a", "question b"]
    conversation = store.conversation(first.conversation_id, ANN)
    turns = store.branch(conversation.id, conversation.leaf_id, ANN)
    assert [(turn.role, turn.text) for turn in turns] == [
        ("system", "Be kind."),
        ("user", "question a"),
        ("assistant", "good"),
    ]


def test_importing_a_file_twice_adds_nothing(store: FeedbackStore, database: FeedbackDatabase) -> None:
    assert store.import_preferences(ANN, [preference("a"), preference("b"), preference("a")]) == 2
    assert store.import_preferences(ANN, [preference("b"), preference("c"), preference("a")]) == 1
    assert rows(database, "SELECT import_key FROM duels ORDER BY id") == [{"import_key": key} for key in "abc"]
    assert store.counts() == (3, 0)
    assert len(store.conversations(ANN)) == 3


def test_an_import_that_fails_half_way_stores_nothing(store: FeedbackStore, database: FeedbackDatabase) -> None:
    broken = preference("b", chosen="half a character: \ud800")  # no text that a file could hold
    with pytest.raises(UnicodeEncodeError):
        store.import_preferences("new person", [preference("a"), broken, preference("c")])
    for table in ("people", "conversations", "messages", "replies", "duels"):
        assert rows(database, f"SELECT * FROM {table}") == [], table


# ---- views for any SQLite tool ---------------------------------------------------------------------------------------


def test_the_view_of_preference_pairs_names_winner_and_loser_of_each_duel_that_has_them(
    store: FeedbackStore, database: FeedbackDatabase
) -> None:
    for outcome in DuelOutcome:
        talk = start_talk(store, f"{outcome}?")
        duel_id, *_ = talk.duel("L", "R")
        store.decide_duel(duel_id, ANN, outcome)
    start_talk(store, "undecided?").duel()
    assert rows(database, "SELECT question, chosen, rejected, person_id FROM preference_pairs ORDER BY duel_id") == [
        {"question": "left?", "chosen": "L", "rejected": "R", "person_id": ANN},
        {"question": "right?", "chosen": "R", "rejected": "L", "person_id": ANN},
    ]


def test_the_view_of_preference_pairs_names_the_version_of_each_side(
    store: FeedbackStore, database: FeedbackDatabase, talk: Talk
) -> None:
    with database.write() as db:
        db.table("versions").insert({"id": "v1", "created_at": ""})
    left = talk.answer("from initial", show=False)
    right = store.start_reply(talk.id, talk.question, "v1", Sampling(), 7, [], show=False)
    store.finish_reply(right, "from v1", [], ReplyStatus.DONE)
    store.decide_duel(store.start_duel(talk.id, talk.question, ANN, left, right), ANN, DuelOutcome.RIGHT)
    assert rows(database, "SELECT chosen, chosen_version, rejected_version FROM preference_pairs") == [
        {"chosen": "from v1", "chosen_version": "v1", "rejected_version": INITIAL}
    ]


def test_the_view_of_thumbs_shows_the_active_ones_with_question_and_reply(
    talk: Talk, database: FeedbackDatabase
) -> None:
    liked, forgotten = talk.answer("By fields."), talk.answer("By magic.")
    talk.store.set_thumb(liked, ANN, ThumbValue.DOWN)
    talk.store.set_thumb(liked, ANN, ThumbValue.UP)
    talk.store.set_thumb(forgotten, ANN, ThumbValue.UP)
    talk.store.set_thumb(forgotten, ANN, None)
    assert rows(database, "SELECT person_id, question, reply, version, value FROM unpaired_thumbs") == [
        {
            "person_id": ANN,
            "question": "How do magnets work?",
            "reply": "By fields.",
            "version": INITIAL,
            "value": "up",
        }
    ]
