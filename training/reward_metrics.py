"""Is the reward model good enough? Accuracy with its interval, log-loss, thumbs, the rules of length, and the gate."""

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any

from training.calibration import best_temperature, brier, calibration_error, rank_correlation
from training.judgements import Judgement, PairJudgement, Preferred, ThumbJudgement
from training.reward_fit import HeldOut, mean_log_loss

GATE_ACCURACY = 0.57
GATE_CONFIDENCE = 0.8
GATE_LOG_LOSS_GAIN = 0.01
LEAST_PAIRS = 10
LEAST_OF_PERSON = 5


@dataclass(frozen=True)
class RewardMetrics:
    """How well held-out judgements are predicted. Fractions from 0 to 1; None where there is nothing to measure."""

    pairs: int
    """Decided pairs: ties have no right answer."""
    accuracy: float | None
    accuracy_low: float | None
    """One-sided 80 % Wilson lower bound."""
    log_loss: float
    """Weighted mean over pairs, ties and thumbs, in nats."""
    guess_log_loss: float
    """The same for a model that only knows how often each outcome occurs."""
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
    """Accuracy on decided pairs (and, for thumbs, on which side of the threshold) by kind of feedback."""
    accuracy_by_person: dict[str, float]
    """The same by person, for people with at least five judgements."""

    def as_dict(self) -> dict[str, Any]:
        """Flat but for the accuracies by kind and person, for reports."""
        return asdict(self)


def measure(held: Sequence[HeldOut]) -> RewardMetrics:
    """Metrics of held-out predictions."""
    decided = [
        (entry.margin > 0) == (entry.judgement.preferred is Preferred.LEFT)
        for entry in held
        if isinstance(entry.judgement, PairJudgement) and entry.judgement.preferred is not Preferred.TIE
    ]
    ups = [entry.margin for entry in held if isinstance(entry.judgement, ThumbJudgement) and entry.judgement.is_up]
    downs = [
        entry.margin for entry in held if isinstance(entry.judgement, ThumbJudgement) and not entry.judgement.is_up
    ]
    right = sum(decided)
    forecasts = [forecast for entry in held if (forecast := _forecast(entry)) is not None]
    return RewardMetrics(
        pairs=len(decided),
        accuracy=right / len(decided) if decided else None,
        accuracy_low=wilson(right, len(decided), GATE_CONFIDENCE)[0] if decided else None,
        log_loss=mean_log_loss(held),
        guess_log_loss=_guess_log_loss(held),
        thumbs=len(ups) + len(downs),
        thumbs_auc=_auc(ups, downs) if ups and downs else None,
        longer_wins=_longer_wins(held),
        brier=brier(forecasts),
        calibration_error=calibration_error(forecasts),
        temperature=best_temperature(forecasts),
        length_correlation=_length_correlation(held),
        accuracy_by_kind=_accuracy_by(held, lambda judgement: judgement.source[0], 1),
        accuracy_by_person=_accuracy_by(held, lambda judgement: judgement.person, LEAST_OF_PERSON),
    )


def _forecast(entry: HeldOut) -> tuple[float, bool] | None:
    """(margin, whether what it speaks for came true): left preferred, or thumb up; None for a tie."""
    judgement = entry.judgement
    if isinstance(judgement, PairJudgement):
        return None if judgement.preferred is Preferred.TIE else (entry.margin, judgement.preferred is Preferred.LEFT)
    return entry.margin, judgement.is_up


def _accuracy_by(held: Sequence[HeldOut], key: Callable[[Judgement], str], least: int) -> dict[str, float]:
    found: defaultdict[str, list[bool]] = defaultdict(list)
    for entry in held:
        if (forecast := _forecast(entry)) is not None:
            found[key(entry.judgement)].append((forecast[0] > 0) == forecast[1])
    return {name: sum(rights) / len(rights) for name, rights in sorted(found.items()) if len(rights) >= least}


def _length_correlation(held: Sequence[HeldOut]) -> float | None:
    pairs = [(entry.margin, entry.judgement) for entry in held if isinstance(entry.judgement, PairJudgement)]
    leads = [float(len(pair.left.token_ids) - len(pair.right.token_ids)) for _, pair in pairs]
    return rank_correlation([margin for margin, _ in pairs], leads)


def gate(metrics: RewardMetrics, name: str = "the reward model") -> str | None:
    """Why PPO must not run on this reward model, in plain words; None when it may."""
    if metrics.accuracy is not None and metrics.pairs >= LEAST_PAIRS:
        assert metrics.accuracy_low is not None
        if metrics.accuracy < GATE_ACCURACY or metrics.accuracy_low <= 0.5:
            return (
                f"{name} predicts {metrics.accuracy:.0%} of {metrics.pairs} held-out pairs (needed: "
                f"{GATE_ACCURACY:.0%}, and surely more than half; its lower bound is {metrics.accuracy_low:.0%})"
            )
    elif metrics.thumbs_auc is None:
        return f"there are too few held-out pairs, and no thumbs of both kinds, to check {name} on"
    elif metrics.thumbs_auc < GATE_ACCURACY:
        return f"{name} ranks a liked reply above a disliked one only {metrics.thumbs_auc:.0%} of the time"
    if metrics.log_loss > metrics.guess_log_loss - GATE_LOG_LOSS_GAIN:
        return (
            f"{name}'s held-out log-loss {metrics.log_loss:.3f} is no better than guessing "
            f"({metrics.guess_log_loss:.3f})"
        )
    return None


def wilson(successes: int, trials: int, confidence: float) -> tuple[float, float]:
    """Wilson's interval for a share; each bound holds one-sided with this confidence."""
    if trials == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf(confidence)
    share = successes / trials
    centre = share + z * z / (2 * trials)
    spread = z * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    return (centre - spread) / (1 + z * z / trials), (centre + spread) / (1 + z * z / trials)


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
