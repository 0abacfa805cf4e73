"""Oracle 15: the real rollout, rewards, update and LoRA come to the exact optimum of a world that is enumerated."""

import pytest

from tests.enumerated import solve
from training import rollout

ITERATIONS = 110


def test_ppo_with_a_transformer_closes_the_gap_to_the_enumerated_optimum(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollout, "GROUP", 512)  # rows of one padded layout: only the speed depends on it
    before, after = solve(0, ITERATIONS)
    assert before.total == pytest.approx(1.0, abs=1e-4)
    assert after.total == pytest.approx(1.0, abs=1e-4)
    assert after.objective <= after.best + 1e-4
    assert (after.objective - before.objective) / (before.best - before.objective) > 0.97
