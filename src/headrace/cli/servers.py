"""Which server a command talks to, and with which key.

The address: --endpoint, HEADRACE_ENDPOINT, the server of $HEADRACE_DATA, the one that runs here,
else http://127.0.0.1:7280. The key: HEADRACE_ACCESS_KEY_ID and _SECRET, else the credentials file
of that server. `up` leaves a note (address and path of the credentials file, no secret) in the
user's state directory so that commands in another terminal find both. Must never send anything.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast
from urllib.parse import urlsplit

from headrace.access import keys
from headrace.cli import failure
from headrace.core import errors

URL_DEFAULT = "http://127.0.0.1:7280"
DATA_VARIABLE = "HEADRACE_DATA"
READY_NAME = "ready.json"
#: A note of a running server is a few hundred bytes.
_NOTE_BYTES_MAX = 64 * 1024


class Place(NamedTuple):
    """A server and the key it is reached with."""

    url: str
    key: keys.Key


class Note(NamedTuple):
    """What a running server said of itself."""

    url: str
    keys_file: str | None
    pid: int


def data_directory(environ: Mapping[str, str]) -> Path:
    """Return the data directory of a server that is told none."""
    if given := environ.get(DATA_VARIABLE):
        return Path(given)
    return _home(environ, "XDG_DATA_HOME", ".local/share") / "headrace"


def find(endpoint: str, environ: Mapping[str, str]) -> Place:
    """Return where to go. endpoint: "" for none given.

    Raises: Failure (USAGE for an address that is none or several servers to choose from, AUTH).
    """
    url = url_of(endpoint, environ)
    return Place(url, _key(url, list(_notes(environ)), environ))


def url_of(endpoint: str, environ: Mapping[str, str]) -> str:
    """Return the address alone. Raises: Failure (USAGE)."""
    return address(endpoint) if endpoint else _running(list(_notes(environ)), environ)


def directory_of(url: str, environ: Mapping[str, str]) -> Path | None:
    """Return the data directory of a server that runs on this machine, where that is known."""
    for note in _notes(environ):
        if note.url == url and note.keys_file and _lives(note.pid):
            return Path(note.keys_file).parent
    for note in _read(data_directory(environ) / READY_NAME) if is_local(url) else ():
        if note.url == url and _lives(note.pid):
            return data_directory(environ)
    return None


def address(text: str) -> str:
    """Return an endpoint as `scheme://host:port`. Raises: Failure (USAGE)."""
    url = text if "://" in text else f"http://{text}"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as fault:
        raise failure.usage(f"{text!r} is no address of a server: {fault}.") from fault
    plain = parts.path in ("", "/") and not (parts.query or parts.fragment or parts.username)
    if parts.scheme not in ("http", "https") or not parts.hostname or not plain:
        raise failure.usage(f"{text!r} is no address of a server.", f"--endpoint {URL_DEFAULT}")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}:{port or (443 if parts.scheme == 'https' else 80)}"


def is_local(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    return host in ("localhost", "::1") or host.startswith("127.")


def remember(
    url: str, keys_file: str | None, environ: Mapping[str, str], *, pid: int | None = None
) -> Path:
    """Note a server that runs, for commands in other terminals; return the note's file.

    pid: of whoever is told to stop; None: this process.
    """
    pid = pid or os.getpid()
    folder = _note_folder(environ)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / (urlsplit(url).netloc.replace(":", "_") + ".json")
    part = path.with_name(f"{path.name}.{pid}")
    part.write_text(json.dumps({"url": url, "keys_file": keys_file, "pid": pid}))
    part.replace(path)
    return path


def _home(environ: Mapping[str, str], variable: str, default: str) -> Path:
    given = environ.get(variable, "")
    return Path(given) if given.startswith("/") else Path.home() / default


def _note_folder(environ: Mapping[str, str]) -> Path:
    return _home(environ, "XDG_STATE_HOME", ".local/state") / "headrace" / "servers"


def _notes(environ: Mapping[str, str]) -> Iterator[Note]:
    """Yield what is known of servers: that of $HEADRACE_DATA first, then the notes of `up`."""
    if environ.get(DATA_VARIABLE):
        yield from _read(data_directory(environ) / READY_NAME)
    folder = _note_folder(environ)
    for path in sorted(folder.glob("*.json")) if folder.is_dir() else ():
        yield from _read(path)


def _read(path: Path) -> Iterator[Note]:
    """Yield the note of a file that is one; what was half removed or is foreign is none."""
    try:
        with path.open("rb") as file:
            fields: Any = json.loads(file.read(_NOTE_BYTES_MAX))
    except (OSError, ValueError):
        return
    if not isinstance(fields, dict):
        return
    note = cast("dict[str, Any]", fields)
    url, keys_file, pid = note.get("url"), note.get("keys_file"), note.get("pid")
    if isinstance(url, str) and isinstance(pid, int) and isinstance(keys_file, str | None):
        yield Note(url, keys_file, pid)


def _running(notes: list[Note], environ: Mapping[str, str]) -> str:
    alive = dict.fromkeys(note.url for note in notes if _lives(note.pid))
    if not alive or URL_DEFAULT in alive:
        return URL_DEFAULT
    if environ.get(DATA_VARIABLE) or len(alive) == 1:
        return next(iter(alive))
    raise failure.usage(
        f"{len(alive)} servers run here: {', '.join(alive)}.", "Choose one with --endpoint."
    )


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _key(url: str, notes: list[Note], environ: Mapping[str, str]) -> keys.Key:
    try:
        given = keys.from_environment(environ, keys.ACCOUNT_DEFAULT)
        if given is not None:
            return given
        for path in _key_files(url, notes, environ):
            if path.exists():
                return keys.load(path)
    except (errors.InvalidInput, OSError) as fault:
        remedy = fault.remedy if isinstance(fault, errors.InvalidInput) else ""
        raise failure.Failure(str(fault), failure.Exit.AUTH, remedy=remedy) from fault
    raise failure.Failure(
        f"There are no credentials for {url}.",
        failure.Exit.AUTH,
        remedy=f"Set {keys.ID_VARIABLE} and {keys.SECRET_VARIABLE}, or {DATA_VARIABLE} to the data"
        " directory; without a server, `headrace up` starts one.",
    )


def _key_files(url: str, notes: list[Note], environ: Mapping[str, str]) -> Iterator[Path]:
    for note in notes:
        if note.url == url and note.keys_file:
            yield Path(note.keys_file)
    if is_local(url):
        yield data_directory(environ) / keys.FILE_NAME
