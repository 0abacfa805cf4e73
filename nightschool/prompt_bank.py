"""Prompts written for NightSchool, in English and Chinese: half to train on, half kept for exams, in four slices.

Fresh installs have too few conversations to practise and examine on; the bank fills the gap. Its halves are fixed in
the file, so no prompt ever changes sides. Nights use the English ones, which the embedded model can read; the Rank page
asks in its visitor's language, and what is judged there is practised like any other question of a person.
"""

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Literal

PromptLanguage = Literal["en", "zh"]


@dataclass(frozen=True)
class BankPrompt:
    id: str
    language: PromptLanguage
    slice: Literal["everyday", "story", "information", "code"]
    half: Literal["train", "exam"]
    text: str


def prompt_bank(language: PromptLanguage = "en") -> tuple[BankPrompt, ...]:
    """All prompts in one language, in the order of the file."""
    return tuple(prompt for prompt in _all_prompts() if prompt.language == language)


def bank_half(half: Literal["train", "exam"], language: PromptLanguage = "en") -> tuple[BankPrompt, ...]:
    """The prompts of one half."""
    return tuple(prompt for prompt in prompt_bank(language) if prompt.half == half)


@cache
def _all_prompts() -> tuple[BankPrompt, ...]:
    text = resources.files("nightschool").joinpath("prompt_bank.jsonl").read_text(encoding="utf-8")
    return tuple(BankPrompt(**json.loads(line)) for line in text.split("\n") if line)
