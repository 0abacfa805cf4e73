"""What the tests of the training share: a tiny model cut in two, and replies to learn from."""

from pathlib import Path
from typing import Any

import torch

from nightschool.model import BaseModel, load_base
from tests.tiny import make_tiny_model
from training.judgements import Answer
from training.ppo_settings import Baseline, Credit, PpoSettings, Step
from training.reward_model import RewardHead, RewardModel
from training.rollout import Drawing
from training.trunk import SplitModel


def tiny_base(folder: Path, *, layers: int = 4, dtype: torch.dtype = torch.float32) -> BaseModel:
    return load_base(str(make_tiny_model(folder / "model", layers=layers)), folder, dtype=dtype)


def critic_settings(iterations: int, drawing: Drawing, **changes: Any) -> PpoSettings:
    """PPO in its first form: the score at the last token, a critic, one reply to each prompt."""
    first: dict[str, Any] = {"credit": Credit.END, "baseline": Baseline.CRITIC, "replies": 1}
    first |= {"epochs": 4, "step": Step.ADAM, "learning_rate": 5e-4, "course": 0.0, "gamma": 1.0}
    return PpoSettings(iterations, drawing, **(first | changes))


def random_answers(count: int, seed: int = 0) -> list[Answer]:
    """Random prompts of 5 to 20 tokens, replies of 3 to 12; every second one ended by the end-of-turn token 2.

    The end-of-turn token stands inside every prompt too, as it does in a real conversation.
    """
    generator = torch.Generator().manual_seed(seed)

    def some(least: int, most: int) -> list[int]:
        length = int(torch.randint(least, most + 1, (), generator=generator))
        return torch.randint(3, 256, (length,), generator=generator).tolist()

    answers = []
    for index in range(count):
        end = [2] if index % 2 == 0 else []
        answers.append(Answer((*some(3, 10), 2, *some(2, 9)), (*some(3, 11), *end)))
    return answers


def random_head(split: SplitModel, seed: int = 0, *, last_states_alone: bool = False) -> RewardHead:
    size = split.size if last_states_alone else 2 * split.size
    generator = torch.Generator().manual_seed(seed)

    def draw() -> torch.Tensor:
        return torch.randn(size, generator=generator, dtype=torch.float64)

    nothing = torch.zeros((), dtype=torch.float64)
    return RewardHead(draw() / 8, draw(), draw().abs() + 0.5, nothing, nothing.clone(), offset=0.3, spread=1.7)


def random_reward_model(split: SplitModel, seed: int = 0) -> RewardModel:
    return RewardModel(split, random_head(split, seed))
