"""PPO-ptx (Ouyang et al. 2022): beside the reward, the plain likelihood of texts that people wrote or liked.

The texts are corrections, and replies with a thumb up, of the training side. Where there are none the term is absent.
Departure: the paper mixes in pretraining text to keep old skills; here the KL to the initial model does that, and the
term teaches what people showed by example.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from training.judgements import Answer, Judgements, Preferred
from training.policy import Policy
from training.reading import answer_sequences
from training.weights import capped, settled

LONGEST = 384
"""Longer texts (tokens of prompt and reply) are left out: one of them would cost more than a minibatch."""


@dataclass(frozen=True)
class Example:
    """A text to imitate, and how often it is drawn beside the others."""

    answer: Answer
    weight: float


def trusted(judgements: Judgements, distrusted: Collection[str], now: str) -> Judgements:
    """Weighed by age and copies, capped by person, without people whose votes count nothing."""
    return capped(settled(judgements, now).where(lambda judgement: judgement.person not in distrusted))


def examples_of(judgements: Judgements) -> list[Example]:
    """Corrections and liked replies, each text once with the weights of all who showed or liked it."""
    weights: dict[Answer, float] = {}
    shown = [(pair.left, pair.weight) for pair in judgements.pairs if _is_shown(pair.source, pair.preferred)]
    liked = [(thumb.answer, thumb.weight) for thumb in judgements.thumbs if thumb.is_up]
    for answer, weight in shown + liked:
        if len(answer.prompt_ids) + len(answer.token_ids) <= LONGEST:
            weights[answer] = weights.get(answer, 0.0) + weight
    return [Example(answer, weight) for answer, weight in weights.items() if weight > 0.0]


def _is_shown(source: tuple[str, str], preferred: Preferred) -> bool:
    """A correction, or a liked reply after a disliked one (which became a pair)."""
    return source[0] in {"correction", "thumb"} and preferred is Preferred.LEFT


def ptx_loss(policy: Policy, examples: Sequence[Example], count: int, generator: torch.Generator) -> Tensor:
    """Mean negative log-likelihood per token of `count` examples drawn by weight, at temperature 1. -> scalar."""
    weights = torch.tensor([example.weight for example in examples], dtype=torch.float64)
    chosen = torch.multinomial(weights, count, replacement=True, generator=generator).tolist()
    sequences = answer_sequences([examples[index].answer for index in chosen], policy.split.base.pad_id)
    logps = policy.logps(policy.split.trunk(sequences.ids), sequences, temperature=1.0)
    return -logps.sum() / sequences.response_lengths.sum()
