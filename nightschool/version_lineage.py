"""Which judgements made which versions, and which versions must go when a judgement is deleted. Part of the registry.

A version is tainted when a judgement that made it, or that made a version it grew from, is in the database no more.
Each function works on an open database, inside the caller's transaction where it writes.
"""

import json
from collections import defaultdict
from collections.abc import Collection

import sqlite_utils

from nightschool.ids import utc_now

SOURCE_TABLES = {"duel": "duels", "thumb": "thumbs", "ranking": "rankings", "correction": "corrections"}
"""Kind of a receipt -> the table its judgement is in."""

Source = tuple[str, str]


def receipts_of(db: sqlite_utils.Database, version_id: str) -> list[Source]:
    rows = db.query(
        "SELECT source_kind, source_id FROM receipts WHERE version_id = ? ORDER BY source_kind, source_id", [version_id]
    )
    return [(row["source_kind"], row["source_id"]) for row in rows]


def receipt_counts_of(db: sqlite_utils.Database) -> dict[str, dict[str, int]]:
    found: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for row in db.query("SELECT version_id, source_kind, count(*) AS made FROM receipts GROUP BY 1, 2 ORDER BY 1, 2"):
        found[row["version_id"]][row["source_kind"]] = row["made"]
    return dict(found)


def versions_of(db: sqlite_utils.Database, source_ids: Collection[str]) -> dict[str, tuple[str, ...]]:
    rows = db.query(
        """SELECT r.source_id, r.version_id FROM receipts r JOIN versions v ON v.id = r.version_id
           WHERE r.source_kind IN ('duel', 'thumb', 'ranking', 'correction')
           AND r.source_id IN (SELECT value FROM json_each(?)) ORDER BY v.created_at, v.id""",
        [json.dumps(list(source_ids))],
    )
    found: defaultdict[str, list[str]] = defaultdict(list)
    for row in rows:
        found[row["source_id"]].append(row["version_id"])
    return {source: tuple(versions) for source, versions in found.items()}


def line_of(db: sqlite_utils.Database, version_id: str) -> list[str]:
    """A version, the one it grew from, and so on to the initial one."""
    return _line(version_id, _parents(db))


def gone_of(db: sqlite_utils.Database) -> dict[str, set[Source]]:
    """Tainted version -> the judgements behind it that were deleted; versions that are retired already included."""
    own: defaultdict[str, set[Source]] = defaultdict(set)
    for kind, table in SOURCE_TABLES.items():
        rows = db.query(
            f"""SELECT version_id, source_id FROM receipts
                WHERE source_kind = ? AND NOT EXISTS (SELECT 1 FROM {table} t WHERE t.id = source_id)""",
            [kind],
        )
        for row in rows:
            own[row["version_id"]].add((kind, row["source_id"]))
    parents = _parents(db)
    nothing: set[Source] = set()
    found = {version: nothing.union(*(own[each] for each in _line(version, parents))) for version in parents}
    return {version: gone for version, gone in found.items() if gone}


def retire_tainted(db: sqlite_utils.Database) -> tuple[list[str], str | None]:
    """Retire what is tainted: the versions retired now, and the one that is to be champion in place of a retired one.

    What nights told of those versions keeps its numbers; the samples, which are people's words, are removed.
    """
    tainted = gone_of(db)
    serving = {row["id"] for row in db.query("SELECT id FROM versions WHERE retired_at IS NULL")}
    retired = sorted(serving & tainted.keys())
    for version in retired:
        db.execute("UPDATE versions SET retired_at = ? WHERE id = ?", [utc_now(), version])
        db.execute(
            "UPDATE nights SET report = json_remove(report, '$.samples', '$.worst') WHERE version_id = ?", [version]
        )
    champion = db.execute("SELECT version_id FROM champion").fetchone()[0]
    if champion not in retired:
        return retired, None
    return retired, next(version for version in _line(champion, _parents(db)) if version not in tainted)


def rebuild_is_due(db: sqlite_utils.Database) -> bool:
    """Whether the newest version is a tainted one: nothing has taken its place yet."""
    newest = db.execute("SELECT id FROM versions ORDER BY created_at DESC, id DESC LIMIT 1").fetchone()[0]
    return newest in gone_of(db)


def _parents(db: sqlite_utils.Database) -> dict[str, str | None]:
    return {row["id"]: row["parent_id"] for row in db.query("SELECT id, parent_id FROM versions")}


def _line(version: str, parents: dict[str, str | None]) -> list[str]:
    line: list[str] = []
    next_one: str | None = version
    while next_one is not None:
        line.append(next_one)
        next_one = parents[next_one]
    return line
