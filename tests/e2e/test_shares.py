"""Two accounts on one real server: one floods, the other hardly notices."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from bench.rig import harness, product
from headrace.bus import slots
from tests.e2e import two_accounts
from tests.faults import openload, scaffold

INSTANCES_MAX = 4
#: A body that takes a few milliseconds of the server.
EVENTS = 60
FLOOD_CONNECTIONS = 300


@pytest.fixture
def accounts(tmp_path: Path) -> Iterator[tuple[product.Product, product.Product]]:
    """The account that floods and the other one."""
    ready = tmp_path / "ready.json"
    command = [
        sys.executable, two_accounts.__file__, str(tmp_path / "data"), str(ready),
        str(INSTANCES_MAX),
    ]  # fmt: skip
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )  # fmt: skip
    try:
        harness.wait_for_line(process, "http://")
        flood, key = product.read(ready), two_accounts.OTHER
        other = msgspec.structs.replace(
            flood, account=key.account, access_key_id=key.access_key_id, secret=key.secret
        )
        yield flood, other
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def batch(server: product.Product, number: int, events: int) -> bytes:
    made = [product.cloud_event(number * 1000 + n, 512, "default") for n in range(events)]
    return server.data_plane(json.dumps(made).encode())


@contextlib.contextmanager
def beside(work: threading.Thread) -> Iterator[None]:
    work.start()
    try:
        yield
    finally:
        work.join(60)


@pytest.mark.timeout(90)
def test_publishing_of_one_account_stands_while_the_other_floods(
    accounts: tuple[product.Product, product.Product],
) -> None:
    flood, other = accounts
    other.call(batch(other, 0, 1))
    outcomes: list[openload.Outcome] = []
    made = [batch(flood, number, EVENTS) for number in range(4_000)]

    def pour() -> None:
        outcomes.append(
            openload.run(flood.host, flood.port, made, rate=1_000, connections=FLOOD_CONNECTIONS)
        )

    took_s: list[float] = []
    pouring = threading.Thread(target=pour)
    with beside(pouring):
        number = 0
        while pouring.is_alive():
            number += 1
            raw = batch(other, number, 1)
            began = time.monotonic()
            said = other.call(raw)  # SystemExit when it is refused
            took_s.append(time.monotonic() - began)
            assert said["FailedEntryCount"] == 0
    (outcome,) = outcomes
    assert outcome.statuses[200] > 0
    assert outcome.statuses[429] > 0
    assert (outcome.unsaid, outcome.broken) == (0, 0)
    assert len(took_s) >= 10
    assert harness.percentile(took_s, 0.95) <= 1.5


@contextlib.contextmanager
def hanging() -> Iterator[int]:
    """A receiver that takes connections and never answers; yields its port."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(512)
        yield listening.getsockname()[1]


def push(server: product.Product, port: int, targets: int) -> None:
    """A rule to so many targets, each with many deliveries at a time."""
    server.eventbridge(
        "CreateRule", EventBusName="default", RuleName="push",
        FilterPattern='{"source":["bench.shop"]}',
        EventTargets=[
            {
                "Id": f"t{n}", "Type": "http", "Endpoint": f"http://127.0.0.1:{port}/{n}",
                "ConcurrentConfig": {"Concurrency": 200},
            }
            for n in range(targets)
        ],
    )  # fmt: skip


def under_way(server: product.Product, name: str) -> float:
    """A figure of the metrics."""
    said = server.text(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n").decode()
    return next(float(line.split()[1]) for line in said.splitlines() if line.startswith(name + " "))


def until(holds: Callable[[], bool], seconds: float) -> float:
    """Wait until `holds`; return how long that took."""
    began = time.monotonic()
    while not holds():
        assert time.monotonic() - began < seconds, "it did not come about in time"
        threading.Event().wait(0.05)
    return time.monotonic() - began


@pytest.mark.timeout(90)
def test_deliveries_of_one_account_go_on_while_all_of_the_others_hang(
    accounts: tuple[product.Product, product.Product], tmp_path: Path
) -> None:
    flood, other = accounts
    notes = tmp_path / "delivered"
    notes.touch()
    with hanging() as port, scaffold.receiver(notes) as quick:
        push(flood, port, 20)
        push(other, quick, 1)
        for number in range(2):
            flood.call(batch(flood, number, 100))
        name = "headrace_deliveries_under_way"
        until(lambda: under_way(flood, name) >= slots.SLOTS_MAX, 30)
        for number in range(5):
            other.call(batch(other, number, 20))
        took_s = until(lambda: notes.read_bytes().count(b"\n") == 100, 30)
        assert took_s <= 5.0
        assert under_way(flood, name) >= slots.SLOTS_MAX


def invocation(server: product.Product, function: str) -> bytes:
    path = f"/2023-03-30/functions/{function}/invocations"
    return server.signed("POST", path, b"{}", action="InvokeFunction", version="2023-03-30")


@pytest.mark.timeout(90)
def test_functions_of_one_account_run_while_the_other_holds_every_instance(
    accounts: tuple[product.Product, product.Product],
) -> None:
    flood, other = accounts
    for name in ("slow", "too"):
        flood.deploy(name, "import time\ndef handler(event, context):\n    time.sleep(50)\n")
    other.deploy("quick", "def handler(event, context):\n    return 'done'\n")
    waiting: list[socket.socket] = []
    for _ in range(10):
        for name in ("slow", "too"):
            waiting.append(socket.create_connection((flood.host, flood.port)))
            waiting[-1].sendall(invocation(flood, name))
    until(lambda: under_way(flood, "headrace_instances") >= INSTANCES_MAX, 30)
    took_s: list[float] = []
    for _ in range(20):
        began = time.monotonic()
        assert other.text(invocation(other, "quick")) == b"done"
        took_s.append(time.monotonic() - began)
    assert max(took_s) <= 5.0
    assert harness.percentile(took_s, 0.5) <= 0.5
    for connection in waiting:
        connection.close()
