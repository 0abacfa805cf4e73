"""Judgements of a simulated person who likes words of one kind, stored as decided duels of real replies."""

from pathlib import Path

import torch

from nightschool.chat_format import encode_prompt
from nightschool.feedback import FeedbackStore
from nightschool.model import BaseModel
from nightschool.prompt_bank import prompt_bank
from nightschool.records import DuelOutcome, Message, Preference
from nightschool.sampling import sample_batch
from nightschool.schema import FeedbackDatabase
from tests.tiny import KIND

REPLY_TOKENS = 24


def liking(token_ids: list[int]) -> float:
    """The taste: the share of words of the tiny model's one kind."""
    return sum(token in KIND for token in token_ids) / len(token_ids)


def preferences_by_taste(base: BaseModel, wanted: int, seed: int = 0) -> list[Preference]:
    """Pairs of the base's own replies to prompts of the bank, the better one chosen, sides alternating.

    At most 256 of them; replies that are equally good make no pair.
    """
    prompts = [Message("user", prompt.text) for prompt in prompt_bank()]
    encoded = [encode_prompt(base.tokenizer, [prompt]) for prompt in prompts]
    replies = sample_batch(
        base.model,
        [prompt for prompt in encoded for _ in range(2)],
        temperature=0.7,
        max_new_tokens=REPLY_TOKENS,
        stop_ids=base.stop_ids,
        pad_id=base.pad_id,
        generator=torch.Generator().manual_seed(seed),
    )
    preferences: list[Preference] = []
    for index, pair in enumerate(zip(replies[::2], replies[1::2], strict=True)):
        worse, better = sorted(pair, key=liking)
        if liking(worse) == liking(better) or len(preferences) == wanted:
            continue
        sides = [(base.tokenizer.decode(reply), tuple(reply)) for reply in (better, worse)]
        better_is_left = len(preferences) % 2 == 0
        preferences.append(
            Preference(
                key=f"taste {seed} {index}",
                prompt=(prompts[index],),
                prompt_ids=tuple(encoded[index]),
                left=sides[0 if better_is_left else 1],
                right=sides[1 if better_is_left else 0],
                outcome=DuelOutcome.LEFT if better_is_left else DuelOutcome.RIGHT,
            )
        )
    return preferences


def seed_taste(path: Path, base: BaseModel, wanted: int, seed: int = 0) -> None:
    """Store them in a database, made if need be."""
    database = FeedbackDatabase(path)
    FeedbackStore(database).import_preferences("simulated", preferences_by_taste(base, wanted, seed))
    database.close()
