"""The sequential test: its closed form, its error over thousands of looks, and what ends a probation."""

import random
from fractions import Fraction
from math import comb

import pytest

from nightschool.probation import (
    FAILURES_AT,
    PROMOTE_AT,
    ROLL_BACK_AT,
    Fate,
    Vote,
    bet_against,
    counted,
    evidence,
    fate_of,
    standing,
)
from nightschool.records import Probation

WATCHED = Probation("v2", "v1", "2026-01-01")


def votes(*people: str) -> list[Vote]:
    """Each person's votes as a text of + and -, on a day for each."""
    return [
        Vote(f"person {number}", f"day {place}", sign == "+")
        for number, signs in enumerate(people)
        for place, sign in enumerate(signs)
    ]


def test_evidence_is_a_fair_bet_while_both_are_equally_good() -> None:
    def exact(w: int, n: int) -> Fraction:
        return Fraction(sum(comb(n + 1, k) for k in range(w + 1)), (n + 1) * comb(n, w))

    assert evidence(0, 0) == 1.0
    for w in range(9):
        for lost in range(9):
            n = w + lost
            assert evidence(w, lost) == pytest.approx(float(exact(w, n)))
            assert (exact(w + 1, n + 1) + exact(w, n + 1)) / 2 == exact(w, n)  # to the last digit


def test_evidence_is_the_integral_it_stands_for() -> None:
    # 2^n 2 integral from 1/2 to 1 of p^w (1-p)^l dp, by the midpoint rule.
    for w, lost in ((3, 1), (7, 0), (2, 5)):
        steps = 20_000
        points = (0.5 + (place + 0.5) / (2 * steps) for place in range(steps))
        area = sum(p**w * (1 - p) ** lost for p in points) / (2 * steps)
        assert evidence(w, lost) == pytest.approx(2 ** (w + lost) * 2 * area, rel=1e-6)


@pytest.mark.parametrize(("wins", "losses"), [(7, 0), (16, 4), (23, 7), (36, 14), (65, 35)])
def test_the_wins_needed_are_those_of_the_table(wins: int, losses: int) -> None:
    assert evidence(wins, losses) >= PROMOTE_AT > evidence(wins - 1, losses + 1)


def test_five_losses_in_a_row_roll_back() -> None:
    assert evidence(5, 0) >= ROLL_BACK_AT > evidence(4, 0)


