"""The update: clipped epochs over one rollout, for policy and critic, each with its own optimiser."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch

from training.episodes import Episodes, estimate_advantages, known_so_far
from training.gradients import OneProcess
from training.learner import Learner
from training.losses import ends_loss, k3, policy_loss, value_loss
from training.ppo_settings import Baseline, PpoSettings, Step
from training.ptx import Example, ptx_loss
from training.rollout import Rollout, Scorer


@dataclass(frozen=True)
class Surroundings:
    """What a night gives PPO beside policy, reward and prompts, and hears from it."""

    record: Callable[[int, dict[str, float]], None] = lambda iteration, figures: None
    """Called with each iteration's figures."""
    keep: Callable[[int, Rollout, Learner], None] = lambda iteration, rollout, learner: None
    """Called when an iteration is over: the place for checkpoints."""
    check: Callable[[], None] = lambda: None
    """Called often; may raise to give up."""
    watcher: Scorer | None = None
    """An onlooker (the examiner) whose falling scores end the night while the reward still rises."""
    examples: Sequence[Example] = ()
    """Texts that people wrote or liked, for the ptx term."""
    initial_finished: float = 0.0
    """Share of the initial model's replies that end by themselves, where it is known: the penalty rises below it."""
    gradients: OneProcess = field(default_factory=OneProcess)
    clock: Callable[[], float] = time.monotonic
    """Seconds that the time box is told in; a measurement beside other work counts its own processor time."""


def update_(
    learner: Learner, episodes: Sequence[Episodes], settings: PpoSettings, around: Surroundings
) -> dict[str, float]:
    """The clipped epochs over one rollout. Layouts stay as they are; only the order of the groups is shuffled."""
    sums: dict[str, float] = {}
    steps, moved, epochs = 0, 0.0, 0
    for _ in range(settings.epochs):
        order = torch.randperm(len(episodes), generator=learner.generator)
        moved, tokens = 0.0, 0
        for chosen in order.tensor_split(min(settings.minibatches, len(episodes))):
            minibatch = [episodes[int(index)] for index in chosen]
            count = around.gradients.total(sum(int(e.group.sequences.response_lengths.sum()) for e in minibatch))
            figures = step_(learner, minibatch, count, settings, around, first=steps == 0)
            moved += figures.pop("k3")
            tokens += count
            for name, value in figures.items():
                sums[name] = sums.get(name, 0.0) + value
            steps += 1
        epochs += 1
        moved /= tokens
        if moved > settings.k3_limit:
            break
    return {name: value / steps for name, value in sums.items()} | {"k3_to_old": moved, "epochs": float(epochs)}


def step_(
    learner: Learner,
    minibatch: Sequence[Episodes],
    count: int,
    settings: PpoSettings,
    around: Surroundings,
    *,
    first: bool,
) -> dict[str, float]:
    """One step of both optimisers; losses are divided by the token count of the whole minibatch."""
    learner.policy_optimiser.zero_grad()
    learner.critic_optimiser.zero_grad()
    figures = {"policy_loss": 0.0, "ends_loss": 0.0, "clip_fraction": 0.0, "k3": 0.0}
    if settings.baseline is Baseline.CRITIC:
        figures["value_loss"] = 0.0
    for number, entry in enumerate(minibatch):
        around.check()
        part = policy_part_(learner, entry, count, settings, around, first=first and number == 0)
        if settings.baseline is Baseline.CRITIC:
            part["value_loss"] = critic_part_(learner, entry, count, settings, around)
        for name, value in part.items():
            figures[name] += value
    if around.examples and settings.ptx > 0.0:
        figures["ptx_loss"] = imitate_(learner, settings, around)
    if first:
        learner.watch.gradients(trained_parts(learner, settings))
    if settings.step is Step.ADAM:
        figures["gradient_norm"] = around.gradients.clip_(learner.policy.weights(), 1.0)
    else:
        figures["gradient_norm"] = around.gradients.to_length_one_(learner.policy.weights())
    learner.watch.step(**figures)
    learner.policy_optimiser.step()
    if settings.baseline is Baseline.CRITIC:
        learner.watch.step(critic_gradient_norm=around.gradients.clip_(list(learner.critic.parameters()), 1.0))
        learner.critic_optimiser.step()
    return figures


