"""Reading texts once: the same states however they are asked for, in files whose size memory does not feel."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.training_fixtures import random_answers, tiny_base
from training import reading
from training.features import CHUNK, Features, FeatureWriter
from training.judgements import Answer
from training.reading import (
    TrunkStates,
    answer_sequences,
    groups_of_one_width,
    length_of,
    pool,
    read_texts,
    read_together,
    trunk_states,
)
from training.reward_model import pooled_states
from training.scratch import ScratchFile
from training.sequences import padded_width
from training.trunk import SplitModel


@pytest.fixture(scope="module", params=[(torch.float32, 2), (torch.bfloat16, 2), (torch.float32, "all")])
def split(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> SplitModel:
    dtype, layers = request.param
    return SplitModel(tiny_base(tmp_path_factory.mktemp("tiny"), dtype=dtype), layers)


def _of_several_widths() -> list[Answer]:
    """Prompts and replies of several widths, with end-of-turn tokens in every prompt, every second reply cut short."""
    return [
        Answer(answer.prompt_ids * repeats, answer.token_ids * (1 + repeats // 4))
        for repeats in (1, 4, 7)
        for answer in random_answers(10, seed=repeats)
    ]


def _with_shared_prompts() -> list[Answer]:
    """Every third prompt has a second reply."""
    answers = _of_several_widths()
    return answers + [replace(answer, token_ids=answer.token_ids[::-1]) for answer in answers[::3]]


def test_pooled_states_are_the_sum_over_the_reply_alone_by_the_whole_model(split: SplitModel) -> None:
    answers, halfway = _of_several_widths(), len(split.base.model.model.layers) // 2
    pooled = pooled_states(split, answers)
    for row, answer in zip(pooled, answers, strict=True):
        ids = torch.tensor([[*answer.prompt_ids, *answer.token_ids]])
        with torch.no_grad():
            read = split.base.model.model(input_ids=ids, use_cache=False, output_hidden_states=True)
        states = torch.cat([read.hidden_states[halfway][0], read.last_hidden_state[0]], -1)
        expected = states[len(answer.prompt_ids) :].float().sum(0) / 64
        exact = split.base.model.dtype == torch.float32
        torch.testing.assert_close(row, expected, atol=1e-5 if exact else 0.03, rtol=0)


def test_texts_read_whole_as_a_lora_reads_them_are_pooled_as_in_parts(split: SplitModel) -> None:
    answers = _with_shared_prompts()
    sequences = answer_sequences(answers, split.base.pad_id)
    states = split.trunk(sequences.ids)
    whole = pool(split.beside(states, split.top(split.reference, states)), sequences)
    exact = split.base.model.dtype == torch.float32
    torch.testing.assert_close(whole, pooled_states(split, answers), atol=1e-5 if exact else 0.03, rtol=0)


def test_a_texts_states_do_not_depend_on_its_companions(split: SplitModel) -> None:
    answers = _with_shared_prompts()
    together = pooled_states(split, answers)
    assert torch.equal(together, torch.cat([pooled_states(split, [answer]) for answer in answers]))
    assert torch.equal(together[::2], pooled_states(split, answers[::2]))


def test_cached_and_uncached_trunk_states_are_identical(split: SplitModel) -> None:
    answers = random_answers(12)
    cached, uncached = TrunkStates(split), TrunkStates(split)
    read_texts(split, answers, trunk=cached, keep=set(answers[:7]))
    sequences = answer_sequences(answers, split.base.pad_id)
    assert torch.equal(cached.get(answers, sequences), uncached.get(answers, sequences))


def test_states_are_kept_as_long_as_there_is_room_and_room_is_told_beforehand(
    split: SplitModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = _with_shared_prompts()
    texts = [length_of(answer) for answer in answers]
    halfway = [len(answer.token_ids) for answer in answers] if split.trunk_size > split.size else [0]
    wanted = (sum(texts) + sum(halfway)) * split.size * split.base.model.dtype.itemsize
    for room, is_enough in ((wanted, True), (wanted - 1, False)):
        monkeypatch.setattr(reading, "TRUNK_BYTES", room)
        kept = TrunkStates(split)
        assert kept.has_room_for(answers) is is_enough
        read_texts(split, answers, trunk=kept, keep=set(answers))
        assert kept.has(answers) is is_enough


def test_groups_hold_every_text_once_and_only_one_width() -> None:
    answers = _of_several_widths()
    groups = groups_of_one_width(answers)
    assert sorted(index for group in groups for index in group) == list(range(30))
    assert len({padded_width(length_of(answer)) for answer in answers}) > 1
    for group in groups:
        assert len({padded_width(length_of(answers[index])) for index in group}) == 1


def test_each_prompt_has_one_place_and_each_reply_after_it_one_layout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "TOKENS_AT_ONCE", 128)
    answers = [*_of_several_widths(), *(Answer(answer.prompt_ids, (5, 2)) for answer in _of_several_widths())]
    groups = read_together(answers)
    assert sorted(index for group in groups for part in group.parts for index in part) == list(range(60))
    prompts = [prompt for group in groups for prompt in group.prompts]
    assert len({padded_width(len(answer.token_ids)) for answer in answers}) > 1
    assert len(prompts) == len(set(prompts)) == len({answer.prompt_ids for answer in answers})
    for group in groups:
        assert {padded_width(len(prompt)) for prompt in group.prompts} == {group.prompt_width}
        for part in group.parts:
            replies = {padded_width(len(answers[index].token_ids)) for index in part}
            assert len(replies) == 1
            width = group.prompt_width + replies.pop()
            assert len(part) * width <= max(128, width)
        assert len(group.prompts) * group.prompt_width <= max(128, group.prompt_width)
    assert len(groups) > len({group.prompt_width for group in groups})


def test_states_below_the_cut_are_the_trunks_own_and_each_prompt_is_read_once(
    split: SplitModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = _with_shared_prompts()
    exact = split.base.model.dtype == torch.float32
    read: list[int] = []
    real = split.read_prompts
    monkeypatch.setattr(split, "read_prompts", lambda ids, lengths: read.append(len(ids)) or real(ids, lengths))
    monkeypatch.setattr(reading, "TOKENS_AT_ONCE", 128)
    for states, answer in zip(trunk_states(split, answers), answers, strict=True):
        alone = split.trunk(torch.tensor([[*answer.prompt_ids, *answer.token_ids]]))[0]
        alone[: len(answer.prompt_ids), : -split.size] = 0.0  # nobody reads a prompt's states halfway
        torch.testing.assert_close(states, alone, atol=1e-5 if exact else 0.2, rtol=0)
    assert sum(read) == len({answer.prompt_ids for answer in answers})
    assert max(read) > 1


@pytest.mark.parametrize("is_kept", [False, True])
def test_a_top_reads_each_prompt_once_whether_its_states_are_kept_or_not(
    split: SplitModel, monkeypatch: pytest.MonkeyPatch, is_kept: bool
) -> None:
    answers = _with_shared_prompts()
    kept = TrunkStates(split)
    first = read_texts(split, answers, trunk=kept, keep=set(answers)).matrix()
    read: list[int] = []
    real = split.top_of_prompts
    monkeypatch.setattr(
        split, "top_of_prompts", lambda top, prompts: read.append(len(prompts.states)) or real(top, prompts)
    )
    if is_kept:
        monkeypatch.setattr(split, "read_prompts", lambda ids, lengths: pytest.fail("read again below the cut"))
    again = read_texts(split, answers, trunk=kept if is_kept else None).matrix()
    assert sum(read) == len({answer.prompt_ids for answer in answers})
    assert max(read) > 1
    assert torch.equal(again, first)


def test_features_in_a_file_are_those_in_memory() -> None:
    generator = torch.Generator().manual_seed(0)
    matrix = torch.randn(CHUNK + 7, 5, generator=generator)
    writer = FeatureWriter(len(matrix), 5)
    order = torch.randperm(len(matrix), generator=generator)
    for part in order.split(100):
        writer.put(part.tolist(), matrix[part])
    in_file, in_memory = writer.features(), Features.of(matrix)
    direction, weights = torch.randn(5).double(), torch.randn(len(matrix)).double()
    counts = torch.randint(0, 3, (len(matrix),)).double()
    assert torch.equal(in_file.matrix(), matrix)
    assert torch.equal(in_file.rows([3, 1]), matrix[[3, 1]])
    assert torch.equal(in_file.dot(direction), in_memory.dot(direction))
    assert torch.equal(in_file.weighted_sum(weights), in_memory.weighted_sum(weights))
    torch.testing.assert_close(in_file.dot(direction), matrix.double() @ direction)
    torch.testing.assert_close(in_file.weighted_sum(weights), weights @ matrix.double())
    mean, spread = in_file.moments(counts)
    repeated = matrix.double().repeat_interleave(counts.long(), 0)
    torch.testing.assert_close(mean, repeated.mean(0))
    torch.testing.assert_close(spread, repeated.std(0, correction=0))


def test_a_scratch_file_leaves_no_name_and_reads_only_what_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    file = ScratchFile()
    file.write(3, b"abc")
    assert file.read(3, 3) == b"abc"
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ValueError, match="only 3 are there"):
        file.read(3, 4)
