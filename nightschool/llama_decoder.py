"""One token at a time through a plain Llama, without the library's overhead: what a single reader waits for.

A step of one row is bound by reading the weights once; in transformers' general forward, Python and many small
operations cost a good part of that again. Here the same arithmetic is written flat, for exactly `LlamaForCausalLM` on
a processor. The weights are the model's own tensors, neither copied nor rearranged: models that share layers go on
sharing them, and whatever is merged into a weight is seen at the next step.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from transformers import LlamaForCausalLM
from transformers.cache_utils import DynamicCache, DynamicLayer

FIXED_ROPES = {"default", "linear", "llama3", "yarn"}
"""Rotary embeddings whose angles depend on the position alone, not on how long the text has become."""
LINEARS = [f"self_attn.{name}_proj" for name in "qkvo"] + [f"mlp.{name}_proj" for name in ("gate", "up", "down")]


def supports(model: Any) -> bool:
    """Whether a step can be done here: a Llama as published, on the processor, that nobody changed or listens to.

    Hooks count as listening: they would not be called.
    """
    if type(model) is not LlamaForCausalLM or model.training:
        return False
    config: Any = model.config
    first: torch.Tensor = model.model.embed_tokens.weight
    return (
        config.hidden_act == "silu"
        and config.rope_parameters.get("rope_type", "default") in FIXED_ROPES
        and getattr(config, "quantization_config", None) is None
        and first.dtype in (torch.bfloat16, torch.float32)
        and all(weight.device.type == "cpu" and weight.dtype == first.dtype for weight in model.parameters())
        and all(type(layer) is DynamicLayer for layer in DynamicCache(config=config).layers)  # no sliding window
        and not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
        and all(_is_plain(layer.get_submodule(name)) for layer in model.model.layers for name in LINEARS)
        and _is_plain(model.lm_head)
    )


class LlamaReader:
    """What decoders of one text and of many know of a plain Llama: the model's own weights and sizes."""

    def __init__(self, model: Any) -> None:
        config, inner = model.config, model.model
        attention = inner.layers[0].self_attn
        self._head_dim = int(attention.head_dim)
        self._kv_heads = int(config.num_key_value_heads)
        self._scale = float(attention.scaling)
        self._eps = float(config.rms_norm_eps)
        self._rotary: nn.Module = inner.rotary_emb
        self._embedding: torch.Tensor = inner.embed_tokens.weight
        self.layers = [LayerWeights.of(layer) for layer in inner.layers[: config.num_hidden_layers]]
        self._norm: torch.Tensor = inner.norm.weight
        self._head: torch.Tensor = model.lm_head.weight

    def shares_words_with(self, other: "LlamaReader") -> bool:
        """Whether words mean the same to both: embedding, last norm and output layer are the very same tensors."""
        return (self._embedding is other._embedding) and (self._norm is other._norm) and (self._head is other._head)

    def _normed(self, hidden: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return functional.rms_norm(hidden, weight.shape, weight, self._eps)

    def _after_attention(self, hidden: torch.Tensor, mixed: torch.Tensor, weights: "LayerWeights") -> torch.Tensor:
        """The rest of a layer: hidden [rows, size], mixed by attention [rows, heads * head_dim] -> [rows, size]."""
        hidden = hidden + functional.linear(mixed, weights.out)
        normed = self._normed(hidden, weights.mlp_norm)
        gate, up = functional.linear(normed, weights.gate), functional.linear(normed, weights.up)
        return hidden + functional.linear(functional.silu(gate) * up, weights.down)

    def _logits(self, hidden: torch.Tensor) -> torch.Tensor:
        return functional.linear(self._normed(hidden, self._norm), self._head)


class LlamaDecoder(LlamaReader):
    """Continues one text: takes over what the model's own forward has read of it, then steps token by token."""

    def take_over(self, cache: DynamicCache, capacity: int) -> None:
        """Copy the keys and values of the text so far; room for `capacity` tokens in all."""
        self._past = cache.get_seq_length()
        shape = (len(self.layers), self._kv_heads, capacity, self._head_dim)
        self._keys, self._values = (torch.empty(shape, dtype=self._embedding.dtype) for _ in range(2))
        for index, layer in enumerate(cache.layers):
            read: Any = layer  # its keys and values: [1, kv_heads, past, head_dim]
            self._keys[index, :, : self._past] = read.keys[0]
            self._values[index, :, : self._past] = read.values[0]
        cos, sin = self._rotary(self._embedding, torch.arange(capacity)[None])  # each [1, capacity, head_dim]
        half = self._head_dim // 2
        self._cos, self._sin = cos[0], torch.cat([-sin[0, :, :half], sin[0, :, half:]], -1)

    def step(self, token: torch.Tensor) -> torch.Tensor:
        """Read one token; token [1] -> logits of the next [1, words]."""
        hidden = self._embedding[token]  # [1, width]
        for index, weights in enumerate(self.layers):
            normed = self._normed(hidden, weights.norm)
            projected = (functional.linear(normed, weight) for weight in (weights.q, weights.k, weights.v))
            hidden = self._after_attention(hidden, self.attend(index, *projected), weights)
        self.advance()
        return self._logits(hidden)

    def attend(self, index: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        """Attention of layer `index` from the new token's projections: each [1, heads * head_dim], as is the result."""
        place, end = self._past, self._past + 1
        cos, sin = self._cos[place], self._sin[place]  # each [head_dim]
        keys, values = self._keys[index], self._values[index]  # each [kv_heads, capacity, head_dim]
        keys[:, place] = self._turned(key, cos, sin)
        values[:, place] = value.view(-1, self._head_dim)
        # heads that share keys stand as so many queries of one head: the sums of enable_gqa, in a third of the time
        mixed = functional.scaled_dot_product_attention(
            self._turned(query, cos, sin).view(1, self._kv_heads, -1, self._head_dim),  # heads / kv_heads queries
            keys[None, :, :end],
            values[None, :, :end],
            scale=self._scale,
        )
        return mixed.reshape(1, -1)

    def advance(self) -> None:
        """Every layer has read the new token."""
        self._past += 1

    def _turned(self, projected: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
        """The rotary embedding: [1, heads * head_dim] -> [heads, head_dim]; the first half of `sin` is negated."""
        heads = projected.view(-1, self._head_dim)
        return torch.addcmul(heads * cos, heads.roll(self._head_dim // 2, -1), sin)


@dataclass(frozen=True, slots=True)
class LayerWeights:
    """The weights of one layer, [out, in], and of its norms, [width]; looking them up in modules takes long."""

    norm: torch.Tensor
    q: torch.Tensor
    k: torch.Tensor
    v: torch.Tensor
    out: torch.Tensor
    mlp_norm: torch.Tensor
    gate: torch.Tensor
    up: torch.Tensor
    down: torch.Tensor

    def tensors(self) -> tuple[torch.Tensor, ...]:
        """All of them."""
        return (self.norm, self.q, self.k, self.v, self.out, self.mlp_norm, self.gate, self.up, self.down)

    @classmethod
    def of(cls, layer: Any) -> "LayerWeights":
        attention, mlp = layer.self_attn, layer.mlp
        return cls(
            norm=layer.input_layernorm.weight,
            q=attention.q_proj.weight,
            k=attention.k_proj.weight,
            v=attention.v_proj.weight,
            out=attention.o_proj.weight,
            mlp_norm=layer.post_attention_layernorm.weight,
            gate=mlp.gate_proj.weight,
            up=mlp.up_proj.weight,
            down=mlp.down_proj.weight,
        )


def _is_plain(linear: nn.Module) -> bool:
    return type(linear) is nn.Linear and linear.bias is None
