"""What must hold in every iteration of PPO. RLHF code is mostly wrong in silence; here a broken rule stops the night.

Each rule has a name, which the night's report gives, and a test that breaks it on purpose.
"""

import math
from collections.abc import Iterable, Mapping
from enum import StrEnum

import torch
from torch import Tensor, nn

from nightschool.errors import NightSchoolError
from nightschool.model import BaseModel, fingerprint
from training.rollout import Rollout


class Invariant(StrEnum):
    """The rules, by the names under which reports tell them."""

    FINITE = "finite values"
    RATIO = "ratio 1 before the first step"
    FRESH_KL = "no drift before the first step of a first night"
    BASE = "untouched base"
    ADVANTAGES = "advantages that tell replies apart"
    GRADIENTS = "gradients in every trained part"
    ENDINGS = "replies that end"
    LENGTH = "replies that say something"
    ENTROPY = "entropy floor"
    KL_CEILING = "KL ceiling"
    REPETITION = "no repetition"


class TrainingBroken(NightSchoolError):
    """An invariant of the training does not hold: the night stops and nothing of it is served."""

    def __init__(self, invariant: Invariant, what: str) -> None:
        super().__init__(f"{what} (rule: {invariant.value}). The champion stays; the night's report has the curves.")
        self.invariant = invariant


ENDINGS_KEPT = 0.5
"""Of the share of replies that end by themselves when the night begins, at least this part must remain..."""
ENDINGS_CHANCE = 0.15
"""...but for this much, which chance alone can take from 64 replies."""
ENTROPY_KEPT = 0.1
"""Of the entropy per token when the night begins; a guard of the exam is stricter, this one catches a collapse."""
LEAST_TOKENS = 2.0
"""Mean tokens per reply, the one that ends it included: below, the policy has gone mute."""
KL_CEILING = 25.0
"""Nats per reply: far beyond where a night stops by itself, so something does not brake."""
LOOPING_ADDED = 0.3
"""Share of looping replies that may be added to what the night began with."""


class Watch:
    """Checks one night's PPO. The first rollout it sees is what later ones are compared with."""

    def __init__(self, base: BaseModel, *, first_night: bool) -> None:
        self._base, self._first_night = base, first_night
        self._start: dict[str, float] = {}

    @property
    def start(self) -> Mapping[str, float]:
        """What the night began with, for a checkpoint; empty before the first rollout."""
        return dict(self._start)

    def resume_(self, start: Mapping[str, float]) -> None:
        """Take over what the night began with."""
        self._start = dict(start)

    def weights(self, weights: Iterable[Tensor]) -> None:
        """Raises `TrainingBroken` unless all are finite: no reply is drawn from a broken policy."""
        if not all(bool(torch.isfinite(weight).all()) for weight in weights):
            raise TrainingBroken(Invariant.FINITE, "Some weights of the policy are not finite")

    def rollout(self, rollout: Rollout) -> None:
        """Raises `TrainingBroken` for a rollout that cannot be learned from or should not have come about."""
        self._finite(rollout)
        self._base_untouched()
        now = conduct_of(rollout)
        if not self._start:
            if self._first_night and now["kl"] != 0.0:
                raise TrainingBroken(
                    Invariant.FRESH_KL, f"The fresh policy is {now['kl']:.3f} nats from the initial model, not 0"
                )
            self._start = now
        self._conduct(now)

    def advantages(self, advantages: Tensor) -> None:
        """Raises `TrainingBroken` unless they are finite and differ. advantages [tokens], before whitening."""
        if not torch.isfinite(advantages).all():
            raise TrainingBroken(Invariant.FINITE, "Some advantages are not finite")
        if not float(advantages.std(correction=0)) > 0.0:
            raise TrainingBroken(Invariant.ADVANTAGES, "All advantages are equal, so there is nothing to learn from")

    def first_ratio(self, new: Tensor, old: Tensor) -> None:
        """Raises `TrainingBroken` unless both are equal to the last bit. [tokens]."""
        if not torch.equal(new, old):
            raise TrainingBroken(
                Invariant.RATIO,
                "The policy's log-probabilities changed before its first step: old and new ones are not computed alike",
            )

    def gradients(self, parts: Mapping[str, nn.Parameter]) -> None:
        """Raises `TrainingBroken` unless every part is finite and has a gradient somewhere.

        LoRA's A has none while its B is 0, so both count as one part.
        """
        norms: dict[str, float] = {}
        for name, weight in parts.items():
            part = name.replace("lora_A", "lora").replace("lora_B", "lora")
            norms[part] = norms.get(part, 0.0) + (0.0 if weight.grad is None else float(weight.grad.norm()))
        for part, norm in norms.items():
            if not math.isfinite(norm):
                raise TrainingBroken(Invariant.FINITE, f"The gradient of {part} is not finite")
            if norm == 0.0:
                raise TrainingBroken(Invariant.GRADIENTS, f"{part} is to be trained and has no gradient")

    def step(self, **values: float) -> None:
        """Raises `TrainingBroken` unless losses and gradient norms are finite."""
        for name, value in values.items():
            if not math.isfinite(value):
                raise TrainingBroken(Invariant.FINITE, f"The {name.replace('_', ' ')} is {value}")

    def _finite(self, rollout: Rollout) -> None:
        for group in rollout.groups:
            for what, values in (
                ("log-probabilities", group.old),
                ("log-probabilities of the initial model", group.reference),
                ("scores", group.judged.scores),
                ("critic's features", group.features),
            ):
                if not torch.isfinite(values).all():
                    raise TrainingBroken(Invariant.FINITE, f"Some {what} are not finite")

    def _base_untouched(self) -> None:
        if fingerprint(self._base.model) != self._base.fingerprint:
            raise TrainingBroken(Invariant.BASE, "The weights of the base model changed during the training")

    def _conduct(self, now: Mapping[str, float]) -> None:
        start = self._start
        least_endings = ENDINGS_KEPT * start["finished"] - ENDINGS_CHANCE
        if now["finished"] < least_endings:
            raise TrainingBroken(
                Invariant.ENDINGS,
                f"Only {now['finished']:.0%} of the replies end by themselves; {start['finished']:.0%} did at first",
            )
        if now["length"] < LEAST_TOKENS <= start["length"]:
            raise TrainingBroken(Invariant.LENGTH, f"The replies have {now['length']:.1f} tokens on average")
        if now["entropy"] < ENTROPY_KEPT * start["entropy"]:
            raise TrainingBroken(
                Invariant.ENTROPY,
                f"The entropy fell from {start['entropy']:.2f} to {now['entropy']:.2f} nats per token",
            )
        if now["kl"] > KL_CEILING:
            raise TrainingBroken(
                Invariant.KL_CEILING,
                f"The replies are {now['kl']:.1f} nats from the initial model (ceiling {KL_CEILING:.0f})",
            )
        if now["looping"] > start["looping"] + LOOPING_ADDED:
            raise TrainingBroken(
                Invariant.REPETITION,
                f"{now['looping']:.0%} of the replies repeat themselves; {start['looping']:.0%} did at first",
            )


def conduct_of(rollout: Rollout) -> dict[str, float]:
    """How the replies of a rollout behave: the figures that the rules look at."""
    return {
        "kl": rollout.mean_kl(),
        "finished": rollout.finished_share(),
        "length": rollout.mean_length(),
        "entropy": rollout.mean_entropy(),
        "looping": float(rollout.looping().float().mean()),
    }
