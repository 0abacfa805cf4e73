"""A whole night on a tiny model, through the command line as the chat starts it: every stage does its real work."""

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import torch

from nightschool.browsing import FeedbackKind
from nightschool.coevolution import COEVOLUTION, read_matrix
from nightschool.embedded_engine import EmbeddedEngine
from nightschool.feedback import FeedbackStore
from nightschool.files import MANIFEST, manifest_fault
from nightschool.model import BaseModel, load_base
from nightschool.records import Message, NightState, ReplyStatus, Sampling, VerdictKind
from nightschool.registry import NightBook, VersionRegistry
from nightschool.schema import FeedbackDatabase
from nightschool.settings import load_settings
from tests.seeding import seed_taste
from tests.tiny import make_tiny_model
from training.effort import EFFORTS
from training.night_lock import night_lock
from training.night_log import NightLog
from training.nightly import NightPlan, run_night


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("tiny") / "model", layers=2)


@pytest.fixture(scope="module")
def base(model: Path) -> BaseModel:
    return load_base(str(model), model.parent, dtype=torch.float32)


SHORT = 8
"""Reply tokens of the nights whose verdict does not matter."""


def _command(folder: Path, model: Path, *words: str, tokens: int) -> tuple[list[str], dict[str, str]]:
    command = [sys.executable, "-W", "error", "-m", "training", *words, "--db", str(folder / "feedback.db")]
    if words[0] in {"night", "resume", "samples", "explain", "promote", "receipts"}:
        command += ["--versions", str(folder / "versions")]
    settings = {"NIGHTSCHOOL_MODEL": str(model), "NIGHTSCHOOL_MAX_NEW_TOKENS": str(tokens), "OMP_NUM_THREADS": "1"}
    settings |= {"NIGHTSCHOOL_DTYPE": "float32"}  # the same night on every machine
    return command, {**os.environ, **settings}


def _run(folder: Path, model: Path, *words: str, tokens: int = SHORT) -> subprocess.CompletedProcess[str]:
    command, environment = _command(folder, model, *words, tokens=tokens)
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)


def _night(folder: Path, model: Path, *words: str, effort: str = "quick", tokens: int = SHORT) -> dict[str, object]:
    done = _run(folder, model, "night", "--effort", effort, "--seed", "1", "--json", *words, tokens=tokens)
    assert done.returncode == 0, done.stderr
    report: dict[str, object] = json.loads(done.stdout)
    return report


def _night_here(folder: Path, model: Path, *, practice: bool = False, layers: int = 4) -> dict[str, object]:
    """A night with short replies in this process, which has torch loaded already."""
    settings = load_settings(
        db=folder / "feedback.db",
        versions=folder / "versions",
        model=str(model),
        max_new_tokens=SHORT,
        lora_layers=layers,
        dtype="float32",
    )
    return run_night(NightPlan(settings, EFFORTS["quick"], seed=1, practice=practice), lambda text: None)


def _reply(folder: Path, base: BaseModel, version: str) -> str:
    """A stored reply of a version, always of the same words."""
    with closing(FeedbackDatabase(folder / "feedback.db")) as database:
        store = FeedbackStore(database)
        conversation = store.start_conversation("owner", "What is rain?")
        question = store.add_message(conversation, None, Message("user", "What is rain?"))
        reply_id = store.start_reply(conversation, question, version, Sampling(0.7, 24), 0, [1, 5, 6, 2, 1], show=True)
        store.finish_reply(reply_id, base.tokenizer.decode([50, 60, 70, 2]), [50, 60, 70, 2], ReplyStatus.DONE)
        return reply_id


