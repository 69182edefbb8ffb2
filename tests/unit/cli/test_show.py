"""How results are written: YAML, JSON, names, tables, trees."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from typing import Any

import pytest

from headrace.cli import options
from headrace.cli.show import output, tables, tracing, yamltext
from headrace.core import jsontext


class Terminal(io.StringIO):
    """A stream that says it is one."""

    def isatty(self) -> bool:
        return True


# -- YAML: expected texts, agreed with a real parser when the emitter was written


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"name": "big", "targets": []}, "name: big\ntargets: []\n"),
        ({"a": {"b": [1, {"c": None}]}}, "a:\n  b:\n    - 1\n    - c: null\n"),
        ([{"c": True, "d": {}}], "- c: true\n  d: {}\n"),
        ([["x"], {}], "- - x\n- {}\n"),
        ({"arn": "acs:fc:cn:1:functions/f"}, "arn: acs:fc:cn:1:functions/f\n"),
        ("a: b", '"a: b"\n'),
        ({"k": "- x"}, 'k: "- x"\n'),
        ({"k": ""}, 'k: ""\n'),
        ({"p": '{"a":["it\'s"]}'}, "p: '{\"a\":[\"it''s\"]}'\n"),
        ({"log": "one\n two\n"}, "log: |\n  one\n   two\n"),
        ({"log": "one\ntwo"}, "log: |-\n  one\n  two\n"),
        ([{"log": "one\n\ntwo\n"}], "- log: |\n    one\n\n    two\n"),
        ({"k": " a\nb"}, 'k: " a\\nb"\n'),
        ({"k": "a\tb\n"}, 'k: "a\\tb\\n"\n'),
        ({"k": "\x85\u2028"}, 'k: "\\u0085\\u2028"\n'),
        ({"k": "你好"}, 'k: "你好"\n'),
    ],
)  # fmt: skip
def test_yaml_of_a_value(value: Any, expected: str) -> None:
    assert yamltext.dump(value) == expected


@pytest.mark.parametrize(
    "text", ["true", "No", "ON", "null", "~", "1", "1.5", "1e3", "0x1F", "12:30", "2026-01-02",
             ".inf", "nan", "=", "<<", "#x", "&a", "*a", "!t", "%d", "@x", "`x", "? x", "- ", "a:"],
)  # fmt: skip
def test_yaml_quotes_text_that_a_parser_would_take_for_something_else(text: str) -> None:
    assert yamltext.dump({"k": text}) == f'k: "{text}"\n'


def test_yaml_keeps_the_spelling_of_numbers() -> None:
    assert yamltext.dump(jsontext.decode('{"x":1.50,"e":3.0e2}')) == "x: 1.50\ne: 3.0e2\n"


def test_yaml_of_long_text_takes_no_time() -> None:
    """The pattern for plain text must not try the splits of a long word."""
    assert yamltext.dump("a" * 200_000 + "!").startswith('"aaa')


# -- machine output


def test_json_is_indented_unicode_with_numbers_as_sent(capsys: pytest.CaptureFixture[str]) -> None:
    output.machine(jsontext.decode('{"n":1.50,"t":"你"}'), options.Format.JSON)
    assert capsys.readouterr().out == '{\n  "n": 1.50,\n  "t": "你"\n}\n'


def show_items(form: options.Format, found: list[dict[str, Any]]) -> None:
    output.items(
        found, form, name="id", empty="There are none.",
        columns=[("ID", "id"), ("BIG", lambda one: one["n"] > 5)],
    )  # fmt: skip


def test_items_in_each_format(capsys: pytest.CaptureFixture[str]) -> None:
    found = [{"id": "a", "n": 3}, {"id": "bcd", "n": 10}]
    show_items(options.Format.NAME, found)
    assert capsys.readouterr().out == "a\nbcd\n"
    show_items(options.Format.JSON, found)
    assert json.loads(capsys.readouterr().out) == found
    show_items(options.Format.YAML, found)
    assert capsys.readouterr().out == '- id: a\n  "n": 3\n- id: bcd\n  "n": 10\n'
    show_items(options.Format.TABLE, found)
    assert capsys.readouterr().out == "ID   BIG\na    no\nbcd  yes\n"


def test_an_empty_list_is_empty_output_and_a_word_to_people(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show_items(options.Format.TABLE, [])
    assert capsys.readouterr() == ("", "There are none.\n")
    show_items(options.Format.JSON, [])
    assert capsys.readouterr() == ("[]\n", "")


# -- tables


def test_columns_align_by_the_width_people_see(capsys: pytest.CaptureFixture[str]) -> None:
    tables.show(("NAME", "X"), [("总线", 1), ("abc", 2)])
    assert capsys.readouterr().out == "NAME  X\n总线  1\nabc   2\n"


def test_values_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """An event's source may be anybody's text: escapes, line breaks, right-to-left marks."""
    tables.show((), [("\x1b[2Jgone\nnext\u202eabc",)])
    assert capsys.readouterr().out == "\\u001b[2Jgone\\nnext\\u202eabc\n"


def test_on_a_terminal_text_that_looks_like_markup_stays() -> None:
    screen = Terminal()
    tables.show(("NAME",), [("[red]x[/red]",)], screen)
    assert "[red]x[/red]" in screen.getvalue()


def test_no_colour_when_the_user_wants_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    coloured, plain = Terminal(), Terminal()
    tables.styled(tables.status("dead"), stream=coloured)
    monkeypatch.setenv("NO_COLOR", "1")
    tables.styled(tables.status("dead"), stream=plain)
    assert "\x1b[31m" in coloured.getvalue()
    assert "\x1b[31m" not in plain.getvalue()


def test_output_into_a_pipe_never_loads_rich() -> None:
    script = (
        "import sys; from headrace.cli.show import tables;"
        "tables.show(('A',), [('b',)]); tables.styled(tables.status('dead'));"
        "print('rich' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "A\nb\ndead\nFalse\n"


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1536, "1.5 KiB"),
        (5 * 1024**3, "5.0 GiB"),
        (2**52, "4096.0 TiB"),
    ],
)
def test_sizes_are_for_people(count: int, shown: str) -> None:
    assert tables.size_of(count) == shown


# -- the tree of a trace


def push(target: str, attempt: int, verdict: str, **more: Any) -> dict[str, Any]:
    return {
        "action": "PushEvent", "at_ms": 1_700_000_000_000, "rule": "big", "target": target,
        "endpoint": f"acs:{target}", "attempt": attempt, "latency_ms": 1.25, "code": 200,
        "status": "[200]Ok", "verdict": verdict, "wait_ms": 0, "detail": "", **more,
    }  # fmt: skip


def tree(steps: list[dict[str, Any]]) -> list[str]:
    """The lines of a tree without colours and times."""
    lines = [
        "".join(piece if isinstance(piece, str) else piece.text for piece in line)
        for line in tracing.lines(steps)
    ]
    at = tables.time_of(1_700_000_000_000)
    return [line.replace(at, "TIME") for line in lines]


def test_a_trace_is_a_tree_of_rules_targets_and_attempts() -> None:
    put = {"action": "PutEvent", "at_ms": 1_700_000_000_000, "rule": ""}
    matched = {"action": "FilterEvent", "at_ms": 1_700_000_000_000, "rule": "big"}
    steps = [
        put,
        matched,
        push("fn", 1, "retry", wait_ms=12_500, status="[500]Boom", detail="why\nnot"),
        push("fn", 2, "delivered"),
        push("queue", 0, ""),
    ]
    assert tree(steps) == [
        "├─ received TIME",
        "└─ rule big matched",
        "   ├─ target fn  acs:fn",
        "   │  ├─ attempt 1  retry  [500]Boom  1.2 ms  TIME  next in 12.5 s  why\\nnot",
        "   │  └─ attempt 2  delivered  [200]Ok  1.2 ms  TIME",
        "   └─ target queue  acs:queue",
        "      └─ waiting",
    ]


def test_an_event_that_no_rule_took_points_to_why(capsys: pytest.CaptureFixture[str]) -> None:
    found = {
        "id": "e1", "source": "s", "type": "t", "bus": "default", "trace_id": "0A",
        "steps": [{"action": "PutEvent", "at_ms": 1_700_000_000_000, "rule": ""}],
    }  # fmt: skip
    tracing.show(found)
    assert capsys.readouterr().out.endswith("headrace why e1\n")
