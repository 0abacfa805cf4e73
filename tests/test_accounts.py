"""The accounts file: who may log in, and what becomes of sessions when it changes."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from demo.__main__ import open_accounts
from demo.accounts import Accounts, Role, add
from demo.attempts import PER_ADDRESS, PER_NAME, WINDOW_SECONDS, Attempts
from demo.identity import SESSION, Visitors
from nightschool.errors import BadInput, StoreError
from nightschool.schema import FeedbackDatabase
from nightschool.sessions import EndedSessions
from nightschool.settings import load_settings

SECRET = b"a secret that only these tests know"
PASSWORD = "a long enough password"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file with Anna, who is an owner, and Ben."""
    path = tmp_path / "accounts"
    assert add(path, "Anna", PASSWORD, Role.OWNER)
    assert add(path, "Ben", "another password", Role.USER)
    return path


def session(visitors: Visitors, name: str, password: str) -> dict[str, str]:
    """The cookies of somebody who has just logged in."""
    cookie = visitors.log_in(name, password)
    assert cookie is not None
    return {SESSION: cookie}


def test_a_right_password_opens_a_session_with_its_role(path: Path) -> None:
    visitors = Visitors(SECRET, Accounts(path))
    account = visitors.account(session(visitors, "Anna", PASSWORD))
    assert account is not None
    assert (account.name, account.role) == ("Anna", Role.OWNER)
    ben = visitors.account(session(visitors, " Ben ", "another password"))
    assert ben is not None
    assert ben.role is Role.USER


@pytest.mark.parametrize(
    ("name", "password"),
    [("Anna", "wrong"), ("Anna", ""), ("Anna", "another password"), ("anna", PASSWORD), ("Carl", PASSWORD), ("", "")],
)
def test_a_wrong_name_or_password_opens_none(path: Path, name: str, password: str) -> None:
    assert Visitors(SECRET, Accounts(path)).log_in(name, password) is None


def test_a_name_has_one_id_for_good_which_does_not_tell_the_name(path: Path) -> None:
    visitors = Visitors(SECRET, Accounts(path))
    first = visitors.read(session(visitors, "Anna", PASSWORD))
    assert first == visitors.read(session(Visitors(SECRET, Accounts(path)), "Anna", PASSWORD))
    assert first != visitors.read(session(visitors, "Ben", "another password"))
    assert first != Visitors(b"another installation has another one", Accounts(path)).person_of_name("Anna")
    assert "nna" not in str(first)


def test_a_session_ends_when_the_person_is_taken_out_of_the_file(path: Path) -> None:
    visitors = Visitors(SECRET, Accounts(path))
    anna, ben = session(visitors, "Anna", PASSWORD), session(visitors, "Ben", "another password")
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join(line for line in lines if line.startswith("Ben")), encoding="utf-8")
    assert visitors.read(anna) is None
    assert visitors.read(ben) is not None


def test_a_session_ends_when_the_password_changes_and_the_id_stays(path: Path) -> None:
    visitors = Visitors(SECRET, Accounts(path))
    old = session(visitors, "Anna", PASSWORD)
    person_id = visitors.read(old)
    assert not add(path, "Anna", "her new password", Role.OWNER)  # not new: replaced
    assert visitors.read(old) is None
    assert visitors.read(session(visitors, "Anna", "her new password")) == person_id
    assert len(path.read_text(encoding="utf-8").splitlines()) == 2


def test_a_role_that_changes_counts_at_once(path: Path) -> None:
    visitors = Visitors(SECRET, Accounts(path))
    ben = session(visitors, "Ben", "another password")
    path.write_text(path.read_text(encoding="utf-8").replace(":user", ":owner"), encoding="utf-8")
    account = visitors.account(ben)
    assert account is not None
    assert account.role is Role.OWNER


def test_a_file_that_goes_or_breaks_lets_nobody_in_until_it_is_whole_again(path: Path) -> None:
    visitors = Visitors(SECRET, Accounts(path))
    anna = session(visitors, "Anna", PASSWORD)
    text = path.read_text(encoding="utf-8")
    path.unlink()
    assert visitors.read(anna) is None
    path.write_text("not a line of accounts", encoding="utf-8")
    assert visitors.read(anna) is None
    with pytest.raises(StoreError, match="Line 1"):
        visitors.log_in("Anna", PASSWORD)
    path.write_text(text, encoding="utf-8")
    assert visitors.read(anna) is not None


def test_a_session_that_was_logged_out_stays_ended_also_after_a_restart(path: Path, database: FeedbackDatabase) -> None:
    visitors = Visitors(SECRET, Accounts(path), EndedSessions(database, kept_seconds=1000))
    here, there = session(visitors, "Anna", PASSWORD), session(visitors, "Anna", PASSWORD)
    visitors.log_out(here)
    visitors.log_out(here)  # twice is once
    visitors.log_out({SESSION: "forged"})
    assert visitors.read(here) is None
    assert visitors.read(there) is not None
    again = Visitors(SECRET, Accounts(path), EndedSessions(database, kept_seconds=0))
    assert again.read(here) is None
    again.log_out(there)  # rows that no cookie can outlive are swept
    assert database.read().execute("SELECT count(*) FROM ended_sessions").fetchone() == (1,)


@pytest.mark.parametrize("forged", ["", "Anna", "Anna.AAAA.BBBB", "\xff"])
def test_a_forged_session_is_nobody(path: Path, forged: str) -> None:
    assert Visitors(SECRET, Accounts(path)).read({SESSION: forged}) is None


