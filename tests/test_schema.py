"""The database: how it is opened, read and written, by several threads and processes, and when things go wrong."""

import hashlib
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from filelock import FileLock

from nightschool.errors import NewerSchema, StoreError
from nightschool.feedback import FeedbackStore
from nightschool.ids import new_id
from nightschool.schema import FeedbackDatabase
from tests.store_child import __name__ as child_module

HOME = Path(__file__).parent.parent


def start_child(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", child_module, *arguments],
        cwd=HOME,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def pragma(database: FeedbackDatabase, name: str) -> object:
    with database.write() as db:
        return db.execute(f"PRAGMA {name}").fetchone()[0]


def people(database: FeedbackDatabase) -> list[str]:
    return [row["id"] for row in database.read().query("SELECT id FROM people ORDER BY id")]


def add_person(database: FeedbackDatabase, *names: str, then: Exception | None = None) -> None:
    """Add people in one write, and (`then`) fail after the last one."""
    with database.write() as db:
        for name in names:
            db.table("people").insert({"id": name, "created_at": "2026-01-01T00:00:00+00:00"})
        if then is not None:
            raise then


def fingerprints(path: Path) -> dict[str, str]:
    """sha256 of the database and of its write-ahead log (an empty or missing log is the same: nothing to apply)."""
    files = {"db": path, "wal": path.with_name(path.name + "-wal")}
    return {
        name: hashlib.sha256(file.read_bytes() if file.exists() else b"").hexdigest() for name, file in files.items()
    }


def test_a_closed_database_is_whole_in_its_one_file_also_while_other_threads_had_read_it(tmp_path: Path) -> None:
    database = FeedbackDatabase(tmp_path / "feedback.db")
    done, may_go = threading.Event(), threading.Event()

    def read_and_stay() -> None:
        database.read().execute("SELECT count(*) FROM people").fetchone()
        done.set()
        may_go.wait(10)

    reader = threading.Thread(target=read_and_stay)
    reader.start()
    done.wait(10)
    add_person(database, "anna")
    database.close()
    copy = tmp_path / "copy.db"
    copy.write_bytes((tmp_path / "feedback.db").read_bytes())
    with closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("SELECT id FROM people").fetchall() == [("anna",)]
    may_go.set()
    reader.join()


# ---- how it is opened ------------------------------------------------------------------------------------------------


def test_the_writer_keeps_a_write_ahead_log_syncs_fully_and_checks_references(database: FeedbackDatabase) -> None:
    # synchronous: 0 off, 1 normal (a power cut may take the last commits), 2 full
    assert pragma(database, "journal_mode") == "wal"
    assert pragma(database, "synchronous") == 2
    assert pragma(database, "foreign_keys") == 1
    assert pragma(database, "secure_delete") == 1


def test_a_row_that_names_a_missing_row_is_refused(database: FeedbackDatabase) -> None:
    row = {"id": "c", "person_id": "nobody", "title": "", "created_at": ""}
    with pytest.raises(sqlite3.IntegrityError, match="FOREIGN KEY"), database.write() as db:
        db.table("conversations").insert(row)


def test_every_table_is_strict(database: FeedbackDatabase) -> None:
    rows = database.read().execute("PRAGMA table_list").fetchall()  # schema, name, type, columns, without rowid, strict
    strict = {row[1]: row[5] for row in rows if row[2] == "table" and not row[1].startswith(("sqlite_", "_sqlite_"))}
    assert {"people", "messages", "replies", "thumbs", "duels", "versions", "champion", "nights"} <= strict.keys()
    assert {"rankings", "ranked_replies", "corrections", "split_sides"} <= strict.keys()
    assert set(strict.values()) == {1}


def test_a_text_where_a_number_belongs_is_refused(database: FeedbackDatabase) -> None:
    with pytest.raises(sqlite3.IntegrityError, match="cannot store TEXT"), database.write() as db:
        db.execute(
            "INSERT INTO nights (id, state, effort, seed, practice, started_at) "
            "VALUES ('n', 'running', 'quick', 'lucky', 0, '')"
        )


def test_opening_again_keeps_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "er" / "feedback.db"
    with closing(FeedbackDatabase(path)) as database:
        add_person(database, "ann")
    with closing(FeedbackDatabase(path)) as database:
        assert people(database) == ["ann"]


def test_several_processes_may_open_a_fresh_database_at_once(tmp_path: Path) -> None:
    children = [start_child("open") for _ in range(3)]
    try:
        assert [child.stdout.readline() for child in children if child.stdout] == ["ready\n"] * 3
        for attempt in range(4):
            for child in children:
                assert child.stdin
                child.stdin.write(f"{tmp_path / str(attempt) / 'feedback.db'}\n")
                child.stdin.flush()
            said = [child.stdout.readline() for child in children if child.stdout]
            assert said == ["opened\n"] * 3, [child.communicate(timeout=20)[1] for child in children]
        assert [child.communicate(timeout=20) for child in children] == [("", "")] * 3
    finally:
        for child in children:
            child.kill()
            child.communicate()


@pytest.mark.parametrize("log_is_pending", [False, True])
def test_a_database_of_a_newer_night_school_is_refused_and_not_touched(tmp_path: Path, log_is_pending: bool) -> None:
    path = tmp_path / "feedback.db"
    FeedbackDatabase(path).close()
    with closing(sqlite3.connect(path)) as newer:
        newer.execute(
            "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES ('nightschool', '0099_choir', '')"
        )
        newer.commit()
        if not log_is_pending:
            newer.close()  # moves the log into the file
        before = fingerprints(path)
        with pytest.raises(NewerSchema) as refusal:
            FeedbackDatabase(path)
        assert fingerprints(path) == before
    assert "0099_choir" in str(refusal.value)
    assert "update NightSchool" in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_file_that_is_no_database_is_refused_and_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "feedback.db"
    path.write_text("shopping list: eggs, flour\n" * 100)
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"could not be opened .*; give a writable SQLite file with --db"):
        FeedbackDatabase(path)
    assert path.read_bytes() == before


