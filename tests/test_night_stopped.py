"""A real night on a tiny model, started, stopped and resumed as the School page does it, and what it leaves to read."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from demo.nights import Nights, Phase
from nightschool.files import manifest_fault
from nightschool.model import load_base
from nightschool.prompt_bank import fixed_prompts
from nightschool.records import NightState
from nightschool.registry import NightBook
from nightschool.schema import FeedbackDatabase
from tests.seeding import seed_taste
from tests.tiny import make_tiny_model

PATIENCE = 240.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with judgements, and a tiny model."""
    made = tmp_path_factory.mktemp("stopped")
    model = make_tiny_model(made / "tiny", layers=2)
    seed_taste(made / "feedback.db", load_base(str(model), made), 80)
    return made


@pytest.fixture(scope="module")
def environment(folder: Path) -> dict[str, str]:
    return {"NIGHTSCHOOL_MODEL": str(folder / "tiny"), "NIGHTSCHOOL_MAX_NEW_TOKENS": "8", "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def book(folder: Path) -> Iterator[NightBook]:
    with closing(FeedbackDatabase(folder / "feedback.db")) as database:
        yield NightBook(database)


@pytest.fixture(scope="module")
def nights(folder: Path, book: NightBook, environment: dict[str, str]) -> Nights:
    return Nights(book, db=folder / "feedback.db", versions=folder / "versions", environment=environment)


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)


def told(folder: Path, environment: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-m", "training", *words, "--db", str(folder / "feedback.db")]
    return subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def report(nights: Nights, book: NightBook) -> dict[str, Any]:
    """Of a night that was stopped in the middle of PPO and resumed."""
    nights.start("quick", practice=True)

    def has_iterated() -> bool:
        night = nights.status().night
        return night is not None and len(book.curves(night.id).get("ppo", {}).get("reward", [])) > 1  # so one is kept

    wait_until(has_iterated)
    nights.cancel()
    wait_until(lambda: not nights.status().is_busy)
    stopped = book.last()
    assert stopped is not None
    assert (stopped.state, stopped.reason) == (NightState.INTERRUPTED, "The night was stopped by hand.")
    assert (stopped.stages[-1].name, stopped.stages[-1].state) == ("ppo", NightState.INTERRUPTED)
    assert book.usual_seconds("quick") == {}  # it did not come to its end
    nights.resume()
    wait_until(lambda: nights.status().phase is Phase.ENDED)
    ended = book.last()
    assert ended is not None
    assert ended.id == stopped.id
    assert ended.state is NightState.DONE, ended.reason
    assert ended.report is not None
    return ended.report


def test_a_stopped_night_goes_on_where_it_was(report: dict[str, Any], book: NightBook) -> None:
    assert report["resumed"] is True
    assert report["verdict"] in {"held", "rejected"}  # practice
    said = [text for _, text in book.log_lines(report["night"])]
    assert any(text.startswith("Continued after iteration") for text in said)
    assert set(book.usual_seconds("quick")) >= {"ppo", "exam", "verdict"}


def test_the_curves_of_the_reward_model_and_of_ppo_are_kept(report: dict[str, Any], book: NightBook) -> None:
    curves = book.curves(report["night"])
    losses = dict(curves["reward model"]["log_loss"])
    assert 0 in losses
    assert all(0 < loss < 2 for loss in losses.values())
    assert {"reward", "kl", "length", "entropy", "clip_fraction", "finished", "seconds"} <= set(curves["ppo"])
    assert [step for step, _ in curves["ppo"]["kl"]] == [1, 2, 3, 4]


def test_the_report_shows_ten_fixed_prompts_of_both_languages_and_the_worst_three(report: dict[str, Any]) -> None:
    assert [sample["id"] for sample in report["samples"]] == [prompt.id for prompt in fixed_prompts()]
    assert {sample["id"][:2] for sample in report["samples"]} == {"en", "zh"}
    margins = [sample["margin"] for sample in report["worst"]]
    assert margins == sorted(margins)
    assert all(margin < 0 for margin in margins)
    assert len({sample["prompt"] for sample in report["worst"]}) == len(margins) == 3
    assert all("<|im" not in sample["prompt"] for sample in report["worst"])


def test_the_version_holds_the_report_as_markdown_and_its_manifest_covers_it(
    report: dict[str, Any], folder: Path
) -> None:
    version = folder / "versions" / report["version"]
    text = (version / "report.md").read_text(encoding="utf-8")
    assert report["reason"] in text
    assert report["reason_zh"] in text
    assert all(sample["prompt"] in text for sample in [*report["samples"], *report["worst"]])
    assert manifest_fault(version) is None
    (version / "report.md").write_text(text + "and more", encoding="utf-8")
    assert manifest_fault(version) == "report.md was changed"
    (version / "report.md").write_text(text, encoding="utf-8")


def test_the_command_line_prints_the_report_of_a_night_with_or_without_a_version(
    report: dict[str, Any], folder: Path, environment: dict[str, str]
) -> None:
    by_version = told(folder, environment, "report", report["version"])
    assert by_version.returncode == 0, by_version.stderr
    assert by_version.stdout == told(folder, environment, "report", report["night"]).stdout
    assert report["samples"][0]["prompt"] in by_version.stdout
    assert json.loads(told(folder, environment, "report", "--json").stdout) == report
    unknown = told(folder, environment, "report", "v99")
    assert unknown.returncode == 1
    assert "There is no night 'v99'" in unknown.stderr
