"""What visitors can do and cannot do, on a real store and registry with a scripted engine."""

import json
import random
from dataclasses import replace

import pytest

from demo.classroom import Classroom, in_step
from demo.lessons import NO_REASONS, Lesson, ThumbReasons
from demo.windows import REMEMBERED, WINDOW, Windows
from demo.writing import BrokenReplyError
from nightschool.errors import BadInput
from nightschool.feedback import FeedbackStore
from nightschool.ids import new_id, utc_now
from nightschool.records import INITIAL, DuelOutcome, ReplyStatus, Sampling, Style, ThumbValue, VerdictKind, Version
from nightschool.registry import VersionRegistry
from nightschool.schema import FeedbackDatabase
from tests.scripted_engine import ScriptedEngine

ANNA, BEN = "anna", "ben"


class School:
    """A classroom with its parts in reach."""

    def __init__(self, database: FeedbackDatabase) -> None:
        self.database = database
        self.store = FeedbackStore(database)
        self.registry = VersionRegistry(database)
        self.engine = ScriptedEngine()
        self.room = self.open(duel_share=0)

    def open(self, *, duel_share: float, reasons: ThumbReasons = NO_REASONS) -> Classroom:
        return Classroom(
            self.store,
            self.registry,
            self.engine,
            sampling=Sampling(0.7, 50),
            duel_share=duel_share,
            chance=random.Random(7),
            reasons=reasons,
        )

    def add_version(self, name: str, verdict: VerdictKind = VerdictKind.PROMOTED) -> None:
        self.registry.add(Version(name, INITIAL, utc_now(), None, "base", "sha", verdict), [])

    def rows(self, sql: str) -> list[tuple[object, ...]]:
        return list(self.database.read().execute(sql).fetchall())

    def talk(self, *questions: str, person: str = ANNA) -> str:
        conversation_id = ""
        for question in questions:
            conversation_id = finish(self.room.ask(person, conversation_id, question))
        return conversation_id


@pytest.fixture
def school(database: FeedbackDatabase) -> School:
    return School(database)


def finish(lesson: Lesson) -> str:
    """Read all drafts; the conversation's id."""
    for _ in lesson.drafts:
        pass
    return lesson.conversation_id


def test_a_question_is_answered_by_the_champion_and_all_of_it_is_stored(school: School) -> None:
    school.engine.scripts[INITIAL] = "bread needs time"
    lesson = school.room.ask(ANNA, "", "  How do I bake bread?  ")
    assert [draft.texts for draft in lesson.drafts] == [("",), ("bread",), ("bread needs",), ("bread needs time",)]
    question, reply = school.room.scene(ANNA, lesson.conversation_id).turns
    assert (question.role, question.text) == ("user", "How do I bake bread?")
    assert (reply.text, reply.version, reply.status) == ("bread needs time", INITIAL, ReplyStatus.DONE)
    [(temperature, limit, seed, prompt_ids, token_ids, first, seconds)] = school.rows(
        "SELECT temperature, max_new_tokens, seed, prompt_ids, token_ids, first_token_seconds, seconds FROM replies"
    )
    assert (temperature, limit) == (0.7, 50)
    assert school.engine.streams == [(INITIAL, seed)]
    assert (json.loads(str(prompt_ids)), json.loads(str(token_ids))) == ([20], [0, 1, 2])
    assert isinstance(first, float)
    assert isinstance(seconds, float)
    assert 0 <= first <= seconds


def test_the_row_of_a_reply_is_there_before_its_first_token(school: School) -> None:
    lesson = school.room.ask(ANNA, "", "hello")
    assert next(lesson.drafts).texts == ("",)
    assert school.engine.steps == []
    reply = school.room.scene(ANNA, lesson.conversation_id).turns[-1]
    assert reply.status is ReplyStatus.STREAMING
    school.room.thumb(ANNA, reply.id, ThumbValue.UP)
    lesson.drafts.close()


