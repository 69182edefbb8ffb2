"""Which server and which key a command finds, in which order."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from headrace.access import keys
from headrace.cli import failure, servers


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"XDG_STATE_HOME": str(tmp_path / "state"), "XDG_DATA_HOME": str(tmp_path / "share")}


def credentials(folder: Path, access_key_id: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / keys.FILE_NAME
    keys.save(path, keys.Key(access_key_id, "secret", "1000000000000001"))
    return path


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("localhost:7000", "http://localhost:7000"),
        ("http://127.0.0.1:7280/", "http://127.0.0.1:7280"),
        ("https://events.example.com", "https://events.example.com:443"),
        ("http://[::1]:7280", "http://[::1]:7280"),
    ],
)
def test_address_is_read_in_the_forms_people_type(given: str, expected: str) -> None:
    assert servers.address(given) == expected


@pytest.mark.parametrize(
    "given",
    [
        "ftp://x",
        "http://",
        "http://h:notaport",
        "http://h/path",
        "http://user@h:1",
        "http://h:99999",
    ],
)
def test_address_that_is_none_is_a_usage_error(given: str) -> None:
    with pytest.raises(failure.Failure) as refused:
        servers.address(given)
    assert refused.value.exit_code is failure.Exit.USAGE


def test_without_anything_it_is_the_default_address(environ: dict[str, str]) -> None:
    assert servers.url_of("", environ) == servers.URL_DEFAULT


def test_a_server_that_runs_here_is_found_with_its_key(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    path = credentials(tmp_path / "elsewhere", "AKnoted")
    servers.remember("http://127.0.0.1:4242", str(path), environ)
    url, key = servers.find("", environ)
    assert (url, key.access_key_id) == ("http://127.0.0.1:4242", "AKnoted")


def test_the_note_of_a_dead_server_is_not_followed(environ: dict[str, str]) -> None:
    note = servers.remember("http://127.0.0.1:4242", None, environ)
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    told = {"url": "http://127.0.0.1:4242", "keys_file": None, "pid": gone.pid}
    note.write_text(json.dumps(told))
    assert servers.url_of("", environ) == servers.URL_DEFAULT


def test_notes_hold_no_secret_and_are_for_their_owner_only(environ: dict[str, str]) -> None:
    note = servers.remember("http://127.0.0.1:4242", "/k", environ)
    assert set(json.loads(note.read_text())) == {"url", "keys_file", "pid"}
    assert note.parent.stat().st_mode & 0o077 == 0


def test_of_several_servers_one_must_be_chosen(environ: dict[str, str]) -> None:
    servers.remember("http://127.0.0.1:4242", None, environ)
    servers.remember("http://127.0.0.1:4343", None, environ)
    with pytest.raises(failure.Failure) as refused:
        servers.url_of("", environ)
    assert refused.value.exit_code is failure.Exit.USAGE
    assert "4242" in refused.value.message
    assert "4343" in refused.value.message


def test_the_default_port_is_chosen_among_several(environ: dict[str, str]) -> None:
    servers.remember("http://127.0.0.1:4242", None, environ)
    servers.remember(servers.URL_DEFAULT, None, environ)
    assert servers.url_of("", environ) == servers.URL_DEFAULT


def test_the_data_directory_of_the_environment_names_its_server(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    credentials(tmp_path / "d", "AKdata")
    ready = {"url": "http://127.0.0.1:5151", "pid": os.getpid(), "keys_file": None}
    (tmp_path / "d" / "ready.json").write_text(json.dumps(ready))
    servers.remember("http://127.0.0.1:4242", None, environ)
    environ[servers.DATA_VARIABLE] = str(tmp_path / "d")
    url, key = servers.find("", environ)
    assert (url, key.access_key_id) == ("http://127.0.0.1:5151", "AKdata")


def test_the_environments_key_wins_over_every_file(tmp_path: Path, environ: dict[str, str]) -> None:
    credentials(tmp_path / "share" / "headrace", "AKfile")
    assert servers.find("", environ).key.access_key_id == "AKfile"
    environ |= {"HEADRACE_ACCESS_KEY_ID": "AKenv", "HEADRACE_ACCESS_KEY_SECRET": "s"}
    assert servers.find("", environ).key.access_key_id == "AKenv"


def test_local_credentials_are_not_used_for_a_distant_server(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    credentials(tmp_path / "share" / "headrace", "AKfile")
    with pytest.raises(failure.Failure) as refused:
        servers.find("https://events.example.com", environ)
    assert refused.value.exit_code is failure.Exit.AUTH
    assert "HEADRACE_ACCESS_KEY_ID" in refused.value.remedy


def test_a_credentials_file_that_others_can_read_is_refused(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    path = credentials(tmp_path / "share" / "headrace", "AKfile")
    path.chmod(0o644)
    with pytest.raises(failure.Failure) as refused:
        servers.find("", environ)
    assert refused.value.exit_code is failure.Exit.AUTH
    assert "chmod 600" in refused.value.remedy


def test_half_a_pair_in_the_environment_is_refused(environ: dict[str, str]) -> None:
    with pytest.raises(failure.Failure) as refused:
        servers.find("", environ | {"HEADRACE_ACCESS_KEY_ID": "AK"})
    assert refused.value.exit_code is failure.Exit.AUTH
    assert "HEADRACE_ACCESS_KEY_SECRET" in refused.value.message
