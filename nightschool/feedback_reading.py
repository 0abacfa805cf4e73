"""What the night reads: everything consenting people had judged at one moment. Part of the feedback store."""

import json
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import sqlite_utils

from nightschool.feedback_rows import SELECT_REPLIES, duel_of, reply_of, token_ids_of
from nightschool.ids import utc_now
from nightschool.records import Correction, FeedbackSnapshot, Ranking, Reply, Thumb, ThumbValue

Row = dict[str, Any]

_CONSENTS = "IN (SELECT id FROM people WHERE consent = 1)"
_KEPT = "IN (SELECT id FROM conversations WHERE deleted_at IS NULL)"


def read_snapshot(db: sqlite_utils.Database) -> FeedbackSnapshot:
    """Read everything inside the caller's read transaction, so that all of it is of the same moment."""
    taken_at = utc_now()
    duels = list(
        db.query(
            f"""SELECT * FROM duels WHERE outcome IS NOT NULL AND person_id {_CONSENTS} AND conversation_id {_KEPT}
                ORDER BY id"""
        )
    )
    thumbs, corrections = _active(db, "thumbs"), _active(db, "corrections")
    rankings = _newest_rankings(db)
    ranked = _ranked_replies(db, rankings)
    replies = _replies(
        db,
        {row[side] for row in duels for side in ("left_reply", "right_reply")}
        | {row["reply_id"] for row in (*thumbs, *corrections)}
        | {row["reply_id"] for rows in ranked.values() for row in rows},
    )
    return FeedbackSnapshot(
        taken_at,
        duels=tuple(duel_of(row, replies) for row in duels),
        thumbs=tuple(_thumb(row, replies[row["reply_id"]]) for row in thumbs),
        openings=_openings(db),
        rankings=tuple(_ranking(row, ranked[row["id"]], replies) for row in rankings),
        corrections=tuple(_correction(row, replies[row["reply_id"]]) for row in corrections),
        sides={row["conversation_id"]: row["side"] for row in db.query("SELECT * FROM split_sides")},
    )


def _active(db: sqlite_utils.Database, table: str) -> list[Row]:
    """The rows of `thumbs` or `corrections` that are not replaced, with their reply's conversation and question."""
    return list(
        db.query(
            f"""SELECT judged.*, m.conversation_id, m.parent_id AS question_id
                FROM {table} judged JOIN messages m ON m.id = judged.reply_id
                WHERE judged.replaced_at IS NULL AND judged.person_id {_CONSENTS} AND m.conversation_id {_KEPT}
                ORDER BY judged.id"""
        )
    )


def _newest_rankings(db: sqlite_utils.Database) -> list[Row]:
    return list(
        db.query(
            f"""SELECT * FROM rankings this WHERE person_id {_CONSENTS} AND conversation_id {_KEPT} AND id = (
                    SELECT max(id) FROM rankings
                    WHERE question_id = this.question_id AND person_id = this.person_id AND undone_at IS NULL
                ) ORDER BY id"""
        )
    )


def _ranked_replies(db: sqlite_utils.Database, rankings: Iterable[Row]) -> dict[str, list[Row]]:
    """Ranking id -> its rows, in the order in which the replies were given."""
    ids = json.dumps([row["id"] for row in rankings])
    found: dict[str, list[Row]] = defaultdict(list)
    for row in db.query(
        "SELECT * FROM ranked_replies WHERE ranking_id IN (SELECT value FROM json_each(?)) ORDER BY rowid", [ids]
    ):
        found[row["ranking_id"]].append(row)
    return found


def _replies(db: sqlite_utils.Database, ids: set[str]) -> dict[str, Reply]:
    rows = db.query(f"{SELECT_REPLIES} WHERE r.id IN (SELECT value FROM json_each(?))", [json.dumps(sorted(ids))])
    return {row["id"]: reply_of(row) for row in rows}


def _openings(db: sqlite_utils.Database) -> dict[str, str]:
    rows = db.query(
        f"""SELECT m.conversation_id, m.text, min(m.id)
            FROM messages m JOIN conversations c ON c.id = m.conversation_id
            WHERE m.role = 'user' AND c.person_id {_CONSENTS} AND c.deleted_at IS NULL GROUP BY m.conversation_id"""
    )
    return {row["conversation_id"]: row["text"] for row in rows}


def _thumb(row: Row, reply: Reply) -> Thumb:
    return Thumb(
        id=row["id"],
        person_id=row["person_id"],
        conversation_id=row["conversation_id"],
        value=ThumbValue(row["value"]),
        created_at=row["created_at"],
        reply=reply,
        question_id=row["question_id"] or "",
    )


def _ranking(row: Row, ranked: Iterable[Row], replies: dict[str, Reply]) -> Ranking:
    return Ranking(
        id=row["id"],
        person_id=row["person_id"],
        conversation_id=row["conversation_id"],
        question_id=row["question_id"],
        replies=tuple(replies[one["reply_id"]] for one in ranked),
        ranks=tuple(one["rank"] for one in ranked),
        created_at=row["created_at"],
    )


def _correction(row: Row, reply: Reply) -> Correction:
    return Correction(
        id=row["id"],
        person_id=row["person_id"],
        conversation_id=row["conversation_id"],
        reply=reply,
        text=row["text"],
        token_ids=token_ids_of(row["token_ids"]),
        created_at=row["created_at"],
    )
