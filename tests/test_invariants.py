"""Each rule of PPO, broken on purpose: the night must stop and name the rule."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.training_fixtures import critic_settings, random_answers, random_reward_model, tiny_base
from training.episodes import estimate_advantages
from training.invariants import Invariant, TrainingBroken, Watch
from training.judgements import Answer
from training.learner import Learner
from training.policy import Policy
from training.ppo import train
from training.ppo_update import Surroundings, update_
from training.reward_model import Judged
from training.rollout import Drawing, Rollout, RolloutGroup, evaluate
from training.trunk import SplitModel

DRAWING = Drawing(0.7, 12)
SETTINGS = critic_settings(1, DRAWING, epochs=1, minibatches=1)


@pytest.fixture
def policy(tmp_path: Path) -> Policy:
    return Policy(SplitModel(tiny_base(tmp_path), top_layers=2), seed=0)


def _rollout(policy: Policy, answers: list[Answer] | None = None) -> Rollout:
    return evaluate(policy, random_reward_model(policy.split), answers or random_answers(24), DRAWING)


def _broken(rollout: Rollout, change: Callable[[RolloutGroup], RolloutGroup]) -> Rollout:
    return replace(rollout, groups=(change(rollout.groups[0]), *rollout.groups[1:]))


def _poisoned(tensor: Tensor, value: float) -> Tensor:
    spoiled = tensor.clone()
    spoiled.view(-1)[0] = value
    return spoiled


FAULTS: dict[str, Callable[[RolloutGroup], RolloutGroup]] = {
    "scores": lambda g: replace(g, judged=replace(g.judged, scores=_poisoned(g.judged.scores, float("inf")))),
    "log-probabilities of the initial": lambda g: replace(g, reference=_poisoned(g.reference, float("nan"))),
    "log-probabilities are": lambda g: replace(g, old=_poisoned(g.old, float("-inf"))),
    "features": lambda g: replace(g, features=_poisoned(g.features, float("nan"))),
}


@pytest.mark.parametrize("what", FAULTS)
def test_a_rollout_with_a_value_that_is_not_finite_stops_the_night(policy: Policy, what: str) -> None:
    with pytest.raises(TrainingBroken, match=what) as caught:
        Watch(policy.split.base, first_night=True).rollout(_broken(_rollout(policy), FAULTS[what]))
    assert caught.value.invariant is Invariant.FINITE


def test_a_first_night_that_begins_away_from_the_initial_model_stops(policy: Policy) -> None:
    with torch.no_grad():
        policy.weights()[1].add_(0.5)  # B of the first layer: no longer 0
    moved = _rollout(policy)
    Watch(policy.split.base, first_night=False).rollout(moved)  # a later night may begin anywhere
    with pytest.raises(TrainingBroken, match="not 0") as caught:
        Watch(policy.split.base, first_night=True).rollout(moved)
    assert caught.value.invariant is Invariant.FRESH_KL


def test_a_base_whose_weights_changed_stops_the_night(policy: Policy) -> None:
    watch = Watch(policy.split.base, first_night=True)
    rollout = _rollout(policy)
    watch.rollout(rollout)
    with torch.no_grad():
        policy.split.base.model.lm_head.weight[0, 0] += 1.0
    with pytest.raises(TrainingBroken) as caught:
        watch.rollout(rollout)
    assert caught.value.invariant is Invariant.BASE


def test_a_reward_that_tells_no_reply_from_another_stops_the_night(policy: Policy) -> None:
    learner = Learner.fresh(policy, [(3, 4, 5)], SETTINGS, 0)
    rollout = _rollout(policy)
    same = [
        replace(group, scores=torch.zeros_like(group.scores), finished=torch.ones_like(group.finished),
                judged=Judged(group.judged.scores * 0, group.judged.shares * 0, 0.0))
        for group in rollout.groups
    ]  # fmt: skip
    with pytest.raises(TrainingBroken) as caught:
        estimate_advantages(replace(rollout, groups=tuple(same)), learner.critic, SETTINGS, 0.1, learner.watch)
    assert caught.value.invariant is Invariant.ADVANTAGES


def _update(learner: Learner, rollout: Rollout) -> None:
    episodes = estimate_advantages(rollout, learner.critic, SETTINGS, 0.1, learner.watch)
    update_(learner, episodes, SETTINGS, Surroundings())


def test_a_layer_that_no_gradient_reaches_stops_the_night(policy: Policy) -> None:
    learner = Learner.fresh(policy, [(3, 4, 5)], SETTINGS, 0)
    rollout = _rollout(policy)
    for name, weight in policy.adapter.named_parameters():
        if "layers.3.mlp.up_proj" in name and "lora_" in name:
            weight.requires_grad_(False)
    with pytest.raises(TrainingBroken, match="up_proj") as caught:
        _update(learner, rollout)
    assert caught.value.invariant is Invariant.GRADIENTS


def test_a_critic_that_no_gradient_reaches_stops_the_night(policy: Policy) -> None:
    learner = Learner.fresh(policy, [(3, 4, 5)], SETTINGS, 0)
    learner.critic.linear.requires_grad_(False)
    with pytest.raises(TrainingBroken, match="critic linear") as caught:
        _update(learner, _rollout(policy))
    assert caught.value.invariant is Invariant.GRADIENTS


def test_log_probabilities_that_changed_before_the_first_step_stop_the_night(policy: Policy) -> None:
    learner = Learner.fresh(policy, [(3, 4, 5)], SETTINGS, 0)
    rollout = _rollout(policy)
    with torch.no_grad():
        policy.weights()[1].add_(0.5)
    with pytest.raises(TrainingBroken) as caught:
        _update(learner, rollout)
    assert caught.value.invariant is Invariant.RATIO


def test_a_loss_that_is_not_finite_stops_the_night_before_the_step(policy: Policy) -> None:
    learner = Learner.fresh(policy, [(3, 4, 5)], SETTINGS, 0)
    episodes = estimate_advantages(_rollout(policy), learner.critic, SETTINGS, 0.1, learner.watch)
    spoiled = replace(episodes[0], returns=_poisoned(episodes[0].returns, float("nan")))
    before = [weight.clone() for weight in policy.weights()]
    with pytest.raises(TrainingBroken) as caught:
        update_(learner, [spoiled, *episodes[1:]], SETTINGS, Surroundings())
    assert caught.value.invariant is Invariant.FINITE
    assert all(torch.equal(old, new) for old, new in zip(before, policy.weights(), strict=True))


def test_in_any_step_a_loss_or_norm_that_is_not_finite_stops_the_night(policy: Policy) -> None:
    watch = Watch(policy.split.base, first_night=True)
    watch.step(policy_loss=0.5, gradient_norm=2.0)
    for value in (float("nan"), float("inf")):
        with pytest.raises(TrainingBroken, match="gradient norm") as caught:
            watch.step(policy_loss=0.5, gradient_norm=value)
        assert caught.value.invariant is Invariant.FINITE


def _short(answers: list[Answer], end: bool) -> list[Answer]:
    return [Answer(answer.prompt_ids, (2,) if end else (7, 8, 9, 10, 11)) for answer in answers]


def _looping(answers: list[Answer]) -> list[Answer]:
    return [Answer(answer.prompt_ids, (7, 8, 9, 10) * 4 + (2,)) for answer in answers]


CONDUCT: dict[Invariant, Callable[[list[Answer]], list[Answer]]] = {
    Invariant.ENDINGS: lambda answers: _short(answers, end=False),
    Invariant.LENGTH: lambda answers: _short(answers, end=True),
    Invariant.REPETITION: _looping,
}


@pytest.mark.parametrize("rule", CONDUCT)
def test_replies_that_stop_ending_fall_silent_or_repeat_stop_the_night(policy: Policy, rule: Invariant) -> None:
    watch = Watch(policy.split.base, first_night=False)
    answers = random_answers(24)
    watch.rollout(_rollout(policy, answers))
    watch.rollout(_rollout(policy, answers))  # the same again is fine
    with pytest.raises(TrainingBroken) as caught:
        watch.rollout(_rollout(policy, CONDUCT[rule](answers)))
    assert caught.value.invariant is rule


@pytest.mark.parametrize(
    ("rule", "change"),
    [
        (Invariant.ENTROPY, lambda g: replace(g, entropy=g.entropy / 20)),
        (Invariant.KL_CEILING, lambda g: replace(g, old=g.old + 30.0)),
    ],
)
def test_an_entropy_that_collapsed_or_a_kl_out_of_bounds_stops_the_night(
    policy: Policy, rule: Invariant, change: Callable[[RolloutGroup], RolloutGroup]
) -> None:
    watch = Watch(policy.split.base, first_night=False)
    rollout = _rollout(policy)
    watch.rollout(rollout)
    with pytest.raises(TrainingBroken) as caught:
        watch.rollout(replace(rollout, groups=tuple(change(group) for group in rollout.groups)))
    assert caught.value.invariant is rule


def test_what_the_night_began_with_is_remembered_over_a_checkpoint(policy: Policy) -> None:
    watch, resumed = Watch(policy.split.base, first_night=True), Watch(policy.split.base, first_night=True)
    rollout = _rollout(policy)
    watch.rollout(rollout)
    resumed.resume_(watch.start)
    moved = replace(rollout, groups=tuple(replace(group, old=group.old + 0.1) for group in rollout.groups))
    resumed.rollout(moved)  # in the middle of a first night a KL above 0 is as it should be


class _WrongScorer:
    """A reward model with a bug: from its second rollout on its scores are not numbers."""

    def __init__(self, model: Any) -> None:
        self.model, self.calls = model, 0

    def judge(self, *given: Any) -> Judged:
        self.calls += 1
        judged: Judged = self.model.judge(*given)
        return replace(judged, scores=judged.scores * float("nan")) if self.calls > 8 else judged


def test_a_reward_bug_in_the_second_iteration_stops_the_loop_with_what_was_recorded(policy: Policy) -> None:
    settings = critic_settings(4, DRAWING, epochs=1, missing_end_penalty=0.0)
    prompts = [answer.prompt_ids for answer in random_answers(64)]
    recorded: list[int] = []
    learner = Learner.fresh(policy, prompts, settings, 0, first_night=True)
    around = Surroundings(record=lambda iteration, figures: recorded.append(iteration))
    with pytest.raises(TrainingBroken, match="scores are not finite"):
        train(learner, _WrongScorer(random_reward_model(policy.split)), settings, around)
    assert recorded == [1]


def test_a_policy_with_weights_that_are_no_numbers_draws_no_reply(policy: Policy) -> None:
    settings = critic_settings(1, DRAWING, epochs=1)
    learner = Learner.fresh(policy, [answer.prompt_ids for answer in random_answers(4)], settings, 0, first_night=True)
    with torch.no_grad():
        policy.weights()[0].view(-1)[0] = float("nan")
    with pytest.raises(TrainingBroken, match="weights of the policy") as caught:
        train(learner, random_reward_model(policy.split), settings, Surroundings())
    assert caught.value.invariant is Invariant.FINITE
