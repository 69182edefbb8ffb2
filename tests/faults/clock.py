"""R6: the wall clock of a running server jumps, by an hour, a year, a second again and again.

A real server and its producer run under a wall clock that is set while they run (`jumping.py`);
clocks that nobody sets (the monotonic one, that of this process) measure them. Under load nothing
acknowledged is lost, no loop gets busy, retries keep their waits, the log's times do not go back,
and no signed request counts a second time. Somebody whose clock did not jump is told what the
server's clock says; `headrace doctor` names what is wrong.

usage: ./dev faults clock [--full]
"""

from __future__ import annotations

import contextlib
import email.utils
import http.client
import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import apsw
import msgspec

from bench.rig import product
from headrace import doctor
from headrace.core import signature
from tests.faults import jumping, scaffold

RATE, IN_FLIGHT = 400, 16
#: Length of the stretch after each jump.
STRETCH_S, STRETCH_S_FULL = 2.0, 12.0
CPU_MAX = 2.0
HOUR_S, YEAR_S = 3_600.0, 365 * 86_400.0
#: Steps of a second back, a second apart; and those of the full run.
SECONDS, SECONDS_FULL = 3, 30
#: What the receiver refuses, and what must lie between (EXPONENTIAL_DECAY_RETRY: 1, 2, 4 s).
REFUSED, REFUSED_FULL = 2, 3
WAITS_S = (1.0, 2.0, 4.0)
#: A retry may be later by what a loaded machine needs, never earlier.
LATE_S_MAX = 3.0
DRAIN_S_MAX = 60.0
WINDOW_S = 900.0


class Figures(scaffold.Figures):
    """What one run saw; by jump: events acknowledged a second, CPU against the time before."""

    sent: int = 0
    acked: int = 0
    delivered: int = 0
    phantom: int = 0
    acked_per_s: dict[str, float] = msgspec.field(default_factory=dict)
    cpu: dict[str, float] = msgspec.field(default_factory=dict)
    cpu_before: float = 0.0
    retries: int = 0
    retries_early: int = 0
    retries_late: int = 0
    replays: int = 0
    replays_taken: int = 0
    stale_taken: int = 0
    #: Requests of a clock that did not jump: refused as stale, told the server's time.
    strangers_refused: int = 0
    frames: int = 0
    positions_back: int = 0
    times_back: int = 0
    open: int = 0
    doctor_named: list[str] = msgspec.field(default_factory=list)


