"""The reward model recovers what is known: a taste, how likely ties are, where thumbs turn (oracle 16 in small)."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from nightschool.shares import wilson
from tests.training_fixtures import random_answers, tiny_base
from training import design_matrix
from training.judgements import Answer, Judgements, PairJudgement, Preferred, ThumbJudgement
from training.reading import TrunkStates, read_texts
from training.reward_fit import (
    RIDGES,
    HeldOut,
    cross_validate,
    fit_head,
    folds_of,
    joint_gradients,
    joint_loss,
    make_batch,
    mean_log_loss,
    predict,
    smoothing_of,
)
from training.reward_lora import refine
from training.reward_metrics import gate, measure
from training.reward_model import load_head, pooled_states, save_head, zero_head
from training.split import Side
from training.trunk import SplitModel

SIZE, TEXTS = 6, 800


def _world(pairs: int, thumbs: int) -> tuple[torch.Tensor, torch.Tensor, Judgements, dict[Answer, int]]:
    """Texts with known rewards r; pairs and ties by Davidson (nu = .6), thumbs up where r > .5 (logistic)."""
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(TEXTS, SIZE, generator=generator)
    rewards = features.double() @ torch.tensor([1.5, -1.0, 0.5, 0.0, 0.0, 0.25]).double()
    answers = [Answer((1,), (index + 3,)) for index in range(TEXTS)]

    def uniform() -> float:
        return float(torch.rand((), generator=generator))

    made = []
    for index in range(pairs):
        left, right = torch.randint(TEXTS, (2,), generator=generator).tolist()
        d = float(rewards[left] - rewards[right])
        weights = [math.exp(d / 2), math.exp(-d / 2), 0.6]
        drawn = uniform() * sum(weights)
        preferred = (
            Preferred.LEFT if drawn < weights[0] else Preferred.RIGHT if drawn < sum(weights[:2]) else Preferred.TIE
        )
        made.append(
            PairJudgement(answers[left], answers[right], preferred, 1.0, str(index), Side.TRAIN, ("duel", str(index)))
        )
    votes = []
    for index in range(thumbs):
        text = int(torch.randint(TEXTS, (), generator=generator))
        is_up = uniform() < 1 / (1 + math.exp(-(float(rewards[text]) - 0.5)))
        votes.append(ThumbJudgement(answers[text], is_up, 0.5, f"t{index}", Side.TRAIN, ("thumb", str(index))))
    return features, rewards, Judgements(tuple(made), tuple(votes)), {a: row for row, a in enumerate(answers)}


def test_the_fit_recovers_a_known_reward_the_tie_rate_and_the_threshold() -> None:
    features, rewards, judgements, row_of = _world(1500, 1500)
    head = fit_head(features, make_batch(judgements, row_of), 0.003)
    fitted = head.rewards(features)
    assert float(torch.corrcoef(torch.stack([fitted, rewards]))[0, 1]) > 0.98
    assert 0.4 < math.exp(float(head.log_nu)) < 0.85
    # Up to the shift that standardising makes, thumbs turn at r = .5.
    shift = float((rewards - fitted * float(rewards.std() / fitted.std())).mean())
    assert float(head.delta) * float(rewards.std() / fitted.std()) + shift == pytest.approx(0.5, abs=0.3)


def test_a_thousand_pairs_and_thumbs_of_eight_people_recover_reward_ties_and_leniency() -> None:
    """Oracle 16 of the design: correlation above .93, nu = .6 within [.45, .75], leniency above .95."""
    features, rewards, judgements, row_of = _world(1000, 0)
    leniency = {f"p{person}": (person - 3.5) / 3 for person in range(8)}
    generator = torch.Generator().manual_seed(1)
    thumbs = []
    for index in range(1000):
        text = int(torch.randint(TEXTS, (), generator=generator))
        person = f"p{index % 8}"
        chance = 1 / (1 + math.exp(-(float(rewards[text]) - 0.5 - leniency[person])))
        is_up = bool(torch.rand((), generator=generator) < chance)
        answer = Answer((1,), (text + 3,))
        source = ("thumb", str(index))
        thumbs.append(ThumbJudgement(answer, is_up, 0.5, f"t{index}", Side.TRAIN, source, person))
    both = Judgements(judgements.pairs, tuple(thumbs))
    head = fit_head(features, make_batch(both, row_of), 0.003, smoothing=0.0)
    assert float(torch.corrcoef(torch.stack([head.rewards(features), rewards]))[0, 1]) > 0.93
    assert 0.45 < math.exp(float(head.log_nu)) < 0.75
    found = torch.tensor([[head.leniency[person], true] for person, true in leniency.items()])
    assert float(torch.corrcoef(found.T)[0, 1]) > 0.95


def test_adding_a_constant_to_all_rewards_moves_the_threshold_by_it_and_leaves_pairs_alone() -> None:
    features, _, judgements, row_of = _world(50, 50)
    batch = make_batch(judgements, row_of)
    rewards = features.double() @ torch.ones(SIZE).double()
    log_nu, delta = torch.tensor(-0.5).double(), torch.tensor(0.3).double()
    loss, moved = (joint_loss(rewards + c, batch, log_nu, delta + c, 0.1) for c in (0.0, 2.5))
    assert float(loss) == pytest.approx(float(moved), abs=1e-12)


@pytest.mark.parametrize("givers", [1, 3])
def test_derivatives_of_the_joint_loss_are_those_that_autograd_finds(givers: int) -> None:
    _, rewards, judgements, row_of = _world(60, 60)
    thumbs = tuple(replace(t, person=f"p{i % givers}") for i, t in enumerate(judgements.thumbs))
    batch = make_batch(Judgements(judgements.pairs, thumbs), row_of)
    assert len(batch.people) == (givers if givers > 1 else 0)
    given = [
        rewards,
        *(torch.tensor(number).double() for number in (-0.5, 0.3)),
        torch.randn(len(batch.people)).double(),
    ]
    rewards, log_nu, delta, leniency = (each.clone().requires_grad_() for each in given)
    joint_loss(rewards, batch, log_nu, delta, 0.1, leniency).backward()
    found = joint_gradients(given[0], batch, given[1], given[2], 0.1, given[3])
    for mine, given_one in zip(found, (rewards, log_nu, delta, leniency), strict=True):
        auto = given_one.grad if given_one.grad is not None else torch.zeros_like(given_one)
        torch.testing.assert_close(mine, auto, atol=1e-14, rtol=1e-10)


def test_a_fit_that_starts_from_another_one_ends_at_the_same_place() -> None:
    features, _, judgements, row_of = _world(300, 100)
    batch = make_batch(judgements, row_of)
    cold = fit_head(features, batch, 0.03)
    warm = fit_head(features, batch, 0.03, start=fit_head(features, batch, 3.0))
    torch.testing.assert_close(warm.rewards(features), cold.rewards(features), atol=1e-3, rtol=0)


@pytest.mark.parametrize("judged", [8, 200, 600])  # fewer texts than features, more, and more than a chunk
def test_a_table_too_large_to_hold_is_fitted_as_one_in_memory(monkeypatch: pytest.MonkeyPatch, judged: int) -> None:
    features, _, judgements, row_of = _world(300, 100)
    features = torch.cat([features, torch.randn(TEXTS, 34, generator=torch.Generator().manual_seed(1))], 1)
    some = Judgements(judgements.pairs[: judged // 2], judgements.thumbs[: judged // 2])
    batch, first = make_batch(some, row_of), make_batch(Judgements(judgements.pairs[:3], ()), row_of)
    found = []
    for limit in (design_matrix.IN_MEMORY, 0):
        monkeypatch.setattr(design_matrix, "IN_MEMORY", limit)
        start = fit_head(features, first, 0.3)
        found += [fit_head(features, batch, 0.03), fit_head(features, batch, 0.03, start=start)]
    for head in found[1:]:
        torch.testing.assert_close(head.weight, found[0].weight, atol=1e-4, rtol=0)
        torch.testing.assert_close(head.mean, found[0].mean)
        torch.testing.assert_close(head.scale, found[0].scale)
        torch.testing.assert_close(head.rewards(features), found[0].rewards(features), atol=1e-3, rtol=0)
        assert head.leniency == pytest.approx(found[0].leniency, abs=1e-4)


def test_thumbs_add_to_what_pairs_alone_can_tell() -> None:
    features, rewards, judgements, row_of = _world(40, 400)
    alone = fit_head(features, make_batch(Judgements(judgements.pairs, ()), row_of), 0.03).rewards(features)
    both = fit_head(features, make_batch(judgements, row_of), 0.03).rewards(features)

    def agreement(fitted: torch.Tensor) -> float:
        return float(torch.corrcoef(torch.stack([fitted, rewards]))[0, 1])

    assert agreement(both) > agreement(alone)


def test_a_person_who_prefers_the_opposite_gives_the_opposite_reward() -> None:
    features, _, judgements, row_of = _world(300, 0)
    opposite = {Preferred.LEFT: Preferred.RIGHT, Preferred.RIGHT: Preferred.LEFT, Preferred.TIE: Preferred.TIE}
    turned = Judgements(
        tuple(replace(p, preferred=opposite[p.preferred]) for p in judgements.pairs),
        (),
    )
    one, other = (fit_head(features, make_batch(j, row_of), 0.1).weight for j in (judgements, turned))
    torch.testing.assert_close(one, -other, atol=1e-3, rtol=0)


def test_cross_validation_never_predicts_a_conversation_from_itself() -> None:
    # Every conversation repeats one pair with one label at random: only memory could predict it.
    generator = torch.Generator().manual_seed(1)
    features = torch.randn(400, 60, generator=generator)
    answers = [Answer((1,), (index + 3,)) for index in range(400)]
    pairs = []
    for component in range(100):
        label = Preferred.LEFT if int(torch.randint(2, (), generator=generator)) else Preferred.RIGHT
        for copy in range(3):
            source = ("duel", f"{component} {copy}")
            pairs.append(
                PairJudgement(
                    answers[2 * component], answers[2 * component + 1], label, 1.0, str(component), Side.TRAIN, source
                )
            )
    judgements = Judgements(tuple(pairs), ())
    _, held = cross_validate(features, judgements, {a: row for row, a in enumerate(answers)})
    assert len(held) == 300
    accuracy = measure(held).accuracy
    assert accuracy is not None
    assert accuracy < 0.65


def test_shuffled_labels_do_not_pass_the_gate_and_real_ones_do() -> None:
    features, _, judgements, row_of = _world(200, 0)
    assert gate(measure(cross_validate(features, judgements, row_of)[1])) is None
    order = torch.randperm(len(judgements.pairs), generator=torch.Generator().manual_seed(3)).tolist()
    shuffled = Judgements(
        tuple(
            replace(p, preferred=judgements.pairs[i].preferred) for p, i in zip(judgements.pairs, order, strict=True)
        ),
        (),
    )
    assert gate(measure(cross_validate(features, shuffled, row_of)[1])) is not None


def test_nothing_to_learn_from_gives_a_head_that_scores_everything_zero() -> None:
    head = fit_head(torch.randn(3, SIZE), make_batch(Judgements((), ()), {}), 0.1).normalised(torch.randn(5, SIZE))
    assert head.scores(torch.randn(4, SIZE)).tolist() == [0.0] * 4


def test_scores_are_normalised_on_the_initial_models_replies() -> None:
    features, _, judgements, row_of = _world(200, 0)
    head = fit_head(features, make_batch(judgements, row_of), 0.1).normalised(features)
    scores = head.scores(features)
    assert float(scores.mean()) == pytest.approx(0.0, abs=1e-9)
    assert float(scores.std(correction=0)) == pytest.approx(1.0)


def test_a_saved_head_scores_as_before(tmp_path: Path) -> None:
    features, _, judgements, row_of = _world(100, 20)
    head = fit_head(features, make_batch(judgements, row_of), 0.1).normalised(features)
    save_head(head, tmp_path / "head.safetensors")
    assert torch.equal(load_head(tmp_path / "head.safetensors").scores(features), head.scores(features))


def test_the_joint_loss_is_the_weighted_mean_worked_by_hand() -> None:
    one, other = Answer((1,), (3,)), Answer((1,), (4,))
    judgements = Judgements(
        (PairJudgement(one, other, Preferred.LEFT, 2.0, "a", Side.TRAIN, ("duel", "a")),),
        (ThumbJudgement(one, True, 0.5, "b", Side.TRAIN, ("thumb", "b")),),
    )
    batch = make_batch(judgements, {one: 0, other: 1})
    loss = joint_loss(torch.tensor([1.0, 0.0]).double(), batch, torch.tensor(-60.0).double(), torch.tensor(0.0), 0.0)
    # Both cost -log sigmoid(1) = .313262, whatever their weights; smoothed by a tenth .413262.
    assert float(loss) == pytest.approx(0.313262, abs=1e-6)
    loss = joint_loss(torch.tensor([1.0, 0.0]).double(), batch, torch.tensor(-60.0).double(), torch.tensor(0.0), 0.1)
    assert float(loss) == pytest.approx(0.413262, abs=1e-6)


@pytest.mark.parametrize(("ridge", "d"), [(0.0, 2.087), (1.0, 0.813)])
def test_the_fit_of_one_pair_is_the_one_worked_by_hand(ridge: float, d: float) -> None:
    # Features 1 and -1: rewards w and -w, d = 2 w. The smoothed loss, .01 of the mean squared reward and the ridge have
    # no slope where 2 (sigmoid(2 w) - .9) + .02 w + ridge w = 0: at w = 1.0435 without a ridge, at .4065 with one of 1.
    one, other = Answer((1,), (3,)), Answer((1,), (4,))
    pair = PairJudgement(one, other, Preferred.LEFT, 1.0, "a", Side.TRAIN, ("duel", "a"))
    batch = make_batch(Judgements((pair,), ()), {one: 0, other: 1})
    left, right = fit_head(torch.tensor([[1.0], [-1.0]]), batch, ridge).rewards(torch.tensor([[1.0], [-1.0]]))
    assert float(left - right) == pytest.approx(d, abs=0.01)
    assert float(left + right) == pytest.approx(0.0, abs=1e-9)


def test_a_thumb_is_foretold_from_its_persons_own_threshold() -> None:
    # Reward 2, threshold .25, a strict person's half a point later: 1.25 above it; nobody known: 1.75.
    answer = Answer((1,), (3,))
    thumbs = tuple(
        ThumbJudgement(answer, True, 0.5, name, Side.TRAIN, ("thumb", name), name) for name in ("strict", "new")
    )
    head = replace(zero_head(1), weight=torch.tensor([2.0]).double(), delta=torch.tensor(0.25).double())
    held = predict(torch.ones(1, 1), replace(head, leniency={"strict": 0.5}), Judgements((), thumbs), {answer: 0})
    assert [entry.margin for entry in held] == pytest.approx([1.25, 1.75])
    assert held[0].loss == pytest.approx(math.log1p(math.exp(-1.25)))


def test_labels_are_smoothed_less_from_five_hundred_judgements_on() -> None:
    _, _, judgements, _ = _world(500, 0)
    assert smoothing_of(judgements) == 0.05
    assert smoothing_of(Judgements(judgements.pairs[1:], ())) == 0.1


def test_a_ridge_chosen_on_some_of_the_judgements_is_scaled_to_all(monkeypatch: pytest.MonkeyPatch) -> None:
    # The same prior weighs 100 / 250 as much against the mean loss of 250 judgements as against that of 100.
    monkeypatch.setattr("training.reward_fit.ENOUGH_FOR_RIDGE", 100)
    features, _, judgements, row_of = _world(250, 0)
    ridge, held = cross_validate(features, judgements, row_of)
    assert min(abs(ridge / 0.4 - usual) for usual in RIDGES) < 1e-9
    assert len(held) == 250


def test_the_ridge_with_the_lowest_held_out_log_loss_is_taken() -> None:
    features, _, judgements, row_of = _world(300, 0)
    ridge, held = cross_validate(features, judgements, row_of)
    assert ridge < 1.0  # a clear taste in six features
    assert mean_log_loss(held) < mean_log_loss(_strongest(features, judgements, row_of)) - 0.05


def _strongest(features: torch.Tensor, judgements: Judgements, row_of: dict[Answer, int]) -> list[HeldOut]:
    """Foretold by heads of the strongest ridge, fold by fold."""
    return [
        entry
        for train, held in folds_of(judgements)
        for entry in predict(features, fit_head(features, make_batch(train, row_of), RIDGES[-1]), held, row_of)
    ]


def test_wilson_bounds_are_those_of_the_textbook() -> None:
    # 8 of 10 at one-sided 97.5 %: (0.4902, 0.9433)
    assert wilson(8, 10, 0.975) == pytest.approx((0.4902, 0.9433), abs=1e-4)


def test_a_lora_is_kept_only_where_it_predicts_held_out_conversations_better(tmp_path: Path) -> None:
    split = SplitModel(tiny_base(tmp_path), top_layers=2)
    answers = random_answers(160)
    pairs = tuple(
        PairJudgement(
            a,
            b,
            Preferred.LEFT if len(a.token_ids) > len(b.token_ids) else Preferred.RIGHT,
            1.0,
            str(i),
            Side.TRAIN,
            ("duel", str(i)),
        )
        for i, (a, b) in enumerate(zip(answers[::2], answers[1::2], strict=True))
    )
    judgements, trunk = Judgements(pairs, ()), TrunkStates(split)
    features = read_texts(split, answers, trunk=trunk, keep=answers[:40])
    row_of = {answer: row for row, answer in enumerate(answers)}
    told: list[str] = []
    head = fit_head(features, make_batch(judgements, row_of), 0.1)
    nothing = Judgements((), ())
    few = Judgements(pairs[:2], ())
    for held in (few, judgements):
        refine(split, head, 0.1, held, nothing, features, row_of, trunk, epochs=1, seconds=60, seed=0, say=told.append)
    assert told[0].startswith("LoRA not tried")
    assert "held-out log-loss" in told[1]


def test_a_lora_at_zero_predicts_exactly_what_the_head_alone_predicts(tmp_path: Path) -> None:
    split = SplitModel(tiny_base(tmp_path), top_layers=2)
    answers = random_answers(10)
    _, top = split.adapter()
    assert torch.equal(pooled_states(split, answers, top), pooled_states(split, answers))


def test_predictions_carry_their_losses() -> None:
    features, _, judgements, row_of = _world(50, 30)
    head = fit_head(features, make_batch(judgements, row_of), 0.1)
    held = predict(features, head, judgements, row_of)
    assert all(isinstance(entry, HeldOut) for entry in held)
    batch = make_batch(judgements, row_of)
    whole = joint_loss(head.rewards(features), batch, head.log_nu, head.delta, 0.0)
    assert mean_log_loss(held) == pytest.approx(float(whole), abs=1e-9)
