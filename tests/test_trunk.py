"""Oracles 3, 8 and parts of 10 and 12: the cut model is the whole model, and adapters touch nothing but themselves."""

from pathlib import Path
from typing import Any

import pytest
import torch

from nightschool.errors import ModelUnavailable
from nightschool.model import fingerprint, load_base
from tests.training_fixtures import random_answers, tiny_base
from training import trunk
from training.reading import answer_sequences
from training.trunk import SplitModel


@pytest.fixture(params=[torch.float32, torch.bfloat16])
def split(request: pytest.FixtureRequest, tmp_path: Path) -> SplitModel:
    return SplitModel(tiny_base(tmp_path, dtype=request.param), top_layers=2)


def _excite(adapter: torch.nn.Module, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in adapter.named_parameters():
            if "lora_B" in name:
                weight.copy_(0.1 * torch.randn(weight.shape, generator=generator))


def test_trunk_and_top_give_exactly_what_the_whole_model_gives(split: SplitModel) -> None:
    ids = answer_sequences(random_answers(6), 0).ids
    with torch.no_grad():
        whole = split.base.model.model(input_ids=ids, use_cache=False).last_hidden_state
        assert torch.equal(split.top(split.reference, split.trunk(ids)), whole)


@pytest.mark.parametrize("layers", [2, "all"])
def test_any_model_of_the_kind_can_be_cut_and_its_prompts_read_first(tmp_path: Path, layers: Any) -> None:
    SplitModel(tiny_base(tmp_path, dtype=torch.float32), layers)  # raises where a part gives something else


@pytest.mark.parametrize(
    "reads",
    [
        lambda prompts, of, ids: torch.zeros(*ids.shape, prompts.states.shape[-1]),
        lambda prompts, of, ids: prompts.caches[0].layers[99],
    ],
)
def test_a_model_that_reads_replies_otherwise_after_their_prompts_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reads: Any
) -> None:
    base = tiny_base(tmp_path, dtype=torch.float32)
    monkeypatch.setattr(SplitModel, "read_replies", lambda split, prompts, of, ids: reads(prompts, of, ids))
    with pytest.raises(ModelUnavailable, match="a night needs a Llama-like model"):
        SplitModel(base, 2)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_embedded_model_can_be_cut_in_either_number_type_but_not_with_replies_one_place_late(
    monkeypatch: pytest.MonkeyPatch, embedded_cache: Path, dtype: torch.dtype
) -> None:
    base = load_base("embedded", embedded_cache, dtype=dtype)
    SplitModel(base, 4)
    read = trunk._after
    monkeypatch.setattr(
        trunk, "_after", lambda part, known, lengths, of, given: read(part, known, lengths + 1, of, given)
    )
    with pytest.raises(ModelUnavailable, match="a night needs a Llama-like model"):
        SplitModel(base, 4)


def test_each_adapter_over_the_shared_trunk_gives_what_its_own_whole_model_gives(split: SplitModel) -> None:
    ids = answer_sequences(random_answers(6), 0).ids
    trunk = split.trunk(ids)
    before = fingerprint(split.base.model)
    outputs = []
    for seed in (1, 2):
        adapter, top = split.adapter()
        _excite(adapter, seed)
        half = split.base.model.dtype == torch.bfloat16
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=half):
            whole = adapter.get_base_model().model(input_ids=ids, use_cache=False).last_hidden_state
        with torch.no_grad():
            outputs.append(split.top(top, trunk))
        assert torch.equal(outputs[-1], whole)
    assert not torch.equal(*outputs)
    with torch.no_grad():  # neither adapter reached the reference or the base
        reference = split.base.model.model(input_ids=ids, use_cache=False).last_hidden_state
        assert torch.equal(split.top(split.reference, trunk), reference)
    assert fingerprint(split.base.model) == before


def test_an_adapter_drops_nothing_out_even_where_something_puts_it_into_training_mode(split: SplitModel) -> None:
    ids = answer_sequences(random_answers(6), 0).ids
    trunk = split.trunk(ids)
    adapter, top = split.adapter()
    _excite(adapter, 1)
    assert not adapter.training
    with torch.no_grad():
        before = split.top(top, trunk)
        adapter.train()
        assert torch.equal(split.top(top, trunk), before)


def test_an_adapter_shares_the_base_weights_instead_of_copying_them(split: SplitModel) -> None:
    adapter, _ = split.adapter()
    theirs = {weight.data_ptr() for weight in split.base.model.parameters()}
    frozen = [weight for name, weight in adapter.named_parameters() if "lora_" not in name]
    assert frozen
    assert all(weight.data_ptr() in theirs and not weight.requires_grad for weight in frozen)


def test_padding_on_the_right_reaches_no_token_before_it(tmp_path: Path) -> None:
    split = SplitModel(tiny_base(tmp_path), top_layers=2)
    sequences = answer_sequences(random_answers(4), 0)
    other = sequences.ids.clone()
    for row in range(4):
        other[row, int(sequences.prompt_lengths[row] + sequences.response_lengths[row]) :] = 77
    assert not torch.equal(other, sequences.ids)
    states, disturbed = (split.top(split.reference, split.trunk(ids)) for ids in (sequences.ids, other))
    assert torch.equal(sequences.at_responses(states), sequences.at_responses(disturbed))