def test_a_night_makes_a_version_that_answers_and_tells_what_it_did(
    tmp_path: Path, model: Path, base: BaseModel
) -> None:
    seed_taste(tmp_path / "feedback.db", base, 120)
    before = json.loads(_run(tmp_path, model, "status", "--json").stdout)
    assert (before["champion"], before["missing_judgements"]) == ("initial", 0)

    report = _night(tmp_path, model, effort="normal", tokens=24)
    assert report["verdict"] == "promoted", report["reason"]
    for name in ("reward_model_accuracy", "kl", "reward_before", "reward_after", "win_rate", "episodes"):
        assert isinstance(report[name], int | float), name
    assert report["reward_after"] > report["reward_before"]  # type: ignore[operator]
    assert set(report["seconds"]) == {  # type: ignore[call-overload]
        "judgements",
        "model",
        "initial replies",
        "reward model",
        "ppo",
        "exam",
        "verdict",
        "coevolution",
    }
    _tells_its_exam(report)
    version_id = str(report["version"])
    folder = tmp_path / "versions" / version_id
    assert manifest_fault(folder) is None
    kinds = {path.suffix for path in folder.rglob("*") if path.is_file()}
    assert kinds == {".json", ".safetensors", ".parquet", ".md"}
    assert str(report["reason_zh"]) in (folder / "report.md").read_text(encoding="utf-8")
    assert len(json.loads((folder / "receipts.json").read_text())) == 120

    with closing(FeedbackDatabase(tmp_path / "feedback.db")) as database:
        champion = VersionRegistry(database).champion()
        assert champion.id == version_id
        assert champion.parent_id == "initial"
        engine = EmbeddedEngine(base, tmp_path / "versions", max_prompt_tokens=256, max_new_tokens=24, resident=2)
        pieces = list(engine.stream(champion, [1, 5, 6, 2, 1], Sampling(0.7, 24), seed=3))
        engine.close()
        assert pieces[-1].ended
        night = NightBook(database).last()
        assert night is not None
        assert (night.state, night.verdict) == (NightState.DONE, VerdictKind.PROMOTED)
        curves = {row["name"] for row in database.read().query("SELECT DISTINCT name FROM night_metrics")}
        assert {"reward", "kl", "length", "entropy", "clip_fraction"} <= curves

    listed = json.loads(_run(tmp_path, model, "versions", "--json").stdout)
    assert [(version["id"], version["champion"]) for version in listed] == [("initial", False), (version_id, True)]

    _has_opinions(tmp_path / "versions", version_id)
    _cards_and_receipts(tmp_path, model, base, report)

    shown = _run(tmp_path, model, "samples", version_id, "--json").stdout.splitlines()
    assert len(shown) == 5
    assert {json.loads(line)["y2_version"] for line in shown} == {version_id}

    # Nothing new was judged since: the next night says so and changes nothing; practice runs and never promotes.
    again = _night(tmp_path, model)
    assert again["verdict"] == "skipped"
    assert again["missing_judgements"] == 20
    _practises(tmp_path, model, str(report["night"]), version_id)
    _goes_back(tmp_path, model, version_id)


def _practises(folder: Path, model: Path, night: str, version_id: str) -> None:
    """A practice night starts from champion and penalty as the night before left them."""
    with closing(sqlite3.connect(folder / "feedback.db")) as database, database:  # as if the penalty had grown
        database.execute("UPDATE nights SET report = json_set(report, '$.beta', 0.25) WHERE id = ?", [night])
    practice = _night(folder, model, "--practice")
    assert practice["verdict"] in {"held", "rejected"}
    assert practice["champion_before"] == version_id  # it started from the champion's adapter
    with closing(FeedbackDatabase(folder / "feedback.db")) as database:
        first = "SELECT value FROM night_metrics WHERE night_id = ? AND step = 1 AND name = ?"
        rows = [database.read().execute(first, [practice["night"], name]).fetchone()[0] for name in ("beta", "kl")]
    assert rows[0] == pytest.approx(0.25)  # the next night begins with it
    assert rows[1] > 0.0  # drift is told from the initial model, not from the champion
    assert practice["champion_after"] == version_id


