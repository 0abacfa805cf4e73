"""Several replies in step: the numbers that each gets alone, and shared layers read once."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional
from transformers.cache_utils import DynamicCache

from nightschool.llama_decoder import LlamaDecoder
from nightschool.llama_in_step import LlamaInStep
from nightschool.model import BaseModel, load_base
from nightschool.sampling import stream_in_step, stream_tokens
from nightschool.version_folder import load_policy
from tests.adapters import lora_pair, write_version

PROMPT = [1, 20, 21, 22]
STEPS = 30


@pytest.fixture(scope="module")
def models(tiny_base: BaseModel, tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """The base and two versions of it, which differ in their last layer."""
    folder = tmp_path_factory.mktemp("versions")
    versions = [write_version(folder, tiny_base, name, lora_pair(tiny_base, seed=len(name))) for name in ("a", "bb")]
    return [tiny_base.model, *(load_policy(folder, version, tiny_base) for version in versions)]


def decoder_after(model: Any, prompt: list[int]) -> LlamaDecoder:
    cache = DynamicCache(config=model.config)
    model(torch.tensor([prompt]), past_key_values=cache, use_cache=True)
    decoder = LlamaDecoder(model)
    decoder.take_over(cache, len(prompt) + STEPS)
    return decoder


def alone(model: Any, seed: int, stops: list[int]) -> list[int | None]:
    return list(
        stream_tokens(
            model,
            PROMPT,
            temperature=1.0,
            max_new_tokens=STEPS,
            stop_ids=stops,
            generator=torch.Generator().manual_seed(seed),
        )
    )


def in_step(models: list[Any], stops: list[int], at_work: set[int], length: int = STEPS) -> Any:
    return stream_in_step(
        dict(enumerate(models)),
        PROMPT,
        temperature=1.0,
        max_new_tokens=length,
        stop_ids=stops,
        generators={row: torch.Generator().manual_seed(row) for row in range(len(models))},
        at_work=at_work,
    )


def test_texts_of_other_lengths_and_versions_get_the_logits_they_get_alone(models: list[Any]) -> None:
    rows = [(models[1], [1, 20]), (models[0], [1, 30, 31, 32, 33]), (models[1], PROMPT), (models[2], [1])]
    with torch.inference_mode():
        apart = [decoder_after(model, prompt) for model, prompt in rows]
        together = LlamaInStep(rows[0][0], [decoder_after(model, prompt) for model, prompt in rows])
        tokens = torch.tensor([40, 41, 42, 43])
        for _ in range(STEPS):
            expected = torch.cat([decoder.step(token) for decoder, token in zip(apart, tokens.split(1), strict=True)])
            found = together.step(tokens)
            # logits are of the order of 10 and float32 keeps 7 digits: room for sums taken in another order
            torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)
            tokens = expected.argmax(-1)
    assert len(set(tokens.tolist())) > 1


def test_layers_that_texts_share_are_read_once_for_all_of_them(
    models: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[tuple[int, int]] = []
    linear = functional.linear

    def counted(given: torch.Tensor, weight: torch.Tensor, *rest: Any) -> torch.Tensor:
        read.append((id(weight), len(given)))
        return linear(given, weight, *rest)

    with torch.inference_mode():
        together = LlamaInStep(models[1], [decoder_after(model, PROMPT) for model in (models[1], *models)])
        monkeypatch.setattr(functional, "linear", counted)
        together.step(torch.tensor([40, 41, 42, 43]))
    for layer in models[0].model.layers[:-1]:
        assert read.count((id(layer.mlp.gate_proj.weight), 4)) == 1
    tops = [id(model.model.layers[-1].self_attn.q_proj.weight) for model in models]
    assert len(set(tops)) == 3
    assert [[size for weight, size in read if weight == top] for top in tops] == [[1], [2], [1]]


def test_models_of_other_bases_are_refused(models: list[Any], tiny_base: BaseModel) -> None:
    import copy

    other = copy.deepcopy(tiny_base.model)
    with torch.inference_mode(), pytest.raises(ValueError, match="only versions of one base"):
        LlamaInStep(models[0], [decoder_after(models[0], PROMPT), decoder_after(other, PROMPT)])


@pytest.mark.parametrize("plain", [True, False])
def test_replies_drawn_in_step_are_those_drawn_alone_whenever_each_ends(
    models: list[Any], monkeypatch: pytest.MonkeyPatch, plain: bool
) -> None:
    company = [models[0], models[1], models[1], models[2]]
    whole = [alone(model, seed, []) for seed, model in enumerate(company)]
    stops = [int(whole[0][4] or 0), int(whole[2][11] or 0)]
    expected = [alone(model, seed, stops) for seed, model in enumerate(company)]
    assert len({len(reply) for reply in expected}) > 1
    if not plain:
        monkeypatch.setattr("nightschool.sampling.supports", lambda model: False)
    replies: list[list[int]] = [[] for _ in company]
    at_work = set(range(4))
    for drawn in in_step(company, stops, at_work):
        for row, token in drawn.items():
            if token is not None:  # a part of the prompt was read
                replies[row].append(token)
    assert replies == expected


def test_a_reply_that_is_taken_out_leaves_the_others_as_they_are(models: list[Any]) -> None:
    company = [models[0], models[1], models[0]]
    at_work = {0, 1, 2}
    replies: list[list[int]] = [[], [], []]
    for step, drawn in enumerate(in_step(company, [], at_work)):
        for row, token in drawn.items():
            if token is not None:  # a part of the prompt was read
                replies[row].append(token)
        if step == 6:
            at_work.discard(1)
    assert [len(reply) for reply in replies] == [STEPS, 6, STEPS]  # the first step is that of reading, for one version
    for row in range(3):
        assert replies[row] == alone(company[row], row, [])[: len(replies[row])]


def test_a_long_prompt_is_read_in_chunks_once_for_each_version(
    models: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nightschool.sampling.PREFILL_CHUNK", 3)
    steps = list(in_step([models[0], models[1], models[0]], [], {0, 1, 2}, length=2))
    nothing = dict.fromkeys(range(3))
    assert steps[:3] == [nothing] * 3  # four tokens: 3 + 1, of each of two versions, but for the last chunk
    assert [set(step) for step in steps[3:]] == [{0, 1, 2}] * 2
    assert all(token is not None for step in steps[3:] for token in step.values())


@pytest.mark.real_model
def test_the_embedded_model_in_company_keeps_its_opinions_within_the_noise_of_its_numbers(
    embedded_cache: Path,
) -> None:
    model = load_base("embedded", embedded_cache).model
    prompts = [list(range(1000, 1000 + length)) for length in (9, 31)]
    with torch.inference_mode():
        apart = [decoder_after(model, prompt) for prompt in prompts]
        together = LlamaInStep(model, [decoder_after(model, prompt) for prompt in prompts])
        tokens = torch.tensor([504, 1276])
        for _ in range(10):
            expected = torch.cat([decoder.step(token) for decoder, token in zip(apart, tokens.split(1), strict=True)])
            chances = [logits.float().softmax(-1) for logits in (expected, together.step(tokens))]
            assert float((chances[0] - chances[1]).abs().sum(-1).max()) / 2 < 0.1
            tokens = expected.argmax(-1)
