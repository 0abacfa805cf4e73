"""The fast join finds exactly the clusters that comparing every text with every other one finds."""

import time
from fractions import Fraction
from itertools import combinations
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.near_duplicates import clusters, grams, normalised


def _jaccard(one: str, other: str) -> Fraction:
    """By the definition, on normalised texts."""
    left, right = grams(normalised(one)), grams(normalised(other))
    return Fraction(len(left & right), len(left | right))


def clusters_by_definition(texts: list[str]) -> list[int]:
    """Every text against every other one; numbers by first appearance."""
    label = list(range(len(texts)))
    for one, other in combinations(range(len(texts)), 2):
        if label[one] != label[other] and _jaccard(texts[one], texts[other]) >= Fraction(4, 5):
            label = [label[one] if entry == label[other] else entry for entry in label]
    number_of: dict[int, int] = {}
    return [number_of.setdefault(entry, len(number_of)) for entry in label]


@st.composite
def similar_texts(draw: st.DrawFn) -> list[str]:
    """A few texts, and copies of them in which some places were overwritten, cut out or written into."""
    alphabet = draw(st.sampled_from(["ab", "abc ", "abcdefghijklmnopqrstuvwxyz", "Aaß İ\t"]))
    texts = draw(st.lists(st.text(alphabet, max_size=60), min_size=1, max_size=4))
    for _ in range(draw(st.integers(0, 20))):
        text = draw(st.sampled_from(texts))
        place = draw(st.integers(0, len(text)))
        texts.append(text[:place] + draw(st.text(alphabet, max_size=3)) + text[place + draw(st.integers(0, 3)) :])
    return draw(st.permutations(texts))


@given(similar_texts())
def test_clusters_are_those_of_the_definition(texts: list[str]) -> None:
    assert clusters(texts) == clusters_by_definition(texts)


@given(st.lists(st.text(max_size=12), max_size=12))
def test_clusters_of_any_texts_are_those_of_the_definition(texts: list[str]) -> None:
    assert clusters(texts) == clusters_by_definition(texts)


@pytest.mark.parametrize("apart", [1, 2, 3])
def test_four_fifths_are_enough_and_less_is_not(apart: int) -> None:
    # Two windows of 22 characters over different letters have 18 grams each; moved by k they share 18 - k:
    # (18 - k) / (18 + k) is 17/19 = .89, then 16/20 = .80 exactly, then 15/21 = .71.
    letters = "".join(chr(0x4E00 + index) for index in range(40))
    one, other = letters[:22], letters[apart : apart + 22]
    assert _jaccard(one, other) == Fraction(18 - apart, 18 + apart)
    assert clusters([one, other]) == ([0, 0] if apart <= 2 else [0, 1])


def test_a_chain_of_near_duplicates_is_one_cluster_though_its_ends_are_not_alike() -> None:
    letters = "".join(chr(0x4E00 + index) for index in range(60))
    chain = [letters[start : start + 22] for start in range(0, 20, 2)]
    assert _jaccard(chain[0], chain[-1]) == 0
    assert clusters(chain) == [0] * 10
    assert clusters(chain[:4] + chain[5:]) == [0] * 4 + [1] * 5


def test_letter_case_white_space_and_forms_of_a_character_do_not_matter() -> None:
    assert clusters(["What is  RAIN?\n", "why", "what is rain?", "Ｗｈａｔ is rain?", "WHY "]) == [0, 1, 0, 0, 1]


def test_short_texts_are_alike_only_when_equal() -> None:
    assert clusters(["hi", "", "ho", "hi", "hi!", " "]) == [0, 1, 2, 0, 3, 1]


def test_nothing_has_no_clusters() -> None:
    assert clusters([]) == []


def _family(count: int) -> list[str]:
    """Texts that share two thirds of their letters, and with each other's rest common words only; none like another."""
    draw = Random(0)
    words = ["".join(draw.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(draw.randint(3, 9))) for _ in range(120)]
    beginning = " ".join(words[40:])
    return [f"{beginning} {' '.join(draw.choice(words[:40]) for _ in range(30))}" for _ in range(count)]


def test_where_work_is_short_a_text_still_finds_its_twin_among_hundreds_that_share_its_beginning() -> None:
    # All 80,000 pairs of 400 texts of 700 grams are 56,000,000 grams; with a tenth of it the twins are still found.
    family = _family(400)
    twins = [f"{text[:-1]}!" for text in family[::20]]
    found = clusters(family + twins, work=5_000_000)
    assert len(set(found)) == 400
    assert found[400:] == found[:400:20]


def test_the_work_bounds_how_long_texts_that_share_a_beginning_are_compared() -> None:
    # Without a bound all pairs of 1,500 would be compared: 15 seconds; a twentieth of the grams of all takes 1 or 2.
    started = time.process_time()
    assert len(set(clusters(_family(1500), work=40_000_000))) > 1400
    assert time.process_time() - started < 10


def test_thousands_of_texts_with_one_long_beginning_are_joined_in_seconds() -> None:
    # 200,000,000 pairs, nearly all near-duplicates: compared one by one (3 us each), they would take 10 minutes.
    beginning = "Here is a long beginning that every one of these questions shares word for word: tell me about number "
    assert set(clusters([f"{beginning}{number}." for number in range(20_000)])) == {0}
