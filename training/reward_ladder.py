"""The reward model of one night or one `reward fit`: weights of judgements, the ladder of rungs, and what it is worth.

The ladder: a ridge-fitted head; from there a LoRA on the top layers; or several heads averaged. Each rung is used only
where it lowers the log-loss on conversations it was not trained on. The examiner learns from the exam side, and from
the validation side where no LoRA was chosen by that.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from nightschool.errors import BadInput
from nightschool.model import BaseModel
from training.axes import axes_of
from training.cross_fit import NO_FOLDS, CrossFit, cross_fit
from training.effort import Effort
from training.ensemble import average, fit_members, held_out_of_ensembles, is_better
from training.features import Features
from training.judgements import NOBODY, Answer, Judgements
from training.reading import TrunkStates, read_texts
from training.reward_fit import HeldOut, cross_validate, fit_head, make_batch, mean_log_loss, predict, smoothing_of
from training.reward_lora import Refinement, refine
from training.reward_metrics import RewardMetrics, figures_of, measure
from training.reward_model import RewardHead, RewardModel
from training.split import Side
from training.trunk import SplitModel
from training.weights import LEAST_PEOPLE, OF_STRANGERS, agreement_weights, capped, masses, settled


@dataclass(frozen=True)
class FittedReward:
    """The model PPO trains against and the examiner that never saw its labels, both measured on what they never saw."""

    model: RewardModel
    metrics: RewardMetrics
    examiner: RewardModel
    examiner_metrics: RewardMetrics
    ridge: float
    rung: str
    """head, lora or ensemble."""
    distrusted: tuple[str, ...]
    """People whose votes speak for the opposite of the others': their judgements count nothing."""
    heads: tuple[RewardHead, ...] = ()
    """Fitted to draws of the training judgements, on the base's own states: an exam asks how far they disagree."""
    examiner_folds: CrossFit = NO_FOLDS
    """The examiner without each fold of its labels: an exam's prompts that were judged are scored by these."""


@dataclass(frozen=True)
class _Table:
    """Judgements with the features of their texts."""

    features: Features
    row_of: dict[Answer, int]
    trunk: TrunkStates


def refuse_other_models(base: BaseModel, judgements: Judgements) -> None:
    """Raises `BadInput` for token ids beyond the model's words: they came from another model."""
    words = base.model.config.vocab_size
    if any(max(answer.prompt_ids + answer.token_ids) >= words for answer in judgements.answers()):
        raise BadInput(
            f"Some judgements were made with another model than {base.name} (their token ids are beyond its "
            f"{words:,} words); set the model they were made with, or give a database of its own with --db."
        )


def fit_reward(
    split: SplitModel,
    judgements: Judgements,
    initial: Sequence[Answer],
    effort: Effort,
    *,
    now: str,
    seed: int,
    say: Callable[[str], None],
    progress: Callable[[float, str], None],
    record: Callable[[int, dict[str, float]], None] = lambda look, figures: None,
    heads: int = 0,
) -> FittedReward:
    """Fit both models. `initial`: replies of the initial model, on whose scale scores are told; `now` dates weights.

    `record` is told of each look at held-out judgements: first of the head alone, then while a LoRA is tried.
    `heads`: how many heads on draws are wanted beside them.
    """
    judgements = settled(judgements, now).after(effort.context_tokens)
    table = _read(split, judgements, progress)
    progress(0.6, "fitting")
    asked = judgements.on(Side.VALIDATION, Side.EXAM)  # everybody's, also of people whose votes are not fitted
    judgements, distrusted = _trusted(table, judgements, say)
    train, validation, exam = (judgements.on(side) for side in (Side.TRAIN, Side.VALIDATION, Side.EXAM))
    features, row_of = table.features, table.row_of

    ridge, out_of_fold = cross_validate(features, train, row_of)
    if out_of_fold:
        record(0, figures_of(out_of_fold))
    head = _head(table, train, ridge, effort)
    refined = refine(
        split, head, ridge, train, validation, features, row_of, table.trunk,
        epochs=effort.lora_epochs, seconds=effort.lora_seconds, seed=seed, say=say,
        seen=lambda look, held: record(look, figures_of(held)),
    )  # fmt: skip
    progress(0.9, "checking")
    if refined is not None:
        model, rung, examining = RewardModel(split, head, refined.adapter, refined.top), "lora", exam
        held = refined.held_out + _by_lora(model, refined, asked.on(Side.EXAM), table.trunk)
    else:
        model, rung, examining = RewardModel(split, head), "head", validation + exam  # these chose no weights
        if members := _better_members(table, train, ridge, out_of_fold, effort, seed, say):
            rung, out_of_fold = "ensemble", members.held_out
            model = RewardModel(
                split, replace(average(members.heads), context=effort.context_tokens), members=members.heads
            )
        held = [*out_of_fold, *predict(features, model.head, asked, row_of)]

    others = train if rung != "lora" else train + validation
    examiner, examiner_folds, examiner_held = _examiner(split, table, examining, others, initial, effort)
    return FittedReward(
        model=model.normalised(initial),
        metrics=measure(held),
        examiner=examiner,
        examiner_folds=examiner_folds,
        examiner_metrics=measure(examiner_held),
        ridge=ridge,
        rung=rung,
        distrusted=distrusted,
        heads=fit_members(features, train, row_of, ridge, count=heads, seed=seed) if heads and len(train) else (),
    )


