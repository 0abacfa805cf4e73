"""Oracles 2, 4 and 6 of the design, worked by hand."""

import math

import pytest
import torch

from training.losses import LEFT, RIGHT, TIE, ends_loss, k1, k3, pair_losses, policy_loss, thumb_losses, value_loss

NEVER_TIES = torch.tensor(-60.0, dtype=torch.float64)


def _pairs(d: list[float], outcome: list[int], log_nu: torch.Tensor, smoothing: float = 0.0) -> torch.Tensor:
    return pair_losses(torch.tensor(d, dtype=torch.float64), torch.tensor(outcome), log_nu, smoothing)


def test_a_pair_without_ties_costs_minus_log_sigmoid_of_the_difference() -> None:
    # -log sigmoid(1) = log(1 + e^-1) = .313262
    assert _pairs([1.0], [LEFT], NEVER_TIES).item() == pytest.approx(0.313262, abs=1e-6)
    # Smoothed by .1: .9 * .313262 + .1 * 1.313262 = .413262
    assert _pairs([1.0], [LEFT], NEVER_TIES, 0.1).item() == pytest.approx(0.413262, abs=1e-6)


def test_a_ranking_of_three_is_the_mean_of_its_three_pairs() -> None:
    # r = (2, 1, 0): d = 1, 1, 2 -> (.313262 + .313262 + .126928) / 3 = .251150
    losses = _pairs([1.0, 1.0, 2.0], [LEFT, LEFT, LEFT], NEVER_TIES)
    assert losses.mean().item() == pytest.approx(0.251150, abs=1e-6)


def test_davidson_gives_the_three_probabilities_worked_by_hand() -> None:
    # d = 1, nu = .7: e^.5, e^-.5, .7 over their sum 2.955252 -> (.557895, .205238, .236866)
    losses = _pairs([1.0, 1.0, 1.0], [LEFT, RIGHT, TIE], torch.tensor(math.log(0.7), dtype=torch.float64))
    assert torch.exp(-losses).tolist() == pytest.approx([0.557895, 0.205238, 0.236866], abs=1e-6)


def test_swapping_the_sides_and_the_label_changes_nothing() -> None:
    log_nu = torch.tensor(-0.3, dtype=torch.float64)
    assert torch.equal(_pairs([0.8, 0.8], [LEFT, TIE], log_nu, 0.1), _pairs([-0.8, -0.8], [RIGHT, TIE], log_nu, 0.1))


def test_a_tie_is_cheapest_between_equals() -> None:
    near, far = _pairs([0.0, 3.0], [TIE, TIE], torch.tensor(0.0, dtype=torch.float64))
    assert near < far


def test_a_thumb_costs_minus_log_sigmoid_of_its_distance_to_the_threshold() -> None:
    # Up at r - delta = 1: .313262; down at the same place: 1.313262.
    losses = thumb_losses(torch.tensor([3.0, 3.0]), torch.tensor([True, False]), torch.tensor(2.0), 0.0)
    assert losses.tolist() == pytest.approx([0.313262, 1.313262], abs=1e-6)


def test_smoothing_mixes_in_the_loss_of_the_opposite_thumb() -> None:
    # A tenth flipped: .9 * .313262 + .1 * 1.313262 = .413262, and .9 * 1.313262 + .1 * .313262 = 1.213262
    losses = thumb_losses(torch.tensor([3.0, 3.0]), torch.tensor([True, False]), torch.tensor(2.0), 0.1)
    assert losses.tolist() == pytest.approx([0.413262, 1.213262], abs=1e-6)


def test_pair_losses_equal_those_of_trl_on_the_same_tensors() -> None:
    # TRL's RewardTrainer: -logsigmoid(chosen - rejected).mean()
    chosen, rejected = torch.tensor([0.3, -1.2, 2.0]).double(), torch.tensor([-0.4, 0.9, 1.5]).double()
    ours = pair_losses(chosen - rejected, torch.tensor([LEFT] * 3), NEVER_TIES, 0.0).mean()
    theirs = -torch.nn.functional.logsigmoid(chosen - rejected).mean()
    assert ours.item() == pytest.approx(theirs.item(), abs=1e-12)


def _policy_gradient(ratio: float, advantage: float) -> float:
    new = torch.tensor([[math.log(ratio)]], requires_grad=True)
    mask = torch.ones(1, 1, dtype=torch.bool)
    policy_loss(new, torch.zeros(1, 1), torch.tensor([[advantage]]), mask, 0.2, 1).backward()
    assert new.grad is not None
    return float(new.grad)


