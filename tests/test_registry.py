"""Versions and the champion pointer; nights with their stages, log and curves."""

import sqlite3
from collections.abc import Callable
from dataclasses import replace

import pytest

from nightschool.errors import ChampionChanged, UnknownVersion
from nightschool.records import INITIAL, NightState, VerdictKind, Version
from nightschool.registry import NightBook, VersionRegistry
from nightschool.schema import FeedbackDatabase


def version(name: str, parent: str = INITIAL, created_at: str = "9999-01-01") -> Version:
    return Version(name, parent, created_at, None, "base hash", "manifest hash", VerdictKind.HELD)


# ---- versions --------------------------------------------------------------------------------------------------------


def test_the_initial_version_is_the_champion_of_a_fresh_install(registry: VersionRegistry) -> None:
    champion = registry.champion()
    assert champion.id == INITIAL
    assert (champion.parent_id, champion.night_id, champion.base_fingerprint, champion.verdict) == (None,) * 4
    assert registry.list() == [champion]
    assert registry.next_number() == 1


def test_a_version_comes_back_as_it_was_registered(registry: VersionRegistry) -> None:
    registry.add(version("v1"), [])
    assert registry.get("v1") == version("v1")
    assert [known.id for known in registry.list()] == [INITIAL, "v1"]
    assert registry.next_number() == 2
    assert registry.champion().id == INITIAL  # registering is not promoting


def test_an_unknown_version_is_told_in_words_with_the_known_ones(registry: VersionRegistry) -> None:
    registry.add(version("v1"), [])
    with pytest.raises(UnknownVersion) as refusal:
        registry.get("v2")
    assert str(refusal.value) == "There is no version 'v2'; the versions here are: initial, v1."


def test_a_promotion_moves_the_pointer_and_is_recorded_with_its_reason(
    registry: VersionRegistry, database: FeedbackDatabase
) -> None:
    registry.add(version("v1"), [])
    registry.promote("v1", "better in the exam")
    assert registry.champion() == version("v1")
    registry.promote(INITIAL, "rolled back")
    assert registry.champion().id == INITIAL
    assert list(database.read().query("SELECT version_id, previous_id, reason FROM promotions ORDER BY id")) == [
        {"version_id": "v1", "previous_id": INITIAL, "reason": "better in the exam"},
        {"version_id": INITIAL, "previous_id": "v1", "reason": "rolled back"},
    ]
    assert database.read().execute("SELECT count(*) FROM champion").fetchone()[0] == 1


def test_terms_tell_who_answered_from_when_to_when(registry: VersionRegistry) -> None:
    registry.add(version("v1"), [])
    [only] = registry.terms()
    assert (only.version, only.since, only.until) == (INITIAL, registry.get(INITIAL).created_at, None)
    registry.promote("v1", "better")
    registry.promote(INITIAL, "rolled back")
    first, second, third = registry.terms()
    assert [term.version for term in (first, second, third)] == [INITIAL, "v1", INITIAL]
    assert (first.until, second.until, third.until) == (second.since, third.since, None)


def test_the_mark_of_the_state_changes_with_every_event_and_with_nothing_else(registry: VersionRegistry) -> None:
    marks = [registry.state_mark()]
    assert registry.state_mark() == marks[0]
    events: tuple[Callable[[], object], ...] = (
        lambda: registry.add(version("v1"), []),
        lambda: registry.promote("v1", "better"),
        lambda: registry.promote(INITIAL, "back"),
        lambda: registry.add(version("v2", "v1"), [("duel", "deleted")], rival=INITIAL),
        lambda: registry.promote("v1", "again"),  # ends the probation, too
        registry.retire_tainted,
    )
    for happen in events:
        happen()
        marks.append(registry.state_mark())
    assert len(set(marks)) == len(marks)


def test_receipts_are_counted_by_kind(registry: VersionRegistry) -> None:
    registry.add(version("v1"), [("duel", "a"), ("duel", "b"), ("thumb", "c")])
    registry.add(version("v2"), [])
    assert registry.receipt_counts() == {"v1": {"duel": 2, "thumb": 1}}


