"""The files of one version: `versions/<id>/policy/` (a PEFT adapter), `reward/`, JSON, and the manifest.

Before a version is served its files are checked (`version_check`), and then what they say: the adapter has exactly the
pairs its configuration names, of the shapes of the layers they change, all finite, and changes no layer beyond reason.
"""

import json
import math
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from nightschool.errors import DamagedVersion
from nightschool.model import BaseModel, decoder_layers, merge_lora_, twin
from nightschool.records import INITIAL, Version
from nightschool.version_check import check_files

POLICY = "policy"
MOST_CHANGE = 4.0
"""How large the change of a layer may be, in sizes of the layer itself: beyond, it is not tuned but replaced."""

_UNFIT = (SafetensorError, LookupError, ValueError, TypeError, OSError, AttributeError, RuntimeError, ArithmeticError)
"""How an adapter fails that was written so but does not fit: odd names, shapes, settings."""


def check_version(folder: Path, version: Version, base: BaseModel) -> None:
    """Raise `DamagedVersion` unless the folder is what was registered and belongs to this base model."""
    check_files(folder, version)
    if version.base_fingerprint != base.fingerprint:
        raise DamagedVersion(
            f"The version {version.id} was made on another base model than {base.name}; set the model it was made on, "
            "or promote another version with `python -m training promote VERSION`."
        )


def load_policy(versions: Path, version: Version, base: BaseModel) -> Any:
    """The version's policy as a plain model: the base itself for `initial`, else a twin with the adapter merged in.

    Raises `DamagedVersion` when a file is missing or changed, a tensor is not finite, or the base is another one.
    """
    if version.id == INITIAL:
        return base.model
    folder = versions / version.id
    check_version(folder, version, base)
    try:
        return merge_adapter(base, folder / POLICY)
    except _UNFIT as error:
        raise DamagedVersion(
            f"The adapter of version {version.id} cannot be used ({error}); promote another version with "
            "`python -m training promote VERSION`."
        ) from error


def trained_layers(policy_folder: Path) -> int:
    """How many upper layers an adapter changes. Raises `DamagedVersion` when its config cannot be read."""
    try:
        config = json.loads((policy_folder / "adapter_config.json").read_text(encoding="utf-8"))
        return len(config["layers_to_transform"])
    except _UNFIT as error:
        raise DamagedVersion(
            f"The adapter in {policy_folder} cannot be read ({error}); promote another version with "
            "`python -m training promote VERSION`."
        ) from error


def merge_adapter(base: BaseModel, policy_folder: Path) -> Any:
    """A twin of the base with a PEFT LoRA adapter of its top layers merged in (float32 sum, rounded once)."""
    config = json.loads((policy_folder / "adapter_config.json").read_text(encoding="utf-8"))
    tensors = load_file(policy_folder / "adapter_model.safetensors")
    scale = config["lora_alpha"] / config["r"]
    layers = sorted(config["layers_to_transform"])
    total = len(decoder_layers(base.model))
    if layers != list(range(total - len(layers), total)) or not math.isfinite(scale):
        raise ValueError(f"it changes layers {layers}, not the top of {total}")
    _check_tensors(base.model, config, tensors, scale)
    return merge_tensors(base.model, tensors, scale, len(layers))


def merge_tensors(model: Any, tensors: dict[str, torch.Tensor], scale: float, top_layers: int) -> Any:
    """A twin of `model` with the LoRA pairs named in `tensors` (PEFT's names, no adapter name) merged in."""
    merged = twin(model, top_layers)
    for name in sorted(_pairs(tensors)):
        lora_a, lora_b = tensors[f"{name}.lora_A.weight"], tensors[f"{name}.lora_B.weight"]
        if not (torch.isfinite(lora_a).all() and torch.isfinite(lora_b).all()):
            raise ValueError(f"{name} is not finite")
        place = name.removeprefix("base_model.model.")
        linear = merged.get_submodule(place)
        if linear is model.get_submodule(place):  # shared with the base: merging would change every version
            raise ValueError(f"{name} is not in the top {top_layers} layers")
        merge_lora_(linear, lora_a, lora_b, scale)
    return merged


def relative_change(weight: torch.Tensor, lora_a: torch.Tensor, lora_b: torch.Tensor, scale: float) -> float:
    """|scale B A| / |W| (Frobenius), from the small products: |B A|^2 = sum of (B^T B) * (A A^T), rank by rank."""
    a, b = lora_a.double(), lora_b.double()
    squared = ((b.T @ b) * (a @ a.T)).sum().clamp(min=0.0)
    return abs(scale) * math.sqrt(float(squared)) / float(weight.double().norm())


def _pairs(tensors: dict[str, torch.Tensor]) -> set[str]:
    """The modules whose LoRA these tensors are. Raises ValueError unless they are pairs of A and B."""
    pairs = {name.removesuffix(".lora_A.weight") for name in tensors if name.endswith(".lora_A.weight")}
    if not pairs or tensors.keys() != {f"{name}.lora_{side}.weight" for name in pairs for side in "AB"}:
        raise ValueError("its tensors are not pairs of LoRA A and B")
    return pairs


def _check_tensors(model: Any, config: dict[str, Any], tensors: dict[str, torch.Tensor], scale: float) -> None:
    """Raise ValueError unless these are the pairs the configuration names, of fitting shapes and within reason."""
    weights = _changed_weights(model, config["layers_to_transform"], config["target_modules"])
    if missing := weights.keys() - _pairs(tensors):
        raise ValueError(f"{min(missing)} is missing")
    for name, weight in weights.items():
        lora_a, lora_b = tensors[f"{name}.lora_A.weight"], tensors[f"{name}.lora_B.weight"]
        if (*lora_b.shape, *lora_a.shape) != (weight.shape[0], config["r"], config["r"], weight.shape[1]):
            raise ValueError(f"{name} has the shapes {tuple(lora_a.shape)} and {tuple(lora_b.shape)}")
        if not (torch.isfinite(lora_a).all() and torch.isfinite(lora_b).all()):
            raise ValueError(f"{name} is not finite")
        if (change := relative_change(weight, lora_a, lora_b, scale)) > MOST_CHANGE:
            raise ValueError(f"{name} changes its layer by {change:.3g} times the layer's own size")


def _changed_weights(model: Any, layers: list[int], targets: list[str]) -> dict[str, torch.Tensor]:
    """PEFT's name -> weight of every linear layer that an adapter with this configuration changes."""
    return {
        f"base_model.model.model.layers.{number}.{name}": module.weight
        for number in layers
        for name, module in decoder_layers(model)[number].named_modules()
        if isinstance(module, nn.Linear) and name.rsplit(".", 1)[-1] in targets
    }
