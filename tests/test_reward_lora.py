"""The LoRA rung: what a step is, how much each act moves it, and when the LoRA is kept."""

import math
import re
from dataclasses import replace
from typing import Any

import pytest
import torch

from tests.training_fixtures import random_answers, tiny_base
from training import reward_lora
from training.features import Features
from training.judgements import Answer, Judgements, PairJudgement, Preferred, ThumbJudgement
from training.reading import TrunkStates, read_texts
from training.reward_fit import HeldOut, fit_head, joint_loss, make_batch, mean_log_loss
from training.reward_lora import (
    BATCH,
    FEW,
    FOLDS,
    LEARNING_RATE,
    LOOKS,
    PATIENCE,
    WARM_UP,
    Refinement,
    Trial,
    refine,
    step_loss,
    train_lora,
    try_lora,
)
from training.reward_model import RewardHead
from training.split import Side
from training.trunk import SplitModel

ANSWERS = random_answers(480)
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
    assert moved > 2e-5  # of a second step of 4e-5: the label of a whole act is felt
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


def _refined(split: SplitModel, preferred: list[Preferred], **limits: Any) -> tuple[Refinement | None, str]:
    """What became of the LoRA for pairs 0, 1, ... with these outcomes, and what was said of it."""
    train = Judgements(tuple(_pair(number, side) for number, side in enumerate(preferred)), ())
    head, features, row_of = _head(split, train)
    told: list[str] = []
    found = refine(
        split, head, 1.0, train, Judgements((), ()), features, row_of, TrunkStates(split),
        **({"epochs": 8, "seconds": 120, "seed": 0} | limits), say=told.append,
    )  # fmt: skip
    return found, told[0]


def _coins(count: int) -> list[Preferred]:
    heads = torch.rand(count, generator=torch.Generator().manual_seed(3)) < 0.5
    return [Preferred.LEFT if head else Preferred.RIGHT for head in heads]


FEWER, MORE = 80, FEW + 20
"""Pairs for which every fifth takes its turn, and for which one fifth is held out."""


@pytest.mark.parametrize("count", [FEWER, MORE])
def test_a_lora_is_kept_exactly_where_it_lowers_the_log_loss_of_held_out_conversations(
    split: SplitModel, count: int
) -> None:
    # The longer reply is preferred (learnable), or a coin decides.
    for learnable in (True, False):
        found, told = _refined(split, [_longer(n) for n in range(count)] if learnable else _coins(count))
        after, before = map(float, re.findall(r"\d\.\d{3}", told)[:2])
        assert (found is not None) is learnable, told
        assert (after < before) is learnable, told
        if found is not None:
            held_out = sorted(map(str, range(count)))
            asked = sorted(entry.judgement.component for entry in found.held_out)
            assert asked == (held_out if count == FEWER else held_out[::5])


def test_no_trial_learns_from_what_it_foretells(split: SplitModel, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[tuple[set[str], set[str]]] = []

    def noted(
        split: SplitModel, ridge: float, learned: Judgements, held: Judgements, *rest: Any, **words: Any
    ) -> Trial:
        tried.append(({judgement.component for judgement in learned.all}, {j.component for j in held.all}))
        return try_lora(split, ridge, learned, held, *rest, **words)

    monkeypatch.setattr(reward_lora, "try_lora", noted)
    _refined(split, _coins(FEWER), epochs=1)
    assert len(tried) == FOLDS
    assert all(not learned & held for learned, held in tried)
    assert sorted(name for _, held in tried for name in held) == sorted(map(str, range(FEWER)))


def _tried(split: SplitModel, learned: list[Preferred], held: list[Preferred], epochs: int) -> Trial:
    pairs = [_pair(number, side) for number, side in enumerate(learned + held)]
    train, asked = Judgements(tuple(pairs[: len(learned)]), ()), Judgements(tuple(pairs[len(learned) :]), ())
    answers = (train + asked).answers()
    row_of = {answer: row for row, answer in enumerate(answers)}
    features, trunk = read_texts(split, answers), TrunkStates(split)
    return try_lora(split, 1.0, train, asked, features, row_of, trunk, epochs=epochs, seconds=120, seed=0)


def test_a_trial_stops_early_once_the_held_out_log_loss_has_risen_long_enough(split: SplitModel) -> None:
    # Learned: the longer reply; held out: the shorter one. Each step makes it worse, so the first look stays the best.
    learned = [_longer(number) for number in range(64)]
    opposite = {Preferred.LEFT: Preferred.RIGHT, Preferred.RIGHT: Preferred.LEFT}
    held = [_longer(number) for number in range(64, 96)]
    worse = _tried(split, learned, [opposite[side] for side in held], epochs=6)
    assert len(worse.looks) == 1 + PATIENCE
    better = _tried(split, learned, held, epochs=2)
    assert len(better.looks) == 1 + 2 * LOOKS  # 64 acts are 8 steps an epoch, 2 steps from look to look
    assert (better.steps_between, better.acts) == (2, 64)
    losses = [mean_log_loss(look) for look in better.looks]
    assert losses[-1] < losses[0]


def test_the_kept_lora_is_trained_for_as_long_as_foretold_best(
    split: SplitModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Trials say: best after the second look of 5 steps on 64 acts each. For 80 acts that is 2 * 5 / 64 * 80 = 12.5.
    def judged(p: float) -> list[HeldOut]:
        return [HeldOut(_pair(n, Preferred.LEFT), math.log(p / (1 - p)), -math.log(p)) for n in range(16)]

    trial = Trial((judged(0.5), judged(0.6), judged(0.8), judged(0.7)), 5, 64)
    monkeypatch.setattr(reward_lora, "try_lora", lambda *rest, **words: trial)
    taken: list[int | None] = []

    def noted(*rest: Any, steps: int | None = None, **words: Any) -> tuple[Any, Any, int]:
        taken.append(steps)
        return train_lora(*rest, steps=steps, **words)

    monkeypatch.setattr(reward_lora, "train_lora", noted)
    found, told = _refined(split, [_longer(number) for number in range(FEWER)])
    assert found is not None
    assert "after 0.5 epochs" in told
    assert taken == [12]
    assert len(found.held_out) == FOLDS * 16


def test_the_learning_rate_rises_over_the_first_steps(split: SplitModel) -> None:
    # AdamW's first step moves each weight by the learning rate (its gradient's size cancels): a tenth of it here.
    judgements = Judgements(tuple(_pair(number, _longer(number)) for number in range(BATCH)), ())
    head, _, _ = _head(split, judgements)
    weights, _ = _trained(split, judgements, head, steps=1)
    assert float(weights.abs().max()) == pytest.approx(LEARNING_RATE / WARM_UP, rel=0.05)


def test_scores_are_the_same_from_cached_states_and_from_fresh_ones(split: SplitModel) -> None:
    judgements = Judgements(tuple(_pair(number, _longer(number)) for number in range(30)), ())
    head, _, _ = _head(split, judgements)
    _, top, _ = train_lora(split, head, judgements, TrunkStates(split), epochs=2, seed=0)
    answers = judgements.answers()
    cached = TrunkStates(split)
    read_texts(split, answers, trunk=cached, keep=answers)
    assert cached.has(answers)
    of_cached, of_fresh = (head.rewards(read_texts(split, answers, top, trunk=t)) for t in (cached, None))
    assert torch.equal(of_cached, of_fresh)
    assert float(of_fresh.std()) > 0.01


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
