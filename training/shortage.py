"""Is a night worth running? How far the judgements are from what one needs, in a sentence."""

import math
from dataclasses import dataclass

from nightschool.registry import VersionRegistry
from training.judgements import Judgements
from training.split import TRAIN_SHARE, Side

LEAST_TRAINING = 40
"""Effective judgements on the training side that a night needs."""
LEAST_NEW = 20
"""Judgements that no promoted version was made from, so that a night has something new to learn."""


@dataclass(frozen=True)
class Shortage:
    """How far the judgements are from what a night needs."""

    training: float
    new: int
    is_rebuild: bool = False
    """A version was retired because judgements were deleted: one without them is made, also if nothing is new."""

    @property
    def missing(self) -> int:
        """About how many more judgements are needed; 0 when a night may run."""
        for_training = math.ceil(max(LEAST_TRAINING - self.training, 0) * 100 / TRAIN_SHARE)
        return max(for_training, 0 if self.is_rebuild else LEAST_NEW - self.new, 0)

    def sentence(self) -> str:
        """Why a night is not worth running, or that it is."""
        if self.missing == 0:
            return "There are enough judgements for a night."
        return (
            f"Too few judgements: about {self.missing} more are needed ({self.new} new ones, {LEAST_NEW} needed; "
            f"{self.training:.0f} to train on, {LEAST_TRAINING} needed, {TRAIN_SHARE} % of all are used for training)."
        )


def shortage_of(judgements: Judgements, registry: VersionRegistry) -> Shortage:
    """Compare the judgements with what a night needs."""
    new = set(judgements.sources()) - registry.used_sources()
    return Shortage(judgements.on(Side.TRAIN).effective(), len(new), registry.rebuild_is_due())
