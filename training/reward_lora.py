"""The reward model's second rung: a LoRA on the top layers behind the fitted head.

The head stays as the ridge fit left it and the LoRA starts at B = 0, so training begins exactly at the head's own
predictions. It is tried on four fifths of the training conversations and kept only where it lowers the log-loss on the
others (the validation side included); then it is trained once more on all of them.
"""

import math
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from training.features import Features
from training.judgements import Answer, Judgement, Judgements, PairJudgement
from training.reading import TrunkStates, answer_sequences, pool, read_texts
from training.reward_fit import (
    HeldOut,
    fit_head,
    joint_loss,
    make_batch,
    mean_log_loss,
    predict,
    smoothing_of,
    thresholds,
)
from training.reward_model import RewardHead
from training.trunk import SplitModel

LEARNING_RATE = 2e-4
BATCH = 8
"""Acts of judging (a duel, a ranking, a thumb) per optimiser step: all pairs of one ranking stay together."""
LEAST_HELD_OUT = 12
"""Fewer held-out judgements cannot tell whether the LoRA helps; then it is not tried."""
LEAST_GAIN = 0.002
"""Nats per judgement by which the LoRA must lower the held-out log-loss."""


@dataclass(frozen=True)
class Refinement:
    """A LoRA that was kept: the PEFT model, its top, and held-out judgements as its trial foretold them."""

    adapter: Any
    top: Any
    held_out: list[HeldOut]


def refine(
    split: SplitModel,
    head: RewardHead,
    ridge: float,
    train: Judgements,
    validation: Judgements,
    features: Features,
    row_of: dict[Answer, int],
    trunk: TrunkStates,
    *,
    epochs: int,
    seconds: float,
    seed: int,
    say: Callable[[str], None],
) -> Refinement | None:
    """The LoRA if that predicts held-out judgements better than the head alone, else None."""
    kept_back = set(sorted({judgement.component for judgement in train.all})[::5])
    trial = train.where(lambda judgement: judgement.component not in kept_back)
    held = train.where(lambda judgement: judgement.component in kept_back) + validation
    if len(held) < LEAST_HELD_OUT or len(trial) < BATCH:
        say(f"LoRA not tried: {len(held)} held-out judgements are too few to tell whether it helps.")
        return None
    trial_head = fit_head(features, make_batch(trial, row_of), ridge, smoothing=smoothing_of(trial))
    before = mean_log_loss(predict(features, trial_head, held, row_of))
    adapter, top, steps = train_lora(split, trial_head, trial, trunk, epochs=epochs, seconds=seconds / 3, seed=seed)
    answers = held.answers()
    rows = {answer: index for index, answer in enumerate(answers)}
    predicted = predict(read_texts(split, answers, top), trial_head, held, rows)
    after = mean_log_loss(predicted)
    if after > before - LEAST_GAIN:
        say(f"LoRA not kept: held-out log-loss {after:.3f} against {before:.3f} of the head alone.")
        return None
    say(f"LoRA kept: held-out log-loss {after:.3f} against {before:.3f} of the head alone.")
    again = round(steps * len(_acts(train)) / len(_acts(trial)))  # as often over each act as in the trial
    adapter, top, _ = train_lora(split, head, train, trunk, epochs=epochs, steps=again, seed=seed)
    return Refinement(adapter, top, predicted)


def train_lora(
    split: SplitModel,
    head: RewardHead,
    judgements: Judgements,
    trunk: TrunkStates,
    *,
    epochs: int,
    seconds: float = math.inf,
    steps: int | None = None,
    seed: int,
) -> tuple[Any, Any, int]:
    """AdamW on the LoRA alone until epochs, seconds or steps are used up: (adapter, its top, steps taken)."""
    torch.manual_seed(seed)  # LoRA's A is drawn from the global generator
    adapter, top = split.adapter()
    weights = [weight for weight in adapter.parameters() if weight.requires_grad]
    optimiser = torch.optim.AdamW(weights, lr=LEARNING_RATE, weight_decay=0.01)
    order = torch.Generator().manual_seed(seed)
    acts = _acts(judgements)
    smoothing = smoothing_of(judgements)
    usual = sum(judgement.weight for judgement in judgements.all) / max(len(acts), 1)
    deadline, taken = time.monotonic() + seconds, 0
    for _ in range(epochs):
        for indices in torch.randperm(len(acts), generator=order).split(BATCH):
            if time.monotonic() > deadline or taken == steps:
                return adapter, top, taken
            chosen = [judgement for index in indices for judgement in acts[int(index)]]
            # Weights count over all steps, not only inside one: a step of light judgements is a small one.
            share = sum(judgement.weight for judgement in chosen) / (BATCH * usual)
            loss = share * step_loss(split, top, head, chosen, trunk, smoothing)
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(weights, 1.0)
            optimiser.step()
            taken += 1
    return adapter, top, taken


def _acts(judgements: Judgements) -> list[list[Judgement]]:
    """Judgements by the row they came from: the pairs of one ranking belong into one step (Ouyang et al. 2022)."""
    found: defaultdict[tuple[str, str], list[Judgement]] = defaultdict(list)
    for judgement in judgements.all:
        found[judgement.source].append(judgement)
    return list(found.values())


def step_loss(
    split: SplitModel,
    top: Any,
    head: RewardHead,
    chosen: Sequence[Judgement],
    trunk: TrunkStates,
    smoothing: float,
) -> torch.Tensor:
    """The joint loss of a few judgements under the head's rewards of the states that `top` gives now -> scalar."""
    part = Judgements(
        tuple(judgement for judgement in chosen if isinstance(judgement, PairJudgement)),
        tuple(judgement for judgement in chosen if not isinstance(judgement, PairJudgement)),
    )
    answers = part.answers()
    sequences = answer_sequences(answers, split.base.pad_id)
    states = split.top(top, trunk.get(answers, sequences))
    direction = head.weight / head.scale
    rewards = (pool(states, sequences).double() - head.mean) @ direction
    batch = make_batch(part, {answer: index for index, answer in enumerate(answers)})
    return joint_loss(rewards, batch, head.log_nu, thresholds(head, part), smoothing)
