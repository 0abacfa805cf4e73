"""The reward model's second rung: a LoRA on the top layers behind the fitted head.

The head stays as the ridge fit left it and the LoRA starts at B = 0, so training begins exactly at the head's own
predictions. It is tried on four fifths of the training conversations and looked at after every quarter of an epoch: the
log-loss on the others (the validation side included) says after how many steps to stop, and whether the LoRA is kept at
all. With few judgements each fifth takes its turn. Then it is trained once more, on all of them, for that long. The
learning rate warms up and stays: a rate that falls towards a last step says nothing about stopping earlier.
"""

import math
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from statistics import fmean
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
WARM_UP = 10
"""Steps over which the learning rate rises."""
LOOKS = 4
"""Times an epoch at which the held-out judgements are foretold."""
PATIENCE = 4
"""Looks without a lower log-loss after which a single trial stops. Where all fifths take their turn, none stops early:
the mean of their losses decides."""
ALL_LOOKS = 1_000_000
FEW = 200
"""Effective judgements below which one fifth held out is too few to choose the steps by: every fifth takes its turn."""
FOLDS = 5
LEAST_HELD_OUT = 12
"""Fewer held-out judgements cannot tell whether the LoRA helps; then it is not tried."""
LEAST_GAIN = 0.005
"""Nats per judgement by which the LoRA must lower the held-out log-loss: it costs a pass of its own from then on."""


@dataclass(frozen=True)
class Refinement:
    """A LoRA that was kept: the PEFT model, its top, and held-out judgements as its trial foretold them."""

    adapter: Any
    top: Any
    held_out: list[HeldOut]


@dataclass(frozen=True)
class Trial:
    """A LoRA trained on some judgements, and what it foretold of others on the way."""

    looks: tuple[list[HeldOut], ...]
    """Before the first step, then after each `1 / LOOKS` of an epoch; an early stop ends them."""
    steps_between: int
    acts: int
    """Acts of judging it was trained on."""


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
    seen: Callable[[int, list[HeldOut]], None] = lambda look, held: None,
) -> Refinement | None:
    """The LoRA if that predicts held-out judgements better than the head alone, else None.

    `seen` is told of each look: its number, and what was foretold at it so far, in this fifth and those before.
    """
    folds = FOLDS if train.effective() < FEW else 1
    components = sorted({judgement.component for judgement in train.all})
    trials: list[Trial] = []
    for fold in range(folds):
        learned, held = _parted(train, set(components[fold::FOLDS]))
        held = held + validation if fold == 0 else held
        if len(held) < LEAST_HELD_OUT / folds or len(learned) < BATCH:
            say(f"LoRA not tried: {len(held)} held-out judgements are too few to tell whether it helps.")
            return None
        trials.append(
            try_lora(
                split, ridge, learned, held, features, row_of, trunk,
                epochs=epochs, seconds=seconds / (folds + 2), seed=seed,
                patience=PATIENCE if folds == 1 else ALL_LOOKS,
                seen=lambda look, entries: seen(look, _foretold(trials, look) + entries),
            )
        )  # fmt: skip
    looks = [[entry for trial in trials for entry in trial.looks[look]] for look in range(_common(trials))]
    losses = [mean_log_loss(entries) for entries in looks]
    best = min(range(len(losses)), key=losses.__getitem__)
    told = f"held-out log-loss {losses[best or -1]:.3f} against {losses[0]:.3f} of the head alone"
    if losses[best] > losses[0] - LEAST_GAIN:
        say(f"LoRA not kept: {told}; at least {LEAST_GAIN:g} lower is needed.")
        return None
    say(f"LoRA kept after {best / LOOKS:g} epochs: {told}.")
    # As often over each act as in the trials.
    steps = round(best * fmean(trial.steps_between / trial.acts for trial in trials) * len(_acts(train)))
    adapter, top, _ = train_lora(split, head, train, trunk, epochs=2 * epochs, steps=max(steps, 1), seed=seed)
    return Refinement(adapter, top, looks[best])


def try_lora(
    split: SplitModel,
    ridge: float,
    learned: Judgements,
    held: Judgements,
    features: Features,
    row_of: dict[Answer, int],
    trunk: TrunkStates,
    *,
    epochs: int,
    seconds: float,
    seed: int,
    patience: int = PATIENCE,
    seen: Callable[[int, list[HeldOut]], None] = lambda look, held: None,
) -> Trial:
    """Train on `learned` from a head of its own, foretelling `held` on the way; stops when that stays no better."""
    head = fit_head(features, make_batch(learned, row_of), ridge, smoothing=smoothing_of(learned))
    looks = [predict(features, head, held, row_of)]
    losses = [mean_log_loss(looks[0])]
    seen(0, looks[0])
    answers = held.answers()
    rows = {answer: index for index, answer in enumerate(answers)}
    acts = len(_acts(learned))
    between = max(round(math.ceil(acts / BATCH) / LOOKS), 1)

    def is_enough(top: Any, taken: int) -> bool:
        if taken % between == 0:
            looks.append(predict(read_texts(split, answers, top, trunk=trunk), head, held, rows))
            losses.append(mean_log_loss(looks[-1]))
            seen(len(looks) - 1, looks[-1])
        return len(losses) - 1 - losses.index(min(losses)) >= patience

    train_lora(split, head, learned, trunk, epochs=epochs, seconds=seconds, seed=seed, is_enough=is_enough)
    return Trial(tuple(looks), between, acts)


def _foretold(trials: Sequence[Trial], look: int) -> list[HeldOut]:
    return [entry for trial in trials if look < len(trial.looks) for entry in trial.looks[look]]


def _parted(judgements: Judgements, components: Collection[str]) -> tuple[Judgements, Judgements]:
    """Judgements outside the components, and those inside."""
    return (
        judgements.where(lambda judgement: judgement.component not in components),
        judgements.where(lambda judgement: judgement.component in components),
    )


def _common(trials: Sequence[Trial]) -> int:
    """How many looks every trial had: one that ran out of time ends them for all."""
    return min(len(trial.looks) for trial in trials)


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
    is_enough: Callable[[Any, int], bool] = lambda top, taken: False,
) -> tuple[Any, Any, int]:
    """AdamW on the LoRA alone until epochs, seconds or steps are used up: (adapter, its top, steps taken).

    `is_enough` is asked after each step, with the top and the steps taken, whether to stop.
    """
    torch.manual_seed(seed)  # LoRA's A is drawn from the global generator
    adapter, top = split.adapter()
    weights = [weight for weight in adapter.parameters() if weight.requires_grad]
    optimiser = torch.optim.AdamW(weights, lr=LEARNING_RATE, weight_decay=0.01)
    warm_up = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: min((step + 1) / WARM_UP, 1.0))
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
            warm_up.step()
            taken += 1
            if is_enough(top, taken):
                return adapter, top, taken
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
    below = trunk.get(answers, sequences)
    states = split.beside(below, split.top(top, below))
    direction = head.weight / head.scale
    rewards = (pool(states, sequences).double() - head.mean) @ direction
    batch = make_batch(part, {answer: index for index, answer in enumerate(answers)})
    return joint_loss(rewards, batch, head.log_nu, thresholds(head, part), smoothing)
