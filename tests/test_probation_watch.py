"""A probation in a real database: people vote, the watch acts, and nothing else moves the champion."""

import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from demo import probation_watch
from demo.probation_watch import ProbationWatch
from nightschool.feedback import FeedbackStore
from nightschool.ids import utc_now
from nightschool.probation import Fate
from nightschool.records import (
    INITIAL,
    DuelOutcome,
    NightState,
    ReplyStatus,
    Sampling,
    ThumbValue,
    VerdictKind,
    Version,
)
from nightschool.registry import NightBook, VersionRegistry
from nightschool.said import Said
from nightschool.schema import FeedbackDatabase
from tests.duelling import add_reply, decided_duel


@dataclass(frozen=True)
class School:
    """A store and registry with one version on probation beside the initial one."""

    database: FeedbackDatabase
    store: FeedbackStore
    registry: VersionRegistry
    watch: ProbationWatch

    def state(self) -> tuple[str, VerdictKind | None, bool]:
        """The champion, the verdict on v1, and whether it is still on probation."""
        return self.registry.champion().id, self.registry.get("v1").verdict, self.registry.probation() is not None


def _add(registry: VersionRegistry, name: str, *, promoted: bool, rival: str | None = INITIAL) -> None:
    verdict = VerdictKind.PROMOTED if promoted else VerdictKind.PROBATION
    version = Version(name, INITIAL, utc_now(), None, "base", "sha", verdict)
    source = ("judged", name)  # of a kind whose rows nobody misses
    registry.add(version, [source], promote_because="the exam" if promoted else None, rival=rival)


@pytest.fixture
def school(tmp_path: Path) -> Iterator[School]:
    with closing(FeedbackDatabase(tmp_path / "feedback.db")) as database:
        store, registry = FeedbackStore(database), VersionRegistry(database)
        yield School(database, store, registry, ProbationWatch(store, registry))


def _many_people(school: School, outcome: DuelOutcome, people: int, days: int) -> None:
    """Each person decides as many duels, each as if on a day of its own."""
    for person in range(people):
        for day in range(days):
            duel = decided_duel(school.store, f"person {person}", "v1", INITIAL, outcome)
            with school.database.write() as db:
                db.table("duels").update(duel, {"decided_at": f"2099-01-{day + 1:02d}T00:00:00+00:00"})


def test_a_challenger_that_people_prefer_is_promoted_with_the_reason(school: School) -> None:
    _add(school.registry, "v1", promoted=False)
    assert school.state() == (INITIAL, VerdictKind.PROBATION, True)
    assert school.watch.look() is None
    _many_people(school, DuelOutcome.LEFT, people=2, days=7)
    assert school.watch.look() is Fate.PROMOTED
    assert school.state() == ("v1", VerdictKind.PROMOTED, False)
    [ended] = school.registry.probations()
    assert ended.fate == "promoted"
    assert "14 : 0" in ended.reason
    assert "14 : 0" in ended.reason_zh
    assert school.watch.look() is None


def test_a_new_champion_that_people_do_not_want_is_rolled_back_and_shown_no_more(school: School) -> None:
    _add(school.registry, "v1", promoted=True)
    assert school.state() == ("v1", VerdictKind.PROMOTED, True)
    _many_people(school, DuelOutcome.RIGHT, people=3, days=5)
    assert school.watch.look() is Fate.ROLLED_BACK
    assert school.state() == (INITIAL, VerdictKind.REJECTED, False)
    assert ("judged", "v1") in school.registry.used_sources()  # the next night needs new judgements all the same


@pytest.mark.parametrize(("outcome", "is_told"), [(DuelOutcome.RIGHT, True), (DuelOutcome.LEFT, False)])
def test_the_night_that_made_a_version_tells_that_people_took_it_back(
    school: School, outcome: DuelOutcome, is_told: bool
) -> None:
    book = NightBook(school.database)
    night_id = book.start("quick", 0, practice=False)
    _add(school.registry, "v1", promoted=True)
    book.finish(night_id, NightState.DONE, VerdictKind.PROMOTED, "It is better.", version_id="v1", report={})
    _many_people(school, outcome, people=3, days=7)
    school.watch.look()
    night = book.night(night_id)
    assert night is not None
    assert [night.rolled_back] == [one.rolled_back for one in book.history()]
    [ended] = school.registry.probations()
    assert night.rolled_back == ({"en": ended.reason, "zh": ended.reason_zh} if is_told else None)
    school.registry.promote("v1", "the owner wants it all the same")
    again = book.night(night_id)
    assert again is not None
    assert again.rolled_back is None


