"""What visitors can do and cannot do on the Rank page, on a real store and registry with a scripted engine."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demo.rank_room import LONGEST_REPLY, Ballot, RankRoom, Standing, ranks_of
from nightschool.errors import BadInput, StoreError
from nightschool.feedback import FeedbackStore
from nightschool.ids import utc_now
from nightschool.prompt_bank import PromptLanguage, bank_half
from nightschool.records import INITIAL, Sampling, VerdictKind, Version
from nightschool.registry import VersionRegistry
from nightschool.schema import FeedbackDatabase
from tests.scripted_engine import ScriptedEngine

ANNA, BEN = "anna", "ben"
TEXTS = {INITIAL: "plain words", "v1": "better words", "v2": "the best words", "v3": "other words"}


class School:
    """A rank room with its parts in reach."""

    def __init__(self, database: FeedbackDatabase) -> None:
        self.database = database
        self.store = FeedbackStore(database)
        self.registry = VersionRegistry(database)
        self.engine = ScriptedEngine()
        self.room = RankRoom(
            self.store, self.registry, self.engine, sampling=Sampling(0.7, 500), count=4, chance=random.Random(7)
        )

    def add_versions(self) -> None:
        """Three trained versions, each with words of its own; the last but one answers."""
        self.engine.scripts |= TEXTS
        for name in ("v1", "v2", "v3"):
            self.registry.add(Version(name, INITIAL, utc_now(), None, "base", name, VerdictKind.PROMOTED), [])
        self.registry.promote("v2", "a test")

    def rows(self, sql: str) -> list[tuple[object, ...]]:
        return list(self.database.read().execute(sql).fetchall())

    def ballot(self, person: str = ANNA, language: PromptLanguage = "en") -> Ballot:
        """The round once it is written."""
        *_, last = self.room.watch(person, language)
        return last

    def rank(self, ballot: Ballot, order: str = "", person: str = ANNA) -> dict[str, str]:
        return self.room.rank(person, ballot.round_id, [[name] for name in order or ballot.answers])

    def settled(self, count: int) -> None:
        """Wait until no reply is being written and there are so many rounds."""
        wait_for(lambda: self.rows("SELECT count(*) FROM ranking_rounds") == [(count,)])
        wait_for(lambda: not self.rows("SELECT 1 FROM replies WHERE status = 'streaming'"))


def wait_for(holds: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.01)


@pytest.fixture
def school(database: FeedbackDatabase) -> Iterator[School]:
    made = School(database)
    made.add_versions()
    yield made
    made.room.close()


# ---- reading ---------------------------------------------------------------------------------------------------------


def test_a_prompt_of_the_training_half_comes_with_the_words_of_four_versions(school: School) -> None:
    ballot = school.ballot()
    texts = {prompt.text: prompt.slice for prompt in bank_half("train", "en")}
    assert texts[ballot.question] == ballot.slice
    assert sorted(ballot.answers.values()) == sorted(TEXTS.values())
    assert (list(ballot.answers), ballot.groups) == (["0", "1", "2", "3"], (("0",), ("1",), ("2",), ("3",)))
    assert ballot.is_written


def test_the_prompt_is_in_the_visitors_language(school: School) -> None:
    assert school.ballot(language="zh").question in {prompt.text for prompt in bank_half("train", "zh")}
    assert school.ballot(language="en").question in {prompt.text for prompt in bank_half("train", "en")}


def test_nothing_on_a_ballot_tells_who_wrote_what(school: School) -> None:
    ballot = school.ballot()
    assert {field.name for field in fields(ballot)} == {
        "round_id", "question", "slice", "answers", "is_written", "groups",
    }  # fmt: skip
    known = str(ballot)
    for version in TEXTS:
        assert version not in known
    for (reply_id,) in school.rows("SELECT id FROM replies"):
        assert str(reply_id) not in known


def test_replies_stand_in_an_order_drawn_by_chance_and_stored(school: School) -> None:
    seats: Counter[str] = Counter()
    for _ in range(24):
        ballot = school.ballot()
        found = school.store.ranking_round(ballot.round_id, ANNA)
        assert [reply.text for reply in found.replies] == list(ballot.answers.values())
        seats[str(found.replies[0].version)] += 1
        school.room.skip(ANNA, ballot.round_id)
    assert set(seats) == set(TEXTS)  # each missing with a chance of 0.1 %


def test_the_same_round_is_shown_until_it_is_decided(school: School) -> None:
    first = school.ballot()
    assert school.ballot() == first
    school.rank(first)
    assert school.ballot().round_id != first.round_id


def test_texts_grow_while_they_are_written_and_leaving_does_not_stop_them(school: School) -> None:
    school.engine.scripts = {name: f"{name} " + "word " * 30 for name in TEXTS}
    school.engine.seconds_per_word = dict.fromkeys(TEXTS, 0.02)
    watching = school.room.watch(ANNA, "en")
    growing = next(watching)
    assert not growing.is_written
    watching.close()  # the tab is closed
    ballot = school.ballot()
    assert ballot.round_id == growing.round_id
    assert all(len(text.split()) == 31 for text in ballot.answers.values())
    shown = f"SELECT reply_id FROM seated_replies WHERE round_id = '{ballot.round_id}'"
    assert school.rows(f"SELECT DISTINCT status FROM replies WHERE id IN ({shown})") == [("done",)]


def test_all_are_written_at_one_pace(school: School) -> None:
    school.engine.scripts = {name: f"{name} " + "word " * 20 for name in TEXTS}
    school.ballot()
    assert [Counter(school.engine.steps[: 4 * rounds]) for rounds in (1, 10, 20)] == [
        Counter(dict.fromkeys(TEXTS, rounds)) for rounds in (1, 10, 20)
    ]


def test_the_next_round_is_written_while_the_first_is_read(school: School) -> None:
    first = school.ballot()
    school.settled(2)
    drawn = len(school.engine.streams)
    assert drawn == 8
    school.rank(first)
    [second] = school.room.watch(ANNA, "en")  # nothing to wait for
    assert second.is_written
    school.settled(3)


def test_one_round_at_most_waits(school: School) -> None:
    for _ in range(5):
        school.ballot()
    school.settled(2)


def test_two_tabs_that_open_at_once_get_the_same_round(school: School) -> None:
    with ThreadPoolExecutor(8) as pool:
        rounds = list(pool.map(lambda _: school.ballot().round_id, range(8)))
    assert len(set(rounds)) == 1
    school.settled(2)


def test_every_prompt_is_asked_before_one_comes_again(school: School, monkeypatch: pytest.MonkeyPatch) -> None:
    few = bank_half("train", "en")[:5]
    monkeypatch.setattr("demo.rank_room.bank_half", lambda half, language: few)
    asked = []
    for _ in range(10):
        ballot = school.ballot()
        asked.append(ballot.question)
        school.room.skip(ANNA, ballot.round_id)
    assert Counter(asked[:5]) == Counter(prompt.text for prompt in few) == Counter(asked[5:])


def test_nobody_waits_behind_what_is_written_ahead_for_others(school: School) -> None:
    first = school.ballot()
    school.settled(2)
    held = threading.Event()
    school.room._ahead.submit(held.wait, 60)  # the writer of what is ahead is busy
    school.rank(first)
    second = school.ballot()  # another one is begun ahead, and waits behind the busy writer
    school.rank(second)
    assert school.ballot().is_written
    assert school.ballot(BEN).is_written
    held.set()


# ---- what goes wrong -------------------------------------------------------------------------------------------------


def test_a_damaged_version_is_stood_in_for_by_the_initial_one(school: School) -> None:
    school.engine.damaged = {"v1", "v2"}
    ballot = school.ballot()
    assert set(school.rank(ballot).values()) == {INITIAL, "v3"}


def test_a_version_that_breaks_is_left_out(school: School) -> None:
    school.engine.breaks_after = {"v1": 1}
    ballot = school.ballot()
    assert len(ballot.answers) == 3
    assert set(school.rank(ballot).values()) == {INITIAL, "v2", "v3"}
    assert school.rows("SELECT count(*) FROM ranked_replies") == [(3,)]


def test_of_two_answers_that_came_out_the_same_one_is_shown(school: School) -> None:
    school.engine.scripts["v1"] = school.engine.scripts["v2"]
    assert sorted(school.ballot().answers.values()) == sorted({*TEXTS.values()} - {"better words"})


def test_prompts_without_two_different_answers_are_passed_over_and_then_told(school: School) -> None:
    school.engine.scripts = dict.fromkeys(TEXTS, "always the same")
    with pytest.raises(StoreError, match="5 prompts in a row got no two different answers"):
        school.ballot()
    assert school.rows("SELECT DISTINCT outcome FROM ranking_rounds") == [("broken",)]
    school.engine.scripts = dict(TEXTS)
    assert school.ballot().is_written


def test_a_round_that_a_dead_server_left_half_written_is_passed_over(database: FeedbackDatabase) -> None:
    school = School(database)
    round_id, conversation, question = school.store.start_round(ANNA, "en-story-001", "en", "Begin a story.")
    reply = school.store.start_reply(conversation, question, INITIAL, Sampling(), 1, [1], show=False)
    school.store.seat_replies(round_id, [reply])
    school.store.close_abandoned_replies()
    assert school.ballot().round_id != round_id
    school.room.close()
    assert school.rows(f"SELECT outcome FROM ranking_rounds WHERE id = '{round_id}'") == [("broken",)]


def test_closing_the_room_keeps_what_is_written_and_tells_who_waits(database: FeedbackDatabase) -> None:
    school = School(database)
    school.add_versions()
    school.engine.scripts = dict.fromkeys(TEXTS, "word " * 500)
    school.engine.seconds_per_word = dict.fromkeys(TEXTS, 0.01)
    watching = [school.room.watch(person, "en") for person in ("p1", "p2", "p3")]
    for one in watching:  # two are being written, one waits for its turn
        assert not next(one).is_written
    began = time.monotonic()
    school.room.close()
    assert time.monotonic() - began < 5
    wait_for(lambda: all(work.drawing.over.is_set() for work in school.room._works.values()))
    statuses = dict(school.rows("SELECT status, count(*) FROM replies GROUP BY 1"))  # type: ignore[arg-type]
    assert statuses == {"stopped": 8, "streaming": 4}  # the server closes the others when it starts again


# ---- judging ---------------------------------------------------------------------------------------------------------


def test_an_order_is_stored_with_its_ties_and_reveals_who_wrote_what(school: School) -> None:
    ballot = school.ballot()
    versions = school.room.rank(ANNA, ballot.round_id, [["2"], ["0", "3"], ["1"]])
    assert {ballot.answers[name]: version for name, version in versions.items()} == {
        text: version for version, text in TEXTS.items()
    }
    (ranking,) = school.store.snapshot().rankings
    ranks = dict(zip([reply.text for reply in ranking.replies], ranking.ranks, strict=True))
    assert ranks == {ballot.answers["2"]: 1, ballot.answers["0"]: 2, ballot.answers["3"]: 2, ballot.answers["1"]: 4}


@given(st.permutations("abcd"), st.lists(st.booleans(), min_size=3, max_size=3))
def test_ranks_begin_at_one_ties_share_one_and_what_follows_leaves_a_gap(order: list[str], ties: list[bool]) -> None:
    groups = [[order[0]]]
    for name, is_tie in zip(order[1:], ties, strict=True):
        if is_tie:
            groups[-1].append(name)
        else:
            groups.append([name])
    ranks = dict(zip(order, ranks_of(groups), strict=True))
    for group in groups:  # a rank is one more than how many are better
        better = sum(len(other) for other in groups[: groups.index(group)])
        assert {ranks[name] for name in group} == {better + 1}


@pytest.mark.parametrize(
    "groups",
    [
        [],
        [["0"], ["1"], ["2"]],
        [["0"], ["1"], ["2"], ["2"]],
        [["0"], ["1"], ["2"], ["3"], ["3"]],
        [["0"], ["1"], ["2"], ["4"]],
        [["0"], ["1"], ["2"], ["-1"]],
        [["0"], ["1"], ["2"], ["03"]],
        [["0", "1", "2", "v1"]],
    ],
)
def test_what_is_no_permutation_of_the_answers_is_refused_and_leaves_no_row(
    school: School, groups: list[list[str]]
) -> None:
    ballot = school.ballot()
    with pytest.raises(BadInput, match="give each of its answers exactly one place"):
        school.room.rank(ANNA, ballot.round_id, groups)
    assert school.rows("SELECT 1 FROM rankings") == []
    assert school.ballot() == ballot


def test_somebody_else_can_neither_rank_nor_skip_a_round(school: School) -> None:
    ballot = school.ballot()
    with pytest.raises(BadInput, match="not yours"):
        school.rank(ballot, person=BEN)
    with pytest.raises(BadInput, match="not yours"):
        school.room.skip(BEN, ballot.round_id)
    assert school.ballot() == ballot


def test_a_skip_shows_another_prompt_and_leaves_no_ranking(school: School) -> None:
    ballot = school.ballot()
    school.room.skip(ANNA, ballot.round_id)
    school.room.skip(ANNA, ballot.round_id)
    assert school.ballot().round_id != ballot.round_id
    assert school.rows("SELECT 1 FROM rankings") == []


def test_a_round_skipped_while_it_is_written_is_given_up_and_another_is_begun_at_once(school: School) -> None:
    school.engine.scripts = dict.fromkeys(TEXTS, "word " * 500)
    school.engine.seconds_per_word = dict.fromkeys(TEXTS, 0.01)
    watching = school.room.watch(ANNA, "en")
    first = next(watching)
    drawing = school.room._works[first.round_id].drawing
    school.room.skip(ANNA, first.round_id)
    school.room.skip(ANNA, first.round_id)  # a double click
    assert drawing.over.wait(20)
    assert [ballot for ballot in watching if ballot.round_id != first.round_id] == []  # nothing more about it
    school.engine.scripts = dict(TEXTS)
    second = school.ballot()
    assert second.round_id != first.round_id
    assert not school.room.standing(ANNA, "en").can_undo  # half written: there is nothing to come back to
    of_first = f"SELECT reply_id FROM seated_replies WHERE round_id = '{first.round_id}'"
    assert school.rows(f"SELECT DISTINCT status FROM replies WHERE id IN ({of_first})") == [("stopped",)]


def test_who_leaves_is_not_kept_by_a_round_that_is_written_ahead(school: School) -> None:
    school.engine.scripts = dict.fromkeys(TEXTS, "word " * 500)
    school.engine.seconds_per_word = dict.fromkeys(TEXTS, 0.01)
    for person in (ANNA, BEN, "cleo", "dora"):
        next(school.room.watch(person, "en"))  # more rounds than writers: the last one waits for its turn
    for person in (ANNA, "dora"):
        school.room.leave(person)
        school.store.erase_person(person)  # would refuse while an answer of theirs is being written
    people = "SELECT DISTINCT c.person_id FROM messages m JOIN conversations c ON c.id = m.conversation_id"
    assert sorted(school.rows(people)) == [(BEN,), ("cleo",)]
    school.room.leave("nobody")


def test_undo_brings_the_round_back_as_the_person_left_it(school: School) -> None:
    ballot = school.ballot()
    order = (("3",), ("1", "2"), ("0",))
    school.room.rank(ANNA, ballot.round_id, order)
    after = school.ballot()
    school.room.undo(ANNA, "en")
    again = school.ballot()
    assert (again.round_id, again.answers, again.groups) == (ballot.round_id, ballot.answers, order)
    assert school.store.snapshot().rankings == ()
    school.rank(again)
    assert school.ballot() == after


def test_the_standing_counts_what_was_ranked_and_what_a_night_still_needs(school: School) -> None:
    assert school.room.standing(ANNA, "en") == Standing(0, 0, 67, False)
    school.rank(school.ballot())
    # a ranking of 4 is 3 facts: 67 - 3
    assert school.room.standing(ANNA, "en") == Standing(1, 3, 64, True)
    assert school.room.standing(ANNA, "zh") == Standing(1, 3, 64, False)  # undone on the page where it is shown
    assert school.room.standing(BEN, "en") == Standing(0, 3, 64, False)


def test_replies_to_be_ranked_are_short_and_drawn_as_they_are_served(school: School) -> None:
    school.ballot()
    assert school.rows("SELECT DISTINCT temperature, max_new_tokens FROM replies") == [(0.7, LONGEST_REPLY)]
    seeds = [seed for _, seed in school.engine.streams]
    assert len(set(seeds)) == len(seeds)