def test_what_a_night_found_is_told_of_the_version_it_made(registry: VersionRegistry, book: NightBook) -> None:
    night = book.start("quick", 0, practice=True)
    registry.add(replace(version("v1"), night_id=night), [])
    report = {"win_rate": 0.6, "kl": 3.5, "training_set": "abc", "reason_zh": "更好", "samples": ["long"]}
    book.finish(night, NightState.DONE, VerdictKind.PROMOTED, "better", version_id="v1", report=report)
    [(name, found)] = book.figures().items()
    assert (name, found.effort, found.practice, found.verdict) == ("v1", "quick", True, VerdictKind.PROMOTED)
    assert (found.win_rate, found.win_rate_low, found.kl, found.training_set) == (0.6, None, 3.5, "abc")
    assert (found.reason, found.reason_zh) == ("better", "更好")


def test_promoting_an_unknown_version_changes_nothing(registry: VersionRegistry, database: FeedbackDatabase) -> None:
    with pytest.raises(UnknownVersion):
        registry.promote("v9", "a typing error")
    assert registry.champion().id == INITIAL
    assert database.read().execute("SELECT count(*) FROM promotions").fetchone()[0] == 0


def test_a_promotion_by_one_process_is_seen_by_a_registry_that_was_open_before(
    registry: VersionRegistry, database: FeedbackDatabase
) -> None:
    other = FeedbackDatabase(database.path)
    assert VersionRegistry(other).champion().id == INITIAL
    registry.add(version("v1"), [])
    registry.promote("v1", "")
    assert VersionRegistry(other).champion().id == "v1"
    other.close()


def test_judgements_count_as_used_once_a_promoted_version_was_made_from_them(registry: VersionRegistry) -> None:
    # A version that was held used nothing up: a longer night may try again with the same judgements.
    registry.add(replace(version("v1"), verdict=VerdictKind.HELD), [("duel", "d1"), ("thumb", "t1")])
    assert registry.used_sources() == set()
    promoted = replace(version("v2", "v1"), verdict=VerdictKind.PROMOTED)
    registry.add(promoted, [("duel", "d1"), ("duel", "d2")], promote_because="better")
    assert registry.used_sources() == {("duel", "d1"), ("duel", "d2")}


def test_a_version_and_its_promotion_are_one_transaction(registry: VersionRegistry, database: FeedbackDatabase) -> None:
    with database.write() as db:  # a promotion that cannot be recorded takes the version back with it
        db.execute("CREATE TRIGGER refuse BEFORE INSERT ON promotions BEGIN SELECT RAISE(ABORT, 'no'); END")
    with pytest.raises(sqlite3.IntegrityError):
        registry.add(version("v1"), [("duel", "d1")], promote_because="better")
    assert [known.id for known in registry.list()] == [INITIAL]
    assert registry.champion().id == INITIAL


@pytest.mark.parametrize("reason", ["better", None])
def test_a_version_that_was_compared_with_a_champion_that_answers_no_more_is_not_registered(
    registry: VersionRegistry, reason: str | None
) -> None:
    registry.add(version("v1"), [("duel", "d1")], promote_because="by hand, while v2 was saved")
    compared = replace(version("v2"), verdict=VerdictKind.PROMOTED)
    with pytest.raises(ChampionChanged, match="v2 was compared with initial, and v1 answers now"):
        registry.add(compared, [("duel", "d2")], promote_because=reason, rival=INITIAL)
    assert [known.id for known in registry.list()] == [INITIAL, "v1"]
    assert registry.champion().id == "v1"
    assert registry.probations() == ()
    registry.add(compared, [("duel", "d2")], promote_because=reason, rival="v1")


def test_a_version_whose_receipts_cannot_be_stored_is_not_registered(registry: VersionRegistry) -> None:
    with pytest.raises(Exception, match="UNIQUE"):
        registry.add(version("v1"), [("duel", "d1"), ("duel", "d1")])
    assert [known.id for known in registry.list()] == [INITIAL]


# ---- nights ----------------------------------------------------------------------------------------------------------


