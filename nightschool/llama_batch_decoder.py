"""Many texts at once through a plain Llama, a token of each per step: what rollouts and exams wait for.

The arithmetic of `llama_decoder` with a row for each text. Keys and values have their place from the start, where the
library's cache copies all of them at every step and repeats those that heads share.
"""

import math
from typing import Any

import torch
from torch.nn import functional
from transformers.cache_utils import DynamicCache

from nightschool.llama_decoder import LlamaReader


class LlamaBatchDecoder(LlamaReader):
    """Continues texts that stand on the right of a padded batch; for models that `llama_decoder.supports`."""

    def take_over(self, cache: DynamicCache, is_token: torch.Tensor, steps: int) -> None:
        """Copy the keys and values of the texts so far, with room for `steps` tokens more.

        is_token [rows, width]: where a row's text stands; what is False there is padding on the left.
        """
        rows, self._past = is_token.shape
        capacity = self._past + steps
        self._positions = is_token.sum(1)  # [rows], of the next token
        self._mask = torch.zeros(rows, 1, 1, capacity, dtype=self._embedding.dtype)
        self._mask[:, 0, 0, : self._past].masked_fill_(~is_token, -math.inf)
        shape = (rows, self._kv_heads, capacity, self._head_dim)
        self._keys: list[torch.Tensor] = []
        self._values: list[torch.Tensor] = []
        for layer in cache.layers:
            read: Any = layer  # its keys and values: [rows, kv_heads, past, head_dim]
            for kept, old in ((self._keys, read.keys), (self._values, read.values)):
                kept.append(torch.empty(shape, dtype=self._embedding.dtype))
                kept[-1][:, :, : self._past] = old
        cos, sin = self._rotary(self._embedding, torch.arange(capacity)[None])  # each [1, capacity, head_dim]
        half = self._head_dim // 2
        self._cos, self._sin = cos[0], torch.cat([-sin[0, :, :half], sin[0, :, half:]], -1)

    def keep(self, rows: torch.Tensor) -> None:
        """Go on with these rows only; rows [kept] by number."""
        self._positions, self._mask = self._positions[rows], self._mask[rows]
        for kept in (self._keys, self._values):
            for index, old in enumerate(kept):
                kept[index] = old[rows]

    def step(self, tokens: torch.Tensor) -> torch.Tensor:
        """Read one more token of each row; tokens [rows] -> logits of the next [rows, words]."""
        place, end = self._past, self._past + 1
        cos, sin = self._cos[self._positions][:, None], self._sin[self._positions][:, None]  # each [rows, 1, head_dim]
        mask = self._mask[..., :end]
        hidden = self._embedding[tokens]  # [rows, size]
        for weights, keys, values in zip(self.layers, self._keys, self._values, strict=True):
            normed = self._normed(hidden, weights.norm)
            query = self._turned(functional.linear(normed, weights.q), cos, sin)  # [rows, heads, head_dim]
            keys[:, :, place] = self._turned(functional.linear(normed, weights.k), cos, sin)
            values[:, :, place] = functional.linear(normed, weights.v).view(len(tokens), -1, self._head_dim)
            mixed = functional.scaled_dot_product_attention(
                query.view(len(tokens), self._kv_heads, -1, self._head_dim),  # heads that share keys: queries of one
                keys[:, :, :end],
                values[:, :, :end],
                attn_mask=mask,
                scale=self._scale,
            )
            hidden = self._after_attention(hidden, mixed.reshape(len(tokens), -1), weights)
        self._past, self._positions = end, self._positions + 1
        return self._logits(hidden)

    def _turned(self, projected: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
        """The rotary embedding: [rows, heads * head_dim] -> [rows, heads, head_dim]; `sin` half negated."""
        heads = projected.view(len(projected), -1, self._head_dim)
        return torch.addcmul(heads * cos, heads.roll(self._head_dim // 2, -1), sin)