def imitate_(learner: Learner, settings: PpoSettings, around: Surroundings) -> float:
    """Add the gradient of the ptx term to that of the reward, no longer than its share of it; the term's loss.

    A night has a dozen texts to imitate, whose gradient hardly changes from step to step: at a fixed weight it would
    outweigh that of a faint reward.
    """
    weights = learner.policy.weights()
    of_reward = [weight.grad for weight in weights]
    for weight in weights:
        weight.grad = None
    loss = ptx_loss(learner.policy, around.examples, settings.ptx_texts, learner.generator)
    around.gradients.backward(settings.ptx * loss)
    longest = settings.ptx_share * float(torch.nn.utils.get_total_norm([g for g in of_reward if g is not None]))
    own = float(torch.nn.utils.get_total_norm([weight.grad for weight in weights if weight.grad is not None]))
    for weight, gradient in zip(weights, of_reward, strict=True):
        if weight.grad is not None and gradient is not None:
            weight.grad.mul_(min(1.0, longest / max(own, 1e-12))).add_(gradient)
    return float(loss.detach())


def policy_part_(
    learner: Learner,
    entry: Episodes,
    count: int,
    settings: PpoSettings,
    around: Surroundings,
    *,
    first: bool,
) -> dict[str, float]:
    """Add one group's gradient to the policy's."""
    group, mask = entry.group, entry.group.sequences.is_response
    new, ends = learner.policy.logps_and_ends(group.trunk, group.sequences, settings.drawing.temperature)
    if first:
        learner.watch.first_ratio(new.detach()[mask], group.old[mask])
    loss = policy_loss(new, group.old, entry.advantages, mask, settings.clip, count)
    of_ends = ends_loss(ends, group.reference_ends, mask, count)
    around.gradients.backward(loss + settings.ends_kept * of_ends)
    with torch.no_grad():
        ratio = torch.exp(new - group.old)[mask]
        return {
            "policy_loss": float(loss.detach()),
            "ends_loss": float(of_ends.detach()),
            "clip_fraction": float(((ratio - 1).abs() > settings.clip).float().sum() / count),
            "k3": float(k3(group.old, new)[mask].sum()),
        }


def critic_part_(learner: Learner, entry: Episodes, count: int, settings: PpoSettings, around: Surroundings) -> float:
    """Add one group's gradient to the critic's; its loss."""
    group = entry.group
    values = learner.critic(group.features, known_so_far(group, settings))
    loss = value_loss(values, entry.old_values, entry.returns, group.sequences.is_response, settings.clip, count)
    around.gradients.backward(loss)
    return float(loss.detach())


def trained_parts(learner: Learner, settings: PpoSettings) -> dict[str, torch.nn.Parameter]:
    """Everything that must have a gradient, by name."""
    parts = {name: weight for name, weight in learner.policy.adapter.named_parameters() if "lora_" in name}
    if settings.baseline is Baseline.CRITIC:
        # The hidden layer has none while the output layer is 0, as before any training.
        parts |= {f"critic {name}": w for name, w in learner.critic.named_parameters() if not name.startswith("hidden")}
    return parts


def pretrain_critic_(learner: Learner, rollout: Rollout, settings: PpoSettings, around: Surroundings) -> None:
    """Fit the critic to the first rollout's returns before the policy moves."""
    episodes = estimate_advantages(rollout, learner.critic, settings, learner.kl_control.beta)
    count = around.gradients.total(sum(int(entry.group.sequences.response_lengths.sum()) for entry in episodes))
    for _ in range(settings.critic_pretraining):
        learner.critic_optimiser.zero_grad()
        for entry in episodes:
            values = learner.critic(entry.group.features, known_so_far(entry.group, settings))
            mask = entry.group.sequences.is_response
            around.gradients.backward(0.5 * torch.where(mask, (values - entry.returns) ** 2, 0.0).sum() / count)
        learner.critic_optimiser.step()
