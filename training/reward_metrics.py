"""Is the reward model good enough? Accuracy with its interval, log-loss, thumbs, the rules of length, and the gate."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import NormalDist

from training.judgements import PairJudgement, Preferred, ThumbJudgement
from training.reward_fit import HeldOut, mean_log_loss

GATE_ACCURACY = 0.57
GATE_CONFIDENCE = 0.8
GATE_LOG_LOSS_GAIN = 0.01
LEAST_PAIRS = 10


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

    def as_dict(self) -> dict[str, float | int | None]:
        """Flat, for reports."""
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
    return RewardMetrics(
        pairs=len(decided),
        accuracy=right / len(decided) if decided else None,
        accuracy_low=wilson(right, len(decided), GATE_CONFIDENCE)[0] if decided else None,
        log_loss=mean_log_loss(held),
        guess_log_loss=_guess_log_loss(held),
        thumbs=len(ups) + len(downs),
        thumbs_auc=_auc(ups, downs) if ups and downs else None,
        longer_wins=_longer_wins(held),
    )


def gate(metrics: RewardMetrics) -> str | None:
    """Why PPO must not run on this reward model, in plain words; None when it may."""
    if metrics.accuracy is not None and metrics.pairs >= LEAST_PAIRS:
        assert metrics.accuracy_low is not None
        if metrics.accuracy < GATE_ACCURACY or metrics.accuracy_low <= 0.5:
            return (
                f"the reward model predicts {metrics.accuracy:.0%} of {metrics.pairs} held-out pairs (needed: "
                f"{GATE_ACCURACY:.0%}, and surely more than half; its lower bound is {metrics.accuracy_low:.0%})"
            )
    elif metrics.thumbs_auc is None:
        return "there are too few held-out pairs, and no thumbs of both kinds, to check the reward model on"
    elif metrics.thumbs_auc < GATE_ACCURACY:
        return f"the reward model ranks a liked reply above a disliked one only {metrics.thumbs_auc:.0%} of the time"
    if metrics.log_loss > metrics.guess_log_loss - GATE_LOG_LOSS_GAIN:
        return (
            f"the reward model's held-out log-loss {metrics.log_loss:.3f} is no better than guessing "
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
