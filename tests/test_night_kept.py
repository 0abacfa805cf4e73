"""What a night keeps of its stages comes back as it was."""

import json
from dataclasses import replace
from pathlib import Path

import torch

from tests.exams import GOOD
from tests.training_fixtures import random_answers, random_head, tiny_base
from training.cross_fit import CrossFit
from training.judgements import Judgements, PairJudgement, Preferred, ThumbJudgement
from training.night_kept import (
    exam_from_json,
    exam_to_json,
    judgements_from_json,
    judgements_to_json,
    load_fitted,
    reward_layers_kept,
    save_fitted,
)
from training.night_work import NightWork, sweep
from training.reward_fit import HeldOut
from training.reward_ladder import FittedReward
from training.reward_metrics import measure
from training.reward_model import RewardModel
from training.split import Side
from training.trunk import SplitModel


def _judgements() -> Judgements:
    a, b, c, d = random_answers(4)
    return Judgements(
        (
            PairJudgement(a, b, Preferred.TIE, 0.5, "one", Side.EXAM, ("duel", "1"), "ann", "2026-01-01"),
            PairJudgement(b, c, Preferred.LEFT, 1.0, "two", Side.TRAIN, ("thumb", "2"), also=(("thumb", "3"),)),
        ),
        (ThumbJudgement(d, True, 0.5, "two", Side.VALIDATION, ("thumb", "4"), "bob", "2026-01-02"),),
    )


def _through_json(value: object) -> object:
    return json.loads(json.dumps(value))


def test_judgements_come_back_equal_with_receipts_sides_and_weights() -> None:
    judgements = _judgements()
    assert judgements_from_json(_through_json(judgements_to_json(judgements))) == judgements  # type: ignore[arg-type]


def test_an_exam_comes_back_equal() -> None:
    before, after = random_answers(3), random_answers(3, seed=1)
    found = exam_from_json(_through_json(exam_to_json(GOOD, before, after)))  # type: ignore[arg-type]
    assert found == (GOOD, before, after)


def test_a_fitted_reward_model_scores_as_before(tmp_path: Path) -> None:
    split = SplitModel(tiny_base(tmp_path), top_layers=2)
    judgements = _judgements()
    metrics = measure([HeldOut(judgement, 0.3, 0.6) for judgement in judgements.all])
    adapter, top = split.adapter()
    with torch.no_grad():
        for weight in adapter.parameters():
            if weight.requires_grad:
                weight.normal_(0.0, 0.1)
    fitted = FittedReward(
        model=RewardModel(split, random_head(split), adapter, top),
        metrics=metrics,
        examiner=RewardModel(split, random_head(split, 5)),
        examiner_metrics=metrics,
        ridge=0.3,
        rung="lora",
        distrusted=("eve",),
        heads=(random_head(split, 6), random_head(split, 7)),
        examiner_folds=CrossFit((random_head(split, 8), random_head(split, 9)), {"why?": 1, "how?": 0}),
    )
    save_fitted(fitted, tmp_path / "reward")
    again = load_fitted(tmp_path / "reward", split)
    answers = random_answers(12)
    assert torch.equal(fitted.model.scores(answers), again.model.scores(answers))
    assert torch.equal(fitted.examiner.scores(answers), again.examiner.scores(answers))
    pooled = fitted.examiner.pooled(answers)
    for head, kept in zip(fitted.heads, again.heads, strict=True):
        assert torch.equal(head.scores(pooled), kept.scores(pooled))
    asked = ["why?", "how?", "never judged"] * 4
    by_fold = fitted.examiner_folds.scores(fitted.examiner.head, pooled, asked)
    assert torch.equal(again.examiner_folds.scores(again.examiner.head, pooled, asked), by_fold)
    assert reward_layers_kept(tmp_path / "reward", of_policy=3) == 2
    assert (again.metrics, again.ridge, again.rung, again.distrusted) == (metrics, 0.3, "lora", ("eve",))
    path = tmp_path / "reward" / "fitted.json"
    told = json.loads(path.read_text(encoding="utf-8"))
    del (  # a night begun before these were told
        told["metrics"]["pairs_log_loss"],
        told["examiner_metrics"]["pairs_log_loss"],
        told["reward_layers"],
    )
    path.write_text(json.dumps(told), encoding="utf-8")
    assert reward_layers_kept(tmp_path / "reward", of_policy=3) == 3
    older = load_fitted(tmp_path / "reward", split)
    assert older.metrics == older.examiner_metrics == replace(metrics, pairs_log_loss=None)


def test_a_sweep_removes_the_folders_of_its_nights_and_nothing_else(tmp_path: Path) -> None:
    for night in ("one", "two"):
        NightWork(tmp_path, night).keep("plan", {})
    (tmp_path / "v1-abc").mkdir()
    (tmp_path / ".v2-def.tmp").mkdir()
    (tmp_path / ".night-of-somebody-else").mkdir()
    sweep(tmp_path, ["one", "never-was"], [])
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {".night-two", "v1-abc", ".v2-def.tmp", ".night-of-somebody-else"}
    assert NightWork(tmp_path, "two").kept("plan") == {}
    assert NightWork(tmp_path, "one").kept("plan") is None


def test_a_sweep_removes_a_version_of_its_nights_that_never_got_a_row_and_no_other(tmp_path: Path) -> None:
    for name, told in {
        "v1-orphan": {"night": "one", "version": "v1-orphan"},
        "v2-known": {"night": "one", "version": "v2-known"},
        "v3-elsewhere": {"night": "of another database", "version": "v3-elsewhere"},
        "v4-copied": {"night": "one", "version": "v1-orphan"},
        "v5-strange": ["no config of ours"],
    }.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(json.dumps(told))
    sweep(tmp_path, ["one"], ["initial", "v2-known"])
    assert {path.name for path in tmp_path.iterdir()} == {"v2-known", "v3-elsewhere", "v4-copied", "v5-strange"}
