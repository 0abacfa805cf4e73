"""How much arithmetic an iteration of PPO takes, counted from the model's shape, and how fast the machine multiplies.

Counted are the products with the base's own matrices on real tokens: what the result needs, not what an implementation
does. Left out, and so part of what a stage loses against the machine: padding, attention's own products (about 2 % at
100 tokens), the LoRA (5 % of the layers that carry it), norms and softmax.
"""

import time
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch

TOKENS = 1024
"""Rows of the product that stands for the machine: a group of 8 replies at their usual width of 128."""


@dataclass(frozen=True)
class Tokens:
    """Of the episodes of one iteration: their number, and the sums of their prompts' and replies' tokens."""

    episodes: float
    prompt: float
    response: float

    @property
    def both(self) -> float:
        return self.prompt + self.response


@dataclass(frozen=True)
class Work:
    """Floating-point operations of one iteration, stage by stage."""

    draw: float
    evaluate: float
    update: float


@dataclass(frozen=True)
class ModelShape:
    """FLOP per token of one decoder layer and of the output layer (2 per weight: a product and a sum); the depth."""

    layer: float
    head: float
    layers: int

    @classmethod
    def of(cls, config: Any) -> "ModelShape":
        """Of a Llama: q and o are [size, size], k and v [kv_heads * head_dim, size], three matrices in the MLP."""
        size, heads = config.hidden_size, config.num_attention_heads
        wide, narrow = heads * config.head_dim, config.num_key_value_heads * config.head_dim
        weights = 2 * size * wide + 2 * size * narrow + 3 * size * config.intermediate_size
        return cls(2 * weights, 2 * size * config.vocab_size, config.num_hidden_layers)

    def forward(self, tokens: float, layers: int, predicted: float) -> float:
        """`layers` layers over `tokens`, the output layer only where one of `predicted` tokens is predicted."""
        return tokens * layers * self.layer + predicted * self.head

    def draw(self, tokens: Tokens) -> float:
        """Every token goes through the whole model once, but the last of each reply; each reply token is predicted."""
        return self.forward(tokens.both - tokens.episodes, self.layers, tokens.response)

    def ours(self, tokens: Tokens, top: int, epochs: float) -> Work:
        """A trunk read once (at least up to the middle, whose states the reward reads), `top` layers twice (policy;
        reference, which serves the reward and the critic too), the output layer for old and reference. In each epoch
        the top layers and the output layer forwards and, since the gradient passes through frozen weights, once more
        backwards. The critic is too small to count.
        """
        old = self.forward(tokens.both, top, tokens.response)
        trunk = self.forward(tokens.both, max(self.layers - top, self.layers // 2), 0)
        return Work(self.draw(tokens), trunk + 2 * old, epochs * 2 * old)

    def textbook(self, tokens: Tokens, epochs: float) -> Work:
        """The whole model forwards for old, reference, reward and value, and in each epoch forwards and backwards for
        the policy and for the critic; the output layer over prompt and reply, for the policy and the reference.
        """
        logits = self.forward(tokens.both, self.layers, tokens.both)
        states = self.forward(tokens.both, self.layers, 0)
        return Work(self.draw(tokens), 2 * logits + 2 * states, epochs * 2 * (logits + states))


def machine_speed(config: Any, dtype: torch.dtype, repeats: int = 200) -> float:
    """FLOP per second of a product of the MLP's shape, [1024, size] x [size, wide], in this type: median of many."""
    states = torch.randn(TOKENS, config.hidden_size).to(dtype)
    weight = torch.randn(config.intermediate_size, config.hidden_size).to(dtype)
    seconds = []
    with torch.inference_mode():
        for _ in range(repeats):
            began = time.perf_counter()
            torch.nn.functional.linear(states, weight)
            seconds.append(time.perf_counter() - began)
    return 2 * TOKENS * weight.numel() / median(seconds)
