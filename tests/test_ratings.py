"""Ratings over duels: by hand, against known strengths, and where the data cannot tell."""

import math
import random

import pytest
import torch

from training.contests import Contest
from training.judgements import Preferred
from training.ratings import (
    POINTS,
    RIDGE,
    Leaderboard,
    _curvature,
    _slope,
    comparable,
    fit,
    fit_all,
    ranks_of,
    rate,
    tallies,
)

NAMES = ("initial", "v1", "v2")


def contests(rows: str, person: str = "ann") -> list[Contest]:
    """`v1>initial` or `v1=initial`, split by spaces; each in a conversation of its own."""
    found = []
    for number, row in enumerate(rows.split()):
        tie = "=" in row
        left, right = row.split("=" if tie else ">")
        found.append(Contest(left, right, Preferred.TIE if tie else Preferred.LEFT, person, f"{person} {number}"))
    return found


def simulated(
    strength: dict[str, float], votes: int, chance: random.Random, *, nu: float = 0.6, people: int = 40
) -> list[Contest]:
    """Votes on random pairs by Davidson's model."""
    names, found = list(strength), []
    for number in range(votes):
        left, right = chance.sample(names, 2)
        d = strength[left] - strength[right]
        weights = [math.exp(d / 2), math.exp(-d / 2), nu]
        [outcome] = chance.choices([Preferred.LEFT, Preferred.RIGHT, Preferred.TIE], weights)
        found.append(Contest(left, right, outcome, f"person {chance.randrange(people)}", str(number)))
    return found


def by_name(board: Leaderboard) -> dict[str, tuple[float, float, float]]:
    rows = {}
    for rating in board.ratings:
        assert rating.rating is not None
        assert rating.low is not None
        assert rating.high is not None
        rows[rating.version] = (rating.low, rating.rating, rating.high)
    return rows


def test_two_versions_by_hand() -> None:
    # 6 wins, 2 losses, no tie: e^d = 3. The prior takes off d RIDGE / 2 / (8 p (1 - p)) = 1.0986 * .05 / 1.5 = .037 to
    # first order, and a nu that is small but not 0 puts about as much back.
    beats = torch.tensor([[0.0, 6.0], [2.0, 0.0]]).double()
    strength, log_nu, _ = fit(beats, torch.zeros(2, 2).double())
    assert float(strength[0] - strength[1]) == pytest.approx(math.log(3), abs=0.04)
    assert float(strength.sum()) == pytest.approx(0.0, abs=1e-9)
    assert log_nu < -2.0  # no tie occurred


def test_ties_pull_together_and_set_nu() -> None:
    # Equal versions, 10 wins each and 20 ties: nu / (2 + nu) = 1/2, so nu = 2 (the prior pulls a little towards 1).
    beats = torch.tensor([[0.0, 10.0], [10.0, 0.0]]).double()
    strength, log_nu, _ = fit(beats, torch.tensor([[0.0, 20.0], [20.0, 0.0]]).double())
    assert float(strength[0]) == pytest.approx(0.0, abs=1e-9)
    assert math.exp(log_nu) == pytest.approx(2.0, abs=0.05)


def test_slope_and_curvature_are_the_derivatives_of_the_likelihood() -> None:
    chance = random.Random(1)
    beats, ties = tallies(simulated({"a": 0.5, "b": 0.0, "c": -1.0}, 60, chance), {"a": 0, "b": 1, "c": 2})

    def likelihood(theta: torch.Tensor) -> torch.Tensor:
        total = -RIDGE / 2 * theta.square().sum()
        for i in range(3):
            for j in range(3):
                d = (theta[i] - theta[j]) / 2
                log_p = torch.log_softmax(torch.stack([d, -d, theta[3]]), 0)
                total = total + beats[i, j] * log_p[0] + ties[i, j] / 2 * log_p[2]
        return total

    theta = torch.tensor([0.3, -0.2, -0.4, 0.1]).double()
    parts = (theta[None, :3], theta[3:], beats[None], ties[None])
    slope = torch.autograd.functional.jacobian(likelihood, theta)
    torch.testing.assert_close(_slope(*parts)[0], slope)
    torch.testing.assert_close(_curvature(*parts)[0], -torch.autograd.functional.hessian(likelihood, theta))


def test_the_fit_is_where_the_slope_is_0_even_when_one_version_won_everything() -> None:
    beats, ties = tallies(contests("v1>initial " * 9 + "v2>v1 " * 9), {name: row for row, name in enumerate(NAMES)})
    strength, log_nu = fit_all(beats[None], ties[None])
    assert torch.isfinite(strength).all()
    assert float(strength[0, 2]) > float(strength[0, 1]) > float(strength[0, 0])
    assert float(strength[0, 2] - strength[0, 0]) < 12  # nine wins out of nine are no proof of more
    torch.testing.assert_close(
        _slope(strength, log_nu, beats[None], ties[None]), torch.zeros(1, 4).double(), atol=1e-6, rtol=0
    )


