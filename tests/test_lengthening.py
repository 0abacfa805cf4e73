"""A policy goes on along its night's way as far as its nats reach, where its replies are better there."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

from tests.enumerated import BETA, DRAWING, PROMPTS, TableScorer, as_shipped, exact_logps, replies, tiny_world
from tests.training_fixtures import critic_settings, tiny_base
from training import rollout
from training.judgements import Answer
from training.learner import Learner
from training.lengthening import LONGEST, Bounds, Look, go_on_, is_better, lengthen_
from training.policy import Policy
from training.ppo import train
from training.ppo_settings import PpoSettings
from training.ppo_update import Surroundings
from training.rollout import Rollout, roll_out
from training.trunk import SplitModel

HERE = Look(worths=(0.0, 1.0) * 64, moved=1.5, kl=1.6, finished=0.5, looping=0.0)
BETTER, WORSE = replace(HERE, worths=(0.1, 1.1) * 64), replace(HERE, worths=(-0.1, 0.9) * 64)
BOUNDS = Bounds(asked=6.0, night=8.0, in_all=9.0)


class Walk(NamedTuple):
    """A policy that went some way in all its weights, and where it was."""

    policy: Policy
    begun: dict[str, Tensor]
    ended: dict[str, Tensor]

    def stands_at(self, times: float) -> None:
        """Check that it went `times` its way."""
        for name, tensor in self.policy.tensors().items():
            way = self.ended[name] - self.begun[name]
            torch.testing.assert_close(tensor, self.begun[name] + times * way)
            assert way.any()


@pytest.fixture
def walk(tmp_path: Path) -> Walk:
    policy = Policy(SplitModel(tiny_base(tmp_path), top_layers=2), seed=0)
    begun, generator = policy.copy(), torch.Generator().manual_seed(3)
    with torch.no_grad():
        for weight in policy.weights():
            weight.add_(0.1 * torch.randn(weight.shape, generator=generator))
    return Walk(policy, begun, policy.copy())


@pytest.mark.parametrize(
    ("looks", "times"),
    [
        ([HERE, BETTER], 2.0),  # 6 nats are four times 1.5
        ([replace(HERE, moved=3.0), BETTER], math.sqrt(2.0)),
        ([replace(HERE, moved=0.01), BETTER], LONGEST),
        ([replace(HERE, moved=-0.1), BETTER], LONGEST),
        ([HERE, WORSE, BETTER], 1.5),
        ([HERE, replace(BETTER, kl=9.1), replace(BETTER, kl=9.0)], 1.5),  # too far from the initial model
        ([HERE, replace(BETTER, moved=8.1), replace(BETTER, moved=8.0)], 1.5),  # too far for one night
        ([HERE, WORSE, WORSE], 1.0),
        ([HERE, HERE, HERE], 1.0),
        ([replace(HERE, moved=5.6)], 1.0),  # less than a twentieth to go
        ([replace(HERE, moved=9.0)], 1.0),
    ],
)
def test_as_far_as_nats_reach_and_replies_are_better(walk: Walk, looks: Sequence[Look], times: float) -> None:
    left = iter(looks)
    assert lengthen_(walk.policy, walk.begun, lambda: next(left), BOUNDS) == (
        pytest.approx(times),
        looks[0] if times == 1.0 else looks[-1],
    )
    assert list(left) == []
    walk.stands_at(times)


def test_replies_are_looked_at_where_they_would_be(walk: Walk) -> None:
    seen: list[float] = []
    name = next(name for name in walk.ended if "lora_B" in name)

    def look() -> Look:
        now = walk.policy.tensors()[name] - walk.begun[name]
        seen.append(float(now.norm() / (walk.ended[name] - walk.begun[name]).norm()))
        return WORSE if len(seen) > 1 else HERE

    lengthen_(walk.policy, walk.begun, look, BOUNDS)
    assert seen == pytest.approx([1.0, 2.0, 1.5])


@pytest.mark.parametrize(
    ("there", "better"),
    [
        (BETTER, True),
        (WORSE, False),
        (HERE, False),
        (replace(HERE, worths=(0.6, 0.6) * 64), True),  # 0.1 more, an error of 0.5 / sqrt(128) = 0.044
        (replace(HERE, worths=(0.54, 0.54) * 64), False),
        (replace(BETTER, finished=0.42), True),  # 3 points, and 6 by chance
        (replace(BETTER, finished=0.4), False),
        (replace(BETTER, finished=0.9), True),
        (replace(BETTER, looping=0.02), True),  # 1 point, and 1 by chance
        (replace(BETTER, looping=0.03), False),
    ],
)
def test_replies_that_repeat_themselves_or_do_not_end_are_no_better(there: Look, better: bool) -> None:
    assert is_better(there, HERE) is better


def _settings(iterations: int, **changes: Any) -> PpoSettings:
    first = critic_settings(iterations, DRAWING, episodes=384, minibatches=1, beta=BETA, kl_target=6.0)
    shipped = replace(as_shipped(first), missing_end_steps=0, missing_end_penalty=0.0, ends_kept=0.0, k3_limit=1.0)
    return replace(shipped, **changes)


def _expected(policy: Policy, scorer: TableScorer) -> float:
    """Exact expected reward, averaged over the prompts."""
    total = 0.0
    for prompt in PROMPTS:
        rewards = torch.tensor([scorer.table[prompt, reply] for reply in replies()])
        total += float((exact_logps(policy, [Answer(prompt, reply) for reply in replies()]).exp() * rewards).sum())
    return total / len(PROMPTS)


def test_going_on_after_ppo_gains_reward_that_is_known_exactly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollout, "GROUP", 512)  # rows of one padded layout: only the speed depends on it
    policy, scorer = Policy(SplitModel(tiny_world(0), "all"), 0), TableScorer(0)
    settings = _settings(2)
    learner = Learner.fresh(policy, PROMPTS, settings, 0, first_night=True)
    begun, initial = policy.copy(), _expected(policy, scorer)
    train(learner, scorer, settings, Surroundings())
    gained = _expected(policy, scorer) - initial
    assert gained > 0.5
    prompts = PROMPTS * 128
    rolled = roll_out(policy, scorer, prompts, DRAWING, torch.Generator().manual_seed(5))
    here = learner.moved(rolled, DRAWING.temperature)
    nats = 2.0 * here
    times, there = go_on_(learner, scorer, prompts, replace(settings, course=nats), begun, seed=5)
    assert times == pytest.approx(math.sqrt(2.0))
    assert _expected(policy, scorer) - initial > 1.2 * gained
    assert there is not None
    assert there.moved == pytest.approx(nats, rel=0.3)
    rolled = roll_out(policy, scorer, prompts, DRAWING, torch.Generator().manual_seed(5))
    scores = rolled.episodes(lambda group: group.scores)
    assert there == Look(
        worths=tuple(scores.tolist()),
        moved=learner.moved(rolled, DRAWING.temperature),
        kl=rolled.mean_kl(),
        finished=rolled.finished_share(),
        looping=0.0,
    )


def _after_ppo(seed: int = 0, **changes: Any) -> tuple[Learner, TableScorer, PpoSettings, dict[str, Tensor]]:
    policy, scorer = Policy(SplitModel(tiny_world(seed), "all"), seed), TableScorer(seed)
    settings = _settings(2, **({"course": 6.0} | changes))
    learner = Learner.fresh(policy, PROMPTS, settings, seed, first_night=True)
    begun = policy.copy()
    train(learner, scorer, settings, Surroundings())
    return learner, scorer, settings, begun


@pytest.mark.parametrize(
    ("stopped", "began_at", "course"),
    [
        ("all iterations are done", 11.0, 6.0),  # as far from the initial model as all nights may go
        ("all iterations are done", 0.0, 0.0),  # no course
        ("the examiner's scores fall while the reward rises", 0.0, 6.0),
        ("the replies moved 8.4 nats, enough for one night", 0.0, 6.0),
    ],
)
def test_a_night_that_may_not_go_on_is_not_even_looked_at(
    monkeypatch: pytest.MonkeyPatch, stopped: str, began_at: float, course: float
) -> None:
    monkeypatch.setattr(rollout, "GROUP", 512)
    learner, scorer, settings, begun = _after_ppo(kl_total=11.0)
    assert learner.stopped == "all iterations are done"
    learner.stopped, learner.history[0]["kl"] = stopped, began_at
    ended = learner.policy.copy()
    monkeypatch.setattr("training.lengthening.roll_out", None)
    assert go_on_(learner, scorer, PROMPTS, replace(settings, course=course), begun, seed=5) == (1.0, None)
    assert all(torch.equal(tensor, ended[name]) for name, tensor in learner.policy.tensors().items())


def test_a_later_night_goes_on_from_where_it_began_and_its_replies_pay_for_repetition(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rollout, "GROUP", 512)
    first, scorer, settings, _ = _after_ppo()
    learner = Learner.fresh(first.policy, PROMPTS, settings, 1)
    begun = first.policy.copy()
    assert learner.begun.keys() == begun.keys()
    train(learner, scorer, settings, Surroundings())
    ended, prompts = learner.policy.copy(), PROMPTS * 256
    monkeypatch.setattr(Rollout, "looping", lambda rolled: torch.arange(len(rolled.answers)) % 4 == 0)
    times, there = go_on_(learner, scorer, prompts, replace(settings, course=1.2), begun, seed=5)
    assert 1.1 < times < LONGEST
    for name, tensor in learner.policy.tensors().items():
        torch.testing.assert_close(tensor, begun[name] + times * (ended[name] - begun[name]))
    rolled = roll_out(learner.policy, scorer, prompts, DRAWING, torch.Generator().manual_seed(5))
    assert there is not None
    assert there.looping == 0.25
    assert there.worth == pytest.approx(rolled.mean_score() - 0.25 * settings.loop_penalty, abs=1e-5)
    assert there.moved == learner.moved(rolled, DRAWING.temperature) < there.kl
