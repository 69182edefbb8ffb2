"""Editors that keep their own books: what each asked for, and what was answered with a 2xx.

A process of its own, so that nothing that happens to the server happens to the ledger; each line is
fsynced before the next thing is done. In a round every editor changes its own slot, step after
step; told the server's process group, they kill it while their requests are under way.

stdin, a JSON object a line: {"kill": process group, "states": [one a slot]} | {"stop": true}
stdout, one JSON object a line: {"killed": requests under way at that moment}
ledger, one JSON array a line: ["s" | "a" | "r", slot, kind, number, refusal]
usage: editors.py READY_FILE LEDGER SEED
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import random
import signal
import sys
import threading
import time
from pathlib import Path

import msgspec

from bench.rig import product
from tests.faults import _steps

#: A round lasts so long before the kill.
ROUND_S = (0.15, 0.9)
#: The kill waits for so many requests under way, and so long at most.
UNDER_WAY_MIN = 2
WAIT_S_MAX = 2.0


class Ledger:
    """Append-only, fsynced line by line; shared by all editors."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab", buffering=0)
        self._lock = threading.Lock()

    def note(self, what: str, slot: int, step: _steps.Step, refusal: str = "") -> None:
        line = json.dumps([what, slot, step.kind, step.number, refusal]) + "\n"
        with self._lock:
            self._file.write(line.encode())
            os.fsync(self._file.fileno())


class Editors:
    """All editors of one run; a thread each in every round."""

    def __init__(self, ready: Path, ledger: Ledger, seed: int) -> None:
        self._ready = ready
        self._ledger = ledger
        self._random = random.Random(seed)
        self._number = 0
        self._lock = threading.Lock()
        self.under_way = 0

    def round(self, group: int, states: list[_steps.State]) -> int:
        """Edit until the server is killed; return how many requests were under way then."""
        server = product.read(self._ready)
        editors = [
            threading.Thread(target=self._edit, args=(server, slot, state))
            for slot, state in enumerate(states)
        ]
        for editor in editors:
            editor.start()
        threading.Event().wait(self._random.uniform(*ROUND_S))
        deadline = time.monotonic() + WAIT_S_MAX
        while self.under_way < UNDER_WAY_MIN and time.monotonic() < deadline:
            threading.Event().wait(self._random.uniform(0, 0.004))
        killed = self.under_way
        os.killpg(group, signal.SIGKILL)
        for editor in editors:
            editor.join()
        return killed

    def _edit(self, server: product.Product, slot: int, state: _steps.State) -> None:
        # A broken connection ends an editor's round: the server is gone, the last step unknown.
        with contextlib.suppress(OSError, http.client.HTTPException):
            while True:
                step = self._choose(state)
                raw = _steps.request(server, slot, state, step)
                self._ledger.note("s", slot, step)
                status, said = self._ask(server, raw)
                if status < 300:
                    self._ledger.note("a", slot, step)
                    state = _steps.after(state, step)
                else:
                    self._ledger.note("r", slot, step, f"{status} {said[:200]!r}")

    def _choose(self, state: _steps.State) -> _steps.Step:
        with self._lock:
            self._number += 1
            return _steps.Step(self._random.choice(_steps.next_kinds(state)), self._number)

    def _ask(self, server: product.Product, raw: bytes) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(server.host, server.port, timeout=30)
        self._count(+1)
        try:
            return product.exchange(connection, raw)
        finally:
            self._count(-1)
            connection.close()

    def _count(self, more: int) -> None:
        with self._lock:
            self.under_way += more


def main() -> None:
    ready, ledger, seed = sys.argv[1:4]
    editors = Editors(Path(ready), Ledger(Path(ledger)), int(seed))
    for line in sys.stdin:
        order = json.loads(line)
        if order.get("stop"):
            break
        states = msgspec.convert(order["states"], list[_steps.State])
        print(json.dumps({"killed": editors.round(order["kill"], states)}), flush=True)


if __name__ == "__main__":
    main()
