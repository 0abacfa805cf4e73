"""A version is served only when its files are what was registered and fit the base model."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from nightschool.errors import DamagedVersion
from nightschool.files import MANIFEST
from nightschool.model import BaseModel, fingerprint
from nightschool.records import INITIAL, Version
from nightschool.version_folder import load_policy
from tests.adapters import lora_pair, write_version

WEIGHTS = "policy/adapter_model.safetensors"


def initial() -> Version:
    return Version(INITIAL, None, "", None, None, None, None)


def refusal_of(versions: Path, version: Version, base: BaseModel) -> str:
    before = fingerprint(base.model)
    with pytest.raises(DamagedVersion) as refusal:
        load_policy(versions, version, base)
    assert fingerprint(base.model) == before  # a refused version has changed nothing
    assert "\n" not in str(refusal.value)
    assert "`python -m training promote VERSION`" in str(refusal.value)
    return str(refusal.value)


def test_the_initial_version_is_the_base_itself(tmp_path: Path, tiny_base: BaseModel) -> None:
    assert load_policy(tmp_path, initial(), tiny_base) is tiny_base.model


def test_a_sound_version_is_the_base_with_its_adapter_merged_in(tmp_path: Path, tiny_base: BaseModel) -> None:
    before = fingerprint(tiny_base.model)
    tensors = lora_pair(tiny_base)
    policy = load_policy(tmp_path, write_version(tmp_path, tiny_base, "v1", tensors, lora_alpha=6), tiny_base)
    lora_a, lora_b = tensors.values()
    # rank 2 and alpha 6: B A counts three times
    expected = tiny_base.model.model.layers[3].self_attn.q_proj.weight + 3 * (lora_b @ lora_a)
    assert torch.allclose(policy.model.layers[3].self_attn.q_proj.weight, expected, atol=1e-6)
    assert policy.model.layers[0] is tiny_base.model.model.layers[0]
    assert fingerprint(tiny_base.model) == before


def flip_a_byte(folder: Path) -> None:
    content = bytearray((folder / WEIGHTS).read_bytes())
    content[-1] ^= 1  # well formed and finite, only not what was written
    (folder / WEIGHTS).write_bytes(content)


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "one bit": (flip_a_byte, f"{WEIGHTS} was changed"),
    "cut short": (lambda folder: (folder / WEIGHTS).write_bytes(b"x"), f"{WEIGHTS} was changed"),
    "no weights": (lambda folder: (folder / WEIGHTS).unlink(), f"{WEIGHTS} is missing"),
    "no config": (lambda folder: (folder / "policy/adapter_config.json").unlink(), "adapter_config.json is missing"),
    "pickle": (lambda folder: (folder / "policy/adapter_model.bin").write_bytes(b"x"), "adapter_model.bin was added"),
    "no manifest": (lambda folder: (folder / MANIFEST).unlink(), "its manifest is missing"),
    "no folder": (shutil.rmtree, "its manifest is missing"),
}


@pytest.mark.parametrize(("damage", "said"), DAMAGES.values(), ids=DAMAGES)
def test_a_version_whose_files_are_not_as_written_is_refused(
    tmp_path: Path, tiny_base: BaseModel, damage: Callable[[Path], object], said: str
) -> None:
    version = write_version(tmp_path, tiny_base, "v1")
    load_policy(tmp_path, version, tiny_base)
    damage(tmp_path / "v1")
    assert f"The version v1 in {tmp_path / 'v1'} is damaged (" in refusal_of(tmp_path, version, tiny_base)
    assert said in refusal_of(tmp_path, version, tiny_base)


def test_a_folder_swapped_for_another_whole_one_is_refused(tmp_path: Path, tiny_base: BaseModel) -> None:
    version = write_version(tmp_path, tiny_base, "v1")
    write_version(tmp_path, tiny_base, "v1", lora_pair(tiny_base, seed=2))  # complete, with a manifest of its own
    assert "its manifest is not the one that was registered" in refusal_of(tmp_path, version, tiny_base)


def test_a_version_of_another_base_model_is_refused(tmp_path: Path, tiny_base: BaseModel) -> None:
    version = replace(write_version(tmp_path, tiny_base, "v1"), base_fingerprint="another")
    assert "was made on another base model than " in refusal_of(tmp_path, version, tiny_base)


def changed(base: BaseModel, change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    tensors = lora_pair(base)
    change(tensors)
    return tensors


def spoil(value: float) -> Callable[[dict[str, Any]], object]:
    def change(tensors: dict[str, Any]) -> None:
        next(iter(tensors.values()))[0, 0] = value

    return change


def rename(tensors: dict[str, Any]) -> None:
    for name in list(tensors):
        tensors[name.replace("q_proj", "z_proj")] = tensors.pop(name)


def transpose(tensors: dict[str, Any]) -> None:
    for name in list(tensors):
        tensors[name] = tensors[name].T.contiguous()


ODD_TENSORS: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "not a number": (spoil(float("nan")), "is not finite"),
    "infinite": (spoil(float("inf")), "is not finite"),
    "half a pair": (lambda tensors: tensors.popitem(), "not pairs of LoRA A and B"),
    "something else": (lambda tensors: tensors.update(x=torch.ones(1)), "not pairs of LoRA A and B"),
    "unknown module": (rename, "q_proj is missing"),
    "wrong shape": (transpose, "cannot be used"),
}


@pytest.mark.parametrize(("change", "said"), ODD_TENSORS.values(), ids=ODD_TENSORS)
def test_an_adapter_that_was_registered_so_but_does_not_fit_is_refused(
    tmp_path: Path, tiny_base: BaseModel, change: Callable[[dict[str, Any]], object], said: str
) -> None:
    version = write_version(tmp_path, tiny_base, "v1", changed(tiny_base, change))
    said_all = refusal_of(tmp_path, version, tiny_base)
    assert said_all.startswith("The adapter of version v1 cannot be used (")
    assert said in said_all


def test_an_adapter_that_would_change_the_layers_all_versions_share_is_refused(
    tmp_path: Path, tiny_base: BaseModel
) -> None:
    version = write_version(tmp_path, tiny_base, "v1", lora_pair(tiny_base) | lora_pair(tiny_base, layer=0))
    assert "is not in the top 1 layers" in refusal_of(tmp_path, version, tiny_base)


@pytest.mark.parametrize(
    "config",
    [
        {"layers_to_transform": [2]},
        {"layers_to_transform": [0, 3]},
        {"r": 0},
        {"lora_alpha": float("inf")},
        {"lora_alpha": float("nan")},
        {"layers_to_transform": None},
    ],
)
def test_a_configuration_that_does_not_fit_is_refused(
    tmp_path: Path, tiny_base: BaseModel, config: dict[str, Any]
) -> None:
    version = write_version(tmp_path, tiny_base, "v1", None, **config)
    assert refusal_of(tmp_path, version, tiny_base).startswith("The adapter of version v1 cannot be used (")
