"""How much worse a policy reads plain texts than the initial model: what it unlearned while it learned to please.

The texts were written for this purpose, in the two languages of the screens; they are about nothing in particular, and
no night trains on them.
"""

import math
from functools import cache
from importlib import resources

import torch

from nightschool.chat_format import encode_text
from training.judgements import Answer
from training.policy import Policy, reference_logps
from training.reading import answer_sequences, groups_of_one_width


@cache
def neutral_texts() -> tuple[str, ...]:
    """The texts, one paragraph each."""
    text = resources.files("training").joinpath("neutral_texts.txt").read_text(encoding="utf-8")
    return tuple(line for line in text.split("\n") if line)


@torch.no_grad()
def perplexity_ratio(policy: Policy) -> float:
    """Perplexity of the policy on the neutral texts over that of the initial model: 1 for an untouched policy.

    Plain texts, no conversation around them, at temperature 1; the first token of each is given.
    """
    split, lost, tokens = policy.split, 0.0, 0
    encoded = [encode_text(split.base.tokenizer, text) for text in neutral_texts()]
    answers = [Answer(tuple(ids[:1]), tuple(ids[1:])) for ids in encoded]
    for group in groups_of_one_width(answers):
        sequences = answer_sequences([answers[index] for index in group], split.base.pad_id)
        trunk = split.trunk(sequences.ids)
        base_states = split.top_at_replies(split.eager_reference, trunk, sequences)
        initial = reference_logps(split, base_states, sequences, 1.0)
        lost += float((initial - policy.logps(trunk, sequences, 1.0))[sequences.is_response].double().sum())
        tokens += int(sequences.response_lengths.sum())
    return math.exp(min(lost / tokens, 700.0))
