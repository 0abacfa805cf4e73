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
    OF_STRANGERS,
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


def test_settled_weights_are_those_of_the_age() -> None:
    old, new = _pair("a", 1, 1, "2026-01-30T00:00:00+00:00"), _pair("a", 2, 2, NOW)
    assert [pair.weight for pair in settled(Judgements((old, new), ()), NOW).pairs] == pytest.approx([0.5, 1.0])


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


def test_thousands_of_imported_judgements_beside_a_few_people_keep_their_weight() -> None:
    many = [_pair(NOBODY, number, prompt=number) for number in range(1000)]
    few = [_pair(f"p{number % 5}", 2000 + number, prompt=2000 + number) for number in range(50)]
    assert masses(Judgements((*many, *few), ())) == {f"p{person}": 10.0 for person in range(5)}
    assert {pair.weight for pair in capped(Judgements((*many, *few), ())).pairs} == {1.0}


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


def _with(
    crowd: tuple[Features, Judgements, dict[Answer, int]], firsts: list[float], pairs: list[PairJudgement]
) -> tuple[Features, Judgements, dict[Answer, int]]:
    """The crowd and somebody more, whose texts (9,), (n,) have these first features and no others."""
    features, judgements, row_of = crowd
    more = torch.zeros(len(firsts), 8)
    more[:, 0] = torch.tensor(firsts)
    rows = {Answer((9,), (number,)): len(features) + number for number in range(len(firsts))}
    joined = Features.of(torch.cat([features.matrix(), more]))
    return joined, Judgements((*judgements.pairs, *pairs), ()), row_of | rows


def _extra(number: int, left: int, right: int, source: tuple[str, str]) -> PairJudgement:
    sides = Answer((9,), (left,)), Answer((9,), (right,))
    return PairJudgement(*sides, Preferred.LEFT, 1.0, f"x{number}", Side.TRAIN, source, "x")


def test_in_the_evidence_about_a_person_a_ranking_counts_as_its_facts_and_not_as_its_pairs() -> None:
    # Texts 0 to 7 rise by .25, so their 28 pairs differ by .75 on average; texts 8 and 9 differ by .75 too.
    # A ranking turned upside down is 7 facts against the taste, nine duels are 9 for it: 9 > 7, but 9 < 28.
    firsts = [0.25 * place for place in range(8)] + [0.0, 0.75]
    upside_down = [_extra(0, worse, better, ("ranking", "r")) for better in range(8) for worse in range(better)]
    duels = [_extra(1 + number, 9, 8, ("duel", f"x{number}")) for number in range(9)]
    weights = agreement_weights(*_with(_crowd(inverted=0), firsts, upside_down + duels), 0.1)
    assert weights["x"] > 0.5


@pytest.mark.parametrize(("votes", "known"), [(4, False), (5, True)])
def test_four_votes_against_the_rest_are_too_few_to_count_nothing_and_five_are_enough(votes: int, known: bool) -> None:
    against = [_extra(number, 0, 1, ("duel", f"x{number}")) for number in range(votes)]
    weights = agreement_weights(*_with(_crowd(inverted=0), [-2.0, 2.0], against), 0.1)
    assert (weights["x"] == 0.0) is known
    assert known or weights["x"] == pytest.approx(OF_STRANGERS, abs=0.1)


def test_votes_against_the_taste_are_held_against_somebody_sooner_where_many_vote_the_other_way_round() -> None:
    against = [_extra(number, 0, 1, ("duel", f"x{number}")) for number in range(5)]
    in_one_mind, in_two = (
        agreement_weights(*_with(_crowd(inverted=inverted), [-0.15, 0.15], against), 0.1)["x"] for inverted in (0, 5)
    )
    assert in_one_mind > 0.4
    assert in_two < in_one_mind - 0.3


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