def test_the_model_sees_the_whole_branch_without_failed_and_empty_replies(school: School) -> None:
    conversation_id = school.talk("one")
    school.engine.scripts[INITIAL] = ""
    finish(school.room.ask(ANNA, conversation_id, "two"))
    school.engine.scripts[INITIAL] = "never finished"
    school.engine.breaks_after = {INITIAL: 1}
    with pytest.raises(BrokenReplyError):
        finish(school.room.ask(ANNA, conversation_id, "three"))
    school.engine.breaks_after = {}
    finish(school.room.ask(ANNA, conversation_id, "four"))
    assert [message.content for message in school.engine.conversations[-1]] == [
        "one",
        "a reply by initial",
        "two",
        "three",
        "four",
    ]


@pytest.mark.parametrize("text", ["", "  \n ", "x" * 301])
def test_a_refused_question_leaves_nothing_behind(school: School, text: str) -> None:
    with pytest.raises(BadInput):
        school.room.ask(ANNA, "", text)
    assert school.rows("SELECT * FROM messages") == []
    assert school.room.conversations(ANNA) == []


def test_a_stopped_reply_keeps_what_was_written(school: School) -> None:
    lesson = school.room.ask(ANNA, "", "hello")
    for _ in range(3):
        next(lesson.drafts)
    lesson.drafts.close()
    reply = school.room.scene(ANNA, lesson.conversation_id).turns[-1]
    assert (reply.text, reply.status) == ("a reply", ReplyStatus.STOPPED)
    assert school.engine.closed == 1


def test_an_engine_that_breaks_is_told_in_one_sentence_and_the_next_question_works(
    school: School, caplog: pytest.LogCaptureFixture
) -> None:
    school.engine.breaks_after = {INITIAL: 2}
    lesson = school.room.ask(ANNA, "", "hello")
    with pytest.raises(BrokenReplyError, match="press Regenerate"):
        finish(lesson)
    assert "the scripted engine broke on purpose" in caplog.text
    assert school.room.scene(ANNA, lesson.conversation_id).turns[-1].status is ReplyStatus.FAILED
    school.engine.breaks_after = {}
    finish(school.room.ask_again(ANNA, lesson.conversation_id))
    assert school.room.scene(ANNA, lesson.conversation_id).turns[-1].text == "another reply by initial 2"


def test_a_regenerated_reply_is_a_sibling_and_the_earlier_one_stays_stored(school: School) -> None:
    conversation_id = school.talk("hello")
    school.engine.scripts[INITIAL] = "another try"
    finish(school.room.ask_again(ANNA, conversation_id))
    question, reply = school.room.scene(ANNA, conversation_id).turns
    assert (reply.text, reply.parent_id, reply.sibling_count) == ("another try", question.id, 2)
    assert school.rows("SELECT count(*) FROM replies WHERE status = 'done'") == [(2,)]
    assert [message.content for message in school.engine.conversations[-1]] == ["hello"]


def test_a_promotion_is_served_at_the_next_reply(school: School) -> None:
    conversation_id = school.talk("hello")
    school.add_version("v1")
    VersionRegistry(school.database).promote("v1", "a test")
    finish(school.room.ask(ANNA, conversation_id, "and now?"))
    assert [turn.version for turn in school.room.scene(ANNA, conversation_id).turns] == [None, INITIAL, None, "v1"]


def test_a_damaged_champion_is_replaced_by_the_initial_version_with_a_warning(school: School) -> None:
    school.add_version("v1")
    school.registry.promote("v1", "a test")
    school.engine.damaged.add("v1")
    lesson = school.room.ask(ANNA, "", "hello")
    assert next(lesson.drafts).warning == (
        "The version initial answers in place of v1: The version v1 is damaged (a file was changed)."
    )
    finish(lesson)
    assert school.room.scene(ANNA, lesson.conversation_id).turns[-1].version == INITIAL


