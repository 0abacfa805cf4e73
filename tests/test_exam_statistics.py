"""Bounds, sign test and length-controlled win rate: by hand, and against repeated experiments."""

import math

import pytest
import torch

from training.exam_statistics import binomial_tail, clustered_bounds, length_controlled, sign_test


def test_a_bound_of_independent_wins_is_the_normal_one() -> None:
    # 74 of 128 is the least that a one-sided 5 % sign test accepts.
    wins = torch.cat([torch.ones(74), torch.zeros(54)]).double()
    found = clustered_bounds(wins, list(range(128)), 0)
    half = 1.645 * (0.578 * 0.422 / 128) ** 0.5
    assert found.mean == pytest.approx(74 / 128)
    assert found.low == pytest.approx(74 / 128 - half, abs=0.01)
    assert found.high == pytest.approx(74 / 128 + half, abs=0.01)


def test_what_is_the_same_within_clusters_counts_once() -> None:
    # 16 clusters of 8 equal values: the bound is that of 16 values, sqrt(8) times as far away.
    values = torch.tensor([1.0, 0.0] * 8).repeat_interleave(8)
    clustered = clustered_bounds(values, [place // 8 for place in range(128)], 0)
    alone = clustered_bounds(values, list(range(128)), 0)
    assert (0.5 - clustered.low) / (0.5 - alone.low) == pytest.approx(math.sqrt(8), rel=0.15)


def test_the_bound_holds_in_about_95_of_100_experiments_with_dependent_replies() -> None:
    generator = torch.Generator().manual_seed(3)
    clusters = [place // 4 for place in range(200)]
    held = 0
    for seed in range(300):
        shared = torch.randn(50, generator=generator).repeat_interleave(4)
        values = shared + torch.randn(200, generator=generator)
        held += clustered_bounds(values, clusters, seed, draws=1000).low <= 0.0
    assert 0.90 <= held / 300 <= 0.985  # without clusters about 83 of 100


@pytest.mark.parametrize(("trials", "needed"), [(64, 40), (128, 74), (200, 113), (256, 142)])
def test_the_sign_test_needs_the_wins_of_the_table(trials: int, needed: int) -> None:
    assert binomial_tail(needed, trials) <= 0.05 < binomial_tail(needed - 1, trials)


def test_a_sign_test_counts_clusters_and_leaves_out_draws() -> None:
    # a: 2 - 1 > 0, b: -1, c: 0 says nothing, d: 3. Two wins of three: 4 of 8 sequences have two heads or more.
    margins = torch.tensor([2.0, -1.0, -1.0, 1.0, -1.0, 3.0])
    found = sign_test(margins, ["a", "a", "b", "c", "c", "d"])
    assert (found.wins, found.losses, found.p) == (2, 1, 0.5)
    assert sign_test(torch.zeros(3), ["a", "b", "c"]).p == 1.0


def test_wins_by_length_alone_are_no_wins_once_length_is_controlled() -> None:
    generator = torch.Generator().manual_seed(4)
    leads = 20.0 + 10.0 * torch.randn(2000, generator=generator, dtype=torch.float64)  # the candidate is longer

    def rate(effect: float) -> tuple[float, float]:
        p = torch.sigmoid(effect + leads / 10.0)
        wins = (torch.rand(2000, generator=generator, dtype=torch.float64) < p).double()
        return float(wins.mean()), length_controlled(wins, leads)

    plain, controlled = rate(0.0)
    assert plain > 0.8
    assert controlled == pytest.approx(0.5, abs=0.06)
    assert rate(1.0)[1] == pytest.approx(1 / (1 + math.exp(-1.0)), abs=0.06)


def test_equal_lengths_leave_the_win_rate_as_it_is() -> None:
    wins = torch.tensor([1.0, 1.0, 1.0, 0.0] * 25).double()
    assert length_controlled(wins, torch.zeros(100).double()) == pytest.approx(0.75, abs=1e-3)
    always = length_controlled(torch.ones(10).double(), torch.arange(10).double())
    assert 0.9 < always < 1.0
