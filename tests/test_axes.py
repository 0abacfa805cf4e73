"""Axes: what a fit makes of directions known beforehand, and the directions that the texts of a model give."""

import math
from pathlib import Path

import pytest
import torch

from nightschool.chat_format import encode_prompt, encode_text
from nightschool.records import Message
from tests.training_fixtures import tiny_base
from training import design_matrix
from training.axes import ASKED, axes_of
from training.axis_texts import AXES
from training.design_matrix import Design
from training.features import Features
from training.judgements import Answer, Judgements, PairJudgement, Preferred
from training.reading import POOL_TOKENS
from training.reward_fit import CENTRING, SMOOTHING, Batch, cross_validate, fit_head, joint_loss, make_batch
from training.reward_model import pooled_states
from training.split import Side
from training.trunk import SplitModel

SIZE = 12
RIDGE = 0.3


def _world(pairs: int, seed: int = 0) -> tuple[torch.Tensor, Judgements, dict[Answer, int], torch.Tensor]:
    """Two texts a pair of correlated features, the one further along a direction preferred, one in ten wrong."""
    generator = torch.Generator().manual_seed(seed)
    mixed = torch.randn(2 * pairs, SIZE, generator=generator) @ torch.randn(SIZE, SIZE, generator=generator)
    features = mixed + torch.randn(SIZE, generator=generator)
    taste = torch.randn(SIZE, generator=generator)
    answers = [Answer((1,), (number + 3,)) for number in range(2 * pairs)]
    made = []
    for number in range(pairs):
        gap = float((features[2 * number] - features[2 * number + 1]) @ taste)
        is_wrong = float(torch.rand((), generator=generator)) < 0.1
        preferred = Preferred.LEFT if (gap > 0) != is_wrong else Preferred.RIGHT
        sides = answers[2 * number], answers[2 * number + 1]
        made.append(PairJudgement(*sides, preferred, 1.0, str(number), Side.TRAIN, ("duel", str(number))))
    return features, Judgements(tuple(made), ()), {answer: row for row, answer in enumerate(answers)}, taste


def _some_axes() -> torch.Tensor:
    return torch.randn(3, SIZE, generator=torch.Generator().manual_seed(9)).double()


