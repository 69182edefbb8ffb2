"""Access keys: made once, kept private, taken from the environment whole or not at all."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from headrace.access import keys
from headrace.core import errors

ENVIRON = {keys.ID_VARIABLE: "id", keys.SECRET_VARIABLE: "secret"}


def test_the_first_start_makes_a_pair_and_the_next_finds_it(tmp_path: Path) -> None:
    first = keys.obtain(tmp_path, {}, account="1234")
    again = keys.obtain(tmp_path, {})
    assert first.created
    assert not again.created
    assert again.key == first.key
    assert again.path == tmp_path / "credentials.json"
    assert first.key.account == "1234"
    assert first.key.root


def test_only_the_owner_can_read_the_file_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        keys.obtain(tmp_path, {})
    finally:
        os.umask(before)
    assert (tmp_path / keys.FILE_NAME).stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == [keys.FILE_NAME]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o610])
def test_a_file_others_may_open_is_refused(tmp_path: Path, mode: int) -> None:
    keys.obtain(tmp_path, {})
    (tmp_path / keys.FILE_NAME).chmod(mode)
    with pytest.raises(errors.InvalidInput, match="read by others"):
        keys.obtain(tmp_path, {})


def test_the_environment_wins_and_is_written_nowhere(tmp_path: Path) -> None:
    found = keys.obtain(tmp_path, ENVIRON, account="1")
    assert (found.key.access_key_id, found.key.secret, found.key.account) == ("id", "secret", "1")
    assert (found.path, found.created) == (None, False)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("missing", list(ENVIRON))
def test_half_a_pair_in_the_environment_is_refused(tmp_path: Path, missing: str) -> None:
    with pytest.raises(errors.InvalidInput) as refusal:
        keys.obtain(tmp_path, ENVIRON | {missing: ""})
    assert refusal.value.field == missing


@pytest.mark.parametrize(
    "text",
    [
        *(b"", b"[]", b"{", b"\xff", b'{"access_key_id":"a"}', b'{"access_key_id":1}'),
        *(b"x" * 70_000, b'{"access_key_id":"a","access_key_secret":"","account_id":"1"}'),
    ],
)
def test_a_damaged_file_is_refused_and_left_alone(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / keys.FILE_NAME
    path.write_bytes(text)
    path.chmod(0o600)
    with pytest.raises(errors.InvalidInput):
        keys.obtain(tmp_path, {})
    assert path.read_bytes() == text


def test_another_account_than_the_files_is_refused(tmp_path: Path) -> None:
    keys.obtain(tmp_path, {}, account="1")
    assert keys.obtain(tmp_path, {}, account="1").key.account == "1"
    with pytest.raises(errors.InvalidInput) as refusal:
        keys.obtain(tmp_path, {}, account="2")
    assert (refusal.value.expected, refusal.value.got) == ("1", "2")


def test_a_draft_left_by_a_crash_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / f"{keys.FILE_NAME}.new").write_text("half")
    assert keys.obtain(tmp_path, {}).created
    assert os.listdir(tmp_path) == [keys.FILE_NAME]


def test_new_pairs_differ_and_are_long() -> None:
    made = {keys.generate("1").secret for _ in range(100)}
    assert len(made) == 100
    assert {len(secret) for secret in made} == {40}
    key = keys.generate("1")
    assert len(key.access_key_id) == 28
    assert key.access_key_id.isalnum()


def test_a_key_never_shows_its_secret() -> None:
    key = keys.generate("1")
    for text in (repr(key), str(key), f"{key}", f"{[key]}"):
        assert key.secret not in text
        assert key.access_key_id in text


def test_the_file_is_plain_json(tmp_path: Path) -> None:
    """Clients and people read it too."""
    made = keys.obtain(tmp_path, {}).key
    assert json.loads((tmp_path / keys.FILE_NAME).read_text()) == {
        "access_key_id": made.access_key_id,
        "access_key_secret": made.secret,
        "account_id": keys.ACCOUNT_DEFAULT,
    }


def test_a_ring_finds_its_keys_and_no_others() -> None:
    key = keys.generate("1")
    ring = keys.Keyring([key])
    assert ring.find(key.access_key_id) is key
    assert ring.find("") is None
    assert ring.find(key.access_key_id.lower()) is None
