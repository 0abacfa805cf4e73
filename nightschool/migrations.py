"""What `feedback.db` holds: its tables, indexes, triggers and views, as numbered migrations.

They are append-only, and a released one is never edited: `nightschool/schema.py` applies those a file has not had, each
in a transaction.
"""

import sqlite_utils
from sqlite_utils.migrations import Migrations

from nightschool.ids import utc_now
from nightschool.records import INITIAL

SEARCHED = (("conversations", "title"), ("messages", "text"), ("corrections", "text"))
"""(table, column) pairs that have a full-text index; `VACUUM` may renumber rows, so rebuild the indexes after one."""

migrations = Migrations("nightschool")


@migrations(name="0001_people_and_conversations")
def _people_and_conversations(db: sqlite_utils.Database) -> None:
    db.execute("CREATE TABLE people (id TEXT PRIMARY KEY, created_at TEXT NOT NULL) STRICT")
    db.execute(
        """CREATE TABLE conversations (
            id TEXT PRIMARY KEY,
            person_id TEXT NOT NULL REFERENCES people(id),
            title TEXT NOT NULL,
            created_at TEXT NOT NULL,
            leaf_id TEXT REFERENCES messages(id)
        ) STRICT"""
    )
    db.execute(
        """CREATE TABLE messages (
            id TEXT PRIMARY KEY,
            conversation_id TEXT NOT NULL REFERENCES conversations(id),
            parent_id TEXT REFERENCES messages(id),
            role TEXT NOT NULL CHECK (role IN ('system', 'user', 'assistant')),
            text TEXT NOT NULL,
            created_at TEXT NOT NULL
        ) STRICT"""
    )
    # A reply is the assistant message of the same id, with what is needed to draw it again.
    db.execute(
        """CREATE TABLE replies (
            id TEXT PRIMARY KEY REFERENCES messages(id),
            version TEXT REFERENCES versions(id),
            temperature REAL,
            max_new_tokens INTEGER,
            seed INTEGER,
            prompt_ids TEXT NOT NULL,
            token_ids TEXT NOT NULL,
            status TEXT NOT NULL CHECK (status IN ('streaming', 'done', 'stopped', 'failed')),
            first_token_seconds REAL,
            seconds REAL
        ) STRICT"""
    )
    db.execute("CREATE INDEX messages_by_conversation ON messages(conversation_id)")
    db.execute("CREATE INDEX messages_by_parent ON messages(parent_id)")
    db.execute("CREATE INDEX conversations_by_person ON conversations(person_id)")


@migrations(name="0002_judgements_of_people")
def _judgements_of_people(db: sqlite_utils.Database) -> None:
    db.execute(
        """CREATE TABLE thumbs (
            id TEXT PRIMARY KEY,
            reply_id TEXT NOT NULL REFERENCES replies(id),
            person_id TEXT NOT NULL REFERENCES people(id),
            value TEXT NOT NULL CHECK (value IN ('up', 'down')),
            created_at TEXT NOT NULL,
            replaced_at TEXT
        ) STRICT"""
    )
    # One active thumb per person and reply; the earlier ones stay as history.
    db.execute("CREATE UNIQUE INDEX one_active_thumb ON thumbs(reply_id, person_id) WHERE replaced_at IS NULL")
    db.execute(
        """CREATE TABLE duels (
            id TEXT PRIMARY KEY,
            conversation_id TEXT NOT NULL REFERENCES conversations(id),
            question_id TEXT NOT NULL REFERENCES messages(id),
            person_id TEXT NOT NULL REFERENCES people(id),
            left_reply TEXT NOT NULL REFERENCES replies(id),
            right_reply TEXT NOT NULL REFERENCES replies(id),
            created_at TEXT NOT NULL,
            outcome TEXT CHECK (outcome IN ('left', 'right', 'tie', 'both_bad')),
            decided_at TEXT,
            import_key TEXT UNIQUE
        ) STRICT"""
    )
    db.execute("CREATE INDEX duels_by_conversation ON duels(conversation_id)")