def test_a_session_of_another_installation_or_an_anonymous_cookie_is_nobody(path: Path) -> None:
    visitors, other = Visitors(SECRET, Accounts(path)), Visitors(b"the secret of another one", Accounts(path))
    assert visitors.read(session(other, "Anna", PASSWORD)) is None
    anonymous = Visitors(SECRET)
    assert visitors.read({SESSION: anonymous.issue()}) is None
    assert visitors.read({"nightschool_person": anonymous.issue()}) is None
    assert anonymous.read(session(visitors, "Anna", PASSWORD)) is None


# ---- the file itself -------------------------------------------------------------------------------------------------


def test_the_file_holds_no_password_and_only_its_owner_can_read_it(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert "password" not in text
    assert text.startswith("Anna:$argon2id$")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(path.parent) == [path.name]


def test_comments_blank_lines_and_a_missing_role_are_understood(path: Path) -> None:
    text = path.read_text(encoding="utf-8").replace(":user", "")
    path.write_text(f"# people\n\n{text}", encoding="utf-8")
    assert {name: account.role for name, account in Accounts(path).all().items()} == {"Anna": "owner", "Ben": "user"}
    add(path, "Carl", "yet another one", Role.USER)
    assert path.read_text(encoding="utf-8").startswith("# people\n\nAnna:")


@pytest.mark.parametrize(
    "line", ["Dora", "Dora:plain text:user", "Dora:$argon2id$x:king", ":$argon2id$x:user", "Anna:$argon2id$x"]
)
def test_a_line_that_cannot_be_used_is_told_with_its_number(path: Path, line: str) -> None:
    path.write_text(path.read_text(encoding="utf-8") + line + "\n", encoding="utf-8")
    with pytest.raises(StoreError, match="Line 3 of the accounts file"):
        Accounts(path)


@pytest.mark.parametrize("name", ["", "  ", "a:b", "#x", "a\nb", "x" * 65])
def test_a_name_that_a_line_cannot_hold_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadInput, match="cannot be used"):
        add(tmp_path / "accounts", name, PASSWORD, Role.USER)
    assert os.listdir(tmp_path) == []


def test_a_short_password_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="7 characters"):
        add(tmp_path / "accounts", "Anna", "1234567", Role.USER)


def test_adduser_reads_the_password_from_stdin_and_says_what_it_did(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "demo", "adduser", str(tmp_path / "accounts"), "Anna", "--owner"]
    for told in ("may log in now", "has a new password"):
        ended = subprocess.run(command, input=f"{PASSWORD}\n", capture_output=True, text=True, timeout=60, check=True)
        assert ended.stdout == f"Anna (owner) {told}: {tmp_path / 'accounts'}\n"
    assert Accounts(tmp_path / "accounts").verify("Anna", PASSWORD)
    ended = subprocess.run(command, input="short\n", capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, "5 characters" in ended.stderr, "Traceback" in ended.stderr) == (1, True, False)


# ---- the start -------------------------------------------------------------------------------------------------------


def test_other_machines_are_let_in_only_with_accounts_or_when_the_owner_says_so(path: Path) -> None:
    with pytest.raises(BadInput, match="--auth"):
        open_accounts(load_settings(host="0.0.0.0"), open_to_all=False)
    assert open_accounts(load_settings(host="0.0.0.0"), open_to_all=True) is None
    assert open_accounts(load_settings(host="127.0.0.1"), open_to_all=False) is None
    accounts = open_accounts(load_settings(host="0.0.0.0", auth=path), open_to_all=False)
    assert accounts is not None
    with pytest.raises(BadInput, match="leave one out"):
        open_accounts(load_settings(host="0.0.0.0", auth=path), open_to_all=True)


def test_a_missing_accounts_file_and_one_without_an_owner_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "accounts"
    with pytest.raises(StoreError, match="adduser"):
        open_accounts(load_settings(auth=path), open_to_all=False)
    add(path, "Ben", PASSWORD, Role.USER)
    open_accounts(load_settings(auth=path), open_to_all=False)
    assert "nobody can start nights" in capsys.readouterr().out


# ---- guessing --------------------------------------------------------------------------------------------------------


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_name_may_be_tried_five_times_a_minute_from_one_address() -> None:
    clock = Clock()
    attempts = Attempts(clock)
    for _ in range(PER_NAME):
        assert attempts.take("Anna", "192.0.2.1") == 0
        clock.now += 1
    assert attempts.take("Anna", "192.0.2.1") == WINDOW_SECONDS - PER_NAME
    assert attempts.take("Anna", "192.0.2.2") == 0  # another address is another person, maybe Anna herself
    assert attempts.take("Ben", "192.0.2.1") == 0
    clock.now += WINDOW_SECONDS - PER_NAME
    assert attempts.take("Anna", "192.0.2.1") == 0
    assert attempts.take("Anna", "192.0.2.1") > 0  # only the oldest try has left the window


def test_an_address_may_not_try_one_name_after_the_other() -> None:
    attempts = Attempts(Clock())
    assert [attempts.take(str(number), "192.0.2.1") for number in range(PER_ADDRESS)] == [0] * PER_ADDRESS
    assert attempts.take("one more", "192.0.2.1") > 0


def test_a_right_password_is_no_try() -> None:
    attempts = Attempts(Clock())
    for _ in range(3 * PER_ADDRESS):
        assert attempts.take("Anna", "192.0.2.1") == 0
        attempts.forgive("Anna", "192.0.2.1")


def test_a_flood_of_names_does_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("demo.attempts.MOST_REMEMBERED", 100)
    attempts = Attempts(Clock())
    for number in range(1000):
        attempts.take("Anna", f"address {number}")
    assert len(attempts._tries) <= 102
