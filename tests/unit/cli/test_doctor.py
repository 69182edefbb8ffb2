"""`headrace doctor` on what a server tells: a disk that is nearly full, and the verdicts' exit
codes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import headrace as package
from headrace import diagnosis
from tests.unit.cli import conftest

GIB = 1024**3


def sound(server: conftest.Canned, free: int, **more: Any) -> None:
    """Let the server tell what a healthy one does, but for what is given."""
    status = {
        "version": package.__version__, "store": "sqlite", "account": "1", "sandbox": "L3",
        "sandbox_description": "bubblewrap", "plugins": [], "dead_letters": 0,
        "usage": {"bytes_free": free},
    }  # fmt: skip
    server.answers = {
        ("GET", "/healthz"): (200, {"version": package.__version__}),
        ("GET", "/headrace/v1/status"): (200, status | more),
        ("GET", "/headrace/v1/books"): (
            200,
            {"balanced": True, "subscriptions": [], "rules": []},
        ),
    }


@pytest.mark.usefixtures("keyed")
@pytest.mark.parametrize(
    ("free", "verdict", "code"), [(50 * GIB, "ok", 0), (GIB, "warn", 0), (GIB // 8, "fail", 1)]
)
def test_a_disk_that_is_nearly_full_is_named(
    server: conftest.Canned, headrace: conftest.Run, free: int, verdict: str, code: int
) -> None:
    sound(server, free)
    result = headrace("doctor", "--endpoint", server.url, "-o", "json")
    assert result.code == code
    found = {check["name"]: check for check in result.json}
    assert found["disk"]["verdict"] == verdict
    assert bool(found["disk"]["remedy"]) == (verdict != "ok")
    assert {one["verdict"] for name, one in found.items() if name != "disk"} == {"ok"}


def test_a_disk_of_a_stopped_directory_is_looked_at_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, headrace: conftest.Run
) -> None:
    monkeypatch.setattr(diagnosis, "free_bytes", lambda _path: 1)
    (tmp_path / "VERSION").write_text('{"format": 1}')
    result = headrace("doctor", "--data", str(tmp_path), "-o", "json")
    found = {check["name"]: check for check in result.json}
    assert found["disk"]["verdict"] == "fail"
    assert "new events are refused" in found["disk"]["detail"]


@pytest.mark.usefixtures("keyed")
def test_what_answers_but_is_no_server_of_ours_has_the_port(
    server: conftest.Canned, headrace: conftest.Run
) -> None:
    for body in (b"<html>", [1], {"status": "up"}):
        server.answers = {("GET", "/healthz"): (200, body)}
        result = headrace("doctor", "--endpoint", server.url, "-o", "json")
        assert result.code == 5
        assert [check["name"] for check in result.json] == ["port"]
