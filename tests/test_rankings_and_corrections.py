"""Rankings of several replies, corrections, whether a person may be learned from, and the sides a night decided on."""

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nightschool.errors import BadInput
from nightschool.feedback import FeedbackStore
from nightschool.records import DuelOutcome, Message, Preference, ReplyStatus, ThumbValue
from nightschool.schema import FeedbackDatabase
from tests.talks import ANN, BOB, CLICKS, Talk, at_once, rows, start_talk


def answers(talk: Talk, count: int) -> list[str]:
    return [talk.answer(f"answer {number}") for number in range(count)]


def nothing_is_ranked(database: FeedbackDatabase) -> bool:
    return not rows(database, "SELECT id FROM rankings UNION ALL SELECT ranking_id FROM ranked_replies")


# ---- rankings --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ranks", [(1, 2, 2, 3), (1, 2, 2, 4), (1, 1, 1, 1), (4, 3, 2, 1)])
def test_a_ranking_is_read_back_with_its_replies_and_its_ties(talk: Talk, ranks: tuple[int, ...]) -> None:
    given_order = answers(talk, 4)[::-1]
    ranking_id = talk.store.rank(ANN, given_order, ranks)
    (ranking,) = talk.store.snapshot().rankings
    assert (ranking.id, ranking.person_id) == (ranking_id, ANN)
    assert (ranking.conversation_id, ranking.question_id) == (talk.id, talk.question)
    assert [reply.id for reply in ranking.replies] == given_order
    assert [reply.text for reply in ranking.replies] == ["answer 3", "answer 2", "answer 1", "answer 0"]
    assert {reply.token_ids for reply in ranking.replies} == {(4, 5)}
    assert ranking.ranks == ranks


@pytest.fixture(scope="module")
def long_lived_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FeedbackStore]:
    with closing(FeedbackDatabase(tmp_path_factory.mktemp("ranked") / "feedback.db")) as database:
        yield FeedbackStore(database)


orders = st.lists(st.integers(1, 8), min_size=2, max_size=8).map(
    lambda ranks: [rank - min(ranks) + 1 for rank in ranks]  # some reply is the best
)


@given(orders.flatmap(lambda ranks: st.tuples(st.just(ranks), st.permutations(range(len(ranks))))))
@settings(max_examples=20, deadline=None)
def test_whatever_is_ranked_comes_back_with_the_same_replies_and_ranks(
    long_lived_store: FeedbackStore, order: tuple[list[int], list[int]]
) -> None:
    ranks, places = order
    talk = start_talk(long_lived_store)
    written = answers(talk, len(ranks))
    shuffled = [written[place] for place in places]
    ranking_id = long_lived_store.rank(ANN, shuffled, ranks)
    found = {ranking.id: ranking for ranking in long_lived_store.snapshot().rankings}[ranking_id]
    assert [reply.id for reply in found.replies] == shuffled
    assert [reply.text for reply in found.replies] == [f"answer {place}" for place in places]
    assert list(found.ranks) == ranks


def test_the_newest_ranking_of_a_question_counts_and_the_earlier_one_is_kept(
    talk: Talk, database: FeedbackDatabase
) -> None:
    replies = answers(talk, 3)
    first = talk.store.rank(ANN, replies, [1, 2, 3])
    second = talk.store.rank(ANN, replies[:2], [2, 1])
    (ranking,) = talk.store.snapshot().rankings
    assert (ranking.id, ranking.ranks, len(ranking.replies)) == (second, (2, 1), 2)
    assert rows(database, "SELECT id FROM rankings ORDER BY id") == [{"id": first}, {"id": second}]
    assert len(rows(database, "SELECT * FROM ranked_replies")) == 3 + 2


def test_each_question_keeps_a_ranking_of_its_own(store: FeedbackStore, talk: Talk) -> None:
    first = store.rank(ANN, answers(talk, 2), [1, 2])
    clouds = start_talk(store, "Why are clouds white?")
    second = store.rank(ANN, answers(clouds, 2), [2, 1])
    third = store.rank(BOB, answers(start_talk(store, person=BOB), 2), [1, 1])
    assert [(ranking.id, ranking.person_id) for ranking in store.snapshot().rankings] == [
        (first, ANN),
        (second, ANN),
        (third, BOB),
    ]


