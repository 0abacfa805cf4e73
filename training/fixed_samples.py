"""What a report shows of replies: ten fixed prompts before and after the night, and where the candidate lost most.

The ten are the same each night, answered with the same seed: reports of different nights can be laid side by side.
"""

from collections.abc import Sequence

import torch

from nightschool.chat_format import encode_prompt
from nightschool.model import BaseModel
from nightschool.prompt_bank import fixed_prompts
from nightschool.records import Message
from training.exam import ExamResult, question_of
from training.judgements import Answer
from training.policy import Policy
from training.rollout import Drawing, draw

SEED = 0
LONGEST_PROMPT = 400
"""Letters of a prompt that a report shows: the end, which is what the replies answer."""

Sample = dict[str, str | float]


def fixed_samples(policy: Policy, champion: object, drawing: Drawing) -> list[Sample]:
    """The fixed prompts with the replies of the champion before the night and of the candidate after it."""
    base, prompts = policy.split.base, fixed_prompts()
    wanted = [tuple(encode_prompt(base.tokenizer, [Message("user", prompt.text)])) for prompt in prompts]
    sides = [
        draw(policy.split, model, wanted, drawing, torch.Generator().manual_seed(SEED))
        for model in (champion, policy.twin())
    ]
    return [
        {"id": prompt.id, "prompt": prompt.text, "before": _text(base, old), "after": _text(base, new)}
        for prompt, old, new in zip(prompts, *sides, strict=True)
    ]


def worst_samples(exam: ExamResult, base: BaseModel, before: Sequence[Answer], after: Sequence[Answer]) -> list[Sample]:
    """The exam prompts where the candidate lost most, the worst first, with the examiner's margins."""
    return [
        {
            "prompt": _asked(base, before[place].prompt_ids),
            "before": _text(base, before[place]),
            "after": _text(base, after[place]),
            "margin": round(margin, 3),
        }
        for place, margin in zip(exam.worst, exam.worst_margins, strict=True)
    ]


def _asked(base: BaseModel, prompt_ids: Sequence[int]) -> str:
    """The last question of a prompt."""
    return question_of(base, prompt_ids).strip().removeprefix("user").strip()[-LONGEST_PROMPT:]


def _text(base: BaseModel, answer: Answer) -> str:
    return str(base.tokenizer.decode(answer.token_ids, skip_special_tokens=True))
