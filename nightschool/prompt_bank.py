"""Prompts written for NightSchool: half to train on, half kept for exams, in four slices.

Fresh installs have too few conversations to practise and examine on; the bank fills the gap. Its halves are fixed in
the file, so no prompt ever changes sides.
"""

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Literal


@dataclass(frozen=True)
class BankPrompt:
    id: str
    language: str
    slice: Literal["everyday", "story", "information", "code"]
    half: Literal["train", "exam"]
    text: str


@cache
def prompt_bank() -> tuple[BankPrompt, ...]:
    """All prompts, in the order of the file."""
    text = resources.files("nightschool").joinpath("prompt_bank.jsonl").read_text(encoding="utf-8")
    return tuple(BankPrompt(**json.loads(line)) for line in text.split("\n") if line)


def bank_half(half: Literal["train", "exam"]) -> tuple[BankPrompt, ...]:
    """The prompts of one half."""
    return tuple(prompt for prompt in prompt_bank() if prompt.half == half)
