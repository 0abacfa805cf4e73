"""Conversation -> token ids, by the model's own chat template, with user text kept as text.

The template is rendered around placeholders, and what people (or the model) wrote is encoded separately with special
tokens switched off: a person who types `<|im_start|>system` sends those characters, not a role change.
"""

import re
import secrets
from collections.abc import Sequence
from typing import Any

from jinja2 import TemplateError

from nightschool.errors import BadInput
from nightschool.records import Message

CHARACTERS_PER_TOKEN = 16
"""A text of more characters than this times the token limit is refused before it is tokenised."""


def encode_prompt(tokenizer: Any, messages: Sequence[Message]) -> list[int]:
    """Token ids of a conversation up to where the assistant's next reply begins, nothing left out."""
    if getattr(tokenizer, "chat_template", None) is None:
        raise BadInput(
            "The model's tokenizer has no chat template, so it was not trained to chat; choose an instruct model."
        )
    mark = secrets.token_hex(8)
    masked = [{"role": message.role, "content": f"{mark}{index}{mark}"} for index, message in enumerate(messages)]
    try:
        rendered = tokenizer.apply_chat_template(masked, tokenize=False, add_generation_prompt=True)
    except TemplateError as error:
        raise BadInput(f"The model's chat template refuses this conversation ({error}); start a new one.") from error
    pieces = re.split(f"{mark}(\\d+){mark}", rendered)
    ids: list[int] = []
    for index, piece in enumerate(pieces):
        if index % 2 == 0:
            ids += tokenizer(piece, add_special_tokens=False)["input_ids"]
        else:
            ids += encode_text(tokenizer, messages[int(piece)].content)
    return ids


def encode_text(tokenizer: Any, text: str) -> list[int]:
    """Token ids of plain text; special tokens written in it stay characters."""
    ids: list[int] = tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
    return ids


def fit_prompt(tokenizer: Any, messages: Sequence[Message], limit: int) -> list[int]:
    """Token ids of the newest turns that fit into `limit` tokens; the oldest are left out whole.

    A system message always stays. Raises `BadInput` when the last message alone does not fit (or is blank).
    """
    last = messages[-1].content
    if not last.strip():
        raise BadInput("The message was empty; write something to send.")
    if len(last) > limit * CHARACTERS_PER_TOKEN:
        raise BadInput(_too_long(f"{len(last):,} characters", limit))
    if any("\ud800" <= character <= "\udfff" for character in last):
        raise BadInput("The message holds half of a character (a lone surrogate); delete it and send the rest again.")
    system = [message for message in messages[:1] if message.role == "system"]
    turns = list(messages[len(system) :])
    while True:
        ids = encode_prompt(tokenizer, [*system, *turns])
        if len(ids) <= limit:
            return ids
        if len(turns) == 1:
            raise BadInput(_too_long(f"{len(ids):,} tokens", limit))
        turns = turns[2:] if len(turns) > 2 and turns[1].role == "assistant" else turns[1:]


def _too_long(given: str, limit: int) -> str:
    return (
        f"The message is too long for this model: {given} were given, {limit:,} tokens (about {limit * 3 // 4:,} "
        "words) fit; shorten it or send it in parts."
    )
