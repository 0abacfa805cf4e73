"""From scores to advantages: rewards per token, generalised advantage estimation, whitening, the KL controller.

Shapes: [batch, steps] over response tokens, the one that ends the reply included; `is_response` is True on them. A
value belongs to the state before its token. What lies outside the mask may hold anything, NaN included.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

WHITENING_EPSILON = 1e-8


def token_rewards(kl: Tensor, scores: Tensor, is_response: Tensor, beta: float) -> Tensor:
    """-beta * kl at every response token, plus the reply's score at its last one. kl [batch, steps], scores [batch]."""
    rewards = torch.where(is_response, -beta * kl, 0.0)
    last = is_response.sum(1) - 1
    rewards[torch.arange(len(last)), last] += scores
    return rewards


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

    `horizon` is in episodes; at one night's few thousand it must be short (the paper's 10,000 would do nothing).
    """

    beta: float
    target: float
    horizon: float
    low: float = 0.03
    high: float = 1.0

    def update_(self, kl: float, episodes: int) -> None:
        """Adjust beta after `episodes` replies with mean KL `kl` (nats per reply)."""
        error = min(max(kl / self.target - 1, -0.2), 0.2)
        self.beta = min(max(self.beta * (1 + error * episodes / self.horizon), self.low), self.high)