@migrations(name="0003_versions_and_nights")
def _versions_and_nights(db: sqlite_utils.Database) -> None:
    db.execute(
        """CREATE TABLE versions (
            id TEXT PRIMARY KEY,
            parent_id TEXT REFERENCES versions(id),
            created_at TEXT NOT NULL,
            night_id TEXT REFERENCES nights(id),
            base_fingerprint TEXT,
            manifest_sha256 TEXT,
            verdict TEXT
        ) STRICT"""
    )
    db.execute(
        """CREATE TABLE champion (
            only INTEGER PRIMARY KEY CHECK (only = 1),
            version_id TEXT NOT NULL REFERENCES versions(id)
        ) STRICT"""
    )
    db.execute(
        """CREATE TABLE promotions (
            id TEXT PRIMARY KEY,
            version_id TEXT NOT NULL REFERENCES versions(id),
            previous_id TEXT NOT NULL REFERENCES versions(id),
            reason TEXT NOT NULL,
            created_at TEXT NOT NULL
        ) STRICT"""
    )
    db.execute(
        """CREATE TABLE nights (
            id TEXT PRIMARY KEY,
            state TEXT NOT NULL CHECK (state IN ('running', 'done', 'failed', 'interrupted')),
            effort TEXT NOT NULL,
            seed INTEGER NOT NULL,
            practice INTEGER NOT NULL CHECK (practice IN (0, 1)),
            started_at TEXT NOT NULL,
            ended_at TEXT,
            verdict TEXT,
            reason TEXT NOT NULL DEFAULT '',
            version_id TEXT REFERENCES versions(id),
            report TEXT
        ) STRICT"""
    )
    db.execute(
        """CREATE TABLE night_stages (
            night_id TEXT NOT NULL REFERENCES nights(id),
            position INTEGER NOT NULL,
            name TEXT NOT NULL,
            state TEXT NOT NULL CHECK (state IN ('running', 'done', 'failed', 'interrupted')),
            started_at TEXT NOT NULL,
            seconds REAL,
            progress REAL NOT NULL DEFAULT 0,
            detail TEXT NOT NULL DEFAULT '',
            PRIMARY KEY (night_id, position)
        ) STRICT"""
    )
    db.execute(
        """CREATE TABLE night_log (
            id TEXT PRIMARY KEY,
            night_id TEXT NOT NULL REFERENCES nights(id),
            created_at TEXT NOT NULL,
            text TEXT NOT NULL
        ) STRICT"""
    )
    db.execute(
        """CREATE TABLE night_metrics (
            night_id TEXT NOT NULL REFERENCES nights(id),
            stage TEXT NOT NULL,
            step INTEGER NOT NULL,
            name TEXT NOT NULL,
            value REAL NOT NULL,
            PRIMARY KEY (night_id, stage, step, name)
        ) STRICT"""
    )
    # Which judgements of people made a version.
    db.execute(
        """CREATE TABLE receipts (
            version_id TEXT NOT NULL REFERENCES versions(id),
            source_kind TEXT NOT NULL,
            source_id TEXT NOT NULL,
            PRIMARY KEY (version_id, source_kind, source_id)
        ) STRICT"""
    )
    db.table("versions").insert({"id": INITIAL, "created_at": utc_now()})
    db.table("champion").insert({"only": 1, "version_id": INITIAL})


@migrations(name="0004_views_for_any_sqlite_tool")
def _views(db: sqlite_utils.Database) -> None:
    db.execute(
        """CREATE VIEW preference_pairs AS
        SELECT d.id AS duel_id, d.person_id, q.text AS question,
               CASE d.outcome WHEN 'left' THEN l.text ELSE r.text END AS chosen,
               CASE d.outcome WHEN 'left' THEN r.text ELSE l.text END AS rejected,
               CASE d.outcome WHEN 'left' THEN lr.version ELSE rr.version END AS chosen_version,
               CASE d.outcome WHEN 'left' THEN rr.version ELSE lr.version END AS rejected_version,
               d.decided_at
        FROM duels d
        JOIN messages q ON q.id = d.question_id
        JOIN messages l ON l.id = d.left_reply JOIN replies lr ON lr.id = d.left_reply
        JOIN messages r ON r.id = d.right_reply JOIN replies rr ON rr.id = d.right_reply
        WHERE d.outcome IN ('left', 'right')"""
    )
    db.execute(
        """CREATE VIEW unpaired_thumbs AS
        SELECT t.id AS thumb_id, t.person_id, q.text AS question, m.text AS reply, r.version, t.value, t.created_at
        FROM thumbs t
        JOIN replies r ON r.id = t.reply_id
        JOIN messages m ON m.id = t.reply_id
        LEFT JOIN messages q ON q.id = m.parent_id
        WHERE t.replaced_at IS NULL"""
    )


