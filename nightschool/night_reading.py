"""Reading nights: functions on an open database, called by the night book alone."""

import json
from typing import Any

import sqlite_utils

from nightschool.records import Curves, Night, NightState, Stage, VerdictKind

ROLLED_BACK = """(SELECT json_object('en', p.reason, 'zh', p.reason_zh) FROM probations p
    WHERE p.version_id = nights.version_id AND p.fate = 'rolled_back'
      AND p.version_id NOT IN (SELECT version_id FROM champion)
    ORDER BY p.started_at DESC LIMIT 1) AS rolled_back"""
"""Why people took a night's version back; not where the owner lets it answer again."""
LAST_STAGE = "verdict"
"""A night that came to its end is one that ended this stage."""


def read_night(db: sqlite_utils.Database, night_id: str) -> Night | None:
    """A night with its stages and report; None where there is none of that id."""
    row = next(db.query(f"SELECT *, {ROLLED_BACK} FROM nights WHERE id = ?", [night_id]), None)
    if row is None:
        return None
    stages = db.query("SELECT * FROM night_stages WHERE night_id = ? ORDER BY position", [night_id])
    report = json.loads(row["report"]) if row["report"] else None
    return _night(row, report, tuple(_stage(stage) for stage in stages))


def read_last(db: sqlite_utils.Database) -> Night | None:
    """The newest night, running or ended."""
    row = next(db.query("SELECT id FROM nights ORDER BY id DESC LIMIT 1"), None)
    return read_night(db, row["id"]) if row else None


def read_nights(db: sqlite_utils.Database) -> list[Night]:
    """All nights, oldest first."""
    rows = list(db.query("SELECT id FROM nights ORDER BY id"))
    return [night for row in rows if (night := read_night(db, row["id"])) is not None]


def read_history(db: sqlite_utils.Database, limit: int) -> list[Night]:
    """The newest nights, oldest first, without stages and reports."""
    columns = "id, state, effort, seed, practice, started_at, ended_at, verdict, reason, version_id, pid, taken_at"
    rows = db.query(f"SELECT {columns}, {ROLLED_BACK} FROM nights ORDER BY id DESC LIMIT ?", [limit])
    return [_night(row, None, ()) for row in rows][::-1]


def read_log(db: sqlite_utils.Database, night_id: str, limit: int) -> list[tuple[str, str]]:
    """The newest lines of a night's log as (time, text), oldest first."""
    rows = db.query(
        "SELECT created_at, text FROM night_log WHERE night_id = ? ORDER BY id DESC LIMIT ?", [night_id, limit]
    )
    return [(row["created_at"], row["text"]) for row in rows][::-1]


def read_curves(db: sqlite_utils.Database, night_id: str) -> Curves:
    """Every point a night recorded, in order of steps."""
    found: Curves = {}
    for row in db.query(
        "SELECT stage, name, step, value FROM night_metrics WHERE night_id = ? ORDER BY stage, name, step", [night_id]
    ):
        found.setdefault(row["stage"], {}).setdefault(row["name"], []).append((row["step"], row["value"]))
    return found


def read_usual_seconds(db: sqlite_utils.Database, effort: str) -> dict[str, float]:
    """Stage -> seconds of the newest night of this effort that went through all its stages."""
    rows = db.query(
        """SELECT name, seconds FROM night_stages WHERE seconds IS NOT NULL AND night_id = (
            SELECT n.id FROM nights n JOIN night_stages s ON s.night_id = n.id
            WHERE n.effort = ? AND n.state = 'done' AND s.name = ? AND s.state = 'done' ORDER BY n.id DESC LIMIT 1
        )""",
        [effort, LAST_STAGE],
    )
    return {row["name"]: row["seconds"] for row in rows}


def _night(row: dict[str, Any], report: dict[str, Any] | None, stages: tuple[Stage, ...]) -> Night:
    return Night(
        id=row["id"],
        state=NightState(row["state"]),
        effort=row["effort"],
        seed=row["seed"],
        practice=bool(row["practice"]),
        started_at=row["started_at"],
        ended_at=row["ended_at"],
        verdict=VerdictKind(row["verdict"]) if row["verdict"] else None,
        reason=row["reason"],
        version_id=row["version_id"],
        report=report,
        stages=stages,
        pid=row["pid"],
        taken_at=row["taken_at"],
        rolled_back=json.loads(row["rolled_back"]) if row["rolled_back"] else None,
    )


def _stage(row: dict[str, Any]) -> Stage:
    return Stage(
        name=row["name"],
        state=NightState(row["state"]),
        started_at=row["started_at"],
        seconds=row["seconds"],
        progress=row["progress"],
        detail=row["detail"],
    )
