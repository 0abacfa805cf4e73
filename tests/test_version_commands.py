"""`python -m training versions | receipts | trace | promote` as an owner types them."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from nightschool.feedback import FeedbackStore
from nightschool.files import MANIFEST, sha256_of, whole_folder, write_json
from nightschool.records import INITIAL, DuelOutcome, ReplyStatus, ThumbValue, VerdictKind, Version
from nightschool.registry import VersionRegistry
from nightschool.schema import FeedbackDatabase
from tests.talks import ANN, start_talk
from training.__main__ import app
from training.receipt_check import receipts_for, receipts_to_json, training_set_sha256
from training.receipts import judgements_of, split_of_snapshot


class Owner:
    """Types commands; the database and the folder of versions are always these."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def types(self, *words: str, status: int = 0) -> str:
        """What is printed: on stdout, or on stderr where the command is refused."""
        where = ["--db", str(self.folder / "feedback.db")]
        where += (
            ["--versions", str(self.folder / "versions")] if words[0] in {"receipts", "promote", "rollback"} else []
        )
        ended = CliRunner().invoke(app, [*words, *where])
        assert ended.exit_code == status, (ended.stdout, ended.stderr)
        return ended.stdout if status == 0 else ended.stderr

    def reads(self, *words: str) -> Any:
        return json.loads(self.types(*words, "--json"))


@pytest.fixture
def owner(tmp_path: Path, database: FeedbackDatabase, store: FeedbackStore, registry: VersionRegistry) -> Owner:
    """A champion v1, made from a duel and a thumb, with the folder that its night would have left."""
    talk = start_talk(store)
    duel, left, right = talk.duel()
    store.finish_reply(right, "right text", [6, 7], ReplyStatus.DONE)
    store.decide_duel(duel, ANN, DuelOutcome.TIE)
    store.set_thumb(left, ANN, ThumbValue.UP)
    snapshot = store.snapshot()
    split = split_of_snapshot(snapshot)
    judgements = judgements_of(snapshot, split)
    with whole_folder(tmp_path / "versions" / "v1") as folder:
        write_json(folder / "receipts.json", receipts_to_json(receipts_for(judgements, snapshot, split)))
        write_json(folder / "config.json", {"training_set": training_set_sha256(judgements)})
    digest = sha256_of(tmp_path / "versions" / "v1" / MANIFEST)
    version = Version("v1", INITIAL, "9999-01-01", None, "base", digest, VerdictKind.PROMOTED)
    registry.add(version, judgements.sources(), promote_because="better")
    return Owner(tmp_path)


def thumb_of(database: FeedbackDatabase) -> str:
    return str(database.read().execute("SELECT id FROM thumbs").fetchone()[0])


def delete_the_thumb(database: FeedbackDatabase) -> str:
    thumb = thumb_of(database)
    with database.write() as db:
        db.table("thumbs").delete(thumb)
    return thumb


def test_receipts_are_listed_and_rebuild_the_training_set(owner: Owner, database: FeedbackDatabase) -> None:
    said = owner.types("receipts", "v1", "--check")
    assert f"thumb {thumb_of(database)}\n" in said
    assert "v1 was made from 2 judgements: 1 of kind duel, 1 of kind thumb." in said
    assert "its training set is the very same (sha256 " in said
    found = owner.reads("receipts", "v1", "--check")
    assert [row["kind"] for row in found["judgements"]] == ["duel", "thumb"]
    assert found["check"]["same"] is True
    assert owner.types("receipts", INITIAL) == "initial was made from 0 judgements.\n"


def test_a_difference_is_an_error_that_says_what_differs(owner: Owner, database: FeedbackDatabase) -> None:
    with database.write() as db:
        db.execute("UPDATE duels SET outcome = 'left'")
    assert "rows of the database were changed by another program" in owner.types("receipts", "v1", "--check", status=1)
    delete_the_thumb(database)
    assert "1 of its judgements were deleted" in owner.types("receipts", "v1", "--check", status=1)
    assert "made from no judgements" in owner.types("receipts", INITIAL, "--check", status=1)


