"""Oracle 15: the real rollout, rewards, update and LoRA come to the exact optimum of a world that is enumerated."""

from collections.abc import Callable

import pytest

from tests.enumerated import as_shipped, solve, with_critic
from training import rollout
from training.ppo_settings import PpoSettings


@pytest.mark.parametrize(("change", "share"), [(with_critic, 0.97), (as_shipped, 0.94)], ids=["critic", "group"])
def test_ppo_with_a_transformer_closes_the_gap_to_the_enumerated_optimum(
    monkeypatch: pytest.MonkeyPatch, change: Callable[[PpoSettings], PpoSettings], share: float
) -> None:
    monkeypatch.setattr(rollout, "GROUP", 512)  # rows of one padded layout: only the speed depends on it
    before, after = solve(0, 100, change)
    assert before.total == pytest.approx(1.0, abs=1e-4)
    assert after.total == pytest.approx(1.0, abs=1e-4)
    assert after.objective <= after.best + 1e-4
    assert after.closed(before) > share