@pytest.mark.parametrize(
    ("count", "ranks", "told"),
    [
        (0, [], r"0 replies were ranked; a ranking takes 2 to 8"),
        (1, [1], r"1 replies were ranked; a ranking takes 2 to 8"),
        (9, [1, 2, 3, 4, 5, 6, 7, 8, 8], r"9 replies were ranked; a ranking takes 2 to 8"),
        (3, [1, 2], r"2 ranks were given for 3 replies; give each reply one rank"),
        (2, [1, 2, 3], r"3 ranks were given for 2 replies; give each reply one rank"),
        (2, [], r"0 ranks were given for 2 replies; give each reply one rank"),
        (2, [2, 3], r"The ranks 2, 3 were given; ranks go from 1 to 8"),
        (2, [0, 1], r"The ranks 0, 1 were given; ranks go from 1 to 8"),
        (3, [1, -1, 2], r"The ranks 1, -1, 2 were given; ranks go from 1 to 8"),
        (2, [1, 2**64], r"The ranks 1, 18446744073709551616 were given; ranks go from 1 to 8"),
    ],
)
def test_what_is_no_order_is_refused_in_words_and_leaves_no_row(
    talk: Talk, database: FeedbackDatabase, count: int, ranks: list[int], told: str
) -> None:
    with pytest.raises(BadInput, match=told) as refusal:
        talk.store.rank(ANN, answers(talk, count), ranks)
    assert "\n" not in str(refusal.value)
    assert nothing_is_ranked(database)


def test_eight_replies_are_ranked_at_most(talk: Talk) -> None:
    talk.store.rank(ANN, answers(talk, 8), [8, 7, 6, 5, 4, 3, 2, 1])
    assert talk.store.snapshot().rankings[0].ranks == (8, 7, 6, 5, 4, 3, 2, 1)


def test_a_reply_ranked_twice_is_refused(talk: Talk, database: FeedbackDatabase) -> None:
    first, second = answers(talk, 2)
    with pytest.raises(BadInput, match="A reply was ranked twice; give each reply once"):
        talk.store.rank(ANN, [first, second, first], [1, 2, 3])
    assert nothing_is_ranked(database)


def test_replies_to_different_questions_are_not_ranked_together(
    store: FeedbackStore, talk: Talk, database: FeedbackDatabase
) -> None:
    first = talk.answer("By fields.")
    second_question = store.add_message(talk.id, first, Message("user", "Why?"))
    deeper = Talk(store, talk.id, second_question).answer("Because.")
    elsewhere = start_talk(store, "Why are clouds white?").answer("Drops.")
    for other in (deeper, elsewhere):
        with pytest.raises(BadInput, match="These 2 replies do not all answer one question"):
            store.rank(ANN, [first, other], [1, 2])
    assert nothing_is_ranked(database)


@pytest.mark.parametrize("person", [BOB, "a stranger"])
def test_somebody_elses_replies_take_no_ranking(talk: Talk, database: FeedbackDatabase, person: str) -> None:
    talk.store.start_conversation(BOB, "my own")
    with pytest.raises(BadInput, match="2 of the 2 replies are not in a conversation of yours"):
        talk.store.rank(person, answers(talk, 2), [1, 2])
    assert nothing_is_ranked(database)


def test_one_reply_of_somebody_else_or_of_nobody_spoils_a_ranking(talk: Talk, database: FeedbackDatabase) -> None:
    own = answers(talk, 2)
    of_bob = start_talk(talk.store, person=BOB).answer("mine")
    for other in (of_bob, "no such id", talk.question):
        with pytest.raises(BadInput, match="1 of the 3 replies are not in a conversation of yours"):
            talk.store.rank(ANN, [*own, other], [1, 2, 3])
    assert nothing_is_ranked(database)


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("", ReplyStatus.STREAMING),
        ("half an ans", ReplyStatus.FAILED),
        ("", ReplyStatus.STOPPED),
        (" \n", ReplyStatus.DONE),
    ],
)
def test_a_reply_that_is_not_written_takes_no_rank(
    talk: Talk, database: FeedbackDatabase, text: str, status: ReplyStatus
) -> None:
    replies = [*answers(talk, 2), talk.answer(text, status=status)]
    with pytest.raises(BadInput, match="rank only finished replies with a text"):
        talk.store.rank(ANN, replies, [1, 2, 3])
    assert nothing_is_ranked(database)


def test_a_reply_that_was_stopped_half_way_takes_a_rank(talk: Talk) -> None:
    replies = [*answers(talk, 1), talk.answer("half an ans", status=ReplyStatus.STOPPED)]
    talk.store.rank(ANN, replies, [1, 2])
    assert [reply.text for reply in talk.store.snapshot().rankings[0].replies] == ["answer 0", "half an ans"]


