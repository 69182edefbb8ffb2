"""R15: hand over twenty times between two versions under 500 events/s and 50 invocations/s.

The other version is a copy of this one under another name and with its own program. Clients that
keep their connections and clients that come anew see no failed request, nothing acknowledged is
lost or stays undelivered, and at the end a stop under load takes 30 s at most.

usage: ./dev faults upgrade [--ci | --full] [--rounds N]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import headrace
from bench.rig import product
from headrace import doctor
from tests import versions
from tests.faults import scaffold, soak

ROUNDS, ROUNDS_CI = 20, 6
STOP_S_MAX = 30.0
#: Clients wait for their answer while no worker takes requests; nobody's time-out is shorter.
GAP_S_MAX = 5.0


class Figures(scaffold.Figures):
    """What one run saw."""

    handovers: int = 0
    #: Longest time without a worker that takes requests, seconds, as the supervisor measured it.
    gap_s_max: float = 0.0
    sent: int = 0
    acked: int = 0
    invoked: int = 0
    edits: int = 0
    failed: int = 0
    undelivered: int = 0
    delivered_twice: int = 0
    log_errors: int = 0
    stop_s: float = 0.0


def hand_over(data: Path, to: Path) -> dict[str, object]:
    """Run `headrace upgrade`; return its answer."""
    done = subprocess.run(
        [sys.executable, "-m", "headrace", "upgrade", "--data", str(data), "--to", str(to),
         "-o", "json"],
        capture_output=True, text=True, cwd=product.ROOT, check=False, timeout=120,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"headrace upgrade --to {to}: {done.stderr}")
    return json.loads(done.stdout)


def run(home: Path, rounds: int) -> Figures:
    """Load a server, hand over again and again, stop it under load, count."""
    figures = Figures()
    data, ready, notes, ledger = (home / it for it in ("data", "ready.json", "notes", "ledger"))
    programs = [versions.make(home, f"{headrace.__version__}+{name}") for name in ("blue", "green")]
    with scaffold.receiver(notes) as port:
        with (home / "server.log").open("wb") as log:
            process = product.start(data, ready, log=log)
        server = product.read(ready)
        soak.wire(server, f"http://127.0.0.1:{port}/")
        load = soak.Load(server)
        rate = (str(soak.EVENTS_PER_S), str(soak.IN_FLIGHT))
        with scaffold.process("producer.py", str(ready), str(ledger), *rate) as producer:
            load.start()
            for number in range(rounds):
                _round(figures, data, ready, programs[number % 2])
            load.stop()
            scaffold.order(producer, {"stop": True})
            told = scaffold.answer(producer)
            figures.sent, figures.acked = told["sent"], told["acked"]
            figures.problems += told["refused"]
        scaffold.drain(server, soak.DRAIN_S_MAX)
        _stop_under_load(figures, process, ready, home / "ledger-stop")
    figures.invoked, figures.edits = load.invoked, load.edits
    figures.failed = figures.sent - figures.acked + len(load.failures)
    figures.problems += load.failures[:3]
    _count(figures, home)
    return figures


def _round(figures: Figures, data: Path, ready: Path, to: Path) -> None:
    before = product.read(ready)
    answer = hand_over(data, to)
    after = json.loads(ready.read_text())
    if after["facts"]["version"] != answer["version"] or after["worker_pid"] == before.pid:
        figures.problems.append(f"{answer} against {after}")
    figures.handovers += 1
    figures.gap_s_max = max(figures.gap_s_max, float(str(answer["gap_s"])))


def _stop_under_load(
    figures: Figures, process: subprocess.Popen[str], ready: Path, ledger: Path
) -> None:
    """SIGTERM while events come in: what was acknowledged is there, the rest is refused."""
    rate = (str(soak.EVENTS_PER_S), str(soak.IN_FLIGHT))
    with scaffold.process("producer.py", str(ready), str(ledger), *rate) as producer:
        while not ledger.exists() or ledger.read_bytes().count(b"a ") < soak.EVENTS_PER_S:
            if producer.poll() is not None:
                raise SystemExit("the producer ended by itself")
        began = time.monotonic()
        process.terminate()
        figures.exit_code = process.wait(2 * STOP_S_MAX)
        figures.stop_s = round(time.monotonic() - began, 2)
        scaffold.order(producer, {"stop": True})
        scaffold.answer(producer)


def _count(figures: Figures, home: Path) -> None:
    wrong = scaffold.logged_errors(home / "server.log")
    figures.log_errors = len(wrong)
    figures.problems += wrong[:3]
    stored = set(scaffold.stored_ids(home / "data"))
    acked = [scaffold.ledger_ids(home / name, "a") for name in ("ledger", "ledger-stop")]
    figures.lost = len((acked[0] | acked[1]) - stored)
    delivered = (home / "notes").read_text().split()
    figures.undelivered = len(acked[0] - set(delivered))
    figures.delivered_twice = len(delivered) - len(set(delivered))
    figures.problems += doctor.check(home / "data").problems[:3]


def passed(figures: Figures) -> bool:
    zeros = (
        figures.failed, figures.lost, figures.undelivered, figures.delivered_twice,
        figures.log_errors, len(figures.problems), figures.exit_code,
    )  # fmt: skip
    return (
        not any(zeros)
        and figures.handovers > 0
        and min(figures.acked, figures.invoked, figures.edits) > 0
        and figures.gap_s_max <= GAP_S_MAX
        and figures.stop_s <= STOP_S_MAX
    )


def main(arguments: list[str] | None = None) -> int:
    """Print the figures as one line; 0 when they are good."""
    parser = argparse.ArgumentParser(prog="./dev faults upgrade")
    parser.add_argument("--ci", action="store_true", help=f"{ROUNDS_CI} rounds")
    parser.add_argument("--full", action="store_true", help=f"{ROUNDS} rounds, as without")
    parser.add_argument("--rounds", type=int)
    given = parser.parse_args(arguments)
    home = scaffold.new_home("upgrade")
    figures = run(home, given.rounds or (ROUNDS_CI if given.ci else ROUNDS))
    return scaffold.report("upgrade", figures, home, good=passed(figures))


if __name__ == "__main__":
    sys.exit(main())
