"""The critic: the value of the state before each response token, read from cached features.

It starts as the reward model's own running score (what the tokens so far have added to z) with everything else at
zero, so that before any training it already knows the past; what it learns is the rest. Its features come from the
frozen base, computed once per rollout, so its parameters never touch the policy's.
"""

import torch
from torch import Tensor, nn

HIDDEN = 128
LEARNING_RATE = 1e-3


class Critic(nn.Module):
    """value = running score + linear and MLP part of (state, running score, share of the length used)."""

    def __init__(self, size: int, seed: int) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.hidden = nn.Linear(size + 2, HIDDEN)
            self.linear = nn.Linear(size + 2, 1)
            self.out = nn.Linear(HIDDEN, 1)
        for layer in (self.linear, self.out):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, features: Tensor, running: Tensor) -> Tensor:
        """features [batch, steps, size + 2], running score [batch, steps] -> values [batch, steps]."""
        values = self.linear(features) + self.out(torch.nn.functional.gelu(self.hidden(features)))
        return running + values[..., 0]


def critic_features(states: Tensor, running: Tensor, max_tokens: int) -> Tensor:
    """Final base states before each token [batch, steps, size] and running scores -> [batch, steps, size + 2].

    States are brought to unit mean square, so that one learning rate serves every model.
    """
    steps = states.shape[1]
    unit = states.float() * torch.rsqrt(states.float().square().mean(-1, keepdim=True) + 1e-6)
    used = (torch.arange(steps) / max_tokens)[None, :, None].expand(states.shape[0], steps, 1)
    return torch.cat([unit, running.float()[..., None], used], -1)