@migrations(name="0005_rankings_corrections_consent_sides")
def _rankings_corrections_consent_sides(db: sqlite_utils.Database) -> None:
    db.execute(
        """CREATE TABLE rankings (
            id TEXT PRIMARY KEY,
            conversation_id TEXT NOT NULL REFERENCES conversations(id),
            question_id TEXT NOT NULL REFERENCES messages(id),
            person_id TEXT NOT NULL REFERENCES people(id),
            created_at TEXT NOT NULL
        ) STRICT"""
    )
    # Every ranking is kept; the newest one of a person and question counts, and this index finds it.
    db.execute("CREATE INDEX rankings_by_question ON rankings(question_id, person_id, id)")
    db.execute(
        """CREATE TABLE ranked_replies (
            ranking_id TEXT NOT NULL REFERENCES rankings(id),
            reply_id TEXT NOT NULL REFERENCES replies(id),
            rank INTEGER NOT NULL CHECK (rank >= 1),
            PRIMARY KEY (ranking_id, reply_id)
        ) STRICT"""
    )
    db.execute(
        """CREATE TABLE corrections (
            id TEXT PRIMARY KEY,
            reply_id TEXT NOT NULL REFERENCES replies(id),
            person_id TEXT NOT NULL REFERENCES people(id),
            text TEXT NOT NULL,
            token_ids TEXT NOT NULL,
            created_at TEXT NOT NULL,
            replaced_at TEXT
        ) STRICT"""
    )
    # One active correction per person and reply, as with thumbs; the earlier ones stay as history.
    db.execute(
        "CREATE UNIQUE INDEX one_active_correction ON corrections(reply_id, person_id) WHERE replaced_at IS NULL"
    )
    # Whether what a person says and judges may be learned from.
    db.execute("ALTER TABLE people ADD COLUMN consent INTEGER NOT NULL DEFAULT 1 CHECK (consent IN (0, 1))")
    # Where a night put a conversation, so that no later exam asks what an earlier night trained on.
    db.execute(
        """CREATE TABLE split_sides (
            conversation_id TEXT PRIMARY KEY REFERENCES conversations(id),
            side TEXT NOT NULL CHECK (side IN ('train', 'validation', 'exam')),
            decided_at TEXT NOT NULL
        ) STRICT"""
    )


@migrations(name="0006_ended_sessions")
def _ended_sessions(db: sqlite_utils.Database) -> None:
    # Logged out: the cookie is still signed, and must not be accepted any more.
    db.execute("CREATE TABLE ended_sessions (id TEXT PRIMARY KEY, ended_at TEXT NOT NULL) STRICT")


@migrations(name="0007_kept_conversations_reasons_search")
def _kept_conversations_reasons_search(db: sqlite_utils.Database) -> None:
    # A deleted conversation can be had back; until then it is as good as missing, for people and for nights.
    db.execute("ALTER TABLE conversations ADD COLUMN deleted_at TEXT")
    # How a conversation is answered; NULL: as the owner has set it.
    db.execute("ALTER TABLE conversations ADD COLUMN system_prompt TEXT NOT NULL DEFAULT ''")
    db.execute("ALTER TABLE conversations ADD COLUMN temperature REAL")
    db.execute("ALTER TABLE conversations ADD COLUMN max_new_tokens INTEGER")
    # Why a thumb: a JSON list of keys, and the person's own words.
    db.execute("ALTER TABLE thumbs ADD COLUMN reasons TEXT NOT NULL DEFAULT '[]'")
    db.execute("ALTER TABLE thumbs ADD COLUMN comment TEXT NOT NULL DEFAULT ''")
    # When a duel ended without a decision: the person declined, or there was nothing to compare.
    db.execute("ALTER TABLE duels ADD COLUMN closed_at TEXT")
    db.execute("CREATE INDEX messages_by_place ON messages(conversation_id, parent_id)")
    # The views leave out what people deleted.
    for view, message in (("preference_pairs", "q"), ("unpaired_thumbs", "m")):
        [sql] = db.execute("SELECT sql FROM sqlite_master WHERE type = 'view' AND name = ?", [view]).fetchone()
        kept = f"JOIN conversations c ON c.id = {message}.conversation_id AND c.deleted_at IS NULL"
        db.execute(f"DROP VIEW {view}")
        db.execute(sql.replace("\n        WHERE ", f"\n        {kept}\n        WHERE ", 1))
    # Indexes of three letters in a row, for Chinese too. Named as sqlite-utils names them, but made statement by
    # statement: its `enable_fts` would commit in the middle of the migration.
    for table, column in SEARCHED:
        db.execute(f"""CREATE VIRTUAL TABLE {table}_fts USING fts5 ({column}, tokenize='trigram', content="{table}")""")
        gone = f"INSERT INTO {table}_fts ({table}_fts, rowid, {column}) VALUES ('delete', old.rowid, old.{column});"
        new = f"INSERT INTO {table}_fts (rowid, {column}) VALUES (new.rowid, new.{column});"
        db.execute(f"CREATE TRIGGER {table}_ai AFTER INSERT ON {table} BEGIN {new} END")
        db.execute(f"CREATE TRIGGER {table}_ad AFTER DELETE ON {table} BEGIN {gone} END")
        db.execute(f"CREATE TRIGGER {table}_au AFTER UPDATE OF {column} ON {table} BEGIN {gone} {new} END")
        db.execute(f"INSERT INTO {table}_fts ({table}_fts) VALUES ('rebuild')")


