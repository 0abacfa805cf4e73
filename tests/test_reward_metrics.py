"""What a reward model is said to be worth, and the gate: few predictions, counted by hand."""

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

import pytest

from nightschool.shares import wilson
from training.judgements import Answer, Judgements, PairJudgement, Preferred, ThumbJudgement, facts_of_ranking
from training.reward_fit import HeldOut
from training.reward_metrics import TO_EXAMINE_WITH, gate, measure
from training.split import Side


def _pair(
    number: int, margin: float, preferred: Preferred = Preferred.LEFT, *, source: tuple[str, str] | None = None,
    lengths: tuple[int, int] = (1, 2), person: str = "", weight: float = 1.0,
) -> HeldOut:  # fmt: skip
    left, right = (Answer((number + 1,), (side,) * length) for side, length in zip((3, 4), lengths, strict=True))
    where = (weight, str(number), Side.EXAM, source or ("duel", str(number)), person)
    sign = {Preferred.LEFT: 1.0, Preferred.RIGHT: -1.0, Preferred.TIE: 0.0}[preferred]
    loss = math.log(3) if not sign else math.log1p(math.exp(-sign * margin))
    return HeldOut(PairJudgement(left, right, preferred, *where), margin, loss)


def _thumb(number: int, margin: float, is_up: bool, source: tuple[str, str] | None = None) -> HeldOut:
    where = (str(number), Side.EXAM, source or ("thumb", str(number)))
    return HeldOut(ThumbJudgement(Answer((number + 1,), (5,)), is_up, 0.5, *where), margin, 0.5)


def _ranking(name: str, margins: Sequence[float]) -> list[HeldOut]:
    """Margins of all pairs of one ranking; the left reply of each is the better one."""
    return [_pair(number, margin, source=("ranking", name)) for number, margin in enumerate(margins)]


def test_accuracy_is_the_share_of_decided_pairs_whose_margin_has_the_right_sign() -> None:
    # Right, wrong, right the other way round, and a tie, which nobody can get right: 2 of 3.
    held = [_pair(0, 1.0), _pair(1, -1.0), _pair(2, -0.5, Preferred.RIGHT), _pair(3, 0.1, Preferred.TIE)]
    found = measure(held)
    assert (found.pairs, found.facts, found.accuracy) == (3, 3.0, pytest.approx(2 / 3))
    assert found.accuracy_low == pytest.approx(wilson(2, 3, 0.8)[0])


@pytest.mark.parametrize("preferred", [Preferred.LEFT, Preferred.RIGHT])
def test_a_model_that_tells_no_reply_from_another_is_right_half_the_time_whoever_won(preferred: Preferred) -> None:
    found = measure([_pair(number, 0.0, preferred, person="ann") for number in range(20)])
    assert found.accuracy == 0.5
    assert found.accuracy_by_kind == {"duel": 0.5}
    assert found.accuracy_by_person == {"ann": 0.5}


@pytest.mark.parametrize(("replies", "pairs"), [(2, 1), (3, 3), (4, 6), (8, 28)])
def test_all_pairs_of_a_ranking_of_k_are_k_minus_one_facts(replies: int, pairs: int) -> None:
    assert len(list(combinations(range(replies), 2))) == pairs
    assert facts_of_ranking(pairs) == pytest.approx(replies - 1)


def test_rankings_count_as_their_facts_in_accuracy_and_in_the_bound() -> None:
    # A ranking of four, 4 of 6 pairs right: 2 of 3 facts; one of three, all right: 2 of 2; a duel, wrong: 0 of 1.
    held = [*_ranking("a", [1, 1, 1, 1, -1, -1]), *_ranking("b", [1, 1, 1]), _pair(9, -1.0)]
    found = measure(held)
    assert (found.pairs, found.facts) == (10, pytest.approx(6.0))
    assert found.accuracy == pytest.approx(4 / 6)
    assert found.accuracy_low == pytest.approx(wilson(4, 6, 0.8)[0])
    assert found.accuracy_by_kind == {"duel": 0.0, "ranking": pytest.approx(4 / 5)}


def test_one_ranking_of_eight_does_not_pass_the_gate_and_twenty_eight_duels_do() -> None:
    # 18 of 28 right (64 %). As 28 trials the lower bound is 56 %; as 7 it is 48 %, and 7 are too few to ask at all.
    margins = [1.0] * 18 + [-0.1] * 10
    duels = [_pair(number, margin) for number, margin in enumerate(margins)]
    assert gate(measure(duels)) is None
    assert "too few held-out pairs" in str(gate(measure(_ranking("a", margins))))
    two = [*_ranking("a", margins), *_ranking("b", margins)]
    assert measure(two).facts == pytest.approx(14.0)
    assert gate(measure(two)) is None  # 9 of 14: the lower bound is 53 %
    worse = [1.0] * 16 + [-0.1] * 12
    assert "of 56 held-out pairs" in str(gate(measure([*_ranking("a", worse), *_ranking("b", worse)])))


def test_corrections_are_told_by_kind_and_do_not_open_the_gate() -> None:
    coin = [_pair(number, 1.0 if number % 2 else -1.0) for number in range(40)]
    easy = [_pair(100 + number, 5.0, source=("correction", str(number)), person="ann") for number in range(200)]
    found = measure(coin + easy)
    assert (found.pairs, found.accuracy, found.log_loss) == (40, 0.5, pytest.approx(measure(coin).log_loss))
    assert found.accuracy_by_kind == {"correction": 1.0, "duel": 0.5}
    assert (found.brier, found.temperature) == (measure(coin).brier, measure(coin).temperature)
    assert "predicts 50% of 40" in str(gate(found))
    assert "too few held-out pairs" in str(gate(measure(easy)))


