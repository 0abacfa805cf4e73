"""Preferences made elsewhere become decided duels, each in a conversation of its own. Part of the feedback store."""

import json
from collections.abc import Sequence

import sqlite_utils

from nightschool.feedback_rows import ensure_person, insert_message, title_of
from nightschool.ids import new_id, utc_now
from nightschool.records import DuelOutcome, Message, Preference, ReplyStatus


def add_preferences(db: sqlite_utils.Database, person_id: str, preferences: Sequence[Preference]) -> int:
    """Store the preferences whose key is not known yet, inside the caller's transaction; returns how many were new."""
    added = 0
    ensure_person(db, person_id)
    for preference in preferences:
        if db.execute("SELECT 1 FROM duels WHERE import_key = ?", [preference.key]).fetchone() is None:
            _insert_preference(db, person_id, preference)
            added += 1
    return added


def _insert_preference(db: sqlite_utils.Database, person_id: str, preference: Preference) -> None:
    conversation_id = new_id()
    db.table("conversations").insert(
        {
            "id": conversation_id,
            "person_id": person_id,
            "title": title_of(preference.prompt[-1].content),
            "created_at": utc_now(),
            "leaf_id": None,
        }
    )
    question_id: str | None = None
    for message in preference.prompt:
        message_id = new_id()
        insert_message(db, message_id, conversation_id, question_id, message)
        question_id = message_id
    reply_ids = []
    for text, token_ids in (preference.left, preference.right):
        reply_id = new_id()
        insert_message(db, reply_id, conversation_id, question_id, Message("assistant", text))
        db.table("replies").insert(
            {
                "id": reply_id,
                "version": None,
                "prompt_ids": json.dumps(list(preference.prompt_ids)),
                "token_ids": json.dumps(list(token_ids)),
                "status": ReplyStatus.DONE,
            }
        )
        reply_ids.append(reply_id)
    db.table("duels").insert(
        {
            "id": new_id(),
            "conversation_id": conversation_id,
            "question_id": question_id,
            "person_id": person_id,
            "left_reply": reply_ids[0],
            "right_reply": reply_ids[1],
            "created_at": utc_now(),
            "outcome": preference.outcome,
            "decided_at": utc_now(),
            "import_key": preference.key,
        }
    )
    chosen = reply_ids[0] if preference.outcome is DuelOutcome.LEFT else reply_ids[1]
    db.table("conversations").update(conversation_id, {"leaf_id": chosen})
