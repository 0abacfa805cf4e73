"""Rows of people -> judgements, and the side each conversation lies on."""

from hypothesis import given
from hypothesis import strategies as st

from nightschool.records import Duel, DuelOutcome, FeedbackSnapshot, Reply, ReplyStatus, Thumb, ThumbValue
from training.judgements import Preferred, judgements_of
from training.split import Side, component_of, side_of


def _reply(name: str, tokens: tuple[int, ...]) -> Reply:
    return Reply(name, "initial", name, ReplyStatus.DONE, (1, 2, 3), tokens, "2026-01-01")


def _duel(outcome: DuelOutcome, left: tuple[int, ...] = (5, 2), right: tuple[int, ...] = (6, 2)) -> Duel:
    return Duel("d", "c", "q", "p", _reply("l", left), _reply("r", right), outcome, "2026-01-01")


def _snapshot(*duels: Duel, thumbs: tuple[Thumb, ...] = ()) -> FeedbackSnapshot:
    return FeedbackSnapshot("2026-01-02", duels, thumbs, {"c": "What is rain?"})


def test_a_decided_duel_is_a_pair_of_weight_one() -> None:
    for outcome, preferred in (
        (DuelOutcome.LEFT, Preferred.LEFT),
        (DuelOutcome.RIGHT, Preferred.RIGHT),
        (DuelOutcome.TIE, Preferred.TIE),
    ):
        found = judgements_of(_snapshot(_duel(outcome)))
        assert [(pair.preferred, pair.weight, pair.source) for pair in found.pairs] == [(preferred, 1.0, ("duel", "d"))]
        assert found.pairs[0].left.token_ids == (5, 2)
        assert not found.thumbs


def test_both_bad_is_half_a_tie_and_half_a_thumb_down_for_each() -> None:
    found = judgements_of(_snapshot(_duel(DuelOutcome.BOTH_BAD)))
    assert [(pair.preferred, pair.weight) for pair in found.pairs] == [(Preferred.TIE, 0.5)]
    assert [(thumb.is_up, thumb.weight) for thumb in found.thumbs] == [(False, 0.5), (False, 0.5)]
    assert found.sources() == [("duel", "d")]


def test_equal_replies_and_empty_ones_make_no_pair() -> None:
    assert len(judgements_of(_snapshot(_duel(DuelOutcome.LEFT, (5, 2), (5, 2))))) == 0
    assert len(judgements_of(_snapshot(_duel(DuelOutcome.LEFT, (), (5, 2))))) == 0


def test_a_thumb_counts_half_and_names_its_row() -> None:
    thumb = Thumb("t", "p", "c", ThumbValue.UP, "2026-01-01", _reply("a", (9,)))
    [found] = judgements_of(_snapshot(thumbs=(thumb,))).thumbs
    assert (found.is_up, found.weight, found.source) == (True, 0.5, ("thumb", "t"))


def test_a_duel_amounts_to_one_judgement_however_it_ends_and_a_thumb_to_half() -> None:
    thumb = Thumb("t", "p", "c", ThumbValue.UP, "", _reply("a", (9,)))
    # Both bad makes three rows of .5, and is still one act: min(1.5, 1) = 1.
    assert judgements_of(_snapshot(_duel(DuelOutcome.BOTH_BAD))).effective() == 1.0
    assert judgements_of(_snapshot(_duel(DuelOutcome.LEFT), thumbs=(thumb,))).effective() == 1.5


def test_long_prompts_keep_their_end() -> None:
    reply = Reply("a", "initial", "a", ReplyStatus.DONE, tuple(range(2000)), (5,), "2026-01-01")
    [found] = judgements_of(_snapshot(thumbs=(Thumb("t", "p", "c", ThumbValue.UP, "", reply),))).thumbs
    assert found.answer.prompt_ids == tuple(range(1488, 2000))


def test_a_conversation_is_wholly_on_one_side_and_equal_openings_are_together() -> None:
    assert component_of("What is  RAIN?\n") == component_of("what is rain?")
    found = judgements_of(_snapshot(_duel(DuelOutcome.LEFT), _duel(DuelOutcome.BOTH_BAD)))
    sides = [side for side in Side if len(found.on(side))]
    assert len(sides) == 1
    assert len(found.on(*Side)) == len(found)


@given(st.text())
def test_the_side_of_a_text_never_changes(text: str) -> None:
    assert side_of(text) is side_of(text)


def test_sides_have_their_shares() -> None:
    # 10,000 texts: 60 / 10 / 30 % within four standard errors (at most 2 points).
    sides = [side_of(f"text {index}") for index in range(10_000)]
    for side, share in ((Side.TRAIN, 0.6), (Side.VALIDATION, 0.1), (Side.EXAM, 0.3)):
        assert abs(sides.count(side) / 10_000 - share) < 0.02


def test_the_side_is_the_same_in_every_process_and_year() -> None:
    # Written down once: a change of the hash would let trained conversations into exams.
    assert [side_of(text).value for text in ("what is rain?", "hello", "tell me a story", "why?", "code")] == [
        "train",
        "train",
        "train",
        "exam",
        "exam",
    ]
