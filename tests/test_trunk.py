"""Oracles 3, 8 and parts of 10 and 12: the cut model is the whole model, and adapters touch nothing but themselves."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers.models.llama import modeling_llama

from nightschool.errors import ModelUnavailable
from nightschool.model import fingerprint, load_base
from tests.training_fixtures import random_answers, tiny_base
from training import trunk
from training.judgements import Answer
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


def test_a_policy_and_its_reference_attend_eagerly_and_everything_else_as_the_base_does(tmp_path: Path) -> None:
    base = tiny_base(tmp_path)
    usual = base.model.config._attn_implementation
    assert usual != "eager"
    split = SplitModel(base, top_layers=2)
    found = {
        "eager": [split.eager_reference, split.adapter(eager=True)[1]],
        usual: [split.reference, split.adapter()[1]],
    }
    for kind, parts in found.items():
        for part in parts:
            assert part.config._attn_implementation == kind
            assert all(layer.self_attn.config._attn_implementation == kind for layer in part.layers)
    assert base.model.config._attn_implementation == usual
    assert all(layer.self_attn.config is base.model.config for layer in base.model.model.layers)
    ids = answer_sequences(random_answers(3), 0).ids
    with torch.no_grad():
        fused, eager = (split.top(part, split.trunk(ids)) for part in (split.reference, split.eager_reference))
    torch.testing.assert_close(eager, fused, atol=1e-5, rtol=0)


def test_a_model_that_attends_otherwise_by_plain_products_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = tiny_base(tmp_path)
    monkeypatch.setattr(modeling_llama, "eager_attention_forward", _attends_to_the_first_alone)
    with pytest.raises(ModelUnavailable, match="a night needs a Llama-like model"):
        SplitModel(base, 2)


def _attends_to_the_first_alone(
    module: object, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *given: object, **options: object
) -> tuple[torch.Tensor, None]:
    heads, steps = query.shape[1:3]
    first = value[:, :, :1].repeat_interleave(heads // value.shape[1], 1)
    return first.expand(-1, -1, steps, -1).transpose(1, 2).contiguous(), None


@pytest.mark.parametrize("layers", [2, "all"])
@pytest.mark.parametrize("changes", [False, True], ids=["the reference", "an adapter"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_prompt_that_several_replies_share_goes_up_once_and_gives_the_same(
    tmp_path: Path, layers: Any, dtype: torch.dtype, changes: bool
) -> None:
    """States where replies are predicted and stand, and the gradients of all weights."""
    split = SplitModel(tiny_base(tmp_path, dtype=dtype), layers)
    drawn = random_answers(7)
    prompts = [drawn[place].prompt_ids for place in (0, 0, 1, 2, 1, 0, 2)]
    assert len({len(prompt) for prompt in prompts}) > 1
    sequences = answer_sequences(
        [Answer(prompt, answer.token_ids) for prompt, answer in zip(prompts, drawn, strict=True)], 0
    )
    adapter, top = split.adapter(eager=True)
    _excite(adapter, 1)
    weights = [weight for weight in adapter.parameters() if weight.requires_grad]
    states, module = split.trunk(sequences.ids), top if changes else split.eager_reference
    along = torch.randn(
        2 * int(sequences.response_lengths.sum()), split.size, generator=torch.Generator().manual_seed(2)
    )
    found, gradients = [], []
    for read in (split.top(module, states), split.top_at_replies(module, states, sequences)):
        parts = [sequences.at_responses(read, shift).float() for shift in (-1, 0)]
        found.append(torch.cat(parts))
        if changes:
            gradients.append(torch.autograd.grad((found[-1] * along).sum(), weights))
    half = states.dtype == torch.bfloat16
    torch.testing.assert_close(*(rows.detach() for rows in found), atol=0.05 if half else 1e-5, rtol=0)
    for whole, shared in zip(*gradients, strict=True) if changes else ():
        assert float((whole - shared).norm()) <= (0.05 if half else 1e-5) * float(whole.norm()) > 0


def test_states_of_shared_prompts_are_told_nowhere_but_at_replies_and_before_them(split: SplitModel) -> None:
    one, two = random_answers(2)
    sequences = answer_sequences([one, Answer(one.prompt_ids, two.token_ids)], 0)
    found = split.top_at_replies(split.eager_reference, split.trunk(sequences.ids), sequences)
    for row, steps in enumerate(sequences.response_lengths.tolist()):
        told = found[row].any(-1).nonzero()[:, 0].tolist()
        start = len(one.prompt_ids) - 1
        assert told == [*range(start, start + steps + 1)]


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
