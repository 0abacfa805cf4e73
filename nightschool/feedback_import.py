"""Judgements made elsewhere, each in a conversation of its own: pairs as decided duels, single answers with a thumb.

Part of the feedback store.
"""

import json
from collections.abc import Sequence

import sqlite_utils

from nightschool.feedback_rows import ensure_person, insert_message, title_of
from nightschool.ids import new_id, utc_now
from nightschool.records import DuelOutcome, Message, Opinion, Preference, ReplyStatus


def add_preferences(db: sqlite_utils.Database, person_id: str, preferences: Sequence[Preference]) -> int:
    """Store the preferences whose key is not known yet, inside the caller's transaction; returns how many were new."""
    added = 0
    ensure_person(db, person_id)
    for preference in preferences:
        if db.execute("SELECT 1 FROM duels WHERE import_key = ?", [preference.key]).fetchone() is None:
            _insert_preference(db, person_id, preference)
            added += 1
    return added


def add_opinions(db: sqlite_utils.Database, person_id: str, opinions: Sequence[Opinion]) -> int:
    """Store the opinions whose key is not known yet, inside the caller's transaction; returns how many were new."""
    added = 0
    ensure_person(db, person_id)
    for opinion in opinions:
        if db.execute("SELECT 1 FROM thumbs WHERE import_key = ?", [opinion.key]).fetchone() is None:
            _insert_opinion(db, person_id, opinion)
            added += 1
    return added


def _insert_preference(db: sqlite_utils.Database, person_id: str, preference: Preference) -> None:
    conversation_id, question_id = _insert_prompt(db, person_id, preference.prompt)
    left, right = (
        _insert_reply(db, conversation_id, question_id, preference.prompt_ids, side)
        for side in (preference.left, preference.right)
    )
    db.table("duels").insert(
        {
            "id": new_id(),
            "conversation_id": conversation_id,
            "question_id": question_id,
            "person_id": person_id,
            "left_reply": left,
            "right_reply": right,
            "created_at": utc_now(),
            "outcome": preference.outcome,
            "decided_at": utc_now(),
            "import_key": preference.key,
        }
    )
    chosen = left if preference.outcome is DuelOutcome.LEFT else right
    db.table("conversations").update(conversation_id, {"leaf_id": chosen})


def _insert_opinion(db: sqlite_utils.Database, person_id: str, opinion: Opinion) -> None:
    conversation_id, question_id = _insert_prompt(db, person_id, opinion.prompt)
    reply_id = _insert_reply(db, conversation_id, question_id, opinion.prompt_ids, opinion.reply)
    db.table("thumbs").insert(
        {
            "id": new_id(),
            "reply_id": reply_id,
            "person_id": person_id,
            "value": opinion.value,
            "created_at": utc_now(),
            "import_key": opinion.key,
        }
    )
    db.table("conversations").update(conversation_id, {"leaf_id": reply_id})


def _insert_prompt(db: sqlite_utils.Database, person_id: str, prompt: Sequence[Message]) -> tuple[str, str | None]:
    """A new conversation with the prompt's messages; its id, and the id of the last message."""
    conversation_id = new_id()
    db.table("conversations").insert(
        {
            "id": conversation_id,
            "person_id": person_id,
            "title": title_of(prompt[-1].content),
            "created_at": utc_now(),
            "leaf_id": None,
        }
    )
    question_id: str | None = None
    for message in prompt:
        message_id = new_id()
        insert_message(db, message_id, conversation_id, question_id, message)
        question_id = message_id
    return conversation_id, question_id


def _insert_reply(
    db: sqlite_utils.Database,
    conversation_id: str,
    question_id: str | None,
    prompt_ids: Sequence[int],
    reply: tuple[str, Sequence[int]],
) -> str:
    reply_id = new_id()
    text, token_ids = reply
    insert_message(db, reply_id, conversation_id, question_id, Message("assistant", text))
    db.table("replies").insert(
        {
            "id": reply_id,
            "version": None,
            "prompt_ids": json.dumps(list(prompt_ids)),
            "token_ids": json.dumps(list(token_ids)),
            "status": ReplyStatus.DONE,
        }
    )
    return reply_id
