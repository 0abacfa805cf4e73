"""Directions in a model's states that people commonly judge by: known before anybody has judged anything.

Where texts of one manner (friendly, short, plain, ...) lie in the states of a language model, seen from texts of the
opposite manner, is found with a handful of pairs (the difference of means of Marks and Tegmark 2023,
https://arxiv.org/abs/2310.06824; directions of sentiment: Tigges et al. 2023, https://arxiv.org/abs/2310.15154). A fit
to a few hundred judgements goes more easily along such directions (`training.design_matrix`); whether it does, and
which way, is for the judgements to say. How much that helps is in docs/log.md, 2026-11-30.
"""

import torch
from torch import Tensor

from nightschool.chat_format import encode_prompt, encode_text
from nightschool.model import BaseModel
from nightschool.records import Message
from training.axis_texts import AXES
from training.judgements import Answer
from training.reading import POOL_TOKENS, read_texts
from training.trunk import SplitModel

ASKED = "What do you think?"
"""What all of these texts are taken to answer."""


def axes_of(split: SplitModel) -> Tensor:
    """A direction for each of `AXES`, then that of a token more (length). -> [axes, 2 size], float64.

    In the unit of the features that `read_texts` pools, a token each.
    """
    pairs = [pair for pairs in AXES.values() for pair in pairs]
    answers = [_answer(split.base, text) for pair in pairs for text in pair]
    lengths = torch.tensor([len(answer.token_ids) for answer in answers], dtype=torch.float64)
    per_token = read_texts(split, answers).matrix().double() * POOL_TOKENS / lengths[:, None]
    differences = per_token[0::2] - per_token[1::2]
    parts = differences.split([len(pairs) for pairs in AXES.values()])
    return torch.stack([*(part.mean(0) for part in parts), per_token.mean(0)])


def _answer(base: BaseModel, text: str) -> Answer:
    prompt = encode_prompt(base.tokenizer, [Message("user", ASKED)])
    return Answer(tuple(prompt), (*encode_text(base.tokenizer, text), base.tokenizer.eos_token_id))