@migrations(name="0008_ranking_rounds")
def _ranking_rounds(db: sqlite_utils.Database) -> None:
    # A prompt of the bank put to a person, and what became of it. Its conversation is not of the chat.
    db.execute(
        """CREATE TABLE ranking_rounds (
            id TEXT PRIMARY KEY,
            person_id TEXT NOT NULL REFERENCES people(id) ON DELETE CASCADE,
            conversation_id TEXT NOT NULL REFERENCES conversations(id) ON DELETE CASCADE,
            question_id TEXT NOT NULL REFERENCES messages(id) ON DELETE CASCADE,
            prompt_id TEXT NOT NULL,
            language TEXT NOT NULL,
            created_at TEXT NOT NULL,
            outcome TEXT CHECK (outcome IN ('ranked', 'skipped', 'broken')),
            ended_at TEXT,
            ranking_id TEXT REFERENCES rankings(id) ON DELETE SET NULL
        ) STRICT"""
    )
    db.execute("CREATE INDEX ranking_rounds_by_person ON ranking_rounds(person_id, id)")
    db.execute("CREATE INDEX ranking_rounds_by_conversation ON ranking_rounds(conversation_id)")
    # The replies of a round in the order in which they are first shown.
    db.execute(
        """CREATE TABLE seated_replies (
            round_id TEXT NOT NULL REFERENCES ranking_rounds(id) ON DELETE CASCADE,
            position INTEGER NOT NULL CHECK (position >= 0),
            reply_id TEXT NOT NULL REFERENCES replies(id) ON DELETE CASCADE,
            PRIMARY KEY (round_id, position)
        ) STRICT"""
    )
    # A ranking that its person took back: it stays as history, the night does not read it.
    db.execute("ALTER TABLE rankings ADD COLUMN undone_at TEXT")


@migrations(name="0009_browsing_and_erasing_feedback")
def _browsing_and_erasing_feedback(db: sqlite_utils.Database) -> None:
    # Same line of an imported file, same key: a second import of one file adds nothing.
    db.execute("ALTER TABLE thumbs ADD COLUMN import_key TEXT")
    db.execute("CREATE UNIQUE INDEX one_import_per_thumb ON thumbs(import_key)")
    for table in ("thumbs", "duels", "rankings", "corrections"):
        db.execute(f"CREATE INDEX {table}_by_person ON {table}(person_id)")
    # Every act of judging that counts; what was replaced or ranked anew is history, as a night sees it too.
    kept = "IN (SELECT id FROM conversations WHERE deleted_at IS NULL)"
    db.execute(
        f"""CREATE VIEW feedback_items AS
        SELECT 'thumb' AS kind, t.id, t.person_id, t.created_at AS judged_at, m.conversation_id,
               m.parent_id AS question_id, t.value AS outcome, t.import_key IS NOT NULL AS imported
        FROM thumbs t JOIN messages m ON m.id = t.reply_id
        WHERE t.replaced_at IS NULL AND m.conversation_id {kept}
        UNION ALL
        SELECT 'duel', d.id, d.person_id, d.decided_at, d.conversation_id, d.question_id, d.outcome,
               d.import_key IS NOT NULL
        FROM duels d
        WHERE d.outcome IN ('left', 'right', 'tie', 'both_bad') AND d.conversation_id {kept}
        UNION ALL
        SELECT 'ranking', r.id, r.person_id, r.created_at, r.conversation_id, r.question_id, '', 0
        FROM rankings r
        WHERE r.conversation_id {kept} AND r.id = (
            SELECT max(id) FROM rankings
            WHERE question_id = r.question_id AND person_id = r.person_id AND undone_at IS NULL
        )
        UNION ALL
        SELECT 'correction', c.id, c.person_id, c.created_at, m.conversation_id, m.parent_id, '', 0
        FROM corrections c JOIN messages m ON m.id = c.reply_id
        WHERE c.replaced_at IS NULL AND m.conversation_id {kept}"""
    )
    # The answers each of them is about.
    db.execute(
        """CREATE VIEW judged_replies AS
        SELECT 'thumb' AS kind, id, reply_id, value AS mark FROM thumbs
        UNION ALL SELECT 'duel', id, left_reply, 'left' FROM duels
        UNION ALL SELECT 'duel', id, right_reply, 'right' FROM duels
        UNION ALL SELECT 'ranking', ranking_id, reply_id, CAST(rank AS TEXT) FROM ranked_replies
        UNION ALL SELECT 'correction', id, reply_id, '' FROM corrections"""
    )
    # What people wrote about them themselves.
    db.execute(
        """CREATE VIEW feedback_words AS
        SELECT 'correction' AS kind, id, text FROM corrections
        UNION ALL SELECT 'thumb', id, comment FROM thumbs"""
    )
    # What was deleted for good: ids only, so that versions which learned from it can be found by their receipts.
    db.execute(
        """CREATE TABLE erased_sources (
            source_kind TEXT NOT NULL,
            source_id TEXT NOT NULL,
            erased_at TEXT NOT NULL,
            PRIMARY KEY (source_kind, source_id)
        ) STRICT"""
    )


