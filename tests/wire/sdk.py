"""The SDKs as the tests call them: an operation is a method, its model a map with wire names.

The SDKs live in environments of their own, so each call crosses a pipe to a driver process. Must
never add or hide anything: what a program using the SDK sees is what a test sees.
"""

from __future__ import annotations

import base64
import json
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

_DRIVERS = Path(__file__).parent / "drivers"
_END_SECONDS_MAX = 10


class Place(NamedTuple):
    """Where an SDK is pointed at."""

    #: host:port
    endpoint: str
    key_id: str
    secret: str


class Reply(NamedTuple):
    """What an operation returned. `status` and `headers` are unknown on the data plane."""

    body: dict[str, Any]
    status: int
    headers: dict[str, str]
    #: The raw body of InvokeFunction.
    payload: bytes

    @property
    def data(self) -> Any:
        """The member Data of the control API's envelope."""
        return self.body["Data"]


class SdkError(Exception):
    """The SDK raised: these are the attributes of its exception."""

    def __init__(self, code: str, message: str, status: int | None, data: dict[str, Any]) -> None:
        super().__init__(f"{code} ({status}): {message}")
        self.code = code
        self.message = message
        self.status = status
        self.data = data


class Driver:
    """One driver process. Calls are answered one at a time, from any thread."""

    def __init__(self, python: Path, script: str) -> None:
        self._process = subprocess.Popen(
            [str(python), str(_DRIVERS / script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._turn = threading.Lock()

    def ask(self, request: dict[str, Any]) -> Reply:
        """Raises: SdkError for what the SDK raised."""
        asked, answered = self._process.stdin, self._process.stdout
        assert asked is not None
        assert answered is not None
        with self._turn:
            asked.write(json.dumps(request) + "\n")
            asked.flush()
            line = answered.readline()
        assert line, f"the driver ended with code {self._process.poll()}"
        answer = json.loads(line)
        assert "crash" not in answer, answer["crash"]
        if "error" in answer:
            raise SdkError(**answer["error"])
        return Reply(
            answer.get("body") or {},
            answer.get("status", 0),
            {name.lower(): value for name, value in answer.get("headers", {}).items()},
            base64.b64decode(answer.get("payload", "")),
        )

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(_END_SECONDS_MAX)
        self._process.stdout.close()


class EventBridge:
    """The control SDK: `eventbridge.create_rule(EventBusName=…, …)`."""

    def __init__(
        self, driver: Driver, place: Callable[[], Place], *, signature: str | None = None
    ) -> None:
        """place: asked before each call, since a restarted server has another port.

        signature: "v2" has the SDK sign by RPC v1 with HMAC-SHA1, as older cores do.
        """
        self._driver = driver
        self._place = place
        self._signature = signature

    def __getattr__(self, op: str) -> Callable[..., Reply]:
        def call(**args: Any) -> Reply:
            return self._driver.ask(
                {
                    "api": "eventbridge", "op": op, "place": self._place(), "path": [],
                    "args": args, "headers": {}, "signature": self._signature,
                }
            )  # fmt: skip

        return call


class Functions:
    """The Function Compute SDK: `functions.create_trigger("resize", body={…})`."""

    def __init__(self, driver: Driver, place: Callable[[], Place]) -> None:
        self._driver = driver
        self._place = place

    def __getattr__(self, op: str) -> Callable[..., Reply]:
        def call(
            *path: str,
            payload: bytes | None = None,
            headers: dict[str, Any] | None = None,
            **args: Any,
        ) -> Reply:
            encoded = None if payload is None else base64.b64encode(payload).decode()
            return self._driver.ask(
                {
                    "api": "fc", "op": op, "place": self._place(), "path": path, "args": args,
                    "headers": headers or {}, "payload": encoded,
                }
            )  # fmt: skip

        return call


class DataPlane:
    """The data-plane SDK: `data_plane.put_events([event(…)])`, `data_plane.get_rule(…)`."""

    def __init__(self, driver: Driver, place: Callable[[], Place]) -> None:
        self._driver = driver
        self._place = place

    def put_events(self, events: list[dict[str, Any]]) -> Reply:
        return self._driver.ask({"op": "put_events", "place": self._place(), "args": events})

    def __getattr__(self, op: str) -> Callable[..., Reply]:
        def call(**args: Any) -> Reply:
            return self._driver.ask({"op": op, "place": self._place(), "args": args})

        return call
