"""The demo as a user runs it: both doors, both languages, every sabotage, an installed wheel."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.wire import native, sdk, waiting

REPOSITORY = Path(__file__).parents[2]
DEMO = [sys.executable, "-m", "headrace.demo"]
SECONDS_MAX = 60
SDKS = ("alibabacloud_eventbridge20200401", "alibabacloud_fc20230330", "alibabacloud_eventbridge ")
#: What each sabotage must be told to have caused.
CAUSES = {
    "function": "RuntimeError: the till is jammed",
    "rule": 'source: expected ["somewhere.else"], got "shop.orders"',
    "receiver": "no connection",
    "signature": "SignatureDoesNotMatch",
    "disk": "StoreFull",
}


class Told(NamedTuple):
    """How one run of the demo ended."""

    code: int
    lines: list[str]
    errors: str

    @property
    def summary(self) -> dict[str, Any]:
        return json.loads(self.lines[-1])

    def line_of(self, step: str) -> str:
        """The line of a step that worked or broke."""
        words = [(line, line.split()) for line in self.lines]
        (found,) = [one for one, said in words if said[2:3] == [step] and said[0] in "✓✗"]
        return found


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A user's environment with a home and a temporary directory of its own."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("LC_", "LANG", "XDG_"))}
    return kept | {"HOME": str(tmp_path), "TMPDIR": str(tmp_path), "LANG": "C.UTF-8"}


@pytest.fixture(params=["sdk", "wire"])
def door(
    request: pytest.FixtureRequest, sdk_python: Path, sdk_data_python: Path, environment: Any
) -> str:
    environment["HEADRACE_SDK_PYTHON"] = str(sdk_python)
    environment["HEADRACE_SDK_DATA_PYTHON"] = str(sdk_data_python)
    return request.param


def told(command: list[str], environment: dict[str, str]) -> Told:
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=SECONDS_MAX, check=False
    )
    return Told(done.returncode, done.stdout.splitlines(), done.stderr)


@contextlib.contextmanager
def running(command: list[str], environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """A process that is told to end, and ends well."""
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout is not None
    try:
        yield process
        process.send_signal(signal.SIGINT)
        assert process.wait(SECONDS_MAX) == 0
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        process.stdout.close()


def served(data: Path) -> native.Native:
    """Headrace's own API on the server of a data directory."""
    ready = waiting.wait_for(lambda: _json(data / "ready.json"), "the server", seconds=SECONDS_MAX)
    keys = json.loads((data / "credentials.json").read_text())
    place = sdk.Place(
        ready["url"].removeprefix("http://"), keys["access_key_id"], keys["access_key_secret"]
    )
    return native.Native(lambda: place)


def _json(path: Path) -> Any:
    return json.loads(path.read_text()) if path.exists() else None


def test_story_works_and_its_traces_are_there_after_a_restart(
    door: str, environment: dict[str, str]
) -> None:
    run = told([*DEMO, "--once", "--door", door], environment)
    assert run.code == 0, (run.lines, run.errors)
    assert run.errors == ""
    assert set(run.summary) == {"steps", "ok", "data", "event_ids"}
    assert run.summary["steps"] == run.summary["ok"] == len([x for x in run.lines if "✓" in x])
    assert len(run.summary["event_ids"]) >= 6
    speaks_sdk = all(name in "\n".join(run.lines) for name in SDKS)
    assert speaks_sdk == (door == "sdk")

    data = Path(run.summary["data"])
    up = [sys.executable, "-m", "headrace", "up", "--port", "0", "--data", str(data)]
    with running(up, environment):
        own = served(data)
        for event_id in run.summary["event_ids"]:
            steps = own.get(f"events/{event_id}/trace")["steps"]
            (called,) = [
                step
                for step in steps
                if step["endpoint"].endswith(":functions/orders") and step["rule"] == "shipping"
            ]
            assert (called["attempt"], called["verdict"], called["status"]) == (
                1, "delivered", "[200]Ok",
            )  # fmt: skip
        assert own.get("books")["balanced"] is True
        shown = told(
            [sys.executable, "-m", "headrace", "event", "trace", run.summary["event_ids"][-1]],
            environment | {"HEADRACE_DATA": str(data)},
        )
        assert shown.code == 0, shown.errors
        text = "\n".join(shown.lines)
        assert all(word in text for word in ("functions/orders", "attempt 1", "delivered", "dead"))


