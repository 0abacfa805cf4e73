"""Looking through feedback: what is found, by whom, by which filter, in which order, and how it is counted."""

import pytest

from nightschool.browsing import FeedbackFilter, FeedbackKind, JudgedAnswer
from nightschool.feedback import FeedbackStore
from nightschool.records import INITIAL, DuelOutcome, Message, Preference, Sampling, ThumbValue
from nightschool.schema import FeedbackDatabase
from tests.judged import QUESTION, Judged, judge_everything
from tests.talks import ANN, BOB, Talk, start_talk

MINE = FeedbackFilter(person_id=ANN)


@pytest.fixture
def judged(store: FeedbackStore) -> Judged:
    return judge_everything(store)


def test_every_act_of_judging_is_found_newest_first(store: FeedbackStore, judged: Judged) -> None:
    found = store.feedback(MINE)
    assert [item.id for item in found] == [
        judged.correction,
        judged.ranking,
        judged.both_bad,
        judged.duel,
        judged.down,
        judged.up,
    ]
    assert {item.question for item in found} == {QUESTION}


def test_an_item_tells_its_answers_and_what_each_got(store: FeedbackStore, judged: Judged) -> None:
    by_id = {item.id: item for item in store.feedback(MINE)}
    assert by_id[judged.up].answers == (JudgedAnswer("liked", INITIAL, "up"),)
    assert (by_id[judged.down].reasons, by_id[judged.down].comment) == (("wrong",), "Not so.")
    assert by_id[judged.duel].answers == (JudgedAnswer("won", INITIAL, "left"), JudgedAnswer("lost", INITIAL, "right"))
    assert by_id[judged.duel].outcome == "left"
    ranked = [(answer.text, answer.mark) for answer in by_id[judged.ranking].answers]
    assert ranked == [("first", "1"), ("second", "2"), ("also second", "2")]
    assert by_id[judged.correction].corrected == "rich"
    assert by_id[judged.correction].answers == (JudgedAnswer("poor", INITIAL, ""),)


def test_what_was_changed_or_taken_back_is_not_found(store: FeedbackStore, talk: Talk) -> None:
    reply = talk.answer("so so")
    store.set_thumb(reply, ANN, ThumbValue.UP)
    store.set_thumb(reply, ANN, ThumbValue.DOWN)
    assert [item.outcome for item in store.feedback(MINE)] == ["down"]
    store.set_thumb(reply, ANN, None)
    assert store.feedback(MINE) == []
    store.correct(reply, ANN, "better", [1])
    store.correct(reply, ANN, "best", [1])
    other = talk.answer("another")
    store.rank(ANN, [reply, other], [1, 2])
    newest = store.rank(ANN, [reply, other], [2, 1])
    talk.duel()  # not decided
    found = store.feedback(MINE)
    assert {(item.kind, item.corrected) for item in found} == {("correction", "best"), ("ranking", "")}
    assert newest in {item.id for item in found}


def test_a_person_finds_their_own_and_no_filter_finds_everybodys(store: FeedbackStore, judged: Judged) -> None:
    judge_everything(store, BOB, "And electricity?")
    assert {item.person_id for item in store.feedback(MINE)} == {ANN}
    assert {item.person_id for item in store.feedback(FeedbackFilter())} == {ANN, BOB}
    assert store.judging_people() == [(ANN, 6), (BOB, 6)]


@pytest.mark.parametrize("kind", FeedbackKind)
def test_one_kind_is_found_alone(store: FeedbackStore, judged: Judged, kind: FeedbackKind) -> None:
    found = store.feedback(FeedbackFilter(person_id=ANN, kind=kind))
    assert {item.kind for item in found} == {kind}
    assert len(found) == store.count_feedback(MINE).by_kind[kind]


def test_a_version_is_found_where_one_of_the_answers_is_its(
    store: FeedbackStore, talk: Talk, database: FeedbackDatabase
) -> None:
    with database.write() as db:
        db.table("versions").insert({"id": "v1", "created_at": "t"})
    mine, its = talk.answer("a"), store.start_reply(talk.id, talk.question, "v1", Sampling(), 1, [1], show=True)
    store.set_thumb(mine, ANN, ThumbValue.UP)
    store.rank(ANN, [mine, _written(store, its)], [1, 2])
    assert [item.kind for item in store.feedback(FeedbackFilter(version="v1"))] == ["ranking"]
    assert len(store.feedback(FeedbackFilter(version=INITIAL))) == 2
    assert store.judged_versions(ANN) == [INITIAL, "v1"]
    assert store.judged_versions(BOB) == []