def test_the_last_sound_version_it_grew_from_answers_in_place_of_a_damaged_champion(school: School) -> None:
    for name, parent in (("v1", INITIAL), ("v2", "v1"), ("v3", "v2")):
        school.registry.add(replace(school.registry.get(INITIAL), id=name, parent_id=parent), [])
    school.registry.promote("v3", "a test")
    school.engine.damaged |= {"v3", "v2"}
    lesson = school.room.ask(ANNA, "", "hello")
    warning = next(lesson.drafts).warning
    assert warning.startswith("The version v1 answers in place of v3: The version v3 is damaged")
    finish(lesson)
    assert school.room.scene(ANNA, lesson.conversation_id).turns[-1].version == "v1"
    school.engine.damaged.clear()  # its folder was restored
    finish(school.room.ask(ANNA, lesson.conversation_id, "and now?"))
    assert school.room.scene(ANNA, lesson.conversation_id).turns[-1].version == "v3"


def test_only_the_newest_twenty_questions_are_shown_and_all_stay_stored(school: School) -> None:
    conversation_id = school.talk(*[f"question {number}" for number in range(25)])
    scene = school.room.scene(ANNA, conversation_id)
    assert (len(scene.turns), scene.turns[0].text, scene.hidden) == (WINDOW, "question 5", 10)


def test_who_looks_back_sees_all_messages_until_the_conversation_is_opened_anew(school: School) -> None:
    conversation_id = school.talk(*[f"question {number}" for number in range(45)])
    wider = school.room.look_back(ANNA, conversation_id)
    assert (len(wider.turns), wider.turns[0].text, wider.hidden) == (2 * WINDOW, "question 5", 10)
    whole = school.room.look_back(ANNA, conversation_id)
    assert (len(whole.turns), whole.turns[0].text, whole.hidden) == (90, "question 0", 0)
    finish(school.room.ask(ANNA, conversation_id, "one more"))
    assert len(school.room.scene(ANNA, conversation_id).turns) == 92
    assert len(school.room.look_back(ANNA, conversation_id).turns) == 92
    with pytest.raises(BadInput):
        school.room.open("bob", conversation_id)
    with pytest.raises(BadInput):
        school.room.look_back("bob", conversation_id)
    assert len(school.room.scene(ANNA, conversation_id).turns) == 92
    assert len(school.room.open(ANNA, conversation_id).turns) == WINDOW


def test_only_so_many_conversations_are_remembered_as_looked_back_in() -> None:
    windows = Windows()
    for number in range(REMEMBERED + 1):
        windows.widen(str(number))
        windows.width("0")  # the one that is in use stays
    widths = [windows.width(name) for name in ("0", "1", str(REMEMBERED))]
    assert widths == [2 * WINDOW, WINDOW, 2 * WINDOW]


# ---- duels -------------------------------------------------------------------------------------------------------


def test_both_sides_of_a_duel_are_written_at_one_pace(school: School) -> None:
    school.add_version("v1")
    school.engine.scripts = {INITIAL: "one two three", "v1": "uno dos tres cuatro cinco"}
    lesson = school.room.ask(ANNA, "", "count", compare=True)
    assert lesson.is_duel
    finish(lesson)
    order = school.engine.steps
    assert {order[0], order[1]} == {order[2], order[3]} == {order[4], order[5]} == {INITIAL, "v1"}
    assert order[6:] == ["v1", "v1"]


def test_texts_advance_in_step_and_the_longer_one_ends_alone() -> None:
    assert list(in_step(iter(["a", "ab", "abc"]), iter(["x"]))) == [
        ("a", "x"),
        ("ab", "x"),
        ("abc", "x"),
        ("abc", "x"),
    ]


def test_the_share_of_duels_is_the_one_the_owner_set(school: School) -> None:
    never, always = school.open(duel_share=0), school.open(duel_share=1)
    lessons = [room.ask(ANNA, "", "hello") for room in [never] * 10 + [always] * 10]
    assert [lesson.is_duel for lesson in lessons] == [False] * 10 + [True] * 10


@pytest.mark.parametrize(("outcome", "side"), [(DuelOutcome.LEFT, "left"), (DuelOutcome.RIGHT, "right")])
def test_the_chosen_reply_continues_the_conversation(school: School, outcome: DuelOutcome, side: str) -> None:
    school.add_version("v1")
    conversation_id = finish(school.room.ask(ANNA, "", "hello", compare=True))
    open_duel = school.room.scene(ANNA, conversation_id).duel
    assert open_duel is not None
    decided = school.room.vote(ANNA, open_duel.id, outcome)
    assert {decided.left.version, decided.right.version} == {INITIAL, "v1"}
    scene = school.room.scene(ANNA, conversation_id)
    assert scene.duel is None
    assert scene.turns[-1].id == getattr(decided, side).id


