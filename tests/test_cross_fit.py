"""The examiner's heads by fold: none knows a label of the prompts it scores."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.training_fixtures import random_answers, random_head, tiny_base
from training.cross_fit import NO_FOLDS, CrossFit, cross_fit
from training.features import Features
from training.judgements import Answer, Judgements, PairJudgement, Preferred
from training.reward_fit import fit_head, fold_numbers, folds_of, make_batch
from training.split import Side
from training.trunk import SplitModel

SIZE, RIDGE = 12, 0.01
ANSWERS = random_answers(60)
TABLE = torch.randn(60, SIZE, generator=torch.Generator().manual_seed(0))
FLIPPED = {Preferred.LEFT: Preferred.RIGHT, Preferred.RIGHT: Preferred.LEFT}
ROWS = {answer: row for row, answer in enumerate(ANSWERS)}


def _pair(left: Answer, right: Answer, preferred: Preferred, component: str) -> PairJudgement:
    return PairJudgement(left, right, preferred, 1.0, component, Side.EXAM, ("duel", component))


def _by_coin(seed: int = 0, flipped: str = "") -> Judgements:
    """30 pairs of 30 conversations, the better one drawn by a coin; one of them the other way round."""
    coins = torch.randint(0, 2, (30,), generator=torch.Generator().manual_seed(seed)).tolist()
    pairs = []
    for number, coin in enumerate(coins):
        preferred = Preferred.LEFT if coin else Preferred.RIGHT
        preferred = FLIPPED[preferred] if str(number) == flipped else preferred
        pairs.append(_pair(ANSWERS[2 * number], ANSWERS[2 * number + 1], preferred, str(number)))
    return Judgements(tuple(pairs), ())


def _folds(judgements: Judgements) -> CrossFit:
    return cross_fit(Features.of(TABLE), judgements, ROWS, RIDGE, 0.0)


def _scores(folds: CrossFit, component: str) -> torch.Tensor:
    whole = fit_head(Features.of(TABLE), make_batch(_by_coin(), ROWS), RIDGE)
    return folds.scores(whole, TABLE, [component] * len(TABLE))


@pytest.mark.parametrize("component", ["0", "7", "29"])
def test_no_label_of_a_conversation_moves_the_scores_of_replies_in_it(component: str) -> None:
    before, after = _folds(_by_coin()), _folds(_by_coin(flipped=component))
    own = before.fold_of[component]
    assert torch.equal(_scores(after, component), _scores(before, component))
    others = [str(number) for number in range(30) if before.fold_of[str(number)] != own]
    assert not torch.equal(_scores(after, others[0]), _scores(before, others[0]))  # it is learned from elsewhere


def test_labels_of_a_coin_are_not_foretold_by_who_does_not_know_them() -> None:
    right = {"whole": 0, "folds": 0}
    for seed in range(10):
        judgements = _by_coin(seed)
        whole = fit_head(Features.of(TABLE), make_batch(judgements, ROWS), RIDGE)
        found = _folds(judgements).scores(whole, TABLE, [str(row // 2) for row in range(60)])
        for name, scores in (("whole", whole.scores(TABLE)), ("folds", found)):
            for pair in judgements.pairs:
                prefers_left = bool(scores[ROWS[pair.left]] > scores[ROWS[pair.right]])
                right[name] += prefers_left == (pair.preferred is Preferred.LEFT)
    assert right["whole"] > 230  # of 300: it knows most by heart
    assert 110 < right["folds"] < 190  # 150 by chance, give or take four standard errors


def test_what_nobody_judged_is_scored_by_the_whole_examiner(tmp_path: Path) -> None:
    split = SplitModel(tiny_base(tmp_path), top_layers=2)
    whole, first, second = (random_head(split, seed) for seed in range(3))
    folds = CrossFit((first, second), {"a": 0, "b": 1})
    pooled = torch.randn(4, 2 * split.size, generator=torch.Generator().manual_seed(0))
    found = folds.scores(whole, pooled, ["bank 3", "b", "a", "b"])
    expected = [head.scores(pooled)[row] for row, head in enumerate([whole, second, first, second])]
    torch.testing.assert_close(found, torch.stack(expected))
    assert NO_FOLDS.judged(["bank 3", "b"]) is None
    assert torch.equal(NO_FOLDS.scores(whole, pooled, ["bank 3", "b", "a", "b"]), whole.scores(pooled))


def test_every_head_is_told_on_the_scale_of_the_initial_models_replies() -> None:
    folds = _folds(_by_coin()).normalised(TABLE[:40])
    assert len(folds.heads) == 5
    for head in folds.heads:
        scores = head.scores(TABLE[:40])
        torch.testing.assert_close(scores.mean(), torch.tensor(0.0).double(), atol=1e-9, rtol=0)
        torch.testing.assert_close(scores.std(correction=0), torch.tensor(1.0).double())


def test_one_conversation_leaves_no_fold_to_leave_out() -> None:
    alone = _by_coin().where(lambda judgement: judgement.component == "3")
    assert _folds(alone) is NO_FOLDS
    two = _by_coin().where(lambda judgement: judgement.component in {"3", "4"})
    assert _folds(two).fold_of == {"3": 0, "4": 1}


def test_folds_are_those_of_the_cross_validation() -> None:
    judgements = _by_coin()
    numbers = fold_numbers(judgements)
    for place, (rest, held) in enumerate(folds_of(judgements)):
        assert {numbers[judgement.component] for judgement in held.all} == {place}
        assert place not in {numbers[judgement.component] for judgement in rest.all}
    again = replace(judgements, pairs=judgements.pairs[::-1])
    assert fold_numbers(again) == numbers  # whatever the order
