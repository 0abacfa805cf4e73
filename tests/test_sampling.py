"""Drawing replies: one as a stream or many at once, the same words either way."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest
import torch

from nightschool.model import BaseModel
from nightschool.sampling import _draw, sample_batch, stream_tokens

COLD = 1e-4
"""So cold that the likeliest token is drawn every time: what is drawn then depends on the model alone."""
PROMPTS = [
    [1, 20, 21],
    [1, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40],
    [50],
    [1, 60, 61, 62, 63, 64],
    [1, 20, 21, 22],
    [70, 71],
]
LENGTH = 24


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def stream(
    base: BaseModel, prompt: Sequence[int], stops: Sequence[int] = (), *, temperature: float = COLD, seed: int = 0
) -> list[int | None]:
    return list(
        stream_tokens(
            base.model,
            prompt,
            temperature=temperature,
            max_new_tokens=LENGTH,
            stop_ids=stops,
            generator=seeded(seed),
        )
    )


def batch(
    base: BaseModel,
    prompts: Sequence[Sequence[int]],
    stops: Sequence[int] = (),
    *,
    temperature: float = COLD,
    seed: int = 0,
) -> list[list[int]]:
    return sample_batch(
        base.model,
        prompts,
        temperature=temperature,
        max_new_tokens=LENGTH,
        stop_ids=stops,
        pad_id=base.pad_id,
        generator=seeded(seed),
    )


@contextmanager
def recorded_passes(base: BaseModel) -> Iterator[list[tuple[int, int]]]:
    """(rows, tokens) of each forward pass of the model, as they come."""
    passes: list[tuple[int, int]] = []

    def record(module: object, given: tuple[torch.Tensor, ...]) -> None:
        passes.append((given[0].shape[0], given[0].shape[1]))

    hook = base.model.register_forward_pre_hook(record)
    try:
        yield passes
    finally:
        hook.remove()


def until_stop(tokens: Sequence[int | None], stops: Sequence[int]) -> list[int | None]:
    end = next((place for place, token in enumerate(tokens) if token in stops), len(tokens) - 1)
    return list(tokens[: end + 1])


# ---- one or many -----------------------------------------------------------------------------------------------------


def test_prompts_of_any_length_drawn_together_get_the_replies_they_get_alone(tiny_base: BaseModel) -> None:
    alone = [stream(tiny_base, prompt) for prompt in PROMPTS]
    assert batch(tiny_base, PROMPTS) == alone
    assert len({tuple(reply) for reply in alone}) > 3  # the prompts matter
    assert all(len(reply) == LENGTH for reply in alone)


def test_a_prompt_that_is_given_several_times_is_read_once_and_answered_each_time(tiny_base: BaseModel) -> None:
    order = [0, 1, 0, 3, 1, 1, 4]
    assert batch(tiny_base, [PROMPTS[index] for index in order]) == [
        batch(tiny_base, [PROMPTS[index]])[0] for index in order
    ]
    read: list[int] = []
    hook = tiny_base.model.model.embed_tokens.register_forward_hook(lambda _, given, __: read.append(given[0].numel()))
    try:
        replies = batch(tiny_base, [PROMPTS[1]] * 4, temperature=1.0)
    finally:
        hook.remove()
    assert read[:2] == [len(PROMPTS[1]), 4]  # the prompt, then a token of each reply
    assert len(set(map(tuple, replies))) == 4  # each is drawn for itself


def test_the_padding_token_is_never_seen(tiny_base: BaseModel) -> None:
    """Padded with a token that occurs in the prompts, the replies are the same."""
    padded = sample_batch(
        tiny_base.model,
        PROMPTS,
        temperature=COLD,
        max_new_tokens=LENGTH,
        stop_ids=[],
        pad_id=20,
        generator=seeded(),
    )
    assert padded == batch(tiny_base, PROMPTS)


def test_rows_that_end_early_stop_and_leave_the_others_as_they_are(tiny_base: BaseModel) -> None:
    whole = [stream(tiny_base, prompt) for prompt in PROMPTS]
    # stop at a token that some rows write early and at least one never: four rows of six end early, one by one
    survivor = set(whole[0])
    stops = [
        next(token for token in reply[place:] if token not in survivor)
        for place, reply in enumerate(whole)
        if place > 1
    ]
    expected = [until_stop(reply, stops) for reply in whole]
    lengths = sorted(len(reply) for reply in expected)
    assert lengths[-1] == LENGTH
    assert lengths[3] < LENGTH  # four have ended: fewer than half are at work
    assert len(set(lengths)) > 2
    with recorded_passes(tiny_base) as passes:
        assert batch(tiny_base, PROMPTS, stops) == expected
    assert passes[0] == (len(PROMPTS), max(map(len, PROMPTS)))
    assert passes[-1][0] < len(PROMPTS) / 2  # the rows that ended have left the batch
    assert len(passes) == LENGTH


def test_the_last_token_ends_the_reply_or_the_limit_does(tiny_base: BaseModel) -> None:
    stops = list(range(3, 60))
    replies = batch(tiny_base, [prompt for prompt in PROMPTS for _ in range(4)], stops, temperature=1.0)
    streamed = [stream(tiny_base, prompt, stops, temperature=1.0, seed=seed) for seed in range(4) for prompt in PROMPTS]
    for reply in [*replies, *streamed]:
        assert not set(reply[:-1]) & set(stops)
        assert reply[-1] in stops or len(reply) == LENGTH
        assert 1 <= len(reply) <= LENGTH
    assert {len(reply) for reply in replies} > {1, 2}


def test_a_batch_whose_rows_have_all_ended_draws_no_further(tiny_base: BaseModel) -> None:
    first = [reply[0] for reply in batch(tiny_base, PROMPTS)]
    with recorded_passes(tiny_base) as passes:
        assert batch(tiny_base, PROMPTS, first) == [[token] for token in first]
    assert len(passes) == 1


def test_the_check_runs_at_each_step_and_may_give_up(tiny_base: BaseModel) -> None:
    calls = 0

    def check() -> None:
        nonlocal calls
        calls += 1
        if calls == 5:
            raise TimeoutError("the night is over")

    with recorded_passes(tiny_base) as passes, pytest.raises(TimeoutError, match="the night is over"):
        sample_batch(
            tiny_base.model,
            PROMPTS,
            temperature=1.0,
            max_new_tokens=LENGTH,
            stop_ids=[],
            pad_id=0,
            generator=seeded(),
            check=check,
        )
    assert len(passes) == 5


# ---- what is drawn ---------------------------------------------------------------------------------------------------


def test_the_same_seed_draws_the_same_reply_and_another_seed_another(tiny_base: BaseModel) -> None:
    for draw in (
        lambda seed: stream(tiny_base, PROMPTS[0], temperature=1.0, seed=seed),
        lambda seed: batch(tiny_base, PROMPTS, temperature=1.0, seed=seed),
    ):
        assert draw(7) == draw(7)
        assert draw(7) != draw(8)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_tokens_are_drawn_from_the_whole_distribution_at_the_given_temperature(
    tiny_base: BaseModel, temperature: float
) -> None:
    prompt, count = [1, 20, 21], 6000
    with torch.no_grad():
        shares = torch.softmax(tiny_base.model(torch.tensor([prompt])).logits[0, -1] / temperature, -1)
    drawn = sample_batch(
        tiny_base.model,
        [prompt] * count,
        temperature=temperature,
        max_new_tokens=1,
        stop_ids=[],
        pad_id=0,
        generator=seeded(),
    )
    counts = torch.bincount(torch.tensor(drawn)[:, 0], minlength=len(shares))
    # a count of n draws with share p has mean n p and variance n p (1 - p); five deviations are hardly ever passed
    bounds = 5 * (count * shares * (1 - shares)).sqrt() + 1
    assert ((counts - count * shares).abs() < bounds).all()
    rare = shares < shares.sort().values[len(shares) // 2]  # no top-k, no top-p: the lower half is drawn as well
    assert counts[rare].sum() > 0


def test_a_word_of_no_probability_is_never_drawn() -> None:
    impossible = -torch.inf
    logits = torch.tensor([[impossible, 0.0, impossible, impossible], [impossible, impossible, 0.0, 1.0]])
    drawn = torch.stack([_draw(logits, 1.0, seeded(seed)) for seed in range(500)])
    assert set(drawn[:, 0].tolist()) == {1}
    assert set(drawn[:, 1].tolist()) == {2, 3}


def test_many_words_of_little_probability_are_drawn_as_often_as_they_should() -> None:
    """49,151 words that share 5 %, one word that has the rest."""
    words, rows = 49_152, 64
    logits = torch.full((rows, words), float(torch.tensor(0.05 / (words - 1)).log()))
    logits[:, 0] = float(torch.tensor(0.95).log())
    generator = seeded()
    drawn = torch.cat([_draw(logits, 1.0, generator) for _ in range(40)])
    of_tail = drawn[drawn > 0].double()
    count = len(drawn)
    assert abs(len(of_tail) - 0.05 * count) < 5 * (count * 0.05 * 0.95) ** 0.5
    assert abs(float(of_tail.mean()) / words - 0.5) < 5 * (1 / 12 / len(of_tail)) ** 0.5  # spread over all of it


def test_the_output_layer_reads_states_without_gaps(tiny_base: BaseModel) -> None:
    """For a strided slice of the states torch copies the whole output layer once per row: gigabytes for a rollout."""
    gaps = []
    handle = tiny_base.model.lm_head.register_forward_pre_hook(
        lambda _, given: gaps.append(not given[0].is_contiguous())
    )
    try:
        batch(tiny_base, PROMPTS)
    finally:
        handle.remove()
    assert len(gaps) == LENGTH
    assert not any(gaps)


# ---- a stream --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("length", "pauses"), [(3, 0), (4, 0), (5, 1), (8, 1), (9, 2), (12, 2)])
def test_a_long_prompt_is_read_in_chunks_with_a_pause_after_each_but_the_last(
    tiny_base: BaseModel, monkeypatch: pytest.MonkeyPatch, length: int, pauses: int
) -> None:
    prompt = PROMPTS[1][:length]
    at_once = stream(tiny_base, prompt)
    monkeypatch.setattr("nightschool.sampling.PREFILL_CHUNK", 4)
    with recorded_passes(tiny_base) as passes:
        in_chunks = stream(tiny_base, prompt)
    assert in_chunks == [None] * pauses + at_once
    assert [tokens for _, tokens in passes[: pauses + 1]] == [4] * pauses + [length - 4 * pauses]


def test_a_stream_that_is_closed_does_no_more_work(tiny_base: BaseModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nightschool.sampling.PREFILL_CHUNK", 4)
    with recorded_passes(tiny_base) as passes:
        tokens = stream_tokens(
            tiny_base.model, PROMPTS[1], temperature=1.0, max_new_tokens=LENGTH, stop_ids=[], generator=seeded()
        )
        assert passes == []  # nothing is done before it is asked for
        assert next(tokens) is None
        assert len(passes) == 1  # of the three chunks of the prompt
        assert [next(tokens) is None for _ in range(3)] == [True, False, False]
        tokens.close()
    # three chunks, and one pass for the second token
    assert [count for _, count in passes] == [4, 4, 4, 1]
