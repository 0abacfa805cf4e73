"""`python -m training export` and `import`, as an owner calls them."""

import json
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from nightschool.examples import TrainerFormat
from nightschool.feedback import FeedbackStore
from nightschool.schema import FeedbackDatabase
from tests.judged import judge_everything
from tests.talks import ANN, BOB
from training.__main__ import app


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def db(tmp_path: Path) -> Path:
    """A database in which Ann and Bob judged something of every kind, and Bob consents to nothing."""
    path = tmp_path / "feedback.db"
    with closing(FeedbackDatabase(path)) as database:
        store = FeedbackStore(database)
        judge_everything(store)
        judge_everything(store, BOB)
        store.set_consent(BOB, False)
    return path


def examples(db: Path, shape: TrainerFormat) -> list[object]:
    with closing(FeedbackDatabase(db)) as database:
        return list(FeedbackStore(database).examples(shape))


@pytest.mark.parametrize("shape", TrainerFormat)
@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
def test_a_file_goes_out_of_one_database_and_into_another(
    tmp_path: Path, db: Path, tiny_folder: Path, shape: TrainerFormat, ending: str
) -> None:
    out, other = tmp_path / f"file.{ending}", tmp_path / "other.db"
    written = call("export", "--format", shape, "--out", out, "--db", db)
    expected = examples(db, shape)
    assert written.output == f"{len(expected)} lines written to {out}.\n"
    taken = call("import", out, "--db", other, "--model", tiny_folder)
    assert f"{len(expected)} " in taken.output
    assert examples(other, shape) == expected
    again = call("import", out, "--db", other, "--model", tiny_folder)
    assert f"0 {'preferences' if shape is TrainerFormat.PREFERENCE else 'judgements'} imported" in again.output
    assert f"{len(expected)} were there already" in again.output


def test_people_without_consent_are_not_in_the_file_and_one_person_can_be_asked_for(tmp_path: Path, db: Path) -> None:
    out = tmp_path / "all.jsonl"
    call("export", "--format", "kto", "--out", out, "--db", db)
    everybody = out.read_text()
    call("export", "--format", "kto", "--out", out, "--db", db, "--person", ANN)
    assert out.read_text() == everybody  # Bob's are left out either way
    refused = call("export", "--format", "kto", "--out", out, "--db", db, "--person", BOB)
    assert refused.exit_code == 1
    assert "nothing to export as kto" in refused.output
    assert out.read_text() == everybody  # what was there stays
    assert all(set(json.loads(line)) == {"prompt", "completion", "label"} for line in everybody.splitlines())


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--format", "kto", "--out", "file.csv"], "neither with .jsonl nor with .parquet"),
        (["--format", "kto", "--out", "/proc/nowhere/file.jsonl"], "could not be written"),
        (["--format", "dpo", "--out", "file.jsonl"], "'dpo' is not one of"),
    ],
)
def test_what_cannot_be_written_is_said_in_a_sentence(db: Path, arguments: list[str], complaint: str) -> None:
    refused = call("export", *arguments, "--db", db)
    assert refused.exit_code != 0
    assert complaint in refused.output


def test_a_malformed_file_is_refused_whole_with_its_line(tmp_path: Path, db: Path, tiny_folder: Path) -> None:
    out, other = tmp_path / "file.jsonl", tmp_path / "other.db"
    call("export", "--format", "trl-preference", "--out", out, "--db", db)
    lines = out.read_text().splitlines()
    out.write_text("\n".join([*lines[:2], '{"prompt": 3}', *lines[2:]]))
    refused = call("import", out, "--db", other, "--model", tiny_folder)
    assert refused.exit_code == 1
    assert f"Line 3 of {out} cannot be used" in refused.output
    assert examples(other, TrainerFormat.PREFERENCE) == []
