"""A servable version of a tiny model: a folder and a registry row, as a night would leave them."""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file

from nightschool.files import MANIFEST, sha256_of, whole_folder
from nightschool.ids import utc_now
from nightschool.model import load_base
from nightschool.records import INITIAL, VerdictKind, Version
from nightschool.registry import VersionRegistry
from nightschool.schema import FeedbackDatabase

RANK = 2


def add_tiny_version(database: FeedbackDatabase, versions: Path, model: Path, name: str) -> None:
    """Register a version whose adapter changes the last layer of the tiny model a little, and promote it."""
    base = load_base(str(model), versions)
    generator = torch.Generator().manual_seed(1)
    width = base.model.config.hidden_size
    last = base.model.config.num_hidden_layers - 1
    prefix = f"base_model.model.model.layers.{last}.self_attn.q_proj"
    tensors = {
        f"{prefix}.lora_A.weight": torch.randn(RANK, width, generator=generator),
        f"{prefix}.lora_B.weight": torch.randn(width, RANK, generator=generator) / 10,
    }
    with whole_folder(versions / name) as folder:
        (folder / "policy").mkdir()
        config = {"r": RANK, "lora_alpha": RANK, "layers_to_transform": [last], "target_modules": ["q_proj"]}
        (folder / "policy" / "adapter_config.json").write_text(json.dumps(config), encoding="utf-8")
        save_file(tensors, folder / "policy" / "adapter_model.safetensors")
    digest = sha256_of(versions / name / MANIFEST)
    registry = VersionRegistry(database)
    registry.add(Version(name, INITIAL, utc_now(), None, base.fingerprint, digest, VerdictKind.PROMOTED), [])
    registry.promote(name, "made by a test")
