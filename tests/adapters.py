"""Versions of a tiny model, as folder and record, sound ones and odd ones."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from nightschool.files import MANIFEST, sha256_of, whole_folder
from nightschool.model import BaseModel
from nightschool.records import INITIAL, Version

TOP = 3
"""The only layer that these adapters change: the last of the tiny model's four."""
RANK = 2


def lora_pair(base: BaseModel, *, layer: int = TOP, module: str = "self_attn.q_proj", seed: int = 1) -> dict[str, Any]:
    """Random A [rank, in] and B [out, rank] of one linear layer, under PEFT's names; large enough to change words."""
    size = base.model.get_submodule(f"model.layers.{layer}.{module}").weight.shape  # [out, in]
    generator = torch.Generator().manual_seed(seed)
    prefix = f"base_model.model.model.layers.{layer}.{module}"
    return {
        f"{prefix}.lora_A.weight": torch.randn(RANK, size[1], generator=generator),
        f"{prefix}.lora_B.weight": torch.randn(size[0], RANK, generator=generator) / 10,
    }


def write_version(
    versions: Path, base: BaseModel, name: str, tensors: dict[str, Any] | None = None, **config: Any
) -> Version:
    """Write the folder of a version and return what the registry would know of it."""
    settings = {"r": RANK, "lora_alpha": RANK, "layers_to_transform": [TOP], "target_modules": ["q_proj"]} | config
    with whole_folder(versions / name) as folder:
        (folder / "policy").mkdir()
        (folder / "policy" / "adapter_config.json").write_text(json.dumps(settings), encoding="utf-8")
        save_file(tensors or lora_pair(base), folder / "policy" / "adapter_model.safetensors")
    return Version(name, INITIAL, "", None, base.fingerprint, sha256_of(versions / name / MANIFEST), None)
