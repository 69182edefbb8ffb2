"""R10: events that break the function they go to: its handler raises, or its process is gone.

One rule delivers to one function. Most events are good; some raise in the handler, some end the
runtime from inside. The good ones all arrive, each bad one ends as one dead letter after the
retries of its policy, and an instance that was killed is replaced at once.

usage: ./dev faults poison [--full]
"""

from __future__ import annotations

import base64
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

from bench.rig import product
from headrace import doctor
from tests.faults import scaffold

EVENTS, EVENTS_FULL = 400, 4_000
#: One of so many raises, one of so many ends its process.
RAISES_EVERY, ENDS_EVERY = 100, 200
KILLS = 8
REPLACED_MS_MAX = 200.0
#: Three retries of 10 to 20 s, and what the last attempt takes.
LETTERS_S_MAX = 90.0
SOURCE = """
import json, os
def handler(event, context):
    data = json.loads(event).get("data", {})
    if data.get("how") == "raise":
        raise ValueError("poison")
    if data.get("how") == "end":
        os._exit(7)
    return b"ok"
"""


class Figures(scaffold.Figures):
    """What one run saw."""

    events: int = 0
    poisoned: int = 0
    good_delivered: int = 0
    good_s: float = 0.0
    letters: int = 0
    letters_wrong: int = 0
    letters_s: float = 0.0
    kills: int = 0
    #: From asking for the death to the answer of the next call, a new process in between.
    replaced_ms: float = 0.0
    replaced_ms_max: float = 0.0


def how(number: int) -> str:
    if number % ENDS_EVERY == 5:
        return "end"
    return "raise" if number % RAISES_EVERY == 3 else "go"


def run(home: Path, events: int) -> Figures:
    """Publish good and bad events to one function; wait for the end of each."""
    figures = Figures(events=events)
    data, ready = home / "data", home / "ready.json"
    with (home / "server.log").open("wb") as log:
        process = product.start(data, ready, log=log)
    try:
        server = product.read(ready)
        _wire(server)
        _replace(server, figures)
        bad = {f"e-{number}" for number in range(events) if how(number) != "go"}
        figures.poisoned = len(bad)
        started = time.monotonic()
        _publish(server, events)
        scaffold.wait(lambda: _delivered(server) >= events - len(bad), LETTERS_S_MAX)
        figures.good_s = round(time.monotonic() - started, 2)
        scaffold.wait(lambda: len(_letters(server)) >= len(bad), LETTERS_S_MAX)
        figures.letters_s = round(time.monotonic() - started, 2)
        figures.good_delivered = _delivered(server)
        letters = [_event_id(letter["event"]) for letter in _letters(server)]
        figures.letters = len(letters)
        figures.letters_wrong = len(bad ^ set(letters)) + len(letters) - len(set(letters))
        process.terminate()
        figures.exit_code = process.wait(60)
    finally:
        process.kill()
        process.wait()
    figures.lost = events - len(set(scaffold.stored_ids(data)))
    figures.problems += doctor.check(data).problems[:3]
    return figures


def _wire(server: product.Product) -> None:
    server.deploy("fragile", SOURCE)
    arn = f"acs:fc:cn-hangzhou:{server.account}:functions/fragile"
    params = [{"ResourceKey": "Body", "Form": "ORIGINAL"}]
    target = {"Id": "f", "Type": "acs.fc.function", "Endpoint": arn, "ParamList": params}
    server.eventbridge(
        "CreateRule", EventBusName="default", RuleName="fragile",
        FilterPattern='{"source":["faults"]}', EventTargets=[target],
    )  # fmt: skip


def _replace(server: product.Product, figures: Figures) -> None:
    """Let the process end under calls of its own, and see how soon the next call is answered."""
    took: list[float] = []
    _invoke(server, "go")
    for _ in range(KILLS):
        status = _invoke(server, "end")
        if status == 500:
            figures.problems.append("a function that ended was called an error of the server")
        started = time.monotonic()
        if _invoke(server, "go") != 200:
            figures.problems.append("the call after a death was not answered")
        took.append((time.monotonic() - started) * 1_000)
    figures.kills = len(took)
    figures.replaced_ms = round(statistics.median(took), 1)
    figures.replaced_ms_max = round(max(took), 1)


def _invoke(server: product.Product, what: str) -> int:
    path = "/2023-03-30/functions/fragile/invocations"
    payload = json.dumps({"data": {"how": what}}).encode()
    status, _ = server.ask(server.signed("POST", path, payload, action="InvokeFunction"))
    return status


def _publish(server: product.Product, events: int) -> None:
    for start in range(0, events, 20):
        batch = [
            {
                "id": f"e-{number}", "source": "faults", "type": "faults:Event",
                "specversion": "1.0", "aliyuneventbusname": "default",
                "data": {"how": how(number)},
            }
            for number in range(start, min(events, start + 20))
        ]  # fmt: skip
        said = server.call(server.data_plane(json.dumps(batch).encode()))
        assert said["FailedEntryCount"] == 0, said


def _delivered(server: product.Product) -> int:
    """What came through the last stage: the hand-over to the function's queue is one of its own."""
    books = server.call(server.signed("GET", "/headrace/v1/books"))
    return min((row["delivered"] for row in books["subscriptions"] if row["delivered"]), default=0)


def _letters(server: product.Product) -> list[dict[str, Any]]:
    said = server.call(server.signed("GET", "/headrace/v1/dead-letters?limit=1000"))
    return said["dead_letters"]


def _event_id(event: dict[str, Any]) -> str:
    """Return the id of the event in a letter; a call holds the event as its payload."""
    if "data_base64" in event:
        event = json.loads(base64.b64decode(event["data_base64"]))
    return event["id"]


def passed(figures: Figures) -> bool:
    zeros = (figures.letters_wrong, figures.lost, len(figures.problems), figures.exit_code)
    return (
        not any(zeros)
        and figures.good_delivered == figures.events - figures.poisoned
        and figures.letters == figures.poisoned > 0
        and figures.replaced_ms <= REPLACED_MS_MAX
    )


def main() -> int:
    """Print the figures as one line; 0 when they are good."""
    home = scaffold.new_home("poison")
    figures = run(home, EVENTS_FULL if "--full" in sys.argv else EVENTS)
    return scaffold.report("poison", figures, home, good=passed(figures))


if __name__ == "__main__":
    sys.exit(main())
