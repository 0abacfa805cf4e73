"""Fitting the reward model's first rung: a ridge-regularised linear head on pooled states of the frozen base.

One likelihood for pairs, ties, rankings (their pairs) and thumbs (`losses`), convex in everything fitted: the head, how
likely ties are, where thumbs turn, and each person's leniency. It takes milliseconds to seconds and flat memory; the
ridge strength is chosen by cross-validation over conversations.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from training.design_matrix import Design
from training.features import Features
from training.judgements import Answer, Judgement, Judgements, Preferred
from training.losses import LEFT, RIGHT, TIE, pair_gradients, pair_losses, thumb_gradients, thumb_losses
from training.reward_model import RewardHead, zero_head

RIDGES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
"""Weight of |w|^2 / 2 against the mean loss, on standardised features."""
UNASKED_RIDGE = 10.0
"""Where one conversation is all there is, and nothing can be held out to choose by."""
FOLDS = 5
SMOOTHING = 0.1
"""Assumed share of flipped labels: people agree with each other on 60 to 77 % of such pairs (Stiennon et al. 2020)."""
SMOOTHING_OF_MANY = 0.05
MANY = 500
"""Effective judgements from which on labels are smoothed less."""
CENTRING = 0.01
"""Weight of the mean squared reward of the texts: rewards are free up to a constant otherwise (Eisenstein et al.)."""
DELTA_VARIANCE = 10.0
LENIENCY_VARIANCE = 0.5
"""Of the priors of where thumbs turn for all, and of how far a person is from that; on the scale of the likelihood."""
PULL_OF_TIES = 1e-3
"""Weight of the squared distance of log nu from what the share of ties alone would make it."""
STEPS = 100
ENOUGH_FOR_RIDGE = 4000
"""Judgements on which the ridge strength is chosen at most."""


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
    thumb_person: Tensor
    """Place of each thumb's person in `people`."""
    people: tuple[str, ...]
    """Those whose leniency is fitted; empty where one person gave all thumbs."""

    @property
    def weight(self) -> Tensor:
        return self.pair_weight.sum() + self.thumb_weight.sum()

    def counts(self, texts: int) -> Tensor:
        """How often each text is judged. -> [texts], float64."""
        used = torch.cat([self.left, self.right, self.thumb])
        return torch.bincount(used, minlength=texts).double()

    def at(self, place: Tensor) -> "Batch":
        """The same judgements over texts that stand at other places. place [texts]."""
        return replace(self, left=place[self.left], right=place[self.right], thumb=place[self.thumb])


def make_batch(judgements: Judgements, row_of: dict[Answer, int]) -> Batch:
    """Judgements -> indices, outcomes and weights."""
    code = {Preferred.LEFT: LEFT, Preferred.RIGHT: RIGHT, Preferred.TIE: TIE}
    pairs, thumbs = judgements.pairs, judgements.thumbs
    people = tuple(sorted({thumb.person for thumb in thumbs}))
    people = people if len(people) > 1 else ()  # one person's leniency is the threshold itself
    place = {person: index for index, person in enumerate(people)}
    return Batch(
        left=torch.tensor([row_of[pair.left] for pair in pairs], dtype=torch.long),
        right=torch.tensor([row_of[pair.right] for pair in pairs], dtype=torch.long),
        outcome=torch.tensor([code[pair.preferred] for pair in pairs], dtype=torch.long),
        pair_weight=torch.tensor([pair.weight for pair in pairs], dtype=torch.float64),
        thumb=torch.tensor([row_of[thumb.answer] for thumb in thumbs], dtype=torch.long),
        is_up=torch.tensor([thumb.is_up for thumb in thumbs], dtype=torch.bool),
        thumb_weight=torch.tensor([thumb.weight for thumb in thumbs], dtype=torch.float64),
        thumb_person=torch.tensor([place.get(thumb.person, 0) for thumb in thumbs], dtype=torch.long),
        people=people,
    )


def joint_loss(
    rewards: Tensor, batch: Batch, log_nu: Tensor, delta: Tensor, smoothing: float, leniency: Tensor | None = None
) -> Tensor:
    """Weighted mean loss of all judgements given the rewards of the texts [texts] -> scalar. leniency [people]."""
    d = rewards[batch.left] - rewards[batch.right]
    pairs = (batch.pair_weight * pair_losses(d, batch.outcome, log_nu, smoothing)).sum()
    turns = _turns(batch, delta, leniency)
    thumbs = (batch.thumb_weight * thumb_losses(rewards[batch.thumb], batch.is_up, turns, smoothing)).sum()
    return (pairs + thumbs) / batch.weight


