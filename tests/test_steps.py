"""How long a step of the policy is: a gradient of length one, its mean over steps, and the pace that lengths follow."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.training_fixtures import critic_settings, random_answers, random_reward_model, tiny_base
from training.episodes import estimate_advantages
from training.gradients import OneProcess
from training.learner import Learner
from training.policy import Policy
from training.ppo import NOISE_OF_DRIFT, by_clock, drifted, learning_rate_now, share_of_night
from training.ppo_settings import PpoSettings, Step
from training.ppo_update import Surroundings, update_
from training.rollout import Drawing, evaluate
from training.trunk import SplitModel

DRAWING = Drawing(0.7, 12)
SETTINGS = critic_settings(
    4, DRAWING, epochs=1, minibatches=1, step=Step.MOMENTUM, learning_rate=0.02, ends_kept=0.0, course=3.0
)


def test_gradients_are_made_as_long_as_one_all_together() -> None:
    weights = [
        torch.nn.Parameter(torch.zeros(2)),
        torch.nn.Parameter(torch.zeros(1)),
        torch.nn.Parameter(torch.ones(3)),
    ]
    weights[0].grad, weights[1].grad = torch.tensor([0.0, 3.0]), torch.tensor([-4.0])
    assert OneProcess().to_length_one_(weights) == pytest.approx(5.0)
    assert weights[0].grad.tolist() == pytest.approx([0.0, 0.6])
    assert weights[1].grad.tolist() == pytest.approx([-0.8])
    assert weights[2].grad is None


def test_no_gradient_stays_none() -> None:
    weight = torch.nn.Parameter(torch.ones(3))
    weight.grad = torch.zeros(3)
    assert OneProcess().to_length_one_([weight]) == 0.0
    assert weight.grad.tolist() == [0.0, 0.0, 0.0]


def _place(policy: Policy) -> torch.Tensor:
    return torch.cat([weight.detach().flatten().clone() for weight in policy.weights()])


def test_a_first_step_has_the_length_that_was_set_and_the_next_goes_on_in_its_direction(tmp_path: Path) -> None:
    policy = Policy(SplitModel(tiny_base(tmp_path), top_layers=2), 0)
    learner = Learner.fresh(policy, [(1,)], SETTINGS, 0)
    places = [_place(policy)]
    for _ in range(2):
        rollout = evaluate(policy, random_reward_model(policy.split), random_answers(24), DRAWING)
        episodes = estimate_advantages(rollout, learner.critic, SETTINGS, 0.1)
        update_(learner, episodes, SETTINGS, Surroundings())
        places.append(_place(policy))
    first, second = places[1] - places[0], places[2] - places[1]
    assert float(first.norm()) == pytest.approx(0.02, rel=1e-4)
    along = float(second @ first) / float(first.norm()) ** 2
    assert 1.5 < along <= 1.9 + 1e-3  # its own step, and nine tenths of the one before
    assert float((second - 0.9 * first).norm()) == pytest.approx(0.02, rel=1e-3)


def _rate(*drifts: float, settings: PpoSettings = SETTINGS, seconds: float = 9.0, start: float = 0.0) -> float:
    """After rollouts that moved so far from where the night began, `start` nats from the initial model."""
    rows = [{"kl": start, "moved": each, "seconds": seconds} for each in drifts]
    return learning_rate_now(rows, settings)


def test_a_nights_drift_follows_the_way_of_steps_that_fall_to_nothing() -> None:
    assert drifted(0.0) == 0.0
    assert drifted(0.5) == pytest.approx(0.75**1.5)  # 1 - 1/4 of the way
    assert drifted(1.0) == 1.0


def test_a_step_gets_shorter_where_replies_drift_beyond_their_course_and_longer_where_they_lag() -> None:
    course = 3.0 * drifted(0.25)
    assert _rate() == pytest.approx(0.02)
    assert _rate(0.0) == pytest.approx(0.02 * 0.75)
    assert _rate(0.0, course) == pytest.approx(0.02 * 0.5)
    far = 4 * (course + NOISE_OF_DRIFT) - NOISE_OF_DRIFT  # four times is a step of twice the length
    assert _rate(0.0, far) == pytest.approx(0.02 * 0.5 / 2**0.5)
    near = (course + NOISE_OF_DRIFT) / 4 - NOISE_OF_DRIFT
    assert _rate(0.0, near) == pytest.approx(0.02 * 0.5 * 2**0.5)
    assert _rate(0.0, 1e4) == pytest.approx(0.02 * 0.5 / 1.5)
    assert _rate(0.0, 0.0) == pytest.approx(0.02 * 0.5 * 1.5)
    assert _rate(0.0, -1.0) == _rate(0.0, 0.0)  # less than nothing is chance
    assert _rate(0.0, 1e4, 1e4) == pytest.approx(0.02 * 0.25 / 1.5**2)


def test_steps_follow_what_a_night_moved_and_not_how_far_the_initial_model_is() -> None:
    # On 2026-12-01 a night that began 8.5 nats away fell to 5.5 and took that for standing still.
    rows = [{"kl": kl, "moved": 3.0 * drifted(share), "seconds": 9.0} for kl, share in ((4.0, 0.0), (1.0, 0.25))]
    assert learning_rate_now(rows, SETTINGS) == pytest.approx(0.02 * 0.5)


def test_one_rollout_of_chance_changes_little() -> None:
    long = replace(SETTINGS, iterations=100)
    assert 0.95 < _rate(0.0, 0.05, settings=long) / 0.0196 < 1.0
    assert _rate(0.0, 0.0, settings=long) / 0.0196 < 1.05


def test_a_model_that_hardly_moves_is_moved_at_last_but_not_without_bound() -> None:
    assert _rate(*[0.0] * 6, settings=replace(SETTINGS, iterations=10)) > 0.02 * 0.4 * 4
    assert _rate(*[0.0] * 19, settings=replace(SETTINGS, iterations=20)) == pytest.approx(0.02 * 0.05 * 8)


def test_a_night_that_begins_far_away_aims_at_what_is_left_of_all_nights() -> None:
    late = replace(SETTINGS, kl_total=11.0)
    left = 1.0 * drifted(0.25)
    assert _rate(0.0, left, settings=late, start=10.0) == pytest.approx(0.02 * 0.5)
    assert _rate(0.0, 0.0, settings=late, start=12.0) == pytest.approx(0.02 * 0.5)
    assert _rate(0.0, 1.0, settings=late, start=12.0) < 0.02 * 0.5


def test_without_a_course_the_rate_only_falls() -> None:
    plain = replace(SETTINGS, course=0.0)
    drifts = (0.0, 9.0, 0.1)
    assert [_rate(*drifts[:count], settings=plain) for count in range(4)] == pytest.approx([0.02, 0.015, 0.01, 0.005])


def test_a_night_whose_time_ends_first_is_over_by_its_time() -> None:
    boxed = replace(SETTINGS, seconds=80.0)  # four iterations of 9 s are less than that

    def share(*seconds: float) -> float:
        return share_of_night([{"kl": 0.0, "seconds": each} for each in seconds], boxed)

    assert share() == 0.0
    assert share(9.0, 9.0) == 0.5
    assert share(40.0) == 0.5  # one is left
    assert share(9.0, 51.0) == pytest.approx(2 / (2 + 20 / 30))
    assert share(9.0, 9.0, 51.0) == 0.75  # the next one will take 9 s again
    assert share(90.0) == 1.0
    assert share_of_night([{"kl": 0.0, "seconds": 1e9}], SETTINGS) == 0.25  # no box


def test_a_night_tells_whether_the_clock_had_a_say() -> None:
    def told(*seconds: float) -> bool:
        rows = [{"seconds": each} for each in seconds]
        return by_clock(rows, replace(SETTINGS, seconds=80.0))

    assert not told(9.0, 9.0, 9.0, 9.0)
    assert not told(20.0, 20.0, 20.0, 20.0)
    assert told(40.0, 9.0, 9.0, 9.0)  # after the first there seemed to be time for one more
    assert told(9.0, 9.0, 60.0)
    assert not by_clock([{"seconds": 1e9}], SETTINGS)


def test_where_time_ends_first_steps_fall_and_drift_is_asked_for_by_time() -> None:
    slow = replace(SETTINGS, seconds=80.0)
    assert _rate(0.0, settings=slow, seconds=40.0) == pytest.approx(0.02 * 0.5)
    on_course = 3.0 * drifted(0.375)  # after 30 s of 80
    assert _rate(0.0, on_course, settings=slow, seconds=30.0) == pytest.approx(0.02 * 0.25)
    assert _rate(0.0, on_course, settings=slow, seconds=9.0) < 0.02 * 0.5  # so far so early is too far


@pytest.mark.parametrize("seconds", [0.0, -1.0])
def test_a_time_box_of_nothing_is_refused(seconds: float) -> None:
    with pytest.raises(ValueError, match="give it more than 0"):
        replace(SETTINGS, seconds=seconds)
