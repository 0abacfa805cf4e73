"""PPO against the reward model, with a penalty for drifting from the initial model (Schulman et al. 2017; Ziegler et
al. 2019; Ouyang et al. 2022).

Departures: LoRA instead of all weights; the critic reads cached features of the frozen base and has an optimiser of
its own; the KL horizon acts within one night; a reply that did not end by itself pays a fixed penalty; the learning
rate is that of a LoRA (docs/log.md). The reference is always the initial model, so the drift of all nights is bounded.
"""

import math
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nightschool.errors import NightSchoolError
from training.advantages import AdaptiveKl, explained_variance, gae, token_rewards, whiten
from training.critic import LEARNING_RATE as CRITIC_RATE
from training.critic import Critic
from training.losses import k1, k3, policy_loss, value_loss
from training.policy import Policy
from training.reward_model import RewardModel
from training.rollout import Drawing, Rollout, RolloutGroup, roll_out


class TrainingBroken(NightSchoolError):
    """An invariant of the training does not hold: the night stops and nothing of it is served."""


@dataclass(frozen=True)
class PpoSettings:
    """Hyper-parameters, from the papers above or from spikes; `k3_limit` and `kl_stop` were set without a sweep."""

    iterations: int
    drawing: Drawing
    seconds: float = math.inf
    """Time box: no iteration begins that would probably end after it."""
    episodes: int = 64
    epochs: int = 4
    minibatches: int = 4
    learning_rate: float = 5e-4
    clip: float = 0.2
    beta: float = 0.1
    kl_target: float = 6.0
    """Nats per reply to the initial model."""
    kl_stop: float = 5.0
    """No iteration begins once the replies have drifted this far: beta alone acts too slowly for one night."""
    gamma: float = 1.0
    lam: float = 1.0
    missing_end_penalty: float = 1.0
    critic_pretraining: int = 100
    k3_limit: float = 0.1
    """Epochs of an iteration end when the policy has moved this far from the one that drew the replies."""


@dataclass(frozen=True)
class Episodes:
    """A rollout group with what its tokens are worth. advantages, returns, old_values [batch, steps]."""

    group: RolloutGroup
    advantages: Tensor
    returns: Tensor
    old_values: Tensor


def run_ppo(
    policy: Policy,
    reward_model: RewardModel,
    prompts: Sequence[Sequence[int]],
    settings: PpoSettings,
    seed: int,
    record: Callable[[int, dict[str, float]], None],
    check: Callable[[], None] = lambda: None,
) -> list[dict[str, float]]:
    """Train the policy in place; returns (and records as they come) the figures of each iteration.

    `check` is called often and may raise to give up. Raises `TrainingBroken` when an invariant fails.
    """
    generator = torch.Generator().manual_seed(seed)
    critic = Critic(policy.split.base.model.config.hidden_size, seed)
    policy_optimiser = torch.optim.AdamW(
        policy.weights(), lr=settings.learning_rate, betas=(0.9, 0.95), eps=1e-5, weight_decay=0.0
    )
    critic_optimiser = torch.optim.AdamW(
        critic.parameters(), lr=CRITIC_RATE, betas=(0.9, 0.95), eps=1e-5, weight_decay=0.0
    )
    kl_control = AdaptiveKl(settings.beta, settings.kl_target, horizon=10 * settings.episodes)
    queue = PromptQueue(prompts, seed)
    history: list[dict[str, float]] = []
    began = time.monotonic()
    for iteration in range(settings.iterations):
        if history and history[-1]["kl"] > settings.kl_stop:
            break
        if history and time.monotonic() - began + history[-1]["seconds"] > settings.seconds:
            break
        started = time.monotonic()
        for group in policy_optimiser.param_groups:
            group["lr"] = settings.learning_rate * (1 - iteration / settings.iterations)
        rollout = roll_out(policy, reward_model, queue.take(settings.episodes), settings.drawing, generator, check)
        if iteration == 0:
            pretrain_critic_(critic, critic_optimiser, rollout, settings, kl_control.beta)
        episodes = estimate_advantages(rollout, critic, settings, kl_control.beta)
        figures = update_(policy, critic, policy_optimiser, critic_optimiser, episodes, settings, generator, check)
        figures |= _figures(rollout, episodes, kl_control.beta)
        kl_control.update_(rollout.mean_kl(), settings.episodes)
        figures["seconds"] = time.monotonic() - started
        history.append(figures)
        record(iteration + 1, figures)
    return history


def estimate_advantages(rollout: Rollout, critic: Critic, settings: PpoSettings, beta: float) -> list[Episodes]:
    """Rewards, values, GAE; advantages whitened over the whole rollout. Nothing here carries a gradient."""
    raw = []
    for group in rollout.groups:
        mask = group.sequences.is_response
        scores = group.scores - settings.missing_end_penalty * (~group.finished).float()
        rewards = token_rewards(k1(group.old, group.reference), scores, mask, beta)
        with torch.no_grad():
            values = critic(group.features, group.running)
        raw.append((group, mask, *gae(rewards, values, mask, settings.gamma, settings.lam), values))
    whitened = whiten(
        torch.cat([advantages[mask] for _, mask, advantages, _, _ in raw]),
        torch.ones(sum(int(mask.sum()) for _, mask, *_ in raw), dtype=torch.bool),
    )
    parts = whitened.split([int(mask.sum()) for _, mask, *_ in raw])
    return [
        Episodes(group, group.sequences.unpack(part), returns, values)
        for (group, _, _, returns, values), part in zip(raw, parts, strict=True)
    ]