def joint_gradients(
    rewards: Tensor, batch: Batch, log_nu: Tensor, delta: Tensor, smoothing: float, leniency: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Derivatives of `joint_loss` by rewards [texts], log_nu, delta and leniency [people], sooner than by autograd."""
    by_d, by_log_nu = pair_gradients(rewards[batch.left] - rewards[batch.right], batch.outcome, log_nu, smoothing)
    turns = _turns(batch, delta, leniency)
    by_thumb = batch.thumb_weight * thumb_gradients(rewards[batch.thumb], batch.is_up, turns, smoothing)
    by_d = batch.pair_weight * by_d
    by_reward = torch.zeros_like(rewards).index_add(0, batch.left, by_d).index_add(0, batch.right, by_d, alpha=-1)
    by_reward = by_reward.index_add(0, batch.thumb, by_thumb)
    by_leniency = torch.zeros_like(leniency)
    if batch.people:
        by_leniency = by_leniency.index_add(0, batch.thumb_person, by_thumb, alpha=-1)
    found = by_reward, (batch.pair_weight * by_log_nu).sum(), -by_thumb.sum(), by_leniency
    by_reward, of_log_nu, of_delta, by_leniency = (each / batch.weight for each in found)
    return by_reward, of_log_nu, of_delta, by_leniency


def _turns(batch: Batch, delta: Tensor, leniency: Tensor | None) -> Tensor:
    return delta + leniency[batch.thumb_person] if leniency is not None and batch.people else delta


def smoothing_of(judgements: Judgements) -> float:
    """Less where many judgements outvote the wrong ones by themselves."""
    return SMOOTHING if judgements.effective() < MANY else SMOOTHING_OF_MANY


def fit_head(
    features: Tensor | Features,
    batch: Batch,
    ridge: float,
    *,
    smoothing: float = SMOOTHING,
    start: RewardHead | None = None,
) -> RewardHead:
    """The convex fit: minimise the joint loss + ridge |w|^2 / 2. features [texts, size].

    Where they have axes, w has a number more for each of them (`design_matrix`).

    `start` is a head fitted to nearly the same judgements: the result is the same, sooner.
    """
    table = features if isinstance(features, Features) else Features.of(features)
    return _fit(batch, Design.of(table, batch.counts(len(table))), ridge, smoothing, start)


def _fit(batch: Batch, design: Design, ridge: float, smoothing: float, start: RewardHead | None) -> RewardHead:
    if float(batch.weight) == 0.0:
        return zero_head(len(design.mean))
    batch, counts = batch.at(design.place), design.counts
    usual_log_nu = _initial_log_nu(batch)
    parts = {
        "weight": torch.zeros(design.size, dtype=torch.float64),
        "log_nu": torch.tensor(usual_log_nu, dtype=torch.float64),
        "delta": torch.zeros((), dtype=torch.float64),
        "leniency": torch.zeros(len(batch.people), dtype=torch.float64),
    }
    if start is not None:
        parts |= {
            "weight": design.coordinates(start.weight / start.scale),
            "log_nu": start.log_nu.clone(),
            "delta": start.delta.clone(),
        }
    weight, log_nu, delta, leniency = parts.values()
    centring, total = CENTRING * counts / counts.sum(), batch.weight
    optimiser = torch.optim.LBFGS(
        [part.requires_grad_() for part in parts.values()],
        max_iter=STEPS,
        tolerance_grad=1e-7,
        line_search_fn="strong_wolfe",
    )

    @torch.no_grad()
    def closure() -> Tensor:
        rewards = design.rewards(weight)
        by_reward, *by_rest = joint_gradients(rewards, batch, log_nu, delta, smoothing, leniency)
        weight.grad = design.pull(by_reward + 2 * centring * rewards) + ridge * weight
        log_nu.grad = by_rest[0] + 2 * PULL_OF_TIES * (log_nu - usual_log_nu)
        delta.grad = by_rest[1] + delta / DELTA_VARIANCE / total
        leniency.grad = by_rest[2] + leniency / LENIENCY_VARIANCE / total
        loss = joint_loss(rewards, batch, log_nu, delta, smoothing, leniency) + (centring * rewards.square()).sum()
        prior = delta.square() / DELTA_VARIANCE + leniency.square().sum() / LENIENCY_VARIANCE
        loss = loss + PULL_OF_TIES * (log_nu - usual_log_nu).square() + 0.5 * prior / total
        return loss + 0.5 * ridge * weight.square().sum()

    optimiser.step(closure)
    return RewardHead(
        design.weight(weight.detach()),
        design.mean,
        design.scale,
        log_nu.detach(),
        delta.detach(),
        leniency=dict(zip(batch.people, leniency.detach().tolist(), strict=True)),
    )


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


def predict(
    features: Tensor | Features, head: RewardHead, judgements: Judgements, row_of: dict[Answer, int]
) -> list[HeldOut]:
    """A head's margin and log-loss on each judgement, pairs first."""
    batch = make_batch(judgements, row_of)
    rewards = head.rewards(features)
    d = rewards[batch.left] - rewards[batch.right]
    above = rewards[batch.thumb] - thresholds(head, judgements)
    losses = torch.cat(
        [pair_losses(d, batch.outcome, head.log_nu, 0.0), thumb_losses(above, batch.is_up, torch.zeros(()), 0.0)]
    )
    return [HeldOut(*row) for row in zip(judgements.all, torch.cat([d, above]).tolist(), losses.tolist(), strict=True)]


def thresholds(head: RewardHead, judgements: Judgements) -> Tensor:
    """The reward at which each thumb's person turns from down to up. -> [thumbs], float64."""
    known = [head.leniency.get(thumb.person, 0.0) for thumb in judgements.thumbs]
    return head.delta + torch.tensor(known, dtype=torch.float64)


def mean_log_loss(predicted: Sequence[HeldOut]) -> float:
    """Weighted mean; ln 2 when there is nothing to average, as for a model that knows nothing."""
    weight = sum(held.judgement.weight for held in predicted)
    return sum(held.judgement.weight * held.loss for held in predicted) / weight if weight else math.log(2)


def cross_validate(
    features: Tensor | Features, judgements: Judgements, row_of: dict[Answer, int]
) -> tuple[float, list[HeldOut]]:
    """The ridge strength with the lowest held-out log-loss, and its held-out predictions; folds are conversations.

    Of very many judgements, the strength is chosen on as many as tell it reliably.
    """
    table = features if isinstance(features, Features) else Features.of(features)
    if len(judgements) <= ENOUGH_FOR_RIDGE:
        return _best_ridge(table, judgements, row_of)
    some = judgements.sampled(ENOUGH_FOR_RIDGE)
    answers = some.answers()
    sample = Features.of(table.rows([row_of[answer] for answer in answers])).along(table.axes)
    ridge, _ = _best_ridge(sample, some, {answer: row for row, answer in enumerate(answers)})
    ridge *= len(some) / len(judgements)  # the same prior weighs less against the mean of more judgements
    return ridge, _held_out(table, judgements, row_of, (ridge,))[ridge]


def _best_ridge(features: Features, judgements: Judgements, row_of: dict[Answer, int]) -> tuple[float, list[HeldOut]]:
    predicted = _held_out(features, judgements, row_of, RIDGES)
    best = min(RIDGES, key=lambda ridge: mean_log_loss(predicted[ridge])) if predicted[RIDGES[0]] else UNASKED_RIDGE
    return best, predicted[best]


def _held_out(
    features: Features, judgements: Judgements, row_of: dict[Answer, int], ridges: Sequence[float]
) -> dict[float, list[HeldOut]]:
    """Each judgement as foretold by heads that were not fitted to its conversation, for each ridge strength."""
    smoothing = smoothing_of(judgements)
    predicted: dict[float, list[HeldOut]] = {ridge: [] for ridge in ridges}
    for train, held in folds_of(judgements):
        for ridge, head in _by_ridge(features, make_batch(train, row_of), ridges, smoothing).items():
            predicted[ridge] += predict(features, head, held, row_of)
    return predicted


def _by_ridge(features: Features, batch: Batch, ridges: Sequence[float], smoothing: float) -> dict[float, RewardHead]:
    """The heads of one design: the strongest ridge is fitted soonest, and the next one starts from it."""
    design, heads, head = Design.of(features, batch.counts(len(features))), {}, None
    for ridge in reversed(ridges):
        head = heads[ridge] = _fit(batch, design, ridge, smoothing, head)
    return heads


def fold_numbers(judgements: Judgements) -> dict[str, int]:
    """Component of conversations -> the number of its fold."""
    components = sorted({judgement.component for judgement in judgements.all})
    return {component: index % FOLDS for index, component in enumerate(components)}


def folds_of(judgements: Judgements) -> list[tuple[Judgements, Judgements]]:
    """(the rest, one fold) for each of up to five folds of conversations; none where there is only one conversation."""
    fold_of = fold_numbers(judgements)
    folds = len(set(fold_of.values()))

    def part(fold: int, inside: bool) -> Judgements:
        return judgements.where(lambda judgement: (fold_of[judgement.component] == fold) == inside)

    return [(part(fold, False), part(fold, True)) for fold in range(folds if folds > 1 else 0)]
