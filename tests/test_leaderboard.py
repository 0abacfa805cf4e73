"""The leaderboard from the store and on the command line."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nightschool.feedback import FeedbackStore
from nightschool.records import INITIAL, DuelOutcome
from nightschool.registry import VersionRegistry
from nightschool.schema import FeedbackDatabase
from nightschool.standings import standings_from_json, standings_to_json
from tests.duelling import add_version, decided_duel
from training.__main__ import app
from training.judgements import Preferred
from training.leaderboard import contests_of, in_lines, leaderboard


@pytest.fixture
def database(tmp_path: Path) -> Iterator[FeedbackDatabase]:
    """Two versions beside the initial one; no duel yet."""
    with closing(FeedbackDatabase(tmp_path / "feedback.db")) as database:
        add_version(database, "v1")
        add_version(database, "v2")
        yield database


def test_contests_are_decided_duels_of_two_versions_by_people_who_may_be_learned_from(
    database: FeedbackDatabase,
) -> None:
    store = FeedbackStore(database)
    decided_duel(store, "ann", "v1", INITIAL, DuelOutcome.LEFT)
    decided_duel(store, "bob", INITIAL, "v1", DuelOutcome.BOTH_BAD)
    decided_duel(store, "bob", INITIAL, INITIAL, DuelOutcome.LEFT)  # one version with itself
    decided_duel(store, "eve", "v2", "v1", DuelOutcome.RIGHT)
    store.set_consent("eve", False)
    found = contests_of(store.snapshot().duels)
    assert [(c.left, c.right, c.outcome, c.person) for c in found] == [
        ("v1", INITIAL, Preferred.LEFT, "ann"),
        (INITIAL, "v1", Preferred.TIE, "bob"),
    ]


def test_the_store_counts_a_versions_duels_by_opponent(database: FeedbackDatabase) -> None:
    store = FeedbackStore(database)
    decided_duel(store, "ann", "v1", INITIAL, DuelOutcome.LEFT)
    decided_duel(store, "ann", INITIAL, "v1", DuelOutcome.TIE)
    decided_duel(store, "ann", "v2", "v1", DuelOutcome.TIE)
    decided_duel(store, "ann", "v1", "v1", DuelOutcome.TIE)
    assert store.duels_with("v1") == {INITIAL: 2, "v2": 1}
    assert store.duels_with("v2") == {"v1": 1}


def test_the_command_prints_a_table_and_one_json_object(database: FeedbackDatabase, tmp_path: Path) -> None:
    store = FeedbackStore(database)
    words = ["leaderboard", "--db", str(tmp_path / "feedback.db")]
    assert "No duel between two versions" in CliRunner().invoke(app, words).output
    for number in range(12):
        decided_duel(store, f"person {number}", "v1", INITIAL, DuelOutcome.LEFT)
    decided_duel(store, "ann", INITIAL, "v1", DuelOutcome.LEFT)
    VersionRegistry(database).promote("v1", "by a test")
    shown = CliRunner().invoke(app, words)
    assert shown.exit_code == 0
    lines = shown.output.splitlines()
    assert "13 duels decided by 13 people" in lines[0]
    assert lines[2].split()[:3] == ["1", "*", "v1"]
    assert lines[3].split()[:3] == ["2", "initial", "1000"]
    assert lines[4].split()[:3] == ["-", "v2", "-"]
    assert lines[5].startswith("No rating")
    # The matrix: 12 of 13 duels are 92 %, seen from both sides; v2 met nobody.
    assert [line.split() for line in lines[-4:]] == [
        ["won", "against", "v1", "initial", "v2"],
        ["v1", ".", "92%", "of", "13", "."],
        ["initial", "8%", "of", "13", ".", "."],
        ["v2", ".", ".", "."],
    ]
    told = json.loads(CliRunner().invoke(app, [*words, "--json"]).output)
    assert [row["version"] for row in told["ratings"]] == told["versions"] == ["v1", INITIAL, "v2"]
    assert [row["champion"] for row in told["ratings"]] == [True, False, False]
    assert told["meetings"][0] == [0, 13, 0]
    assert told["win_shares"][0][1] == pytest.approx(12 / 13)


def test_what_style_does_is_told_beside_the_ratings_and_comes_back_from_json(database: FeedbackDatabase) -> None:
    store = FeedbackStore(database)
    dressed, plain = "# Rain\n\n- **wet** and quite long too", "It is wet."
    for number in range(20):
        sides = (dressed, plain) if number % 4 else (plain, dressed)  # v1 is the dressed one, mostly
        decided_duel(
            store, f"person {number}", "v1", INITIAL, DuelOutcome.LEFT if number % 4 else DuelOutcome.RIGHT, sides
        )
    duels = store.snapshot().duels
    assert contests_of(duels)[1].style == pytest.approx(((8 - 3) / (8 + 3), 1.0, 1.0, 1.0))
    board = leaderboard(VersionRegistry(database).list(), duels)
    v1 = next(rating for rating in board.ratings if rating.version == "v1")
    assert v1.controlled is not None
    assert v1.rating is not None
    assert v1.controlled < v1.rating - 50  # who was dressed won, whichever version it was
    assert [effect.name for effect in board.styles] == ["length", "headings", "lists", "bold"]
    lines = in_lines(board, INITIAL)
    assert lines[2].split()[4] == f"{v1.controlled:.0f}"
    told = [line for line in lines if line.startswith("Style alone, between equal versions: ")]
    assert len(told) == 4
    assert f"one with headings against one without wins {board.styles[1].share:.0%} of decided duels" in told[1]
    assert standings_from_json(json.loads(json.dumps(standings_to_json(board, INITIAL)))) == board


def test_a_version_without_a_rank_is_explained(database: FeedbackDatabase) -> None:
    store = FeedbackStore(database)
    decided_duel(store, "ann", "v1", INITIAL, DuelOutcome.LEFT)
    lines = in_lines(leaderboard(VersionRegistry(database).list(), store.snapshot().duels), INITIAL)
    assert "decided by 1 person; 95 % intervals by drawing conversations" in lines[0]
    assert lines[2].split()[0] == "-"
    assert any(line.startswith("No rank") for line in lines)
