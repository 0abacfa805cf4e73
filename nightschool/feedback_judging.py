"""How people judge single replies: thumbs, rankings, corrections. Part of the feedback store.

Each function works inside the caller's write transaction: what is checked still holds when it is written.
"""

import json
from collections.abc import Sequence
from typing import Any

import sqlite_utils

from nightschool.errors import BadInput
from nightschool.ids import new_id, utc_now
from nightschool.records import ReplyStatus, ThumbValue

FEWEST_RANKED, MOST_RANKED = 2, 8

NOT_YOURS = "This reply is not in a conversation of yours; reload the page and vote there."


def set_thumb(
    db: sqlite_utils.Database,
    reply_id: str,
    person_id: str,
    value: ThumbValue | None,
    reasons: Sequence[str] = (),
    comment: str = "",
) -> None:
    if not _own_replies(db, person_id, [reply_id]):
        raise BadInput(NOT_YOURS)
    active = db.execute(
        "SELECT value, reasons, comment FROM thumbs WHERE reply_id = ? AND person_id = ? AND replaced_at IS NULL",
        [reply_id, person_id],
    ).fetchone()
    wanted = None if value is None else (value, json.dumps(list(reasons)), comment)
    if active == wanted:
        return  # the same click twice is one vote
    db.execute(
        "UPDATE thumbs SET replaced_at = ? WHERE reply_id = ? AND person_id = ? AND replaced_at IS NULL",
        [utc_now(), reply_id, person_id],
    )
    if wanted is not None:
        db.table("thumbs").insert(
            {
                "id": new_id(),
                "reply_id": reply_id,
                "person_id": person_id,
                "value": wanted[0],
                "reasons": wanted[1],
                "comment": wanted[2],
                "created_at": utc_now(),
            }
        )


def add_ranking(db: sqlite_utils.Database, person_id: str, reply_ids: Sequence[str], ranks: Sequence[int]) -> str:
    _check_order(reply_ids, ranks)
    replies = _own_replies(db, person_id, reply_ids)
    if len(replies) < len(reply_ids):
        raise BadInput(
            f"{len(reply_ids) - len(replies)} of the {len(reply_ids)} replies are not in a conversation of yours; "
            "reload the page and rank what it shows."
        )
    questions = {reply["question_id"] for reply in replies}
    if len(questions) > 1 or None in questions:
        raise BadInput(
            f"These {len(replies)} replies do not all answer one question; rank replies to one and the same question."
        )
    for reply in replies:
        if reply["status"] in (ReplyStatus.STREAMING, ReplyStatus.FAILED) or not reply["text"].strip():
            raise BadInput("A reply is not written; rank only finished replies with a text: wait, or leave it out.")
    ranking_id = new_id()
    db.table("rankings").insert(
        {
            "id": ranking_id,
            "conversation_id": replies[0]["conversation_id"],
            "question_id": replies[0]["question_id"],
            "person_id": person_id,
            "created_at": utc_now(),
        }
    )
    for reply_id, rank in zip(reply_ids, ranks, strict=True):
        db.table("ranked_replies").insert({"ranking_id": ranking_id, "reply_id": reply_id, "rank": rank})
    return ranking_id


def _check_order(reply_ids: Sequence[str], ranks: Sequence[int]) -> None:
    """Raise `BadInput` when this is no order of different replies, whosever they are."""
    if not FEWEST_RANKED <= len(reply_ids) <= MOST_RANKED:
        raise BadInput(
            f"{len(reply_ids)} replies were ranked; a ranking takes {FEWEST_RANKED} to {MOST_RANKED}: "
            "choose that many and rank them again."
        )
    if len(set(reply_ids)) < len(reply_ids):
        raise BadInput("A reply was ranked twice; give each reply once, and equal ranks where two are equally good.")
    if len(ranks) != len(reply_ids):
        raise BadInput(f"{len(ranks)} ranks were given for {len(reply_ids)} replies; give each reply one rank.")
    if min(ranks) != 1 or max(ranks) > MOST_RANKED:
        raise BadInput(
            f"The ranks {', '.join(map(str, ranks))} were given; ranks go from 1 to {MOST_RANKED}: "
            "give 1 to the best reply (or to several) and count up from there."
        )


def add_correction(
    db: sqlite_utils.Database, reply_id: str, person_id: str, text: str, token_ids: Sequence[int]
) -> str:
    reply = next(iter(_own_replies(db, person_id, [reply_id])), None)
    if reply is None:
        raise BadInput(NOT_YOURS)
    if reply["status"] == ReplyStatus.STREAMING:
        raise BadInput("This reply is still being written; wait until it ends, then correct it.")
    if not text.strip():
        raise BadInput("The correction is empty; write what you would have answered.")
    if text.strip() == reply["text"].strip():
        raise BadInput("The correction says the same as the reply; change it, or give the reply a thumb up.")
    withdraw_correction(db, reply_id, person_id)
    correction_id = new_id()
    db.table("corrections").insert(
        {
            "id": correction_id,
            "reply_id": reply_id,
            "person_id": person_id,
            "text": text,
            "token_ids": json.dumps(list(token_ids)),
            "created_at": utc_now(),
        }
    )
    return correction_id


def withdraw_correction(db: sqlite_utils.Database, reply_id: str, person_id: str) -> None:
    db.execute(
        "UPDATE corrections SET replaced_at = ? WHERE reply_id = ? AND person_id = ? AND replaced_at IS NULL",
        [utc_now(), reply_id, person_id],
    )


def _own_replies(db: sqlite_utils.Database, person_id: str, reply_ids: Sequence[str]) -> list[dict[str, Any]]:
    """Those of the replies that lie in conversations of this person."""
    return list(
        db.query(
            """SELECT r.id, r.status, m.text, m.conversation_id, m.parent_id AS question_id
               FROM replies r JOIN messages m ON m.id = r.id JOIN conversations c ON c.id = m.conversation_id
               WHERE r.id IN (SELECT value FROM json_each(?)) AND c.person_id = ? AND c.deleted_at IS NULL""",
            [json.dumps(list(reply_ids)), person_id],
        )
    )
