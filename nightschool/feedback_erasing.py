"""Deleting for good: one item of feedback, or everything of a person. Part of the feedback store.

Guarantees
- Whatever refers to a deleted row, by the foreign keys of the schema, is deleted with it: also rows of tables that
  this module does not know by name.
- The ids of deleted judgements stay in `erased_sources`: by their receipts the versions that learned from them are
  found. They are random and say nothing of the person.
- Full-text indexes are merged into one piece: a deleted row's words stay in the pieces until then. The caller empties
  the WAL.
"""

import json
from collections import defaultdict

import sqlite_utils

from nightschool.browsing import Erasure, FeedbackKind
from nightschool.errors import BadInput
from nightschool.ids import utc_now

TABLES = {
    FeedbackKind.THUMB: "thumbs",
    FeedbackKind.DUEL: "duels",
    FeedbackKind.RANKING: "rankings",
    FeedbackKind.CORRECTION: "corrections",
}
SAME_MATTER = {
    FeedbackKind.THUMB: "reply_id",
    FeedbackKind.DUEL: "id",
    FeedbackKind.RANKING: "question_id",
    FeedbackKind.CORRECTION: "reply_id",
}
"""Rows of one person that agree in this column are one matter: the vote that counts, and its history."""

Marked = dict[str, set[int]]
"""Table -> row numbers."""


def erase_item(db: sqlite_utils.Database, kind: FeedbackKind, item_id: str, person_id: str | None) -> Erasure:
    """Delete one item with its history; an imported one, or one of the Rank page, with the conversation made for it.

    `person_id` None: whosever it is. Raises `BadInput` when there is none of that id, or it is somebody else's.
    """
    item = next(
        db.query(
            "SELECT * FROM feedback_items WHERE kind = ? AND id = ? AND (? IS NULL OR person_id = ?)",
            [kind, item_id, person_id, person_id],
        ),
        None,
    )
    if item is None:
        raise BadInput("This feedback is not yours or does not exist any more; reload the page.")
    if item["imported"] or _is_of_round(db, item["conversation_id"]):
        return _erase(db, {"conversations": _rowids(db, "conversations", "id", [item["conversation_id"]])})
    table, column = TABLES[kind], SAME_MATTER[kind]
    rows = db.query(
        f"""SELECT other.rowid AS number FROM {table} this
            JOIN {table} other ON other.{column} = this.{column} AND other.person_id = this.person_id
            WHERE this.id = ?""",
        [item_id],
    )
    return _erase(db, {table: {row["number"] for row in rows}})


def erase_person(db: sqlite_utils.Database, person_id: str) -> Erasure:
    """Delete a person and all that is theirs. Raises `BadInput` while an answer of theirs is being written."""
    writing = db.execute(
        """SELECT count(*) FROM replies r
           JOIN messages m ON m.id = r.id JOIN conversations c ON c.id = m.conversation_id
           WHERE c.person_id = ? AND r.status = 'streaming'""",
        [person_id],
    ).fetchone()[0]
    if writing:
        raise BadInput("An answer of yours is still being written; stop it or wait for its end, then delete again.")
    return _erase(db, {"people": _rowids(db, "people", "id", [person_id])})


def _erase(db: sqlite_utils.Database, first: Marked) -> Erasure:
    db.execute("PRAGMA defer_foreign_keys = ON")  # until the commit: rows refer to each other in circles
    marked = _with_all_that_refers_to_it(db, first)
    versions = _note_sources(db, marked)
    indexes = db.table_names(fts5=True)
    for table, numbers in marked.items():
        db.execute(f"DELETE FROM {table} WHERE rowid IN (SELECT value FROM json_each(?))", [json.dumps([*numbers])])
        if (index := f"{table}_fts") in indexes:
            db.execute(f"INSERT INTO [{index}]([{index}]) VALUES ('optimize')")
    return Erasure({table: len(numbers) for table, numbers in marked.items()}, versions)


def _with_all_that_refers_to_it(db: sqlite_utils.Database, first: Marked) -> Marked:
    """The rows, and all that refer to one of them, directly or through others."""
    keys = [(table.name, key) for table in db.tables for key in table.foreign_keys]
    marked: defaultdict[str, set[int]] = defaultdict(set)
    waiting = [(table, numbers) for table, numbers in first.items() if numbers]
    while waiting:
        parent, numbers = waiting.pop()
        marked[parent] |= numbers
        for child, key in keys:
            if key.other_table == parent:
                rows = db.query(
                    f"""SELECT child.rowid AS number FROM [{parent}] parent
                        JOIN [{child}] child ON child.[{key.column}] = parent.[{key.other_column}]
                        WHERE parent.rowid IN (SELECT value FROM json_each(?))""",
                    [json.dumps([*numbers])],
                )
                if new := {row["number"] for row in rows} - marked[child]:
                    waiting.append((child, new))
    return {table: numbers for table, numbers in marked.items() if numbers}


def _is_of_round(db: sqlite_utils.Database, conversation_id: str) -> bool:
    """Whether the Rank page made the conversation: without its round it would be taken for one of the chat."""
    found = db.execute("SELECT 1 FROM ranking_rounds WHERE conversation_id = ?", [conversation_id]).fetchone()
    return found is not None


def _rowids(db: sqlite_utils.Database, table: str, column: str, values: list[str]) -> set[int]:
    rows = db.query(
        f"SELECT rowid AS number FROM {table} WHERE {column} IN (SELECT value FROM json_each(?))", [json.dumps(values)]
    )
    return {row["number"] for row in rows}


def _note_sources(db: sqlite_utils.Database, marked: Marked) -> tuple[str, ...]:
    """Keep the ids of the judgements among the marked rows; the versions that were made from them."""
    versions: set[str] = set()
    for kind, table in TABLES.items():
        chosen = f"(SELECT id FROM {table} WHERE rowid IN (SELECT value FROM json_each(?)))"
        numbers = json.dumps([*marked.get(table, ())])
        db.execute(f"INSERT OR IGNORE INTO erased_sources SELECT ?, id, ? FROM {chosen}", [kind, utc_now(), numbers])
        rows = db.query(
            f"SELECT DISTINCT version_id FROM receipts WHERE source_kind = ? AND source_id IN {chosen}", [kind, numbers]
        )
        versions |= {row["version_id"] for row in rows}
    return tuple(sorted(versions))
