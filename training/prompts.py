"""Which prompts a night practises on and which it is examined on: from judged conversations and from the bank.

Exams rotate. Ten prompts of the bank are asked in every exam, so that their replies can be compared over the nights;
the others stand in rings, one of the judged prompts and one of the bank's exam half and the reserve, and each exam asks
the next stretch of either ring. So each prompt rests as often as any other, and no version is chosen for long by the
same questions. Which stretch it is follows from the number of exams before; nothing about who asked what is kept.
"""

import hashlib
from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import Literal

from nightschool.chat_format import encode_prompt
from nightschool.model import BaseModel
from nightschool.prompt_bank import bank_half
from nightschool.records import Message
from training.judgements import Judgements
from training.split import Side

LONGEST = 256
"""Judged prompts of more tokens are left to the reward model: rollouts on them cost too much on two cores."""
FIXED = 10
"""Prompts that every exam asks, last; the report shows their replies."""

Prompt = tuple[int, ...]


def practice_prompts(base: BaseModel, judgements: Judgements) -> list[Prompt]:
    """The bank's training half and the prompts judged on the training side, each once.

    None that an exam may ask, nor any whose labels the examiner may know.
    """
    held_out = {*_judged(judgements.on(Side.VALIDATION, Side.EXAM)), *_bank(base, "exam"), *_reserve(base)}
    wanted = dict.fromkeys([*_judged(judgements.on(Side.TRAIN)), *_bank(base, "train")])
    return [prompt for prompt in wanted if prompt not in held_out]


def exam_prompts(base: BaseModel, judgements: Judgements, count: int, turn: int = 0) -> list[Prompt]:
    """Up to half from prompts judged on the exam side, the rest of the bank; more judged ones where the bank is short.

    `turn`: how many exams there were before. None that was judged on another side: the reward model or the examiner may
    know it.
    """
    known = {answer.prompt_ids for answer in judgements.on(Side.TRAIN, Side.VALIDATION).answers()}
    fixed = _fixed([prompt for prompt in spread(_bank(base, "exam")) if prompt not in known])
    judged = [prompt for prompt in _judged(judgements.on(Side.EXAM)) if prompt not in {*known, *fixed}]
    elsewhere = {*known, *fixed, *judged}
    bank = [prompt for prompt in [*_bank(base, "exam"), *_reserve(base)] if prompt not in elsewhere]
    from_judged = min(len(judged), max(count // 2, count - len(fixed) - len(bank)))
    from_bank = count - len(fixed) - from_judged
    return [*stretch(judged, from_judged, turn), *stretch(bank, from_bank, turn), *fixed]


def stretch(ring: Sequence[Prompt], count: int, turn: int) -> list[Prompt]:
    """The stretch of a ring that is asked at this turn: after so many turns as the ring has prompts, all equally often.

    The ring's order is that of the prompts' hashes, so a new one comes somewhere and moves the others by one place.
    """
    ordered = sorted(ring, key=_hash)
    start = turn * count
    return [ordered[(start + place) % len(ordered)] for place in range(min(count, len(ordered)))]


def spread(prompts: Sequence[Prompt]) -> list[Prompt]:
    """The same prompts in an order whose first ten are spread evenly over all, and the next ones beside them."""
    step = -(-len(prompts) // FIXED)
    return [prompts[place] for place in sorted(range(len(prompts)), key=lambda place: (place % step, place))]


def exam_half(base: BaseModel) -> list[Prompt]:
    """The bank's prompts for exams, in the order of the file, whatever was judged of them."""
    return _bank(base, "exam")


def components_of(prompts: Sequence[Prompt], judgements: Judgements) -> list[str]:
    """The component of each exam prompt: that of its conversation, or its own where nobody judged it."""
    judged = {entry.prompt: entry.component for entry in judgements.on(Side.EXAM).all}
    return [judged.get(prompt, f"bank {place}") for place, prompt in enumerate(prompts)]


def _fixed(prompts: Sequence[Prompt]) -> list[Prompt]:
    """In the order of their hashes, so that it does not matter which of them was asked for another one's place."""
    return sorted(prompts[:FIXED], key=_hash)


def _hash(prompt: Prompt) -> bytes:
    return hashlib.blake2b(repr(prompt).encode(), digest_size=8).digest()


def _bank(base: BaseModel, half: Literal["train", "exam"]) -> list[Prompt]:
    return [_encoded(base, prompt.text) for prompt in bank_half(half)]


def _reserve(base: BaseModel) -> list[Prompt]:
    return [_encoded(base, text) for text in exam_reserve()]


@cache
def exam_reserve() -> tuple[str, ...]:
    """Prompts written for exams only, beside the bank's: with them an exam of 128 has something to rotate."""
    text = resources.files("training").joinpath("exam_reserve.txt").read_text(encoding="utf-8")
    return tuple(line for line in text.split("\n") if line)


def _encoded(base: BaseModel, text: str) -> Prompt:
    return tuple(encode_prompt(base.tokenizer, [Message("user", text)]))


def _judged(judgements: Judgements) -> list[Prompt]:
    answers: Sequence[Prompt] = [answer.prompt_ids for answer in judgements.answers()]
    return [prompt for prompt in dict.fromkeys(answers) if len(prompt) <= LONGEST]
