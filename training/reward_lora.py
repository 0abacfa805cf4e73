"""The reward model's second rung: a LoRA on the top layers behind the fitted head.

The head stays as the ridge fit left it and the LoRA starts at B = 0, so training begins exactly at the head's own
predictions. It is tried on four fifths of the training conversations and kept only where it lowers the log-loss on the
others (the validation side included); then it is trained once more on all of them.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any

import torch

from training.judgements import Answer, Judgement, Judgements, PairJudgement
from training.reading import answer_sequences, pool
from training.reward_fit import (
    SMOOTHING,
    fit_head,
    joint_loss,
    make_batch,
    mean_log_loss,
    predict,
)
from training.reward_model import RewardHead, RewardModel, pooled_states
from training.trunk import SplitModel

LEARNING_RATE = 2e-4
BATCH = 8
"""Judgements per optimiser step: up to 16 texts."""
LEAST_HELD_OUT = 12
"""Fewer held-out judgements cannot tell whether the LoRA helps; then it is not tried."""
LEAST_GAIN = 0.002
"""Nats per judgement by which the LoRA must lower the held-out log-loss."""


def refine(
    split: SplitModel,
    head: RewardHead,
    ridge: float,
    train: Judgements,
    validation: Judgements,
    features: torch.Tensor,
    row_of: dict[Answer, int],
    *,
    epochs: int,
    seconds: float,
    seed: int,
    say: Callable[[str], None],
) -> RewardModel:
    """The head with a LoRA behind it if that predicts held-out judgements better, else the head alone."""
    plain = RewardModel(split, head)
    components = sorted({judgement.component for judgement in train.all})
    kept_back = set(components[::5])
    trial, held = _parted(train, kept_back)
    held = Judgements(held.pairs + validation.pairs, held.thumbs + validation.thumbs)
    if len(held) < LEAST_HELD_OUT or len(trial) < BATCH:
        say(f"LoRA not tried: {len(held)} held-out judgements are too few to tell whether it helps.")
        return plain
    began = time.monotonic()
    trial_head = fit_head(features, make_batch(trial, row_of), ridge)
    before = mean_log_loss(predict(features, trial_head, held, row_of))
    adapter, top = _train(split, trial_head, trial, epochs=epochs, seconds=seconds / 3, seed=seed)
    answers = held.answers()
    after = mean_log_loss(
        predict(pooled_states(split, answers, top), trial_head, held, {a: i for i, a in enumerate(answers)})
    )
    if after > before - LEAST_GAIN:
        say(f"LoRA not kept: held-out log-loss {after:.3f} against {before:.3f} of the head alone.")
        return plain
    say(f"LoRA kept: held-out log-loss {after:.3f} against {before:.3f} of the head alone.")
    left = max(seconds - (time.monotonic() - began), 1.0)
    adapter, top = _train(split, head, train, epochs=epochs, seconds=left, seed=seed)
    return RewardModel(split, head, adapter, top)


def _parted(judgements: Judgements, components: set[str]) -> tuple[Judgements, Judgements]:
    """(those outside, those inside) a set of components."""

    def part(inside: bool) -> Judgements:
        return Judgements(
            tuple(pair for pair in judgements.pairs if (pair.component in components) == inside),
            tuple(thumb for thumb in judgements.thumbs if (thumb.component in components) == inside),
        )

    return part(False), part(True)


def _train(
    split: SplitModel, head: RewardHead, judgements: Judgements, *, epochs: int, seconds: float, seed: int
) -> tuple[Any, Any]:
    """AdamW on the LoRA alone until the epochs or the seconds are used up: (adapter, its top)."""
    torch.manual_seed(seed)  # LoRA's A is drawn from the global generator
    adapter, top = split.adapter()
    weights = [weight for weight in adapter.parameters() if weight.requires_grad]
    optimiser = torch.optim.AdamW(weights, lr=LEARNING_RATE, weight_decay=0.01)
    order = torch.Generator().manual_seed(seed)
    every = judgements.all
    deadline = time.monotonic() + seconds
    for _ in range(epochs):
        for indices in torch.randperm(len(every), generator=order).split(BATCH):
            if time.monotonic() > deadline:
                return adapter, top
            loss = _batch_loss(split, top, head, [every[int(index)] for index in indices])
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(weights, 1.0)
            optimiser.step()
    return adapter, top


def _batch_loss(split: SplitModel, top: Any, head: RewardHead, chosen: Sequence[Judgement]) -> torch.Tensor:
    part = Judgements(
        tuple(judgement for judgement in chosen if isinstance(judgement, PairJudgement)),
        tuple(judgement for judgement in chosen if not isinstance(judgement, PairJudgement)),
    )
    answers = part.answers()
    sequences = answer_sequences(answers, split.base.pad_id)
    states = split.top(top, split.trunk(sequences.ids))
    batch = make_batch(part, {answer: index for index, answer in enumerate(answers)})
    return joint_loss(head.rewards(pool(states, sequences)), batch, head.log_nu, head.delta, SMOOTHING)
