"""What the reward model starts from: the policy's own base, another local model, or a top of random weights.

The base is the usual start: a head then reads the policy's states. Another start, or a LoRA, is read by itself.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from nightschool.errors import BadInput
from nightschool.model import BaseModel, decoder_layers, load_base, twin
from training.trunk import TOP_LAYERS, SplitModel

BASE, SCRATCH = "base", "scratch"
REWARD_LAYERS = 4
"""Upper layers that a reward model's own LoRA trains, however many the policy does: it rarely helps (docs/log.md)."""


def reward_split(split: SplitModel, start: str, cache: Path, seed: int, layers: int = REWARD_LAYERS) -> SplitModel:
    """The split model whose states the reward model reads. Raises `BadInput` for a model with other words.

    `start` is "base" (the policy's base), "scratch" (that with its top layers drawn anew) or a model's id or folder;
    `layers` are those of its LoRA. The policy's split comes back where it is cut there already.
    """
    if start == BASE:
        is_cut_there = split.top_layers == min(layers, len(decoder_layers(split.base.model)))
        return split if is_cut_there else SplitModel(split.base, layers)
    if start == SCRATCH:
        return SplitModel(_with_random_top(split.base, layers, seed), layers)
    other = load_base(start, cache, dtype=split.base.model.dtype)
    if other.tokenizer.get_vocab() != split.base.tokenizer.get_vocab():
        raise BadInput(
            f"The reward model was to start from {start}, whose tokenizer has other words than that of "
            f"{split.base.name}; choose a model of the same family, or base, or scratch."
        )
    return SplitModel(other, layers)


def layers_of(report: Mapping[str, Any]) -> int:
    """How many upper layers belong to a reward model, by its version's or fit's report.

    In reports that do not tell, they are the policy's.
    """
    return int(report.get("reward_layers", report.get("lora_layers", TOP_LAYERS)))


def _with_random_top(base: BaseModel, top_layers: int, seed: int) -> BaseModel:
    """The base with its upper layers drawn anew, as transformers would initialise them."""
    model = twin(base.model, top_layers)
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(seed)
        for layer in list(decoder_layers(model))[-top_layers:]:
            for name, weight in layer.named_parameters():
                if weight.dim() == 2:
                    weight.normal_(0.0, model.config.initializer_range)
                elif name.endswith("weight"):
                    weight.fill_(1.0)
                else:
                    weight.zero_()
    return replace(base, name=f"{base.name} with a random top", model=model)
