"""Going on along a night's way where the drift that it may use was not used: extrapolation of the trained weights.

The penalty on drift and chance in the steps end a night short of the nats it was asked for. What a policy gained grows
with how far it went along its way, its drift about with the square of that: going on the same way spends what is left
of the night's nats on more of what was learned, without another update (Zheng et al. 2024,
https://arxiv.org/abs/2404.16792, extrapolate aligned models so). How far is told by replies: what they are worth to the
reward model must rise by more than a standard error, and they may not repeat themselves clearly more nor end clearly
less often. The exam then asks the policy that is left as it would any other.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from training.guards import CHANCE, FINISHED_LOST, LOOPING_ADDED, chance
from training.learner import Learner
from training.policy import Policy
from training.ppo import ALL_DONE, SHARE_OF_BOUND, TIME_IS_UP
from training.ppo_settings import PpoSettings
from training.rollout import Scorer, roll_out
from training.shortening import walk_

LONGEST = 2.0
"""Times the night's way: farther was not looked at."""
SHORTEST = 1.05
"""Less than this is not worth drawing replies for."""
SHARES = (1.0, 0.5)
"""Of what is added to the way, tried in this order."""


@dataclass(frozen=True)
class Look:
    """What replies of a policy on its way tell, drawn to the same prompts with the same seed at every place.

    worths: what each is worth to the reward model, less the penalty for repeating itself; moved, kl: nats a reply from
    where the night began and from the initial model; finished, looping: shares of the replies.
    """

    worths: tuple[float, ...]
    moved: float
    kl: float
    finished: float
    looping: float

    @property
    def worth(self) -> float:
        """Mean over the replies."""
        return sum(self.worths) / len(self.worths)


@dataclass(frozen=True)
class Bounds:
    """Nats a reply: what the night is asked for, the most it may move, the most of all nights together."""

    asked: float
    night: float
    in_all: float


def go_on_(
    learner: Learner,
    scorer: Scorer,
    prompts: Sequence[Sequence[int]],
    settings: PpoSettings,
    begun: Mapping[str, Tensor],
    seed: int,
) -> tuple[float, Look | None]:
    """`lengthen_` after a night's PPO, by one reply to each of these prompts, up to the nats of the night's course.

    A night that a bound or the onlooker ended goes no farther, nor one that had no nats: nothing is looked at then.
    """
    nats = min(settings.course, settings.kl_total - learner.history[0]["kl"]) if learner.history else 0.0
    if learner.stopped not in {ALL_DONE, TIME_IS_UP} or nats <= 0.0:
        return 1.0, None

    def look() -> Look:
        generator = torch.Generator().manual_seed(seed)
        rollout = roll_out(learner.policy, scorer, prompts, settings.drawing, generator)
        looping = rollout.looping().float()
        scores = rollout.episodes(lambda group: group.scores)
        return Look(
            worths=tuple((scores - settings.loop_penalty * looping).tolist()),
            moved=learner.moved(rollout, settings.drawing.temperature),
            kl=rollout.mean_kl(),
            finished=rollout.finished_share(),
            looping=float(looping.mean()),
        )

    bounds = Bounds(nats, settings.kl_night, SHARE_OF_BOUND * settings.kl_total)
    return lengthen_(learner.policy, begun, look, bounds)


def lengthen_(
    policy: Policy, begun: Mapping[str, Tensor], look: Callable[[], Look], bounds: Bounds
) -> tuple[float, Look]:
    """Leave the policy about as far along its way as the night was asked for: (times the way, a look there).

    `begun`: the weights the night began with, by PEFT's names; `look`: at the policy as it is then. Not beyond the
    bounds, nor beyond twice the way. Where replies are not better there, half of what would be added is tried, else the
    policy stays.
    """
    ended, here = policy.copy(), look()
    longest = min(LONGEST, math.sqrt(bounds.asked / here.moved)) if here.moved > 0.0 else LONGEST
    for share in SHARES if longest >= SHORTEST else ():
        times = 1.0 + share * (longest - 1.0)
        walk_(policy, begun, ended, times)
        there = look()
        if there.kl <= bounds.in_all and there.moved <= bounds.night and is_better(there, here):
            return times, there
    policy.take_over_(ended)
    return 1.0, here


def is_better(there: Look, here: Look) -> bool:
    """Worth more by a standard error over the replies, and neither repetition nor ends clearly worse.

    Shares may be worse by what the exam allows a candidate and a standard error.
    """
    gains = torch.tensor(there.worths, dtype=torch.float64) - torch.tensor(here.worths, dtype=torch.float64)
    error = float(gains.std(correction=0)) / math.sqrt(len(gains))

    def by_chance(one: float, other: float) -> float:
        return chance((one + other) / 2, len(gains)) / CHANCE

    return (
        float(gains.mean()) > error
        and there.looping <= here.looping + LOOPING_ADDED + by_chance(there.looping, here.looping)
        and there.finished >= here.finished - FINISHED_LOST - by_chance(there.finished, here.finished)
    )
