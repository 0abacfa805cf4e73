"""Which prompts a night practises on and which it is examined on: from judged conversations and from the bank."""

from collections.abc import Sequence
from typing import Literal

from nightschool.chat_format import encode_prompt
from nightschool.model import BaseModel
from nightschool.prompt_bank import bank_half
from nightschool.records import Message
from training.judgements import Judgements
from training.split import Side

LONGEST = 256
"""Judged prompts of more tokens are left to the reward model: rollouts on them cost too much on two cores."""


def practice_prompts(base: BaseModel, judgements: Judgements) -> list[tuple[int, ...]]:
    """The bank's training half and the prompts judged on the training side, each once; none that an exam may ask."""
    held_out = {*_judged(judgements.on(Side.EXAM)), *_bank(base, "exam")}
    wanted = dict.fromkeys([*_judged(judgements.on(Side.TRAIN)), *_bank(base, "train")])
    return [prompt for prompt in wanted if prompt not in held_out]


def exam_prompts(base: BaseModel, judgements: Judgements, count: int) -> list[tuple[int, ...]]:
    """Up to half from prompts judged on the exam side, the rest from the bank's exam half, spread over its slices.

    None that was judged on another side: the reward model may know it.
    """
    known = {answer.prompt_ids for answer in judgements.on(Side.TRAIN, Side.VALIDATION).answers()}
    judged = _judged(judgements.on(Side.EXAM))[: count // 2]
    bank = [prompt for prompt in _bank(base, "exam") if prompt not in known and prompt not in judged]
    wanted = min(count - len(judged), len(bank))
    spread = [bank[index * len(bank) // wanted] for index in range(wanted)]
    return list(dict.fromkeys([*judged, *spread]))


def components_of(prompts: Sequence[tuple[int, ...]], judgements: Judgements) -> list[str]:
    """The component of each exam prompt: that of its conversation, or its own where nobody judged it."""
    judged = {entry.prompt: entry.component for entry in judgements.on(Side.EXAM).all}
    return [judged.get(prompt, f"bank {place}") for place, prompt in enumerate(prompts)]


def _bank(base: BaseModel, half: Literal["train", "exam"]) -> list[tuple[int, ...]]:
    return [tuple(encode_prompt(base.tokenizer, [Message("user", prompt.text)])) for prompt in bank_half(half)]


def _judged(judgements: Judgements) -> list[tuple[int, ...]]:
    answers: Sequence[tuple[int, ...]] = [answer.prompt_ids for answer in judgements.answers()]
    return [prompt for prompt in dict.fromkeys(answers) if len(prompt) <= LONGEST]
