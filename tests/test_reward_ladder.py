"""The whole fit: who trains on what, which rung is used, and a model that is read back as it was."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.training_fixtures import random_answers, tiny_base
from training.effort import EFFORTS
from training.ensemble import average, fit_members
from training.features import Features
from training.judgements import Judgements, PairJudgement, Preferred
from training.reward_fit import fit_head, make_batch
from training.reward_folder import load_reward_model, save_reward_model
from training.reward_ladder import FittedReward, fit_reward
from training.reward_model import RewardModel, pooled_states
from training.reward_start import reward_split
from training.split import Side, hashed_side
from training.trunk import SplitModel

NOW = "2026-01-01T00:00:00+00:00"
ANSWERS = random_answers(240)
FLIPPED = {Preferred.LEFT: Preferred.RIGHT, Preferred.RIGHT: Preferred.LEFT}


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> SplitModel:
    return SplitModel(tiny_base(tmp_path_factory.mktemp("tiny")), top_layers=2)


def _judgements(flip: Side | None = None) -> Judgements:
    """The longer reply is preferred, or on one side the shorter one."""
    pairs = []
    for number, (left, right) in enumerate(zip(ANSWERS[::2], ANSWERS[1::2], strict=True)):
        side = hashed_side(str(number))
        preferred = Preferred.LEFT if len(left.token_ids) > len(right.token_ids) else Preferred.RIGHT
        preferred = FLIPPED[preferred] if side is flip else preferred
        pairs.append(PairJudgement(left, right, preferred, 1.0, str(number), side, ("duel", str(number))))
    return Judgements(tuple(pairs), ())


def _fitted(split: SplitModel, judgements: Judgements, effort: str = "quick", **changes: int) -> FittedReward:
    return fit_reward(
        split, judgements, ANSWERS[:40], replace(EFFORTS[effort], **changes),
        now=NOW, seed=0, say=lambda text: None, progress=lambda share, what: None,
    )  # fmt: skip


def test_the_examiner_knows_nothing_of_the_training_labels_nor_the_reward_model_of_the_exams(split: SplitModel) -> None:
    plain = _fitted(split, _judgements())
    other_training, other_exam = _fitted(split, _judgements(Side.TRAIN)), _fitted(split, _judgements(Side.EXAM))
    probe = ANSWERS[:30]
    assert torch.equal(other_training.examiner.scores(probe), plain.examiner.scores(probe))
    assert not torch.equal(other_training.model.scores(probe), plain.model.scores(probe))
    assert torch.equal(other_exam.model.scores(probe), plain.model.scores(probe))
    assert not torch.equal(other_exam.examiner.scores(probe), plain.examiner.scores(probe))


def test_all_judgements_are_checked_by_a_model_that_was_not_trained_on_them(split: SplitModel) -> None:
    fitted = _fitted(split, _judgements(), lora_epochs=0)
    assert fitted.rung == "head"
    assert fitted.metrics.pairs == fitted.examiner_metrics.pairs == 120
    assert fitted.metrics.accuracy is not None
    assert fitted.metrics.accuracy > 0.6  # from 72 pairs; a coin gives more than that once in a hundred times


def test_scores_are_told_on_the_scale_of_the_initial_models_replies(split: SplitModel) -> None:
    scores = _fitted(split, _judgements()).model.scores(ANSWERS[:40])
    assert float(scores.mean()) == pytest.approx(0.0, abs=1e-6)
    assert float(scores.std(correction=0)) == pytest.approx(1.0, abs=1e-6)


def test_the_average_of_heads_gives_the_mean_of_their_rewards(split: SplitModel) -> None:
    judgements = _judgements()
    answers = judgements.answers()
    row_of = {answer: row for row, answer in enumerate(answers)}
    features = Features.of(pooled_states(split, answers))
    heads = fit_members(features, judgements, row_of, 0.3, count=3, seed=0)
    assert len({float(head.rewards(features)[0]) for head in heads}) == 3
    mean = torch.stack([head.rewards(features) for head in heads]).mean(0)
    torch.testing.assert_close(average(heads).rewards(features), mean)


def test_what_the_members_disagree_about_is_taken_off_and_the_folder_is_read_back_alike(
    split: SplitModel, tmp_path: Path
) -> None:
    judgements = _judgements()
    row_of = {answer: row for row, answer in enumerate(judgements.answers())}
    features = Features.of(pooled_states(split, judgements.answers()))
    heads = fit_members(features, judgements, row_of, 0.3, count=3, seed=0)
    model = RewardModel(split, average(heads), members=heads).normalised(ANSWERS[:40])
    pooled = pooled_states(split, ANSWERS[:10])
    members = torch.stack([member.scores(pooled) for member in model.members])
    expected = model.head.scores(pooled) - members.var(0, correction=0)
    torch.testing.assert_close(model.scores(ANSWERS[:10]), expected)
    save_reward_model(model, tmp_path)
    assert torch.equal(load_reward_model(tmp_path, split).scores(ANSWERS[:10]), model.scores(ANSWERS[:10]))


def test_a_lora_is_read_back_alike(split: SplitModel, tmp_path: Path) -> None:
    judgements = _judgements()
    row_of = {answer: row for row, answer in enumerate(judgements.answers())}
    head = fit_head(pooled_states(split, judgements.answers()), make_batch(judgements, row_of), 0.3)
    adapter, top = split.adapter()
    with torch.no_grad():
        for name, weight in adapter.named_parameters():
            if "lora_B" in name:
                weight.normal_(0, 0.1, generator=torch.Generator().manual_seed(0))
    model = RewardModel(split, head, adapter, top)
    save_reward_model(model, tmp_path)
    assert not torch.equal(model.scores(ANSWERS[:10]), RewardModel(split, head).scores(ANSWERS[:10]))
    assert torch.equal(load_reward_model(tmp_path, split).scores(ANSWERS[:10]), model.scores(ANSWERS[:10]))


def test_from_scratch_the_top_is_drawn_anew_and_the_base_stays_as_it_was(split: SplitModel, tmp_path: Path) -> None:
    before = pooled_states(split, ANSWERS[:5])
    scratch, again = (reward_split(split, "scratch", tmp_path, seed=3) for _ in range(2))
    assert torch.equal(pooled_states(scratch, ANSWERS[:5]), pooled_states(again, ANSWERS[:5]))
    assert not torch.equal(pooled_states(scratch, ANSWERS[:5]), before)
    assert torch.equal(pooled_states(split, ANSWERS[:5]), before)
    ids = torch.tensor([list(range(3, 35))])
    assert torch.equal(scratch.trunk(ids), split.trunk(ids))