def test_a_duel_takes_one_vote(school: School) -> None:
    duel = school.room.scene(ANNA, finish(school.room.ask(ANNA, "", "hello", compare=True))).duel
    assert duel is not None
    school.room.vote(ANNA, duel.id, DuelOutcome.TIE)
    with pytest.raises(BadInput, match="already decided"):
        school.room.vote(ANNA, duel.id, DuelOutcome.LEFT)


def test_an_open_duel_must_be_judged_before_the_next_question(school: School) -> None:
    conversation_id = finish(school.room.ask(ANNA, "", "hello", compare=True))
    for refused in (
        lambda: school.room.ask(ANNA, conversation_id, "next"),
        lambda: school.room.ask_again(ANNA, conversation_id),
        lambda: school.room.compare_again(ANNA, conversation_id),
    ):
        with pytest.raises(BadInput, match="waiting for your judgement"):
            refused()
    assert school.rows("SELECT count(*) FROM messages WHERE role = 'user'") == [(1,)]


def test_an_empty_box_compares_two_answers_to_the_last_question(school: School) -> None:
    conversation_id = school.talk("hello")
    finish(school.room.compare_again(ANNA, conversation_id))
    scene = school.room.scene(ANNA, conversation_id)
    assert [turn.text for turn in scene.turns] == ["hello"]
    assert scene.duel is not None
    assert school.rows("SELECT count(*) FROM replies") == [(3,)]


def test_without_a_question_there_is_nothing_to_compare_or_regenerate(school: School) -> None:
    for refused in (school.room.ask_again, school.room.compare_again):
        with pytest.raises(BadInput, match="no question yet"):
            refused(ANNA, "")


def test_a_duel_with_one_empty_answer_is_not_asked_about(school: School) -> None:
    school.add_version("v1")
    school.engine.scripts["v1"] = ""
    conversation_id = finish(school.room.ask(ANNA, "", "hello", compare=True))
    scene = school.room.scene(ANNA, conversation_id)
    assert scene.duel is None
    assert scene.turns[-1].text == "a reply by initial"


def test_two_answers_of_the_same_words_are_not_asked_about(school: School) -> None:
    school.engine.scripts[INITIAL] = "Rome."
    conversation_id = finish(school.room.ask(ANNA, "", "hello", compare=True))
    scene = school.room.scene(ANNA, conversation_id)
    assert scene.duel is None
    assert scene.turns[-1].text == "Rome."


def test_a_duel_that_came_out_empty_leaves_the_earlier_answer_shown(school: School) -> None:
    conversation_id = school.talk("hello")
    school.engine.scripts[INITIAL] = ""
    finish(school.room.compare_again(ANNA, conversation_id))
    scene = school.room.scene(ANNA, conversation_id)
    assert scene.duel is None
    assert scene.turns[-1].text == "a reply by initial"


def test_a_stopped_duel_can_be_judged_by_what_was_written(school: School) -> None:
    lesson = school.room.ask(ANNA, "", "hello", compare=True)
    for _ in range(3):
        next(lesson.drafts)
    lesson.drafts.close()
    duel = school.room.scene(ANNA, lesson.conversation_id).duel
    assert duel is not None
    assert (duel.left.status, duel.right.text) == (ReplyStatus.STOPPED, "another reply")
    school.room.vote(ANNA, duel.id, DuelOutcome.BOTH_BAD)


def test_a_duel_that_broke_does_not_block_the_conversation(school: School) -> None:
    school.engine.breaks_after = {INITIAL: 1}
    lesson = school.room.ask(ANNA, "", "hello", compare=True)
    with pytest.raises(BrokenReplyError):
        finish(lesson)
    assert school.room.scene(ANNA, lesson.conversation_id).duel is None
    school.engine.breaks_after = {}
    finish(school.room.ask(ANNA, lesson.conversation_id, "next"))


