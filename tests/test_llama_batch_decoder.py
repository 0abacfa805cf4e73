"""The flat decoder of many rows says what the library's own forward says, row by row, token by token."""

import copy
from typing import Any

import pytest
import torch
from transformers.cache_utils import DynamicCache

from nightschool import sampling
from nightschool.llama_batch_decoder import LlamaBatchDecoder
from nightschool.llama_decoder import supports
from nightschool.model import BaseModel
from nightschool.sampling import _Library, sample_batch
from tests.test_sampling import PROMPTS, seeded

STEPS = 12


def read(model: Any, cache: DynamicCache) -> torch.Tensor:
    """Read the prompts into a cache, padded on the left; where their tokens stand [rows, width]."""
    width = max(map(len, PROMPTS))
    ids = torch.tensor([[0] * (width - len(prompt)) + prompt for prompt in PROMPTS])
    is_token = torch.tensor([[False] * (width - len(prompt)) + [True] * len(prompt) for prompt in PROMPTS])
    positions = (is_token.long().cumsum(1) - 1).clamp(min=0)
    model(ids, attention_mask=is_token.long(), position_ids=positions, past_key_values=cache, use_cache=True)
    return is_token


def logits_of(model: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits after each step by the flat decoder and by the library; some rows leave half-way."""
    tokens = torch.randint(3, 256, (STEPS, len(PROMPTS)), generator=seeded())
    with torch.inference_mode():
        caches = DynamicCache(config=model.config), DynamicCache(config=model.config)
        is_token, _ = (read(model, cache) for cache in caches)
        flat, library = LlamaBatchDecoder(model), _Library(model, caches[1], is_token)
        flat.take_over(caches[0], is_token, STEPS)
        kept, found = torch.arange(len(PROMPTS)), []
        for step in range(STEPS):
            if step == STEPS // 2:
                kept = torch.tensor([4, 1])
                flat.keep(kept)
                library.keep(kept)
            found.append((flat.step(tokens[step, kept]), library.step(tokens[step, kept])))
    ours, theirs = (torch.cat(side).float() for side in zip(*found, strict=True))
    return ours, theirs


def test_each_step_gives_the_logits_of_the_model_itself(tiny_base: BaseModel) -> None:
    assert supports(tiny_base.model)
    ours, theirs = logits_of(tiny_base.model)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


def test_in_bfloat16_it_is_no_farther_from_the_truth_than_the_library(tiny_base: BaseModel) -> None:
    exact, _ = logits_of(copy.deepcopy(tiny_base.model).bfloat16().float())
    ours, theirs = logits_of(copy.deepcopy(tiny_base.model).bfloat16())
    assert 0 < (ours - exact).abs().mean() < 1.2 * (theirs - exact).abs().mean()


def test_a_batch_is_drawn_by_the_flat_decoder_and_alike_by_the_library(
    tiny_base: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def drawn() -> list[list[int]]:
        return sample_batch(
            tiny_base.model,
            [*PROMPTS, *PROMPTS],
            temperature=1.0,
            max_new_tokens=STEPS,
            stop_ids=range(3, 40),  # many rows end, at different steps
            pad_id=0,
            generator=seeded(),
        )

    steps = 0
    step = LlamaBatchDecoder.step

    def counted(self: LlamaBatchDecoder, tokens: torch.Tensor) -> torch.Tensor:
        nonlocal steps
        steps += 1
        return step(self, tokens)

    monkeypatch.setattr(LlamaBatchDecoder, "step", counted)
    flat = drawn()
    assert steps == max(map(len, flat)) - 1
    monkeypatch.setattr(sampling, "supports", lambda model: False)
    assert drawn() == flat
    assert steps == max(map(len, flat)) - 1
    assert len(set(map(len, flat))) > 2
