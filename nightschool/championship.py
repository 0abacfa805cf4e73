"""Who answers, who answered, and who is on probation. Part of the registry.

Each function works on an open database, inside the caller's transaction where it writes.
"""

from itertools import pairwise
from typing import Any

import sqlite_utils

from nightschool.ids import new_id, utc_now
from nightschool.records import INITIAL, Probation, Term
from nightschool.said import Said


def champion_of(db: sqlite_utils.Database) -> str:
    return str(db.execute("SELECT version_id FROM champion").fetchone()[0])


def move_champion(db: sqlite_utils.Database, version_id: str, reason: str) -> None:
    """Let a version answer, and record which one did before and why."""
    previous = champion_of(db)
    db.table("champion").update(1, {"version_id": version_id})
    db.table("promotions").insert(
        {
            "id": new_id(),
            "version_id": version_id,
            "previous_id": previous,
            "reason": reason,
            "created_at": utc_now(),
        }
    )


def terms_of(db: sqlite_utils.Database) -> tuple[Term, ...]:
    """One for each promotion, and the initial version's before the first; one that was promoted again has two."""
    promotions = list(db.query("SELECT version_id, created_at FROM promotions ORDER BY id"))
    made_at = db.execute("SELECT created_at FROM versions WHERE id = ?", [INITIAL]).fetchone()[0]
    begun = [(INITIAL, str(made_at)), *((row["version_id"], row["created_at"]) for row in promotions)]
    ended = [until for _, (_, until) in pairwise(begun)]
    terms = [Term(version, since, until) for (version, since), until in zip(begun, [*ended, None], strict=True)]
    return tuple(terms)


# ---- probation -------------------------------------------------------------------------------------------------------


def open_probation(db: sqlite_utils.Database) -> dict[str, Any] | None:
    return next(db.query("SELECT * FROM probations WHERE ended_at IS NULL"), None)


def is_open(db: sqlite_utils.Database, probation: Probation) -> bool:
    row = open_probation(db)
    return row is not None and row["version_id"] == probation.version_id


def end_probation(db: sqlite_utils.Database, fate: str, reason: Said) -> None:
    """Close the open probation, if there is one; a version that only waited is held from then on."""
    db.execute(
        "UPDATE versions SET verdict = 'held' WHERE verdict = 'probation' "
        "AND id IN (SELECT version_id FROM probations WHERE ended_at IS NULL)"
    )
    db.execute(
        "UPDATE probations SET ended_at = ?, fate = ?, reason = ?, reason_zh = ? WHERE ended_at IS NULL",
        [utc_now(), fate, reason.en, reason.zh],
    )