def test_a_damaged_version_in_a_duel_is_not_named_before_the_vote(school: School) -> None:
    school.add_version("v1")
    school.engine.damaged.add("v1")
    lesson = school.room.ask(ANNA, "", "hello", compare=True)
    warning = next(lesson.drafts).warning
    assert "could not be used" in warning
    assert "v1" not in warning
    finish(lesson)
    assert school.rows("SELECT DISTINCT version FROM replies") == [(INITIAL,)]


# ---- whose is it -------------------------------------------------------------------------------------------------


def test_nobody_reads_asks_or_votes_in_a_conversation_of_somebody_else(school: School) -> None:
    conversation_id = school.talk("private")
    reply_id = school.room.scene(ANNA, conversation_id).turns[-1].id
    finish(school.room.compare_again(ANNA, conversation_id))
    duel = school.room.scene(ANNA, conversation_id).duel
    assert duel is not None
    for forged in (
        lambda: school.room.scene(BEN, conversation_id),
        lambda: school.room.ask(BEN, conversation_id, "let me in"),
        lambda: school.room.ask_again(BEN, conversation_id),
        lambda: school.room.compare_again(BEN, conversation_id),
        lambda: school.room.thumb(BEN, reply_id, ThumbValue.DOWN),
        lambda: school.room.vote(BEN, duel.id, DuelOutcome.LEFT),
    ):
        with pytest.raises(BadInput):
            forged()
    assert school.room.conversations(BEN) == []
    assert school.rows("SELECT count(*) FROM thumbs") == [(0,)]


def test_two_people_at_once_see_only_their_own_words(school: School) -> None:
    anna, ben = school.room.ask(ANNA, "", "I am Anna"), school.room.ask(BEN, "", "I am Ben")
    for _ in zip(anna.drafts, ben.drafts, strict=True):
        pass
    assert school.room.scene(ANNA, anna.conversation_id).turns[0].text == "I am Anna"
    assert school.room.scene(BEN, ben.conversation_id).turns[0].text == "I am Ben"
    assert [conversation.title for conversation in school.room.conversations(BEN)] == ["I am Ben"]


def test_warming_up_stores_nothing(school: School) -> None:
    assert school.room.warm_up() == ""
    assert school.engine.steps == [INITIAL]
    assert school.rows("SELECT * FROM messages") == []


# ---- branches, styles, corrections, reasons ----------------------------------------------------------------------


def said(school: School, conversation_id: str) -> list[str]:
    return [turn.said for turn in school.room.scene(ANNA, conversation_id).turns]


def test_an_edited_question_is_answered_on_a_branch_of_its_own(school: School) -> None:
    conversation_id = school.talk("one", "two")
    first = school.room.scene(ANNA, conversation_id).turns[0]
    finish(school.room.edit(ANNA, conversation_id, first.id, " uno "))
    assert said(school, conversation_id) == ["uno", "another reply by initial 2"]  # its prompt is as long as the first
    assert [message.content for message in school.engine.conversations[-1]] == ["uno"]
    edited = school.room.scene(ANNA, conversation_id).turns[0]
    assert edited.siblings == (first.id, edited.id)
    school.room.show_message(ANNA, conversation_id, first.id)
    assert said(school, conversation_id)[:3:2] == ["one", "two"]


def test_only_a_question_on_the_page_can_be_edited(school: School) -> None:
    conversation_id = school.talk("one")
    answer = school.room.scene(ANNA, conversation_id).turns[-1]
    for message in (answer.id, "no such message"):
        with pytest.raises(BadInput, match="not on the page any more"):
            school.room.edit(ANNA, conversation_id, message, "x")
    question = school.room.scene(ANNA, conversation_id).turns[0]
    with pytest.raises(BadInput, match="empty"):
        school.room.edit(ANNA, conversation_id, question.id, "  ")
    assert school.rows("SELECT count(*) FROM messages WHERE role = 'user'") == [(1,)]


