"""A promotion that is killed at any of its steps leaves the old champion or the new one, whole, and never neither."""

import json
import shutil
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from nightschool.feedback import FeedbackStore
from nightschool.records import INITIAL, DuelOutcome
from nightschool.registry import VersionRegistry
from nightschool.schema import FeedbackDatabase
from tests.killed_promotion import NEW, OLD, found_after, sources_in, write_version
from tests.talks import ANN, start_talk

DUELS = 5


@pytest.fixture
def start(tmp_path: Path) -> Path:
    """A database whose champion is `old`, with five duels to learn from."""
    folder = tmp_path / "start"
    folder.mkdir()
    with closing(FeedbackDatabase(folder / "feedback.db")) as database:
        for number in range(DUELS):
            duel, _, _ = start_talk(FeedbackStore(database), f"question {number}").duel()
            FeedbackStore(database).decide_duel(duel, ANN, DuelOutcome.LEFT)
        VersionRegistry(database).add(write_version(folder / "versions", OLD, 1), [], promote_because="first")
    return folder


def test_killed_at_every_step_the_old_or_the_new_champion_serves(start: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.killed_promotion", str(start)], capture_output=True, text=True, check=True
    )
    deaths = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(deaths) > 60  # opening, every file of the folder, every statement of three transactions
    assert [death["ended"] for death in deaths] == ["killed"] * (len(deaths) - 1) + [0], done.stderr
    for death in deaths:
        assert death["champion"] in {OLD, NEW}, death
        assert death["sound"], death  # whatever is registered is there, as it was registered
        assert death["integrity"] == "ok", death
        assert death["versions"] in ([INITIAL, OLD], [INITIAL, OLD, NEW]), death
        assert death["receipts"] == (DUELS if NEW in death["versions"] else 0), death
    # It did go from old to new, back to old, and to new again: each of the three moves was killed before and after.
    moves = [death["champion"] for death in deaths]
    changes = [after for before, after in pairwise(moves) if before != after]
    assert changes == [NEW, OLD, NEW]


def test_a_log_that_was_written_in_part_when_the_power_went_leaves_the_old_or_the_new_champion(start: Path) -> None:
    with closing(FeedbackDatabase(start / "feedback.db")) as database:
        registry = VersionRegistry(database)
        version = write_version(start / "versions", NEW, 2)
        registry.add(replace(version, parent_id=OLD), sources_in(database), promote_because="better")
        cut = start.with_name("cut")
        shutil.copytree(start, cut)  # with the log that the closing would bring into the database
    log = (cut / "feedback.db-wal").read_bytes()
    seen = []
    for length in (*range(0, len(log), 1024), len(log)):
        folder = start.with_name(f"cut-{length}")
        shutil.copytree(cut, folder, ignore=shutil.ignore_patterns("*-shm"))
        (folder / "feedback.db-wal").write_bytes(log[:length])
        found = found_after(folder)
        shutil.rmtree(folder)
        assert (found["sound"], found["integrity"]) == (True, "ok"), length
        seen.append((found["champion"], found["versions"], found["receipts"]))
    before, after = (OLD, [INITIAL, OLD], 0), (NEW, [INITIAL, OLD, NEW], DUELS)
    assert 0 < seen.count(before) < len(seen)
    assert seen == [before] * seen.count(before) + [after] * (len(seen) - seen.count(before))