def test_a_night_comes_back_with_its_stages_verdict_and_report(book: NightBook, registry: VersionRegistry) -> None:
    night_id = book.start("quick", 11, practice=True)
    book.start_stage(night_id, 0, "snapshot")
    book.end_stage(night_id, 0, NightState.DONE, 0.5, "")
    book.start_stage(night_id, 1, "PPO")
    book.stage_progress(night_id, 1, 0.25, "iteration 2 of 8")
    running = book.night(night_id)
    assert running is not None
    assert (running.state, running.effort, running.seed, running.practice) == (NightState.RUNNING, "quick", 11, True)
    assert (running.ended_at, running.verdict, running.report) == (None, None, None)
    assert [(stage.name, stage.state, stage.progress, stage.detail, stage.seconds) for stage in running.stages] == [
        ("snapshot", NightState.DONE, 1.0, "", 0.5),
        ("PPO", NightState.RUNNING, 0.25, "iteration 2 of 8", None),
    ]

    registry.add(version("v1"), [])
    book.end_stage(night_id, 1, NightState.FAILED, 2.5, "ran out of memory")
    book.finish(
        night_id, NightState.DONE, VerdictKind.HELD, "not clear", version_id="v1", report={"kl": 0.5, "名": "café"}
    )
    night = book.last()
    assert night is not None
    assert (night.id, night.state, night.verdict, night.reason) == (
        night_id,
        NightState.DONE,
        VerdictKind.HELD,
        "not clear",
    )
    assert (night.version_id, night.report) == ("v1", {"kl": 0.5, "名": "café"})
    assert night.ended_at is not None
    # a stage that failed keeps the progress it had made
    assert [(stage.state, stage.progress) for stage in night.stages][1] == (NightState.FAILED, 0.25)


def test_a_night_that_starts_closes_those_whose_process_died(book: NightBook) -> None:
    ended = book.start("quick", 1, practice=False)
    book.finish(ended, NightState.DONE, VerdictKind.SKIPPED, "too few", version_id=None, report={})
    dead = book.start("quick", 2, practice=False)
    book.start_stage(dead, 0, "snapshot")
    book.end_stage(dead, 0, NightState.DONE, 0.1, "")
    book.start_stage(dead, 1, "PPO")
    alive = book.start("quick", 3, practice=False)
    nights = book.nights()
    assert [(night.id, night.state) for night in nights] == [
        (ended, NightState.DONE),
        (dead, NightState.INTERRUPTED),
        (alive, NightState.RUNNING),
    ]
    assert nights[0].reason == "too few"
    assert "ended without a word" in nights[1].reason
    assert nights[1].ended_at is not None
    assert [stage.state for stage in nights[1].stages] == [NightState.DONE, NightState.INTERRUPTED]
    last = book.last()
    assert last is not None
    assert last.id == alive


def test_closing_the_dead_leaves_no_night_running(book: NightBook) -> None:
    book.start("quick", 1, practice=False)
    book.close_dead()
    assert [night.state for night in book.nights()] == [NightState.INTERRUPTED]


def test_the_log_gives_its_newest_lines_in_order_and_only_one_nights(book: NightBook) -> None:
    night_id, other = book.start("quick", 1, practice=False), book.start("quick", 2, practice=False)
    for number in range(5):
        book.log(night_id, f"line {number}")
    book.log(other, "elsewhere")
    assert [text for _, text in book.log_lines(night_id)] == [f"line {number}" for number in range(5)]
    assert [text for _, text in book.log_lines(night_id, limit=2)] == ["line 3", "line 4"]
    times = [time for time, _ in book.log_lines(night_id)]
    assert times == sorted(times)


def test_the_curves_of_a_stage_are_stored_point_by_point(book: NightBook, database: FeedbackDatabase) -> None:
    night_id = book.start("quick", 1, practice=False)
    book.metrics(night_id, "PPO", 0, {"kl": 0.0, "reward": 1})
    book.metrics(night_id, "PPO", 1, {"kl": 0.25})
    assert list(database.read().query("SELECT stage, step, name, value FROM night_metrics ORDER BY step, name")) == [
        {"stage": "PPO", "step": 0, "name": "kl", "value": 0.0},
        {"stage": "PPO", "step": 0, "name": "reward", "value": 1.0},
        {"stage": "PPO", "step": 1, "name": "kl", "value": 0.25},
    ]


def test_before_the_first_night_there_is_none(book: NightBook) -> None:
    assert book.last() is None
    assert book.nights() == []
    assert book.night("no such night") is None
