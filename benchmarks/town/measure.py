"""The measurement: what the taste says of a version's replies to prompts that nobody in town was ever asked.

All versions answer the same prompts (the exam half of the bank; people and nights use the training half) with the same
seeds as the initial one. Bounds come from drawing whole prompts; each holds one-sided with 95 % confidence.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import torch

from benchmarks.town.tastes import Taste
from nightschool.chat_format import encode_prompt
from nightschool.model import BaseModel
from nightschool.prompt_bank import BankPrompt, bank_half
from nightschool.records import Message
from training.exam_statistics import Bounds, clustered_bounds
from training.judgements import Answer
from training.rollout import Drawing, draw
from training.trunk import SplitModel

REPLIES = 2
"""To each prompt: with 128 prompts the bounds of a win rate are about 6 points off it."""


@dataclass(frozen=True)
class Spoken:
    """A version's replies to all prompts, with what the taste says of each."""

    prompts: tuple[str, ...]
    answers: tuple[Answer, ...]
    texts: tuple[str, ...]
    finished: tuple[bool, ...]
    golds: tuple[float, ...]


class Measure:
    """Asks versions and compares what they say by the taste."""

    def __init__(self, split: SplitModel, taste: Taste, drawing: Drawing, seed: int, *, prompts: int = 128) -> None:
        self.split, self.taste, self.seed = split, taste, seed
        self._drawing = drawing
        self.prompts: list[BankPrompt] = list(bank_half("exam"))[:prompts]

    @property
    def base(self) -> BaseModel:
        return self.split.base

    def ask(self, model: object, *, seed: int | None = None, replies: int = REPLIES) -> Spoken:
        """What a model (the initial one, or one with a version's adapter merged in) answers."""
        wanted = [prompt.text for prompt in self.prompts for _ in range(replies)]
        encoded = [tuple(encode_prompt(self.base.tokenizer, [Message("user", text)])) for text in wanted]
        generator = torch.Generator().manual_seed(self.seed if seed is None else seed)
        return self.judge(wanted, draw(self.split, model, encoded, self._drawing, generator))

    def judge(self, prompts: Sequence[str], answers: Sequence[Answer]) -> Spoken:
        """Replies with what the taste says of them."""
        decode = self.base.tokenizer.decode
        texts = tuple(str(decode(list(answer.token_ids), skip_special_tokens=True)) for answer in answers)
        finished = tuple(answer.token_ids[-1] in self.base.stop_ids for answer in answers)
        golds = tuple(float(self.taste(*each)) for each in zip(prompts, texts, finished, strict=True))
        return Spoken(tuple(prompts), tuple(answers), texts, finished, golds)

    def bounds(self, values: Sequence[float], prompts: Sequence[str]) -> Bounds:
        return clustered_bounds(torch.tensor(values).double(), list(prompts), self.seed)

    def compare(self, initial: Spoken, spoken: Spoken) -> dict[str, float]:
        """Gold, win rate over the initial version and share of finished replies, with bounds."""
        wins = [(new > old) + 0.5 * (new == old) for old, new in zip(initial.golds, spoken.golds, strict=True)]
        found: dict[str, float] = {}
        measured = {"gold": spoken.golds, "win_rate": wins, "finished": [float(end) for end in spoken.finished]}
        for name, values in measured.items():
            bounds = self.bounds(values, spoken.prompts)
            found |= {name: bounds.mean, f"{name}_low": bounds.low, f"{name}_high": bounds.high}
        return found | {"words": fmean(len(text.split()) for text in spoken.texts)}


def before_and_after(initial: Spoken, spoken: Spoken, count: int = 10) -> list[dict[str, Any]]:
    """The same prompts every time, evenly spread, with both replies as they are."""
    places = [index * len(initial.prompts) // count for index in range(count)]
    return [
        {
            "prompt": initial.prompts[place],
            "before": initial.texts[place],
            "after": spoken.texts[place],
            "gold_before": initial.golds[place],
            "gold_after": spoken.golds[place],
            "finished_before": initial.finished[place],
            "finished_after": spoken.finished[place],
        }
        for place in places
    ]
