"""Rows of the feedback tables as records, and the inserts that chat and import share. Part of the feedback store."""

import functools
import json
from collections.abc import Mapping
from typing import Any

import sqlite_utils

from nightschool.ids import utc_now
from nightschool.records import (
    Conversation,
    Duel,
    DuelOutcome,
    Message,
    Reply,
    ReplyStatus,
    Style,
    ThumbValue,
    Turn,
)

TITLE_LENGTH = 60

SELECT_REPLIES = """SELECT r.id, r.version, m.text, r.status, r.prompt_ids, r.token_ids, m.created_at
    FROM replies r JOIN messages m ON m.id = r.id"""
"""The columns that `reply_of` takes; a WHERE on `r.id` follows."""


_NUMBERS = tuple(range(1 << 16))


@functools.lru_cache(maxsize=1024)
def token_ids_of(text: str) -> tuple[int, ...]:
    """Token ids from their JSON. Numbers are shared, and so are recent equal lists: a night reads millions of ids."""
    return tuple(_NUMBERS[number] if 0 <= number < len(_NUMBERS) else number for number in json.loads(text))


def reply_of(row: Mapping[str, Any]) -> Reply:
    return Reply(
        id=row["id"],
        version=row["version"],
        text=row["text"],
        status=ReplyStatus(row["status"]),
        prompt_ids=token_ids_of(row["prompt_ids"]),
        token_ids=token_ids_of(row["token_ids"]),
        created_at=row["created_at"],
    )


def duel_of(row: Mapping[str, Any], replies: Mapping[str, Reply]) -> Duel:
    return Duel(
        id=row["id"],
        conversation_id=row["conversation_id"],
        question_id=row["question_id"],
        person_id=row["person_id"],
        left=replies[row["left_reply"]],
        right=replies[row["right_reply"]],
        outcome=DuelOutcome(row["outcome"]) if row["outcome"] else None,
        decided_at=row["decided_at"],
    )


def turn_of(row: Mapping[str, Any], siblings: tuple[str, ...]) -> Turn:
    return Turn(
        id=row["id"],
        parent_id=row["parent_id"],
        role=row["role"],
        text=row["text"],
        created_at=row["created_at"],
        status=ReplyStatus(row["status"]) if row["status"] else None,
        at_length_limit=bool(row["at_length_limit"]),
        version=row["version"],
        thumb=ThumbValue(row["thumb"]) if row["thumb"] else None,
        reasons=tuple(json.loads(row["reasons"] or "[]")),
        comment=row["comment"] or "",
        correction=row["correction"],
        siblings=siblings,
    )


def conversation_of(row: Mapping[str, Any]) -> Conversation:
    return Conversation(
        id=row["id"],
        person_id=row["person_id"],
        title=row["title"],
        created_at=row["created_at"],
        leaf_id=row["leaf_id"],
        style=Style(row["system_prompt"], row["temperature"], row["max_new_tokens"]),
        last_at=row.get("last_at") or row["created_at"],
        tried_version=row["tried_version"],
    )


def style_columns(style: Style) -> dict[str, Any]:
    return {
        "system_prompt": style.system_prompt,
        "temperature": style.temperature,
        "max_new_tokens": style.max_new_tokens,
    }


def title_of(first_words: str) -> str:
    line = " ".join(first_words.split())
    return line if len(line) <= TITLE_LENGTH else line[: TITLE_LENGTH - 1].rstrip() + "…"


def ensure_person(db: sqlite_utils.Database, person_id: str) -> None:
    db.table("people").insert({"id": person_id, "created_at": utc_now()}, ignore=True)


def insert_message(
    db: sqlite_utils.Database, message_id: str, conversation_id: str, parent_id: str | None, message: Message
) -> None:
    db.table("messages").insert(
        {
            "id": message_id,
            "conversation_id": conversation_id,
            "parent_id": parent_id,
            "role": message.role,
            "text": message.content,
            "created_at": utc_now(),
        }
    )
