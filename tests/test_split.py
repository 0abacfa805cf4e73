"""However conversations grow from night to night, none is examined that was trained on, nor any that begins like it."""

from itertools import combinations
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.test_near_duplicates import similar_texts
from training.near_duplicates import grams, normalised
from training.split import MOST_VARIANTS, Side, hashed_side, split_of

TEXTS = similar_texts()


def _alike(one: str, other: str) -> bool:
    left, right = grams(normalised(one)), grams(normalised(other))
    return 5 * len(left & right) >= 4 * len(left | right)


@st.composite
def openings_and_kept(draw: st.DrawFn) -> tuple[dict[str, str], dict[str, str]]:
    openings = {f"c{number}": text for number, text in enumerate(draw(TEXTS))}
    return openings, draw(st.dictionaries(st.sampled_from(sorted(openings)), st.sampled_from([*map(str, Side)])))


@given(openings_and_kept())
def test_no_component_lies_on_two_sides(given_: tuple[dict[str, str], dict[str, str]]) -> None:
    openings, kept = given_
    split = split_of(openings, kept)
    assert split.side_of_conversation.keys() == split.component_of_conversation.keys() == openings.keys()
    for one, other in combinations(openings, 2):
        together = split.component_of_conversation[one] == split.component_of_conversation[other]
        if len({*map(normalised, openings.values())}) <= MOST_VARIANTS:  # more may be a template, which falls apart
            assert together or not _alike(openings[one], openings[other])
        assert not together or split.side_of_conversation[one] is split.side_of_conversation[other]


@given(openings_and_kept())
def test_what_was_trained_on_trains_else_what_was_examined_examines(
    given_: tuple[dict[str, str], dict[str, str]],
) -> None:
    openings, kept = given_
    split = split_of(openings, kept)
    for key in set(split.component_of_conversation.values()):
        conversations = [c for c in openings if split.component_of_conversation[c] == key]
        before = [kept[c] for c in conversations if c in kept]
        expected = next((side for side in ("train", "exam", "validation") if side in before), hashed_side(key))
        assert {split.side_of_conversation[c] for c in conversations} == {expected}
        assert key == min(normalised(openings[c]) for c in conversations)


@given(TEXTS, st.data())
def test_a_conversation_once_trained_on_is_never_examined_later(texts: list[str], data: st.DataObject) -> None:
    # Conversations come night by night; some are judged then or later; the sides of judged ones are kept.
    waiting = {f"c{number}": text for number, text in enumerate(texts)}
    openings: dict[str, str] = {}
    kept: dict[str, str] = {}
    judged: set[str] = set()
    trained: set[str] = set()
    while waiting:
        for conversation in sorted(waiting)[: data.draw(st.integers(1, 8))]:
            openings[conversation] = waiting.pop(conversation)
        judged |= data.draw(st.sets(st.sampled_from(sorted(openings))))
        split = split_of(openings, kept)
        kept |= split.changes(kept, judged)
        assert split.changes(kept, judged) == {}
        assert {c: kept[c] for c in judged} == {c: split.side_of_conversation[c] for c in judged}
        trained |= {c for c in judged if split.side_of_conversation[c] is Side.TRAIN}
        held_out = {c for c in openings if split.side_of_conversation[c] is not Side.TRAIN}
        assert not trained & held_out
        assert not any(_alike(openings[one], openings[other]) for one in trained for other in held_out)


@given(openings_and_kept(), st.randoms())
def test_the_order_of_the_conversations_does_not_matter(
    given_: tuple[dict[str, str], dict[str, str]], chance: Random
) -> None:
    openings, kept = given_
    names = list(openings)
    chance.shuffle(names)
    assert split_of({name: openings[name] for name in names}, kept) == split_of(openings, kept)


@given(st.lists(st.text("abcdefg hi", max_size=30), max_size=8))
def test_letter_case_and_white_space_do_not_matter(texts: list[str]) -> None:
    plain = {str(index): text for index, text in enumerate(texts)}
    loud = {name: f"\n {text.upper()} ".replace(" ", " \t") for name, text in plain.items()}
    assert split_of(loud, {}) == split_of(plain, {})


def test_sides_have_their_shares() -> None:
    # 5,000 different first questions: 60 / 10 / 30 % within four standard errors (at most 2.8 points).
    openings = {str(n): f"{n * 7919 % 100_003:05d}{n * 104_729 % 100_019:05d}" for n in range(5000)}
    split = split_of(openings, {})
    assert len(set(split.component_of_conversation.values())) == 5000
    sides = list(split.side_of_conversation.values())
    for side, share in ((Side.TRAIN, 0.6), (Side.VALIDATION, 0.1), (Side.EXAM, 0.3)):
        assert abs(sides.count(side) / 5000 - share) < 0.028


def test_exam_items_retire_when_they_turn_out_to_begin_like_trained_ones() -> None:
    # Windows of 22 characters have 18 grams; moved by 2 they share 16 of 20 (= .8), moved by 4 only 14 of 22.
    letters = "".join(chr(0x4E00 + index) for index in range(26))
    first, between, second = letters[:22], letters[2:24], letters[4:]
    kept = {"a": "train", "b": "exam"}
    apart = split_of({"a": first, "b": second}, kept)
    assert apart.side_of_conversation == {"a": Side.TRAIN, "b": Side.EXAM}
    grown = split_of({"a": first, "b": second, "new": between}, kept)
    assert set(grown.side_of_conversation.values()) == {Side.TRAIN}
    assert grown.changes(kept, ["a", "b"]) == {"b": Side.TRAIN}


def test_a_side_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="exams"):
        split_of({"a": "what?"}, {"a": "exams"})


def test_the_hashed_side_is_the_same_in_every_process_and_year() -> None:
    # Written down once: a change of the hash would let trained conversations into exams.
    texts = ("what is rain?", "hello", "tell me a story", "why?", "code")
    assert [hashed_side(text).value for text in texts] == ["train", "train", "train", "exam", "exam"]
