"""A database of an earlier NightSchool is brought up to date when it is opened, and loses nothing."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import sqlite_utils

from nightschool.feedback import FeedbackStore
from nightschool.migrations import migrations
from nightschool.schema import FeedbackDatabase

OLD_ROWS: dict[str, dict[str, object]] = {
    "people": {"id": "ann", "created_at": "t0"},
    "nights": {"id": "n", "state": "done", "effort": "quick", "seed": 7, "practice": 0, "started_at": "t1"},
    "versions": {"id": "v", "parent_id": "initial", "created_at": "t2", "night_id": "n", "verdict": "promoted"},
    "promotions": {"id": "pr", "version_id": "v", "previous_id": "initial", "reason": "better", "created_at": "t3"},
    "night_stages": {"night_id": "n", "position": 0, "name": "exam", "state": "done", "started_at": "t1"},
    "night_log": {"id": "nl", "night_id": "n", "created_at": "t1", "text": "slept well"},
    "night_metrics": {"night_id": "n", "stage": "exam", "step": 1, "name": "score", "value": 0.5},
    "receipts": {"version_id": "v", "source_kind": "duel", "source_id": "d"},
    "conversations": {"id": "c", "person_id": "ann", "title": "Magnets", "created_at": "t4"},
    "messages": {"id": "q", "conversation_id": "c", "role": "user", "text": "Magnets?", "created_at": "t5"},
}
OLD_REPLIES = ("l", "r")


def write_old_database(path: Path) -> None:
    """A database as before rankings came (migrations 0001 to 0004), with a row in every table."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA foreign_keys=ON")
        old = sqlite_utils.Database(connection, strict=True)
        migrations.apply(old, stop_before="0005_rankings_corrections_consent_sides")
        for table, row in OLD_ROWS.items():
            old.table(table).insert(row)
        for reply in OLD_REPLIES:
            message = {"id": reply, "conversation_id": "c", "parent_id": "q", "role": "assistant", "text": f"{reply}!"}
            old.table("messages").insert({**message, "created_at": "t6"})
            old.table("replies").insert(
                {"id": reply, "version": "v", "prompt_ids": "[1]", "token_ids": "[2]", "status": "done"}
            )
        judged = {
            "conversation_id": "c",
            "question_id": "q",
            "person_id": "ann",
            "created_at": "t7",
            "decided_at": "t8",
        }
        old.table("duels").insert({**judged, "id": "d", "left_reply": "l", "right_reply": "r", "outcome": "left"})
        thumb = {"reply_id": "l", "person_id": "ann", "created_at": "t9"}
        old.table("thumbs").insert({**thumb, "id": "t0", "value": "up", "replaced_at": "t9"})
        old.table("thumbs").insert({**thumb, "id": "t", "value": "down"})
        old.conn.commit()


def contents(path: Path) -> dict[str, list[dict[str, object]]]:
    """Every row of every table and view but the list of migrations."""
    with closing(sqlite3.connect(path)) as connection:
        database = sqlite_utils.Database(connection)
        names = [name for name in database.table_names() + database.view_names() if not name.startswith("_sqlite")]
        return {name: list(database.query(f"SELECT * FROM {name}")) for name in names}


def test_a_database_from_before_rankings_is_brought_up_to_date_without_a_loss(tmp_path: Path) -> None:
    path = tmp_path / "feedback.db"
    write_old_database(path)
    before = contents(path)
    assert len(before) == 14 + 2  # tables and views, none of them empty
    assert all(before.values())
    FeedbackDatabase(path).close()
    after = contents(path)
    assert [row["consent"] for row in after["people"]] == [1]
    for name, rows in before.items():  # later columns may stand beside the old ones
        assert [{column: row[column] for column in old} for old, row in zip(rows, after[name], strict=True)] == rows
    assert {(row["kind"], row["id"]) for row in after["feedback_items"]} == {("thumb", "t"), ("duel", "d")}
    assert after["judged_replies"]
    assert after["feedback_words"]
    added = {"rankings", "ranked_replies", "corrections", "split_sides", "ranking_rounds", "seated_replies"}
    added |= {"ended_sessions", "erased_sources", "probations", "nightly_dates", "nightly_clock"}
    assert {name: after[name] for name in added} == {name: [] for name in added}
    with closing(FeedbackDatabase(path)) as database:
        [found] = FeedbackStore(database).search("ann", "magnets")  # written before there was a search
        assert found.conversation.id == "c"
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []


