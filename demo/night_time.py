"""How far a night is and how long it takes: from the stages of earlier nights here, else from what is usual.

Pure functions. Time left is told only where it is known: from an earlier night of the same effort on this machine, or
once the initial replies, later PPO and the exam, tell how fast this one is.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from statistics import median

from nightschool.records import Night, NightState, Stage

AFTER: dict[str, float] = {"verdict": 1, "coevolution": 40}
USUAL: dict[str, dict[str, float]] = {
    "quick": {"judgements": 1, "model": 4, "initial replies": 15, "reward model": 40, "ppo": 220, "exam": 120},
    "normal": {"judgements": 1, "model": 4, "initial replies": 30, "reward model": 200, "ppo": 1080, "exam": 160},
    "thorough": {"judgements": 1, "model": 4, "initial replies": 60, "reward model": 600, "ppo": 6000, "exam": 250},
}
"""Effort -> stage -> seconds on two cores with the embedded model: PPO's are its time box, which it mostly uses up
(`training/effort.py`), the others about what nights on a few hundred judgements took.
What comes after the exam takes as long in all of them."""
INITIAL_REPLIES, REWARD_MODEL, PPO, EXAM = "initial replies", "reward model", "ppo", "exam"
TELLS_ITS_PROGRESS = {REWARD_MODEL, PPO, EXAM}
"""Stages that say how far they are; of the others the time they usually take says it."""
ALMOST = 0.95
"""How far a stage is at most before it has ended."""
LAST_ITERATIONS = 3
KNOWS_ITS_RATE = 0.1
"""From this share on the exam, which goes on about evenly and is never resumed halfway, tells its rate."""


def usual_seconds(effort: str, measured: Mapping[str, float]) -> dict[str, float]:
    """Seconds of each stage: as measured in the newest such night here, else as usual."""
    return dict(measured) or USUAL.get(effort, USUAL["normal"]) | AFTER


def share_of(stage: Stage, usual: Mapping[str, float], now: datetime) -> float:
    """How far a stage is, from 0 to 1; what an interrupted one had kept counts too."""
    if stage.state is NightState.DONE:
        return 1.0
    if stage.state is not NightState.RUNNING or stage.name in TELLS_ITS_PROGRESS or stage.progress:
        return min(stage.progress, ALMOST)
    return min(_passed(stage, now) / max(usual.get(stage.name, 0.0), 1e-9), ALMOST)


def fraction_of(night: Night, usual: Mapping[str, float], now: datetime, left: float | None = None) -> float:
    """How far a night is, from 0 to 1: by the seconds left, else its stages weighed by the time they usually take."""
    if left is not None:
        gone = sum(
            _passed(stage, now) if stage.state is NightState.RUNNING else stage.seconds or 0.0 for stage in night.stages
        )
        return gone / max(gone + left, 1e-9)
    shares = {stage.name: share_of(stage, usual, now) for stage in night.stages}
    known = [name for name in shares if name in usual]
    if not known:
        return max((stage.progress for stage in night.stages if stage.state is NightState.RUNNING), default=0.0)
    return sum(usual[name] * shares[name] for name in known) / sum(usual.values())


def seconds_left(
    night: Night, usual: Mapping[str, float], now: datetime, *, is_measured: bool, iterations: Sequence[float]
) -> float | None:
    """About how much longer a night takes; None where nothing tells. `iterations`: seconds of each of PPO so far."""
    stages = {stage.name: stage for stage in night.stages}
    pace = _pace(stages, usual, now)
    left = {
        name: _left_of(name, stages.get(name), seconds * (1.0 if name == PPO else pace), now)
        for name, seconds in usual.items()
    }
    ppo = _ppo_seconds(stages.get(PPO), iterations)
    if ppo is not None:
        box = USUAL.get(night.effort, {}).get(PPO, ppo)
        left[PPO] = min(ppo * (1 - share_of(stages[PPO], usual, now)), max(box - sum(iterations), 0.0))
    elif not is_measured and INITIAL_REPLIES not in _done(stages):
        return None
    return sum(left.values())


def _done(stages: Mapping[str, Stage]) -> dict[str, float]:
    """Seconds of each stage that has ended."""
    return {name: stage.seconds for name, stage in stages.items() if stage.seconds and stage.state is NightState.DONE}


def _pace(stages: Mapping[str, Stage], usual: Mapping[str, float], now: datetime) -> float:
    """How much longer things take tonight than usual: the exam tells it, before it the initial replies."""
    taken = _done(stages)
    exam = stages.get(EXAM)
    if exam is not None and exam.state is NightState.RUNNING and exam.progress >= KNOWS_ITS_RATE:
        taken[EXAM] = _passed(exam, now) / exam.progress
    told = next((name for name in (EXAM, INITIAL_REPLIES) if name in taken and usual.get(name)), None)
    return taken[told] / usual[told] if told is not None else 1.0


def _passed(stage: Stage, now: datetime) -> float:
    """Seconds since a stage began."""
    return max((now - datetime.fromisoformat(stage.started_at)).total_seconds(), 0.0)


def _left_of(name: str, stage: Stage | None, seconds: float, now: datetime) -> float:
    """What is left of a stage that should take so many seconds."""
    if stage is None:
        return seconds
    if stage.state is not NightState.RUNNING or name in {REWARD_MODEL, PPO}:
        return seconds * (1 - share_of(stage, {}, now))
    passed = _passed(stage, now)
    if stage.progress >= KNOWS_ITS_RATE:
        return passed * (1 - stage.progress) / stage.progress
    # One that takes longer than it should is believed to be nearly through: a twentieth of its time is left.
    return max(seconds - passed, (1 - ALMOST) * max(seconds, passed))


def _ppo_seconds(ppo: Stage | None, iterations: Sequence[float]) -> float | None:
    """How long all of PPO takes, told from its newest iterations, as its loop does: one that waited says little."""
    if ppo is None or not iterations or not ppo.progress:
        return None
    if ppo.state is NightState.DONE:
        return sum(iterations)
    return median(iterations[-LAST_ITERATIONS:]) * len(iterations) / ppo.progress
