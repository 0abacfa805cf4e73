"""Is a night worth running? How far the judgements are from what one needs, in a sentence."""

from dataclasses import dataclass

from nightschool.needs import LEAST_NEW, LEAST_TRAINING, TRAIN_SHARE, missing_judgements
from nightschool.registry import VersionRegistry
from nightschool.said import Said
from training.judgements import Judgements
from training.split import Side


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
        return missing_judgements(self.training, LEAST_NEW if self.is_rebuild else self.new)

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
    return Shortage(judgements.on(Side.TRAIN).effective(), len(new), registry.rebuild_is_due())


KINDS = ("duel", "ranking", "thumb", "correction", "regeneration")


def counted(judgements: Judgements, registry: VersionRegistry) -> dict[str, dict[str, int]]:
    """How many judgements of each kind a night would learn from, and how many of them are new.

    A disliked answer and a liked one to the same question are one regeneration, in place of two thumbs.
    """
    used = registry.used_sources()
    regenerated = {pair.source for pair in judgements.pairs if pair.also}
    found = {kind: {"all": 0, "new": 0} for kind in KINDS}
    for source in {judgement.source for judgement in judgements.all}:
        kind = "regeneration" if source in regenerated else source[0]
        found[kind]["all"] += 1
        found[kind]["new"] += source not in used
    return found
