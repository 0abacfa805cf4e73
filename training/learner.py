"""Everything that a night of PPO changes, in one place: saved whole after each iteration, continued from there.

A checkpoint is one safetensors file (no pickle), written under another name, synced and renamed: it is there whole or
not at all. Continued in float32 on one thread, a night that has time for all its iterations ends with the same weights
as one that was never stopped.
"""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from nightschool.errors import NightSchoolError
from nightschool.files import whole_file
from training.advantages import AdaptiveKl
from training.critic import LEARNING_RATE as CRITIC_RATE
from training.critic import Critic
from training.invariants import Watch
from training.losses import k1
from training.policy import Policy
from training.ppo_settings import PpoSettings, Step
from training.rollout import Rollout

MOMENTUM = 0.9


class DamagedCheckpoint(NightSchoolError):
    """A checkpoint cannot be read, or belongs to another night's sizes."""


class PromptQueue:
    """Prompts in a shuffled order, again and again: each is used once before any is used twice."""

    def __init__(self, prompts: Sequence[Sequence[int]], seed: int, taken: int = 0) -> None:
        self._prompts, self._seed, self.taken = list(prompts), seed, taken

    def take(self, count: int) -> list[Sequence[int]]:
        """The next `count` prompts."""
        places = range(self.taken, self.taken + count)
        self.taken += count
        orders = {turn: self._order(turn) for turn in {place // len(self._prompts) for place in places}}
        return [self._prompts[orders[place // len(self._prompts)][place % len(self._prompts)]] for place in places]

    def _order(self, turn: int) -> list[int]:
        return random.Random(f"{self._seed}/{turn}").sample(range(len(self._prompts)), len(self._prompts))


@dataclass
class Learner:
    """Policy, critic, their optimisers, beta, the generator, the place in the prompts, and the figures so far."""

    policy: Policy
    critic: Critic
    policy_optimiser: torch.optim.Optimizer
    critic_optimiser: torch.optim.Optimizer
    kl_control: AdaptiveKl
    generator: torch.Generator
    queue: PromptQueue
    watch: Watch
    begun: dict[str, Tensor]
    """The policy's weights when the night began, by PEFT's names; empty where that was the initial model.

    Not in a checkpoint: `fresh` gets them, before `load_`.
    """
    history: list[dict[str, float]] = field(default_factory=list)
    earlier: dict[str, Tensor] = field(default_factory=dict)
    """The policy's weights before its last update, by PEFT's names; empty before the first one."""
    stopped: str = ""
    """Why no further iteration begins, in words; empty while there may be one."""

    @classmethod
    def fresh(
        cls,
        policy: Policy,
        prompts: Sequence[Sequence[int]],
        settings: PpoSettings,
        seed: int,
        *,
        first_night: bool = False,
    ) -> "Learner":
        """A policy before its night's first iteration; in a first night it must still be exactly the base."""
        critic = Critic(policy.split.base.model.config.hidden_size, seed)
        adam: dict[str, Any] = {"betas": (0.9, 0.95), "eps": 1e-5, "weight_decay": 0.0}
        return cls(
            policy=policy,
            critic=critic,
            policy_optimiser=(
                torch.optim.AdamW(policy.weights(), lr=settings.learning_rate, **adam)
                if settings.step is Step.ADAM
                else torch.optim.SGD(policy.weights(), lr=settings.learning_rate, momentum=MOMENTUM)
            ),
            critic_optimiser=torch.optim.AdamW(critic.parameters(), lr=CRITIC_RATE, **adam),
            kl_control=AdaptiveKl(
                settings.beta, settings.kl_target, settings.kl_horizon, low=min(settings.beta, AdaptiveKl.low)
            ),
            generator=torch.Generator().manual_seed(seed),
            queue=PromptQueue(prompts, seed),
            watch=Watch(policy.split.base, first_night=first_night),
            begun=policy.copy() if policy.is_changed() else {},
        )

    @torch.no_grad()
    def moved(self, rollout: Rollout, temperature: float) -> float:
        """Nats per reply from the policy that the night began with to the one that drew the rollout.

        Not the difference of their drifts from the initial model: replies may move far and come no farther from that.
        The mean of k1, which one token that has become rare moves less than it would k3's.
        """
        began = [group.reference for group in rollout.groups]
        if self.begun:
            now = self.policy.copy()
            try:
                self.policy.take_over_(self.begun)
                began = [self.policy.logps(group.trunk, group.sequences, temperature) for group in rollout.groups]
            finally:
                self.policy.take_over_(now)
        total = sum(float(k1(group.old, logps).sum()) for group, logps in zip(rollout.groups, began, strict=True))
        return total / len(rollout.answers)

    def take_back_(self) -> None:
        """The policy as it was before its last update, where there was one."""
        if self.earlier:
            self.policy.take_over_(self.earlier)

    def save(self, path: Path) -> None:
        """Write the checkpoint. Raises OSError when the disk is full; the earlier checkpoint then stays."""
        state = {
            "beta": self.kl_control.beta,
            "taken": self.queue.taken,
            "history": self.history,
            "start": dict(self.watch.start),
            "stopped": self.stopped,
            "step": self._step(),
        }
        metadata = {"state": json.dumps(state)}
        whole_file(path, lambda temporary: save_file(self._tensors(), temporary, metadata=metadata))

    def load_(self, path: Path) -> None:
        """Continue from a checkpoint. Raises `DamagedCheckpoint` when it does not fit."""
        try:
            with safe_open(path, framework="pt") as file:
                state = json.loads(file.metadata()["state"])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            if state.get("step", "AdamW") != self._step():  # there was one kind before it was told
                raise ValueError("it was made with steps of another kind")
            if not all("moved" in figures for figures in state["history"]):
                raise ValueError("it does not tell how far its replies moved")
            self._take_over_(tensors)
        except (SafetensorError, OSError, KeyError, ValueError, RuntimeError, TypeError) as error:
            raise DamagedCheckpoint(
                f"The checkpoint {path} cannot be continued ({error}); start a new night, which makes its own."
            ) from error
        self.kl_control.beta, self.queue.taken = float(state["beta"]), int(state["taken"])
        self.history, self.stopped = state["history"], state["stopped"]
        self.watch.resume_(state["start"])

    def _tensors(self) -> dict[str, Tensor]:
        tensors = {f"policy.{name}": tensor for name, tensor in self.policy.tensors().items()}
        tensors |= {f"earlier.{name}": tensor for name, tensor in self.earlier.items()}
        tensors |= {f"critic.{name}": tensor for name, tensor in self.critic.state_dict().items()}
        tensors["generator"] = self.generator.get_state()
        for name, optimiser in self._optimisers().items():
            for index, moments in optimiser.state_dict()["state"].items():
                tensors |= {f"{name}.{index}.{moment}": value for moment, value in moments.items()}
        return {name: tensor.detach().clone().contiguous() for name, tensor in tensors.items()}

    def _take_over_(self, tensors: dict[str, Tensor]) -> None:
        self.policy.take_over_(_under("policy.", tensors))
        self.earlier = _under("earlier.", tensors)
        self.critic.load_state_dict(_under("critic.", tensors))
        self.generator.set_state(tensors["generator"])
        for name, optimiser in self._optimisers().items():
            moments: dict[int, dict[str, Tensor]] = {}
            for place, value in _under(f"{name}.", tensors).items():
                index, moment = place.split(".")
                moments.setdefault(int(index), {})[moment] = value
            optimiser.load_state_dict({"state": moments, "param_groups": optimiser.state_dict()["param_groups"]})

    def _step(self) -> str:
        return type(self.policy_optimiser).__name__

    def _optimisers(self) -> dict[str, torch.optim.Optimizer]:
        return {"policy_optimiser": self.policy_optimiser, "critic_optimiser": self.critic_optimiser}


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
