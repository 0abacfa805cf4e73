"""The reward model's third rung: several heads, each fitted to a draw of the conversations, averaged.

The average is again a linear head, so nothing downstream changes; what the members disagree about is taken off the
score (Coste et al. 2023: mean - variance), so that PPO does not chase what only one of them believes. Kept only where
the average predicts held-out conversations better than one head fitted to all of them.
"""

from collections import defaultdict
from collections.abc import Sequence

import torch

from training.features import Features
from training.judgements import Answer, Judgements
from training.reward_fit import HeldOut, fit_head, folds_of, make_batch, mean_log_loss, predict, smoothing_of
from training.reward_model import RewardHead

LEAST_GAIN = 0.002
"""Nats per judgement by which the average must lower the held-out log-loss."""


def fit_members(
    features: Features, judgements: Judgements, row_of: dict[Answer, int], ridge: float, *, count: int, seed: int
) -> tuple[RewardHead, ...]:
    """Heads fitted to draws with replacement of whole conversations."""
    generator = torch.Generator().manual_seed(seed)
    smoothing = smoothing_of(judgements)
    whole = fit_head(features, make_batch(judgements, row_of), ridge, smoothing=smoothing)
    heads = []
    for _ in range(count):
        batch = make_batch(_drawn(judgements, generator), row_of)
        heads.append(fit_head(features, batch, ridge, smoothing=smoothing, start=whole))
    return tuple(heads)


def average(heads: Sequence[RewardHead]) -> RewardHead:
    """The head whose rewards are the mean of the members' rewards."""
    count = len(heads)
    direction = torch.stack([head.weight / head.scale for head in heads]).mean(0)
    shift = torch.stack([head.mean @ (head.weight / head.scale) for head in heads]).mean()
    # mean . direction = shift, so that rewards are x . direction - shift
    mean = direction * shift / direction.square().sum().clamp(min=1e-30)
    people = sorted({person for head in heads for person in head.leniency})
    return RewardHead(
        weight=direction,
        mean=mean,
        scale=torch.ones_like(direction),
        log_nu=torch.stack([head.log_nu for head in heads]).mean(),
        delta=torch.stack([head.delta for head in heads]).mean(),
        leniency={person: sum(head.leniency.get(person, 0.0) for head in heads) / count for person in people},
    )


def held_out_of_ensembles(
    features: Features, judgements: Judgements, row_of: dict[Answer, int], ridge: float, *, count: int, seed: int
) -> list[HeldOut]:
    """Each judgement as foretold by an ensemble that was not trained on its conversation."""
    predicted: list[HeldOut] = []
    for train, held in folds_of(judgements):
        heads = fit_members(features, train, row_of, ridge, count=count, seed=seed)
        predicted += predict(features, average(heads), held, row_of)
    return predicted


def is_better(of_ensemble: Sequence[HeldOut], of_one: Sequence[HeldOut]) -> bool:
    """Whether the average earns its keep."""
    return mean_log_loss(of_ensemble) < mean_log_loss(of_one) - LEAST_GAIN


def _drawn(judgements: Judgements, generator: torch.Generator) -> Judgements:
    """As many conversations as there are, drawn with replacement."""
    pairs, thumbs = defaultdict(list), defaultdict(list)
    for pair in judgements.pairs:
        pairs[pair.component].append(pair)
    for thumb in judgements.thumbs:
        thumbs[thumb.component].append(thumb)
    components = sorted(pairs.keys() | thumbs.keys())
    chosen = [components[i] for i in torch.randint(len(components), (len(components),), generator=generator).tolist()]
    return Judgements(
        tuple(pair for component in chosen for pair in pairs[component]),
        tuple(thumb for component in chosen for thumb in thumbs[component]),
    )
