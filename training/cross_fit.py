"""An examiner that scores no prompt by labels it was fitted to: cross-fitting over folds of conversations (as in
Chernozhukov et al. 2018, https://arxiv.org/abs/1608.00060).

An exam may ask a prompt that people judged. There the head is used that was fitted without that prompt's fold of
conversations; elsewhere the head that was fitted to all labels. A fold is what the ridge strength was chosen with.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from training.features import Features
from training.judgements import Answer, Judgements
from training.reward_fit import fit_head, fold_numbers, folds_of, make_batch
from training.reward_model import RewardHead


@dataclass(frozen=True)
class CrossFit:
    """A head for each fold, fitted to all judgements but that fold's."""

    heads: tuple[RewardHead, ...] = ()
    fold_of: Mapping[str, int] = field(default_factory=dict)
    """Component of conversations -> the place of the head that does not know it."""

    def normalised(self, pooled_of_initial: Tensor) -> "CrossFit":
        """Every head on the scale of the initial model's replies. pooled_of_initial [texts, size]."""
        return replace(self, heads=tuple(head.normalised(pooled_of_initial) for head in self.heads))

    def scores(self, whole: RewardHead, pooled: Tensor, components: Sequence[str]) -> Tensor:
        """Normalised scores of texts of these components; `whole` scores what nobody judged.

        pooled [texts, size] -> [texts], float64.
        """
        scores = whole.scores(pooled)
        places = torch.tensor([self.fold_of.get(component, -1) for component in components], dtype=torch.long)
        for place, head in enumerate(self.heads):
            own = places == place
            scores[own] = head.scores(pooled[own])
        return scores

    def judged(self, components: Sequence[str]) -> int | None:
        """How many of these components have a head of their own; None without heads."""
        return sum(component in self.fold_of for component in components) if self.heads else None


NO_FOLDS = CrossFit()


def cross_fit(
    features: Features, judgements: Judgements, row_of: dict[Answer, int], ridge: float, smoothing: float
) -> CrossFit:
    """Heads that each leave one fold out; none where all judgements belong to one conversation (one fold)."""
    heads = [
        fit_head(features, make_batch(rest, row_of), ridge, smoothing=smoothing) for rest, _ in folds_of(judgements)
    ]
    return CrossFit(tuple(heads), fold_numbers(judgements)) if heads else NO_FOLDS