def test_a_regenerated_answer_leaves_the_earlier_one_reachable(school: School) -> None:
    conversation_id = school.talk("hello")
    first = school.room.scene(ANNA, conversation_id).turns[-1]
    finish(school.room.ask_again(ANNA, conversation_id))
    assert school.room.scene(ANNA, conversation_id).turns[-1].siblings[0] == first.id
    school.room.show_message(ANNA, conversation_id, first.id)
    assert school.room.scene(ANNA, conversation_id).turns[-1].id == first.id


def test_a_duel_must_be_ended_before_another_branch_is_shown(school: School) -> None:
    conversation_id = school.talk("hello")
    first = school.room.scene(ANNA, conversation_id).turns[0]
    finish(school.room.compare_again(ANNA, conversation_id))
    with pytest.raises(BadInput, match="waiting for your judgement"):
        school.room.show_message(ANNA, conversation_id, first.id)


def test_the_answers_of_a_duel_with_nothing_to_compare_stay_reachable(school: School) -> None:
    school.engine.scripts[INITIAL] = "Rome."
    conversation_id = finish(school.room.ask(ANNA, "", "hello", compare=True))
    [turn] = school.room.scene(ANNA, conversation_id).turns[1:]
    assert turn.sibling_count == 2
    assert school.rows("SELECT outcome, closed_at IS NOT NULL FROM duels") == [(None, 1)]


def test_a_skipped_duel_names_its_versions_and_lets_the_conversation_go_on(school: School) -> None:
    school.add_version("v1")
    conversation_id = finish(school.room.ask(ANNA, "", "hello", compare=True))
    duel = school.room.scene(ANNA, conversation_id).duel
    assert duel is not None
    declined = school.room.decline(ANNA, duel.id)
    assert {declined.left.version, declined.right.version} == {INITIAL, "v1"}
    assert school.room.scene(ANNA, conversation_id).duel is None
    finish(school.room.ask(ANNA, conversation_id, "next"))


def test_a_style_is_kept_with_the_conversation_and_used_for_each_answer(school: School) -> None:
    style = Style("Be brief.", 1.2, 2)
    conversation_id = finish(school.room.ask(ANNA, "", "hello", style=style))
    assert [(message.role, message.content) for message in school.engine.conversations[-1]] == [
        ("system", "Be brief."),
        ("user", "hello"),
    ]
    assert said(school, conversation_id) == ["hello", "a reply"]
    assert [turn.at_length_limit for turn in school.room.scene(ANNA, conversation_id).turns] == [False, True]
    finish(school.room.ask(ANNA, conversation_id, "again", style=replace(style, max_new_tokens=50)))
    assert [turn.at_length_limit for turn in school.room.scene(ANNA, conversation_id).turns] == [
        False,
        True,
        False,
        False,
    ]
    school.room.keep_style(ANNA, conversation_id, style)
    finish(school.room.ask_again(ANNA, conversation_id))
    assert school.rows("SELECT DISTINCT temperature, max_new_tokens FROM replies") == [(1.2, 2), (1.2, 50)]
    school.room.keep_style(ANNA, conversation_id, Style(" ", 0.7, 50))
    # what is as the owner set it is not a choice: it changes with the owner's setting
    assert school.room.scene(ANNA, conversation_id).style == Style()