def test_twenty_rankings_at_once_are_all_kept_whole(talk: Talk, database: FeedbackDatabase) -> None:
    replies = answers(talk, 3)
    accepted, refused = at_once(lambda: talk.store.rank(ANN, replies, [2, 1, 3]))
    assert (len(set(accepted)), refused) == (CLICKS, [])
    assert {row["id"] for row in rows(database, "SELECT id FROM rankings")} == set(accepted)
    sizes = rows(database, "SELECT count(*) AS replies, sum(rank) AS ranks FROM ranked_replies GROUP BY ranking_id")
    assert sizes == [{"replies": 3, "ranks": 6}] * CLICKS
    assert [ranking.id for ranking in talk.store.snapshot().rankings] == [max(map(str, accepted))]


# ---- corrections -----------------------------------------------------------------------------------------------------


def test_a_correction_is_read_back_with_the_reply_it_corrects(talk: Talk) -> None:
    reply = talk.answer("By magic.")
    correction_id = talk.store.correct(reply, ANN, "By fields.", [7, 8, 2])
    (correction,) = talk.store.snapshot().corrections
    assert (correction.id, correction.person_id, correction.conversation_id) == (correction_id, ANN, talk.id)
    assert (correction.text, correction.token_ids) == ("By fields.", (7, 8, 2))
    assert (correction.reply.id, correction.reply.text) == (reply, "By magic.")
    assert talk.store.reply(reply).text == "By magic."


def test_a_second_correction_replaces_the_first_which_stays_as_history(talk: Talk, database: FeedbackDatabase) -> None:
    reply, other = talk.answer("By magic."), talk.answer("By luck.")
    talk.store.correct(other, ANN, "By spin.", [9])
    talk.store.correct(reply, ANN, "By feilds.", [7])
    talk.store.correct(reply, ANN, "By fields.", [8])
    assert rows(database, "SELECT text, replaced_at IS NULL AS active FROM corrections ORDER BY id") == [
        {"text": "By spin.", "active": 1},
        {"text": "By feilds.", "active": 0},
        {"text": "By fields.", "active": 1},
    ]
    assert [correction.text for correction in talk.store.snapshot().corrections] == ["By spin.", "By fields."]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "The correction is empty"),
        (" \n\t", "The correction is empty"),
        ("By magic.", "The correction says the same as the reply"),
        ("\n By magic. ", "The correction says the same as the reply"),
    ],
)
def test_an_empty_or_unchanged_correction_is_refused_and_the_earlier_one_stays(
    talk: Talk, text: str, told: str
) -> None:
    reply = talk.answer(" By magic.\n")
    earlier = talk.store.correct(reply, ANN, "By fields.", [7])
    with pytest.raises(BadInput, match=told) as refusal:
        talk.store.correct(reply, ANN, text, [1])
    assert "\n" not in str(refusal.value)
    assert [correction.id for correction in talk.store.snapshot().corrections] == [earlier]


@pytest.mark.parametrize("person", [BOB, "a stranger"])
def test_a_correction_of_somebody_elses_reply_is_refused_and_leaves_no_row(
    talk: Talk, database: FeedbackDatabase, person: str
) -> None:
    talk.store.start_conversation(BOB, "my own")
    for reply in (talk.answer("By magic."), talk.question, "no such id"):
        with pytest.raises(BadInput, match="not in a conversation of yours"):
            talk.store.correct(reply, person, "By fields.", [7])
    assert rows(database, "SELECT * FROM corrections") == []


def test_a_reply_that_is_still_being_written_takes_no_correction(talk: Talk, database: FeedbackDatabase) -> None:
    with pytest.raises(BadInput, match="still being written; wait until it ends"):
        talk.store.correct(talk.answer("", status=ReplyStatus.STREAMING), ANN, "By fields.", [7])
    assert rows(database, "SELECT * FROM corrections") == []


def test_a_reply_that_failed_can_be_corrected(talk: Talk) -> None:
    talk.store.correct(talk.answer("", status=ReplyStatus.FAILED), ANN, "By fields.", [7])
    assert [correction.text for correction in talk.store.snapshot().corrections] == ["By fields."]


def test_twenty_corrections_at_once_are_all_kept_and_one_of_them_is_active(
    talk: Talk, database: FeedbackDatabase
) -> None:
    reply = talk.answer("By magic.")
    texts = [f"By field {number}." for number in range(CLICKS)]
    with ThreadPoolExecutor(CLICKS) as pool:
        ids = list(pool.map(lambda text: talk.store.correct(reply, ANN, text, [7]), texts))
    stored = rows(database, "SELECT id, text FROM corrections")
    assert {row["id"]: row["text"] for row in stored} == dict(zip(ids, texts, strict=True))
    assert rows(database, "SELECT id FROM corrections WHERE replaced_at IS NULL") == [{"id": max(ids)}]