def _head(table: _Table, judgements: Judgements, ridge: float, effort: Effort) -> RewardHead:
    batch, smoothing = make_batch(judgements, table.row_of), smoothing_of(judgements)
    return replace(fit_head(table.features, batch, ridge, smoothing=smoothing), context=effort.context_tokens)


@dataclass(frozen=True)
class _Members:
    heads: tuple[RewardHead, ...]
    held_out: list[HeldOut]


def _better_members(
    table: _Table,
    train: Judgements,
    ridge: float,
    of_one: Sequence[HeldOut],
    effort: Effort,
    seed: int,
    say: Callable[[str], None],
) -> _Members | None:
    """An ensemble's heads, and what it foretold of judgements held out of their fit; if that is better."""
    if not effort.members:
        return None
    features, row_of = table.features, table.row_of
    held_out = held_out_of_ensembles(features, train, row_of, ridge, count=effort.members, seed=seed)
    say(
        f"Ensemble of {effort.members}: held-out log-loss {mean_log_loss(held_out):.3f} against "
        f"{mean_log_loss(of_one):.3f} of one head."
    )
    if not is_better(held_out, of_one):
        return None
    return _Members(fit_members(features, train, row_of, ridge, count=effort.members, seed=seed), held_out)


def _examiner(
    split: SplitModel,
    table: _Table,
    labels: Judgements,
    others: Judgements,
    initial: Sequence[Answer],
    effort: Effort,
) -> tuple[RewardModel, CrossFit, list[HeldOut]]:
    """The model fitted to an examiner's labels, its heads by fold, and what it foretells of other labels."""
    features, row_of, smoothing = table.features, table.row_of, smoothing_of(labels)
    ridge, out_of_fold = cross_validate(features, labels, row_of)
    head = _head(table, labels, ridge, effort)
    model = RewardModel(split, head)
    pooled = model.pooled(initial)
    folds = cross_fit(features, labels, row_of, ridge, smoothing).normalised(pooled)
    held = [*out_of_fold, *predict(features, head, others, row_of)]
    return replace(model, head=head.normalised(pooled)), folds, held


def _read(split: SplitModel, judgements: Judgements, progress: Callable[[float, str], None]) -> _Table:
    answers = judgements.answers()
    trunk = TrunkStates(split)
    wanted = set(answers)
    if not trunk.has_room_for(answers):
        wanted = set(judgements.on(Side.TRAIN, Side.VALIDATION).answers())  # what a LoRA's trials read again and again
    label = f"reading {len(answers)} replies"
    progress(0.0, label)
    features = read_texts(split, answers, trunk=trunk, keep=wanted, progress=lambda share: progress(0.6 * share, label))
    return _Table(features.along(axes_of(split)), {answer: row for row, answer in enumerate(answers)}, trunk)


def _trusted(table: _Table, judgements: Judgements, say: Callable[[str], None]) -> tuple[Judgements, tuple[str, ...]]:
    """Judgements weighed by how far each person agrees with the others, and who was found to count nothing."""
    train = judgements.on(Side.TRAIN)
    if len(masses(train)) < LEAST_PEOPLE:
        return capped(judgements), ()
    ridge, _ = cross_validate(table.features, train, table.row_of)
    trust = agreement_weights(table.features, train, table.row_of, ridge)
    distrusted = tuple(sorted(person for person, weight in trust.items() if weight == 0.0))
    if distrusted:
        say(f"The votes of {len(distrusted)} people speak for the opposite of the others' and count nothing.")
    trust |= {NOBODY: 1.0}
    weighed = judgements.reweighted(lambda judgement: trust.get(judgement.person, OF_STRANGERS))
    return capped(weighed.where(lambda judgement: judgement.weight > 0.0)), distrusted


def _by_lora(model: RewardModel, refined: Refinement, judgements: Judgements, trunk: TrunkStates) -> list[HeldOut]:
    answers = judgements.answers()
    features = read_texts(model.split, answers, refined.top, trunk=trunk)
    return predict(features, model.head, judgements, {answer: row for row, answer in enumerate(answers)})