@migrations(name="0010_retired_versions_and_nightly_dates")
def _retired_versions_and_nightly_dates(db: sqlite_utils.Database) -> None:
    # When a version was taken out of service for good, because judgements that made it were deleted.
    db.execute("ALTER TABLE versions ADD COLUMN retired_at TEXT")
    db.execute("CREATE INDEX receipts_by_source ON receipts(source_kind, source_id)")
    # The local dates of which the timetable has decided: one row, one night at most.
    db.execute(
        """CREATE TABLE nightly_dates (
            local_date TEXT PRIMARY KEY,
            clock TEXT NOT NULL,
            zone TEXT NOT NULL,
            due_at TEXT NOT NULL,
            decided_at TEXT NOT NULL,
            outcome TEXT NOT NULL
        ) STRICT"""
    )


@migrations(name="0011_probations")
def _probations(db: sqlite_utils.Database) -> None:
    # A version that people watch beside its rival; open while nobody knows how it ends.
    db.execute(
        """CREATE TABLE probations (
            version_id TEXT PRIMARY KEY REFERENCES versions(id),
            rival_id TEXT NOT NULL REFERENCES versions(id),
            started_at TEXT NOT NULL,
            ended_at TEXT,
            fate TEXT CHECK (fate IN ('promoted', 'rolled_back', 'ended')),
            reason TEXT NOT NULL DEFAULT '',
            reason_zh TEXT NOT NULL DEFAULT ''
        ) STRICT"""
    )
    db.execute("CREATE UNIQUE INDEX one_open_probation ON probations((1)) WHERE ended_at IS NULL")
    # The judgements that nights learned from to good effect; what a retired version learned is to be learned anew.
    db.execute(
        """CREATE VIEW used_sources AS
        SELECT DISTINCT r.source_kind, r.source_id FROM receipts r JOIN versions v ON v.id = r.version_id
        WHERE v.retired_at IS NULL AND (
            v.verdict IN ('promoted', 'probation')
            OR v.id IN (SELECT version_id FROM promotions UNION SELECT version_id FROM probations)
        )"""
    )


@migrations(name="0012_the_process_of_a_night")
def _the_process_of_a_night(db: sqlite_utils.Database) -> None:
    # Which process works on a night, and since when: at first, or to resume it.
    db.execute("ALTER TABLE nights ADD COLUMN pid INTEGER")
    db.execute("ALTER TABLE nights ADD COLUMN taken_at TEXT")


@migrations(name="0013_tried_versions")
def _tried_versions(db: sqlite_utils.Database) -> None:
    # The version that the owner tries in a conversation; NULL: whichever answers everybody.
    db.execute("ALTER TABLE conversations ADD COLUMN tried_version TEXT REFERENCES versions(id)")


@migrations(name="0014_nightly_clock")
def _nightly_clock(db: sqlite_utils.Database) -> None:
    # The nightly time that the owner chose on the page; NULL: no night begins by itself.
    db.execute(
        """CREATE TABLE nightly_clock (
            id INTEGER PRIMARY KEY CHECK (id = 1),
            clock TEXT,
            chosen_at TEXT NOT NULL
        ) STRICT"""
    )
