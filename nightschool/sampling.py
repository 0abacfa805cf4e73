"""Drawing tokens: replies as streams (the chat; both sides of a duel in step), or many at once (rollouts, exams).

Plain temperature sampling from the whole distribution, no top-k or top-p, so that what PPO trains is what is served.
Generators are passed in: the same seed on the same machine draws the same reply.
"""

import copy
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

import torch
from transformers.cache_utils import DynamicCache

from nightschool.llama_batch_decoder import LlamaBatchDecoder
from nightschool.llama_decoder import LlamaDecoder, supports
from nightschool.llama_in_step import LlamaInStep

PREFILL_CHUNK = 256
"""Prompt tokens per forward pass of a stream: a stop is obeyed between two chunks (about 0.3 s each on 2 cores)."""
LAST = torch.tensor([-1])
"""The last position as an index: `logits_to_keep=1` takes a strided slice of the states, for which torch copies the
output layer's weights once per row (3.6 GB for 64 rows)."""


def stream_tokens(
    model: Any,
    prompt_ids: Sequence[int],
    *,
    temperature: float,
    max_new_tokens: int,
    stop_ids: Collection[int],
    generator: torch.Generator,
) -> Iterator[int | None]:
    """Draw one reply token by token; the token that ends it is the last one yielded.

    Yields None after each prompt chunk but the last, so that the caller can stop a long prompt between chunks.
    """
    drawing = stream_in_step(
        {0: model},
        prompt_ids,
        temperature=temperature,
        max_new_tokens=max_new_tokens,
        stop_ids=stop_ids,
        generators={0: generator},
        at_work={0},
    )
    return (drawn[0] for drawn in drawing)


def stream_in_step(
    models: Mapping[int, Any],
    prompt_ids: Sequence[int],
    *,
    temperature: float,
    max_new_tokens: int,
    stop_ids: Collection[int],
    generators: Mapping[int, torch.Generator],
    at_work: set[int],
) -> Iterator[dict[int, int | None]]:
    """Draw a reply from each of several models on one base to one prompt, a token of each per step.

    Yields the tokens of a step by the numbers of the replies that are at work; None after each prompt chunk but the
    last. A reply leaves `at_work` after the token that ends it; the caller may take others out between two steps. How
    many replies go together changes the last bits of their numbers: the same seeds draw the same replies in the same
    company.
    """
    distinct = {id(models[row]): models[row] for row in sorted(at_work)}
    last = list(distinct.values())[-1]
    read: dict[int, tuple[DynamicCache, torch.Tensor]] = {}
    for model in distinct.values():
        if not any(models[row] is model for row in at_work):
            continue  # who wanted it has left
        cache = DynamicCache(config=model.config)
        for start in range(0, len(prompt_ids), PREFILL_CHUNK):
            with torch.inference_mode():
                chunk = torch.tensor([prompt_ids[start : start + PREFILL_CHUNK]])
                logits = model(chunk, past_key_values=cache, use_cache=True, logits_to_keep=1).logits[:, -1]
            if start + PREFILL_CHUNK < len(prompt_ids) or model is not last:
                yield dict.fromkeys(sorted(at_work))
        read[id(model)] = cache, logits
    if not at_work:
        return
    texts = _Texts(models, {row: read[id(models[row])][0] for row in at_work}, len(prompt_ids) + max_new_tokens)
    following = {row: read[id(models[row])][1] for row in at_work}  # logits [1, words]
    del read, cache, logits  # the texts have their own
    for step in range(max_new_tokens):
        with torch.inference_mode():
            tokens = {row: _draw(following[row], temperature, generators[row]) for row in sorted(at_work)}
        yield {row: int(token) for row, token in tokens.items()}
        at_work -= {row for row, token in tokens.items() if int(token) in stop_ids}
        if not at_work or step == max_new_tokens - 1:
            return
        with torch.inference_mode():
            following = texts.read({row: token for row, token in tokens.items() if row in at_work})


class _Texts:
    """Texts that grow by a token at a time, by number; a text that is not read any more is forgotten."""

    def __init__(self, models: Mapping[int, Any], caches: Mapping[int, DynamicCache], capacity: int) -> None:
        self._models, self._caches, self._capacity = models, dict(caches), capacity
        self._decoders: dict[int, LlamaDecoder] = {}
        self._together: LlamaInStep | None = None
        self._is_plain = all(supports(models[row]) for row in caches)
        if not self._is_plain and len(caches) > 1:
            self._caches = {row: copy.deepcopy(cache) for row, cache in caches.items()}

    def read(self, tokens: Mapping[int, torch.Tensor]) -> dict[int, torch.Tensor]:
        """Read a token [1] of each of these texts -> logits [1, words] of the next."""
        if not self._is_plain:
            return {row: self._library(row, token) for row, token in tokens.items()}
        if not self._decoders:
            for row in tokens:
                self._decoders[row] = LlamaDecoder(self._models[row])
                self._decoders[row].take_over(self._caches[row], self._capacity)
            self._caches.clear()
        if list(tokens) != list(self._decoders):
            self._decoders = {row: self._decoders[row] for row in tokens}
            self._together = None
        if len(tokens) == 1:
            return {row: self._decoders[row].step(token) for row, token in tokens.items()}
        if self._together is None:
            self._together = LlamaInStep(self._models[next(iter(tokens))], list(self._decoders.values()))
        logits = self._together.step(torch.cat(list(tokens.values())))
        return dict(zip(tokens, logits.split(1), strict=True))

    def _library(self, row: int, token: torch.Tensor) -> torch.Tensor:
        found = self._models[row](token[:, None], past_key_values=self._caches[row], use_cache=True)
        logits: torch.Tensor = found.logits[:, -1]
        return logits


