"""Rounds of the Rank page: a prompt put to a person, its seated replies, its end. Part of the feedback store.

A person's open rounds wait in the order in which they were made. Taking the last decision back opens its round again,
and as the oldest open one it is the next that is shown.
"""

import json
from collections.abc import Sequence
from typing import Any

import sqlite_utils

from nightschool.errors import BadInput
from nightschool.feedback_judging import add_ranking
from nightschool.feedback_rows import SELECT_REPLIES, ensure_person, insert_message, reply_of, title_of
from nightschool.ids import new_id, utc_now
from nightschool.records import Message, RankingRound, RoundOutcome

NOT_YOURS = "This ranking is not yours or does not exist; reload the page."


def add_round(db: sqlite_utils.Database, person_id: str, prompt_id: str, language: str, text: str) -> str:
    """A conversation that asks the prompt, and its round; the replies are seated once their rows exist."""
    round_id, conversation_id, question_id = new_id(), new_id(), new_id()
    ensure_person(db, person_id)
    db.table("conversations").insert(
        {"id": conversation_id, "person_id": person_id, "title": title_of(text), "created_at": utc_now()}
    )
    insert_message(db, question_id, conversation_id, None, Message("user", text))
    db.table("conversations").update(conversation_id, {"leaf_id": question_id})
    db.table("ranking_rounds").insert(
        {
            "id": round_id,
            "person_id": person_id,
            "conversation_id": conversation_id,
            "question_id": question_id,
            "prompt_id": prompt_id,
            "language": language,
            "created_at": utc_now(),
        }
    )
    return round_id


def place_of(db: sqlite_utils.Database, round_id: str) -> tuple[str, str]:
    """(conversation, question) of a round."""
    row = db.execute("SELECT conversation_id, question_id FROM ranking_rounds WHERE id = ?", [round_id]).fetchone()
    return str(row[0]), str(row[1])


def seat(db: sqlite_utils.Database, round_id: str, reply_ids: Sequence[str]) -> None:
    """Keep the order in which the replies are first shown."""
    db.table("seated_replies").insert_all(
        {"round_id": round_id, "position": position, "reply_id": reply_id}
        for position, reply_id in enumerate(reply_ids)
    )


def keep_seated(db: sqlite_utils.Database, round_id: str, reply_ids: Sequence[str]) -> None:
    """Only these replies of the round are to be put in order; the others stay in the store without a seat."""
    db.execute(
        "DELETE FROM seated_replies WHERE round_id = ? AND reply_id NOT IN (SELECT value FROM json_each(?))",
        [round_id, json.dumps(list(reply_ids))],
    )


def open_rounds(db: sqlite_utils.Database, person_id: str, language: str) -> list[str]:
    """The person's undecided rounds in one language, oldest first."""
    rows = db.query(
        "SELECT id FROM ranking_rounds WHERE person_id = ? AND language = ? AND outcome IS NULL ORDER BY id",
        [person_id, language],
    )
    return [row["id"] for row in rows]


def asked_prompts(db: sqlite_utils.Database, person_id: str) -> list[str]:
    """The prompts this person had, each as often as they had it."""
    rows = db.query("SELECT prompt_id FROM ranking_rounds WHERE person_id = ? ORDER BY id", [person_id])
    return [row["prompt_id"] for row in rows]


def read_round(db: sqlite_utils.Database, round_id: str, person_id: str) -> RankingRound:
    row = _row(db, round_id, person_id)
    replies = db.query(
        f"""{SELECT_REPLIES} JOIN seated_replies s ON s.reply_id = r.id WHERE s.round_id = ? ORDER BY s.position""",
        [round_id],
    )
    question = db.execute("SELECT text FROM messages WHERE id = ?", [row["question_id"]]).fetchone()
    return RankingRound(
        id=row["id"],
        person_id=row["person_id"],
        prompt_id=row["prompt_id"],
        question=question[0],
        replies=tuple(map(reply_of, replies)),
        outcome=RoundOutcome(row["outcome"]) if row["outcome"] else None,
        ranks=_newest_ranks(db, row["question_id"]),
    )


