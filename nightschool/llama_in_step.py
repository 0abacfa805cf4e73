"""Several texts at once through plain Llamas on one base, a token of each per step: what two sides of a duel wait for.

Reading the weights is most of a step of one row, so layers that the texts' models share are read once for all of them;
each text keeps keys, values and place of its own, as in `llama_decoder`.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn import functional

from nightschool.llama_decoder import LayerWeights, LlamaDecoder, LlamaReader


class LlamaInStep(LlamaReader):
    """Continues the texts of `decoders`, in that order. `model` is the first one's; the others' have its base.

    Raises `ValueError` for models that differ in more than their layers.
    """

    def __init__(self, model: Any, decoders: Sequence[LlamaDecoder]) -> None:
        super().__init__(model)
        self._decoders = list(decoders)
        if any(not decoder.shares_words_with(self) for decoder in decoders):
            raise ValueError("These models differ in their words; only versions of one base are drawn in step.")
        self._parts = [_parts(layers) for layers in zip(*(decoder.layers for decoder in decoders), strict=True)]

    def step(self, tokens: torch.Tensor) -> torch.Tensor:
        """Read one token of each text; tokens [rows] -> logits of the next [rows, words]."""
        hidden = self._embedding[tokens]  # [rows, size]
        for index, parts in enumerate(self._parts):
            if len(parts) == 1:
                hidden = self._layer(index, parts[0][1], self._decoders, hidden)
                continue
            before, hidden = hidden, torch.empty_like(hidden)
            for rows, weights in parts:
                hidden[rows] = self._layer(index, weights, [self._decoders[row] for row in rows], before[rows])
        for decoder in self._decoders:
            decoder.advance()
        return self._logits(hidden)

    def _layer(
        self, index: int, weights: LayerWeights, decoders: Sequence[LlamaDecoder], hidden: torch.Tensor
    ) -> torch.Tensor:
        normed = self._normed(hidden, weights.norm)
        projected = (functional.linear(normed, weight).split(1) for weight in (weights.q, weights.k, weights.v))
        mixed = [decoder.attend(index, *rows) for decoder, *rows in zip(decoders, *projected, strict=True)]
        return self._after_attention(hidden, torch.cat(mixed), weights)


def _parts(layers: Sequence[LayerWeights]) -> list[tuple[list[int], LayerWeights]]:
    """Which rows go through the very same weights."""
    found: dict[tuple[int, ...], tuple[list[int], LayerWeights]] = {}
    for row, weights in enumerate(layers):
        found.setdefault(tuple(map(id, weights.tensors())), ([], weights))[0].append(row)
    return list(found.values())
