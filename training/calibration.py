"""Do the reward model's probabilities mean what they say? Brier score, calibration error, and the best temperature."""

import math
from collections.abc import Sequence
from itertools import groupby, pairwise
from statistics import fmean

LEAST_FOR_BINS = 100
BINS = 5


def chance(margin: float) -> float:
    """sigmoid, without overflow."""
    return 1 / (1 + math.exp(-margin)) if margin >= 0 else math.exp(margin) / (1 + math.exp(margin))


def brier(forecasts: Sequence[tuple[float, bool]]) -> float | None:
    """Mean squared error of the probabilities of (margin, came true); 0.25 for one that always says one half."""
    if not forecasts:
        return None
    return sum((chance(margin) - came_true) ** 2 for margin, came_true in forecasts) / len(forecasts)


def calibration_error(forecasts: Sequence[tuple[float, bool]]) -> float | None:
    """Expected calibration error over five bins of equal mass; None below 100 forecasts, where it is mostly noise.

    Which side of a pair is called left is chance, so forecasts are turned to the side the model prefers. Equal ones
    share the mean of what came of them, so that their order tells nothing.
    """
    if len(forecasts) < LEAST_FOR_BINS:
        return None
    turned = sorted((chance(abs(margin)), came_true == (margin >= 0)) for margin, came_true in forecasts)
    came = {p: fmean(right for _, right in equal) for p, equal in groupby(turned, key=lambda forecast: forecast[0])}
    edges = [round(index * len(turned) / BINS) for index in range(BINS + 1)]
    error = 0.0
    for start, stop in pairwise(edges):
        part = turned[start:stop]
        error += abs(sum(p - came[p] for p, _ in part))
    return error / len(turned)


def best_temperature(forecasts: Sequence[tuple[float, bool]], weights: Sequence[float] | None = None) -> float | None:
    """T > 0 for which sigmoid(margin / T) has the lowest log-loss; above 1: the model is too sure. From 0.1 to 10.

    `weights`: of the forecasts; without them all count the same.
    """
    if not forecasts:
        return None
    weighed = [
        (weight, *forecast) for weight, forecast in zip(weights or [1.0] * len(forecasts), forecasts, strict=True)
    ]

    def loss(log_t: float) -> float:
        scale = math.exp(-log_t)
        return sum(
            weight * (math.log1p(math.exp(-abs(m * scale))) + max(-(m if up else -m) * scale, 0.0))
            for weight, m, up in weighed
        )

    low, high = math.log(0.1), math.log(10.0)
    golden = (math.sqrt(5) - 1) / 2
    for _ in range(60):  # the log-loss is convex in 1 / T, so it has one minimum in log T
        left, right = high - golden * (high - low), low + golden * (high - low)
        low, high = (low, right) if loss(left) < loss(right) else (left, high)
    return math.exp((low + high) / 2)


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Spearman's, ties sharing the mean of their ranks; None where either side does not vary."""
    x, y = _ranks(first), _ranks(second)
    if len(x) < 2:
        return None
    mean = (len(x) + 1) / 2
    over = sum((a - mean) * (b - mean) for a, b in zip(x, y, strict=True))
    spread = math.sqrt(sum((a - mean) ** 2 for a in x) * sum((b - mean) ** 2 for b in y))
    return over / spread if spread else None


def _ranks(values: Sequence[float]) -> list[float]:
    order = sorted(range(len(values)), key=lambda index: values[index])
    ranks = [0.0] * len(values)
    start = 0
    while start < len(order):
        stop = start
        while stop + 1 < len(order) and values[order[stop + 1]] == values[order[start]]:
            stop += 1
        for place in range(start, stop + 1):
            ranks[order[place]] = (start + stop) / 2 + 1
        start = stop + 1
    return ranks