def _tells_its_exam(report: dict[str, Any]) -> None:
    assert "新版本更好" in report["reason_zh"]
    assert report["replies"] == 2
    assert report["prompts"] == 128  # although some of the bank's were judged on the training side
    assert 0 < report["prompts_judged"] < 128  # these are scored without their own labels
    assert "are usual" not in report["reason"]
    assert report["proxy_win_rate_low"] < report["proxy_win_rate"] < report["proxy_win_rate_high"]
    assert report["alarm"] is report["alarm_zh"] is None
    assert len(report["guards"]) == 12
    assert all(guard["holds"] for guard in report["guards"].values())
    assert (len(report["samples"]), len(report["worst"])) == (10, 3)


def _has_opinions(versions: Path, version_id: str) -> None:
    """The night left a matrix, in which the version's own reward model likes what it made of it."""
    matrix = read_matrix(versions, ["initial", version_id])
    assert matrix is not None
    assert (matrix.judges, matrix.versions) == ((version_id,), ("initial", version_id))
    assert matrix.cells[version_id, version_id].gain > 0


def _goes_back(folder: Path, model: Path, version_id: str) -> None:
    """The version is on probation beside the one before, until somebody promotes by hand."""
    before = json.loads(_run(folder, model, "status", "--json").stdout)["probation"]
    assert (before["version"], before["rival"], before["wins"]) == (version_id, "initial", 0)
    assert _run(folder, model, "promote", "initial").returncode == 0
    after = json.loads(_run(folder, model, "status", "--json").stdout)
    assert (after["champion"], after["probation"]) == ("initial", None)


def _cards_and_receipts(folder: Path, model: Path, base: BaseModel, report: dict[str, object]) -> None:
    """The same words, once by the initial model and once by a version: one score, drift of the version only."""
    version_id, training_set = str(report["version"]), report["training_set"]
    ids = [_reply(folder, base, name) for name in ("initial", version_id)]
    cards = [json.loads(_run(folder, model, "explain", reply_id, "--json").stdout) for reply_id in ids]
    assert [(card["version"], card["scored_by"]) for card in cards] == [
        ("initial", version_id),
        (version_id, version_id),
    ]
    assert cards[0]["score"] == cards[1]["score"]  # the same words to the same prompt
    assert cards[0]["drift"] == 0.0 != cards[1]["drift"]
    checked = json.loads(_run(folder, model, "receipts", version_id, "--check", "--json").stdout)
    assert len(checked["judgements"]) == 120
    assert checked["check"] == {"told": training_set, "found": training_set, "gone": [], "same": True}


def test_the_same_seed_and_judgements_make_the_same_policy(tmp_path: Path, model: Path, base: BaseModel) -> None:
    ids = []
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        seed_taste(tmp_path / name / "feedback.db", base, 80)
        ids.append(_night_here(tmp_path / name, model, practice=True)["version"])
    assert ids[0] == ids[1]


def test_too_few_judgements_are_counted_and_nothing_changes(tmp_path: Path, model: Path, base: BaseModel) -> None:
    seed_taste(tmp_path / "feedback.db", base, 10)
    report = _night_here(tmp_path, model)
    assert report["verdict"] == "skipped"
    assert re.search(r"about \d+ more are needed", str(report["reason"]))
    assert not (tmp_path / "versions").exists()


def test_practice_runs_without_any_judgement_and_promotes_nothing(tmp_path: Path, model: Path) -> None:
    report = _night_here(tmp_path, model, practice=True)
    assert report["verdict"] in {"held", "rejected"}
    assert report["champion_after"] == "initial"


