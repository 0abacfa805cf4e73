"""Ratings as they would be if all versions dressed their replies alike: Bradley-Terry with ties and style as covariates
(Chatbot Arena's style control, https://lmsys.org/blog/2024-08-28-style-control).

As in `ratings`, but d = strength of left - strength of right + sum over styles of lead / telling lead * weight. So a
weight is the effect of the lead that is told, in nats, and its prior is the same whether many duels differ in that
style or one: what few duels say hardly moves it. Errors are the larger of what the curvature says and of what clusters
of votes say (the sandwich estimator of White 1982, Liang and Zeger 1986).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nightschool.standings import STYLES, StyleEffect
from training.contests import Contest
from training.judgements import Preferred

RIDGE_OF_STYLE = 1.0
"""Precision of the prior on each weight: standard deviation 1 nat, so 68 % lie between 27 and 73 % of duels won."""
TELLING_LEADS = {"length": 0.2, "headings": 1.0, "lists": 1.0, "bold": 1.0}
"""The lead whose effect is told: half as long again; of other styles that only one reply has any."""
STEPS = 50
TWO_SIDED = 1.96


@dataclass(frozen=True)
class Controlled:
    """Strengths and their errors [versions], in nats and centred, and what each style does by itself."""

    strength: Tensor
    errors: Tensor
    effects: tuple[StyleEffect, ...]


def control_style(
    versions: Sequence[str], contests: Sequence[Contest], clusters: Sequence[str], *, ridge: float
) -> Controlled:
    """Fit both together. `clusters` names what belongs together, contest by contest; `ridge` as in `ratings`."""
    leads = torch.tensor([contest.style for contest in contests], dtype=torch.float64)
    used = [place for place, differ in enumerate((leads != 0).any(0).tolist()) if differ]
    telling = torch.tensor([TELLING_LEADS[STYLES[place]] for place in used], dtype=torch.float64)
    design = torch.cat([_sides(versions, contests), leads[:, used] / telling], 1)
    prior = torch.tensor([ridge] * len(versions) + [RIDGE_OF_STYLE] * len(used) + [ridge], dtype=torch.float64)
    score = torch.tensor([_SCORES[contest.outcome] for contest in contests], dtype=torch.float64)
    is_tie = torch.tensor([contest.outcome is Preferred.TIE for contest in contests], dtype=torch.float64)
    theta = torch.zeros(design.shape[1] + 1, dtype=torch.float64)
    for _ in range(STEPS):
        pulls, curve = _derivatives(theta, design, score, is_tie, prior)
        step = torch.linalg.solve(curve, pulls.sum(0) - prior * theta)
        theta = theta + step  # whole: cut in each coordinate it would point elsewhere, and go round in circles
        if float(step.abs().max()) < 1e-9:
            break
    pulls, curve = _derivatives(theta, design, score, is_tie, prior)
    count = len(versions)
    centre = torch.eye(len(theta), dtype=torch.float64)
    centre[:count, :count] -= 1 / count
    errors = _errors(pulls, curve, clusters, centre)
    told = centre @ theta
    effects = tuple(
        _effect(STYLES[place], told[count + column], errors[count + column]) for column, place in enumerate(used)
    )
    return Controlled(told[:count], errors[:count], effects)


def bounds_of(found: Controlled) -> tuple[Tensor, Tensor, Tensor]:
    """Strengths with their 95 % bounds, [versions] each."""
    half = TWO_SIDED * found.errors
    return found.strength, found.strength - half, found.strength + half


_SCORES = {Preferred.LEFT: 1.0, Preferred.TIE: 0.5, Preferred.RIGHT: 0.0}


def _sides(versions: Sequence[str], contests: Sequence[Contest]) -> Tensor:
    """1 for the version on the left, -1 for the one on the right. [contests, versions]."""
    place = {version: index for index, version in enumerate(versions)}
    rows = torch.arange(len(contests))
    sides = torch.zeros(len(contests), len(versions), dtype=torch.float64)
    sides[rows, [place[contest.left] for contest in contests]] = 1.0
    sides[rows, [place[contest.right] for contest in contests]] = -1.0
    return sides


def _derivatives(theta: Tensor, design: Tensor, score: Tensor, is_tie: Tensor, prior: Tensor) -> tuple[Tensor, Tensor]:
    """Each contest's slope of the log-likelihood [contests, size], and minus the Hessian with the prior [size, size].

    theta: weights of the design's columns, last log nu. With d as above, d log P / dd = score - E[score] and
    d log P / d log nu = tie - P(tie).
    """
    d = design @ theta[:-1]
    win, lose, tie = torch.softmax(torch.stack([d / 2, -d / 2, theta[-1].expand_as(d)]), 0)
    expected = win + tie / 2
    pulls = torch.cat([design * (score - expected)[:, None], (is_tie - tie)[:, None]], 1)
    variance, across = win + tie / 4 - expected.square(), tie * (lose - win) / 2
    curve = torch.diag(prior)
    curve[:-1, :-1] += design.T @ (design * variance[:, None])
    curve[:-1, -1] += design.T @ across
    curve[-1, :-1] += design.T @ across
    curve[-1, -1] += (tie * (1 - tie)).sum()
    return pulls, curve


def _errors(pulls: Tensor, curve: Tensor, clusters: Sequence[str], centre: Tensor) -> Tensor:
    """Standard errors of what `centre` makes of the parameters. [size]."""
    inverse = torch.linalg.inv(curve)
    names = sorted(set(clusters))
    place = {name: row for row, name in enumerate(names)}
    sums = torch.zeros(len(names), pulls.shape[1], dtype=torch.float64)
    sums.index_add_(0, torch.tensor([place[name] for name in clusters]), pulls)
    correction = len(names) / max(len(names) - 1, 1)
    by_clusters = centre @ inverse @ (sums.T @ sums) @ inverse @ centre.T * correction
    by_curvature = centre @ inverse @ centre.T
    return torch.maximum(by_clusters.diagonal(), by_curvature.diagonal()).clamp(min=0).sqrt()


def _effect(name: str, weight: Tensor, error: Tensor) -> StyleEffect:
    """How often the reply that leads in a style wins a decided duel of equal versions, with its 95 % interval."""
    half = TWO_SIDED * error
    share, low, high = torch.stack([weight, weight - half, weight + half]).sigmoid().tolist()
    return StyleEffect(name, share, low, high)
