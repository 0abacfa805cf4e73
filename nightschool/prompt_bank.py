"""Prompts written for NightSchool, in English and Chinese: half to train on, half kept for exams, in four slices.

Fresh installs have too few conversations to practise and examine on; the bank fills the gap. Its halves are fixed in
the file, so no prompt ever changes sides. Nights use the English ones, which the embedded model can read, and ten fixed
ones of both languages for their report; the Rank page asks in its visitor's language, and what is judged there is
practised like any other question of a person.
"""

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Literal, get_args

PromptLanguage = Literal["en", "zh"]
Slice = Literal["everyday", "story", "information", "code"]


@dataclass(frozen=True)
class BankPrompt:
    id: str
    language: PromptLanguage
    slice: Slice
    half: Literal["train", "exam"]
    text: str


def prompt_bank(language: PromptLanguage = "en") -> tuple[BankPrompt, ...]:
    """All prompts in one language, in the order of the file."""
    return tuple(prompt for prompt in _all_prompts() if prompt.language == language)


def bank_half(half: Literal["train", "exam"], language: PromptLanguage = "en") -> tuple[BankPrompt, ...]:
    """The prompts of one half."""
    return tuple(prompt for prompt in prompt_bank(language) if prompt.half == half)


def fixed_prompts() -> tuple[BankPrompt, ...]:
    """The ten of the exam half that every night answers for its report, six in English and four in Chinese."""
    first = [_of_exam(language, slice_)[0] for slice_ in get_args(Slice) for language in get_args(PromptLanguage)]
    return (*first, _of_exam("en", "everyday")[1], _of_exam("en", "story")[1])


def _of_exam(language: PromptLanguage, slice_: Slice) -> list[BankPrompt]:
    return [prompt for prompt in bank_half("exam", language) if prompt.slice == slice_]


@cache
def _all_prompts() -> tuple[BankPrompt, ...]:
    text = resources.files("nightschool").joinpath("prompt_bank.jsonl").read_text(encoding="utf-8")
    return tuple(BankPrompt(**json.loads(line)) for line in text.split("\n") if line)
