"""Who a visitor is. A forged or edited cookie is nobody.

Without accounts: an anonymous id in a signed cookie, no names, no passwords. With accounts: a signed session that names
the account and the password it was opened with, so it ends when the account goes or the password changes. The person's
id is made from the name and this installation's secret: always the same, and it tells nobody the name.

The signing secret lies beside the database in a file only its owner can read. It is made once; two servers that start
at the same moment end up with the same one, because a hard link never replaces a file that is already there.
"""

import hashlib
import hmac
import logging
import os
import secrets
import tempfile
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from itsdangerous import BadSignature, URLSafeSerializer, URLSafeTimedSerializer

from demo.accounts import Account, Accounts
from nightschool.errors import StoreError
from nightschool.ids import new_id
from nightschool.sessions import EndedSessions

COOKIE = "nightschool_person"
SESSION = "nightschool_session"
SESSION_SECONDS = 30 * 24 * 3600

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Session:
    """What a session's cookie says, once its signature was checked."""

    name: str
    seal: str
    id: str


class Visitors:
    """Issues and reads the cookies of one installation: anonymous ones, or the sessions of its accounts."""

    def __init__(self, secret: bytes, accounts: Accounts | None = None, ended: EndedSessions | None = None) -> None:
        self.accounts = accounts
        self._ended = ended
        self._secret = secret
        self._signer = URLSafeSerializer(secret, salt="nightschool-person")
        self._sessions = URLSafeTimedSerializer(secret, salt="nightschool-session")

    def issue(self) -> str:
        """The cookie value of a person nobody has seen yet."""
        return str(self._signer.dumps(new_id()))

    def read(self, cookies: Mapping[str, str]) -> str | None:
        """The person's id; None without a cookie that this installation signed, or without a session that holds."""
        if self.accounts is not None:
            account = self.account(cookies)
            return None if account is None else self.person_of_name(account.name)
        try:
            person_id = self._signer.loads(cookies.get(COOKIE, ""))
        except BadSignature:
            return None
        return person_id if isinstance(person_id, str) else None

    def log_in(self, name: str, password: str) -> str | None:
        """The session cookie's value if the password is right. Raises `StoreError` when the accounts cannot be read."""
        account = self.accounts.verify(name, password) if self.accounts is not None else None
        return None if account is None else str(self._sessions.dumps([account.name, account.seal, new_id()]))

    def log_out(self, cookies: Mapping[str, str]) -> None:
        """End the session for good: a copy of its cookie is worth nothing from now on. Raises `StoreError`."""
        session = self._session(cookies)
        if session is not None and self._ended is not None:
            self._ended.end(session.id)

    def account(self, cookies: Mapping[str, str]) -> Account | None:
        """Whose session it is; None where there are no accounts, or the session does not hold (any more)."""
        session = self._session(cookies)
        if self.accounts is None or session is None or (self._ended is not None and self._ended.has(session.id)):
            return None
        try:
            account = self.accounts.find(session.name)
        except StoreError as error:
            log.error("Nobody is let in: %s", error)
            return None
        return account if account is not None and hmac.compare_digest(account.seal, session.seal) else None

    def _session(self, cookies: Mapping[str, str]) -> Session | None:
        try:
            found = self._sessions.loads(cookies.get(SESSION, ""), max_age=SESSION_SECONDS)
            return Session(*map(str, found))
        except (BadSignature, TypeError):
            return None

    def person_of_name(self, name: str) -> str:
        """The id under which an account's conversations and votes are stored."""
        digest = hmac.new(self._secret, b"nightschool-account\0" + name.encode(), hashlib.sha256).digest()
        return str(uuid.UUID(bytes=digest[:16], version=5))


def load_secret(path: Path) -> bytes:
    """The secret in `path`, made on first use with mode 0600. Raises `StoreError` when it cannot be kept."""
    try:
        if not path.exists():
            _make_secret(path)
        secret = path.read_bytes()
    except OSError as error:
        raise StoreError(
            f"The cookie secret {path} could not be read or made ({error}); make its folder writable for this user."
        ) from error
    if len(secret) < 32:
        raise StoreError(f"The cookie secret {path} is too short to be safe; delete it and start again.")
    return secret


def _make_secret(path: Path) -> None:
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mkstemp makes mode 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_hex(32).encode())
            file.flush()
            os.fsync(file.fileno())
        os.link(temporary, path)
    except FileExistsError:
        return  # another server was first: its secret is the one
    finally:
        os.unlink(temporary)
