"""How far a night is and how long it takes, worked by hand."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from demo.night_time import AFTER, USUAL, fraction_of, seconds_left, share_of, usual_seconds
from nightschool.records import Night, NightState, Stage
from training.effort import EFFORTS

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)
LATER = BEGAN + 30 * SECOND
MEASURED = {"judgements": 10.0, "initial replies": 40.0, "ppo": 300.0, "exam": 50.0}


def stage(name: str, state: NightState, progress: float = 0.0, seconds: float | None = None) -> Stage:
    return Stage(name, state, BEGAN.isoformat(), seconds, progress, "")


def night(*stages: Stage) -> Night:
    return Night(
        "n", NightState.RUNNING, "quick", 0, False, BEGAN.isoformat(), None, None, "", None, None, stages
    )  # fmt: skip


DONE = stage("judgements", NightState.DONE, 1.0, 9.0)


@pytest.mark.parametrize(
    ("at_work", "share"),
    [
        (stage("initial replies", NightState.RUNNING), 0.75),  # 30 of 40 s
        (replace(stage("initial replies", NightState.RUNNING), started_at="2025-01-01T00:00:00+00:00"), 0.95),
        (stage("ppo", NightState.RUNNING), 0.0),  # it tells its progress, and has none yet
        (stage("ppo", NightState.RUNNING, 0.25), 0.25),
        (stage("ppo", NightState.INTERRUPTED, 0.5), 0.5),  # kept for the night that resumes it
        (stage("exam", NightState.FAILED), 0.0),
    ],
)
def test_how_far_a_stage_is(at_work: Stage, share: float) -> None:
    assert share_of(at_work, MEASURED, LATER) == pytest.approx(share)


def test_a_night_is_as_far_as_the_time_its_stages_usually_take() -> None:
    half = night(DONE, stage("initial replies", NightState.DONE, 1.0, 40), stage("ppo", NightState.RUNNING, 0.5))
    assert fraction_of(half, MEASURED, LATER) == pytest.approx((10 + 40 + 150) / 400)
    assert fraction_of(night(), MEASURED, LATER) == 0.0
    assert fraction_of(night(stage("snapshot", NightState.RUNNING, 0.5)), MEASURED, LATER) == 0.5  # of no known stage


def left(found: Night, *, is_measured: bool, iterations: tuple[float, ...] = ()) -> float | None:
    usual = MEASURED if is_measured else USUAL["quick"]
    return seconds_left(found, usual, LATER, is_measured=is_measured, iterations=iterations)


def test_the_bar_and_the_time_left_tell_the_same() -> None:
    at_work = night(DONE, stage("ppo", NightState.RUNNING, 0.25))  # 9 s and 30 s are gone
    assert fraction_of(at_work, MEASURED, LATER, 117.0) == pytest.approx(39 / (39 + 117))
    killed = night(DONE, stage("ppo", NightState.INTERRUPTED, 0.25), stage("judgements", NightState.RUNNING))
    assert fraction_of(killed, MEASURED, LATER, 117.0) == pytest.approx(39 / (39 + 117))  # a pause is not work


def test_time_left_is_what_the_stages_still_take() -> None:
    assert left(night(DONE, stage("ppo", NightState.RUNNING)), is_measured=True) == 40 + 300 + 50
    # PPO tells its own pace: two iterations of 20 s are a quarter of it, so three quarters are 120 s
    at_work = night(DONE, stage("initial replies", NightState.DONE, 1.0, 40), stage("ppo", NightState.RUNNING, 0.25))
    assert left(at_work, is_measured=True, iterations=(20.0, 20.0)) == 120 + 50
    waited = night(DONE, stage("initial replies", NightState.DONE, 1.0, 40), stage("ppo", NightState.RUNNING, 0.5))
    slow = (20.0, 80.0, 20.0)  # the next three will take 20 s again
    assert left(waited, is_measured=True, iterations=slow) == 60 + 50


def test_in_a_first_night_time_left_is_told_once_the_initial_replies_tell_its_pace() -> None:
    done = [stage(name, NightState.DONE, 1.0, 1) for name in ("judgements", "model", "reward model")]
    assert left(night(*done[:2]), is_measured=False) is None
    assert left(night(*done, stage("ppo", NightState.RUNNING)), is_measured=False) is None  # nor the initial replies
    # The initial replies took twice the usual 15 s, so will the exam. One iteration of 50 s is a quarter of PPO; of two
    # of 110 s none is left, for PPO's time box is 220 s.
    done.append(stage("initial replies", NightState.DONE, 1.0, 30))
    assert left(night(*done, stage("ppo", NightState.RUNNING)), is_measured=False) == pytest.approx(220 + 2 * 120)
    first = night(*done, stage("ppo", NightState.RUNNING, 0.25))
    assert left(first, is_measured=False, iterations=(50.0,)) == pytest.approx(150 + 2 * 120)
    assert left(first, is_measured=False, iterations=(110.0,)) == pytest.approx(110 + 2 * 120)
    last = night(*done, stage("ppo", NightState.DONE, 1.0, 440), stage("exam", NightState.RUNNING))
    assert left(last, is_measured=False, iterations=(220.0, 220.0)) == pytest.approx(2 * 120 - 30)


def test_the_exam_tells_its_rate() -> None:
    done = [DONE, stage("initial replies", NightState.DONE, 1.0, 40), stage("ppo", NightState.DONE, 1.0, 300)]
    assert left(night(*done, stage("exam", NightState.RUNNING, 0.2)), is_measured=True) == pytest.approx(30 * 0.8 / 0.2)
    assert left(night(*done, stage("exam", NightState.RUNNING, 0.05)), is_measured=True) == pytest.approx(50 - 30)


def test_a_stage_that_takes_longer_than_it_should_is_not_said_to_end_at_once() -> None:
    long_ago = replace(stage("initial replies", NightState.RUNNING), started_at=(BEGAN - 370 * SECOND).isoformat())
    assert left(night(DONE, long_ago), is_measured=True) == pytest.approx(0.05 * 400 + 300 + 50)


def test_what_was_measured_here_goes_before_what_is_usual() -> None:
    assert usual_seconds("quick", MEASURED) == MEASURED
    assert usual_seconds("quick", {}) == USUAL["quick"] | AFTER


def test_the_usual_time_of_ppo_is_its_time_box() -> None:
    assert {name: seconds["ppo"] for name, seconds in USUAL.items()} == {
        name: effort.ppo_seconds for name, effort in EFFORTS.items()
    }
