"""Is the reward model good enough? Accuracy with its interval, log-loss, thumbs, the rules of length, and the gate.

Corrections are measured by kind only: a person's own text is told from a model's too easily to show a taste. A ranking
of K counts as the K - 1 facts it amounts to, not as its K (K - 1) / 2 pairs. A margin of exactly 0 is half right.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

from nightschool.said import Said
from nightschool.shares import wilson
from training.calibration import best_temperature, brier, calibration_error, chance, rank_correlation
from training.judgements import Judgement, PairJudgement, Preferred, ThumbJudgement, facts_of_ranking
from training.reward_fit import HeldOut, mean_log_loss

GATE_CONFIDENCE = 0.8
LEAST_FACTS = 10
TOO_EASY = "correction"
LEAST_OF_PERSON = 5


@dataclass(frozen=True)
class Bar:
    """What a model must predict of held-out judgements; the lower bound of its accuracy lies above one half besides."""

    name: Said
    accuracy: float
    thumbs_auc: float
    log_loss_gain: float
    """Nats below guessing, on decided pairs at the scale that suits them best: PPO's scores are told on another scale
    anyway, so a model that is too sure of the right things is no worse to climb."""
    guess_gain: float = 0.0
    """Nats below guessing on everything held out, where there are too few pairs for that."""


TO_TRAIN_ON = Bar(Said("the reward model", "奖励模型"), 0.55, 0.57, 0.005, 0.01)
"""PPO climbs whatever its reward model is wrong about."""
TO_EXAMINE_WITH = Bar(Said("the examiner", "考官模型"), 0.5, 0.57, 0.003)
"""Nobody climbs the examiner: where it is surely better than a coin, its errors cost certainty, which the bound of a
win rate asks for already. It has fewer labels than the reward model, so the same bar would be a higher one."""


@dataclass(frozen=True)
class RewardMetrics:
    """How well held-out judgements are predicted. Fractions from 0 to 1; None where there is nothing to measure."""

    pairs: int
    """Decided pairs: ties have no right answer."""
    facts: float
    """What these pairs amount to; less than the pairs where there are rankings."""
    accuracy: float | None
    accuracy_low: float | None
    """One-sided 80 % Wilson lower bound, for as many trials as there are facts."""
    log_loss: float
    """Weighted mean over pairs, ties and thumbs, in nats."""
    guess_log_loss: float
    """The same for a model that only knows how often each outcome occurs."""
    pairs_log_loss: float | None
    """Weighted mean over decided pairs, their margins divided by the temperature at which it is lowest, in nats; a
    coin's is ln 2."""
    thumbs: int
    thumbs_auc: float | None
    """Chance that a reply with a thumb up scores above one with a thumb down."""
    longer_wins: float | None
    """Accuracy of the rule that prefers the longer reply; 1 minus it is that of the shorter."""
    brier: float | None
    """Mean squared error of the probabilities of decided pairs and thumbs; 0.25 for one that always says one half."""
    calibration_error: float | None
    temperature: float | None
    """Margins divided by this are calibrated best; above 1: the model is too sure of itself."""
    length_correlation: float | None
    """Spearman's between the longer side's lead in tokens and in reward: near +-1, the model reads length alone."""
    accuracy_by_kind: dict[str, float]
    """Accuracy on decided pairs (and, for thumbs, on which side of the threshold) by kind, corrections included."""
    accuracy_by_person: dict[str, float]
    """The same by person, for people with at least five judgements."""

    def as_dict(self) -> dict[str, Any]:
        """Flat but for the accuracies by kind and person, for reports."""
        return asdict(self)