def test_a_version_from_before_there_were_hashes_says_so(owner: Owner, registry: VersionRegistry) -> None:
    with whole_folder(owner.folder / "versions" / "v0") as folder:
        write_json(folder / "receipts.json", [])
        write_json(folder / "config.json", {})
    digest = sha256_of(owner.folder / "versions" / "v0" / MANIFEST)
    registry.add(replace(registry.get("v1"), id="v0", manifest_sha256=digest), [])
    assert "before training sets had a hash" in owner.types("receipts", "v0", "--check", status=1)


def test_a_judgement_is_traced_to_the_versions_it_went_into(owner: Owner, database: FeedbackDatabase) -> None:
    thumb = thumb_of(database)
    assert owner.types("trace", thumb) == f"{thumb} went into v1 (answers now).\n"
    assert owner.reads("trace", thumb) == {
        "judgement": thumb,
        "deleted": False,
        "versions": ["v1"],
        "champion": "v1",
    }
    duel, left, _ = start_talk(FeedbackStore(database)).duel()
    assert owner.types("trace", duel) == f"{duel} went into no version.\n"
    assert "There is no judgement" in owner.types("trace", left, status=1)  # a reply is none
    delete_the_thumb(database)
    assert owner.types("trace", thumb) == f"{thumb} went into v1 (answers now). It was deleted.\n"


def test_what_deleted_judgements_made_is_marked_and_not_promoted(
    owner: Owner, database: FeedbackDatabase, registry: VersionRegistry
) -> None:
    assert owner.types("versions").splitlines()[1] == "* v1               9999-01-01 promoted"
    delete_the_thumb(database)
    marked = "tainted: 1 of its judgements were deleted; the next night retires it"
    assert owner.types("versions").splitlines()[1].endswith(marked)
    assert "may not answer again" in owner.types("promote", "v1", status=1)
    registry.retire_tainted()
    first, second = owner.reads("versions")
    assert (first["id"], first["champion"], first["deleted_judgements"]) == (INITIAL, True, 0)
    assert (second["id"], second["champion"], second["deleted_judgements"]) == ("v1", False, 1)
    assert owner.types("versions").splitlines()[1].endswith("retired: 1 of its judgements were deleted")


def test_a_rollback_goes_to_the_version_that_answered_before(owner: Owner, registry: VersionRegistry) -> None:
    assert owner.types("rollback") == "initial answers from the next reply on.\n"
    assert owner.types("rollback") == "v1 answers from the next reply on.\n"  # the one before that
    assert [term.version for term in registry.terms()] == [INITIAL, "v1", INITIAL, "v1"]


def test_a_rollback_passes_over_what_may_not_answer(
    owner: Owner, database: FeedbackDatabase, registry: VersionRegistry
) -> None:
    made = replace(registry.get("v1"), id="v2", manifest_sha256=None)
    registry.add(made, [], promote_because="better still")
    delete_the_thumb(database)  # v1, the one before, is tainted by it
    assert owner.types("rollback") == "initial answers from the next reply on.\n"


def test_a_rollback_without_anything_before_and_to_a_damaged_one_is_refused(
    owner: Owner, registry: VersionRegistry
) -> None:
    (owner.folder / "versions" / "v1" / "config.json").write_text("{}")
    owner.types("rollback")
    assert "is damaged (config.json was changed)" in owner.types("rollback", status=1)
    assert registry.champion().id == INITIAL


def test_a_fresh_school_has_nothing_to_go_back_to(tmp_path: Path, database: FeedbackDatabase) -> None:
    assert "none to go back to" in Owner(tmp_path).types("rollback", status=1)


def test_a_damaged_version_is_not_promoted(owner: Owner, registry: VersionRegistry) -> None:
    owner.types("promote", INITIAL)
    (owner.folder / "versions" / "v1" / "config.json").write_text("{}")
    assert "is damaged (config.json was changed)" in owner.types("promote", "v1", status=1)
    assert registry.champion().id == INITIAL
