"""What is kept of a night's replies, and how it is shown."""

from pathlib import Path

import pytest
import torch
from pyarrow import parquet

from nightschool.errors import BadInput, DamagedVersion
from tests.training_fixtures import random_answers, random_reward_model, tiny_base
from training.judgements import Answer
from training.policy import Policy
from training.rollout import Drawing, evaluate
from training.rollout_record import (
    ROLLOUTS,
    prompts_in,
    read_iterations,
    read_rollouts,
    with_initial,
    write_iteration,
    write_rollouts,
)
from training.samples import samples_of, side_by_side
from training.trunk import SplitModel


def _write(folder: Path) -> list[Answer]:
    policy = Policy(SplitModel(tiny_base(folder), top_layers=2), seed=0)
    answers = random_answers(20)
    rollout = evaluate(policy, random_reward_model(policy.split), answers, Drawing(0.7, 12))
    paths = [folder / f"{number}.parquet" for number in (1, 2)]
    for number, path in enumerate(paths, 1):
        write_iteration(path, number, rollout)
    table = read_iterations(paths)
    first = {answer.prompt_ids: Answer(answer.prompt_ids, (50, 60, 2)) for answer in answers}
    scores = {prompt: float(len(prompt)) for prompt in first}
    whole = with_initial(table, first, scores, lambda ids: " ".join(map(str, ids)))
    write_rollouts(folder, whole, "v7-abc")
    assert prompts_in(table) == [answer.prompt_ids for answer in answers]
    return answers


def test_every_reply_is_kept_with_both_texts_scores_kl_and_versions(tmp_path: Path) -> None:
    answers = _write(tmp_path)
    rows = read_rollouts(tmp_path)
    assert len(rows) == 40
    assert [row["iteration"] for row in rows] == [1] * 20 + [2] * 20
    for row, answer in zip(rows, answers * 2, strict=True):
        assert tuple(row["prompt_ids"]) == answer.prompt_ids
        assert tuple(row["y2_ids"]) == answer.token_ids
        assert row["y2"] == " ".join(map(str, answer.token_ids))
        assert (row["y1"], row["y1_version"], row["y2_version"]) == ("50 60 2", "initial", "v7-abc")
        assert row["y1_score"] == len(answer.prompt_ids)
        assert row["y2_kl"] == 0.0  # a fresh policy
        assert row["y2_finished"] == (answer.token_ids[-1] == 2)
    assert len({row["y2_score"] for row in rows}) > 10
    assert torch.isfinite(torch.tensor([row["y2_score"] for row in rows])).all()


def test_samples_are_of_the_last_iteration_each_prompt_once_and_readable_side_by_side(tmp_path: Path) -> None:
    _write(tmp_path)
    rows = samples_of(tmp_path, 3, None)
    assert [row["iteration"] for row in rows] == [2, 2, 2]
    assert len({row["prompt"] for row in rows}) == 3
    assert not any(name.endswith("_ids") for name in rows[0])
    shown = side_by_side(rows[0])
    assert shown.splitlines()[0] == f"> {rows[0]['prompt']}"
    assert "initial (score" in shown
    assert "iteration 2 (score" in shown
    assert {row["iteration"] for row in samples_of(tmp_path, 99, 1)} == {1}
    assert len(samples_of(tmp_path, 99, 1)) == 20


def test_an_iteration_that_never_was_a_missing_file_and_a_broken_one_are_each_one_sentence(tmp_path: Path) -> None:
    _write(tmp_path)
    with pytest.raises(BadInput, match="Iteration 9 was asked for"):
        samples_of(tmp_path, 3, 9)
    (tmp_path / ROLLOUTS).write_bytes(b"PAR1 no more")
    with pytest.raises(DamagedVersion, match="cannot be read"):
        read_rollouts(tmp_path)
    (tmp_path / ROLLOUTS).unlink()
    with pytest.raises(BadInput, match="no samples"):
        read_rollouts(tmp_path)


def test_any_parquet_reader_can_read_them(tmp_path: Path) -> None:
    _write(tmp_path)
    columns = set(parquet.read_schema(tmp_path / ROLLOUTS).names)
    assert {"prompt", "y1", "y2", "y1_score", "y2_score", "y2_kl", "y1_version", "y2_version", "iteration"} <= columns
