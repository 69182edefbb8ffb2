"""The door of the official SDKs, unchanged but for endpoint and protocol.

Their pins clash, so each set lives in an environment of its own and is called through a driver
process there. Must never add to what an SDK sends or take from what it returns.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from headrace.demo import doors

#: Interpreters of the two environments; `./dev` makes them and sets these.
CONTROL_VARIABLE = "HEADRACE_SDK_PYTHON"
DATA_VARIABLE = "HEADRACE_SDK_DATA_PYTHON"
_DRIVERS = Path(__file__).parent / "drivers"
_END_S = 5.0


def are_there(environ: Mapping[str, str]) -> bool:
    """Return whether both environments are named."""
    return bool(environ.get(CONTROL_VARIABLE) and environ.get(DATA_VARIABLE))


class Drivers(NamedTuple):
    """Both driver processes. They load their SDKs while the server starts."""

    control: Driver
    data: Driver

    def close(self) -> None:
        self.control.close()
        self.data.close()


def start(environ: Mapping[str, str]) -> Drivers:
    """Start both. Raises: OSError (no such interpreter), KeyError (none is named)."""
    control = Driver(environ[CONTROL_VARIABLE], "control.py", environ)
    try:
        return Drivers(control, Driver(environ[DATA_VARIABLE], "data.py", environ))
    except BaseException:
        control.close()
        raise


class Driver:
    """One driver process; it answers one request at a time."""

    def __init__(self, python: str, script: str, environ: Mapping[str, str]) -> None:
        # A proxy of the user's must not come between two programs of this machine.
        local = ",".join(filter(None, (environ.get("NO_PROXY", ""), "127.0.0.1", "localhost")))
        self._process = subprocess.Popen(
            [python, str(_DRIVERS / script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**environ, "NO_PROXY": local, "no_proxy": local},
            # Ctrl-C is for the server; it ends this process in turn.
            start_new_session=True,
        )

    def packages(self) -> list[str]:
        """Return the SDKs with their versions; the first thing a driver says."""
        return self._answer()["packages"]

    def ask(self, request: Mapping[str, Any]) -> doors.Object:
        pipe = self._process.stdin
        assert pipe is not None, "opened in __init__"
        try:
            pipe.write(json.dumps(request) + "\n")
            pipe.flush()
        except OSError as fault:
            raise self._ended() from fault
        answer = self._answer()
        if "error" in answer:
            raise doors.Refused(answer["error"]["code"], answer["error"]["message"])
        return answer

    def _answer(self) -> doors.Object:
        pipe = self._process.stdout
        assert pipe is not None, "opened in __init__"
        line = pipe.readline()
        if not line:
            raise self._ended()
        return json.loads(line)

    def _ended(self) -> doors.Refused:
        return doors.Refused("DriverEnded", f"the SDK's process ended: {self._process.args}")

    def close(self) -> None:
        """End the process; it waits for nothing but requests."""
        self._process.terminate()
        self._process.wait(_END_S)
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None, "opened in __init__"
            pipe.close()


class Sdk:
    """Satisfies `doors.Door`."""

    def __init__(self, drivers: Drivers, place: doors.Place) -> None:
        self._drivers = drivers
        self._place = place
        #: The SDKs with their versions.
        self.packages = (*drivers.control.packages(), *drivers.data.packages())

    def create_function(self, body: doors.Object) -> doors.Object:
        return self._fc("create_function", body=body)

    def invoke(self, function: str, payload: str) -> str:
        return self._control("fc", "invoke_function", (function,), {"body": payload})["text"]

    def create_trigger(self, function: str, body: doors.Object) -> doors.Object:
        return self._fc("create_trigger", function, body=body)

    def update_trigger(self, function: str, trigger: str, body: doors.Object) -> doors.Object:
        return self._fc("update_trigger", function, trigger, body=body)

    def get_trigger(self, function: str, trigger: str) -> doors.Object:
        return self._fc("get_trigger", function, trigger)

    def eventbridge(self, operation: str, args: Mapping[str, Any]) -> doors.Object:
        method = "".join(f"_{c.lower()}" if c.isupper() else c for c in operation).lstrip("_")
        return self._control("eventbridge", method, (), args)["body"]["Data"]

    def put_events(self, events: Sequence[doors.Object]) -> doors.Object:
        sent = [_model(event) for event in events]
        return self._drivers.data.ask({"place": self._place, "events": sent})["body"]

    def _fc(self, op: str, *path: str, **args: Any) -> doors.Object:
        return self._control("fc", op, path, args)["body"]

    def _control(
        self, api: str, op: str, path: Sequence[str], args: Mapping[str, Any]
    ) -> doors.Object:
        request = {"api": api, "op": op, "path": path, "args": args, "place": self._place}
        return self._drivers.control.ask(request)


#: Attributes that the SDK's CloudEvent has members for; every other one is an extension there.
_MEMBERS = ("id", "source", "specversion", "type", "datacontenttype", "subject", "time")


def _model(event: doors.Object) -> doors.Object:
    """Return a CloudEvent as the map of the SDK's model."""
    members: doors.Object = {name: event[name] for name in _MEMBERS if name in event}
    members["data"] = json.dumps(event["data"])
    rest = {name: event[name] for name in event if name not in (*_MEMBERS, "data")}
    return members | {"extensions": rest}
