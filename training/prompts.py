"""Which prompts a night practises on and which it is examined on: from judged conversations and from the bank."""

from collections.abc import Sequence

from nightschool.chat_format import encode_prompt
from nightschool.model import BaseModel
from nightschool.prompt_bank import bank_half
from nightschool.records import Message
from training.judgements import Judgements

LONGEST = 256
"""Judged prompts of more tokens are left to the reward model: rollouts on them cost too much on two cores."""


def practice_prompts(base: BaseModel, train: Judgements) -> list[tuple[int, ...]]:
    """The bank's training half and the prompts judged on the training side, each once."""
    bank = [tuple(encode_prompt(base.tokenizer, [Message("user", prompt.text)])) for prompt in bank_half("train")]
    return list(dict.fromkeys([*_judged(train), *bank]))


def exam_prompts(base: BaseModel, exam: Judgements, count: int) -> list[tuple[int, ...]]:
    """Up to half from prompts judged on the exam side, the rest from the bank's exam half, spread over its slices."""
    judged = _judged(exam)[: count // 2]
    bank = bank_half("exam")
    wanted = min(count - len(judged), len(bank))
    spread = [bank[index * len(bank) // wanted] for index in range(wanted)] if wanted else []
    encoded = [tuple(encode_prompt(base.tokenizer, [Message("user", prompt.text)])) for prompt in spread]
    return list(dict.fromkeys([*judged, *encoded]))


def _judged(judgements: Judgements) -> list[tuple[int, ...]]:
    answers: Sequence[tuple[int, ...]] = [answer.prompt_ids for answer in judgements.answers()]
    return [prompt for prompt in dict.fromkeys(answers) if len(prompt) <= LONGEST]
