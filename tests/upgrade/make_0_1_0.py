"""How the data directory of version 0.1.0 was made, once. Kept to be read, not to be run again.

    python -m tests.upgrade.make_0_1_0 FOLDER

With a server of that version and its public APIs, on a clock that begins at a fixed time: five
lives, an hour and more between them so that each begins a new segment; the last one is killed, so
that the log ends as after a crash. Writes FOLDER/0.1.0.tar.xz and FOLDER/0.1.0.json. Must never
write over a directory that is recorded: a later version adds a script and a directory of its own.
"""

from __future__ import annotations

import contextlib
import io
import json
import lzma
import sys
import tarfile
import tempfile
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import headrace
from tests.upgrade import saying
from tests.upgrade.client import Client
from tests.wire import making, waiting

VERSION = "0.1.0"
BEGIN_MS = int(datetime(2026, 1, 5, 8, tzinfo=UTC).timestamp()) * 1000
LIFE_MS = 90 * 60 * 1000
#: Nobody's port: whoever opens the directory gives these targets an address of their own.
PORT = 17281
ACCOUNT = "1000000000000001"
KEY = {
    "access_key_id": "TESTKEYOFTHEOLDDIRECTORY",
    "access_key_secret": "no-secret-this-key-opens-test-directories-only",
    "account_id": ACCOUNT,
}
#: Made anew at every start, or true of one run only.
LEFT_OUT = ("scratch", "ready.json", "lock")
PRICE = """
def handler(event, context):
    print("priced")
    return event
"""
REFUSE = """
def handler(event, context):
    raise ValueError("no price for this")
"""


