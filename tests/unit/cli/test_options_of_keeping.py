"""How long events are kept, as it is said on the command line."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer

from headrace import settings
from headrace.bus import retention
from headrace.cli import failure, options
from headrace.cli.nouns import up


@pytest.mark.parametrize(
    ("given", "ms"), [("90s", 90_000), ("15m", 900_000), ("24h", 86_400_000), ("7d", 604_800_000)]
)
def test_an_age_is_a_number_and_a_unit(given: str, ms: int) -> None:
    assert options.age_ms(given, "--keep") == ms


@pytest.mark.parametrize(
    ("given", "count"), [("1MiB", 1 << 20), ("8GiB", 8 << 30), ("2TiB", 2 << 40)]
)
def test_a_size_is_a_number_and_a_unit(given: str, count: int) -> None:
    assert options.size(given, "--keep-size") == count


@pytest.mark.parametrize("given", ["", "7", "-1d", "7 d", "1.5h", "9999999999s", "8GiB"])
def test_another_age_is_a_usage_error_that_names_the_option(given: str) -> None:
    with pytest.raises(failure.Failure, match="--keep takes an age like") as caught:
        options.age_ms(given, "--keep")
    assert caught.value.exit_code is failure.Exit.USAGE


@pytest.mark.parametrize("given", ["", "8", "8GB", "8gib", "-1GiB", "1.5GiB", "7d"])
def test_another_size_is_a_usage_error_that_names_the_option(given: str) -> None:
    with pytest.raises(failure.Failure, match="--keep-size takes a size like") as caught:
        options.size(given, "--keep-size")
    assert caught.value.exit_code is failure.Exit.USAGE


def test_what_is_said_reaches_the_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    told: list[settings.Settings] = []

    def run(config: settings.Settings, _alongside: object) -> int:
        told.append(config)
        return 0

    monkeypatch.setattr(up, "_run", run)
    for keeping in ({}, {"keep": "30d", "keep_size": "200GiB"}):
        with pytest.raises(typer.Exit):
            up.up(data=tmp_path, **keeping)
    usual, chosen = told
    assert usual.keep == retention.Keep()
    assert chosen.keep == retention.Keep(30 * 86_400_000, 200 << 30)
