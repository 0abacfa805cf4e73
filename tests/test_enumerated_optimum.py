"""Oracle 15: the real rollout, rewards, update and LoRA come to the exact optimum of a world that is enumerated."""

from dataclasses import replace

import pytest

from tests.enumerated import solve
from training import rollout
from training.ppo_settings import Baseline, PpoSettings

ITERATIONS = 90


@pytest.fixture(autouse=True)
def _large_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollout, "GROUP", 128)  # rows of one padded layout: only the speed depends on it


def _with_group_baseline(settings: PpoSettings) -> PpoSettings:
    return replace(settings, baseline=Baseline.GROUP, replies=8)


@pytest.mark.parametrize("change", [lambda settings: settings, _with_group_baseline], ids=["critic", "group"])
def test_ppo_with_a_transformer_closes_the_gap_to_the_enumerated_optimum(change) -> None:  # type: ignore[no-untyped-def]
    before, after = solve(0, ITERATIONS, change)
    assert before.total == pytest.approx(1.0, abs=1e-4)
    assert after.total == pytest.approx(1.0, abs=1e-4)
    assert after.objective <= after.best + 1e-4
    closed = (after.objective - before.objective) / (before.best - before.objective)
    assert closed > 0.97