class Run:
    """One server, one data directory, one wall clock."""

    def __init__(self, home: Path, *, full: bool) -> None:
        self.home = home
        self.data = home / "data"
        self.ready = home / "ready.json"
        self.wall = jumping.Wall(home / "wall")
        self.figures = Figures()
        self.stretch_s = STRETCH_S_FULL if full else STRETCH_S
        self.seconds = SECONDS_FULL if full else SECONDS
        self.refused = REFUSED_FULL if full else REFUSED
        self.captured: list[tuple[float, bytes]] = []
        self._server: subprocess.Popen[str] | None = None

    def run(self) -> Figures:
        ledger, notes, asked = (self.home / name for name in ("ledger", "delivered", "asked"))
        ledger.touch()
        refusing = scaffold.process("refusing.py", str(asked), str(self.refused))
        with scaffold.receiver(notes) as port, refusing as it:
            assert it.stdout is not None
            self.start()
            self.wire(port, int(it.stdout.readline()))
            load = (str(self.ready), str(ledger), str(RATE), str(IN_FLIGHT))
            with scaffold.process("producer.py", *load, python=self.wall.command) as made:
                self.jumps(ledger)
                scaffold.order(made, {"stop": True})
                told = scaffold.answer(made)
            self.figures.sent, self.figures.acked = told["sent"], told["acked"]
            self.end(ledger, notes, asked)
        return self.figures

    # -- the server --------------------------------------------------------------------------------

    def start(self) -> None:
        self.ready.unlink(missing_ok=True)
        with (self.home / "server.log").open("ab") as log:
            self._server = product.start(self.data, self.ready, log=log, python=self.wall.command)

    @property
    def server(self) -> product.Product:
        """The server, with its own time for what we sign."""
        return msgspec.structs.replace(product.read(self.ready), ahead_s=self.wall.ahead_s)

    def stop(self) -> None:
        assert self._server is not None
        self._server.terminate()
        self.figures.exit_code = self.figures.exit_code or self._server.wait(60)

    def wire(self, port: int, refusing: int) -> None:
        for name, where in (("push", port), ("retry", refusing)):
            target = {
                "Id": "t", "Type": "http", "Endpoint": f"http://127.0.0.1:{where}/",
                "PushRetryStrategy": "EXPONENTIAL_DECAY_RETRY",
            }  # fmt: skip
            types = ["clock:Retry"] if name == "retry" else ["faults:Event"]
            self.server.eventbridge(
                "CreateRule", EventBusName="default", RuleName=name,
                FilterPattern=json.dumps({"source": ["faults"], "type": types}),
                EventTargets=[target],
            )  # fmt: skip

    # -- the jumps ---------------------------------------------------------------------------------

    def jumps(self, ledger: Path) -> None:
        """Let each jump happen under load, while retries wait."""
        scaffold.wait(lambda: len(scaffold.ledger_ids(ledger, "a")) > RATE, 10)
        self.stretch("none", ledger, lambda: None)
        self.figures.cpu_before = self.figures.cpu.pop("none")
        with self.doctor("clock", after=lambda: self.wall.set(HOUR_S)) as jump:
            self.stretch("an hour ahead", ledger, jump)
        same = self.wall.command
        with self.doctor("records", after=lambda: self.wall.set(0.0), python=same) as jump:
            self.stretch("an hour back", ledger, jump)
        self.forgotten()
        self.stretch("a second back every second", ledger, self.creep)
        self.stretch("a leap second", ledger, self.leap)
        self.stretch("a year ahead", ledger, lambda: self.wall.set(self.wall.ahead_s + YEAR_S))

    def creep(self) -> None:
        for _ in range(self.seconds):
            time.sleep(1)
            self.wall.set(self.wall.ahead_s - 1)

    def leap(self) -> None:
        """The last second of a year happens twice."""
        year = time.gmtime(self.wall.now()).tm_year
        midnight = time.mktime((year + 1, 1, 1, 0, 0, 0, 0, 0, 0)) - time.timezone
        self.wall.set(midnight - 0.5 - time.time())
        time.sleep(1)
        self.wall.set(self.wall.ahead_s - 1)
        date = time.strftime("%Y-%m-%dT23:59:60Z", time.gmtime(self.wall.now() - 30))
        if self.dated(date) != 200:
            self.figures.problems.append(f"a request dated {date} is refused")

    def stretch(self, name: str, ledger: Path, jump: Callable[[], None]) -> None:
        """Jump, and look at what a while after it is like."""
        self.publish_retries(name)
        self.capture()
        _, cpu_s, began = self.measured(ledger)
        jump()
        self.replay()
        acked, _, seen = self.measured(ledger)
        time.sleep(max(self.stretch_s / 2, self.stretch_s - (seen - began)))
        self.replay()
        acked_then, cpu_then_s, ended = self.measured(ledger)
        self.figures.acked_per_s[name] = round((acked_then - acked) / (ended - seen), 1)
        cpu = (cpu_then_s - cpu_s) / (ended - began)
        before = self.figures.cpu_before
        self.figures.cpu[name] = round(cpu / before, 2) if before else round(cpu, 3)
        scaffold.show("clock", f"{name}: {self.figures.acked_per_s[name]:.0f} events/s")

    def measured(self, ledger: Path) -> tuple[int, float, float]:
        fields = Path(f"/proc/{self.server.pid}/stat").read_text().rpartition(") ")[2].split()
        cpu_s = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        return len(scaffold.ledger_ids(ledger, "a")), cpu_s, time.monotonic()

    def publish_retries(self, name: str) -> None:
        """Events whose retries wait while the clock jumps."""
        events = [self.event("clock:Retry") for _ in range(4)]
        said = self.server.call(self.server.data_plane(json.dumps(events).encode()))
        if said["FailedEntryCount"]:
            self.figures.problems.append(f"{name}: {said}")

    def event(self, kind: str) -> dict[str, object]:
        return {
            "id": f"{kind}-{secrets.token_hex(6)}", "source": "faults", "type": kind,
            "specversion": "1.0", "aliyuneventbusname": "default", "data": {},
        }  # fmt: skip

    # -- requests that must not count --------------------------------------------------------------

    def ask(self, raw: bytes) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(self.server.host, self.server.port, timeout=30)
        try:
            return product.exchange(connection, raw)
        finally:
            connection.close()

    def capture(self) -> None:
        """A request that somebody overhears; and two with wrong dates."""
        raw = self.server.data_plane(json.dumps([self.event("clock:Captured")]).encode())
        status, said = self.ask(raw)
        if status != 200:
            self.figures.problems.append(f"a request by the server's time: {status} {said!r}")
        self.captured.append((self.wall.ahead_s, raw))
        for off_s in (-WINDOW_S - 60, WINDOW_S + 60):
            date = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.wall.now() + off_s))
            self.figures.stale_taken += self.dated(date) < 300
        if abs(self.wall.ahead_s) > WINDOW_S:
            stranger = msgspec.structs.replace(self.server, ahead_s=0.0)
            status, said = self.ask(stranger.signed("GET", "/headrace/v1/status"))
            told = time.strftime("clock says %Y-%m-%dT%H:", time.gmtime(self.wall.now())).encode()
            if status == 400 and b"InvalidTimeStamp.Expired" in said and told in said:
                self.figures.strangers_refused += 1
            else:
                self.figures.problems.append(f"to a clock that did not jump: {status} {said!r}")

    def replay(self) -> None:
        """Send all that was overheard again."""
        for _, raw in self.captured:
            status, _ = self.ask(raw)
            self.figures.replays += 1
            self.figures.replays_taken += status < 300

    def dated(self, date: str) -> int:
        """Send a request with a date of its own; return the status."""
        server = self.server
        headers = {"host": f"{server.host}:{server.port}"}
        signed = signature.sign_acs3(
            server.access_key_id, server.secret, method="GET", path="/headrace/v1/status", query="",
            headers=headers, body=b"", date=date, nonce=secrets.token_hex(16),
        )  # fmt: skip
        return self.ask(product.load.http_request("GET", "/headrace/v1/status", signed, b""))[0]

    def forgotten(self) -> None:
        """A minute ago was before the clock went back: in date again, but a nonce of that time was
        out of date meanwhile, and its place may have been given to another.
        """
        date = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.wall.now() - 60))
        self.figures.stale_taken += self.dated(date) < 300

    @contextlib.contextmanager
    def doctor(
        self, name: str, *, after: Callable[[], None], python: Sequence[str] = (sys.executable,)
    ) -> Iterator[Callable[[], None]]:
        """Ask what an operator would ask; yields what to call, at the end the answer is judged.

        after: what happens before.  python: runs it on a machine with the server's clock; or by
        itself with ours, which did not jump.
        """
        asked: list[subprocess.Popen[str]] = []

        def jump() -> None:
            after()
            scaffold.wait(self.tells_the_time, 5)
            server = self.server
            command = [*python, "-m", "headrace", "doctor", "-o", "json", "--endpoint"]
            asked.append(
                subprocess.Popen(
                    [*command, f"http://{server.host}:{server.port}"], stdout=subprocess.PIPE,
                    text=True, cwd=product.ROOT,
                    env={**os.environ, "HEADRACE_DATA": server.data},
                )
            )  # fmt: skip

        yield jump
        said, _ = asked[0].communicate(timeout=30)
        checks = json.loads(said or "[]")
        found = [one for one in checks if one["name"] == name and one["verdict"] == "fail"]
        if found and asked[0].returncode:
            self.figures.doctor_named.append(f"{name}: {found[0]['detail']}")
        else:
            self.figures.problems.append(f"doctor did not name {name}: {said[:300]}")

    def tells_the_time(self) -> bool:
        """The server writes the date of its answers down once a second."""
        server = self.server
        connection = http.client.HTTPConnection(server.host, server.port, timeout=30)
        connection.request("GET", "/healthz")
        told = email.utils.parsedate_to_datetime(connection.getresponse().headers["date"])
        connection.close()
        return abs(told.timestamp() - self.wall.now()) < 5

    # -- the end -----------------------------------------------------------------------------------

    def end(self, ledger: Path, notes: Path, asked: Path) -> None:
        """Drain; then look at the log, and start once more with the clock set right."""
        self.drain()
        self.stop()
        self.order_in_the_log()
        self.wall.set(0.0)
        with self.doctor("records", after=self.start) as again:
            again()
        self.capture()
        self.replay()
        self.drain()
        self.stop()
        figures = self.figures
        stored = set(scaffold.stored_ids(self.data))
        acked, sent = (scaffold.ledger_ids(ledger, kind) for kind in ("a", "s"))
        delivered = set(notes.read_text().split())
        figures.lost, figures.delivered = len(acked - stored), len(delivered)
        figures.phantom = len({one for one in stored if ":" not in one} - sent)
        if missing := acked - delivered:
            figures.problems.append(f"{len(missing)} acknowledged events never arrived")
        for early_s, late_s in waits(asked):
            figures.retries += 1
            figures.retries_early += early_s > 0
            figures.retries_late += late_s > LATE_S_MAX
        figures.problems += doctor.check(self.data).problems[:3]

    def drain(self) -> None:
        scaffold.wait(lambda: scaffold.open_deliveries(self.server) == 0, DRAIN_S_MAX)
        self.figures.open = scaffold.open_deliveries(self.server)

    def order_in_the_log(self) -> None:
        """Straight from the files: positions ascend, times do not go back."""
        last_position = last_ms = 0
        for path in sorted((self.data / "shard-0000").glob("*.seg")):
            connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
            rows = connection.execute("SELECT pos, at_ms FROM frame ORDER BY rowid").fetchall()
            connection.close()
            for position, at_ms in rows:
                self.figures.frames += 1
                self.figures.positions_back += position <= last_position
                self.figures.times_back += at_ms < last_ms
                last_position, last_ms = position, at_ms


