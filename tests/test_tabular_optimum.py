"""Oracle 14: PPO's maths reaches the known optimum on a table, and a wrong KL estimator in the reward does not."""

import pytest

from tests.tabular import solve
from training.losses import k1, k3


@pytest.mark.parametrize("beta", [0.2, 0.5, 2.0])
def test_ppo_reaches_the_closed_form_optimum(beta: float) -> None:
    outcome = solve(beta, k1)
    assert outcome.kl_to_optimum < 0.005
    assert outcome.objective == pytest.approx(outcome.best, abs=0.005)
    assert outcome.first_value == pytest.approx(outcome.best, abs=0.08)


def test_k3_in_the_reward_converges_to_another_policy() -> None:
    assert solve(0.5, k3).kl_to_optimum > 0.05


def test_the_kl_with_the_wrong_sign_is_far_from_the_optimum() -> None:
    assert solve(0.5, lambda old, ref: k1(ref, old)).kl_to_optimum > 0.05
