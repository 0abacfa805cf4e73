"""What each token of a rollout is worth: rewards, values, advantages. Nothing here carries a gradient."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from training.advantages import explained_variance, gae, leave_one_out, returns_to_go, token_rewards, whiten
from training.critic import Critic
from training.invariants import Watch
from training.losses import k1
from training.ppo_settings import Baseline, Credit, PpoSettings
from training.rollout import Rollout, RolloutGroup


@dataclass(frozen=True)
class Episodes:
    """A rollout group with what its tokens are worth. advantages, returns, old_values [batch, steps]."""

    group: RolloutGroup
    advantages: Tensor
    returns: Tensor
    old_values: Tensor


def estimate_advantages(
    rollout: Rollout, critic: Critic, settings: PpoSettings, beta: float, watch: Watch | None = None
) -> list[Episodes]:
    """Rewards, values, advantages whitened over the whole rollout. Nothing here carries a gradient."""
    mask = rollout.is_response
    rewards = shaped_rewards(rollout, settings, beta)
    if settings.baseline is Baseline.GROUP:
        values = torch.zeros_like(rewards)
        returns = returns_to_go(rewards, mask, settings.gamma)
        compared = returns if settings.credit is Credit.DENSE else returns[:, :1].expand_as(returns)
        advantages = torch.where(mask, compared - leave_one_out(compared, rollout.prompt_of), 0.0)
    else:
        values = rollout.episodes(lambda group: old_values(critic, group, settings))
        advantages, returns = gae(rewards, values, mask, settings.gamma, settings.lam)
    if watch is not None:
        watch.advantages(advantages[mask])
    advantages = whiten(advantages, mask)
    return [
        Episodes(group, *(part[group.rows, : int(group.sequences.response_lengths.max())] for part in parts))
        for group in rollout.groups
        for parts in [(advantages, returns, values)]
    ]


def shaped_rewards(rollout: Rollout, settings: PpoSettings, beta: float) -> Tensor:
    """Score, less the penalties for an end that did not come and for loops, less beta KL, at the tokens that earned it.

    [episodes, steps]. Dense credit leaves out the score's constant, which no token can change.
    """
    finished = rollout.episodes(lambda group: group.finished)
    scores = rollout.episodes(lambda group: group.scores) - settings.missing_end_penalty * (~finished).float()
    scores = scores - settings.loop_penalty * rollout.looping().float()
    kl = rollout.episodes(lambda group: k1(group.old, group.reference))
    if settings.credit is Credit.END:
        return token_rewards(kl, scores, rollout.is_response, beta)
    shares = rollout.episodes(lambda group: group.judged.shares)
    constant = rollout.groups[0].judged.constant
    return token_rewards(kl, scores - constant, rollout.is_response, beta, shares)


@torch.no_grad()
def old_values(critic: Critic, group: RolloutGroup, settings: PpoSettings) -> Tensor:
    """The critic's values before the update. -> [batch, steps]."""
    return critic(group.features, known_so_far(group, settings))


def known_so_far(group: RolloutGroup, settings: PpoSettings) -> Tensor:
    """What the critic starts from: the score as far as the tokens have brought it, where it is still to be paid out."""
    running = group.judged.running
    return running if settings.credit is Credit.END else torch.zeros_like(running)


def rollout_figures(rollout: Rollout, episodes: Sequence[Episodes], beta: float) -> dict[str, float]:
    """What the night's curves show of a rollout."""
    masks = [entry.group.sequences.is_response for entry in episodes]
    returns = torch.cat([entry.returns[mask] for entry, mask in zip(episodes, masks, strict=True)])
    values = torch.cat([entry.old_values[mask] for entry, mask in zip(episodes, masks, strict=True)])
    figures = {
        "reward": rollout.mean_score(),
        "kl": rollout.mean_kl(),
        "length": rollout.mean_length(),
        "finished": rollout.finished_share(),
        "entropy": rollout.mean_entropy(),
        "beta": beta,
        "explained_variance": explained_variance(values, returns, torch.ones_like(returns, dtype=torch.bool)),
    }
    if rollout.groups[0].watched is not None:
        watched = rollout.episodes(lambda group: group.watched)  # type: ignore[arg-type, return-value]
        by_prompt = watched.view(len(rollout.prompt_of.unique()), -1).mean(1)  # replies to one prompt are alike
        error = float(by_prompt.std(correction=0)) / math.sqrt(len(by_prompt))
        figures |= {"watched": float(watched.mean()), "watched_error": error}
    return figures
