"""A taste that is known, in place of a reward model: what PPO learns from it shows PPO alone."""

from collections.abc import Callable, Sequence
from statistics import fmean, pstdev
from typing import Any

import torch
from torch import Tensor

from training.judgements import Answer
from training.reward_model import Judged
from training.sequences import Sequences
from training.trunk import SplitModel


class GoldScorer:
    """Scores by a function of the text, in standard deviations of the initial model's replies.

    A token's share is by how much the taste of the text so far changes with it, as with the reward model's pooled head.
    """

    def __init__(self, tokenizer: Any, taste: Callable[[str], float], initial: Sequence[Answer]) -> None:
        self._tokenizer, self._taste = tokenizer, taste
        known = [self.gold(answer) for answer in initial]
        self._mean, self._spread = fmean(known), pstdev(known) or 1.0

    def gold(self, answer: Answer) -> float:
        """What the taste says of a reply, in its own unit."""
        return self._taste(self._tokenizer.decode(answer.token_ids, skip_special_tokens=True))

    def in_own_unit(self, score: float) -> float:
        """A mean score as the mean of the taste (exact while no score was cut off)."""
        return score * self._spread + self._mean

    def judge(
        self,
        policy: SplitModel,
        answers: Sequence[Answer],
        sequences: Sequences,
        trunk_states: Tensor,
        base_states: Tensor,
    ) -> Judged:
        """Scores of one padded batch."""
        shares = torch.zeros(sequences.is_response.shape)
        nothing = self.gold(
            Answer(answers[0].prompt_ids, ())
        )  # where prompts differ in it, the first token carries that
        constant = (nothing - self._mean) / self._spread
        for row, answer in enumerate(answers):
            counts = range(1, len(answer.token_ids) + 1)
            so_far = [nothing, *(self.gold(Answer(answer.prompt_ids, answer.token_ids[:count])) for count in counts)]
            shares[row, : len(answer.token_ids)] = torch.tensor(so_far).diff() / self._spread
        return Judged(shares.sum(1) + constant, shares, constant)
