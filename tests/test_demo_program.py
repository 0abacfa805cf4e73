"""`python -m demo` as an owner starts and stops it: one sentence and status 1 for whatever is wrong."""

import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from demo.__main__ import drawn_by, is_loopback, night_environment, open_address, short_name
from nightschool.errors import AddressInUse, BadInput
from nightschool.records import Sampling
from nightschool.schema import FeedbackDatabase
from nightschool.settings import load_settings
from tests.tiny import make_tiny_model


def demo_command(folder: Path, *options: str) -> list[str]:
    return [sys.executable, "-m", "demo", "--db", str(folder / "feedback.db"), "--port", "0", *options]


def refused(folder: Path, *options: str) -> str:
    """The one line that a start that must fail says on stderr."""
    ended = subprocess.run(demo_command(folder, *options), capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    [line] = ended.stderr.strip().splitlines()
    return line


def test_it_says_where_it_answers_and_stops_cleanly_at_ctrl_c(tmp_path: Path) -> None:
    model = make_tiny_model(tmp_path / "tiny")
    command = demo_command(tmp_path, "--model", str(model), "--versions", str(tmp_path / "versions"))
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        said = server.stdout.readline()
        found = re.fullmatch(r"NightSchool answers on (http://127\.0\.0\.1:\d+) \((.*)\)\n", said)
        assert found, said
        assert found[2] == f"model {model}, version initial, database {tmp_path / 'feedback.db'}"
        assert httpx.get(found[1]).status_code == 200
        assert httpx.get(f"{found[1]}/healthz").json()["model"] == "tiny"
        server.send_signal(signal.SIGINT)
        out, err = server.communicate(timeout=20)
    assert (server.returncode, out.strip(), err.strip()) == (0, "NightSchool has stopped.", "")


def test_a_taken_port_is_told_before_the_model_is_loaded(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        line = refused(tmp_path, "--port", str(port), "--model", "nobody/knows-this-model")
    assert line.startswith(f"The address 127.0.0.1:{port} is taken by another program")
    assert not (tmp_path / "feedback.db").exists()


def test_a_model_that_is_not_there_is_told_in_a_sentence(tmp_path: Path) -> None:
    assert "could not be loaded" in refused(tmp_path, "--model", str(tmp_path / "no-model"))


def test_a_database_of_a_newer_nightschool_is_left_alone(tmp_path: Path) -> None:
    FeedbackDatabase(tmp_path / "feedback.db").close()
    with closing(sqlite3.connect(tmp_path / "feedback.db")) as connection:
        connection.execute("INSERT INTO _sqlite_migrations VALUES (99, 'nightschool', '0099_future', '2099-01-01')")
        connection.commit()
    assert "newer NightSchool" in refused(tmp_path, "--model", str(tmp_path / "no-model"))


def test_a_bad_setting_is_named(tmp_path: Path) -> None:
    assert refused(tmp_path, "--duel-share", "3").startswith("The setting duel_share was given as 3.0")


def test_an_address_for_others_is_refused_without_accounts(tmp_path: Path) -> None:
    assert "make one with `python -m demo adduser FILE NAME --owner`" in refused(tmp_path, "--host", "0.0.0.0")
    assert "could not be read" in refused(tmp_path, "--auth", str(tmp_path / "nothing"))
    assert not (tmp_path / "feedback.db").exists()  # before anything is opened


def test_port_zero_takes_a_free_one_and_a_taken_one_is_refused() -> None:
    with open_address("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        assert port > 0
        with pytest.raises(AddressInUse, match=str(port)):
            open_address("127.0.0.1", port)


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(BadInput, match="cannot be used"):
        open_address("192.0.2.1", 0)


@pytest.mark.parametrize(
    ("host", "is_private"), [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("me", False)]
)
def test_the_owner_is_warned_unless_only_this_machine_can_reach_the_page(host: str, is_private: bool) -> None:
    assert is_loopback(host) is is_private


def test_a_seed_makes_the_same_draws_again_and_none_makes_others() -> None:
    def draws(seed: int | None, what: str = "chat") -> list[float]:
        chance = drawn_by(seed, what)
        return [chance.random() for _ in range(3)]

    assert draws(7) == draws(7)
    different = [draws(7), draws(8), draws(7, "rank"), draws(None), draws(None)]
    assert all(one != other for place, one in enumerate(different) for other in different[:place])


def test_visitors_see_the_name_of_a_model_but_no_folder() -> None:
    assert short_name("/srv/models/tiny/") == "tiny"
    assert short_name("some-organisation/some-model") == "some-model"


def test_the_night_gets_whole_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tiny").mkdir()
    monkeypatch.chdir(tmp_path)
    environment = night_environment(load_settings(model="tiny", cache=Path("cache")))
    assert environment == {
        "NIGHTSCHOOL_MODEL": str(tmp_path / "tiny"),
        "NIGHTSCHOOL_CACHE": os.path.join(tmp_path, "cache"),
        "NIGHTSCHOOL_TEMPERATURE": "0.7",
        "NIGHTSCHOOL_MAX_NEW_TOKENS": "256",
        "NIGHTSCHOOL_PROMOTION": "exam",
    }


def test_replies_that_a_killed_server_left_are_closed_at_the_next_start(tmp_path: Path) -> None:
    from nightschool.feedback import FeedbackStore
    from nightschool.records import INITIAL, Message

    model = make_tiny_model(tmp_path / "tiny")
    with closing(FeedbackDatabase(tmp_path / "feedback.db")) as database:
        store = FeedbackStore(database)
        conversation_id = store.start_conversation("anna", "hello")
        question_id = store.add_message(conversation_id, None, Message("user", "hello"))
        reply_id = store.start_reply(conversation_id, question_id, INITIAL, Sampling(), 0, [1], show=True)
        command = demo_command(tmp_path, "--model", str(model))
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            server.stdout.readline()
            server.terminate()
        assert store.reply(reply_id).status == "stopped"