@pytest.mark.parametrize(
    ("style", "sentence"),
    [
        (Style(temperature=0.0), "temperature was 0"),
        (Style(temperature=float("nan")), "temperature was nan"),
        (Style(temperature=2.5), "temperature was 2.5"),
        (Style(max_new_tokens=0), "choose 1 to 50"),
        (Style(max_new_tokens=51), "choose 1 to 50"),
        (Style("x" * 2001), "2,001 characters"),
        (Style("half \ud800"), "half of a character"),
    ],
)
def test_a_style_that_cannot_be_is_refused_and_nothing_is_stored(school: School, style: Style, sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        school.room.ask(ANNA, "", "hello", style=style)
    assert school.rows("SELECT * FROM conversations") == []


def test_the_model_goes_on_from_a_correction(school: School) -> None:
    conversation_id = school.talk("hello")
    reply = school.room.scene(ANNA, conversation_id).turns[-1]
    school.room.correct(ANNA, reply.id, "  better words ")
    assert said(school, conversation_id) == ["hello", "better words"]
    assert school.rows("SELECT text, token_ids FROM corrections") == [("better words", "[0, 1, -1]")]
    finish(school.room.ask(ANNA, conversation_id, "go on"))
    assert [message.content for message in school.engine.conversations[-1]] == ["hello", "better words", "go on"]
    school.room.withdraw_correction(ANNA, reply.id)
    assert said(school, conversation_id)[1] == "a reply by initial"


def test_a_failed_answer_that_was_corrected_is_part_of_the_conversation(school: School) -> None:
    school.engine.breaks_after = {INITIAL: 1}
    lesson = school.room.ask(ANNA, "", "hello")
    with pytest.raises(BrokenReplyError):
        finish(lesson)
    reply = school.room.scene(ANNA, lesson.conversation_id).turns[-1]
    school.room.correct(ANNA, reply.id, "whole now")
    school.engine.breaks_after = {}
    finish(school.room.ask(ANNA, lesson.conversation_id, "next"))
    assert [message.content for message in school.engine.conversations[-1]] == ["hello", "whole now", "next"]


def test_a_thumb_takes_only_reasons_that_are_offered_for_it(school: School) -> None:
    room = school.open(duel_share=0, reasons=ThumbReasons(("helpful", "clear"), ("wrong",)))
    conversation_id = school.talk("hello")
    reply = school.room.scene(ANNA, conversation_id).turns[-1]
    room.thumb(ANNA, reply.id, ThumbValue.UP, reasons=["clear", "helpful"], comment="  nice ")
    turn = room.turn(ANNA, conversation_id, reply.id)
    assert (turn.reasons, turn.comment) == (("helpful", "clear"), "nice")
    for value, reasons in ((ThumbValue.UP, ["wrong"]), (ThumbValue.DOWN, ["<b>"]), (None, ["helpful"])):
        with pytest.raises(BadInput, match="not one of those offered"):
            room.thumb(ANNA, reply.id, value, reasons=reasons)
    with pytest.raises(BadInput, match="characters"):
        room.thumb(ANNA, reply.id, ThumbValue.UP, comment="x" * 2001)
    with pytest.raises(BadInput, match="half of a character"):
        room.search(ANNA, "\ud800")


def test_nobody_keeps_house_in_conversations_of_somebody_else(school: School) -> None:
    conversation_id = school.talk("private")
    question, reply = school.room.scene(ANNA, conversation_id).turns
    for forged in (
        lambda: school.room.rename(BEN, conversation_id, "mine"),
        lambda: school.room.delete(BEN, conversation_id),
        lambda: school.room.restore(BEN, conversation_id),
        lambda: school.room.keep_style(BEN, conversation_id, Style("be rude")),
        lambda: school.room.show_message(BEN, conversation_id, question.id),
        lambda: school.room.edit(BEN, conversation_id, question.id, "mine"),
        lambda: school.room.correct(BEN, reply.id, "mine"),
        lambda: school.room.turn(BEN, conversation_id, reply.id),
        lambda: school.room.is_writing(BEN, conversation_id),
    ):
        with pytest.raises(BadInput):
            forged()
    school.room.withdraw_correction(BEN, reply.id)  # there is none of Ben's: nothing happens
    assert school.room.search(BEN, "private") == []
    assert [one.conversation.title for one in school.room.search(ANNA, "private")] == ["private"]


def test_a_reply_is_stored_while_it_grows(school: School, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("demo.writing.STORED_EVERY", 0.0)
    lesson = school.room.ask(ANNA, "", "hello")
    for _ in range(3):
        next(lesson.drafts)
    assert school.rows("SELECT m.text, r.token_ids, r.status FROM replies r JOIN messages m ON m.id = r.id") == [
        ("a reply", "[0, 1]", "streaming")
    ]
    lesson.drafts.close()


def test_a_scene_tells_by_its_id_whether_it_was_read_before_something_was_saved(school: School) -> None:
    conversation = school.talk("When was this read?")
    earlier = school.room.scene(ANNA, conversation)
    saved = new_id()
    assert earlier.read < saved < school.room.scene(ANNA, conversation).read
