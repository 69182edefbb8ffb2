"""Plug-ins are taken or refused one by one, each with its reason."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import metadata
from types import SimpleNamespace
from typing import Any

import pytest

from headrace import plugins
from headrace.core import delivery
from headrace.targets import plugged

pytestmark = pytest.mark.anyio


class Point:
    """An entry point that loads what it is told to."""

    def __init__(self, name: str, made: Any, group: str = plugins.TARGETS) -> None:
        self.name, self.value, self.group, self._made = name, f"{name}:target", group, made
        self.dist = None

    def load(self) -> Any:
        if isinstance(self._made, BaseException):
            raise self._made
        return self._made


def target(**more: Any) -> SimpleNamespace:
    fields: dict[str, Any] = {"api_version": 1, "type": "acme.x", "open": lambda _endpoint: None}
    return SimpleNamespace(**{**fields, **more})


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> list[Point]:
    points: list[Point] = []
    found = lambda group: [one for one in points if one.group == group]  # noqa: E731
    monkeypatch.setattr(metadata, "entry_points", found)
    return points


def test_nothing_is_installed(installed: list[Point]) -> None:
    assert installed == []
    assert plugins.load() == plugins.Loaded([], {})


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (ImportError("no module"), "does not load: ImportError: no module"),
        (SystemExit(1), "does not load: SystemExit"),
        (object(), "declares API version None, this version of Headrace has 1"),
        (target(api_version=2), "declares API version 2"),
        (target(type=""), "words joined by dots"),
        (target(type="x"), "words joined by dots"),
        (target(type=7), "words joined by dots"),
        (target(type="acs.mns.queue"), "belongs to the cloud"),
        (target(type="acs.mine"), "belongs to the cloud"),
        (target(open=None), "has no open(endpoint)"),
    ],
)
def test_a_plugin_that_does_not_fit_is_refused_and_the_next_one_is_taken(
    installed: list[Point], made: Any, reason: str
) -> None:
    good = target(type="acme.good")
    installed += [Point("bad", made), Point("good", good)]
    loaded = plugins.load()
    assert [one.name for one in loaded.refused] == ["bad"]
    assert reason in loaded.refused[0].problem
    assert loaded.openers == {"acme.good": good.open}


def test_of_two_plugins_with_one_type_the_first_by_name_is_taken(installed: list[Point]) -> None:
    installed += [Point("b", target()), Point("a", target())]
    loaded = plugins.load()
    assert [(one.name, one.problem) for one in loaded.plugins] == [
        ("a", ""),
        ("b", "another plug-in has the type acme.x"),
    ]


def test_a_source_is_refused_without_being_imported(installed: list[Point]) -> None:
    installed.append(Point("s", AssertionError("imported"), plugins.SOURCES))
    assert "sources are not run" in plugins.load().refused[0].problem


# -- the sender


class Sender:
    def __init__(self, answers: Any) -> None:
        self.answers, self.closed = answers, False

    async def send(
        self, batch: Sequence[delivery.Message], deadline_us: int
    ) -> Sequence[delivery.Outcome]:
        if isinstance(self.answers, Exception):
            raise self.answers
        return self.answers

    async def close(self) -> None:
        self.closed = True


MESSAGE = delivery.Message(1, "e", "s", "t", 1, "1", "default", "r", "t", "R", {}, b"{}")


async def sent(opener: Any) -> delivery.Outcome:
    return (await plugged.PluggedSender("acme.x", "here", opener).send([MESSAGE], 1))[0]


async def test_a_sender_of_a_plugin_answers_for_itself() -> None:
    made = Sender([delivery.delivered(201)])
    opened: list[str] = []

    def opener(endpoint: str) -> Sender:
        opened.append(endpoint)
        return made

    sender = plugged.PluggedSender("acme.x", "here", opener)
    assert opened == []
    for _ in range(2):
        assert (await sender.send([MESSAGE], 1))[0].code == 201
    assert opened == ["here"]
    await sender.close()
    assert made.closed


@pytest.mark.parametrize(
    ("answers", "said"), [(ValueError("boom"), b"ValueError: boom"), ([], b"answered 0 of 1")]
)
async def test_a_sender_that_breaks_the_rules_makes_a_failed_attempt(
    answers: Any, said: bytes
) -> None:
    outcome = await sent(lambda _endpoint: Sender(answers))
    assert (outcome.ok, outcome.kind) == (False, "down")
    assert said in outcome.detail


async def test_a_plugin_that_cannot_open_or_is_gone_makes_a_failed_attempt() -> None:
    def opener(_endpoint: str) -> Sender:
        raise OSError("no such host")

    assert b"no such host" in (await sent(opener)).detail
    assert b"no plug-in for targets of type acme.x" in (await sent(None)).detail
    await plugged.PluggedSender("acme.x", "here", None).close()