def _with_that_prior(table: torch.Tensor, batch: Batch, axes: torch.Tensor, log_nu: torch.Tensor) -> torch.Tensor:
    """The same fit, told otherwise: one weight whose prior has the covariance I + B'B. -> rewards [texts]."""
    rows = table.double() - table.double().mean(0)
    rows = rows / rows.std(0, correction=0)
    directions = axes / (table.double().std(0, correction=0))
    directions = directions / directions.norm(dim=1, keepdim=True)
    spread = (rows @ directions.T).std(0, correction=0)
    stretched = directions * (math.sqrt(SIZE / len(axes)) / spread)[:, None]
    precision = torch.linalg.inv(torch.eye(SIZE).double() + stretched.T @ stretched)
    weight = torch.zeros(SIZE, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([weight], max_iter=2000, tolerance_grad=1e-10, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        rewards = rows @ weight
        loss = joint_loss(rewards, batch, log_nu, torch.zeros(()), SMOOTHING)
        loss = loss + CENTRING * rewards.square().mean() + 0.5 * RIDGE * weight @ precision @ weight
        loss.backward()
        return loss

    for _ in range(5):
        optimiser.step(closure)
    return (rows @ weight).detach()


@pytest.mark.parametrize("pairs", [4, 40], ids=["fewer texts than features", "more texts than features"])
@pytest.mark.parametrize("limit", [design_matrix.IN_MEMORY, 0], ids=["in memory", "too large to hold"])
def test_a_fit_with_axes_is_the_fit_of_one_direction_whose_prior_is_longer_along_them(
    pairs: int, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, judgements, row_of, _ = _world(pairs)
    batch, axes = make_batch(judgements, row_of), _some_axes()
    monkeypatch.setattr(design_matrix, "IN_MEMORY", limit)
    head = fit_head(Features.of(table).along(axes), batch, RIDGE)
    expected = _with_that_prior(table, batch, axes, head.log_nu)
    torch.testing.assert_close(head.rewards(table), expected, atol=1e-4, rtol=1e-3)
    plain = fit_head(table, batch, RIDGE)
    assert not torch.allclose(head.rewards(table), plain.rewards(table), atol=0.01)


@pytest.mark.parametrize("pairs", [4, 40], ids=["fewer texts than features", "more texts than features"])
@pytest.mark.parametrize("limit", [design_matrix.IN_MEMORY, 0], ids=["in memory", "too large to hold"])
def test_a_head_is_told_in_the_coordinates_it_was_fitted_in(
    pairs: int, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, judgements, row_of, _ = _world(pairs)
    batch = make_batch(judgements, row_of)
    monkeypatch.setattr(design_matrix, "IN_MEMORY", limit)
    features = Features.of(table).along(_some_axes())
    design = Design.of(features, batch.counts(len(table)))
    fitted = torch.randn(design.size, generator=torch.Generator().manual_seed(1)).double()
    told = design.coordinates(design.weight(fitted) / design.scale)
    torch.testing.assert_close(design.rewards(told), design.rewards(fitted))  # the same direction,
    assert float(told.norm()) <= float(fitted.norm())  # told no longer than it was,
    torch.testing.assert_close(design.coordinates(design.weight(told) / design.scale), told)  # and in the shortest way
    whole = fit_head(features, batch, RIDGE)
    again = fit_head(features, batch, RIDGE, start=whole)
    torch.testing.assert_close(again.weight, whole.weight, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("limit", [design_matrix.IN_MEMORY, 0], ids=["in memory", "too large to hold"])
def test_texts_vary_along_all_axes_alike_and_together_as_in_all_features(
    limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, judgements, row_of, _ = _world(40)
    table[:, 0] = 2.0  # nobody differs in it
    constant = torch.eye(SIZE, dtype=torch.float64)[:1]
    monkeypatch.setattr(design_matrix, "IN_MEMORY", limit)
    counts = make_batch(judgements, row_of).counts(len(table))
    design = Design.of(Features.of(table).along(torch.cat([_some_axes(), constant])), counts)
    along = torch.stack([design.rewards(row) for row in torch.eye(design.size).double()[-4:]], 1)
    spread = along.square().mean(0)
    torch.testing.assert_close(spread, torch.tensor([SIZE / 4] * 3 + [0.0]).double())
    assert not design.axes[3].any()


def test_the_ridge_of_very_many_judgements_is_chosen_with_the_axes_too(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def note(features: Features, counts: torch.Tensor) -> Design:
        seen.append(len(features.axes))
        return made(features, counts)

    table, judgements, row_of, _ = _world(40)
    made = Design.of
    monkeypatch.setattr("training.reward_fit.ENOUGH_FOR_RIDGE", 20)
    monkeypatch.setattr(Design, "of", note)
    cross_validate(Features.of(table).along(_some_axes()), judgements, row_of)
    assert len(seen) == 10  # five folds of some, and of all
    assert set(seen) == {3}


def test_few_judgements_tell_more_where_an_axis_is_what_people_judge_by() -> None:
    plain, helped, misled = [], [], []
    for seed in range(8):
        table, judgements, row_of, taste = _world(220, seed)
        few = Judgements(judgements.pairs[:20], ())
        gaps = (table[0::2] - table[1::2]).double()[20:]
        truth = gaps @ taste.double() > 0
        other = torch.randn(1, SIZE, generator=torch.Generator().manual_seed(seed)).double()
        # What distinguishes texts that differ in the taste: its covariance with the features.
        known = (torch.cov(table.double().T) @ taste.double())[None]
        for found, axes in ((plain, other[:0]), (helped, known), (misled, other)):
            head = fit_head(Features.of(table).along(axes), make_batch(few, row_of), 1.0)
            foretold = gaps @ (head.weight / head.scale) > 0
            found.append(float((foretold == truth).double().mean()))
    assert sum(helped) / 8 > sum(plain) / 8 + 0.03
    assert sum(misled) / 8 > sum(plain) / 8 - 0.05


def test_the_axes_of_a_model_are_differences_of_means_a_token_and_then_the_mean(tmp_path: Path) -> None:
    split = SplitModel(tiny_base(tmp_path), 2)
    tokenizer = split.base.tokenizer
    asked = tuple(encode_prompt(tokenizer, [Message("user", ASKED)]))

    def per_token(text: str) -> torch.Tensor:
        ids = (*encode_text(tokenizer, text), tokenizer.eos_token_id)
        return pooled_states(split, [Answer(asked, ids)])[0].double() * POOL_TOKENS / len(ids)

    found = axes_of(split)
    assert found.shape == (len(AXES) + 1, 2 * split.size)
    for axis in ("encouraging", "vivid"):
        pairs = AXES[axis]
        mean = torch.stack([per_token(more) - per_token(less) for more, less in pairs]).mean(0)
        torch.testing.assert_close(found[list(AXES).index(axis)], mean, atol=1e-4, rtol=1e-3)
    texts = [text for pairs in AXES.values() for pair in pairs for text in pair]
    assert len(set(texts)) == len(texts)
    torch.testing.assert_close(
        found[-1], torch.stack([per_token(text) for text in texts]).mean(0), atol=1e-4, rtol=1e-3
    )
