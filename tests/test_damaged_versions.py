"""Nine kinds of damage to a version: each refused before it is served, and the last good version answers instead.

Each is tried twice: on the files of a registered version, and in a version whose manifest and registry row were made
from the damaged files, which only a look at what they say can refuse.
"""

import json
import logging
import random
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from demo.classroom import Classroom
from nightschool.embedded_engine import EmbeddedEngine
from nightschool.errors import DamagedVersion
from nightschool.feedback import FeedbackStore
from nightschool.files import MANIFEST, sha256_of, write_json
from nightschool.model import BaseModel
from nightschool.records import INITIAL, Sampling, Version
from nightschool.registry import VersionRegistry
from nightschool.version_check import check_files
from nightschool.version_folder import load_policy
from tests.adapters import lora_pair, write_version

WEIGHTS = "policy/adapter_model.safetensors"
CONFIG = "policy/adapter_config.json"
Damage = Callable[[Path], object]


def cut_short(folder: Path) -> None:
    content = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(content[: len(content) // 2])


def flip_a_bit(folder: Path) -> None:
    content = bytearray((folder / WEIGHTS).read_bytes())
    content[-1] ^= 0x40
    (folder / WEIGHTS).write_bytes(content)


def retensor(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    tensors = load_file(folder / WEIGHTS)
    change(tensors)
    save_file(tensors, folder / WEIGHTS)


def not_a_number(folder: Path) -> None:
    retensor(folder, lambda tensors: next(iter(tensors.values())).view(-1)[:1].fill_(float("nan")))


def half_missing(folder: Path) -> None:
    """The pairs of one of the two layers: whole pairs, so that nothing else is odd."""
    retensor(folder, lambda tensors: [tensors.pop(name) for name in list(tensors) if ".layers.2." in name])


def empty(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes(b"")


def no_config(folder: Path) -> None:
    (folder / CONFIG).unlink()


def half_a_config(folder: Path) -> None:
    text = (folder / CONFIG).read_text()
    (folder / CONFIG).write_text(text[: len(text) // 2])


def pickle_beside(folder: Path) -> None:
    (folder / "policy/adapter_model.bin").write_bytes(b"\x80\x04cos\nsystem\n.")


def pickle_in_place(folder: Path) -> None:
    (folder / WEIGHTS).unlink()
    pickle_beside(folder)


def huge_alpha(folder: Path) -> None:
    config = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps(config | {"lora_alpha": 1e6}))


DAMAGES: dict[str, Damage] = {
    "truncated": cut_short,
    "bit flip": flip_a_bit,
    "NaN": not_a_number,
    "missing half": half_missing,
    "empty": empty,
    "no config": no_config,
    "half a config": half_a_config,
    "pickle beside": pickle_beside,
    "pickle in place": pickle_in_place,
    "alpha 1e6": huge_alpha,
}


def two_layers(base: BaseModel, seed: int) -> dict[str, Any]:
    return lora_pair(base, layer=2, seed=seed) | lora_pair(base, layer=3, seed=seed + 1)


@pytest.fixture
def sound(tmp_path: Path, tiny_base: BaseModel) -> Version:
    return write_version(tmp_path, tiny_base, "v1", two_layers(tiny_base, 1), layers_to_transform=[2, 3])


def registered_so(folder: Path, version: Version) -> Version:
    """The version as if a night had written it damaged: a manifest of the damaged files, and its hash in the row."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST]
    digests = {path.relative_to(folder).as_posix(): sha256_of(path) for path in sorted(files)}
    write_json(folder / MANIFEST, {"files": digests})
    return replace(version, manifest_sha256=sha256_of(folder / MANIFEST))


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_damage_to_a_registered_version_is_refused_without_loading_it(
    tmp_path: Path, tiny_base: BaseModel, sound: Version, damage: Damage
) -> None:
    load_policy(tmp_path, sound, tiny_base)
    damage(tmp_path / "v1")
    with pytest.raises(DamagedVersion, match="is damaged"):
        check_files(tmp_path / "v1", sound)
    with pytest.raises(DamagedVersion, match="is damaged"):
        load_policy(tmp_path, sound, tiny_base)


@pytest.mark.parametrize(
    "damage",
    [damage for name, damage in DAMAGES.items() if name != "bit flip"],
    ids=[name for name in DAMAGES if name != "bit flip"],
)
def test_a_version_that_was_registered_damaged_is_refused_for_what_its_files_say(
    tmp_path: Path, tiny_base: BaseModel, sound: Version, damage: Damage
) -> None:
    before = {name: tensor.clone() for name, tensor in tiny_base.model.state_dict().items()}
    damage(tmp_path / "v1")
    with pytest.raises(DamagedVersion):
        load_policy(tmp_path, registered_so(tmp_path / "v1", sound), tiny_base)
    assert all(torch.equal(tensor, before[name]) for name, tensor in tiny_base.model.state_dict().items())


def test_a_header_that_promises_more_than_the_file_holds_is_refused(
    tmp_path: Path, tiny_base: BaseModel, sound: Version
) -> None:
    content = (tmp_path / "v1" / WEIGHTS).read_bytes()
    (tmp_path / "v1" / WEIGHTS).write_bytes(struct.pack("<Q", 2**60) + content[8:])
    with pytest.raises(DamagedVersion, match="cannot be used"):
        load_policy(tmp_path, registered_so(tmp_path / "v1", sound), tiny_base)


# ---- served all the same ---------------------------------------------------------------------------------------------


@pytest.fixture
def room(
    tmp_path: Path, tiny_base: BaseModel, sound: Version, store: FeedbackStore, registry: VersionRegistry
) -> Iterator[Classroom]:
    """A classroom on the real engine, whose champion v2 grew from v1."""
    tensors = two_layers(tiny_base, 5)
    second = replace(write_version(tmp_path, tiny_base, "v2", tensors, layers_to_transform=[2, 3]), parent_id="v1")
    registry.add(replace(sound, created_at="9999-01-01"), [])
    registry.add(replace(second, created_at="9999-01-02"), [], promote_because="a test")
    with closing(EmbeddedEngine(tiny_base, tmp_path, max_prompt_tokens=256, max_new_tokens=4, resident=2)) as engine:
        yield Classroom(store, registry, engine, sampling=Sampling(0.7, 4), duel_share=0, chance=random.Random(1))


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_the_last_good_version_answers_within_seconds_and_the_person_and_the_log_are_told(
    tmp_path: Path, room: Classroom, caplog: pytest.LogCaptureFixture, damage: Damage
) -> None:
    damage(tmp_path / "v2")
    began = time.monotonic()
    with caplog.at_level(logging.WARNING):
        lesson = room.ask("ann", "", "What is rain?")
        warning = next(lesson.drafts).warning
    seconds = time.monotonic() - began
    for _ in lesson.drafts:
        pass
    assert seconds < 5
    assert warning.startswith("The version v1 answers in place of v2: The version v2 in ")
    assert "The version v1 stands in for v2" in caplog.text
    assert room.scene("ann", lesson.conversation_id).turns[-1].version == "v1"


def test_where_all_versions_are_damaged_the_initial_one_answers(tmp_path: Path, room: Classroom) -> None:
    for name in ("v1", "v2"):
        empty(tmp_path / name)
    lesson = room.ask("ann", "", "What is rain?")
    assert "The version initial answers in place of v2" in next(lesson.drafts).warning
    for _ in lesson.drafts:
        pass
    assert room.scene("ann", lesson.conversation_id).turns[-1].version == INITIAL
