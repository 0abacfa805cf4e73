"""Rankings, corrections and regenerated replies as judgements; what a person said last counts."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightschool.records import (
    Correction,
    Duel,
    DuelOutcome,
    FeedbackSnapshot,
    Ranking,
    Reply,
    ReplyStatus,
    Thumb,
    ThumbValue,
)
from training.judgements import NOBODY, Judgements, Preferred
from training.receipts import judgements_of

OPENINGS = {"c": "What is rain?"}


def _reply(number: int, at: str = "2026-01-01", version: str | None = "initial", text: str = "") -> Reply:
    return Reply(f"r{number}", version, text or f"reply {number}", ReplyStatus.DONE, (1, 2), (number + 5, 2), at)


def _judged(**given: object) -> Judgements:
    fields = {"taken_at": "2026-02-01", "duels": (), "thumbs": (), "openings": OPENINGS} | given
    return judgements_of(FeedbackSnapshot(**fields))  # type: ignore[arg-type]


def _ranking(*ranks: int, name: str = "k") -> Ranking:
    replies = tuple(_reply(number) for number in range(len(ranks)))
    return Ranking(name, "p", "c", "q", replies, ranks, "2026-01-02")


def _thumb(number: int, value: ThumbValue, at: str, person: str = "p") -> Thumb:
    return Thumb(f"t{number}", person, "c", value, at, _reply(number, at), "q")


def _duel(number: int, outcome: DuelOutcome, replies: tuple[Reply, Reply], at: str = "2026-01-02") -> Duel:
    return Duel(f"d{number}", "c", "q", "p", *replies, outcome, at)


def test_a_ranking_of_three_with_a_tie_is_three_rows_worth_two_facts() -> None:
    found = _judged(rankings=(_ranking(1, 2, 2),)).pairs
    assert [(pair.preferred, pair.weight) for pair in found] == [
        (Preferred.LEFT, 2 / 3),
        (Preferred.LEFT, 2 / 3),
        (Preferred.TIE, 2 / 3),
    ]
    assert {pair.source for pair in found} == {("ranking", "k")}
    assert Judgements(found, ()).effective() == pytest.approx(2.0)


def test_two_replies_of_a_ranking_that_came_out_the_same_teach_nothing_about_each_other() -> None:
    same = replace(_reply(0), id="again")
    ranking = replace(_ranking(1, 2, 3), replies=(_reply(0), same, _reply(1)))
    found = _judged(rankings=(ranking,)).pairs
    assert [(pair.left.token_ids, pair.right.token_ids) for pair in found] == [((5, 2), (6, 2))] * 2


@given(st.lists(st.integers(1, 8), min_size=2, max_size=8))
def test_a_ranking_of_k_weighs_k_minus_one_and_agrees_with_its_ranks(ranks: list[int]) -> None:
    ranking = _ranking(*ranks)
    found = _judged(rankings=(ranking,)).pairs
    assert sum(pair.weight for pair in found) == pytest.approx(len(ranks) - 1)
    rank_of = {reply.token_ids: rank for reply, rank in zip(ranking.replies, ranks, strict=True)}
    for pair in found:
        left, right = rank_of[pair.left.token_ids], rank_of[pair.right.token_ids]
        assert pair.preferred is (
            Preferred.TIE if left == right else Preferred.LEFT if left < right else Preferred.RIGHT
        )


def test_a_dislike_and_a_liked_later_reply_are_one_pair_in_place_of_both_thumbs() -> None:
    down, up = _thumb(1, ThumbValue.DOWN, "2026-01-01"), _thumb(2, ThumbValue.UP, "2026-01-02")
    found = _judged(thumbs=(down, up))
    [pair] = found.pairs
    assert (pair.left.token_ids, pair.right.token_ids) == ((7, 2), (6, 2))
    assert (pair.preferred, pair.weight, pair.source) == (Preferred.LEFT, 1.0, ("thumb", "t2"))
    assert not found.thumbs
    assert found.sources() == [("thumb", "t1"), ("thumb", "t2")]  # both made it


def test_a_like_before_a_dislike_or_of_another_person_makes_no_pair() -> None:
    early_up, down = _thumb(1, ThumbValue.UP, "2026-01-01"), _thumb(2, ThumbValue.DOWN, "2026-01-02")
    found = _judged(thumbs=(early_up, down))
    assert (len(found.pairs), len(found.thumbs)) == (0, 2)
    found = _judged(thumbs=(replace(down, reply=_reply(1)), _thumb(3, ThumbValue.UP, "2026-01-03", person="other")))
    assert (len(found.pairs), len(found.thumbs)) == (0, 2)


def _correction(text: str, number: int = 1) -> Correction:
    reply = _reply(number, text="Rain is water that falls from clouds.")
    return Correction(f"x{number}", "p", "c", reply, text, (90, 91, 2), "2026-01-02")


def test_a_correction_is_a_pair_for_the_persons_text_unless_it_hardly_changes_anything() -> None:
    [pair] = _judged(corrections=(_correction("Rain is water that falls when clouds are heavy."),)).pairs
    assert (pair.left.token_ids, pair.preferred, pair.weight) == ((90, 91, 2), Preferred.LEFT, 0.5)
    assert pair.source == ("correction", "x1")
    assert not _judged(corrections=(_correction("Rain is water that falls from clouds"),)).pairs  # one letter of 37


def test_corrections_are_at_most_a_fifth_of_all_pairs() -> None:
    duels = tuple(_duel(number, DuelOutcome.LEFT, (_reply(2 * number), _reply(2 * number + 1))) for number in range(12))
    corrections = tuple(_correction("Something else altogether.", number) for number in range(50, 60))
    found = _judged(duels=duels, corrections=corrections).pairs
    by_kind = {kind: sum(p.weight for p in found if p.source[0] == kind) for kind in ("duel", "correction")}
    assert by_kind == {"duel": 12.0, "correction": pytest.approx(3.0)}


def test_of_two_votes_on_the_same_texts_the_last_one_counts_whichever_side_they_stood_on() -> None:
    one, other = _reply(1), _reply(2)
    first = _duel(1, DuelOutcome.LEFT, (one, other), "2026-01-01")
    second = _duel(2, DuelOutcome.LEFT, (other, one), "2026-01-02")
    [pair] = _judged(duels=(first, second)).pairs
    assert pair.source == ("duel", "d2")


def test_a_both_bad_that_was_thought_over_takes_its_thumbs_along() -> None:
    replies = (_reply(1), _reply(2))
    first = _duel(1, DuelOutcome.BOTH_BAD, replies, "2026-01-01")
    found = _judged(duels=(first, _duel(2, DuelOutcome.LEFT, replies, "2026-01-02")))
    assert [pair.source for pair in found.pairs] == [("duel", "d2")]
    assert not found.thumbs


def test_imported_pairs_belong_to_nobody_and_each_counts() -> None:
    replies = (_reply(1, version=None), _reply(2, version=None))
    found = _judged(duels=(_duel(1, DuelOutcome.LEFT, replies), _duel(2, DuelOutcome.LEFT, replies))).pairs
    assert [pair.person for pair in found] == [NOBODY, NOBODY]
