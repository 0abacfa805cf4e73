"""Fitting the reward model's first rung: a ridge-regularised linear head on pooled states of the frozen base.

One likelihood for pairs, ties and thumbs (`losses`). The fit is convex and takes milliseconds; the ridge strength is
chosen by cross-validation over conversations.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from training.judgements import Answer, Judgement, Judgements, Preferred
from training.losses import LEFT, RIGHT, TIE, pair_losses, thumb_losses
from training.reward_model import RewardHead, zero_head

RIDGES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
"""Weight of |w|^2 / 2 against the mean loss, on standardised features."""
FOLDS = 5
SMOOTHING = 0.1
"""Assumed share of flipped labels: people agree with each other on 60 to 77 % of such pairs (Stiennon et al. 2020)."""
NEWTON_STEPS = 100


@dataclass(frozen=True)
class Batch:
    """Judgements as tensors over a table of texts (rows of a feature matrix)."""

    left: Tensor
    right: Tensor
    outcome: Tensor
    pair_weight: Tensor
    thumb: Tensor
    is_up: Tensor
    thumb_weight: Tensor

    @property
    def weight(self) -> Tensor:
        return self.pair_weight.sum() + self.thumb_weight.sum()


def make_batch(judgements: Judgements, row_of: dict[Answer, int]) -> Batch:
    """Judgements -> indices, outcomes and weights."""
    code = {Preferred.LEFT: LEFT, Preferred.RIGHT: RIGHT, Preferred.TIE: TIE}
    pairs, thumbs = judgements.pairs, judgements.thumbs
    return Batch(
        left=torch.tensor([row_of[pair.left] for pair in pairs], dtype=torch.long),
        right=torch.tensor([row_of[pair.right] for pair in pairs], dtype=torch.long),
        outcome=torch.tensor([code[pair.preferred] for pair in pairs], dtype=torch.long),
        pair_weight=torch.tensor([pair.weight for pair in pairs], dtype=torch.float64),
        thumb=torch.tensor([row_of[thumb.answer] for thumb in thumbs], dtype=torch.long),
        is_up=torch.tensor([thumb.is_up for thumb in thumbs], dtype=torch.bool),
        thumb_weight=torch.tensor([thumb.weight for thumb in thumbs], dtype=torch.float64),
    )


def joint_loss(rewards: Tensor, batch: Batch, log_nu: Tensor, delta: Tensor, smoothing: float) -> Tensor:
    """Weighted mean loss of all judgements given the rewards of the texts [texts] -> scalar."""
    d = rewards[batch.left] - rewards[batch.right]
    pairs = (batch.pair_weight * pair_losses(d, batch.outcome, log_nu, smoothing)).sum()
    thumbs = (batch.thumb_weight * thumb_losses(rewards[batch.thumb], batch.is_up, delta, smoothing)).sum()
    return (pairs + thumbs) / batch.weight


def fit_head(features: Tensor, batch: Batch, ridge: float) -> RewardHead:
    """The convex fit: minimise the joint loss + ridge |w|^2 / 2. features [texts, size], float32."""
    used = torch.cat([batch.left, batch.right, batch.thumb])
    size = features.shape[1]
    if len(used) == 0:
        return zero_head(size)
    x = features.double()
    mean, scale = x[used].mean(0), x[used].std(0, correction=0).clamp(min=1e-6)
    x = (x - mean) / scale
    weight = torch.zeros(size, dtype=torch.float64, requires_grad=True)
    usual_log_nu = _initial_log_nu(batch)
    log_nu = torch.tensor(usual_log_nu, dtype=torch.float64, requires_grad=True)
    delta = torch.zeros((), dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS(
        [weight, log_nu, delta], max_iter=NEWTON_STEPS, tolerance_grad=1e-7, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimiser.zero_grad()
        prior = 0.5 * ridge * weight.square().sum() + 1e-3 * (log_nu - usual_log_nu).square() + 1e-3 * delta.square()
        loss = joint_loss(x @ weight, batch, log_nu, delta, SMOOTHING) + prior
        loss.backward()
        return loss

    optimiser.step(closure)
    return RewardHead(weight.detach(), mean, scale, log_nu.detach(), delta.detach())


def _initial_log_nu(batch: Batch) -> float:
    """log(2t / (1 - t)) for tie rate t, which is exact at d = 0; kept finite without ties or with ties only."""
    ties, total = float(batch.pair_weight[batch.outcome == TIE].sum()), float(batch.pair_weight.sum())
    rate = min(max(ties / total if total else 0.0, 0.001), 0.9)
    return math.log(2 * rate / (1 - rate))


@dataclass(frozen=True)
class HeldOut:
    """A judgement as predicted by a model that was not trained on its conversation."""

    judgement: Judgement
    margin: float
    """r_left - r_right for a pair, r - delta for a thumb."""
    loss: float


def predict(features: Tensor, head: RewardHead, judgements: Judgements, row_of: dict[Answer, int]) -> list[HeldOut]:
    """A head's margin and log-loss on each judgement, pairs first."""
    batch = make_batch(judgements, row_of)
    rewards = head.rewards(features)
    d, above = rewards[batch.left] - rewards[batch.right], rewards[batch.thumb] - head.delta
    losses = torch.cat(
        [pair_losses(d, batch.outcome, head.log_nu, 0.0), thumb_losses(above, batch.is_up, torch.zeros(()), 0.0)]
    )
    return [HeldOut(*row) for row in zip(judgements.all, torch.cat([d, above]).tolist(), losses.tolist(), strict=True)]


def mean_log_loss(predicted: Sequence[HeldOut]) -> float:
    """Weighted mean; ln 2 when there is nothing to average, as for a model that knows nothing."""
    weight = sum(held.judgement.weight for held in predicted)
    return sum(held.judgement.weight * held.loss for held in predicted) / weight if weight else math.log(2)


def cross_validate(features: Tensor, judgements: Judgements, row_of: dict[Answer, int]) -> tuple[float, list[HeldOut]]:
    """The ridge strength with the lowest held-out log-loss, and its held-out predictions; folds are conversations."""
    components = sorted({judgement.component for judgement in judgements.all})
    folds = min(FOLDS, len(components))
    if folds < 2:
        return RIDGES[-1], []
    fold_of = {component: index % folds for index, component in enumerate(components)}
    found: list[tuple[float, float, list[HeldOut]]] = []
    for ridge in RIDGES:
        predicted: list[HeldOut] = []
        for fold in range(folds):
            train = _where(judgements, lambda component, fold=fold: fold_of[component] != fold)  # type: ignore[misc]
            held = _where(judgements, lambda component, fold=fold: fold_of[component] == fold)  # type: ignore[misc]
            head = fit_head(features, make_batch(train, row_of), ridge)
            predicted += predict(features, head, held, row_of)
        found.append((mean_log_loss(predicted), ridge, predicted))
    _, ridge, predicted = min(found, key=lambda entry: entry[0])
    return ridge, predicted


def _where(judgements: Judgements, wanted: Callable[[str], bool]) -> Judgements:
    return Judgements(
        tuple(pair for pair in judgements.pairs if wanted(pair.component)),
        tuple(thumb for thumb in judgements.thumbs if wanted(thumb.component)),
    )