def test_each_step_says_its_facts(environment: dict[str, str]) -> None:
    run = told([*DEMO, "--once", "--door", "wire"], environment)
    assert "SignatureDoesNotMatch" in run.line_of("signature")
    assert "“order-1001: amount 59.80, total 59.80”" in run.line_of("function")
    assert '{"amount":25.5,' in run.line_of("receiver")
    assert 'data.amount: expected [{"numeric":[">=",100]}], got 12.5' in run.line_of("why")
    assert "answered 500" in run.line_of("retry")
    assert run.line_of("resend").count("[200]Ok, 0 left") == 1
    picture = "\n".join(run.lines[run.lines.index("What happened to order-1006:") :])
    assert "dead  [410]receiver refused the event" in picture
    assert "sent again  delivered  [200]Ok" in picture
    assert "orders-on-order  not matched" in picture


def test_second_telling_on_one_data_directory_works_with_names_of_its_own(
    environment: dict[str, str], tmp_path: Path
) -> None:
    command = [*DEMO, "--once", "--door", "wire", "--data", str(tmp_path / "data")]
    first, second = told(command, environment), told(command, environment)
    assert (first.code, second.code) == (0, 0), second.lines
    assert first.summary["data"] == second.summary["data"] == str(tmp_path / "data")
    assert not set(first.summary["event_ids"]) & set(second.summary["event_ids"])


@pytest.mark.parametrize("step", CAUSES)
def test_sabotage_ends_with_1_and_names_the_step_and_its_cause(
    door: str, step: str, environment: dict[str, str]
) -> None:
    run = told([*DEMO, "--once", "--door", door, "--sabotage", step], environment)
    assert run.code == 1, run.lines
    assert "Traceback" not in run.errors
    assert run.summary["broken"] == step
    assert CAUSES[step] in run.summary["cause"]
    assert run.summary["ok"] < run.summary["steps"]
    assert "✗" in run.line_of(step)
    (verdict,) = [line for line in run.lines if f"broke: {step}. Cause: " in line]
    assert CAUSES[step] in verdict


def test_chinese_is_spoken_where_the_locale_is_chinese(environment: dict[str, str]) -> None:
    chinese = environment | {"LANG": "zh_CN.UTF-8"}
    run = told([*DEMO, "--once", "--door", "wire", "--sabotage", "rule"], chinese)
    assert run.code == 1
    assert any("步（共" in line and "失败：rule。原因：" in line for line in run.lines)
    assert "已接收并落盘" in run.line_of("disk")


def test_server_stays_up_after_the_story_until_it_is_told_to_stop(
    environment: dict[str, str],
) -> None:
    command = [sys.executable, "-m", "headrace", "up", "--demo", "--port", "0"]
    with running(command, environment) as process:
        assert process.stdout is not None
        lines = iter(process.stdout.readline, "")
        said = next((line for line in lines if line.startswith("Headrace stays up at ")), None)
        assert said is not None, "the demo ended"
        url = said.split()[4]
        with urllib.request.urlopen(f"{url}/healthz", timeout=SECONDS_MAX) as answer:
            assert answer.status == 200


@pytest.mark.timeout(240)
def test_installed_wheel_shows_the_same_without_sdk_and_without_compiler(
    environment: dict[str, str], tmp_path: Path
) -> None:
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    home = {"HOME": os.environ["HOME"]}  # where pip keeps its cache
    built = ["wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(tmp_path)]
    assert told([*pip, *built, str(REPOSITORY)], environment | home).code == 0
    (wheel,) = tmp_path.glob("headrace-*.whl")
    venv = tmp_path / "venv"
    assert told([sys.executable, "-m", "venv", "--without-pip", str(venv)], environment).code == 0
    python = str(venv / "bin" / "python")
    install = [*pip, "--python", python, "install", "--only-binary", ":all:", str(wheel)]
    installed = told(install, environment | home)
    assert installed.code == 0, installed.errors

    command = [str(venv / "bin" / "headrace"), "up", "--demo", "--port", "0", "--once"]
    run = told(command, environment)
    assert run.code == 0, (run.lines, run.errors)
    assert run.summary["steps"] == run.summary["ok"] >= 15
    assert any("no SDK needed" in line for line in run.lines)