@pytest.mark.parametrize("people", [1, 12])
def test_equal_versions_are_hardly_ever_promoted_however_often_one_looks(people: int) -> None:
    # 2,000 times 200 votes, looked at after each; people turn up one by one, each with votes of many days.
    chance = random.Random(people)
    reached = 0
    for _ in range(2000):
        won, lost = [0] * people, [0] * people
        values: dict[int, float] = {}
        for vote in range(200):
            person = chance.randrange(min(people, 1 + vote // 5))
            won[person], lost[person] = (
                (won[person] + 1, lost[person]) if chance.random() < 0.5 else (won[person], lost[person] + 1)
            )
            values[person] = evidence(won[person], lost[person])
            if sum(values.values()) / len(values) >= PROMOTE_AT:
                reached += 1
                break
    assert reached / 2000 <= 0.05


@pytest.mark.parametrize(("threshold", "most"), [(PROMOTE_AT, 1 / 20), (ROLL_BACK_AT, 1 / 10)])
def test_counted_exactly_one_persons_200_votes_on_equal_versions_reach_a_threshold_as_seldom_as_promised(
    threshold: float, most: float
) -> None:
    # Every course of the votes at once: the chance of each number of wins among courses that have not reached it yet.
    going, reached = {0: 1.0}, 0.0
    for cast in range(1, 201):
        after: dict[int, float] = {}
        for wins, share in going.items():
            for now in (wins, wins + 1):
                if evidence(now, cast - now) >= threshold:
                    reached += share / 2
                else:
                    after[now] = after.get(now, 0.0) + share / 2
        going = after
    assert most / 4 < reached <= most
    assert reached + sum(going.values()) == pytest.approx(1.0)


def test_a_version_that_wins_seven_in_ten_is_promoted_and_one_that_wins_three_rolled_back() -> None:
    chance = random.Random(3)
    fates: dict[float, list[Fate | None]] = {0.7: [], 0.3: []}
    for rate, found in fates.items():
        for _ in range(200):
            signs, fate = "", None
            while fate is None and len(signs) < 200:
                signs += "+" if chance.random() < rate else "-"
                end = fate_of(WATCHED, standing(votes(signs), ((), ()), ()))
                fate = end[0] if end else None
            found.append(fate)
    assert fates[0.7].count(Fate.PROMOTED) >= 180  # a bad beginning may roll it back first
    assert fates[0.3].count(Fate.ROLLED_BACK) >= 195


def test_a_person_counts_three_votes_a_day() -> None:
    given = [Vote("ann", "monday", True)] * 5 + [Vote("ann", "tuesday", False)] + [Vote("bob", "monday", False)]
    assert [vote.won for vote in counted(given)] == [True, True, True, False, False]
    found = standing(given, ((), ()), ())
    assert (found.wins, found.losses) == (3, 2)


def test_evidence_of_people_is_averaged_and_not_multiplied() -> None:
    found = standing(votes("+++++++", "+", "-"), ((), ()), ())
    assert found.for_it == pytest.approx((evidence(7, 0) + evidence(1, 0) + evidence(0, 1)) / 3)
    assert found.against_it == pytest.approx((evidence(0, 7) + evidence(0, 1) + evidence(1, 0)) / 3)
    assert fate_of(WATCHED, found) is None  # one enthusiast among three people does not promote
    assert fate_of(WATCHED, standing(votes("+++++++"), ((), ()), ())) is not None


def test_nothing_said_decides_nothing() -> None:
    found = standing([], ((), ()), ())
    assert (found.for_it, found.against_it, found.thumbs_against, found.failures_against) == (1.0, 1.0, 1.0, 1.0)
    assert fate_of(WATCHED, found) is None


def test_thumbs_down_that_the_rival_did_not_get_roll_back() -> None:
    # Pairs: of ten, two are alike; in eight only the version on probation is down: evidence(8, 0) = 511 / 9.
    own, rival = [True] * 9 + [False], [False] * 8 + [True, False]
    found = standing([], (own, rival), ())
    assert found.thumbs_against == pytest.approx(511 / 9)
    end = fate_of(WATCHED, found)
    assert end is not None
    assert end[0] is Fate.ROLLED_BACK
    assert "thumbs down" in end[1].en
    assert fate_of(WATCHED, standing([], (own, [True] * 10), ())) is None  # the rival gets them too
    assert fate_of(WATCHED, standing([], (own, []), ())) is None  # nothing to compare with


def test_replies_that_fail_roll_back_within_a_few_and_now_and_then_one_does_not() -> None:
    assert bet_against([True] * 4) >= FAILURES_AT
    assert bet_against([False] * 500 + [True] * 4) >= FAILURES_AT  # it broke late
    seldom = ([True] + [False] * 19) * 50
    assert bet_against(seldom) < FAILURES_AT
    end = fate_of(WATCHED, standing(votes("+++++++"), ((), ()), [True] * 6))
    assert end is not None
    assert end[0] is Fate.ROLLED_BACK  # whatever people prefer when it does answer


def test_reasons_name_both_versions_and_the_votes_in_both_languages() -> None:
    for signs, fate in (("+++++++", Fate.PROMOTED), ("-----", Fate.ROLLED_BACK)):
        end = fate_of(WATCHED, standing(votes(signs), ((), ()), ()))
        assert end is not None
        assert end[0] is fate
        for text in (end[1].en, end[1].zh):
            assert "v2" in text
            assert "v1" in text
            assert f"{signs.count('+')} : {signs.count('-')}" in text
