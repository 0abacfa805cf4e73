"""What people judged, found by filter, counted, and counted over time. Part of the feedback store."""

import json
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import sqlite_utils

from nightschool.browsing import FeedbackCounts, FeedbackFilter, FeedbackItem, FeedbackKind, JudgedAnswer

Row = dict[str, Any]


def find_items(db: sqlite_utils.Database, wanted: FeedbackFilter, limit: int, offset: int) -> list[FeedbackItem]:
    """The newest `limit` items (-1: all) after the first `offset`."""
    where, values = _where(wanted)
    found = list(
        db.query(
            f"""SELECT i.*, coalesce(q.text, '') AS question FROM feedback_items i
                LEFT JOIN messages q ON q.id = i.question_id
                WHERE {where} ORDER BY i.judged_at DESC, i.id DESC LIMIT :limit OFFSET :offset""",
            {**values, "limit": limit, "offset": offset},
        )
    )
    answers = _answers(db, found)
    thumbs = _rows(db, "thumbs", [row["id"] for row in found if row["kind"] == FeedbackKind.THUMB])
    corrections = _rows(db, "corrections", [row["id"] for row in found if row["kind"] == FeedbackKind.CORRECTION])
    return [_item(row, answers[row["kind"], row["id"]], thumbs, corrections) for row in found]


def count_items(db: sqlite_utils.Database, wanted: FeedbackFilter) -> FeedbackCounts:
    where, values = _where(wanted)
    rows = db.query(
        f"""SELECT i.kind, count(*) AS found, sum(i.outcome = 'up') AS up FROM feedback_items i
            LEFT JOIN messages q ON q.id = i.question_id WHERE {where} GROUP BY i.kind""",
        values,
    )
    by_kind = {FeedbackKind(row["kind"]): (row["found"], row["up"]) for row in rows}
    return FeedbackCounts({kind: found for kind, (found, _) in by_kind.items()}, sum(up for _, up in by_kind.values()))


def count_days(db: sqlite_utils.Database, wanted: FeedbackFilter, minutes: int) -> dict[str, FeedbackCounts]:
    """Day ("2026-11-25") -> what was judged on it, oldest first; days begin `minutes` before those of UTC."""
    where, values = _where(wanted)
    rows = db.query(
        f"""SELECT date(i.judged_at, :shift) AS day, i.kind, count(*) AS found, sum(i.outcome = 'up') AS up
            FROM feedback_items i LEFT JOIN messages q ON q.id = i.question_id
            WHERE {where} GROUP BY day, i.kind ORDER BY day""",
        {**values, "shift": f"{minutes:+d} minutes"},
    )
    days: defaultdict[str, FeedbackCounts] = defaultdict(FeedbackCounts)
    for row in rows:
        so_far = days[row["day"]]
        by_kind = {**so_far.by_kind, FeedbackKind(row["kind"]): int(row["found"])}
        days[row["day"]] = FeedbackCounts(by_kind, so_far.thumbs_up + int(row["up"]))
    return dict(days)


def judged_versions(db: sqlite_utils.Database, person_id: str | None) -> list[str]:
    """The versions whose answers were judged, by this person or (None) by anybody."""
    rows = db.query(
        """SELECT DISTINCT r.version FROM feedback_items i
           JOIN judged_replies j ON j.kind = i.kind AND j.id = i.id JOIN replies r ON r.id = j.reply_id
           WHERE r.version IS NOT NULL AND (:person IS NULL OR i.person_id = :person) ORDER BY r.version""",
        {"person": person_id},
    )
    return [row["version"] for row in rows]


def judging_people(db: sqlite_utils.Database) -> list[tuple[str, int]]:
    """Everybody who judged something, with how much; the busiest first."""
    rows = db.query("SELECT person_id, count(*) AS found FROM feedback_items GROUP BY person_id ORDER BY 2 DESC, 1")
    return [(row["person_id"], row["found"]) for row in rows]


def _where(wanted: FeedbackFilter) -> tuple[str, dict[str, Any]]:
    """The condition on `feedback_items i` and its `messages q`, with its values."""
    said = {
        "i.person_id = :person": wanted.person_id,
        "i.kind = :kind": wanted.kind,
        "i.judged_at >= :since": wanted.since,
        "i.judged_at < :until": wanted.until,
        """EXISTS (SELECT 1 FROM judged_replies j JOIN replies r ON r.id = j.reply_id
                   WHERE j.kind = i.kind AND j.id = i.id AND r.version = :version)""": wanted.version,
        """(q.text LIKE :like ESCAPE '!'
            OR EXISTS (SELECT 1 FROM judged_replies j JOIN messages m ON m.id = j.reply_id
                       WHERE j.kind = i.kind AND j.id = i.id AND m.text LIKE :like ESCAPE '!')
            OR EXISTS (SELECT 1 FROM feedback_words w
                       WHERE w.kind = i.kind AND w.id = i.id AND w.text LIKE :like ESCAPE '!'))""": wanted.search,
    }
    conditions = [condition for condition, value in said.items() if value]
    values = {
        "person": wanted.person_id,
        "kind": wanted.kind,
        "since": wanted.since,
        "until": wanted.until,
        "version": wanted.version,
        "like": f"%{_literal(wanted.search)}%",
    }
    return " AND ".join(conditions) or "1", values


def _literal(words: str) -> str:
    """The words with LIKE's own signs made plain."""
    return words.replace("!", "!!").replace("%", "!%").replace("_", "!_")


def _answers(db: sqlite_utils.Database, items: Iterable[Row]) -> dict[tuple[str, str], list[Row]]:
    """(kind, id) -> its answers: left before right, the best rank first."""
    found: defaultdict[tuple[str, str], list[Row]] = defaultdict(list)
    ids: defaultdict[str, list[str]] = defaultdict(list)
    for item in items:
        ids[item["kind"]].append(item["id"])
    for kind, of_kind in ids.items():
        for row in db.query(
            """SELECT j.kind, j.id, j.mark, m.text, r.version FROM judged_replies j
               JOIN replies r ON r.id = j.reply_id JOIN messages m ON m.id = j.reply_id
               WHERE j.kind = ? AND j.id IN (SELECT value FROM json_each(?)) ORDER BY j.mark, j.reply_id""",
            [kind, json.dumps(of_kind)],
        ):
            found[row["kind"], row["id"]].append(row)
    return found


def _rows(db: sqlite_utils.Database, table: str, ids: list[str]) -> dict[str, Row]:
    rows = db.query(f"SELECT * FROM {table} WHERE id IN (SELECT value FROM json_each(?))", [json.dumps(ids)])
    return {row["id"]: row for row in rows}


def _item(row: Row, answers: Iterable[Row], thumbs: dict[str, Row], corrections: dict[str, Row]) -> FeedbackItem:
    thumb, correction = thumbs.get(row["id"], {}), corrections.get(row["id"], {})
    return FeedbackItem(
        kind=FeedbackKind(row["kind"]),
        id=row["id"],
        person_id=row["person_id"],
        judged_at=row["judged_at"],
        question=row["question"],
        outcome=row["outcome"],
        answers=tuple(JudgedAnswer(answer["text"], answer["version"], answer["mark"]) for answer in answers),
        corrected=correction.get("text", ""),
        reasons=tuple(json.loads(thumb.get("reasons") or "[]")),
        comment=thumb.get("comment") or "",
        imported=bool(row["imported"]),
    )
