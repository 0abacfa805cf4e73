"""Who a visitor is: an anonymous id in a signed cookie. No names, no passwords; a forged or edited cookie is nobody.

The signing secret lies beside the database in a file only its owner can read. It is made once; two servers that start
at the same moment end up with the same one, because a hard link never replaces a file that is already there.
"""

import os
import secrets
import tempfile
from collections.abc import Mapping
from pathlib import Path

from itsdangerous import BadSignature, URLSafeSerializer

from nightschool.errors import StoreError
from nightschool.ids import new_id

COOKIE = "nightschool_person"


class Visitors:
    """Issues and reads the cookies of one installation."""

    def __init__(self, secret: bytes) -> None:
        self._signer = URLSafeSerializer(secret, salt="nightschool-person")

    def issue(self) -> str:
        """The cookie value of a person nobody has seen yet."""
        return str(self._signer.dumps(new_id()))

    def read(self, cookies: Mapping[str, str]) -> str | None:
        """The person's id; None without a cookie that this installation signed."""
        try:
            person_id = self._signer.loads(cookies.get(COOKIE, ""))
        except BadSignature:
            return None
        return person_id if isinstance(person_id, str) else None


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
