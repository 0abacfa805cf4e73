"""The accounts file: who may log in, one line each, `name:hash:role` (argon2; a role left out is `user`).

The file is the truth. It is read anew whenever it changes, so a person who is taken out of it, or whose password
changed, is logged out at the next request. A file that cannot be read lets nobody in.
"""

import hashlib
import os
import tempfile
import threading
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from nightschool.errors import BadInput, StoreError

SHORTEST_PASSWORD = 8
LONGEST_PASSWORD = 1024
LONGEST_NAME = 64
HASHER = PasswordHasher()
"""Argon2id with the library's own costs (RFC 9106, low memory: 64 MiB, three passes)."""


class Role(StrEnum):
    """What a person may do."""

    USER = "user"  # chat, judge, and see their own
    OWNER = "owner"  # also start nights, see scores and everybody's feedback


@dataclass(frozen=True)
class Account:
    """One line of the file."""

    name: str
    hash: str
    role: Role

    @property
    def seal(self) -> str:
        """Changes with the password: a session carries it, and ends when it does not fit any more."""
        return hashlib.sha256(self.hash.encode()).hexdigest()[:16]


class Accounts:
    """The accounts of one file. Raises `StoreError` at once when it cannot be read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._turns = threading.Semaphore(2)  # each check takes 64 MiB and a core
        self._read: tuple[tuple[int, int, int], Mapping[str, Account]] = ((0, 0, 0), {})
        self.all()

    def all(self) -> Mapping[str, Account]:
        """Name -> account, as the file is now. Raises `StoreError`."""
        try:
            found = self.path.stat()
            stamp = (found.st_mtime_ns, found.st_size, found.st_ino)
            if stamp != self._read[0]:
                self._read = (stamp, parse(self.path.read_text(encoding="utf-8"), self.path))
        except (OSError, UnicodeDecodeError) as error:
            raise StoreError(
                f"The accounts file {self.path} could not be read ({error}); make one with `python -m demo adduser "
                f"{self.path} NAME --owner`."
            ) from error
        return self._read[1]

    def find(self, name: str) -> Account | None:
        """The account of a name."""
        return self.all().get(plain(name))

    def verify(self, name: str, password: str) -> Account | None:
        """The account if the password is right. Takes as long for a name that is not there."""
        account = self.find(name)
        with self._turns:
            try:
                HASHER.verify(account.hash if account else nobodys_hash(), password[:LONGEST_PASSWORD])
            except (VerificationError, InvalidHashError):
                return None
        return account


def parse(text: str, path: Path) -> dict[str, Account]:
    """The accounts in a file's text; blank lines and those that begin with # are skipped. Raises `StoreError`."""
    accounts: dict[str, Account] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, _, rest = line.strip().partition(":")
        hashed, _, role = rest.partition(":")
        name = plain(name)
        if not name or name in accounts or not hashed.startswith("$argon2") or role not in {"", *Role}:
            raise StoreError(
                f"Line {number} of the accounts file {path} cannot be used; a line is name:hash:role with a name that "
                "stands there once, an argon2 hash, and the role user or owner."
            )
        accounts[name] = Account(name, hashed, Role(role or Role.USER))
    return accounts


def add(path: Path, name: str, password: str, role: Role) -> bool:
    """Write an account into the file, made where there is none; True when the name was new.

    An account that is there gets the new password and role. The file is replaced as a whole, with mode 0600.
    """
    name = plain(name)
    refuse_bad_name(name)
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise BadInput(
            f"The password has {len(password)} characters; choose one of {SHORTEST_PASSWORD} to {LONGEST_PASSWORD}."
        )
    accounts = dict(Accounts(path).all()) if path.exists() else {}
    is_new = name not in accounts
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    kept = [line for line in text.splitlines() if plain(line.strip().partition(":")[0]) != name]
    _replace(path, "\n".join([*kept, f"{name}:{HASHER.hash(password)}:{role}"]) + "\n")
    return is_new


def refuse_bad_name(name: str) -> None:
    """Raises `BadInput` for a name that a line cannot hold."""
    if not name or len(name) > LONGEST_NAME or ":" in name or name.startswith("#") or not name.isprintable():
        raise BadInput(
            f"The name {name!r} cannot be used; give 1 to {LONGEST_NAME} printable characters without a colon, not "
            "beginning with #."
        )


@cache
def nobodys_hash() -> str:
    """Checked where there is no account, so that a wrong name takes as long as a wrong password."""
    return HASHER.hash(os.urandom(16).hex())


def plain(name: str) -> str:
    """A name as it is compared: the same letters in the same form, without blanks around it."""
    return unicodedata.normalize("NFC", name).strip()


def _replace(path: Path, text: str) -> None:
    try:
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mkstemp makes mode 0600
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as error:
        raise StoreError(
            f"The accounts file {path} could not be written ({error}); make its folder writable for this user."
        ) from error
