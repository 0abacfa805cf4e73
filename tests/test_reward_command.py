"""`python -m training reward` on a tiny model: what is fitted is written, scores texts alike each time, and is told."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from nightschool.feedback import FeedbackStore
from nightschool.model import BaseModel, load_base
from nightschool.schema import FeedbackDatabase
from tests.seeding import seed_taste
from tests.tiny import make_tiny_model
from training.__main__ import app

Training = Callable[..., Result]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> BaseModel:
    folder = tmp_path_factory.mktemp("tiny")
    return load_base(str(make_tiny_model(folder / "model", layers=2)), folder)


@pytest.fixture
def training(base: BaseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Training:
    monkeypatch.setenv("NIGHTSCHOOL_MODEL", base.name)
    monkeypatch.setenv("NIGHTSCHOOL_MAX_NEW_TOKENS", "8")
    monkeypatch.chdir(tmp_path)
    runner = CliRunner()
    return lambda *words: runner.invoke(app, [*words])


def _texts(path: Path, *records: object) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def other_model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Another local model with the same words: of other weights and other depth."""
    return str(make_tiny_model(tmp_path_factory.mktemp("other") / "model", layers=3, seed=7))


@pytest.mark.parametrize("start", ["base", "scratch", "another model"])
def test_a_fitted_model_is_written_told_and_scores_texts_the_same_each_time(
    training: Training, base: BaseModel, other_model: str, tmp_path: Path, start: str
) -> None:
    start = other_model if start == "another model" else start
    seed_taste(tmp_path / "feedback.db", base, 100)
    done = training("reward", "fit", "--effort", "quick", "--start", start, "--json")
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert report["start"] == start
    assert report["pairs_checked"] == 100  # out of fold on every pair: of so few a LoRA too (training/reward_lora.py)
    assert report["overlap_pairs"] > 0
    for name in (
        "accuracy",
        "accuracy_low",
        "brier",
        "temperature",
        "bleu_accuracy",
        "rouge_l_accuracy",
        "examiner_accuracy",
    ):
        assert 0 < report[name] <= 10, name

    shown = training("reward", "report")
    assert shown.exit_code == 0
    assert "PPO m" in shown.stdout  # may, or must not
    assert f"{report['accuracy']:.0%} of {report['pairs_checked']} pairs" in shown.stdout
    assert f"The examiner, fitted to labels of its own, predicts {report['examiner_accuracy']:.0%}" in shown.stdout

    file = _texts(
        tmp_path / "texts.jsonl",
        {"prompt": "What is rain?", "response": "Water.", "mark": 1},
        {"prompt": [{"role": "user", "content": "What is rain?"}], "response": "Water."},
        {"prompt": "What is snow?", "response": "Cold water, and a long answer about it at that."},
    )
    first, again = training("reward", "score", str(file)), training("reward", "score", str(file))
    assert first.exit_code == 0, first.output
    assert first.stdout == again.stdout
    rows = [json.loads(line) for line in first.stdout.splitlines()]
    assert rows[0]["mark"] == 1
    assert rows[0]["score"] == rows[1]["score"] != rows[2]["score"]
    alone = training(
        "reward", "score", str(_texts(tmp_path / "one.jsonl", {"prompt": "What is rain?", "response": "Water."}))
    )
    assert json.loads(alone.stdout)["score"] == rows[0]["score"]  # whatever else is in the file


def test_without_judgements_or_a_model_one_sentence_says_what_to_do(training: Training, tmp_path: Path) -> None:
    for words, complaint in (
        (["reward", "fit"], "no judgements to train on"),
        (["reward", "report"], "reward fit"),
        (["reward", "score", "nowhere.jsonl"], "could not be read"),
        (["reward", "score", str(_texts(tmp_path / "bad.jsonl", {"prompt": "a"}))], "Line 1 of"),
        (["reward", "score", str(_texts(tmp_path / "empty.jsonl", {"prompt": "a", "response": " "}))], "empty"),
    ):
        done = training(*words)
        assert done.exit_code == 1
        assert complaint in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1


def test_a_start_from_a_model_with_other_words_is_refused(training: Training, base: BaseModel, tmp_path: Path) -> None:
    seed_taste(tmp_path / "feedback.db", base, 60)
    done = training("reward", "fit", "--start", str(make_tiny_model(tmp_path / "strange", words=200)))
    assert done.exit_code == 1
    assert "other words" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_what_a_person_who_said_no_judged_is_not_fitted(training: Training, base: BaseModel, tmp_path: Path) -> None:
    seed_taste(tmp_path / "feedback.db", base, 60)
    database = FeedbackDatabase(tmp_path / "feedback.db")
    FeedbackStore(database).set_consent("simulated", False)
    database.close()
    done = training("reward", "fit")
    assert done.exit_code == 1
    assert "no judgements to train on" in done.stderr