def test_a_path_below_a_file_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "note").write_text("a file, not a folder")
    with pytest.raises(StoreError, match="could not be opened"):
        FeedbackDatabase(tmp_path / "note" / "feedback.db")


# ---- reading and writing ---------------------------------------------------------------------------------------------


def test_a_reader_cannot_write(database: FeedbackDatabase) -> None:
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        database.read().conn.execute("INSERT INTO people (id, created_at) VALUES ('eve', '')")


def test_a_write_is_read_after_its_commit_and_not_before(database: FeedbackDatabase) -> None:
    with database.write() as db:
        db.table("people").insert({"id": "ann", "created_at": ""})
        assert people(database) == []
    assert people(database) == ["ann"]


def test_a_write_that_raises_leaves_nothing(database: FeedbackDatabase) -> None:
    with pytest.raises(ZeroDivisionError):
        add_person(database, "ann", "bob", then=ZeroDivisionError())
    with pytest.raises(sqlite3.IntegrityError, match="UNIQUE"):
        add_person(database, "cid", "cid")
    assert people(database) == []
    add_person(database, "dan")  # and the next write is not held up by the failed ones
    assert people(database) == ["dan"]


def test_a_snapshot_sees_one_moment_whatever_is_written_meanwhile(database: FeedbackDatabase) -> None:
    add_person(database, "ann")
    count = "SELECT count(*) FROM people"
    with database.snapshot() as view:
        assert view.execute(count).fetchone()[0] == 1
        add_person(database, "bob")
        assert view.execute(count).fetchone()[0] == 1
    assert people(database) == ["ann", "bob"]