def rank_round(
    db: sqlite_utils.Database, round_id: str, person_id: str, reply_ids: Sequence[str], ranks: Sequence[int]
) -> None:
    """Decide a round by an order of all its seated replies; the same order again is the same one vote."""
    row = _row(db, round_id, person_id)
    if row["outcome"] == RoundOutcome.RANKED and _ranking(db, row["ranking_id"]) == set(
        zip(reply_ids, ranks, strict=True)
    ):
        return
    _refuse_decided(row)
    seats = {seat[0] for seat in db.execute("SELECT reply_id FROM seated_replies WHERE round_id = ?", [round_id])}
    if set(reply_ids) != seats:
        raise BadInput("The order does not name each reply of this ranking; reload the page and rank what it shows.")
    ranking_id = add_ranking(db, person_id, reply_ids, ranks)
    _end(db, round_id, RoundOutcome.RANKED, ranking_id)


def close_round(db: sqlite_utils.Database, round_id: str, person_id: str, outcome: RoundOutcome) -> None:
    """End a round without an order; to end it the same way again changes nothing."""
    row = _row(db, round_id, person_id)
    if row["outcome"] == outcome:
        return
    _refuse_decided(row)
    _end(db, round_id, outcome, None)


def last_decided(db: sqlite_utils.Database, person_id: str, language: str) -> dict[str, Any] | None:
    """The round that the person ranked or skipped last."""
    rows = db.query(
        """SELECT id, ranking_id FROM ranking_rounds
           WHERE person_id = ? AND language = ? AND outcome IN ('ranked', 'skipped')
           ORDER BY ended_at DESC, id DESC LIMIT 1""",
        [person_id, language],
    )
    return next(rows, None)


def reopen_last(db: sqlite_utils.Database, person_id: str, language: str) -> str:
    """Take back the person's last order or skip; its round is open again. The order stays as history."""
    row = last_decided(db, person_id, language)
    if row is None:
        raise BadInput("There is nothing to undo yet; rank or skip something first.")
    if row["ranking_id"] is not None:
        db.table("rankings").update(row["ranking_id"], {"undone_at": utc_now()})
    db.table("ranking_rounds").update(row["id"], {"outcome": None, "ended_at": None, "ranking_id": None})
    return str(row["id"])


def count_ranked(db: sqlite_utils.Database, person_id: str) -> int:
    """How many rounds the person put in order."""
    sql = "SELECT count(*) FROM ranking_rounds WHERE person_id = ? AND outcome = 'ranked'"
    return int(db.execute(sql, [person_id]).fetchone()[0])


def _newest_ranks(db: sqlite_utils.Database, question_id: str) -> tuple[int, ...]:
    """Ranks by seat of the newest order given to the question, also one taken back."""
    rows = db.query(
        """SELECT k.rank FROM seated_replies s JOIN ranked_replies k ON k.reply_id = s.reply_id
           WHERE k.ranking_id = (SELECT max(id) FROM rankings WHERE question_id = ?) ORDER BY s.position""",
        [question_id],
    )
    return tuple(row["rank"] for row in rows)


def _row(db: sqlite_utils.Database, round_id: str, person_id: str) -> dict[str, Any]:
    row = next(db.query("SELECT * FROM ranking_rounds WHERE id = ? AND person_id = ?", [round_id, person_id]), None)
    if row is None:
        raise BadInput(NOT_YOURS)
    return row


def _refuse_decided(row: dict[str, Any]) -> None:
    if row["outcome"] is not None:
        raise BadInput("This ranking was already decided; press Undo to change it.")


def _end(db: sqlite_utils.Database, round_id: str, outcome: RoundOutcome, ranking_id: str | None) -> None:
    change = {"outcome": outcome, "ended_at": utc_now(), "ranking_id": ranking_id}
    db.table("ranking_rounds").update(round_id, change)


def _ranking(db: sqlite_utils.Database, ranking_id: str | None) -> set[tuple[str, int]]:
    rows = db.query("SELECT reply_id, rank FROM ranked_replies WHERE ranking_id = ?", [ranking_id])
    return {(row["reply_id"], row["rank"]) for row in rows}
