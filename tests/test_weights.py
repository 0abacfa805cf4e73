"""How much each judgement counts: by age, copies, share of one person, and agreement with the others."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from training.features import Features
from training.judgements import NOBODY, Answer, Judgements, PairJudgement, Preferred, ThumbJudgement
from training.split import Side
from training.weights import (
    SHARE_OF_ONE,
    SHARES_OF_FEW,
    age_weight,
    agreement_weights,
    cap,
    capped,
    masses,
    settled,
)

NOW = "2026-03-01T00:00:00+00:00"


def _pair(person: str, number: int, prompt: int = 1, created_at: str = "") -> PairJudgement:
    left, right = Answer((prompt,), (2 * number + 3,)), Answer((prompt,), (2 * number + 4,))
    source = ("duel", f"{person} {number}")
    return PairJudgement(left, right, Preferred.LEFT, 1.0, str(number), Side.TRAIN, source, person, created_at)


@pytest.mark.parametrize(
    ("created_at", "weight"),
    [
        ("2026-03-01T00:00:00+00:00", 1.0),
        ("2026-01-30T00:00:00+00:00", 0.5),  # 30 days before
        ("2025-12-31T00:00:00+00:00", 0.3),  # 60 days: .25, raised to the least
        ("2026-04-01T00:00:00+00:00", 1.0),  # a clock that went wrong
        ("", 1.0),
    ],
)
def test_a_judgement_counts_half_after_thirty_days_and_never_less_than_three_tenths(
    created_at: str, weight: float
) -> None:
    assert age_weight(created_at, NOW) == pytest.approx(weight)


def test_nine_votes_on_one_prompt_count_as_three() -> None:
    found = settled(Judgements(tuple(_pair("a", number) for number in range(9)), ()), NOW)
    assert sum(pair.weight for pair in found.pairs) == pytest.approx(3.0)
    apart = settled(Judgements(tuple(_pair("a", number, prompt=number) for number in range(9)), ()), NOW)
    assert sum(pair.weight for pair in apart.pairs) == pytest.approx(9.0)


def test_the_cap_is_the_one_worked_by_hand() -> None:
    # Ten people: a share of .2. Nine with 10 and one with 1000: c = .2 (90 + c) -> c = 22.5
    assert cap([10.0] * 9 + [1000.0]) == pytest.approx(22.5)
    # Two people: a share of .75: c = .75 (10 + c) -> c = 30
    assert cap([10.0, 500.0]) == pytest.approx(30.0)
    # Nobody is over it: nothing changes. One alone is never capped.
    assert cap([10.0, 11.0, 12.0]) == 12.0
    assert cap([500.0]) == float("inf")
    # What nobody known has judged makes room: c = .75 (10 + c + 100) -> c = 330
    assert cap([10.0, 500.0], unknown=100.0) == pytest.approx(330.0)


@given(st.lists(st.floats(0.1, 10_000), min_size=2, max_size=40), st.floats(0, 1000))
def test_no_person_weighs_more_than_their_share(mass: list[float], unknown: float) -> None:
    most = cap(mass, unknown)
    total = sum(min(amount, most) for amount in mass) + unknown
    share = max(SHARE_OF_ONE, SHARES_OF_FEW / len(mass))
    assert min(max(mass), most) <= share * total * (1 + 1e-9)
    if most < max(mass):  # and not a crumb less than allowed
        assert most == pytest.approx(share * total)


def test_five_thousand_votes_of_one_among_twenty_weigh_at_most_a_fifth() -> None:
    honest = [_pair(f"p{person}", 100 * person + vote, prompt=vote) for person in range(19) for vote in range(50)]
    flood = [_pair("spam", 10_000 + vote, prompt=10_000 + vote) for vote in range(5000)]
    mass = masses(capped(Judgements(tuple(honest + flood), ())))
    assert mass["spam"] <= 0.2 * sum(mass.values()) + 1e-9
    assert mass["p0"] == 50.0


def test_imported_judgements_are_neither_capped_nor_counted_as_copies() -> None:
    many = (*(_pair(NOBODY, number) for number in range(50)), _pair("a", 99))
    assert [pair.weight for pair in settled(Judgements(many, ()), NOW).pairs] == [1.0] * 51


def _crowd(inverted: int, people: int = 15, votes: int = 30) -> tuple[Features, Judgements, dict[Answer, int]]:
    """People who choose the text with the larger first feature (15 % wrong); the first few the other way round."""
    generator = torch.Generator().manual_seed(0)
    texts = torch.randn(2 * people * votes, 8, generator=generator)
    pairs = []
    for person in range(people):
        for vote in range(votes):
            number = person * votes + vote
            pair = _pair(f"p{person:02}", number, prompt=number)
            left_is_better = bool(texts[2 * number, 0] > texts[2 * number + 1, 0])
            wrong = bool(torch.rand((), generator=generator) < 0.15) != (person < inverted)
            preferred = Preferred.LEFT if left_is_better != wrong else Preferred.RIGHT
            pairs.append(
                PairJudgement(
                    pair.left, pair.right, preferred, 1.0, pair.component, Side.TRAIN, pair.source, pair.person
                )
            )
    answers = [answer for pair in pairs for answer in (pair.left, pair.right)]
    return Features.of(texts), Judgements(tuple(pairs), ()), {answer: row for row, answer in enumerate(answers)}


def test_those_who_vote_the_other_way_round_count_nothing_and_the_others_all() -> None:
    weights = agreement_weights(*_crowd(inverted=5), 0.1)
    assert [weights[f"p{person:02}"] for person in range(5)] == [0.0] * 5
    assert min(weights[f"p{person:02}"] for person in range(5, 15)) > 0.6


def test_where_nobody_can_be_foretold_nobody_is_distrusted() -> None:
    features, judgements, row_of = _crowd(inverted=0)
    noise = Features.of(torch.randn(len(features), 8, generator=torch.Generator().manual_seed(5)))
    assert min(agreement_weights(noise, judgements, row_of, 3.0).values()) > 0.6


def test_somebody_who_only_ever_presses_thumbs_down_is_strict_and_not_against_the_others() -> None:
    features, judgements, row_of = _crowd(inverted=0)
    answers = list(row_of)[:40]
    strict = tuple(
        ThumbJudgement(answer, False, 0.5, f"s{n}", Side.TRAIN, ("thumb", str(n)), "strict")
        for n, answer in enumerate(answers)
    )
    weights = agreement_weights(features, Judgements(judgements.pairs, strict), row_of, 0.1)
    assert weights["strict"] > 0.5


def test_the_cap_holds_on_each_side() -> None:
    flood = [replace(_pair("flood", number, prompt=number), side=Side.EXAM) for number in range(500)]
    honest = [_pair(f"p{person}", 1000 + 50 * person + n, prompt=n) for person in range(10) for n in range(20)]
    honest += [
        replace(_pair(f"p{person}", 5000 + 50 * person + n, prompt=n), side=Side.EXAM)
        for person in range(10)
        for n in range(5)
    ]
    exam = masses(settled(Judgements(tuple(honest + flood), ()), NOW).on(Side.EXAM))
    assert exam["flood"] <= 0.2 * sum(exam.values()) + 1e-9


def test_two_people_are_too_few_to_say_who_is_wrong() -> None:
    assert set(agreement_weights(*_crowd(inverted=1, people=2), 0.1).values()) == {1.0}