def test_a_champion_that_is_confirmed_stays_and_is_watched_no_more(school: School) -> None:
    _add(school.registry, "v1", promoted=True)
    _many_people(school, DuelOutcome.LEFT, people=1, days=7)
    assert school.watch.look() is Fate.PROMOTED
    assert school.state() == ("v1", VerdictKind.PROMOTED, False)


def test_many_votes_of_one_day_count_three(school: School) -> None:
    _add(school.registry, "v1", promoted=False)
    for _ in range(9):
        decided_duel(school.store, "ann", "v1", INITIAL, DuelOutcome.LEFT)
    probation = school.registry.probation()
    assert probation is not None
    assert school.store.said_of(probation).wins == 3
    assert school.watch.look() is None


def test_ties_other_duels_and_votes_of_people_who_said_no_do_not_count(school: School) -> None:
    version = Version("v1", INITIAL, utc_now(), None, "base", "sha", VerdictKind.HELD)
    school.registry.add(version, [], promote_because="a test")
    decided_duel(school.store, "ann", "v1", INITIAL, DuelOutcome.LEFT)
    _add(school.registry, "v2", promoted=False, rival="v1")
    decided_duel(school.store, "ann", "v2", "v1", DuelOutcome.TIE)
    decided_duel(school.store, "ann", "v2", "v1", DuelOutcome.BOTH_BAD)
    decided_duel(school.store, "ann", "v2", INITIAL, DuelOutcome.LEFT)  # not its rival
    decided_duel(school.store, "eve", "v2", "v1", DuelOutcome.RIGHT)
    school.store.set_consent("eve", False)
    decided_duel(school.store, "bob", "v1", "v2", DuelOutcome.RIGHT)
    probation = school.registry.probation()
    assert probation is not None
    found = school.store.said_of(probation)
    assert (found.wins, found.losses) == (1, 0)


def test_thumbs_down_on_the_new_champion_roll_it_back(school: School) -> None:
    def thumb(version: str, value: ThumbValue) -> None:
        _, _, reply = add_reply(school.store, "ann", version)
        school.store.set_thumb(reply, "ann", value)

    for _ in range(8):
        thumb(INITIAL, ThumbValue.UP)
    _add(school.registry, "v1", promoted=True)
    for _ in range(8):
        thumb("v1", ThumbValue.DOWN)
        thumb(INITIAL, ThumbValue.DOWN)  # what its rival gets from now on is not compared with
    assert school.watch.look() is Fate.ROLLED_BACK
    assert "thumbs down" in school.registry.probations()[0].reason


def test_a_version_whose_replies_come_out_empty_is_rolled_back(school: School) -> None:
    _add(school.registry, "v1", promoted=True)
    for number in range(4):
        conversation, question, _ = add_reply(school.store, "ann", INITIAL)
        reply = school.store.start_reply(conversation, question, "v1", Sampling(), 0, [1], show=True)
        school.store.finish_reply(reply, " ", [2], ReplyStatus.FAILED if number % 2 else ReplyStatus.DONE)
    assert school.watch.look() is Fate.ROLLED_BACK
    assert school.registry.champion().id == INITIAL


def test_who_promotes_by_hand_ends_the_probation(school: School) -> None:
    _add(school.registry, "v1", promoted=True)
    probation = school.registry.probation()
    assert probation is not None
    school.registry.promote(INITIAL, "by hand")
    assert school.registry.probation() is None
    assert not school.registry.roll_back(probation, Said("too late", "太迟"))
    assert not school.registry.confirm(probation, Said("too late", "太迟"))
    assert school.state() == (INITIAL, VerdictKind.PROMOTED, False)


def test_a_newer_version_takes_the_place_of_one_that_still_waits(school: School) -> None:
    _add(school.registry, "v1", promoted=False)
    _add(school.registry, "v2", promoted=False)
    watched = school.registry.probation()
    assert watched is not None
    assert watched.version_id == "v2"
    assert school.registry.get("v1").verdict is VerdictKind.HELD
    assert [probation.fate for probation in school.registry.probations()] == ["ended", None]


def test_the_watch_acts_within_seconds_and_ends_when_it_is_closed(
    school: School, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probation_watch, "SECONDS", 0.05)
    _add(school.registry, "v1", promoted=True)
    with closing(ProbationWatch(school.store, school.registry)) as watch:
        watch.start()
        _many_people(school, DuelOutcome.RIGHT, people=1, days=5)
        deadline = time.monotonic() + 20
        while school.registry.probation() is not None and time.monotonic() < deadline:
            time.sleep(0.02)
    assert school.state() == (INITIAL, VerdictKind.REJECTED, False)
    assert not any(thread.name == "probation-watch" and thread.is_alive() for thread in threading.enumerate())
