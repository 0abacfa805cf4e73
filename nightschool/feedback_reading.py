"""What the night reads: everything consenting people had judged at one moment. Part of the feedback store."""

import hashlib
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
_COUNTS = f"outcome IS NOT NULL AND person_id {_CONSENTS} AND conversation_id {_KEPT}"
"""The condition that a duel counts."""


def read_snapshot(db: sqlite_utils.Database) -> FeedbackSnapshot:
    """Read everything inside the caller's read transaction, so that all of it is of the same moment."""
    taken_at = utc_now()
    duels = list(db.query(f"SELECT * FROM duels WHERE {_COUNTS} ORDER BY id"))
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


def duels_mark(db: sqlite_utils.Database) -> str:
    """A hash of the duels that count; it changes whenever one is decided, deleted, or may be read no more."""
    digest = hashlib.sha256()
    for duel, outcome in db.execute(f"SELECT id, outcome FROM duels WHERE {_COUNTS} ORDER BY id"):
        digest.update(f"{duel} {outcome}\n".encode())
    return digest.hexdigest()


def duels_with(db: sqlite_utils.Database, version: str) -> dict[str, int]:
    """Decided duels of a version by opponent; those with itself are left out."""
    rows = db.query(
        f"""SELECT CASE l.version WHEN :version THEN r.version ELSE l.version END AS opponent, count(*) AS duels
            FROM duels d JOIN replies l ON l.id = d.left_reply JOIN replies r ON r.id = d.right_reply
            WHERE d.outcome IS NOT NULL AND l.version <> r.version AND :version IN (l.version, r.version)
              AND d.conversation_id {_KEPT}
            GROUP BY opponent""",
        {"version": version},
    )
    return {row["opponent"]: row["duels"] for row in rows}


def duel_votes(db: sqlite_utils.Database, version: str, rival: str) -> list[tuple[str, str, bool]]:
    """(person, moment, whether `version` won) of each decided duel of the two, oldest first; ties are left out."""
    rows = db.query(
        f"""SELECT d.person_id, d.decided_at, CASE d.outcome WHEN 'left' THEN l.version ELSE r.version END AS winner
            FROM duels d JOIN replies l ON l.id = d.left_reply JOIN replies r ON r.id = d.right_reply
            WHERE d.outcome IN ('left', 'right') AND d.person_id {_CONSENTS}
              AND d.conversation_id {_KEPT}
              AND ((l.version = :version AND r.version = :rival) OR (l.version = :rival AND r.version = :version))
            ORDER BY d.decided_at, d.id""",
        {"version": version, "rival": rival},
    )
    return [(row["person_id"], row["decided_at"], row["winner"] == version) for row in rows]


def thumbs_down(db: sqlite_utils.Database, version: str, *, until: str = "9999") -> list[bool]:
    """Whether each active thumb on a version's replies is down, oldest first."""
    rows = db.query(
        f"""SELECT t.value FROM thumbs t JOIN replies r ON r.id = t.reply_id JOIN messages m ON m.id = r.id
            WHERE r.version = :version AND t.replaced_at IS NULL AND t.person_id {_CONSENTS}
              AND m.conversation_id {_KEPT} AND t.created_at <= :until ORDER BY t.created_at, t.id""",
        {"version": version, "until": until},
    )
    return [row["value"] == "down" for row in rows]


def failures(db: sqlite_utils.Database, version: str) -> list[bool]:
    """Whether each reply of a version failed or came out empty, oldest first; stopped ones are left out."""
    rows = db.query(
        """SELECT r.status, m.text FROM replies r JOIN messages m ON m.id = r.id
            WHERE r.version = ? AND r.status IN ('done', 'failed') ORDER BY m.id""",
        [version],
    )
    return [row["status"] == "failed" or not row["text"].strip() for row in rows]


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


def read_judged(db: sqlite_utils.Database, sources: Iterable[tuple[str, str]]) -> FeedbackSnapshot:
    """These judgements, by (kind, id), as they were made, whether they still count or not; what is gone is left out."""
    ids: dict[str, list[str]] = defaultdict(list)
    for kind, row_id in sources:
        ids[kind].append(row_id)
    duels = _named(db, "SELECT j.* FROM duels j", ids["duel"])
    rankings = _named(db, "SELECT j.* FROM rankings j", ids["ranking"])
    placed = "SELECT j.*, m.conversation_id, m.parent_id AS question_id FROM {} j JOIN messages m ON m.id = j.reply_id"
    thumbs = _named(db, placed.format("thumbs"), ids["thumb"])
    corrections = _named(db, placed.format("corrections"), ids["correction"])
    ranked = _ranked_replies(db, rankings)
    about = {row[side] for row in duels for side in ("left_reply", "right_reply")}
    about |= {row["reply_id"] for rows in (thumbs, corrections, *ranked.values()) for row in rows}
    replies = _replies(db, about)
    return FeedbackSnapshot(
        utc_now(),
        duels=tuple(duel_of(row, replies) for row in duels),
        thumbs=tuple(_thumb(row, replies[row["reply_id"]]) for row in thumbs),
        openings={},
        rankings=tuple(_ranking(row, ranked[row["id"]], replies) for row in rankings),
        corrections=tuple(_correction(row, replies[row["reply_id"]]) for row in corrections),
    )


def _named(db: sqlite_utils.Database, select: str, ids: list[str]) -> list[Row]:
    """The rows `j` of a query that have one of these ids, in order of their ids."""
    return list(db.query(f"{select} WHERE j.id IN (SELECT value FROM json_each(?)) ORDER BY j.id", [json.dumps(ids)]))