# ---- consent ---------------------------------------------------------------------------------------------------------


def judge_everything(store: FeedbackStore, person: str) -> Talk:
    """A conversation of this person's with a duel, a thumb, a ranking and a correction, and an imported pair."""
    talk = start_talk(store, f"{person}'s question?", person)
    left, right = answers(talk, 2)
    store.decide_duel(store.start_duel(talk.id, talk.question, person, left, right), person, DuelOutcome.LEFT)
    store.set_thumb(left, person, ThumbValue.UP)
    store.rank(person, [left, right], [1, 2])
    store.correct(right, person, "better", [7])
    prompt = (Message("user", f"{person}'s import?"),)
    store.import_preferences(person, [Preference(person, prompt, (1,), ("a", (2,)), ("b", (3,)), DuelOutcome.LEFT)])
    return talk


def test_a_person_may_be_learned_from_until_they_say_no(store: FeedbackStore, database: FeedbackDatabase) -> None:
    assert store.consent("a stranger")
    store.start_conversation(ANN, "hello")
    assert store.consent(ANN)
    store.set_consent(ANN, False)
    assert not store.consent(ANN)
    assert store.consent(BOB)
    store.start_conversation(ANN, "hello again")  # says nothing about consent
    assert not store.consent(ANN)
    store.set_consent(ANN, True)
    assert store.consent(ANN)
    assert rows(database, "SELECT id FROM people") == [{"id": ANN}]


def test_somebody_new_can_say_no_before_the_first_word(store: FeedbackStore) -> None:
    store.set_consent(BOB, False)
    assert not store.consent(BOB)
    judge_everything(store, BOB)
    assert not store.consent(BOB)
    assert store.snapshot().openings == {}


def test_the_night_reads_nothing_of_a_person_who_said_no(store: FeedbackStore) -> None:
    talk = judge_everything(store, ANN)
    judge_everything(store, BOB)
    both = store.snapshot()
    store.set_consent(BOB, False)
    snapshot = store.snapshot()
    for of_both, left in (
        (both.duels, snapshot.duels),
        (both.thumbs, snapshot.thumbs),
        (both.rankings, snapshot.rankings),
        (both.corrections, snapshot.corrections),
    ):
        assert {row.person_id for row in of_both} == {ANN, BOB}
        assert left == tuple(row for row in of_both if row.person_id == ANN)
    assert sorted(both.openings.values()) == ["ann's import?", "ann's question?", "bob's import?", "bob's question?"]
    assert sorted(snapshot.openings.values()) == ["ann's import?", "ann's question?"]
    assert snapshot.openings[talk.id] == "ann's question?"
    assert store.counts() == (4, 2)  # what was judged is still there
    store.set_consent(BOB, True)
    again = store.snapshot()
    assert (again.duels, again.thumbs, again.rankings) == (both.duels, both.thumbs, both.rankings)
    assert (again.corrections, again.openings) == (both.corrections, both.openings)


def test_a_thumb_names_the_question_its_reply_answers(talk: Talk) -> None:
    talk.store.set_thumb(talk.answer("By fields."), ANN, ThumbValue.UP)
    assert [thumb.question_id for thumb in talk.store.snapshot().thumbs] == [talk.question]


# ---- sides -----------------------------------------------------------------------------------------------------------


def test_sides_are_kept_and_can_be_changed(store: FeedbackStore, database: FeedbackDatabase) -> None:
    first, second, third = (start_talk(store).id for _ in range(3))
    store.keep_sides({first: "train", second: "exam"})
    decided = "SELECT decided_at FROM split_sides WHERE side = 'exam'"
    when = rows(database, decided)
    store.keep_sides({first: "validation", second: "exam", third: "train"})
    assert store.snapshot().sides == {first: "validation", second: "exam", third: "train"}
    assert rows(database, decided) == when  # a side that stays the same was decided when it was decided
    store.keep_sides({})
    assert len(store.snapshot().sides) == 3


def test_sides_are_kept_all_or_none(store: FeedbackStore, talk: Talk) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        store.keep_sides({talk.id: "exam", start_talk(store).id: "holiday"})
    assert store.snapshot().sides == {}


def test_the_side_of_a_conversation_that_was_deleted_meanwhile_is_passed_over(store: FeedbackStore, talk: Talk) -> None:
    store.keep_sides({"deleted while the night read": "train", talk.id: "exam"})
    assert store.snapshot().sides == {talk.id: "exam"}
