"""Rows of people -> judgements, and the side each conversation lies on."""

from dataclasses import replace

import pytest

from nightschool.records import Duel, DuelOutcome, FeedbackSnapshot, Reply, ReplyStatus, Thumb, ThumbValue
from training.judgements import Preferred
from training.receipts import judged_conversations, judgements_of, split_of_snapshot
from training.split import Side, split_of


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


def test_a_conversation_is_wholly_on_one_side() -> None:
    found = judgements_of(_snapshot(_duel(DuelOutcome.LEFT), _duel(DuelOutcome.BOTH_BAD)))
    assert len([side for side in Side if len(found.on(side))]) == 1
    assert len(found.on(*Side)) == len(found)


@pytest.mark.parametrize("side", Side)
def test_the_side_an_earlier_night_kept_decides_for_every_conversation_that_begins_nearly_alike(side: Side) -> None:
    there = replace(_duel(DuelOutcome.LEFT, (7, 2), (8, 2)), id="e", conversation_id="e")
    snapshot = replace(
        _snapshot(_duel(DuelOutcome.LEFT), there),
        openings={"c": "What is the rain in Spain like in May?", "e": "what is  the rain in Spain like in May"},
        sides={"e": side.value},
    )
    found = judgements_of(snapshot)
    assert [pair.side for pair in found.pairs] == [side, side]
    assert len({pair.component for pair in found.pairs}) == 1
    assert found == judgements_of(snapshot, split_of_snapshot(snapshot))
    assert split_of_snapshot(snapshot).changes(snapshot.sides, judged_conversations(snapshot)) == {"c": side}


def test_a_conversation_that_nobody_judged_still_connects_two_that_were() -> None:
    # 100 letters of one text, then more and more of another's: a and c are no near-duplicates, b is one of both.
    a, b, c = ("".join(chr(0x4E00 + start + place) for place in range(100)) for start in (0, 8, 16))
    duels = [
        replace(_duel(DuelOutcome.LEFT, (place, 2), (9, 2)), id=name, conversation_id=name)
        for place, name in enumerate("ac", 5)
    ]
    snapshot = replace(_snapshot(*duels), openings={"a": a, "b": b, "c": c}, sides={"a": "train"})
    assert [pair.side for pair in judgements_of(snapshot).pairs] == [Side.TRAIN, Side.TRAIN]
    assert judged_conversations(snapshot) == ["a", "c"]
    apart = replace(snapshot, openings={"a": a, "c": c})
    assert len({pair.component for pair in judgements_of(apart).pairs}) == 2


def test_questions_of_one_template_are_many_questions_and_not_one_component() -> None:
    openings = {str(number): f"Name something number {number}" for number in range(100, 300)}
    sides = split_of(openings, {}).side_of_conversation
    assert {*sides.values()} == {*Side}
    few = {number: openings[number] for number in list(openings)[:8]}
    assert len({*split_of(few, {}).side_of_conversation.values()}) == 1


def test_a_judged_conversation_without_a_question_stands_for_itself() -> None:
    snapshot = replace(_snapshot(_duel(DuelOutcome.LEFT)), openings={})
    [pair] = judgements_of(snapshot).pairs
    assert pair.component == "c"
    assert pair.side is split_of({"x": "c"}, {}).side_of_conversation["x"]
