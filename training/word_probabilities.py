"""Probabilities of drawn tokens under the output layer's softmax, without ever holding the logits of all words."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

ROWS, WORDS = 512, 2048
"""Logits held at a time: 4 MB of float32, which stay in the processor's cache."""


def token_logps(states: Tensor, head: nn.Linear, ids: Tensor, temperature: float) -> Tensor:
    """Log-probability of each drawn token under softmax(logits / temperature), in float32.

    states [tokens, size] at the positions that predict, ids [tokens] -> [tokens]. Differentiable in `states`.
    """
    return _SelectedLogProbs.apply(states.to(head.weight.dtype), head.weight, head.bias, ids, temperature)


@torch.no_grad()
def token_logps_and_entropies(
    states: Tensor, head: nn.Linear, ids: Tensor, temperature: float
) -> tuple[Tensor, Tensor]:
    """`token_logps` without gradient, and the entropy in nats of each next-token distribution. -> [tokens] each."""
    states = states.to(head.weight.dtype)
    logps, _, entropies = _read_words(states, head.weight, head.bias, ids, temperature, wants_entropies=True)
    assert entropies is not None
    return logps, entropies


def logps_of_words(
    logps: Tensor, states: Tensor, head: nn.Linear, ids: Tensor, words: Sequence[int], temperature: float
) -> Tensor:
    """Log-probability that the next token is one of `words`, where `logps` [tokens] is that of `ids`. -> [tokens].

    It differs from the drawn token's by their logits alone, so no other word is read. Differentiable in `states`.
    """
    drawn, bias = head.weight[ids].float(), head.bias
    found = []
    for word in words:
        lead = (states.float() * (head.weight[word].float() - drawn)).sum(-1)
        if bias is not None:
            lead = lead + (bias[word] - bias[ids]).float()
        found.append(logps + lead / temperature)
    return torch.stack(found).logsumexp(0)


class _SelectedLogProbs(torch.autograd.Function):
    """`log_softmax(head(states) / T).gather(ids)` that keeps no logits for the backward pass.

    The head is frozen, so only the gradient in `states` exists: (onehot - softmax) W / T. It is made in the forward
    pass, while a block's softmax is at hand, and only scaled in the backward pass.
    """

    @staticmethod
    def forward(
        ctx: Any, states: Tensor, weight: Tensor, bias: Tensor | None, ids: Tensor, temperature: float
    ) -> Tensor:
        wants_slopes = ctx.needs_input_grad[0]
        logps, slopes, _ = _read_words(states, weight, bias, ids, temperature, wants_slopes=wants_slopes)
        if slopes is not None:
            ctx.save_for_backward(slopes)
        ctx.temperature, ctx.dtype = temperature, states.dtype
        return logps

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None, None]:
        (slopes,) = ctx.saved_tensors
        return (slopes * (grad / ctx.temperature)[:, None]).to(ctx.dtype), None, None, None, None


def _read_words(
    states: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    ids: Tensor,
    temperature: float,
    *,
    wants_slopes: bool = False,
    wants_entropies: bool = False,
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Log-probabilities [tokens], slopes (onehot minus softmax, times W: [tokens, size]) and entropies [tokens].

    All in float32, block by block, so that the logits of a block stay in the processor's cache. Maximum, total and what
    the softmax weighs are rescaled when a block raises the maximum (online softmax: Milakov and Gimelshein, 2018).
    """
    logps, entropies = torch.empty(len(ids)), torch.empty(len(ids)) if wants_entropies else None
    slopes = torch.empty(states.shape, dtype=torch.float32) if wants_slopes else None
    for start in range(0, len(ids), ROWS):
        rows = slice(start, start + ROWS)
        found = _Softmax.over(states[rows], weight, bias, ids[rows], temperature, wants_slopes, wants_entropies)
        logps[rows] = found.logps()
        if slopes is not None:
            slopes[rows] = found.slopes(weight[ids[rows]])
        if entropies is not None:
            entropies[rows] = found.entropies()
    return logps, slopes, entropies


class _Softmax:
    """The running softmax of a few rows over the vocabulary; all [rows, 1] or [rows, size], float32."""

    def __init__(self, states: Tensor, wants_slopes: bool, wants_entropies: bool) -> None:
        rows = len(states)
        self._most, self._total = torch.full((rows, 1), torch.finfo(torch.float32).min), torch.zeros(rows, 1)
        self._chosen = torch.zeros(rows, 1)
        self._spread = torch.zeros(rows, 1) if wants_entropies else None  # sum of e^(l - most) (l - most)
        self._weighed = torch.zeros(states.shape, dtype=torch.float32) if wants_slopes else None  # sum of e^(l-most) W

    @classmethod
    def over(
        cls,
        states: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        ids: Tensor,
        temperature: float,
        wants_slopes: bool,
        wants_entropies: bool,
    ) -> "_Softmax":
        found = cls(states, wants_slopes, wants_entropies)
        for start in range(0, len(weight), WORDS):
            block = slice(start, start + WORDS)
            logits = nn.functional.linear(states, weight[block], None if bias is None else bias[block])
            found._add(logits.float().div_(temperature), ids - start, weight[block])
        return found

    def _add(self, scaled: Tensor, ids: Tensor, words: Tensor) -> None:
        """Take a block of scaled logits [rows, words] in; ids count from the block's first word."""
        here = ((ids >= 0) & (ids < len(words))).nonzero()[:, 0]
        self._chosen[here, 0] = scaled[here, ids[here]]
        most = torch.maximum(self._most, scaled.amax(-1, keepdim=True))
        fell = self._most - most
        shrunk = fell.exp()
        centred = scaled.sub_(most)
        if self._spread is not None:
            self._spread = (self._spread + fell * self._total) * shrunk
            self._spread += (centred.exp() * centred).sum(-1, keepdim=True)
        parts = centred.exp_()
        self._total = self._total * shrunk + parts.sum(-1, keepdim=True)
        self._most = most
        if self._weighed is not None:
            self._weighed.mul_(shrunk).add_(parts.to(words.dtype) @ words)

    def logps(self) -> Tensor:
        return (self._chosen - self._most - self._total.log())[:, 0]

    def slopes(self, chosen_words: Tensor) -> Tensor:
        assert self._weighed is not None
        return chosen_words - self._weighed / self._total

    def entropies(self) -> Tensor:
        assert self._spread is not None
        return (self._total.log() - self._spread / self._total)[:, 0]
