"""PPO against the reward model, with a penalty for drifting from the initial model (Schulman et al. 2017; Ziegler et
al. 2019; Ouyang et al. 2022).

Departures: LoRA instead of all weights; the critic reads cached features of the frozen base and has an optimiser of
its own; the KL horizon acts within one night; a reply that did not end by itself pays a penalty, more of it once
there are more such replies than at first or than the initial model's, and one that repeats itself pays; a step goes
along the gradient, not Adam's way, and its length follows a course of drift; returns are discounted and compared with
those of other replies to the prompt (docs/log.md). The reference is always the initial model, so the drift of all
nights is bounded.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from statistics import fmean, median

from training.episodes import estimate_advantages, rollout_figures
from training.learner import Learner
from training.policy import Policy
from training.ppo_settings import Baseline, PpoSettings
from training.ppo_update import Surroundings, pretrain_critic_, update_
from training.rollout import Scorer, roll_out

TIME_IS_UP = "the time is used up"
ALL_DONE = "all iterations are done"
WATCHED_TOGETHER = 3
"""Iterations whose scores by the onlooker are averaged: of many single ones, chance alone makes one the best."""
LATELY = 3
"""Iterations whose median tells how long the next one will take, and whose mean drift is held against the bounds."""
BY_CHANCE = 1.2
"""A single rollout may lie up to this many times a bound away while the mean of the last ones is within."""
SHARE_OF_BOUND = 0.9
"""Of the bound on the drift of all nights: from there on beta grows, in whichever night."""
NOISE_OF_DRIFT = 0.2
"""Nats added to what moved and to what was asked for, so that little movement early in a night changes steps little."""
RATE_CHANGES = 1.5
"""Factor by which the learning rate changes at most from one iteration to the next, but for its fall."""
LONGEST = 8.0
"""The course raises the learning rate to at most this many times what was set."""
SURELY = 3.0
"""Standard errors by which that average must lie below the best one before."""


def run_ppo(
    policy: Policy,
    scorer: Scorer,
    prompts: Sequence[Sequence[int]],
    settings: PpoSettings,
    seed: int,
    record: Callable[[int, dict[str, float]], None] = lambda iteration, figures: None,
) -> list[dict[str, float]]:
    """Train a policy in place, from its first iteration to its last; returns the figures of each iteration."""
    learner = Learner.fresh(policy, prompts, settings, seed)
    return train(learner, scorer, settings, Surroundings(record=record))


def train(learner: Learner, scorer: Scorer, settings: PpoSettings, around: Surroundings) -> list[dict[str, float]]:
    """The loop, from wherever the learner is. Raises `TrainingBroken` when an invariant fails."""
    while may_continue_(learner, settings):
        iteration, began = len(learner.history), around.clock()
        set_learning_rate_(learner, learning_rate_now(learner.history, settings))
        learner.watch.weights(learner.policy.weights())
        prompts = learner.queue.take(settings.prompts)
        rollout = roll_out(
            learner.policy, scorer, prompts, settings.drawing, learner.generator,
            replies=settings.replies, watcher=around.watcher, check=around.check,
        )  # fmt: skip
        learner.watch.rollout(rollout)
        moved = learner.moved(rollout, settings.drawing.temperature)
        if passed := bound_passed(learner, rollout.mean_kl(), moved, settings):
            learner.take_back_()
            learner.stopped = passed
            break
        endings = [*(figures["finished"] for figures in learner.history), rollout.finished_share()]
        penalty = penalty_now(endings, settings, around.initial_finished)
        asked = replace(settings, missing_end_penalty=penalty)
        if iteration == 0 and settings.baseline is Baseline.CRITIC:
            pretrain_critic_(learner, rollout, asked, around)
        episodes = estimate_advantages(rollout, learner.critic, asked, learner.kl_control.beta, learner.watch)
        figures = rollout_figures(rollout, episodes, learner.kl_control.beta)
        figures |= {"moved": moved, "missing_end_penalty": asked.missing_end_penalty}
        learner.earlier = learner.policy.copy()
        updating = around.clock()
        figures |= update_(learner, episodes, settings, around)
        figures |= {"seconds_draw": rollout.seconds_draw, "seconds_evaluate": rollout.seconds_evaluate}
        figures |= {"seconds_update": around.clock() - updating, "seconds": around.clock() - began}
        learner.kl_control.target = kl_target_now(learner.watch.start["kl"], settings)
        learner.kl_control.update_(rollout.mean_kl(), settings.episodes)
        learner.history.append(figures)
        around.record(iteration + 1, figures)
        around.keep(iteration + 1, rollout, learner)
    return learner.history


def may_continue_(learner: Learner, settings: PpoSettings) -> bool:
    """Whether another iteration begins; if not, the learner knows why."""
    history = learner.history
    learner.stopped = ""
    if len(history) >= settings.iterations:
        learner.stopped = ALL_DONE
    elif history and sum(figures["seconds"] for figures in history) + next_takes(history) > settings.seconds:
        learner.stopped = TIME_IS_UP
    elif overoptimised(history):
        learner.stopped = "the examiner's scores fall while the reward rises"
    return not learner.stopped


def next_takes(history: Sequence[dict[str, float]]) -> float:
    """Seconds that the next iteration will probably take: one that waited for other work says little about it."""
    return median(figures["seconds"] for figures in history[-LATELY:])


def learning_rate_now(history: Sequence[dict[str, float]], settings: PpoSettings) -> float:
    """The learning rate after these iterations: it falls to 0 at the night's end, and keeps to a course where there is
    one.

    How far a step of one length moves replies depends on the model and on how alike the steps are. Every rollout that
    moved less or more since the night began changes all later lengths, by the fourth root of how far it is off.
    """
    rate = settings.learning_rate
    for iteration, figures in enumerate(history[1:] if settings.course else (), 1):
        share = share_of_night(history[:iteration], settings)
        wanted = min(settings.course, max(settings.kl_total - history[0]["kl"], 0.0)) * drifted(share)
        off = (wanted + NOISE_OF_DRIFT) / (max(figures["moved"], 0.0) + NOISE_OF_DRIFT)
        rate *= min(max(off**0.25, 1 / RATE_CHANGES), RATE_CHANGES)
        rate = min(rate, LONGEST * settings.learning_rate)
    return rate * (1 - share_of_night(history, settings))


def share_of_night(history: Sequence[dict[str, float]], settings: PpoSettings) -> float:
    """How much of a night is over after these iterations: of those planned, or of those there is time for.

    So a machine too slow for all iterations ends its night with short steps as well, and asks for the same drift; the
    clock has no say where there is time for all of them.
    """
    done = len(history)
    left: float = settings.iterations - done
    if done:
        seconds_left = settings.seconds - sum(figures["seconds"] for figures in history)
        if left * next_takes(history) > seconds_left:
            left = max(seconds_left, 0.0) / next_takes(history)
    return done / (done + left)


def by_clock(history: Sequence[dict[str, float]], settings: PpoSettings) -> bool:
    """Whether there was less time than iterations, so that the same night again may end with other weights."""
    shares = {done: share_of_night(history[:done], settings) for done in range(1, len(history) + 1)}
    return any(share != done / settings.iterations for done, share in shares.items())


def drifted(share: float) -> float:
    """Share of a night's drift after a share of the night.

    Steps that fall to 0 have gone 1 - (1 - x)^2 of their way after the share x of them; drift grows with the way where
    steps have nothing in common, with its square where they are alike, and here with the power between.
    """
    return float((1 - (1 - share) ** 2) ** 1.5)


def kl_target_now(start: float, settings: PpoSettings) -> float:
    """Nats to the initial model beyond which beta grows, in a night that began `start` nats away.

    Where every night has the same target, a night that begins beyond it is pulled back from its first iteration on.
    """
    return max(min(start + settings.kl_target, SHARE_OF_BOUND * settings.kl_total), settings.kl_target)


def penalty_now(endings: Sequence[float], settings: PpoSettings, initial_finished: float = 0.0) -> float:
    """What a reply that did not end by itself pays: little while replies end as often as when the night began, and as
    the initial model's.

    `endings`: the share that did, in each rollout so far. It begins at a step, rises one with each that ended less
    often than the first by more than chance (a standard error) or less often than the initial model's (0: unknown),
    and falls back one with the others.
    """
    if not settings.missing_end_steps:
        return settings.missing_end_penalty
    penalty = step = settings.missing_end_penalty / settings.missing_end_steps
    by_chance = math.sqrt(endings[0] * (1 - endings[0]) / settings.episodes)
    least = max(endings[0] - by_chance, initial_finished)
    for share in endings[1:]:
        penalty += step if share < least else -step
        penalty = min(max(penalty, step), settings.missing_end_penalty)
    return penalty


def bound_passed(learner: Learner, kl: float, moved: float, settings: PpoSettings) -> str:
    """Which bound the latest rollouts lie beyond, in words; empty within both.

    kl: the newest one's drift from the initial model; moved: from the policy the night began with. The last update is
    taken back then, so the words tell of the rollout before it.
    """
    now = {"kl": kl, "moved": moved}
    lately = [*learner.history, now][-LATELY:]
    before = lately[-2] if len(lately) > 1 else now

    def beyond(name: str, bound: float) -> bool:
        return now[name] > BY_CHANCE * bound or (now[name] > bound and fmean(each[name] for each in lately) > bound)

    if beyond("kl", settings.kl_total):
        return too_far(before["kl"])
    if beyond("moved", settings.kl_night):
        return f"the replies moved {before['moved']:.1f} nats, enough for one night"
    return ""


def too_far(kl: float) -> str:
    """In words."""
    return f"the replies are {kl:.1f} nats from the initial model, as far as all nights together may go"


def overoptimised(history: Sequence[dict[str, float]]) -> bool:
    """Whether the onlooker's scores surely fell from their best, while the reward was above its start.

    Both are averages over a few iterations (Gao et al. 2022: the proxy goes on rising when the truth has turned).
    """
    count = WATCHED_TOGETHER
    if len(history) < 2 * count or "watched" not in history[-1]:
        return False
    spans = [history[start : start + count] for start in range(len(history) - 2 * count + 1)]
    best = max(spans, key=lambda span: fmean(figures["watched"] for figures in span))
    last = history[-count:]
    error = math.sqrt(sum(figures["watched_error"] ** 2 for figures in [*best, *last])) / count
    fell = fmean(figures["watched"] for figures in best) - fmean(figures["watched"] for figures in last)
    return fell > SURELY * error and all(figures["reward"] > history[0]["reward"] for figures in last)


def set_learning_rate_(learner: Learner, rate: float) -> None:
    """Of the policy; the critic's stays."""
    for group in learner.policy_optimiser.param_groups:
        group["lr"] = rate
