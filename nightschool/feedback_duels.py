"""How a duel ends: decided, declined, or void because there was nothing to compare. Part of the feedback store.

Each function works inside the caller's write transaction, so of several clicks at once exactly one ends the duel.
"""

import random
from typing import Any

import sqlite_utils

from nightschool.errors import BadInput
from nightschool.ids import utc_now
from nightschool.records import DuelOutcome


def decide(db: sqlite_utils.Database, duel_id: str, person_id: str, outcome: DuelOutcome) -> None:
    row = _own_duel(db, duel_id, person_id)
    if row["outcome"] == outcome:
        return  # the same click twice is one vote
    _refuse_ended(row)
    _refuse_unwritten(db, row)
    sides = [row["left_reply"], row["right_reply"]]
    chosen = {DuelOutcome.LEFT: sides[0], DuelOutcome.RIGHT: sides[1]}.get(outcome, random.choice(sides))
    db.table("duels").update(duel_id, {"outcome": outcome, "decided_at": utc_now()})
    db.table("conversations").update(row["conversation_id"], {"leaf_id": chosen})


def decline(db: sqlite_utils.Database, duel_id: str, person_id: str) -> None:
    row = _own_duel(db, duel_id, person_id)
    if row["closed_at"] is not None:
        return
    _refuse_ended(row)
    _refuse_unwritten(db, row)
    chosen = random.choice([row["left_reply"], row["right_reply"]])
    db.table("duels").update(duel_id, {"closed_at": utc_now()})
    db.table("conversations").update(row["conversation_id"], {"leaf_id": chosen})


def void(db: sqlite_utils.Database, duel_id: str) -> None:
    db.execute("UPDATE duels SET closed_at = ? WHERE id = ? AND outcome IS NULL", [utc_now(), duel_id])


def _own_duel(db: sqlite_utils.Database, duel_id: str, person_id: str) -> dict[str, Any]:
    row = next(
        db.query(
            """SELECT d.* FROM duels d JOIN conversations c ON c.id = d.conversation_id
               WHERE d.id = ? AND d.person_id = ? AND c.deleted_at IS NULL""",
            [duel_id, person_id],
        ),
        None,
    )
    if row is None:
        raise BadInput("This duel is not yours or does not exist; reload the page.")
    return row


def _refuse_ended(row: dict[str, Any]) -> None:
    if row["outcome"] is not None or row["closed_at"] is not None:
        raise BadInput("This duel was already decided; a duel takes one vote.")


def _refuse_unwritten(db: sqlite_utils.Database, row: dict[str, Any]) -> None:
    unwritten = db.execute(
        """SELECT count(*) FROM replies r JOIN messages m ON m.id = r.id
           WHERE r.id IN (?, ?) AND (r.status IN ('streaming', 'failed') OR trim(m.text) = '')""",
        [row["left_reply"], row["right_reply"]],
    ).fetchone()[0]
    if unwritten:
        raise BadInput("Both answers must be written before the duel can be decided; wait, or ask again.")
