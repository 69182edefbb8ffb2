"""What one version leaves to the next, and which it trusts."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import msgspec
import pytest

import headrace
from headrace.core import errors
from headrace.supervisor import handover
from tests import versions


def kept_by(*numbers: int) -> handover.Kept:
    listener, lock, *connections = numbers
    return handover.Kept(handover.PROTOCOL, listener, lock, connections=connections)


def test_what_is_left_is_found_once_with_its_descriptors() -> None:
    ends = [*os.pipe(), *os.pipe()]
    try:
        kept = kept_by(*ends)
        descriptor = handover.leave(kept)
        assert all(os.get_inheritable(one) for one in ends)
        found = handover.found({handover.VARIABLE: str(descriptor)})
        assert found == kept
        assert not any(os.get_inheritable(one) for one in ends)
        with pytest.raises(errors.Unavailable, match="nothing was handed over"):
            handover.found({handover.VARIABLE: str(descriptor)})
    finally:
        for one in ends:
            os.close(one)


def test_what_this_server_starts_does_not_find_it() -> None:
    ends = os.pipe()
    try:
        environ = {handover.VARIABLE: str(handover.leave(kept_by(*ends)))}
        handover.found(environ)
        assert handover.VARIABLE not in environ
    finally:
        for one in ends:
            os.close(one)


def test_a_word_that_no_program_can_have_is_refused() -> None:
    with pytest.raises(handover.Refused, match="does not start"):
        handover.describe(["\0"], [])


def test_a_start_from_nothing_finds_nothing() -> None:
    assert handover.found({}) is None


def test_kept_of_a_version_that_knew_less_is_read(tmp_path: Path) -> None:
    """Every field that was added since has a default."""
    path = tmp_path / "kept"
    listener, lock = os.pipe()
    path.write_text(f'{{"protocol": 1, "listener": {listener}, "lock": {lock}, "later": []}}')
    descriptor = os.open(path, os.O_RDONLY)
    try:
        assert handover.found({handover.VARIABLE: str(descriptor)}) == kept_by(listener, lock)
    finally:
        os.close(listener)
        os.close(lock)


@pytest.mark.parametrize(
    ("next", "format", "why"),
    [
        (handover.Version("9", 2, 1, 1), 1, "hands over by protocol 2"),
        (handover.Version("9", 1, 2, 3), 1, "works with formats 2 to 3"),
        (handover.Version("9", 1, 1, 1), 2, "works with formats 1 to 1"),
    ],
)
def test_a_version_that_does_not_know_what_it_would_get_is_refused(
    next: handover.Version, format: int, why: str
) -> None:
    with pytest.raises(handover.Refused, match=why) as caught:
        handover.check(next, format)
    assert caught.value.remedy


def test_a_version_that_knows_the_format_and_the_protocol_is_taken() -> None:
    handover.check(handover.Version("9", 1, 1, 3), 2)


def test_a_program_describes_itself(tmp_path: Path) -> None:
    program = handover.program_at(versions.make(tmp_path, "0.1.0+other"))
    told = handover.describe(program, ["up", "--port", "0"])
    assert told.version == "0.1.0+other"
    assert told == msgspec.structs.replace(handover.this_version(), version=told.version)


def test_a_program_that_does_not_know_an_option_of_the_server_is_refused() -> None:
    with pytest.raises(handover.Refused, match=r"does not start: .*no-such-option"):
        handover.describe([sys.executable, "-m", "headrace"], ["up", "--no-such-option"])


def test_a_program_that_is_something_else_is_refused() -> None:
    with pytest.raises(handover.Refused, match="is no Headrace"):
        handover.describe(["/bin/echo"], ["up"])
    with pytest.raises(handover.Refused, match="does not start"):
        handover.describe(["/bin/false"], ["up"])
    with pytest.raises(handover.Refused, match="does not start"):
        handover.describe(["/nowhere/headrace"], ["up"])


def test_a_program_is_named_by_its_environment_its_command_or_its_python(tmp_path: Path) -> None:
    command = versions.make(tmp_path, "1")
    python = tmp_path / "python3"
    python.symlink_to(sys.executable)
    assert handover.program_at(tmp_path / "1") == [str(command)]
    assert handover.program_at(command) == [str(command)]
    assert handover.program_at(python) == [str(python), "-m", "headrace"]
    for wrong in (tmp_path, tmp_path / "nothing", tmp_path / "1" / "headrace" / "__init__.py"):
        with pytest.raises(handover.Refused, match="is no program"):
            handover.program_at(wrong)


def test_this_program_is_what_runs_without_its_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["headrace", "up", "--port", "0"])
    monkeypatch.setattr(sys, "orig_argv", ["python3", "-m", "headrace", "up", "--port", "0"])
    # Its own place: the word that was typed is one that only a shell finds.
    assert handover.this_program() == [sys.executable, "-m", "headrace"]
    monkeypatch.setattr(sys, "argv", ["headrace"])
    monkeypatch.setattr(sys, "orig_argv", ["python3", "/usr/bin/headrace"])
    assert handover.this_program() == [sys.executable, "/usr/bin/headrace"]
    assert handover.this_version().version == headrace.__version__
