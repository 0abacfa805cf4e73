"""`python -m training night`: which seed a night is given."""

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from training import nightly
from training.__main__ import app
from training.night_stages import NightPlan


@pytest.mark.parametrize(
    ("setting", "words", "expected"), [("7", [], 7), ("7", ["--seed", "3"], 3), ("", ["--seed", "0"], 0)]
)
def test_a_night_takes_the_seed_of_its_command_or_else_of_the_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str, words: list[str], expected: int
) -> None:
    assert _seeds(tmp_path, monkeypatch, setting, words) == [expected]


def test_without_either_each_night_has_a_seed_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = (_seeds(tmp_path, monkeypatch, "", []) for _ in range(2))
    assert one != other


def _seeds(folder: Path, monkeypatch: pytest.MonkeyPatch, setting: str, words: list[str]) -> list[int]:
    plans: list[NightPlan] = []

    def stand_in(plan: NightPlan, echo: object) -> dict[str, Any]:
        plans.append(plan)
        return {"verdict": "held", "reason": "A test."}

    monkeypatch.setattr(nightly, "run_night", stand_in)
    monkeypatch.setattr("training.__main__.step_back", lambda: None)
    monkeypatch.setattr("training.__main__.stop_when_asked", lambda: None)
    if setting:
        monkeypatch.setenv("NIGHTSCHOOL_SEED", setting)
    done = CliRunner().invoke(app, ["night", "--db", str(folder / "feedback.db"), *words])
    assert done.exit_code == 0, done.output
    return [plan.seed for plan in plans]