def test_known_strengths_lie_in_their_intervals_in_at_least_90_of_100_repeats() -> None:
    strength, chance = {"initial": 0.0, "v1": 0.6, "v2": -0.5}, random.Random(2)
    mean = sum(strength.values()) / 3
    inside = dict.fromkeys(strength, 0)
    for _ in range(200):
        board = rate(NAMES, simulated(strength, 300, chance), draws=200)
        rows = by_name(board)
        centre = sum(row[1] for row in rows.values()) / 3
        for name, (low, _, high) in rows.items():
            inside[name] += low <= centre + POINTS * (strength[name] - mean) <= high
    assert min(inside.values()) >= 180


def test_clear_differences_are_ranked_and_the_initial_model_stands_at_1000() -> None:
    board = rate(NAMES, simulated({"initial": 0.0, "v1": 1.5, "v2": 3.0}, 600, random.Random(3)))
    assert [rating.version for rating in board.ratings] == ["v2", "v1", "initial"]
    assert [rating.rank for rating in board.ratings] == [1, 2, 3]
    rows = by_name(board)
    assert rows["initial"][1] == pytest.approx(1000.0)
    assert rows["v1"][1] == pytest.approx(1000 + 1.5 * POINTS, abs=60)
    assert board.tie_strength == pytest.approx(0.6, abs=0.2)
    assert board.drawn == "people"


def test_no_rank_where_the_data_cannot_tell() -> None:
    board = rate(NAMES, contests("v1>initial initial>v1 v2>v1 v1>v2 v2=initial"))
    assert [rating.rank for rating in board.ratings] == [None, None, None]
    # One version is far behind, the two others cannot be told apart: they share the first rank.
    assert ranks_of({"a": (900, 1100), "b": (950, 1150), "c": (100, 300)}) == {"a": 1, "b": 1, "c": 3}
    # The second overlaps with both: no rank.
    assert ranks_of({"a": (900, 1000), "b": (800, 950), "c": (700, 850)}) == {"a": 1, "b": None, "c": 2}


def test_a_few_votes_that_all_agree_make_no_narrow_interval() -> None:
    board = rate(("initial", "v1"), contests("v1>initial " * 5))
    rows = by_name(board)
    assert rows["v1"][1] > rows["initial"][1] + 200
    assert rows["v1"][0] < rows["initial"][2]  # the intervals overlap
    assert board.ratings[0].rank is None  # five wins in a row: every draw of them is five wins too


def test_votes_of_one_person_widen_the_interval_they_would_narrow_if_they_were_many_peoples() -> None:
    many = [c for person in range(60) for c in contests("v1>initial" if person % 3 else "initial>v1", f"p{person}")]
    # Six people who vote ten times each, always alike: two of them against the others.
    few = [c for p in range(6) for c in contests(("v1>initial " if p % 3 else "initial>v1 ") * 10, f"p{p}")]
    wide, narrow = (by_name(rate(("initial", "v1"), votes))["v1"] for votes in (few, many))
    assert wide[1] == pytest.approx(narrow[1])
    assert wide[2] - wide[0] > 1.5 * (narrow[2] - narrow[0])
    assert rate(("initial", "v1"), contests("v1>initial v1=initial")).drawn == "conversations"  # one person only


def test_a_version_that_nothing_connects_is_not_rated() -> None:
    votes = contests("v1>initial v1>initial v1=initial v3>v4")
    board = rate((*NAMES, "v3", "v4"), votes)
    assert {rating.version for rating in board.ratings if rating.rating is None} == {"v2", "v3", "v4"}
    assert [rating.version for rating in board.ratings[:2]] == ["v1", "initial"]
    beats, ties = tallies(votes, {name: row for row, name in enumerate((*NAMES, "v3", "v4"))})
    assert comparable((*NAMES, "v3", "v4"), beats + ties) == ["initial", "v1"]


def test_without_a_duel_nobody_is_rated() -> None:
    board = rate(NAMES, [])
    assert [rating.rating for rating in board.ratings] == [None, None, None]
    assert board.tie_strength is None
    assert board.win_shares[0] == (None, None, None)


def test_the_matrix_counts_meetings_and_wins_in_the_order_of_the_ratings() -> None:
    board = rate(("initial", "v1"), contests("v1>initial v1>initial v1=initial initial>v1"))
    assert board.versions == ("v1", "initial")
    assert board.meetings == ((0, 4), (4, 0))
    assert board.win_shares == ((None, 0.625), (0.375, None))
    first = board.ratings[0]
    assert (first.wins, first.ties, first.losses, first.duels) == (2, 1, 1, 4)


def test_which_side_a_version_stood_on_does_not_matter() -> None:
    votes = contests("v1>initial v1=initial v2>v1 initial>v2 v1>initial")
    mirror = {Preferred.LEFT: Preferred.RIGHT, Preferred.RIGHT: Preferred.LEFT, Preferred.TIE: Preferred.TIE}
    turned = [Contest(c.right, c.left, mirror[c.outcome], c.person, c.conversation) for c in votes]
    assert by_name(rate(NAMES, turned)) == by_name(rate(NAMES, votes))
