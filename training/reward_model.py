"""The reward model: a text in, a scalar out that stands for what these people prefer.

A linear head reads the final states of the frozen base (with a LoRA on its top layers where that helped) over the
response tokens, sum-pooled: r(y) = w . (sum_t h_t / 64 - m) / s, so each token carries its share of the score. The
pooled head measured far better than a head on the last token at a few hundred judgements (docs/log.md).
`normalise` makes scores comparable: z = (r - mean) / sd over replies of the initial model.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from training.features import Features
from training.judgements import PROMPT_TOKENS, Answer
from training.reading import POOL_TOKENS, read_texts
from training.sequences import Sequences
from training.trunk import SplitModel

GROUP = 8


@dataclass(frozen=True)
class RewardHead:
    """r = weight . (pooled - mean) / scale; z = (r - offset) / spread. All float64, [size] or scalar."""

    weight: Tensor
    mean: Tensor
    scale: Tensor
    log_nu: Tensor
    delta: Tensor
    offset: float = 0.0
    spread: float = 1.0
    context: int = PROMPT_TOKENS
    """Tokens before a reply that are read: it was fitted to replies after so many."""
    leniency: Mapping[str, float] = field(default_factory=dict)
    """How much later than at delta each person's thumbs turn up; 0 for anybody else."""

    def rewards(self, pooled: Tensor | Features) -> Tensor:
        """Pooled features [texts, size] -> rewards on the scale of the likelihood [texts]."""
        features = pooled if isinstance(pooled, Features) else Features.of(self.its(pooled))
        direction = self.weight / self.scale
        return features.dot(direction) - self.mean @ direction

    def scores(self, pooled: Tensor) -> Tensor:
        """Pooled features [texts, size] -> normalised scores z [texts]."""
        return (self.rewards(pooled) - self.offset) / self.spread

    def normalised(self, pooled_of_initial: Tensor) -> "RewardHead":
        """The same head with z = 0 and sd 1 over the initial model's replies."""
        rewards = self.rewards(pooled_of_initial)
        spread = float(rewards.std(correction=0)) if len(rewards) > 1 else 1.0
        return replace(self, offset=float(rewards.mean()), spread=spread if spread > 1e-9 else 1.0)

    def token_shares(self, states: Tensor) -> Tensor:
        """What each token adds to z: states [tokens, size] -> [tokens]. Their sum plus `constant` is the score."""
        direction = self.weight / self.scale / POOL_TOKENS / self.spread
        return self.its(states).double() @ direction

    def its(self, states: Tensor) -> Tensor:
        """What it reads of states or features: all, or in heads from before those halfway were read, the last ones."""
        return states[..., -len(self.weight) :]

    @property
    def constant(self) -> float:
        """The part of z that no token carries."""
        return float((-(self.mean / self.scale) @ self.weight - self.offset) / self.spread)


def zero_head(size: int) -> RewardHead:
    """The head that knows nothing: every text scores 0."""
    weight, mean = torch.zeros(2, size, dtype=torch.float64).unbind()
    return RewardHead(
        weight.clone(), mean.clone(), torch.ones_like(mean), torch.tensor(-1.0).double(), torch.tensor(0.0).double()
    )


@dataclass(frozen=True)
class Judged:
    """Scores of replies and where in them they come from. float32; scores [batch], shares [batch, steps].

    A score is `constant` (which no token carries) plus the shares of its tokens, less what an ensemble's members
    disagree about.
    """

    scores: Tensor
    shares: Tensor
    constant: float

    @property
    def running(self) -> Tensor:
        """The score as far as the tokens before each one have brought it. [batch, steps]."""
        return self.shares.cumsum(1) - self.shares + self.constant


