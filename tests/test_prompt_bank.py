"""The prompts that fill the gap on fresh installs: enough of them, balanced, and never the same on both sides."""

from collections import Counter

import pytest

from nightschool.prompt_bank import BankPrompt, bank_half, prompt_bank

SLICES = {"everyday", "story", "information", "code"}
LIKENESS = 0.4


def grams(text: str) -> set[str]:
    """Runs of five characters of the text in lower case, all white space as one blank."""
    plain = " ".join(text.lower().split())
    return {plain[start : start + 5] for start in range(max(1, len(plain) - 4))}


def likeness(one: str, other: str) -> float:
    """Jaccard index: shared runs of five characters as a share of all of them."""
    left, right = grams(one), grams(other)
    return len(left & right) / len(left | right)


def test_the_likeness_of_two_texts_is_the_share_of_runs_they_share() -> None:
    # "abcdef" has abcde, bcdef; "bcdefg" has bcdef, cdefg: 1 shared of 3
    assert likeness("abcdef", "BCDEFG") == pytest.approx(1 / 3)


def test_there_are_at_least_128_prompts_each_with_an_id_and_a_text_of_its_own() -> None:
    bank = prompt_bank()
    assert len(bank) >= 128
    assert len({prompt.id for prompt in bank}) == len(bank)
    assert len({" ".join(prompt.text.lower().split()) for prompt in bank}) == len(bank)
    assert all(prompt.text == prompt.text.strip() != "" for prompt in bank)


def test_every_prompt_is_of_a_known_slice_and_half_and_in_english() -> None:
    assert {prompt.slice for prompt in prompt_bank()} == SLICES
    assert {prompt.half for prompt in prompt_bank()} == {"train", "exam"}
    assert {prompt.language for prompt in prompt_bank()} == {"en"}


def test_each_slice_has_as_many_prompts_to_train_on_as_for_exams() -> None:
    train, exam = (Counter(prompt.slice for prompt in bank_half(half)) for half in ("train", "exam"))
    assert train == exam
    assert set(train) == SLICES
    assert min(train.values()) >= 16  # 128 prompts / 4 slices / 2 halves


def test_the_halves_are_disjoint_and_together_the_bank() -> None:
    train, exam = set(bank_half("train")), set(bank_half("exam"))
    assert not train & exam
    assert train | exam == set(prompt_bank())


def test_no_prompt_of_one_half_is_nearly_a_prompt_of_the_other() -> None:
    pairs: list[tuple[float, BankPrompt, BankPrompt]] = [
        (likeness(one.text, other.text), one, other) for one in bank_half("train") for other in bank_half("exam")
    ]
    closest, one, other = max(pairs, key=lambda pair: pair[0])
    assert closest < LIKENESS, (one.text, other.text)
