"""The lean decode step: the numbers of the model's own forward, its weights untouched, used only where it may be."""

import copy
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM
from transformers.cache_utils import DynamicCache

from nightschool.llama_decoder import LlamaDecoder, supports
from nightschool.model import BaseModel, fingerprint, load_base, twin
from nightschool.sampling import stream_tokens
from tests.adapters import lora_pair, write_version

SMALL = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "initializer_range": 0.15,
}


def small(**changes: Any) -> Any:
    torch.manual_seed(0)
    return LlamaForCausalLM(LlamaConfig(**(SMALL | changes))).eval().requires_grad_(False)


def both_ways(model: Any, prompt: Sequence[int], steps: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Logits [words] of the model's own forward and of the lean step, for each next token of the likeliest text."""
    with torch.inference_mode():
        caches = [DynamicCache(config=model.config) for _ in range(2)]
        for cache in caches:
            own = model(torch.tensor([prompt]), past_key_values=cache, use_cache=True).logits[:, -1]
        decoder = LlamaDecoder(model)
        decoder.take_over(caches[1], len(prompt) + steps)
        for _ in range(steps):
            token = own.argmax(-1)
            own = model(token[:, None], past_key_values=caches[0], use_cache=True).logits[:, -1]
            lean = decoder.step(token)
            assert lean.shape == own.shape
            yield own[0], lean[0]


def furthest(model: Any, prompt: Sequence[int], steps: int = 40) -> float:
    return max(float((own - lean).abs().max()) for own, lean in both_ways(model, prompt, steps))


# ---- the same numbers ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [1, 2, 7, 33, 150])
def test_every_step_gives_the_logits_of_the_models_own_forward(tiny_base: BaseModel, length: int) -> None:
    # logits are of the order of 10 and float32 keeps 7 digits: 1e-4 leaves room for sums taken in another order
    assert furthest(tiny_base.model, [1, *range(20, 19 + length)]) < 1e-4


@pytest.mark.parametrize(
    "changes",
    [
        {"tie_word_embeddings": True},
        {"num_key_value_heads": 4},
        {"num_key_value_heads": 1},
        {"head_dim": 16},
        {"rope_parameters": {"rope_type": "linear", "rope_theta": 10000.0, "factor": 4.0}},
        {
            "rope_parameters": {
                "rope_type": "yarn",  # its cosines and sines are scaled too
                "rope_theta": 10000.0,
                "factor": 4.0,
                "original_max_position_embeddings": 32,
            }
        },
    ],
    ids=["tied", "own_keys", "one_key", "wide_heads", "linear_rope", "yarn_rope"],
)
def test_every_shape_of_llama_that_is_taken_gives_the_same_logits(changes: dict[str, Any]) -> None:
    model = small(**changes)
    assert supports(model)
    assert furthest(model, [1, 20, 21, 22, 23], steps=20) < 1e-4


def test_what_is_merged_into_a_weight_is_seen_at_the_next_step(tiny_base: BaseModel) -> None:
    changed = twin(tiny_base.model, 2)
    decoder_made_before = both_ways(changed, [1, 20, 21], 3)
    own_before, _ = next(decoder_made_before)
    changed.model.layers[-1].mlp.gate_proj.weight.mul_(3)
    own, lean = next(decoder_made_before)
    assert float((own - lean).abs().max()) < 1e-4
    assert float((own - own_before).abs().max()) > 0.1  # there was something to see


def test_the_weights_stay_where_and_what_they_are(tiny_base: BaseModel) -> None:
    """Also for a twin, which shares its lower layers: nothing is copied, moved or given another value."""
    for model in (tiny_base.model, twin(tiny_base.model, 1)):
        places = {name: weight.data_ptr() for name, weight in model.named_parameters()}
        marks = fingerprint(model)
        furthest(model, [1, 20], steps=2)
        assert {name: weight.data_ptr() for name, weight in model.named_parameters()} == places
        assert fingerprint(model) == marks
        held = vars(LlamaDecoder(model))
        assert held["_embedding"] is model.model.embed_tokens.weight
        assert held["layers"][0].gate is model.model.layers[0].mlp.gate_proj.weight


def test_more_tokens_than_there_is_room_for_are_refused(tiny_base: BaseModel) -> None:
    cache = DynamicCache(config=tiny_base.model.config)
    with torch.inference_mode():
        tiny_base.model(torch.tensor([[1, 20]]), past_key_values=cache, use_cache=True)
        decoder = LlamaDecoder(tiny_base.model)
        decoder.take_over(cache, 3)
        decoder.step(torch.tensor([5]))
        with pytest.raises(IndexError):
            decoder.step(torch.tensor([5]))


# ---- where it is used ------------------------------------------------------------------------------------------------


def mistral() -> Any:
    return MistralForCausalLM(MistralConfig(**SMALL)).eval()


def with_an_adapter_inside() -> Any:
    from peft import LoraConfig, inject_adapter_in_model

    return inject_adapter_in_model(LoraConfig(target_modules=["q_proj"]), small()).eval()


def listened_to() -> Any:
    model = small()
    model.model.layers[1].mlp.register_forward_hook(lambda *given: None)
    return model


def with_another_head() -> Any:
    model = small()
    model.lm_head = nn.Sequential(model.lm_head)
    return model


@pytest.mark.parametrize(
    "made",
    [
        mistral,
        with_an_adapter_inside,
        listened_to,
        with_another_head,
        lambda: small().train(),
        lambda: small().half(),
        lambda: small(attention_bias=True),
        lambda: small(mlp_bias=True),
        lambda: small(hidden_act="gelu"),
        lambda: small(rope_parameters={"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 2.0}),
    ],
    ids=[
        "mistral",
        "adapter",
        "hook",
        "head",
        "training",
        "half",
        "attention_bias",
        "mlp_bias",
        "gelu",
        "dynamic_rope",
    ],
)
def test_any_other_model_is_left_to_its_own_forward(made: Callable[[], Any]) -> None:
    assert not supports(made())


def test_plain_llamas_their_twins_and_their_copies_are_taken(tiny_base: BaseModel) -> None:
    assert supports(tiny_base.model)
    assert supports(twin(tiny_base.model, 2))
    assert supports(copy.deepcopy(tiny_base.model).bfloat16())


def drawn(model: Any, **changes: Any) -> list[int | None]:
    settings: dict[str, Any] = {"temperature": 1.0, "max_new_tokens": 30, "stop_ids": []} | changes
    return list(stream_tokens(model, [1, 20, 21], generator=torch.Generator().manual_seed(5), **settings))


def test_a_stream_draws_the_same_reply_either_way(tiny_base: BaseModel, monkeypatch: pytest.MonkeyPatch) -> None:
    lean = drawn(tiny_base.model)
    monkeypatch.setattr("nightschool.sampling.supports", lambda model: False)
    assert drawn(tiny_base.model) == lean
    assert len(set(lean)) > 10  # not one word over and over


def test_a_stream_takes_a_lean_step_for_each_token_but_the_first(
    tiny_base: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No step before it is asked for, none after a stop, none once the stream is closed."""
    steps: list[int] = []
    step = LlamaDecoder.step
    monkeypatch.setattr(LlamaDecoder, "step", lambda self, token: (steps.append(int(token)), step(self, token))[1])
    reply = drawn(tiny_base.model)
    steps.clear()
    stop = reply[6]
    until = reply[: reply.index(stop) + 1]
    assert drawn(tiny_base.model, stop_ids=[stop]) == until
    assert steps == until[:-1]
    steps.clear()
    tokens = stream_tokens(
        tiny_base.model,
        [1, 20, 21],
        temperature=1.0,
        max_new_tokens=30,
        stop_ids=[],
        generator=torch.Generator().manual_seed(5),
    )
    assert [next(tokens) for _ in range(3)] == reply[:3]
    tokens.close()
    assert steps == reply[:2]


def test_a_version_and_its_base_may_be_read_from_in_turns(tiny_base: BaseModel, tmp_path: Path) -> None:
    from nightschool.version_folder import load_policy

    version = write_version(tmp_path, tiny_base, "one", lora_pair(tiny_base))
    models = [tiny_base.model, load_policy(tmp_path, version, tiny_base)]
    apart = [drawn(model) for model in models]
    streams = [
        stream_tokens(
            model,
            [1, 20, 21],
            temperature=1.0,
            max_new_tokens=30,
            stop_ids=[],
            generator=torch.Generator().manual_seed(5),
        )
        for model in models
    ]
    assert [list(reply) for reply in zip(*zip(*streams, strict=True), strict=True)] == apart
    assert apart[0] != apart[1]


# ---- the embedded model ----------------------------------------------------------------------------------------------


@pytest.mark.real_model
def test_the_embedded_model_keeps_its_opinions_to_within_the_noise_of_bfloat16(embedded_cache: Path) -> None:
    base = load_base("embedded", embedded_cache)
    assert supports(base.model)
    prompt = base.tokenizer.encode("<|im_start|>user\nHow does a rainbow form?<|im_end|>\n<|im_start|>assistant\n")
    apart = []
    for own, lean in both_ways(base.model, prompt, 30):
        mine, its = torch.log_softmax(own.double(), -1), torch.log_softmax(lean.double(), -1)
        apart.append(float((mine.exp() * (mine - its)).sum()))
    # bfloat16 keeps 3 digits; the model's own forward is as far from float32 (0.001 nats) as the two are apart
    assert sum(apart) / len(apart) < 0.01
