"""Is a night worth running? How far the judgements are from what one needs, in a sentence."""

import math
from dataclasses import dataclass

from nightschool.registry import VersionRegistry
from nightschool.said import Said
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

    @property
    def missing(self) -> int:
        """About how many more judgements are needed; 0 when a night may run."""
        for_training = math.ceil(max(LEAST_TRAINING - self.training, 0) * 100 / TRAIN_SHARE)
        return max(for_training, LEAST_NEW - self.new, 0)

    def sentence(self) -> str:
        """Why a night is not worth running, or that it is."""
        return self.said().en

    def said(self) -> Said:
        """The same in both languages."""
        if self.missing == 0:
            return Said("There are enough judgements for a night.", "评判已足够进行一次训练。")
        return Said(
            f"Too few judgements: about {self.missing} more are needed ({self.new} new ones, {LEAST_NEW} needed; "
            f"{self.training:.0f} to train on, {LEAST_TRAINING} needed, {TRAIN_SHARE} % of all are used for training).",
            f"评判太少：大约还需要 {self.missing} 个（新增 {self.new} 个，需要 {LEAST_NEW} 个；可用于训练 "
            f"{self.training:.0f} 个，需要 {LEAST_TRAINING} 个；全部评判的 {TRAIN_SHARE}% 用于训练）。",
        )


def shortage_of(judgements: Judgements, registry: VersionRegistry) -> Shortage:
    """Compare the judgements with what a night needs."""
    new = set(judgements.sources()) - registry.used_sources()
    return Shortage(judgements.on(Side.TRAIN).effective(), len(new))