def test_judgements_from_before_rankings_are_read_and_new_ones_join_them(tmp_path: Path) -> None:
    path = tmp_path / "feedback.db"
    write_old_database(path)
    with closing(FeedbackDatabase(path)) as database:
        store = FeedbackStore(database)
        assert store.consent("ann")
        ranking = store.rank("ann", ["r", "l"], [1, 2])
        correction = store.correct("l", "ann", "better", [3])
        snapshot = store.snapshot()
    assert [(duel.id, duel.left.text) for duel in snapshot.duels] == [("d", "l!")]
    assert [(thumb.id, thumb.value, thumb.question_id) for thumb in snapshot.thumbs] == [("t", "down", "q")]
    assert [each.id for each in (*snapshot.rankings, *snapshot.corrections)] == [ranking, correction]
    assert snapshot.openings == {"c": "Magnets?"}


def add_one_row_to_each_new_table(path: Path, wrong: dict[str, dict[str, object]]) -> None:
    """Rows that keep every rule, but for the columns named in `wrong`."""
    judged = {"person_id": "ann", "created_at": "t"}
    of_bank = {"prompt_id": "en-story-001", "language": "en", "outcome": "ranked", "ranking_id": "k", **judged}
    right: dict[str, dict[str, object]] = {
        "people": {"id": "bob", "created_at": "t", "consent": 0},
        "rankings": {"id": "k", "conversation_id": "c", "question_id": "q", **judged},
        "ranked_replies": {"ranking_id": "k", "reply_id": "l", "rank": 1},
        "corrections": {"id": "x", "reply_id": "l", "text": "better", "token_ids": "[3]", **judged},
        "split_sides": {"conversation_id": "c", "side": "exam", "decided_at": "t"},
        "ranking_rounds": {"id": "g", "conversation_id": "c", "question_id": "q", **of_bank},
        "seated_replies": {"round_id": "g", "position": 0, "reply_id": "l"},
    }
    with closing(FeedbackDatabase(path)) as database, database.write() as db:
        for table, row in right.items():
            db.table(table).insert({**row, **wrong.get(table, {})})


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        ("people", "consent", 2),
        ("people", "consent", None),
        ("rankings", "question_id", "missing"),
        ("rankings", "person_id", "missing"),
        ("ranked_replies", "reply_id", "missing"),
        ("ranked_replies", "rank", 0),
        ("ranked_replies", "rank", 1.5),
        ("corrections", "reply_id", "missing"),
        ("split_sides", "conversation_id", "missing"),
        ("split_sides", "side", "holiday"),
        ("ranking_rounds", "person_id", "missing"),
        ("ranking_rounds", "conversation_id", "missing"),
        ("ranking_rounds", "question_id", "missing"),
        ("ranking_rounds", "outcome", "won"),
        ("ranking_rounds", "ranking_id", "missing"),
        ("seated_replies", "round_id", "missing"),
        ("seated_replies", "reply_id", "missing"),
        ("seated_replies", "position", -1),
    ],
)
def test_a_row_that_breaks_a_rule_of_the_new_tables_is_refused(
    tmp_path: Path, table: str, column: str, value: object
) -> None:
    path = tmp_path / "feedback.db"
    write_old_database(path)
    with pytest.raises(sqlite3.IntegrityError):
        add_one_row_to_each_new_table(path, {table: {column: value}})
    add_one_row_to_each_new_table(path, {})  # it was this column alone that was refused


def test_a_reply_has_one_active_correction_per_person(tmp_path: Path) -> None:
    path = tmp_path / "feedback.db"
    write_old_database(path)
    add_one_row_to_each_new_table(path, {})
    again = {"reply_id": "l", "person_id": "ann", "text": "best", "token_ids": "[4]", "created_at": "t"}
    with closing(FeedbackDatabase(path)) as database:
        with database.write() as db:
            db.table("corrections").insert({"id": "y", **again, "replaced_at": "t"})
        with pytest.raises(sqlite3.IntegrityError, match="UNIQUE"), database.write() as db:
            db.table("corrections").insert({"id": "z", **again})