def update_(
    policy: Policy,
    critic: Critic,
    policy_optimiser: torch.optim.Optimizer,
    critic_optimiser: torch.optim.Optimizer,
    episodes: Sequence[Episodes],
    settings: PpoSettings,
    generator: torch.Generator,
    check: Callable[[], None] = lambda: None,
) -> dict[str, float]:
    """The clipped epochs over one rollout. Layouts stay as they are; only the order of the groups is shuffled."""
    sums = {"policy_loss": 0.0, "value_loss": 0.0, "clip_fraction": 0.0, "gradient_norm": 0.0}
    steps, moved, epochs = 0, 0.0, 0
    for _ in range(settings.epochs):
        order = torch.randperm(len(episodes), generator=generator)
        moved, tokens = 0.0, 0
        for chosen in order.tensor_split(min(settings.minibatches, len(episodes))):
            minibatch = [episodes[int(index)] for index in chosen]
            count = sum(int(entry.group.sequences.response_lengths.sum()) for entry in minibatch)
            policy_optimiser.zero_grad()
            critic_optimiser.zero_grad()
            for entry in minibatch:
                check()
                part = _accumulate(policy, critic, entry, settings, count, exact=steps == 0)
                for name in ("policy_loss", "value_loss", "clip_fraction"):
                    sums[name] += part[name]
                moved += part["k3"]
            tokens += count
            norm = torch.nn.utils.clip_grad_norm_(policy.weights(), 1.0)
            critic_norm = torch.nn.utils.clip_grad_norm_(critic.parameters(), 1.0)
            if not (0.0 < float(norm) < math.inf and 0.0 < float(critic_norm) < math.inf):
                raise TrainingBroken(
                    f"The gradient of the policy is {float(norm)} and that of the critic {float(critic_norm)}; both "
                    "must be finite and above zero. The champion stays; report this night's log."
                )
            sums["gradient_norm"] += float(norm)
            policy_optimiser.step()
            critic_optimiser.step()
            steps += 1
        epochs += 1
        moved /= tokens
        if moved > settings.k3_limit:
            break
    return {name: value / steps for name, value in sums.items()} | {"k3_to_old": moved, "epochs": float(epochs)}


def _accumulate(
    policy: Policy, critic: Critic, entry: Episodes, settings: PpoSettings, count: int, *, exact: bool
) -> dict[str, float]:
    """Add one group's gradients; losses are divided by the token count of the whole minibatch."""
    group, mask = entry.group, entry.group.sequences.is_response
    new = policy.logps(group.trunk, group.sequences, settings.drawing.temperature)
    if exact and not torch.equal(new.detach()[mask], group.old[mask]):
        raise TrainingBroken(
            "The policy's log-probabilities changed before its first step, so the ratio is not 1: old and new ones "
            "are not computed alike. The champion stays; report this night's log."
        )
    loss = policy_loss(new, group.old, entry.advantages, mask, settings.clip, count)
    loss.backward()
    values = critic(group.features, group.running)
    critic_loss = value_loss(values, entry.old_values, entry.returns, mask, settings.clip, count)
    critic_loss.backward()
    with torch.no_grad():
        ratio = torch.exp(new - group.old)[mask]
        return {
            "policy_loss": float(loss.detach()),
            "value_loss": float(critic_loss.detach()),
            "clip_fraction": float(((ratio - 1).abs() > settings.clip).float().sum() / count),
            "k3": float(k3(group.old, new)[mask].sum()),
        }


def pretrain_critic_(
    critic: Critic, optimiser: torch.optim.Optimizer, rollout: Rollout, settings: PpoSettings, beta: float
) -> None:
    """Fit the critic to the first rollout's returns before the policy moves."""
    episodes = estimate_advantages(rollout, critic, settings, beta)
    count = sum(int(entry.group.sequences.response_lengths.sum()) for entry in episodes)
    for _ in range(settings.critic_pretraining):
        optimiser.zero_grad()
        for entry in episodes:
            values = critic(entry.group.features, entry.group.running)
            mask = entry.group.sequences.is_response
            (0.5 * torch.where(mask, (values - entry.returns) ** 2, 0.0).sum() / count).backward()
        optimiser.step()


def _figures(rollout: Rollout, episodes: Sequence[Episodes], beta: float) -> dict[str, float]:
    def joined(select: Callable[[Episodes], Tensor]) -> Tensor:
        return torch.cat([select(entry)[entry.group.sequences.is_response] for entry in episodes])

    returns, values = joined(lambda entry: entry.returns), joined(lambda entry: entry.old_values)
    everywhere = torch.ones_like(returns, dtype=torch.bool)
    return {
        "reward": rollout.mean_score(),
        "kl": rollout.mean_kl(),
        "length": rollout.mean_length(),
        "finished": rollout.finished_share(),
        "entropy": rollout.mean_entropy(),
        "beta": beta,
        "explained_variance": explained_variance(values, returns, everywhere),
    }


class PromptQueue:
    """Prompts in a shuffled order, again and again: each is used once before any is used twice."""

    def __init__(self, prompts: Sequence[Sequence[int]], seed: int) -> None:
        self._prompts = list(prompts)
        self._random = random.Random(seed)
        self._waiting: list[Sequence[int]] = []

    def take(self, count: int) -> list[Sequence[int]]:
        """The next `count` prompts."""
        while len(self._waiting) < count:
            self._waiting += self._random.sample(self._prompts, len(self._prompts))
        taken, self._waiting = self._waiting[:count], self._waiting[count:]
        return taken
