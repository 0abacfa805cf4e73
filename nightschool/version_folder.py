"""The files of one version: `versions/<id>/policy/` (a PEFT adapter), `reward/`, JSON, and the manifest.

Immutable, safetensors and JSON only. Before a version is served its files are checked against the manifest, and the
manifest's own hash against the registry, so that a damaged or swapped file is refused instead of served.
"""

import json
import math
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from nightschool.errors import DamagedVersion
from nightschool.files import MANIFEST, manifest_fault, sha256_of
from nightschool.model import BaseModel, decoder_layers, merge_lora_, twin
from nightschool.records import INITIAL, Version

POLICY = "policy"

_UNFIT = (SafetensorError, LookupError, ValueError, TypeError, OSError, AttributeError, RuntimeError, ArithmeticError)
"""How an adapter fails that was written so but does not fit: odd names, shapes, settings."""


def check_version(folder: Path, version: Version, base: BaseModel) -> None:
    """Raise `DamagedVersion` unless the folder is what was registered and belongs to this base model."""
    fault = manifest_fault(folder)
    if fault is None and sha256_of(folder / MANIFEST) != version.manifest_sha256:
        fault = "its manifest is not the one that was registered"
    if fault is not None:
        raise DamagedVersion(
            f"The version {version.id} in {folder} is damaged ({fault}); restore the folder from a backup, or promote "
            "another version with `python -m training promote VERSION`."
        )
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
    return merge_tensors(base.model, tensors, scale, len(layers))


def merge_tensors(model: Any, tensors: dict[str, torch.Tensor], scale: float, top_layers: int) -> Any:
    """A twin of `model` with the LoRA pairs named in `tensors` (PEFT's names, no adapter name) merged in."""
    merged = twin(model, top_layers)
    pairs = {name.removesuffix(".lora_A.weight") for name in tensors if name.endswith(".lora_A.weight")}
    if not pairs or 2 * len(pairs) != len(tensors):
        raise ValueError("its tensors are not pairs of LoRA A and B")
    for name in sorted(pairs):
        lora_a, lora_b = tensors[f"{name}.lora_A.weight"], tensors[f"{name}.lora_B.weight"]
        if not (torch.isfinite(lora_a).all() and torch.isfinite(lora_b).all()):
            raise ValueError(f"{name} is not finite")
        place = name.removeprefix("base_model.model.")
        linear = merged.get_submodule(place)
        if linear is model.get_submodule(place):  # shared with the base: merging would change every version
            raise ValueError(f"{name} is not in the top {top_layers} layers")
        merge_lora_(linear, lora_a, lora_b, scale)
    return merged
