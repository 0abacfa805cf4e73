"""A policy as a table, where the optimum of "reward - beta KL" is known in closed form (oracle 14)."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from training.advantages import gae, token_rewards, whiten
from training.losses import policy_loss, value_loss

WORDS, STEPS = 5, 2


@dataclass(frozen=True)
class Outcome:
    kl_to_optimum: float
    objective: float
    best: float
    """beta log Z."""
    first_value: float


def solve(beta: float, kl_in_reward: Callable[[Tensor, Tensor], Tensor], updates: int = 200) -> Outcome:
    """Run the project's own PPO maths on random tables; compare with pi* = ref exp(reward / beta) / Z."""
    generator = torch.Generator().manual_seed(0)
    reference = torch.randn(WORDS + 1, WORDS, generator=generator).log_softmax(-1)  # row: start, or the first word
    reward = torch.randn(WORDS, WORDS, generator=generator)
    logits = torch.nn.Parameter(reference.clone())
    values = torch.nn.Parameter(torch.zeros(WORDS + 1))
    optimiser = torch.optim.Adam([logits], lr=0.05)
    critic = torch.optim.Adam([values], lr=0.05)
    mask = torch.ones(512, STEPS, dtype=torch.bool)
    for update in range(updates):
        for group in optimiser.param_groups:
            group["lr"] = 0.05 * (1 - update / updates)
        table = logits.log_softmax(-1).detach()
        first = torch.multinomial(table[0].exp(), 512, replacement=True, generator=generator)
        second = torch.multinomial(table[first + 1].exp(), 1, generator=generator)[:, 0]
        rows, words = torch.stack([torch.zeros_like(first), first + 1], 1), torch.stack([first, second], 1)
        old, ref = table[rows, words], reference[rows, words]
        rewards = token_rewards(kl_in_reward(old, ref), reward[first, second], mask, beta)
        old_values = values.detach()[rows]
        advantages, returns = gae(rewards, old_values, mask, 1.0, 1.0)
        advantages = whiten(advantages, mask)
        for _ in range(4):
            loss = policy_loss(logits.log_softmax(-1)[rows, words], old, advantages, mask, 0.2, mask.numel())
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            critic.zero_grad()
            value_loss(values[rows], old_values, returns, mask, 10.0, mask.numel()).backward()
            critic.step()
    return _compare(logits.log_softmax(-1).detach(), reference, reward, beta, float(values[0].detach()))


def _compare(policy: Tensor, reference: Tensor, reward: Tensor, beta: float, first_value: float) -> Outcome:
    joint, ref = policy[0][:, None] + policy[1:], reference[0][:, None] + reference[1:]  # [first, second]
    log_z = torch.logsumexp((ref + reward / beta).flatten(), 0)
    optimum = ref + reward / beta - log_z
    p = joint.exp()
    return Outcome(
        kl_to_optimum=float((p * (joint - optimum)).sum()),
        objective=float((p * (reward - beta * (joint - ref))).sum()),
        best=float(beta * log_z),
        first_value=first_value,
    )
