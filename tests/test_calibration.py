"""Brier, calibration error, temperature and rank correlation, worked by hand or drawn from known probabilities."""

import math
import random

import pytest

from training.calibration import best_temperature, brier, calibration_error, chance, rank_correlation


def test_the_brier_score_is_the_mean_squared_error_of_the_probability() -> None:
    # margins ln 3 and 0 say .75 and .5: (.25^2 + .5^2) / 2 = .15625
    assert brier([(math.log(3), True), (0.0, False)]) == pytest.approx(0.15625)
    assert brier([]) is None


def _drawn(count: int, sharpness: float) -> list[tuple[float, bool]]:
    """Margins whose true probability is sigmoid(margin / sharpness)."""
    draw = random.Random(0)
    margins = [draw.gauss(0, 2) for _ in range(count)]
    return [(margin, draw.random() < chance(margin / sharpness)) for margin in margins]


def test_a_model_that_is_too_sure_has_a_temperature_above_one_and_an_error() -> None:
    honest, too_sure = _drawn(20_000, 1.0), _drawn(20_000, 2.5)
    assert best_temperature(honest) == pytest.approx(1.0, abs=0.05)
    assert best_temperature(too_sure) == pytest.approx(2.5, abs=0.15)
    honest_error, sure_error = calibration_error(honest), calibration_error(too_sure)
    assert honest_error is not None
    assert sure_error is not None
    assert honest_error < 0.02
    assert sure_error > 0.1


def test_the_calibration_error_does_not_ask_which_side_was_left() -> None:
    forecasts = _drawn(500, 1.5)
    turned = [(-margin, not came_true) for margin, came_true in forecasts]
    assert calibration_error(turned) == pytest.approx(calibration_error(forecasts))
    assert calibration_error(forecasts[:99]) is None


def test_the_calibration_error_of_five_bins_is_the_one_worked_by_hand() -> None:
    # ln 3 says .75 for the left side, -ln 3 for the right one. Of 50 and 50, 40 and 30 came as said: .70 against .75.
    sure = math.log(3)
    left = [(sure, number < 40) for number in range(50)]
    right = [(-sure, number < 20) for number in range(50)]
    assert calibration_error(left + right) == pytest.approx(0.05)
    # 50 times .5 and always right, 50 times .75 and right half the time: bins of 20 are off by
    # 10, 10, 10 * .5 - 10 * .25 = 2.5, 5 and 5, together 32.5 of 100. Faults of opposite sign do not cancel.
    shy, bold = [(0.0, True)] * 50, [(sure, number % 2 == 0) for number in range(50)]
    assert calibration_error(shy + bold) == pytest.approx(0.325)


def test_a_model_that_knows_nothing_and_says_so_has_no_calibration_error() -> None:
    assert calibration_error([(0.0, number % 2 == 0) for number in range(200)]) == 0.0


def test_rank_correlation_is_spearmans() -> None:
    # ranks 1 2 3 4 and 2 1 4 3: 1 - 6 * 4 / (4 * 15) = .6
    assert rank_correlation([1, 2, 3, 4], [20, 10, 40, 30]) == pytest.approx(0.6)
    # ranks 1.5 1.5 3 and 1 2 3: covariance 1.5, spreads sqrt(1.5) and sqrt(2) -> .866
    assert rank_correlation([5, 5, 9], [1, 2, 3]) == pytest.approx(math.sqrt(3) / 2)
    assert rank_correlation([1, 1], [1, 2]) is None
    assert rank_correlation([], []) is None


def test_chance_is_finite_far_away() -> None:
    assert chance(1e4) == 1.0
    assert chance(-1e4) == 0.0
