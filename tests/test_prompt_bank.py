"""The prompts that fill the gap on fresh installs: enough of them, balanced, and never the same on both sides."""

import re
from collections import Counter
from typing import get_args

import pytest

from nightschool.prompt_bank import BankPrompt, PromptLanguage, bank_half, fixed_prompts, prompt_bank

LANGUAGES: tuple[PromptLanguage, ...] = get_args(PromptLanguage)
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


def everything() -> tuple[BankPrompt, ...]:
    return tuple(prompt for language in LANGUAGES for prompt in prompt_bank(language))


def test_there_are_at_least_256_prompts_each_with_an_id_and_a_text_of_its_own() -> None:
    bank = everything()
    assert len(bank) >= 256
    assert len({prompt.id for prompt in bank}) == len(bank)
    assert len({" ".join(prompt.text.lower().split()) for prompt in bank}) == len(bank)
    assert all(prompt.text == prompt.text.strip() != "" for prompt in bank)


def test_every_prompt_is_of_a_known_slice_and_half_and_its_id_says_where_it_belongs() -> None:
    for prompt in everything():
        assert prompt.slice in SLICES
        assert prompt.half in {"train", "exam"}
        assert prompt.id.startswith(f"{prompt.language}-{prompt.slice}-")


def test_a_prompt_is_written_in_its_language() -> None:
    chinese = re.compile("[\u4e00-\u9fff]")
    assert not any(chinese.search(prompt.text) for prompt in prompt_bank("en"))
    assert all(len(chinese.findall(prompt.text)) >= 5 for prompt in prompt_bank("zh"))


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_slice_has_as_many_prompts_to_train_on_as_for_exams(language: PromptLanguage) -> None:
    train, exam = (Counter(prompt.slice for prompt in bank_half(half, language)) for half in ("train", "exam"))
    assert train == exam
    assert set(train) == SLICES
    assert min(train.values()) >= 16


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_halves_are_disjoint_and_together_the_bank(language: PromptLanguage) -> None:
    train, exam = set(bank_half("train", language)), set(bank_half("exam", language))
    assert not train & exam
    assert train | exam == set(prompt_bank(language))


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_prompt_of_one_half_is_nearly_a_prompt_of_the_other(language: PromptLanguage) -> None:
    pairs: list[tuple[float, BankPrompt, BankPrompt]] = [
        (likeness(one.text, other.text), one, other)
        for one in bank_half("train", language)
        for other in bank_half("exam", language)
    ]
    closest, one, other = max(pairs, key=lambda pair: pair[0])
    assert closest < LIKENESS, (one.text, other.text)


def test_ten_fixed_prompts_of_both_languages_and_all_slices_stand_in_every_report() -> None:
    fixed = fixed_prompts()
    assert len({prompt.id for prompt in fixed}) == 10
    assert {prompt.half for prompt in fixed} == {"exam"}
    assert {(prompt.language, prompt.slice) for prompt in fixed} == {
        (language, slice_) for language in LANGUAGES for slice_ in SLICES
    }
    assert fixed == fixed_prompts()