def test_threads_do_not_write_into_each_others_transactions(database: FeedbackDatabase) -> None:
    """With one shared connection and no turns, the rollback of one thread takes rows another one had acknowledged."""
    acknowledged: list[str] = []

    def keep(number: int) -> None:
        add_person(database, f"kept {number:02}")
        acknowledged.append(f"kept {number:02}")

    def give_up(number: int) -> None:
        with pytest.raises(KeyError):
            add_person(database, f"dropped {number:02}", then=KeyError())

    with ThreadPoolExecutor(8) as pool:
        turns = [pool.submit(work, number) for number in range(24) for work in (keep, give_up)]
        for turn in turns:
            turn.result()
    assert len(acknowledged) == 24
    assert people(database) == sorted(acknowledged)


def test_two_processes_of_eight_threads_write_at_once_and_every_acknowledged_row_is_there(tmp_path: Path) -> None:
    path = tmp_path / "feedback.db"
    children = [start_child("write", "8", "12", str(path)) for _ in range(2)]
    told = [child.communicate(timeout=60) for child in children]
    assert [errors for _, errors in told] == ["", ""]  # above all no "database is locked"
    assert [child.returncode for child in children] == [0, 0]
    acknowledged = {line for output, _ in told for line in output.split()}
    assert len(acknowledged) == 2 * 8 * 12
    with closing(FeedbackDatabase(path)) as database:
        stored = {row["id"] for row in database.read().query("SELECT id FROM conversations")}
    assert stored == acknowledged


def test_killing_a_writing_process_loses_no_acknowledged_row(tmp_path: Path) -> None:
    path = tmp_path / "feedback.db"
    acknowledged: set[str] = set()
    for wanted in (1, 7, 23, 40):  # how many rows are read before the kill: it falls at different moments
        child = start_child("write", "4", "100000", str(path))
        assert child.stdout
        acknowledged |= {child.stdout.readline().strip() for _ in range(wanted)}
        os.kill(child.pid, signal.SIGKILL)
        output, errors = child.communicate(timeout=20)
        assert errors == ""
        acknowledged |= {line for line in output.split("\n") if line}
    assert len(acknowledged) >= 71
    with closing(FeedbackDatabase(path)) as database:
        stored = {row["id"] for row in database.read().query("SELECT id FROM conversations")}
        assert acknowledged <= stored
        assert database.read().execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        add_person(database, "zoe")  # the next process writes without anybody's help


# ---- when the disk or another program is in the way ------------------------------------------------------------------


def test_a_full_disk_is_told_in_words_and_saving_works_again_once_there_is_room(database: FeedbackDatabase) -> None:
    add_person(database, "ann")
    store = FeedbackStore(database)
    full = pragma(database, "page_count")  # no page more than it has now, as on a full disk
    pragma(database, f"max_page_count={full}")
    conversation = None
    with pytest.raises(StoreError, match=r"Not saved: .*full.*; free disk space") as refusal:
        conversation = store.start_conversation("ann" + "n" * 300_000, "hello")
    assert "\n" not in str(refusal.value)
    assert conversation is None
    assert people(database) == ["ann"]
    pragma(database, "max_page_count=1000000")
    store.start_conversation("bob", "hello")
    assert people(database) == ["ann", "bob"]


def test_a_lock_that_another_program_keeps_is_told_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nightschool.schema.BUSY_SECONDS", 0.2)
    path = tmp_path / "feedback.db"
    taken, done = threading.Event(), threading.Event()

    def hold() -> None:
        with FileLock(f"{path}.lock"):
            taken.set()
            done.wait(20)

    with closing(FeedbackDatabase(path)) as database, ThreadPoolExecutor(1) as pool:
        holder = pool.submit(hold)
        assert taken.wait(5)
        try:
            with pytest.raises(StoreError, match=r"Not saved: the lock .* was not free"):
                add_person(database, "ann")
        finally:
            done.set()
        holder.result()
        assert people(database) == []
        add_person(database, "bob")
        assert people(database) == ["bob"]


def test_ids_made_by_one_process_sort_in_the_order_they_were_made() -> None:
    ids = [new_id() for _ in range(5000)]
    assert ids == sorted(ids)
    assert len(set(ids)) == 5000
    assert {id_[14] for id_ in ids} == {"7"}  # the version digit of a UUID