def waits(asked: Path) -> Iterator[tuple[float, float]]:
    """Yield of each retry how much too early and how much too late it was, in seconds."""
    before: dict[str, int] = {}
    for line in asked.read_text().splitlines():
        id, attempt, at_us = line.split()
        if int(attempt) > 1:
            waited_s = (int(at_us) - before[id]) / 1e6
            wanted_s = WAITS_S[int(attempt) - 2]
            yield wanted_s - waited_s, waited_s - wanted_s
        before[id] = int(at_us)


def passed(figures: Figures) -> bool:
    zeros = (
        figures.lost, figures.phantom, figures.retries_early, figures.retries_late,
        figures.replays_taken, figures.stale_taken, figures.positions_back, figures.times_back,
        figures.open, len(figures.problems), figures.exit_code,
    )  # fmt: skip
    usual = figures.acked_per_s.get("none", 0.0)
    return (
        not any(zeros)
        and len(figures.cpu) == 5
        and max(figures.cpu.values()) <= CPU_MAX
        and all(rate > usual / 2 > 0 for rate in figures.acked_per_s.values())
        and figures.retries >= 6 * 4 * REFUSED
        and figures.replays > 20
        and figures.strangers_refused >= 1
        and len(figures.doctor_named) == 3
    )


def main() -> int:
    """Print the figures as one line; 0 when they are good."""
    home = scaffold.new_home("clock")
    figures = Run(home, full="--full" in sys.argv).run()
    return scaffold.report("clock", figures, home, good=passed(figures))


if __name__ == "__main__":
    sys.exit(main())