@dataclass(frozen=True)
class RewardModel:
    """A head and the top whose states it reads (None: the base's own); with members, the head is their average."""

    split: SplitModel
    head: RewardHead
    adapter: Any = None
    """The PEFT model of the LoRA rung, to be saved."""
    adapter_top: Any = None
    members: tuple[RewardHead, ...] = ()
    """Heads of the ensemble rung, each normalised."""

    @torch.no_grad()
    def states(self, policy: SplitModel, ids: Tensor, trunk_states: Tensor, base_states: Tensor) -> Tensor:
        """The states this model reads. ids [batch, width] -> [batch, width, 2 size].

        `trunk_states` and `base_states` are the policy's split's of the same ids: all that a head on the same base
        reads, wherever that is cut.
        """
        if self.adapter_top is None and self.split.base is policy.base:
            return policy.beside(trunk_states, base_states)
        trunk = trunk_states if self.split is policy else self.split.trunk(ids)
        return self.split.beside(trunk, self.split.top(self.adapter_top or self.split.reference, trunk))

    @torch.no_grad()
    def judge(
        self,
        policy: SplitModel,
        answers: Sequence[Answer],
        sequences: Sequences,
        trunk_states: Tensor,
        base_states: Tensor,
    ) -> Judged:
        """Scores of one padded batch, from states the policy's split has computed already where they are shared."""
        states = sequences.at_responses(self.states(policy, sequences.ids, trunk_states, base_states))
        shares = sequences.unpack(self.head.token_shares(states))  # [batch, steps], float64
        doubt = self.doubt(sequences.unpack(states.float()).sum(1) / POOL_TOKENS)
        scores = shares.sum(1) + self.head.constant - doubt
        return Judged(scores.float(), shares.float(), self.head.constant)

    def scores(self, answers: Sequence[Answer]) -> Tensor:
        """Normalised scores of texts, what the members disagree about taken off. -> [texts], float64."""
        pooled = self.pooled(answers)
        return self.head.scores(pooled) - self.doubt(pooled)

    def doubt(self, pooled: Tensor) -> Tensor:
        """Variance of the members' normalised scores; 0 without members. [texts, size] -> [texts], float64."""
        if not self.members:
            return torch.zeros(len(pooled), dtype=torch.float64)
        return torch.stack([member.scores(pooled) for member in self.members]).var(0, correction=0)

    def pooled(self, answers: Sequence[Answer]) -> Tensor:
        """Sum-pooled response states, after as much of the prompt as the head reads. -> [texts, 2 size], float32."""
        read = [answer.after(self.head.context) for answer in answers]
        return pooled_states(self.split, read, self.adapter_top)

    def normalised(self, initial: Sequence[Answer]) -> "RewardModel":
        """The same model with scores told in standard deviations of the initial model's replies."""
        pooled = self.pooled(initial)
        members = tuple(member.normalised(pooled) for member in self.members)
        model = replace(self, head=self.head.normalised(pooled), members=members)
        usual_doubt = float(model.doubt(pooled).mean())  # else the mean score would be that much below 0
        return replace(model, head=replace(model.head, offset=model.head.offset - usual_doubt * model.head.spread))


def pooled_states(split: SplitModel, answers: Sequence[Answer], top: Any = None) -> Tensor:
    """Sum-pooled states over the response tokens of a few answers, in memory. -> [texts, 2 size], float32."""
    return read_texts(split, answers, top).matrix()


def save_head(head: RewardHead, path: Path) -> None:
    """Write the head as safetensors."""
    save_file(
        {
            "weight": head.weight,
            "mean": head.mean,
            "scale": head.scale,
            "log_nu": head.log_nu,
            "delta": head.delta,
            "offset": torch.tensor(head.offset, dtype=torch.float64),
            "spread": torch.tensor(head.spread, dtype=torch.float64),
            "context": torch.tensor(head.context),
        },
        path,
    )


def load_head(path: Path) -> RewardHead:
    """Read a head written by `save_head`."""
    tensors = load_file(path)
    return RewardHead(
        weight=tensors["weight"],
        mean=tensors["mean"],
        scale=tensors["scale"],
        log_nu=tensors["log_nu"],
        delta=tensors["delta"],
        offset=float(tensors["offset"]),
        spread=float(tensors["spread"]),
        context=int(tensors["context"]) if "context" in tensors else PROMPT_TOKENS,  # older ones read everything
    )
