"""The leaderboard as the chat's side keeps it: made by the real command, and only when the duels have changed."""

import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from demo import leaderboards, training_child
from demo.leaderboards import Leaderboards
from nightschool.errors import StoreError
from nightschool.feedback import FeedbackStore
from nightschool.records import INITIAL, DuelOutcome
from nightschool.registry import VersionRegistry
from nightschool.schema import FeedbackDatabase
from nightschool.standings import standings_from_json, standings_to_json
from tests.duelling import add_version, decided_duel
from training.leaderboard import leaderboard


@pytest.fixture
def database(tmp_path: Path) -> Iterator[FeedbackDatabase]:
    with closing(FeedbackDatabase(tmp_path / "feedback.db")) as database:
        add_version(database, "v1")
        yield database


@pytest.fixture
def store(database: FeedbackDatabase) -> FeedbackStore:
    return FeedbackStore(database)


def kept_for(database: FeedbackDatabase, *command: str) -> Leaderboards:
    known = {"command": command} if command else {}
    return Leaderboards(FeedbackStore(database), VersionRegistry(database), db=database.path, environment={}, **known)


def test_a_board_is_made_once_for_the_duels_there_are(
    database: FeedbackDatabase, store: FeedbackStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leaderboards, "PAUSE", 0.0)
    decided_duel(store, "ann", "v1", INITIAL, DuelOutcome.LEFT)
    kept = kept_for(database)
    first = kept.look()
    assert (first.standings, first.is_current, first.fault) == (None, False, "")
    kept.wait()
    for _ in range(5):  # looked at often
        board = kept.look()
    assert (board.is_current, kept.computed) == (True, 1)
    assert board.standings == leaderboard(VersionRegistry(database).list(), store.snapshot().duels)
    decided_duel(store, "bob", "v1", INITIAL, DuelOutcome.LEFT)
    stale = kept.look()
    assert (stale.is_current, stale.standings) == (False, board.standings)  # the last one is shown meanwhile
    kept.wait()
    assert kept.look().is_current
    found = kept.look().standings
    assert found is not None
    assert (found.duels, kept.computed) == (2, 2)


def test_between_two_computations_there_is_a_pause(
    database: FeedbackDatabase, store: FeedbackStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leaderboards, "PAUSE", 1000.0)
    nothing = standings_to_json(leaderboard([], []), INITIAL)
    kept = kept_for(database, sys.executable, "-c", f"print('{json.dumps(nothing)}')")
    kept._ended_at = -1000.0
    kept.look()
    kept.wait()
    decided_duel(store, "ann", "v1", INITIAL, DuelOutcome.LEFT)
    assert not kept.look().is_current
    kept.wait()
    assert kept.computed == 1


def test_the_mark_changes_with_what_counts(database: FeedbackDatabase, store: FeedbackStore) -> None:
    marks = [store.duels_mark()]

    def changed() -> bool:
        marks.append(store.duels_mark())
        return marks[-1] != marks[-2]

    decided_duel(store, "ann", "v1", INITIAL, DuelOutcome.LEFT)
    assert changed()
    duel = decided_duel(store, "bob", "v1", INITIAL, DuelOutcome.TIE)
    assert changed()
    store.set_consent("bob", False)
    assert changed()
    store.set_consent("bob", True)
    assert changed()
    assert marks[-1] == marks[2]  # as it was before
    with database.write() as db:
        db.table("duels").delete(duel)
    assert changed()
    assert not changed()


def test_what_fails_is_told_and_the_last_board_stays(
    database: FeedbackDatabase, store: FeedbackStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leaderboards, "PAUSE", 0.0)
    kept = kept_for(database)
    kept.look()
    kept.wait()
    made = kept.look().standings
    assert made is not None
    kept._command = [sys.executable, "-c", "import sys; sys.exit('The disk is full; free some space.')"]
    decided_duel(store, "ann", "v1", INITIAL, DuelOutcome.LEFT)
    kept.look()
    kept.wait()
    board = kept.look()
    assert (board.standings, board.fault) == (made, "The disk is full; free some space.")
    kept.wait()
    assert kept.computed == 2  # it is not tried again until something changes, or after a while
    monkeypatch.setattr(leaderboards, "RETRY", 0.0)
    kept._command = kept_for(database)._command
    kept.look()
    kept.wait()
    monkeypatch.setattr(leaderboards, "RETRY", 1000.0)
    board = kept.look()
    assert (board.is_current, board.fault, kept.computed) == (True, "", 3)
    kept.look()
    kept.wait()
    assert kept.computed == 3


def test_a_child_that_takes_too_long_is_ended_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_child, "PATIENCE", 0.2)
    with pytest.raises(StoreError, match="too late"):
        training_child.ask_training([sys.executable, "-c", "import time; time.sleep(60)"], {}, "too late")


def test_a_child_ends_with_the_server_that_asked() -> None:
    ended = threading.Event()

    def ask() -> None:
        training_child.ask_training([sys.executable, "-c", "import time; time.sleep(60)"], {}, "too late")
        ended.set()

    with training_child.children_end():
        threading.Thread(target=ask, daemon=True).start()
        deadline = time.monotonic() + 20
        while not training_child._at_work:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    assert ended.wait(20)
    assert not training_child._at_work


def test_a_child_without_a_word_is_told_by_its_status() -> None:
    answer = training_child.ask_training([sys.executable, "-c", "import sys; sys.exit(3)"], {}, "too late")
    assert (answer.found, answer.complaint) == (None, "The training side ended with status 3, without a word.")


def test_a_board_comes_back_from_json_as_it_was(database: FeedbackDatabase, store: FeedbackStore) -> None:
    for person in ("ann", "bob"):
        decided_duel(store, person, "v1", INITIAL, DuelOutcome.LEFT)
    board = leaderboard(VersionRegistry(database).list(), store.snapshot().duels)
    told = standings_to_json(board, "v1")
    assert [row["champion"] for row in told["ratings"]] == [True, False]
    assert standings_from_json(json.loads(json.dumps(told))) == board