class Answering(BaseHTTPRequestHandler):
    """/ok takes every event, /refuse none, /later asks to be called again in an hour."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        status = {"/ok": 200, "/refuse": 400}.get(self.path, 503)
        said = {200: b"taken", 400: b"not today", 503: b"later"}[status]
        self.send_response(status)
        if status == 503:
            self.send_header("retry-after", "3600")
        self.send_header("content-length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


def url(path: str) -> str:
    return f"http://127.0.0.1:{PORT}/{path}"


def event(id: str, bus: str, type: str, data: Any, **more: Any) -> dict[str, Any]:
    return {
        "id": id, "source": "my.shop", "type": type, "specversion": "1.0",
        "aliyuneventbusname": bus, "datacontenttype": "application/json", "data": data, **more,
    }  # fmt: skip


def main() -> int:
    folder = Path(sys.argv[1])
    assert headrace.__version__ == VERSION, "another version makes another directory"
    assert not (folder / f"{VERSION}.tar.xz").exists(), "it is recorded and never made again"
    receiver = ThreadingHTTPServer(("127.0.0.1", PORT), Answering)
    threading.Thread(target=receiver.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as made:
        home = Path(made)
        prepare(home)
        for number, live in enumerate((build, edit, carry, wait)):
            with running(home, BEGIN_MS + number * LIFE_MS) as server:
                live(server)
                server.server.stop()
        # The last life goes on where the fourth ended, and ends as by a crash.
        with running(home, server.now_ms() + 1_000) as server:
            crash(server)
            said = saying.everything(server)
            left_ms = server.now_ms()
        (folder / f"{VERSION}.json").write_text(manifest(left_ms, said))
        (folder / f"{VERSION}.tar.xz").write_bytes(packed(home / "data"))
    receiver.shutdown()
    return 0


@contextlib.contextmanager
def running(home: Path, at_ms: int) -> Iterator[Client]:
    """Start a server at a time of its own; what was not stopped is killed."""
    server = Client(home, at_ms)
    server.server.start()
    try:
        yield server
    finally:
        server.server.close()


def prepare(home: Path) -> None:
    """The directory of a first start; its key becomes one that everybody can see opens nothing."""
    server = Client(home, BEGIN_MS - 1_000).server
    server.start()
    server.stop()
    (home / "data" / "credentials.json").write_text(json.dumps(KEY, indent=2) + "\n")


# -- the lives ---------------------------------------------------------------------------------


def build(server: Client) -> None:
    """Resources of every kind, and the first events."""
    tags = {"team": "shop", "stage": "test"}
    server.data_plane(
        "createEventBus", {"EventBusName": "orders", "Description": "orders", "Tags": tags}
    )
    server.control("CreateEventBus", EventBusName="plants", Description="what plants say")
    for queue in ("archive", "letters", "hand"):
        server.own("PUT", f"queues/{queue}")
    server.functions(
        "POST", "functions",
        making.function_input(
            "price", PRICE, description="prices an order", memorySize=512, timeout=20,
            environmentVariables={"CURRENCY": "EUR"}, instanceConcurrency=2,
            tags=[{"key": "team", "value": "shop"}],
        ),
    )  # fmt: skip
    server.functions("POST", "functions", making.function_input("refuse", REFUSE))
    for bus, name, pattern, target in rules(server):
        server.control(
            "CreateRule", EventBusName=bus, RuleName=name, Description=f"rule {name}",
            FilterPattern=json.dumps(pattern), EventTargets=target,
        )  # fmt: skip
    trigger = {
        "triggerName": "on-plant", "triggerType": "eventbridge", "description": "from its side",
        "triggerConfig": making.trigger_config(
            '{"source":["my.garden"]}', asyncInvocationType=True
        ),
    }  # fmt: skip
    server.functions("POST", "functions/price/triggers", trigger)
    publish(server, 1)
    server.publish(event("late-0", "orders", "refused", {"amount": 1}))
    settled(server)


def rules(server: Client) -> list[tuple[str, str, dict[str, Any], list[dict[str, Any]]]]:
    """Every operator of the pattern dialect once, every form of a transform once."""
    owner = server.server
    constant = making.param("Body", "CONSTANT", '{"said":"always the same"}')
    path = making.param("Body", "JSONPATH", "$.data.amount")
    template = making.param(
        "Body", "TEMPLATE", '{"id":"$.id","amount":"$.data.amount"}',
        template='{"order":"${id}","euro":"${amount}"}',
    )  # fmt: skip
    letters = {"Arn": f"acs:mns:{owner.region}:{ACCOUNT}:queues/letters"}
    decay = {"PushRetryStrategy": "EXPONENTIAL_DECAY_RETRY"}
    return [
        ("orders", "archive", {"source": [{"prefix": "my."}], "type": [{"suffix": "placed"}]},
         [making.queue_target(owner, "archive", id="keep")]),
        ("orders", "large", {"data": {"amount": [{"numeric": [">=", 100, "<", 1000]}]}},
         [making.http_target(url("ok"), id="push", body=template, **decay)]),
        ("orders", "other", {"type": [{"anything-but": ["refused", "later", "paused"]}],
                             "data": {"note": [{"exists": False}]}},
         [making.http_target(url("ok"), id="a", body=constant),
          making.http_target(url("ok"), id="b", body=path)]),
        ("orders", "address", {"data": {"ip": [{"cidr": "10.0.0.0/8"}, "none"]}},
         [making.function_target(owner, "price", id="fn")]),
        ("orders", "refused", {"type": ["refused"]},
         [making.http_target(url("refuse"), id="gone"),
          making.http_target(url("refuse"), id="kept", DeadLetterQueue=letters)]),
        ("orders", "later", {"type": ["later"]},
         [making.http_target(url("later"), id="hook", **decay)]),
        ("orders", "paused", {"type": ["paused"]},
         [making.http_target(url("ok"), id="hook")]),
        ("plants", "all", {}, [making.queue_target(owner, "hand", id="all")]),
        ("plants", "asleep", {"source": ["nobody"]},
         [making.function_target(owner, "price", id="fn", mode="Async")]),
    ]  # fmt: skip


def publish(server: Client, life: int) -> None:
    """A few events, some of which a rule takes."""
    server.publish(
        event(f"small-{life}", "orders", "order.placed", {"amount": 12.5, "note": "änderung 订单"}),
        event(f"large-{life}", "orders", "order.placed", {"amount": 250, "ip": "10.1.2.3"}),
        event(f"plain-{life}", "orders", "order.changed", {"amount": 2000}, subject="order/7"),
    )
    server.publish(event(f"dry-{life}", "plants", "dry", {"pot": life}, source="my.garden"))
    server.publish(event(f"nobody-{life}", "default", "nobody", None, source="my.garden"))
    server.control(
        "PutEvents",
        EventBusName="orders",
        EventList=[making.entry(f"control-{life}", type="order.placed", Data='{"amount":101}')],
    )


def edit(server: Client) -> None:
    """Changes: a rule is disabled and one deleted, functions run asynchronously."""
    server.control("DisableRule", EventBusName="plants", RuleName="asleep")
    server.control("UpdateEventBus", EventBusName="plants", Description="what plants said")
    server.functions(
        "POST", "functions/price/invocations", {"n": 1},
        x_fc_invocation_type="Async", x_fc_async_task_id="task-1",
    )  # fmt: skip
    server.functions("POST", "functions/refuse/invocations", {"n": 2}, x_fc_invocation_type="Async")
    server.own("POST", "queues/hand/messages", body={"body": "by hand"})
    publish(server, 2)
    # The asynchronous call that fails is dead after its retries.
    waiting.wait_for(lambda: len(dead_of(server)) == 2, "the dead letters", seconds=60)
    settled(server)


def dead_of(server: Client) -> set[str]:
    letters = server.own("GET", "dead-letters", limit="100")["dead_letters"]
    return {letter["rule"] for letter in letters}


def carry(server: Client) -> None:
    publish(server, 3)
    server.publish(event("late-1", "orders", "refused", {"amount": 2}))
    settled(server)
    # Sent again, it dies again; replayed, it is a delivery of its own; deleted, what waits is
    # dropped and counted.
    letter = server.own("GET", "dead-letters", limit="100")["dead_letters"][0]["id"]
    server.own("POST", "dead-letters/resend", body={"ids": [letter]})
    server.own("POST", "events/large-1/replay", bus="orders", source="my.shop")
    server.control(
        "CreateRule", EventBusName="orders", RuleName="gone", FilterPattern='{"type":["gone"]}',
        EventTargets=[making.http_target(url("later"))],
    )  # fmt: skip
    server.publish(event("gone-1", "orders", "gone", {"amount": 3}))
    settled(server)
    server.control("DeleteRule", EventBusName="orders", RuleName="gone")
    settled(server)


#: What the switches of the last lives stop, as the books name it.
ON_SWITCHES = ("orders/paused/hook", "price")
#: Deliveries that are still open when the directory is left: rule and event.
WAITING = {"paused": ["paused-1", "paused-2"], "later": ["later-1", "later-2"]}


def wait(server: Client) -> None:
    """What waits: for a switch, for a retry, for a function."""
    server.own(
        "PUT", "switches/pause-target", of="orders/paused/hook", body={"reason": "their incident 7"}
    )
    server.own("PUT", "switches/pause-target", of="async/price")
    server.own("PUT", "switches/pause-account", of="2000000000000002")
    server.own("DELETE", "switches/pause-account", of="2000000000000002")
    publish(server, 4)
    for rule, ids in WAITING.items():
        server.publish(*(event(id, "orders", rule, {"amount": 3}) for id in ids))
    server.functions(
        "POST", "functions/price/invocations", {"n": 3},
        x_fc_invocation_type="Async", x_fc_async_task_id="task-2",
    )  # fmt: skip
    settled(server, waiting_on=ON_SWITCHES)


def crash(server: Client) -> None:
    """Settled in the log, in no snapshot."""
    server.publish(event("last-1", "orders", "order.placed", {"amount": 400}))
    settled(server, waiting_on=ON_SWITCHES)


def settled(server: Client, *, waiting_on: tuple[str, ...] = ()) -> None:
    """Wait until nothing is open but queue messages, dead letters, retries, and what is named."""

    def at_rest() -> bool:
        for row in server.own("GET", "books")["subscriptions"]:
            _, kind, *name = row["name"].split("/")
            stays = kind == "queue" or name[0] == "~dead" or "/".join(name[:-1]) in waiting_on
            if row["open"] > row["failing"] and not stays:
                return False
        return True

    waiting.wait_for(at_rest, "rest", seconds=60)


def manifest(left_ms: int, said: dict[str, Any]) -> str:
    """Return what a server on the directory must say, an answer a line."""
    head = {"version": VERSION, "format": 1, "left_ms": left_ms, "waiting": WAITING}
    lines = [f"{json.dumps(name)}: {json.dumps(answer)}" for name, answer in said.items()]
    return f'{json.dumps(head)[:-1]}, "said": {{\n' + ",\n".join(lines) + "\n}}\n"


# -- the archive ---------------------------------------------------------------------------------


def packed(data: Path) -> bytes:
    """Return the directory as a tar, packed; owners and times of this machine left out."""
    out = io.BytesIO()
    with (
        lzma.open(out, "wb", preset=9 | lzma.PRESET_EXTREME) as packing,
        tarfile.open(fileobj=packing, mode="w", format=tarfile.USTAR_FORMAT) as tar,
    ):
        for path in sorted(data.rglob("*")):
            name = path.relative_to(data)
            if name.parts[0] in LEFT_OUT:
                continue
            member = tarfile.TarInfo(name.as_posix())
            member.mtime = BEGIN_MS // 1000
            member.mode = path.stat().st_mode & 0o777
            if path.is_dir():
                member.type = tarfile.DIRTYPE
                tar.addfile(member)
            else:
                member.size = path.stat().st_size
                with path.open("rb") as file:
                    tar.addfile(member, file)
    return out.getvalue()


if __name__ == "__main__":
    sys.exit(main())