def test_what_fails_after_a_version_stands_does_not_undo_it_and_its_layers_are_trained_on(
    tmp_path: Path, model: Path, base: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    seed_taste(tmp_path / "feedback.db", base, 80)
    plain = NightLog.say

    def full_disk(log: NightLog, text: str) -> None:
        if text.startswith("Version"):
            raise OSError("No space left on device")
        plain(log, text)

    monkeypatch.setattr(NightLog, "say", full_disk)
    with pytest.raises(OSError, match="No space"):
        _night_here(tmp_path, model, practice=True)
    monkeypatch.undo()
    with closing(FeedbackDatabase(tmp_path / "feedback.db")) as database:
        night = NightBook(database).last()
        assert night is not None
        assert night.state is NightState.DONE
        assert night.version_id is not None
        assert "No space left" in night.reason
        VersionRegistry(database).promote(night.version_id, "by hand")
    # The champion changes two layers: a night that was told to train one trains both.
    report = _night_here(tmp_path, model, practice=True, layers=1)
    assert report["champion_before"] == night.version_id
    assert report["lora_layers"] == 2


def test_a_night_tells_the_reward_models_layers_beside_the_policys(tmp_path: Path) -> None:
    model = make_tiny_model(tmp_path / "model", layers=6)
    seed_taste(tmp_path / "feedback.db", load_base(str(model), tmp_path, dtype=torch.float32), 100)
    report = _night_here(tmp_path, model, practice=True, layers=5)
    assert (report["lora_layers"], report["reward_layers"]) == (5, 4)
    matrix = read_matrix(tmp_path / "versions", ["initial", str(report["version"])])
    assert matrix is not None
    assert matrix.judges == (report["version"],)  # its reward model was read again, and scored


def test_what_deleted_judgements_made_is_retired_and_made_anew_without_them(
    tmp_path: Path, model: Path, base: BaseModel
) -> None:
    seed_taste(tmp_path / "feedback.db", base, 100)
    first = str(_night_here(tmp_path, model, practice=True)["version"])
    with closing(FeedbackDatabase(tmp_path / "feedback.db")) as database:
        VersionRegistry(database).promote(first, "by hand")
        store = FeedbackStore(database)
        deleted = [duel.id for duel in store.snapshot().duels[:10]]
        for duel in deleted:
            assert store.erase_feedback(FeedbackKind.DUEL, duel, None).versions == (first,)
    reply = _reply(tmp_path, base, first)
    report = _night_here(tmp_path, model)
    assert report["retired"] == [first]
    assert report["champion_before"] == "initial"  # it did not begin from what is retired
    assert not (tmp_path / "versions" / first).exists()
    rebuilt = str(report["version"])
    receipts = {row["id"] for row in json.loads((tmp_path / "versions" / rebuilt / "receipts.json").read_text())}
    assert len(receipts) == 90
    assert not receipts & set(deleted)
    with closing(FeedbackDatabase(tmp_path / "feedback.db")) as database:
        registry = VersionRegistry(database)
        assert registry.champion().id in {"initial", rebuilt}
        assert [version.id for version in registry.list()] == ["initial", rebuilt]
        assert registry.tainted().keys() == {first}
    card = json.loads(_run(tmp_path, model, "explain", reply, "--json").stdout)
    assert (card["version"], card["scored_by"], card["drift"]) == (first, rebuilt, None)  # the adapter is gone


def test_a_second_night_at_once_is_refused_with_one_sentence(tmp_path: Path, model: Path) -> None:
    FeedbackDatabase(tmp_path / "feedback.db").close()
    with night_lock(tmp_path / "feedback.db"):
        done = _run(tmp_path, model, "night", "--practice")
    assert done.returncode == 1
    assert done.stderr.startswith("Another night is running")
    assert "Traceback" not in done.stderr


STAGES = (
    "[model]",
    "[initial replies]",
    "[reward model]",
    "[ppo]",
    "  iteration 2:",
    "[exam]",
    "[verdict]",
    "[coevolution]",
)
"""What a night says as it begins each of its stages but the first, and in the middle of PPO."""
SOON_OVER = {"[verdict]", "[coevolution]"}
"""Over in milliseconds: it may have ended before the signal."""


def test_a_night_killed_after_every_stage_leaves_the_champion_and_is_resumed_to_the_very_same_version(
    tmp_path: Path, model: Path, base: BaseModel
) -> None:
    whole, folder = tmp_path / "whole", tmp_path / "killed"
    for each in (whole, folder):
        each.mkdir()
        seed_taste(each / "feedback.db", base, 80)
    words = ("--effort", "quick", "--seed", "1", "--practice")
    expected = _night(whole, model, "--practice")["version"]
    for place in STAGES:
        _kill_at(place, folder, model, *(("night", *words) if place == STAGES[0] else ("resume",)))
        with closing(FeedbackDatabase(folder / "feedback.db")) as database:
            assert VersionRegistry(database).champion().id == "initial"
            assert len(FeedbackStore(database).snapshot().duels) == 80
            assert database.read().execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        # The lock is free again although its holder never released it, so the status can tell that it died.
        last = json.loads(_run(folder, model, "status", "--json").stdout)["last_night"]
        if last["state"] == "done" and place in SOON_OVER:
            break
        assert last["state"] == "interrupted", place
    else:
        resumed = _run(folder, model, "resume", "--json")
        assert resumed.returncode == 0, resumed.stderr
        assert json.loads(resumed.stdout)["resumed"] is True
    with closing(FeedbackDatabase(folder / "feedback.db")) as database:
        assert [version.id for version in VersionRegistry(database).list()] == ["initial", expected]
        assert [night.state for night in NightBook(database).nights()] == [NightState.DONE]
    assert {path.name for path in (folder / "versions").iterdir()} == {expected, COEVOLUTION}  # all, and no debris
    again = _run(folder, model, "resume")
    assert again.returncode == 1
    assert "nothing to resume" in again.stderr


def _kill_at(place: str, folder: Path, model: Path, *words: str) -> None:
    """Start or resume a night and kill it as soon as it prints a line that begins so."""
    command, environment = _command(folder, model, *words, tokens=SHORT)
    with subprocess.Popen(
        command, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    ) as night:
        assert night.stderr is not None
        for line in night.stderr:
            if line.startswith(place):
                night.send_signal(signal.SIGKILL)
                return
        pytest.fail(f"the night never came to {place}")


def test_a_failed_night_is_recorded_with_its_reason_and_told_in_one_sentence(
    tmp_path: Path, model: Path, base: BaseModel
) -> None:
    seed_taste(tmp_path / "feedback.db", base, 10)
    version = _night_here(tmp_path, model, practice=True)["version"]
    assert _run(tmp_path, model, "promote", str(version)).returncode == 0
    manifest = tmp_path / "versions" / str(version) / MANIFEST
    manifest.write_text(manifest.read_text().replace("a", "b"))
    done = _run(tmp_path, model, "night", "--practice")
    assert done.returncode == 1
    assert "is damaged" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    status = json.loads(_run(tmp_path, model, "status", "--json").stdout)
    assert status["last_night"]["state"] == "failed"
    assert "is damaged" in status["last_night"]["reason"]


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["night", "--effort", "huge"], "one of quick, normal, thorough"),
        (["promote", "v99"], "There is no version 'v99'"),
        (["import", "nowhere.jsonl"], "could not be read"),
    ],
)
def test_bad_words_on_the_command_line_are_one_sentence_and_status_one(
    tmp_path: Path, model: Path, words: list[str], complaint: str
) -> None:
    done = _run(tmp_path, model, *words)
    assert done.returncode == 1
    assert complaint in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_database_of_a_newer_schema_is_refused_and_left_alone(tmp_path: Path, model: Path) -> None:
    path = tmp_path / "feedback.db"
    FeedbackDatabase(path).close()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES ('nightschool', '9999_later', '')"
        )
    for words in (["night"], ["status"], ["versions"]):
        done = _run(tmp_path, model, *words)
        assert done.returncode == 1
        assert "9999_later" in done.stderr
        assert "Traceback" not in done.stderr
