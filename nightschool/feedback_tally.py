"""How much has been judged, counted in SQL: what pages tell of the next night. Part of the feedback store."""

import sqlite_utils

from nightschool.records import Tally

# Kinds and weights as `training.receipts` gives them; tests/test_needs.py compares the two.
_JUDGED = """
    SELECT 'duel' AS kind, id, person_id, conversation_id, 1.0 AS facts FROM duels WHERE outcome IS NOT NULL
    UNION ALL
    SELECT 'thumb', t.id, t.person_id, m.conversation_id, 0.5
    FROM thumbs t JOIN messages m ON m.id = t.reply_id WHERE t.replaced_at IS NULL
    UNION ALL
    SELECT 'correction', k.id, k.person_id, m.conversation_id, 0.5
    FROM corrections k JOIN messages m ON m.id = k.reply_id WHERE k.replaced_at IS NULL
    UNION ALL
    SELECT 'ranking', id, person_id, conversation_id,
           (SELECT count(*) - 1.0 FROM ranked_replies WHERE ranking_id = this.id)
    FROM rankings this WHERE id = (
        SELECT max(id) FROM rankings
        WHERE question_id = this.question_id AND person_id = this.person_id AND undone_at IS NULL
    )"""


def read_tally(db: sqlite_utils.Database) -> Tally:
    """Everything that counts now, of people who consent to being learned from, in what they did not delete."""
    row = next(
        db.query(
            f"""SELECT coalesce(sum(facts), 0) AS facts,
                    count(*) FILTER (WHERE (kind, id) NOT IN (SELECT source_kind, source_id FROM used_sources)) AS new
                FROM ({_JUDGED}) WHERE person_id IN (SELECT id FROM people WHERE consent = 1)
                AND conversation_id IN (SELECT id FROM conversations WHERE deleted_at IS NULL)"""
        )
    )
    return Tally(float(row["facts"]), int(row["new"]))


def read_fingerprint(db: sqlite_utils.Database) -> str:
    """A text that changes when what the next night would read changes: what counts now, of whom, and what is used up.

    Cheap enough for a look every few seconds.
    """
    row = next(
        db.query(
            f"""SELECT (SELECT group_concat(kind || ' ' || number || ' ' || newest, ',') FROM (
                    SELECT kind, count(*) AS number, max(id) AS newest FROM ({_JUDGED})
                    WHERE person_id IN (SELECT id FROM people WHERE consent = 1)
                    AND conversation_id IN (SELECT id FROM conversations WHERE deleted_at IS NULL) GROUP BY kind
                )) AS judged,
                (SELECT count(*) FROM used_sources) AS used,
                (SELECT count(*) || ' ' || count(retired_at) FROM versions) AS versions,
                (SELECT count(*) FROM erased_sources) AS erased"""
        )
    )
    return "|".join(str(value) for value in row.values())