def sample_batch(
    model: Any,
    prompts: Sequence[Sequence[int]],
    *,
    temperature: float,
    max_new_tokens: int,
    stop_ids: Collection[int],
    pad_id: int,
    generator: torch.Generator,
    check: Callable[[], None] = lambda: None,
) -> list[list[int]]:
    """Draw one reply to each prompt, all at once; each reply includes the token that ended it, if one did.

    Prompts are padded on the left with positions counted from each prompt's first token; one that is given several
    times is read once. `check` is called at each step and may raise to give up. A row that has ended leaves the batch
    once fewer than half of the rows are at work.
    """
    distinct = list(dict.fromkeys(map(tuple, prompts)))
    width = max(len(prompt) for prompt in distinct)
    ids = torch.tensor([[pad_id] * (width - len(prompt)) + list(prompt) for prompt in distinct])  # [distinct, width]
    lengths = torch.tensor([len(prompt) for prompt in distinct])
    is_token = torch.arange(width)[None] >= (width - lengths)[:, None]  # [distinct, width]
    rows = list(range(len(prompts)))  # which reply each row of the batch writes
    replies: list[list[int]] = [[] for _ in prompts]
    ended = torch.zeros(len(prompts), dtype=torch.bool)
    stops = torch.tensor(sorted(stop_ids))
    cache = DynamicCache(config=model.config)
    with torch.inference_mode():
        positions = (is_token.long().cumsum(1) - 1).clamp(min=0)
        output = model(
            ids,
            attention_mask=is_token.long(),
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=LAST,
        )
        logits = output.logits[:, -1]
        if len(distinct) < len(prompts):
            place = {prompt: index for index, prompt in enumerate(distinct)}
            of_row = torch.tensor([place[tuple(prompt)] for prompt in prompts])  # [batch]
            cache.batch_select_indices(of_row)
            logits, is_token = logits[of_row], is_token[of_row]
        reader = _batch_reader(model, cache, is_token, max_new_tokens)
        del cache, output  # the reader has its own
        for step in range(max_new_tokens):
            check()
            tokens = _draw(logits, temperature, generator)
            for row, reply in enumerate(rows):
                if not ended[row]:
                    replies[reply].append(int(tokens[row]))
            ended |= torch.isin(tokens, stops)
            if ended.all() or step == max_new_tokens - 1:
                break
            if 2 * int((~ended).sum()) < len(rows):
                alive = (~ended).nonzero()[:, 0]
                reader.keep(alive)
                rows = [rows[int(row)] for row in alive]
                tokens, ended = tokens[alive], ended[alive]
            logits = reader.step(tokens)
    return replies


def _batch_reader(
    model: Any, cache: DynamicCache, is_token: torch.Tensor, steps: int
) -> "LlamaBatchDecoder | _Library":
    """What reads one more token of each row; is_token [rows, width]: where the texts in the cache stand."""
    if not supports(model):
        return _Library(model, cache, is_token)
    decoder = LlamaBatchDecoder(model)
    decoder.take_over(cache, is_token, steps)
    return decoder


class _Library:
    """Any model, through the library's own forward."""

    def __init__(self, model: Any, cache: DynamicCache, is_token: torch.Tensor) -> None:
        self._model, self._cache, self._mask = model, cache, is_token.long()

    def keep(self, rows: torch.Tensor) -> None:
        """Go on with these rows only."""
        self._cache.batch_select_indices(rows)
        self._mask = self._mask[rows]

    def step(self, tokens: torch.Tensor) -> torch.Tensor:
        """tokens [rows] -> logits of the next [rows, words]."""
        places = self._mask.sum(1, keepdim=True)
        self._mask = torch.cat([self._mask, torch.ones_like(places)], 1)
        found = self._model(
            tokens[:, None],
            attention_mask=self._mask,
            position_ids=places,
            past_key_values=self._cache,
            use_cache=True,
        )
        logits: torch.Tensor = found.logits[:, -1]
        return logits


def _draw(logits: torch.Tensor, temperature: float, generator: torch.Generator) -> torch.Tensor:
    """One token per row from softmax(logits / temperature). logits [batch, words] -> [batch].

    By the inverse of the cumulative distribution: one uniform number a row where `torch.multinomial` draws one a word,
    which took a third of each step of a batch. float64, or words of the tail would round away.
    """
    cumulative = torch.softmax(logits.float() / temperature, -1).cumsum(-1, dtype=torch.float64)
    total = cumulative[:, -1:]
    place = torch.rand(len(logits), 1, generator=generator, dtype=torch.float64) * total
    place = torch.minimum(place, torch.nextafter(total, torch.zeros_like(total)))  # the product may round up to `total`
    return torch.searchsorted(cumulative, place, right=True)[:, 0]
