"""From scores to advantages: rewards per token, generalised advantage estimation, whitening, the KL controller.

Shapes: [batch, steps] over response tokens, the one that ends the reply included; `is_response` is True on them. A
value belongs to the state before its token. What lies outside the mask may hold anything, NaN included.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

WHITENING_EPSILON = 1e-8


def token_rewards(kl: Tensor, scores: Tensor, is_response: Tensor, beta: float, shares: Tensor | None = None) -> Tensor:
    """-beta * kl at every response token, plus the reply's score. kl, shares [batch, steps], scores [batch].

    Without `shares` the whole score stands at the last token; with them each token gets its own and the last one what
    is left of the score, so that a row's sum is the same either way.
    """
    rewards = torch.where(is_response, -beta * kl, 0.0)
    last = is_response.sum(1) - 1
    if shares is not None:
        shares = torch.where(is_response, shares, 0.0)
        rewards = rewards + shares
        scores = scores - shares.sum(1)
    rewards[torch.arange(len(last)), last] += scores
    return rewards


def returns_to_go(rewards: Tensor, is_response: Tensor, gamma: float) -> Tensor:
    """Discounted sum of the rewards from each token on; zero outside the mask. [batch, steps]."""
    return gae(rewards, torch.zeros_like(rewards), is_response, gamma, 1.0)[1]


def leave_one_out(values: Tensor, prompt_of: Tensor) -> Tensor:
    """Mean of the other rows that answer the same prompt (Kool et al. 2019). values [batch, ...], prompt_of [batch].

    Raises ValueError for a prompt with one row: it has nothing to be compared with.
    """
    _, index, counts = prompt_of.unique(return_inverse=True, return_counts=True)
    if int(counts.min()) < 2:
        raise ValueError("Every prompt needs at least two replies to be compared with each other.")
    totals = torch.zeros(len(counts), *values.shape[1:], dtype=values.dtype).index_add(0, index, values)
    others = (counts[index] - 1).to(values.dtype).view(-1, *[1] * (values.dim() - 1))
    return (totals[index] - values) / others


def gae(rewards: Tensor, values: Tensor, is_response: Tensor, gamma: float, lam: float) -> tuple[Tensor, Tensor]:
    """Advantages and returns (Schulman et al. 2016), zero outside the mask.

    delta_t = r_t + gamma V_{t+1} - V_t, with V = 0 after the last token; A_t = sum_k (gamma lam)^k delta_{t+k};
    return_t = A_t + V_t.
    """
    rewards = torch.where(is_response, rewards, 0.0)
    values = torch.where(is_response, values, 0.0)
    advantages = torch.zeros_like(rewards)
    later = torch.zeros_like(rewards[:, 0])
    for t in reversed(range(rewards.shape[1])):
        next_values = values[:, t + 1] if t + 1 < rewards.shape[1] else torch.zeros_like(later)
        delta = rewards[:, t] + gamma * next_values - values[:, t]
        later = torch.where(is_response[:, t], delta + gamma * lam * later, 0.0)
        advantages[:, t] = later
    return advantages, torch.where(is_response, advantages + values, 0.0)


def whiten(x: Tensor, is_response: Tensor, *, shift_mean: bool = True) -> Tensor:
    """(x - mean) / sqrt(var + 1e-8) over the masked entries (biased variance); zero outside.

    Without `shift_mean` the mean is kept and only the scale changes.
    """
    entries = x[is_response]
    mean = entries.mean()
    whitened = (x - mean) * torch.rsqrt(entries.var(correction=0) + WHITENING_EPSILON)
    if not shift_mean:
        whitened = whitened + mean
    return torch.where(is_response, whitened, 0.0)


def explained_variance(values: Tensor, returns: Tensor, is_response: Tensor) -> float:
    """1 - Var(return - value) / Var(return) over the masked entries: 1 is a perfect critic, 0 a constant one."""
    wanted = returns[is_response]
    if float(wanted.var(correction=0)) == 0.0:
        return 0.0
    return float(1 - (wanted - values[is_response]).var(correction=0) / wanted.var(correction=0))


@dataclass
class AdaptiveKl:
    """Ziegler's controller: beta grows while the KL to the initial model is above its target, and shrinks below it.

    `horizon` is in episodes and must be short for one night's few hundred (the paper's 10,000 would do nothing).
    """

    beta: float
    target: float
    horizon: float
    low: float = 0.1
    high: float = 1.0

    def update_(self, kl: float, episodes: int) -> None:
        """Adjust beta after `episodes` replies with mean KL `kl` (nats per reply)."""
        error = min(max(kl / self.target - 1, -0.2), 0.2)
        self.beta = min(max(self.beta * (1 + error * episodes / self.horizon), self.low), self.high)
