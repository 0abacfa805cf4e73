"""Is a night worth running? How far the judgements are from what one needs, in a sentence."""

from dataclasses import dataclass

from nightschool.needs import LEAST_NEW, LEAST_TRAINING, TRAIN_SHARE, missing_judgements
from nightschool.registry import VersionRegistry
from training.judgements import Judgements
from training.split import Side


@dataclass(frozen=True)
class Shortage:
    """How far the judgements are from what a night needs."""

    training: float
    new: int

    @property
    def missing(self) -> int:
        """About how many more judgements are needed; 0 when a night may run."""
        return missing_judgements(self.training, self.new)

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
    return Shortage(judgements.on(Side.TRAIN).effective(), len(new))
