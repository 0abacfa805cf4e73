"""Preference files in TRL's conversational form: one JSON object a line with `prompt`, `chosen`, `rejected`.

Each of the three is a list of messages (`role`, `content`); `chosen` and `rejected` hold the assistant's reply. A file
is taken whole or refused whole, with the number of the first bad line. The same file twice adds nothing.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nightschool.chat_format import encode_prompt, encode_text
from nightschool.errors import BadInput
from nightschool.model import BaseModel
from nightschool.records import DuelOutcome, Message, Preference

ROLES = ("system", "user", "assistant")


def read_preferences(path: Path, base: BaseModel, prompt_tokens: int) -> list[Preference]:
    """Parse and encode a file. Raises `BadInput` naming the line and what is wrong with it."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"The file {path} could not be read ({error}); give a UTF-8 file of JSON lines.") from error
    preferences: list[Preference] = []
    seen: Counter[str] = Counter()
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            prompt, chosen, rejected = _parse(line)
            preferences.append(_preference(prompt, chosen, rejected, seen, base, prompt_tokens))
        except (BadInput, ValueError, RecursionError) as error:
            raise BadInput(
                f"Line {number} of {path} cannot be used ({error}); each line is an object with prompt, chosen and "
                "rejected, each a list of messages. Nothing was imported."
            ) from error
    if not preferences:
        raise BadInput(f"The file {path} holds no preferences; each line is one JSON object. Nothing was imported.")
    return preferences


def _parse(line: str) -> tuple[list[Message], str, str]:
    record = json.loads(line)
    if not isinstance(record, dict):
        raise ValueError("it is not an object")
    prompt = _messages(record, "prompt")
    if prompt[-1].role != "user":
        raise ValueError("the last message of prompt is not from the user")
    replies = []
    for name in ("chosen", "rejected"):
        messages = _messages(record, name)
        if len(messages) != 1 or messages[0].role != "assistant":
            raise ValueError(f"{name} is not one message from the assistant")
        replies.append(messages[0].content)
    return prompt, replies[0], replies[1]


def _messages(record: dict[str, Any], name: str) -> list[Message]:
    found = record.get(name)
    if not isinstance(found, list) or not found:
        raise ValueError(f"{name} is missing or not a list of messages")
    messages = []
    for message in found:
        if not isinstance(message, dict) or message.get("role") not in ROLES:
            raise ValueError(f"a message of {name} has no role among {', '.join(ROLES)}")
        content = message.get("content")
        if not isinstance(content, str) or not content.strip():
            raise ValueError(f"a message of {name} has no text")
        messages.append(Message(message["role"], _storable(content)))
    return messages


def _storable(text: str) -> str:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError("a text holds half a character (a lone surrogate)") from error
    if "\0" in text:
        raise ValueError("a text holds a NUL character")
    return text


def _preference(
    prompt: Sequence[Message], chosen: str, rejected: str, seen: Counter[str], base: BaseModel, prompt_tokens: int
) -> Preference:
    canonical = json.dumps([[message.role, message.content] for message in prompt] + [chosen, rejected])
    seen[canonical] += 1  # the same line twice in one file is two people's opinion
    key = hashlib.sha256(f"{canonical}#{seen[canonical]}".encode()).hexdigest()
    sides = [(text, (*encode_text(base.tokenizer, text), base.tokenizer.eos_token_id)) for text in (chosen, rejected)]
    chosen_is_left = int(key[:2], 16) % 2 == 0  # sides must not tell the outcome
    left, right = sides if chosen_is_left else sides[::-1]
    return Preference(
        key=key,
        prompt=tuple(prompt),
        prompt_ids=tuple(encode_prompt(base.tokenizer, prompt)[-prompt_tokens:]),  # the end is what is answered
        left=left,
        right=right,
        outcome=DuelOutcome.LEFT if chosen_is_left else DuelOutcome.RIGHT,
    )
