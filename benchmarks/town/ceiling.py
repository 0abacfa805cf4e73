"""The ceiling: PPO on the taste itself, as if a reward model knew it without error. No chat, no judgements."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import torch

from benchmarks.gold import GoldScorer
from benchmarks.ppo_learning import COURSE_OF_KNOWN, DRIFT_OF_KNOWN
from benchmarks.town.tastes import Taste
from nightschool.chat_format import encode_prompt
from nightschool.model import BaseModel
from nightschool.prompt_bank import bank_half
from nightschool.records import Message
from training.conduct import finished
from training.effort import Effort
from training.judgements import Answer
from training.learner import Learner
from training.policy import Policy
from training.ppo import train
from training.ppo_settings import PpoSettings
from training.ppo_update import Surroundings
from training.rollout import Drawing, draw
from training.trunk import SplitModel


class TasteScorer(GoldScorer):
    """A scorer by a taste that may look at the prompt and at whether the reply ended by itself."""

    def __init__(
        self, base: BaseModel, taste: Taste, texts: dict[tuple[int, ...], str], initial: Sequence[Answer]
    ) -> None:
        self._base, self._judges, self._texts = base, taste, texts
        super().__init__(base.tokenizer, lambda text: taste("", text, True), initial)

    def gold(self, answer: Answer) -> float:
        """What the taste says of a reply, or of its beginning."""
        text = self._base.tokenizer.decode(list(answer.token_ids), skip_special_tokens=True)
        has_ended = bool(answer.token_ids) and answer.token_ids[-1] in self._base.stop_ids
        return float(self._judges(self._texts[answer.prompt_ids], str(text), has_ended))


class Ceiling:
    """A policy that is trained on the taste, night after night."""

    def __init__(self, split: SplitModel, taste: Taste, drawing: Drawing, effort: Effort, seed: int) -> None:
        self.policy = Policy(split, seed)
        self._effort, self._drawing, self._seed = effort, drawing, seed
        texts = {
            tuple(encode_prompt(split.base.tokenizer, [Message("user", prompt.text)])): prompt.text
            for prompt in bank_half("train")
        }
        self._prompts = list(texts)
        initial = draw(split, split.base.model, self._prompts, drawing, torch.Generator().manual_seed(seed))
        self._initial_finished = finished(initial, split.base.stop_ids)
        self._scorer = TasteScorer(split.base, taste, texts, initial)

    def night(self, number: int, say: Callable[[str], None]) -> dict[str, Any]:
        """One night's PPO with a night's settings, but for the bound on drift; its figures."""
        settings = PpoSettings(
            iterations=self._effort.iterations,
            drawing=self._drawing,
            seconds=self._effort.ppo_seconds,
            gamma=1.0,  # nothing of the taste itself is to be passed over
            course=COURSE_OF_KNOWN,
            kl_night=DRIFT_OF_KNOWN,
            kl_total=2 * DRIFT_OF_KNOWN,
        )

        def record(iteration: int, figures: dict[str, float]) -> None:
            say(f"iteration {iteration}: reward {figures['reward']:+.2f}, KL {figures['kl']:.2f}")

        began = time.monotonic()
        learner = Learner.fresh(self.policy, self._prompts, settings, self._seed + number)
        around = Surroundings(record, initial_finished=self._initial_finished)
        history = train(learner, self._scorer, settings, around)
        curve = [
            {"kl": row["kl"], "proxy": row["reward"], "examiner": None, "gold": self._scorer.in_own_unit(row["reward"])}
            for row in history
        ]
        seconds = {"ppo": round(time.monotonic() - began, 2)}
        return {"kl": history[-1]["kl"] if history else None, "curve": curve, "seconds": seconds}
