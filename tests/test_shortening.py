"""Part of a night's way is gone back where plain texts surprise the policy too much."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.training_fixtures import tiny_base
from training.neutral_texts import perplexity_ratio
from training.policy import Policy
from training.shortening import MOST_SURPRISE, shorten_
from training.trunk import SplitModel


@pytest.fixture
def policy(tmp_path: Path) -> Policy:
    return Policy(SplitModel(tiny_base(tmp_path), top_layers=2), seed=0)


def _moved(policy: Policy, step: float) -> dict[str, Tensor]:
    """A policy that went some way in all its weights; where it began."""
    begun, generator = policy.copy(), torch.Generator().manual_seed(3)
    with torch.no_grad():
        for weight in policy.weights():
            weight.add_(step * torch.randn(weight.shape, generator=generator))
    return begun


@pytest.mark.parametrize(("surprises", "share"), [([1.08], 1.0), ([1.2, 1.081, 1.07], 0.8), ([1.09, 1.0], 0.9)])
def test_the_largest_share_that_is_enough_is_kept(policy: Policy, surprises: list[float], share: float) -> None:
    begun = _moved(policy, 0.1)
    ended = policy.copy()
    left = iter(surprises)
    assert shorten_(policy, begun, lambda policy: next(left)) == (share, surprises[-1])
    assert list(left) == []
    for name, tensor in policy.tensors().items():
        torch.testing.assert_close(tensor, begun[name] + share * (ended[name] - begun[name]))


def test_a_share_that_the_exam_would_not_reject_is_better_than_none(policy: Policy) -> None:
    begun = _moved(policy, 0.1)
    ended = policy.copy()
    left = iter([1.3, 1.2, 1.11, 1.1, 1.09, 1.085])
    assert shorten_(policy, begun, lambda policy: next(left)) == (0.7, 1.1)
    for name, tensor in policy.tensors().items():
        torch.testing.assert_close(tensor, begun[name] + 0.7 * (ended[name] - begun[name]))


def test_where_no_share_is_enough_the_whole_way_stays_for_the_exam_to_reject(policy: Policy) -> None:
    begun = _moved(policy, 0.1)
    ended = policy.copy()
    assert shorten_(policy, begun, lambda policy: 1.5) == (1.0, 1.5)
    assert all(torch.equal(tensor, ended[name]) for name, tensor in policy.tensors().items())


def test_a_policy_that_unlearned_plain_texts_reads_them_well_enough_afterwards(policy: Policy) -> None:
    step = 0.02
    begun = _moved(policy, step)
    while perplexity_ratio(policy) <= MOST_SURPRISE:
        policy.take_over_(begun)
        step *= 1.2
        begun = _moved(policy, step)
    before = perplexity_ratio(policy)
    share, surprise = shorten_(policy, begun)
    assert share < 1.0
    assert surprise == perplexity_ratio(policy) <= MOST_SURPRISE < before