@pytest.mark.parametrize(
    ("ratio", "advantage", "expected"),
    [
        (1.3, 1.0, 0.0),  # already raised by more than the clip: no more push up
        (0.7, 1.0, -0.7),  # d(-A ratio)/d log ratio = -A ratio
        (0.7, -1.0, 0.0),  # already lowered by more than the clip
        (1.3, -1.0, 1.3),
        (1.0, 2.0, -2.0),
    ],
)
def test_the_clip_stops_the_gradient_only_in_the_direction_already_taken(
    ratio: float, advantage: float, expected: float
) -> None:
    assert _policy_gradient(ratio, advantage) == pytest.approx(expected, abs=1e-6)


def test_the_policy_loss_ignores_padding_and_divides_by_the_count_it_is_given() -> None:
    new = torch.tensor([[0.0, math.nan]])
    mask = torch.tensor([[True, False]])
    # ratio 1, A = 3 -> -3; over 6 tokens of the whole minibatch: -.5
    assert policy_loss(new, torch.zeros(1, 2), torch.tensor([[3.0, 1.0]]), mask, 0.2, 6).item() == pytest.approx(-0.5)


def test_one_wild_token_costs_much_but_not_infinitely_much() -> None:
    # The log-ratio 1000 is taken for 20: -A ratio = e^20 = 485,165,195.
    loss = policy_loss(torch.tensor([[1000.0]]), torch.zeros(1, 1), -torch.ones(1, 1), torch.tensor([[True]]), 0.2, 1)
    assert loss.item() == pytest.approx(485_165_195, rel=1e-5)


def test_the_value_loss_ignores_padding_and_divides_by_the_count_it_is_given() -> None:
    # V = old = 3, return 1: 4 / 2 = 2; over 8 tokens of the whole minibatch: .25
    values, mask = torch.tensor([[3.0, math.nan]]), torch.tensor([[True, False]])
    assert value_loss(values, values, torch.ones(1, 2), mask, 0.2, 8).item() == pytest.approx(0.25)


def test_the_value_loss_takes_the_worse_of_clipped_and_unclipped() -> None:
    # V = 1, old 0, return 1: unclipped error 0, clipped value .2 -> (.2 - 1)^2 / 2 = .32
    mask = torch.ones(1, 1, dtype=torch.bool)
    loss = value_loss(torch.tensor([[1.0]]), torch.zeros(1, 1), torch.ones(1, 1), mask, 0.2, 1)
    assert loss.item() == pytest.approx(0.32)


def test_k1_and_k3_estimate_the_kl_of_two_categoricals_without_bias() -> None:
    p, q = torch.tensor([0.5, 0.3, 0.2]).double(), torch.tensor([0.2, 0.3, 0.5]).double()
    exact = float((p * (p / q).log()).sum())
    draws = torch.multinomial(p, 1_000_000, replacement=True, generator=torch.Generator().manual_seed(0))
    first, third = k1(p.log()[draws], q.log()[draws]), k3(p.log()[draws], q.log()[draws])
    for estimate in (first, third):
        assert abs(float(estimate.mean()) - exact) < 4 * float(estimate.std()) / 1000
    assert float(third.min()) >= 0.0
    assert float(third.var()) < float(first.var())
    assert float(first.min()) < 0.0  # k1 may be negative for one token: it is the signed one


def test_ending_less_often_costs_the_kl_of_one_event_and_ending_more_often_nothing() -> None:
    # .2 -> .1: .2 log 2 + .8 log(.8 / .9) = .138629 - .094226 = .044403; .2 -> .2 and .2 -> .5 cost nothing; the last
    # step is padding. Over a count of 8.
    ends = torch.tensor([[0.1, 0.2, 0.5, 0.01]]).log().requires_grad_()
    loss = ends_loss(ends, torch.tensor([[0.2] * 4]).log(), torch.tensor([[True, True, True, False]]), 8)
    assert loss.item() == pytest.approx(0.044403 / 8, abs=1e-6)
    [gradient] = torch.autograd.grad(loss, ends)
    # By log p: -.2 + .8 * .1 / .9 = -.111111
    assert (8 * gradient).tolist() == [pytest.approx([-0.111111, 0.0, 0.0, 0.0], abs=1e-5)]


def test_sure_ends_and_impossible_ones_have_finite_losses_and_gradients() -> None:
    ends = torch.tensor([[0.0, -200.0, -200.0]]).requires_grad_()
    loss = ends_loss(ends, torch.tensor([[0.0, 0.0, -200.0]]), torch.ones(1, 3, dtype=torch.bool), 1)
    [gradient] = torch.autograd.grad(loss, ends)
    assert torch.isfinite(loss)
    assert torch.isfinite(gradient).all()