def measure(held: Sequence[HeldOut]) -> RewardMetrics:
    """Metrics of held-out predictions."""
    by_kind = _accuracy_by(held, lambda judgement: judgement.source[0], 1)
    held = [entry for entry in held if entry.judgement.source[0] != TOO_EASY]
    pairs = [entry for entry in held if isinstance(entry.judgement, PairJudgement) and _right(entry) is not None]
    right, facts = _facts(pairs)
    ups = [entry.margin for entry in held if isinstance(entry.judgement, ThumbJudgement) and entry.judgement.is_up]
    downs = [
        entry.margin for entry in held if isinstance(entry.judgement, ThumbJudgement) and not entry.judgement.is_up
    ]
    forecasts = [forecast for entry in held if (forecast := _forecast(entry)) is not None]
    return RewardMetrics(
        pairs=len(pairs),
        facts=facts,
        accuracy=right / facts if pairs else None,
        accuracy_low=wilson(right, facts, GATE_CONFIDENCE)[0] if pairs else None,
        log_loss=mean_log_loss(held),
        guess_log_loss=_guess_log_loss(held),
        pairs_log_loss=_log_loss_at_best_scale(pairs),
        thumbs=len(ups) + len(downs),
        thumbs_auc=_auc(ups, downs) if ups and downs else None,
        longer_wins=_longer_wins(held),
        brier=brier(forecasts),
        calibration_error=calibration_error(forecasts),
        temperature=best_temperature(forecasts),
        length_correlation=_length_correlation(held),
        accuracy_by_kind=by_kind,
        accuracy_by_person=_accuracy_by(held, lambda judgement: judgement.person, LEAST_OF_PERSON),
    )


def figures_of(held: Sequence[HeldOut]) -> dict[str, float]:
    """What a look at held-out judgements tells: log-loss, and where any is decided the share foretold rightly."""
    right, facts = _facts(held)
    return {"log_loss": mean_log_loss(held), **({"accuracy": right / facts} if facts else {})}


def _forecast(entry: HeldOut) -> tuple[float, bool] | None:
    """(margin, whether what it speaks for came true): left preferred, or thumb up; None for a tie."""
    judgement = entry.judgement
    if isinstance(judgement, PairJudgement):
        return None if judgement.preferred is Preferred.TIE else (entry.margin, judgement.preferred is Preferred.LEFT)
    return entry.margin, judgement.is_up


def _right(entry: HeldOut) -> float | None:
    """1 where what the margin speaks for came true, 0 where not, 1/2 where it speaks for nothing; None for a tie."""
    if (forecast := _forecast(entry)) is None:
        return None
    margin, came_true = forecast
    return 0.5 if margin == 0.0 else float((margin > 0.0) == came_true)


def _facts(held: Iterable[HeldOut]) -> tuple[float, float]:
    """(facts foretold rightly, facts) of what was decided."""
    acts: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
    for entry in held:
        if (right := _right(entry)) is not None:
            acts[entry.judgement.source].append(right)
    total, rights = 0.0, 0.0
    for (kind, _), found in acts.items():
        facts = facts_of_ranking(len(found)) if kind == "ranking" else len(found)
        total, rights = total + facts, rights + facts * fmean(found)
    return rights, total


def _accuracy_by(held: Sequence[HeldOut], key: Callable[[Judgement], str], least: int) -> dict[str, float]:
    parts: defaultdict[str, list[HeldOut]] = defaultdict(list)
    for entry in held:
        if _forecast(entry) is not None:
            parts[key(entry.judgement)].append(entry)
    found = {name: _facts(part) for name, part in sorted(parts.items()) if len(part) >= least}
    return {name: right / facts for name, (right, facts) in found.items()}


def _length_correlation(held: Sequence[HeldOut]) -> float | None:
    pairs = [(entry.margin, entry.judgement) for entry in held if isinstance(entry.judgement, PairJudgement)]
    leads = [float(len(pair.left.token_ids) - len(pair.right.token_ids)) for _, pair in pairs]
    return rank_correlation([margin for margin, _ in pairs], leads)