def _written(store: FeedbackStore, reply: str) -> str:
    from nightschool.records import ReplyStatus

    store.finish_reply(reply, "b", [1], ReplyStatus.DONE)
    return reply


@pytest.mark.parametrize(
    ("words", "kinds"),
    [
        ("MAGNETS", {"thumb", "duel", "ranking", "correction"}),
        ("also sec", {"ranking"}),
        ("rich", {"correction"}),
        ("not so", {"thumb"}),
        ("poor", {"correction"}),
        ("100%", set()),
        ("_", set()),
        ("!", set()),
    ],
)
def test_words_are_searched_in_questions_answers_and_corrections_as_they_stand(
    store: FeedbackStore, judged: Judged, words: str, kinds: set[str]
) -> None:
    assert {item.kind for item in store.feedback(FeedbackFilter(person_id=ANN, search=words))} == kinds


def test_signs_of_the_search_language_are_found_as_themselves(store: FeedbackStore) -> None:
    judge_everything(store, question="Is 100% of a_b sure! 中文也行")
    for words in ("100%", "a_b", "sure!", "文也"):
        assert len(store.feedback(FeedbackFilter(search=words))) == 6
    assert store.feedback(FeedbackFilter(search="a%b")) == []


def test_moments_bound_what_is_found(store: FeedbackStore, judged: Judged) -> None:
    newest = store.feedback(MINE)[0].judged_at
    assert [item.id for item in store.feedback(FeedbackFilter(since=newest))] == [judged.correction]
    assert len(store.feedback(FeedbackFilter(until=newest))) == 5


def test_pages_follow_each_other(store: FeedbackStore, judged: Judged) -> None:
    everything = [item.id for item in store.feedback(MINE)]
    assert [item.id for page in range(3) for item in store.feedback(MINE, 2, 2 * page)] == everything


def test_counts_tell_kinds_and_thumbs_apart(store: FeedbackStore, judged: Judged) -> None:
    counts = store.count_feedback(MINE)
    assert counts.by_kind == {"thumb": 2, "duel": 2, "ranking": 1, "correction": 1}
    assert (counts.total, counts.thumbs_up, counts.thumbs_down) == (6, 1, 1)
    assert store.count_feedback(FeedbackFilter(person_id=BOB)).total == 0


def test_days_begin_where_the_person_is(store: FeedbackStore, judged: Judged, database: FeedbackDatabase) -> None:
    with database.write() as db:
        db.execute("UPDATE thumbs SET created_at = '2026-03-01T23:30:00+00:00' WHERE value = 'up'")
        db.execute("UPDATE thumbs SET created_at = '2026-03-02T10:00:00+00:00' WHERE value = 'down'")
    thumbs = FeedbackFilter(kind=FeedbackKind.THUMB)
    in_utc = store.feedback_by_day(thumbs)
    assert [(day, counts.thumbs_up, counts.thumbs_down) for day, counts in in_utc.items()] == [
        ("2026-03-01", 1, 0),
        ("2026-03-02", 0, 1),
    ]
    in_shanghai = store.feedback_by_day(thumbs, 480)
    assert [(day, counts.total) for day, counts in in_shanghai.items()] == [("2026-03-02", 2)]
    assert list(store.feedback_by_day(thumbs, -630)) == ["2026-03-01"]


def test_an_imported_judgement_says_so(store: FeedbackStore) -> None:
    pair = Preference("key", (Message("user", "Hm?"),), (1,), ("a", (2,)), ("b", (3,)), DuelOutcome.RIGHT)
    store.import_preferences("importer", [pair])
    [item] = store.feedback(FeedbackFilter())
    assert item.imported
    assert [(answer.text, answer.version) for answer in item.answers] == [("a", None), ("b", None)]
    assert not any(item.imported for item in store.feedback(MINE))


def test_a_deleted_conversation_takes_its_feedback_along_until_it_is_had_back(
    store: FeedbackStore, judged: Judged
) -> None:
    store.set_deleted(judged.talk.id, ANN, True)
    assert store.feedback(MINE) == []
    assert store.count_feedback(MINE).total == 0
    store.set_deleted(judged.talk.id, ANN, False)
    assert len(store.feedback(MINE)) == 6


def test_a_declined_duel_is_no_judgement(store: FeedbackStore, talk: Talk) -> None:
    store.decline_duel(talk.duel()[0], ANN)
    assert store.feedback(MINE) == []


def test_a_question_that_nobody_asked_is_empty(store: FeedbackStore) -> None:
    assert store.feedback(FeedbackFilter(search="anything")) == []
    assert store.feedback_by_day(FeedbackFilter()) == {}
    assert start_talk(store).id  # a conversation alone is no feedback
    assert store.count_feedback(FeedbackFilter()).total == 0
