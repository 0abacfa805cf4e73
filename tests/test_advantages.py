"""Oracles 1, 3 (whitening) and 5 of the design, worked by hand."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from training.advantages import AdaptiveKl, explained_variance, gae, token_rewards, whiten


def test_gae_of_three_steps_is_as_worked_by_hand() -> None:
    # R = (-.1, -.1, .9), V = (.5, .2, .1), gamma 1, lambda .95:
    # delta = (-.1 + .2 - .5, -.1 + .1 - .2, .9 - .1) = (-.4, -.2, .8)
    # A_3 = .8; A_2 = -.2 + .95 * .8 = .56; A_1 = -.4 + .95 * .56 = .132; returns = A + V.
    rewards, values = torch.tensor([[-0.1, -0.1, 0.9]]), torch.tensor([[0.5, 0.2, 0.1]])
    advantages, returns = gae(rewards, values, torch.ones(1, 3, dtype=torch.bool), 1.0, 0.95)
    torch.testing.assert_close(advantages, torch.tensor([[0.132, 0.56, 0.8]]))
    torch.testing.assert_close(returns, torch.tensor([[0.632, 0.76, 0.9]]))


def _naive(rewards: list[float], values: list[float], gamma: float, lam: float) -> list[float]:
    """The defining double sum."""
    ahead = [*values[1:], 0.0]
    deltas = [r + gamma * v1 - v0 for r, v1, v0 in zip(rewards, ahead, values, strict=True)]
    return [sum((gamma * lam) ** k * deltas[t + k] for k in range(len(deltas) - t)) for t in range(len(deltas))]


numbers = st.floats(-3, 3, width=32)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(numbers, numbers), min_size=1, max_size=8), st.floats(0.5, 1), st.floats(0, 1))
def test_gae_equals_the_double_sum_that_defines_it(steps: list[tuple[float, float]], gamma: float, lam: float) -> None:
    rewards, values = [step[0] for step in steps], [step[1] for step in steps]
    mask = torch.ones(1, len(steps), dtype=torch.bool)
    advantages, _ = gae(torch.tensor([rewards]), torch.tensor([values]), mask, gamma, lam)
    assert advantages[0].tolist() == pytest.approx(_naive(rewards, values, gamma, lam), abs=1e-3)


def test_lambda_one_is_the_return_minus_the_value_and_lambda_zero_the_one_step_error() -> None:
    rewards, values = torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([[0.5, 0.25, 4.0]])
    mask = torch.ones(1, 3, dtype=torch.bool)
    # Sums of what is still to come: 6, 5, 3.
    torch.testing.assert_close(gae(rewards, values, mask, 1.0, 1.0)[0], torch.tensor([[5.5, 4.75, -1.0]]))
    # delta = (1 + .25 - .5, 2 + 4 - .25, 3 - 4)
    torch.testing.assert_close(gae(rewards, values, mask, 1.0, 0.0)[0], torch.tensor([[0.75, 5.75, -1.0]]))


def test_a_padded_row_equals_the_row_alone_whatever_lies_in_the_padding() -> None:
    nan = math.nan
    rewards = torch.tensor([[1.0, -1.0, 0.5], [0.25, nan, nan]])
    values = torch.tensor([[0.1, 0.2, 0.3], [0.4, nan, nan]])
    mask = torch.tensor([[True, True, True], [True, False, False]])
    advantages, returns = gae(rewards, values, mask, 1.0, 0.95)
    alone, _ = gae(torch.tensor([[0.25]]), torch.tensor([[0.4]]), torch.tensor([[True]]), 1.0, 0.95)
    assert torch.isfinite(advantages).all()
    assert torch.isfinite(returns).all()
    torch.testing.assert_close(advantages[1], torch.tensor([float(alone[0, 0]), 0.0, 0.0]))


def test_the_score_lands_on_the_last_response_token_and_the_penalty_on_all() -> None:
    kl = torch.tensor([[1.0, 2.0, 9.0], [1.0, 1.0, 1.0]])
    mask = torch.tensor([[True, True, False], [True, True, True]])
    rewards = token_rewards(kl, torch.tensor([10.0, 20.0]), mask, beta=0.5)
    # Row 0 has two tokens: -.5, -1 + 10; its third is padding.
    torch.testing.assert_close(rewards, torch.tensor([[-0.5, 9.0, 0.0], [-0.5, -0.5, 19.5]]))


def test_whitening_without_shift_gives_the_numbers_of_the_n_implementation_details() -> None:
    # The blog's matrix: mean 1.6, biased sd .258199 -> first row (1.2 - 1.6) / .258199 + 1.6 = .0508 ...
    x = torch.tensor([[1.2, 1.3, 1.4], [1.5, 1.6, 1.7], [1.8, 1.9, 2.0]])
    whitened = whiten(x, torch.ones_like(x, dtype=torch.bool), shift_mean=False)
    torch.testing.assert_close(whitened[0], torch.tensor([0.0508, 0.4381, 0.8254]), atol=1e-4, rtol=0)


def test_whitening_looks_at_masked_entries_only() -> None:
    x = torch.tensor([[1.0, 3.0, math.nan]])
    whitened = whiten(x, torch.tensor([[True, True, False]]))
    torch.testing.assert_close(whitened, torch.tensor([[-1.0, 1.0, 0.0]]))


def test_beta_grows_by_a_fifth_of_the_share_of_the_horizon_at_twice_the_target() -> None:
    # error = clip(2 - 1, +-.2) = .2; 64 episodes of 640: beta * (1 + .2 * .1) = beta * 1.02; at KL 0: * .98.
    control = AdaptiveKl(beta=0.5, target=6.0, horizon=640)
    control.update_(12.0, 64)
    assert control.beta == pytest.approx(0.5 * 1.02)
    control = AdaptiveKl(beta=0.5, target=6.0, horizon=640)
    control.update_(0.0, 64)
    assert control.beta == pytest.approx(0.5 * 0.98)


def test_beta_stays_within_its_bounds() -> None:
    control = AdaptiveKl(beta=0.99, target=1.0, horizon=64, low=0.03, high=1.0)
    control.update_(100.0, 64)
    assert control.beta == 1.0
    control = AdaptiveKl(beta=0.031, target=1.0, horizon=64, low=0.03, high=1.0)
    control.update_(0.0, 64)  # .031 * .8 = .0248
    assert control.beta == 0.03


def test_explained_variance_is_one_for_a_perfect_critic_and_zero_for_a_constant_one() -> None:
    returns, mask = torch.tensor([[1.0, 2.0, 3.0]]), torch.ones(1, 3, dtype=torch.bool)
    assert explained_variance(returns, returns, mask) == 1.0
    assert explained_variance(torch.full_like(returns, 7.0), returns, mask) == pytest.approx(0.0)