def gate(metrics: RewardMetrics, bar: Bar = TO_TRAIN_ON) -> Said | None:
    """Why PPO must not run on this reward model (or no exam be trusted to it), in plain words; None when it may."""
    name = bar.name
    if metrics.accuracy is not None and metrics.facts >= LEAST_FACTS:
        assert metrics.accuracy_low is not None
        if metrics.accuracy < bar.accuracy or metrics.accuracy_low <= 0.5:
            en, zh = (f"{bar.accuracy:.0%}, and ", f" {bar.accuracy:.0%}，且") if bar.accuracy > 0.5 else ("", "")
            return Said(
                f"{name.en} predicts {metrics.accuracy:.0%} of {metrics.pairs} held-out pairs (needed: {en}surely more "
                f"than half; its lower bound is {metrics.accuracy_low:.0%})",
                f"{name.zh}在 {metrics.pairs} 个留出的对比中预测正确 {metrics.accuracy:.0%}（需要{zh}明确过半；"
                f"其下限为 {metrics.accuracy_low:.0%}）",
            )
    elif metrics.thumbs_auc is None:
        return Said(
            f"there are too few held-out pairs, and no thumbs of both kinds, to check {name.en} on",
            f"留出的对比太少，又没有两种点评，无法检验{name.zh}",
        )
    elif metrics.thumbs_auc < bar.thumbs_auc:
        return Said(
            f"{name.en} ranks a liked reply above a disliked one only {metrics.thumbs_auc:.0%} of the time",
            f"{name.zh}把被赞的回答排在被踩的之上的比例只有 {metrics.thumbs_auc:.0%}",
        )
    if metrics.pairs_log_loss is not None and metrics.facts >= LEAST_FACTS:
        if metrics.pairs_log_loss > math.log(2) - bar.log_loss_gain:
            return Said(
                f"{name.en} is not sure of the right ones of {metrics.pairs} held-out pairs (log-loss at the "
                f"best scale {metrics.pairs_log_loss:.3f}, a coin's {math.log(2):.3f})",
                f"{name.zh}对 {metrics.pairs} 个留出的对比判断不准（最佳尺度下的对数损失为 "
                f"{metrics.pairs_log_loss:.3f}，抛硬币为 {math.log(2):.3f}）",
            )
    elif metrics.log_loss > metrics.guess_log_loss - bar.guess_gain:
        return Said(
            f"{name.en}'s held-out log-loss {metrics.log_loss:.3f} is no better than guessing "
            f"({metrics.guess_log_loss:.3f})",
            f"{name.zh}在留出数据上的对数损失 {metrics.log_loss:.3f} 不比猜测好（{metrics.guess_log_loss:.3f}）",
        )
    return None


def _log_loss_at_best_scale(pairs: Sequence[HeldOut]) -> float | None:
    forecasts = [forecast for entry in pairs if (forecast := _forecast(entry)) is not None]
    weights = [entry.judgement.weight for entry in pairs]
    if (temperature := best_temperature(forecasts, weights)) is None:
        return None
    losses = [-math.log(max(chance(m / temperature if up else -m / temperature), 1e-300)) for m, up in forecasts]
    total = sum(weights)
    at_that_scale = sum(w * loss for w, loss in zip(weights, losses, strict=True))
    return min(at_that_scale / total, math.log(2)) if total else None  # at the scale 0 they say one half


def _guess_log_loss(held: Sequence[HeldOut]) -> float:
    """Entropy of the outcomes: sides are random, so a decided pair costs ln 2 plus the surprise that it was decided."""
    pairs = [entry.judgement for entry in held if isinstance(entry.judgement, PairJudgement)]
    thumbs = [entry.judgement for entry in held if isinstance(entry.judgement, ThumbJudgement)]
    tie_weight = sum(pair.weight for pair in pairs if pair.preferred is Preferred.TIE)
    pair_weight = sum(pair.weight for pair in pairs)
    up_weight = sum(thumb.weight for thumb in thumbs if thumb.is_up)
    thumb_weight = sum(thumb.weight for thumb in thumbs)
    total = (pair_weight - tie_weight) * math.log(2)
    total += _entropy_sum(tie_weight, pair_weight) + _entropy_sum(up_weight, thumb_weight)
    weight = pair_weight + thumb_weight
    return total / weight if weight else math.log(2)


def _entropy_sum(part: float, whole: float) -> float:
    """Whole times the entropy of the share part / whole."""
    return sum(-piece * math.log(piece / whole) for piece in (part, whole - part) if piece > 0)


def _auc(ups: Sequence[float], downs: Sequence[float]) -> float:
    wins = sum((up > down) + 0.5 * (up == down) for up in ups for down in downs)
    return wins / (len(ups) * len(downs))


def _longer_wins(held: Sequence[HeldOut]) -> float | None:
    outcomes = [
        (len(pair.left.token_ids) > len(pair.right.token_ids)) == (pair.preferred is Preferred.LEFT)
        for entry in held
        if isinstance(pair := entry.judgement, PairJudgement)
        and pair.preferred is not Preferred.TIE
        and len(pair.left.token_ids) != len(pair.right.token_ids)
    ]
    return sum(outcomes) / len(outcomes) if outcomes else None
