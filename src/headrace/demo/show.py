"""One telling of the story: opens a door, goes through the steps, says how it ended.

Owns the last line that programs read. Must never turn a broken step into anything but exit code 1.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from headrace.access import keys
from headrace.demo import doors, picture, sdk, stage, story, teller, wire, words

if TYPE_CHECKING:
    from headrace import serve


class Broke(NamedTuple):
    """The step that broke, and why."""

    number: int
    step: str
    cause: str


class Show:
    """Tells on one server that has just started; `tell` runs in a thread, `close` ends it."""

    def __init__(
        self, ready: serve.Ready, *, once: bool, sabotage: str | None, drivers: sdk.Drivers | None
    ) -> None:
        self._ready = ready
        self._once = once
        self._sabotage = sabotage
        self._drivers = drivers
        self._say = words.Words(os.environ)
        self._out = teller.Teller(sys.stdout, os.environ)
        self._count = len(story.STEPS) + 1
        self._stop = threading.Event()
        self._on: stage.Stage | None = None

    def close(self) -> None:
        """Stop where it is; the receiver answers no more."""
        self._stop.set()
        if self._drivers is not None:
            self._drivers.close()
        if self._on is not None:
            self._on.close()

    def tell(self) -> int:
        """Return 0 when every step worked, 1 when one broke or the server is told to stop."""
        try:
            return self._tell()
        except (stage.Stopped, doors.Refused) as ended:
            if not self._stop.is_set():
                self._out.line(str(ended))
            return 1
        finally:
            if self._drivers is not None:
                self._drivers.close()

    def _tell(self) -> int:
        began = time.monotonic()
        place = self._place()
        door = wire.Wire(place) if self._drivers is None else sdk.Sdk(self._drivers, place)
        on = self._on = stage.Stage(
            door, place, account=self._ready.account, say=self._say,
            sabotage=self._sabotage, stop=self._stop,
        )  # fmt: skip
        ok, broke = self._through(on)
        self._end(on, broke, time.monotonic() - began)
        if self._once or broke:
            self._out.line(self._summary(on, ok, broke))
        return 1 if broke else 0

    def _place(self) -> doors.Place:
        """Return where the server is, with its key or, sabotaged, another secret."""
        path = self._ready.keys_file
        key = keys.from_environment(os.environ, "") if path is None else keys.load(Path(path))
        assert key is not None, "a server without a credentials file has them from the environment"
        secret = key.secret[::-1] if self._sabotage == "signature" else key.secret
        endpoint = self._ready.url.removeprefix("http://")
        return doors.Place(endpoint, key.access_key_id, secret, self._ready.region)

    # -- steps ------------------------------------------------------------------------------------

    def _through(self, on: stage.Stage) -> tuple[int, Broke | None]:
        """Go through all steps; return how many worked, and the one that broke."""
        say, out = self._say, self._out
        out.line(f"\n{say('title', count=self._count, speaker=self._speaker(on.door))}")
        if self._sabotage is not None:
            out.line(out.paint(say("sabotage", what=self._sabotage), "yellow"))
        out.line()
        for number, (key, step) in enumerate((("server", self._server), *story.STEPS), 1):
            out.begin(number, key)
            cause, facts = self._tried(step, on)
            if cause:
                out.broke(number, key)
                return number - 1, Broke(number, key, cause)
            out.done(number, key, facts)
        return self._count, None

    def _tried(self, step: story.Step, on: stage.Stage) -> tuple[str, str]:
        """Run one step; return its cause of failure ("" for none) and its facts."""
        try:
            return "", step(on)
        except stage.Stopped:
            raise
        except Exception as fault:
            if self._stop.is_set():
                raise stage.Stopped from fault  # everything ends around the step
            if isinstance(fault, stage.Broken | doors.Refused):
                return str(fault), ""
            # An answer that is not as the API says breaks the step too; we need to see where.
            traceback.print_exc()
            return f"{type(fault).__name__}: {fault}", ""

    def _speaker(self, door: doors.Door) -> str:
        if isinstance(door, sdk.Sdk):
            return self._say("speaker.sdk", packages=", ".join(door.packages))
        return self._say("speaker.wire")

    def _server(self, on: stage.Stage) -> str:
        facts = self._ready.facts
        return self._say(
            "server", version=facts["version"], url=self._ready.url,
            data=self._ready.data or "memory", rung=facts["sandbox"],
            sandbox=str(facts["sandbox_description"]).partition(":")[0],
        )  # fmt: skip

    # -- the end ----------------------------------------------------------------------------------

    def _end(self, on: stage.Stage, broke: Broke | None, seconds: float) -> None:
        say, out = self._say, self._out
        out.line()
        if broke is not None:
            said = say("broken", count=self._count, **broke._asdict())
            out.line(out.paint(said, "red"))
            return
        shown = on.event_ids[-1]
        out.line(say("picture", id=shown))
        for line in picture.Picture(say, out.paint).lines(on.verdicts(shown)):
            out.line(f"  {line}")
        out.line()
        out.line(out.paint(say("all", count=self._count, seconds=seconds), "green"))
        for line in self._next(shown):
            out.line(line)

    def _next(self, event_id: str) -> list[str]:
        """Return what to type next."""
        data, program = self._ready.data, _program()
        look = f"{program} event trace {event_id}"
        if not self._once:
            prefix = f"HEADRACE_DATA={data} " if data else f"HEADRACE_ENDPOINT={self._ready.url} "
            stays = self._say("stays", url=self._ready.url)
            return [stays, self._say("try"), f"  {prefix}{look}"]
        if data is None:
            return []
        up = f"{program} up --data {data}"
        return [self._say("again", data=data), f"  {up}", f"  HEADRACE_DATA={data} {look}"]

    def _summary(self, on: stage.Stage, ok: int, broke: Broke | None) -> str:
        """Return the one line that programs read."""
        summary: dict[str, Any] = {
            "steps": self._count, "ok": ok, "data": self._ready.data, "event_ids": on.event_ids,
        }  # fmt: skip
        if broke is not None:
            summary |= {"broken": broke.step, "cause": broke.cause}
        return json.dumps(summary, ensure_ascii=False)


def _program() -> str:
    """Return how to call the command line from a shell: by its name, or where it is installed."""
    beside = Path(sys.executable).with_name("headrace")
    if not beside.exists():
        return f"{sys.executable} -m headrace"
    if beside.is_relative_to(Path.cwd()):  # ./dev has put it on our PATH, not on the user's
        return str(beside.relative_to(Path.cwd()))
    return "headrace" if shutil.which("headrace") == str(beside) else str(beside)