def test_thumbs_are_ranked_and_open_the_gate_where_there_are_hardly_any_pairs() -> None:
    # Ups at 2 and 0, downs at 0 and -1: of four couples three in order and one equal: 3.5 of 4.
    held = [_thumb(0, 2.0, True), _thumb(1, 0.0, True), _thumb(2, 0.0, False), _thumb(3, -1.0, False)]
    found = measure(held)
    assert (found.thumbs, found.thumbs_auc) == (4, pytest.approx(0.875))
    assert gate(found) is None
    turned = [_thumb(number, entry.margin, not entry.judgement.is_up) for number, entry in enumerate(held)]  # type: ignore[union-attr]
    assert "only 12% of the time" in str(gate(measure(turned)))


def test_a_model_that_is_surest_where_it_is_wrong_is_refused_and_one_that_is_too_sure_of_the_right_things_is_not() -> (
    None
):
    # 30 of 40 right, by margins so wide that the 10 wrong ones cost 4 nats each: at half the scale it is a good model.
    sure = measure([_pair(number, 4.0 if number < 30 else -4.0) for number in range(40)])
    assert sure.log_loss > 1.0
    entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert sure.pairs_log_loss == pytest.approx(entropy, abs=1e-4)  # what three of four right amount to, at any margin
    assert gate(sure) is None
    wrong = measure([_pair(number, 0.1 if number < 30 else -4.0) for number in range(40)])
    assert wrong.accuracy == sure.accuracy
    assert wrong.pairs_log_loss == math.log(2)
    assert "not sure of the right ones of 40 held-out pairs" in str(gate(wrong))
    assert "not sure of the right ones" in str(gate(wrong, TO_EXAMINE_WITH))


def test_a_weighty_pair_counts_more_in_the_log_loss_of_pairs() -> None:
    held = [_pair(number, 1.0 if number < 3 else -1.0) for number in range(4)]
    weighed = [replace(held[0], judgement=replace(held[0].judgement, weight=5.0)), *held[1:]]
    even, uneven = (measure(entries).pairs_log_loss for entries in (held, weighed))
    assert even is not None
    assert uneven is not None
    assert uneven == pytest.approx(-(7 * math.log(7 / 8) + math.log(1 / 8)) / 8, abs=1e-4)  # 7 of 8 by weight


def test_thumbs_alone_that_are_ranked_but_never_foretold_are_no_better_than_guessing() -> None:
    held = [_thumb(0, 5.0, True), _thumb(1, 4.0, True), _thumb(2, 3.0, False), _thumb(3, 2.0, False)]
    held = [replace(entry, loss=1.3) for entry in held]
    assert "no better than guessing" in str(gate(measure(held)))


def test_guessing_knows_how_often_there_are_ties_and_thumbs_up() -> None:
    # Of four pairs one tie: ln 2 * 3 + 4 H(1/4); of two thumbs (weight .5) one up: H(1/2) * 1. Over a weight of 5.
    held = [_pair(n, 1.0) for n in range(3)] + [
        _pair(3, 0.0, Preferred.TIE),
        _thumb(4, 1.0, True),
        _thumb(5, 1.0, False),
    ]
    quarter = -(0.25 * math.log(0.25) + 0.75 * math.log(0.75))
    assert measure(held).guess_log_loss == pytest.approx((3 * math.log(2) + 4 * quarter + math.log(2)) / 5)


def test_the_longer_reply_wins_as_often_as_it_does_and_the_reward_follows_the_length() -> None:
    # The longer one preferred in 1 of 3 pairs of unequal length; margins and leads in opposite order.
    held = [
        _pair(0, 3.0, lengths=(2, 5)),
        _pair(1, 2.0, lengths=(2, 4)),
        _pair(2, 1.0, lengths=(3, 2)),
        _pair(3, 2.5, lengths=(3, 3)),
    ]
    found = measure(held)
    assert found.longer_wins == pytest.approx(1 / 3)
    # Ranks of margins 4 2 1 3, of leads -3 -2 1 0: 1 2 4 3; squared differences 9 0 9 0: 1 - 6 * 18 / 60
    assert found.length_correlation == pytest.approx(-0.8)


def test_accuracy_of_a_person_needs_five_judgements() -> None:
    held = [_pair(n, 1.0 if n % 2 else -1.0, person="ann") for n in range(6)] + [_pair(9, 1.0, person="bob")]
    assert measure(held).accuracy_by_person == {"ann": 0.5}


def test_surely_better_than_a_coin_but_below_55_percent_does_not_open_the_gate() -> None:
    # 54 % of 4,000 pairs: the lower bound is 53 %, and the log-loss is fine.
    sound = replace(measure([_pair(n, 1.0) for n in range(20)]), pairs=4000, facts=4000.0)
    assert gate(replace(sound, accuracy=0.56, accuracy_low=0.55)) is None
    weak = replace(sound, accuracy=0.54, accuracy_low=0.53)
    assert "predicts 54% of 4000 held-out pairs (needed: 55%, and surely more" in str(gate(weak))
    assert gate(weak, TO_EXAMINE_WITH) is None  # nobody climbs the examiner
    unsure = gate(replace(weak, accuracy_low=0.5), TO_EXAMINE_WITH)
    assert "the examiner predicts 54% of 4000 held-out pairs (needed: surely more than half" in str(unsure)


def test_nothing_measured_is_nothing_claimed() -> None:
    found = measure([])
    assert (found.pairs, found.accuracy, found.accuracy_low, found.thumbs_auc, found.brier) == (
        0,
        None,
        None,
        None,
        None,
    )
    assert found.log_loss == pytest.approx(math.log(2))
    assert gate(found) is not None
    assert not len(Judgements((), ()))
