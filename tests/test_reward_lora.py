"""The LoRA rung: what a step is, how much each act moves it, and when the LoRA is kept."""

import re
from dataclasses import replace
from typing import Any

import pytest
import torch

from tests.training_fixtures import random_answers, tiny_base
from training.features import Features
from training.judgements import Answer, Judgements, PairJudgement, Preferred, ThumbJudgement
from training.reading import TrunkStates, read_texts
from training.reward_fit import fit_head, joint_loss, make_batch
from training.reward_lora import BATCH, refine, step_loss, train_lora
from training.reward_model import RewardHead
from training.split import Side
from training.trunk import SplitModel

ANSWERS = random_answers(160)
ALMOST_NOTHING = 1e-12


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> SplitModel:
    return SplitModel(tiny_base(tmp_path_factory.mktemp("tiny")), top_layers=2)


def _pair(number: int, preferred: Preferred, weight: float = 1.0) -> PairJudgement:
    left, right = ANSWERS[2 * number], ANSWERS[2 * number + 1]
    return PairJudgement(left, right, preferred, weight, str(number), Side.TRAIN, ("duel", str(number)))


def _longer(number: int) -> Preferred:
    left, right = ANSWERS[2 * number], ANSWERS[2 * number + 1]
    return Preferred.LEFT if len(left.token_ids) > len(right.token_ids) else Preferred.RIGHT


def _head(split: SplitModel, judgements: Judgements) -> tuple[RewardHead, Features, dict[Answer, int]]:
    answers = judgements.answers()
    row_of = {answer: row for row, answer in enumerate(answers)}
    features = read_texts(split, answers)
    return fit_head(features, make_batch(judgements, row_of), 0.1), features, row_of


def _trained(split: SplitModel, judgements: Judgements, head: RewardHead, **limits: Any) -> tuple[torch.Tensor, int]:
    """All trained weights in one row, and the steps taken."""
    adapter, _, steps = train_lora(split, head, judgements, TrunkStates(split), **({"epochs": 1, "seed": 0} | limits))
    return torch.cat([w.detach().flatten() for n, w in adapter.named_parameters() if "lora_B" in n]), steps


def test_an_act_of_almost_no_weight_moves_the_lora_by_almost_nothing_though_alone_in_its_step(
    split: SplitModel,
) -> None:
    # Nine acts make a step of eight and one of one; the last of the shuffled order has almost no weight.
    last = int(torch.randperm(BATCH + 1, generator=torch.Generator().manual_seed(0))[-1])
    pairs = [_pair(number, Preferred.LEFT) for number in range(BATCH + 1)]

    def with_last(preferred: Preferred, weight: float) -> torch.Tensor:
        changed = [replace(p, preferred=preferred, weight=weight) if n == last else p for n, p in enumerate(pairs)]
        return _trained(split, Judgements(tuple(changed), ()), head)[0]

    head, _, _ = _head(split, Judgements(tuple(pairs), ()))
    light, turned = (with_last(side, ALMOST_NOTHING) for side in (Preferred.LEFT, Preferred.RIGHT))
    heavy, heavy_turned = (with_last(side, 1.0) for side in (Preferred.LEFT, Preferred.RIGHT))
    moved = float((heavy - heavy_turned).abs().max())
    assert moved > 1e-4  # of a learning rate of 2e-4: the label of a whole act is felt
    assert float((light - turned).abs().max()) < 1e-3 * moved


def test_all_pairs_of_one_ranking_are_one_act_of_one_step(split: SplitModel) -> None:
    # Sixteen rankings of three (48 pairs) are two steps of eight acts.
    pairs = []
    for number in range(2 * BATCH):
        one, two, three = ANSWERS[3 * number : 3 * number + 3]
        where = (2 / 3, str(number), Side.TRAIN, ("ranking", str(number)))
        pairs += [PairJudgement(*sides, Preferred.LEFT, *where) for sides in ((one, two), (one, three), (two, three))]
    judgements = Judgements(tuple(pairs), ())
    head, _, _ = _head(split, judgements)
    assert _trained(split, judgements, head)[1] == 2
    assert _trained(split, judgements, head, epochs=3)[1] == 6
    assert _trained(split, judgements, head, epochs=3, steps=4)[1] == 4
    assert _trained(split, judgements, head, seconds=-1.0) == (pytest.approx(0.0), 0)


@pytest.mark.parametrize("learnable", [True, False])
def test_a_lora_is_kept_exactly_where_it_lowers_the_log_loss_of_held_out_conversations(
    split: SplitModel, learnable: bool
) -> None:
    # The longer reply is preferred; or the shorter one in the fifth of the conversations that is kept back.
    kept_back = set(sorted(map(str, range(80)))[::5])
    opposite = {Preferred.LEFT: Preferred.RIGHT, Preferred.RIGHT: Preferred.LEFT}
    preferred = [_longer(n) if learnable or str(n) not in kept_back else opposite[_longer(n)] for n in range(80)]
    train = Judgements(tuple(_pair(number, side) for number, side in enumerate(preferred)), ())
    _, features, row_of = _head(split, train)
    told: list[str] = []
    head = fit_head(features, make_batch(train, row_of), 1.0)
    found = refine(
        split, head, 1.0, train, Judgements((), ()), features, row_of, TrunkStates(split),
        epochs=8, seconds=60, seed=0, say=told.append,
    )  # fmt: skip
    after, before = map(float, re.findall(r"\d\.\d{3}", told[0]))
    assert (found is not None) is learnable
    assert (after < before) is learnable
    if found is not None:
        assert {entry.judgement.component for entry in found.held_out} == kept_back


def test_before_its_first_step_the_loss_is_that_of_the_heads_own_rewards_and_thresholds(split: SplitModel) -> None:
    thumbs = tuple(
        ThumbJudgement(ANSWERS[n], n % 3 > 0, 0.5, str(n), Side.TRAIN, ("thumb", str(n)), "ab"[n % 2])
        for n in range(20)
    )
    judgements = Judgements(tuple(_pair(number, _longer(number)) for number in range(30)), thumbs)
    head, features, row_of = _head(split, judgements)
    assert {*head.leniency} == {"a", "b"}
    batch = make_batch(judgements, row_of)
    leniency = torch.tensor([head.leniency[person] for person in batch.people])
    expected = joint_loss(head.rewards(features), batch, head.log_nu, head.delta, 0.1, leniency)
    with torch.no_grad():
        found = step_loss(split, split.adapter()[1], head, judgements.all, TrunkStates(split), 0.1)
    assert float(found) == pytest.approx(float(expected), abs=1e-5)
    assert abs(float(head.delta)) > 0.05  # else it would not be seen whether thumbs turn there
