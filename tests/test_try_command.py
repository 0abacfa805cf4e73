"""`python -m training try`: one version's answer on the command line, by the real engine with a tiny model."""

from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nightschool.records import INITIAL, VerdictKind, Version
from nightschool.registry import VersionRegistry
from nightschool.schema import FeedbackDatabase
from tests.tiny_version import add_tiny_version
from training.__main__ import app

NAME = "v1-tiny"


@pytest.fixture
def school(tmp_path: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NIGHTSCHOOL_MAX_NEW_TOKENS", "12")
    with closing(FeedbackDatabase(tmp_path / "feedback.db")) as database:
        add_tiny_version(database, tmp_path / "versions", tiny_folder, NAME)
        VersionRegistry(database).promote(INITIAL, "by a test")
    return tmp_path


def tried(school: Path, model: Path, version: str, *words: str) -> tuple[int, str]:
    where = ["--db", str(school / "feedback.db"), "--versions", str(school / "versions"), "--model", str(model)]
    ended = CliRunner().invoke(app, ["try", version, "Why is the sky blue?", *where, *words])
    return ended.exit_code, ended.stdout if ended.exit_code == 0 else ended.stderr


def test_any_version_answers_and_the_same_seed_gives_the_same_answer(school: Path, tiny_folder: Path) -> None:
    first, again, other, initial = (
        tried(school, tiny_folder, version, "--seed", seed)
        for version, seed in ((NAME, "1"), (NAME, "1"), (NAME, "2"), (INITIAL, "1"))
    )
    assert first == again
    assert first[0] == other[0] == initial[0] == 0
    assert first[1].strip()
    assert first != other
    assert first != initial  # the adapter is there


def test_what_may_not_answer_is_refused_in_a_sentence(school: Path, tiny_folder: Path) -> None:
    assert "There is no version 'v9'" in tried(school, tiny_folder, "v9")[1]
    (school / "versions" / NAME / "policy" / "adapter_config.json").write_text("{}")
    status, told = tried(school, tiny_folder, NAME)
    assert (status, "is damaged" in told) == (1, True)
    with closing(FeedbackDatabase(school / "feedback.db")) as database:
        tainted = Version("v2", NAME, "9999-01-01", None, "base", "sha", VerdictKind.HELD)
        VersionRegistry(database).add(tainted, [("duel", "deleted")])
    status, told = tried(school, tiny_folder, "v2")
    assert (status, "may not answer anybody" in told) == (1, True)
