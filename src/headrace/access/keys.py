"""Access keys: the pair a server is reached with, made on first start, kept for its owner only.

Owns the credentials file and the ring of keys the authenticator asks. It must never print or log a
secret; the one who starts the server shows a new pair once.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple, cast

import msgspec

from headrace.core import errors, limits

FILE_NAME = "credentials.json"
ID_VARIABLE = "HEADRACE_ACCESS_KEY_ID"
SECRET_VARIABLE = "HEADRACE_ACCESS_KEY_SECRET"  # the variable's name, not a secret
#: Account of a server that was given none; 16 digits as in the cloud.
ACCOUNT_DEFAULT = "1000000000000001"

_ID_PREFIX = "HRAK"
_ID_BYTES = 15
_SECRET_BYTES = 25

Entropy = Callable[[int], bytes]


class Key(msgspec.Struct, frozen=True):
    """One access key; its secret stays out of every printed form."""

    access_key_id: str
    secret: str
    account: str
    root: bool = True
    #: Temporary keys only: what x-acs-security-token must say.
    security_token: str = ""

    def __repr__(self) -> str:
        return f"Key({self.access_key_id!r}, account={self.account!r})"


class Obtained(NamedTuple):
    key: Key
    #: None: the pair came from the environment and is kept nowhere.
    path: Path | None
    #: True: made just now, to be shown once.
    created: bool


class Keyring:
    """The keys a server knows, by id."""

    def __init__(self, keys: Iterable[Key]) -> None:
        self._keys = {key.access_key_id: key for key in keys}
        self.accounts = frozenset(key.account for key in self._keys.values())
        #: Asked for each request that publishes.
        self.several = len(self.accounts) > 1

    def find(self, access_key_id: str) -> Key | None:
        return self._keys.get(access_key_id)


def generate(account: str, entropy: Entropy = os.urandom) -> Key:
    """Return a new key of 120 and 200 random bits."""
    return Key(
        access_key_id=_ID_PREFIX + base64.b32encode(entropy(_ID_BYTES)).decode("ascii"),
        secret=base64.b32encode(entropy(_SECRET_BYTES)).decode("ascii"),
        account=account,
    )


def obtain(
    directory: Path,
    environ: Mapping[str, str],
    *,
    account: str | None = None,
    entropy: Entropy = os.urandom,
) -> Obtained:
    """Return the key of a data directory: from the environment, else from its file, else a new one.

    account: must agree with the file; None takes the file's, or ACCOUNT_DEFAULT.
    Raises: InvalidInput (half a pair in the environment, a file others can read or that is
    damaged).
    """
    given = from_environment(environ, account or ACCOUNT_DEFAULT)
    path = directory / FILE_NAME
    if given is not None:
        return Obtained(given, None, created=False)
    if not path.exists():
        key = generate(account or ACCOUNT_DEFAULT, entropy)
        save(path, key)
        return Obtained(key, path, created=True)
    key = load(path)
    if account is not None and account != key.account:
        raise errors.InvalidInput(
            f"{path} belongs to account {key.account}, not {account}.",
            field="account-id",
            expected=key.account,
            got=account,
            remedy="Start without --account-id, or on another data directory.",
        )
    return Obtained(key, path, created=False)


def from_environment(environ: Mapping[str, str], account: str) -> Key | None:
    """Return the pair the environment names, None if none. Raises: InvalidInput on half a pair."""
    access_key_id, secret = environ.get(ID_VARIABLE, ""), environ.get(SECRET_VARIABLE, "")
    if not access_key_id and not secret:
        return None
    if not access_key_id or not secret:
        missing = SECRET_VARIABLE if access_key_id else ID_VARIABLE
        raise errors.InvalidInput(
            f"{ID_VARIABLE} and {SECRET_VARIABLE} belong together; {missing} is not set.",
            field=missing,
        )
    return Key(access_key_id, secret, account)


def load(path: Path) -> Key:
    """Return the key of a credentials file. Raises: InvalidInput."""
    with path.open("rb") as file:
        mode = os.fstat(file.fileno()).st_mode & 0o777
        if mode & 0o077:
            raise errors.InvalidInput(
                f"{path} can be read by others (mode {mode:04o}).",
                field="credentials",
                expected="0600",
                got=f"{mode:04o}",
                remedy=f"chmod 600 {path}; if others had access, delete it to get a new pair.",
            )
        text = file.read(limits.CREDENTIALS_BYTES_MAX + 1)
    fields = _fields(path, text)
    return Key(fields["access_key_id"], fields["access_key_secret"], fields.get("account_id", ""))


def save(path: Path, key: Key) -> None:
    """Write a credentials file that nobody else can ever read, whole or not at all, and durable."""
    text = json.dumps(
        {
            "access_key_id": key.access_key_id,
            "access_key_secret": key.secret,
            "account_id": key.account,
        },
        indent=2,
    )
    draft = path.with_name(f"{path.name}.new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "w", encoding="ascii") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    draft.rename(path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _fields(path: Path, text: bytes) -> dict[str, str]:
    damaged = errors.InvalidInput(
        f"{path} is no credentials file.",
        field="credentials",
        remedy="Restore it, or delete it to get a new pair.",
    )
    if len(text) > limits.CREDENTIALS_BYTES_MAX:
        raise damaged
    try:
        found = json.loads(text)
    except ValueError as fault:
        raise damaged from fault
    if not isinstance(found, dict):
        raise damaged
    fields = cast("dict[str, object]", found)
    if not all(isinstance(fields.get(n), str) and fields[n] for n in _REQUIRED):
        raise damaged
    return {name: value for name, value in fields.items() if isinstance(value, str)}


_REQUIRED = ("access_key_id", "access_key_secret", "account_id")
