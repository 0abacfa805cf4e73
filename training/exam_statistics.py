"""What an exam's figures show beyond chance. Pure functions on vectors; nothing here knows of models.

Replies to one prompt, and prompts of one component (questions that are nearly the same), are not independent: whole
components are drawn in the bootstrap, and the sign test counts a component once.
"""

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

DRAWS = 10_000
CONFIDENCE = 0.95
"""Of each bound by itself."""
RIDGE = 0.01
"""On the coefficients of the length-controlled win rate: they stay finite where wins follow length alone."""


@dataclass(frozen=True)
class Bounds:
    """A mean, and bounds of which each holds one-sided with 95 % confidence."""

    low: float
    mean: float
    high: float


@dataclass(frozen=True)
class SignTest:
    """Components in which one side scored higher, and how likely so many or more are by chance (one-sided)."""

    wins: int
    losses: int
    p: float


def clustered_bounds(values: Tensor, clusters: Sequence[Hashable], seed: int, draws: int = DRAWS) -> Bounds:
    """The mean of `values` [n], with bounds by drawing whole clusters, of whatever size, with replacement."""
    sums, counts = cluster_sums(values, clusters)
    generator = torch.Generator().manual_seed(seed)
    means = []
    for start in range(0, draws, 1000):
        picks = torch.randint(len(sums), (min(1000, draws - start), len(sums)), generator=generator)
        means.append(sums[picks].sum(1) / counts[picks].sum(1))
    every = torch.cat(means)
    return Bounds(
        float(every.quantile(1 - CONFIDENCE)), float(sums.sum() / counts.sum()), float(every.quantile(CONFIDENCE))
    )


def sign_test(margins: Tensor, clusters: Sequence[Hashable]) -> SignTest:
    """Exact one-sided sign test on each cluster's mean margin; a mean of exactly 0 says nothing. margins [n]."""
    sums, _ = cluster_sums(margins, clusters)
    wins, losses = int((sums > 0).sum()), int((sums < 0).sum())
    return SignTest(wins, losses, binomial_tail(wins, wins + losses))


def binomial_tail(wins: int, trials: int) -> float:
    """P(at least `wins` heads of `trials` fair coins); 1 without a trial."""
    return sum(math.comb(trials, k) for k in range(wins, trials + 1)) / 2**trials


def length_controlled(wins: Tensor, leads: Tensor) -> float:
    """The win rate that would be left if both sides wrote equally long replies.

    wins [n] from 0 to 1; leads [n]: tokens by which the reply is longer than its rival. Logistic regression on an
    intercept and the lead (Dubois et al. 2024, "Length-controlled AlpacaEval"); the intercept alone is the answer.
    """
    spread = float(leads.std(correction=0)) if len(leads) > 1 else 0.0
    design = torch.stack([torch.ones_like(wins), leads / spread if spread > 0 else torch.zeros_like(wins)], 1)
    weights = torch.zeros(2, dtype=torch.float64)
    for _ in range(50):
        p = torch.sigmoid(design @ weights)
        slope = design.T @ (wins - p) - RIDGE * weights
        curve = (design.T * (p * (1 - p))) @ design + RIDGE * torch.eye(2, dtype=torch.float64)
        step = torch.linalg.solve(curve, slope)
        weights = weights + step.clamp(-2.0, 2.0)
        if float(step.abs().max()) < 1e-9:
            break
    return float(torch.sigmoid(weights[0]))


def cluster_sums(values: Tensor, clusters: Sequence[Hashable]) -> tuple[Tensor, Tensor]:
    """Sum and size of each cluster, in order of first appearance. [n] -> [clusters], [clusters], float64."""
    number: dict[Hashable, int] = {}
    rows = torch.tensor([number.setdefault(cluster, len(number)) for cluster in clusters])
    sums = torch.zeros(len(number), dtype=torch.float64).index_add_(0, rows, values.double())
    return sums, torch.bincount(rows).double()
