"""The ptx term: which texts it imitates, how they are weighed, and that it teaches them."""

import math
from pathlib import Path

import pytest
import torch

from tests.training_fixtures import tiny_base
from training.judgements import Answer, Judgements, PairJudgement, Preferred, ThumbJudgement
from training.policy import Policy
from training.ptx import LONGEST, Example, examples_of, ptx_loss, trusted
from training.split import Side
from training.trunk import SplitModel

ONE, OTHER, THIRD = Answer((5, 6), (7, 8, 2)), Answer((5, 6), (9, 2)), Answer((4,), (3, 2))


def _pair(kind: str, better: Answer, worse: Answer, weight: float = 0.5) -> PairJudgement:
    return PairJudgement(better, worse, Preferred.LEFT, weight, "c", Side.TRAIN, (kind, "1"))


def _thumb(answer: Answer, *, is_up: bool, weight: float = 0.25) -> ThumbJudgement:
    return ThumbJudgement(answer, is_up, weight, "c", Side.TRAIN, ("thumb", "2"))


def test_corrections_and_liked_replies_are_imitated_duels_and_disliked_ones_are_not() -> None:
    judgements = Judgements(
        (_pair("correction", ONE, OTHER), _pair("duel", THIRD, OTHER, 1.0)),
        (_thumb(ONE, is_up=True), _thumb(THIRD, is_up=True), _thumb(OTHER, is_up=False)),
    )
    assert examples_of(judgements) == [Example(ONE, 0.75), Example(THIRD, 0.25)]


def _likes(person: str, count: int) -> tuple[ThumbJudgement, ...]:
    answers = [Answer((5, number), (ord(person[0]), 2)) for number in range(count)]
    return tuple(
        ThumbJudgement(answer, True, 0.5, "c", Side.TRAIN, ("thumb", f"{person}{number}"), person)
        for number, answer in enumerate(answers)
    )


def test_whom_nobody_should_learn_from_is_not_imitated_and_a_flood_of_likes_is_capped() -> None:
    people = [f"{letter}n" for letter in "abcdefgh"]
    judgements = Judgements((), sum((_likes(person, 5) for person in people), _likes("flood", 500)))
    kept = trusted(judgements, ["an"], "2026-01-01T00:00:00+00:00")
    weights: dict[str, float] = {}
    for thumb in kept.thumbs:
        weights[thumb.person] = weights.get(thumb.person, 0.0) + thumb.weight
    assert "an" not in weights
    assert weights["flood"] < 0.25 * sum(weights.values())  # of 8 people none carries more than a fifth


def test_a_text_that_would_cost_more_than_a_minibatch_is_left_out() -> None:
    long = Answer((5,) * LONGEST, (7, 2))
    assert examples_of(Judgements((_pair("correction", long, ONE),), ())) == []


def test_the_loss_is_the_mean_over_tokens_at_temperature_one(tmp_path: Path) -> None:
    policy = Policy(SplitModel(tiny_base(tmp_path), top_layers=2), seed=0)
    loss = ptx_loss(policy, [Example(ONE, 1.0)], 2, torch.Generator().manual_seed(0))
    with torch.no_grad():
        logits = policy.split.base.model(torch.tensor([[5, 6, 7, 8, 2]])).logits[0].log_softmax(-1)
    # The token at place i is foretold at place i - 1; the same text twice has the same mean.
    expected = -sum(float(logits[place - 1, token]) for place, token in ((2, 7), (3, 8), (4, 2))) / 3
    assert float(loss.detach()) == pytest.approx(expected, abs=1e-4)


def test_texts_are_drawn_by_weight(tmp_path: Path) -> None:
    policy = Policy(SplitModel(tiny_base(tmp_path), top_layers=2), seed=0)
    only = [Example(ONE, 1.0), Example(OTHER, 0.0)]
    with torch.no_grad():
        drawn = ptx_loss(policy, only, 8, torch.Generator().manual_seed(0))
        assert float(drawn) == pytest.approx(float(ptx_loss(policy, only[:1], 8, torch.Generator())), abs=1e-5)


def test_steps_on_it_make_the_texts_likelier(tmp_path: Path) -> None:
    policy = Policy(SplitModel(tiny_base(tmp_path), top_layers=2), seed=0)
    optimiser = torch.optim.AdamW(policy.weights(), lr=5e-3)
    generator = torch.Generator().manual_seed(0)
    losses = []
    for _ in range(15):
        optimiser.zero_grad()
        loss = ptx_loss(policy, [Example(ONE, 1.0), Example(OTHER, 1.0)], 4, generator)
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] - math.log(2)
