"""The process under test: store and bus on a fresh directory, a short script, no HTTP.

It tells another process what it sends and what was acknowledged, one message a line, over a socket:
what was told survives whatever happens here. Waits at its gate until the tracer is attached.
Must never tell an acknowledgement that the bus has not given.

    s N ids   publish N begins       a N      it was acknowledged     r N why  it was refused
    S K n     edit or blob begins    A K n    it was acknowledged     R K n    it was refused
    here      it waits at the gate   w tid    the writer's thread
    ready     the script begins      end      it is over
    broken why / unexpected why
"""

from __future__ import annotations

import asyncio
import ctypes
import hashlib
import logging
import os
import socket
import threading
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import Executor
from pathlib import Path
from random import Random

import msgspec

from headrace import outside
from headrace.bus import accept
from headrace.bus import engine as engines
from headrace.core import delivery, errors, event, limits
from headrace.resources import catalog as catalogs
from headrace.resources import inputs
from headrace.store import files, ports
from headrace.store.settings import JournalSettings
from headrace.store.sqlite import Directory, SqliteJournal, SqliteRegistry
from tests.faults.calls import shortened

ACCOUNT = "1000000000000001"
PUBLISHES = 9
BLOB_BYTES = 3_000
#: The whole script under the tracer; normally a tenth of a second.
SCRIPT_S_MAX = 4.0
EXIT_REFUSED, EXIT_BROKEN, EXIT_UNEXPECTED = 3, 70, 4

#: Small bounds, so that a short script rolls, seals and empties its log several times.
SETTINGS = JournalSettings(
    roll_events=8,
    low_disk_bytes=0,
    reserve_bytes=65_536,
    wal_bytes_max=256 * 1024,
    checkpoint_ms=1,
    checkpoint_bytes=32_768,
)

_PR_SET_PTRACER = 0x59616D61
_ANYBODY = ctypes.c_ulong(-1)


class Told(msgspec.Struct):
    """How a script is to run."""

    folder: str
    seed: int
    #: Which write of SQLite's is cut short; 0: none.
    short_at: int = 0


class _Sender:
    """Answers at once: most deliveries arrive, some are refused for good."""

    async def send(
        self, batch: Sequence[delivery.Message], deadline_us: int
    ) -> Sequence[delivery.Outcome]:
        poisoned = delivery.failed("poisoned", 410, "Gone")
        return [
            poisoned if message.event_id.endswith("-1") else delivery.delivered(200)
            for message in batch
        ]

    async def close(self) -> None:
        """Nothing is held."""


def main(told: Told, gate: socket.socket, ledger: socket.socket) -> None:
    """Wait at the gate, run the script, end the process with its code."""
    # The tracer is no parent of ours: without this it may be refused.
    ctypes.CDLL(None).prctl(_PR_SET_PTRACER, _ANYBODY, 0, 0, 0)
    if told.short_at:
        shortened.install(told.short_at)
    logging.getLogger().addHandler(logging.NullHandler())  # failures are what this is about
    tell(ledger, "here")
    gate.recv(1)
    try:
        code = asyncio.run(_Script(told, ledger).run())
    except (errors.HeadraceError, ports.StoreError, OSError) as fault:
        # What a server says when it cannot start; nothing was acknowledged after it.
        tell(ledger, f"refused {type(fault).__name__}: {fault}")
        code = EXIT_REFUSED
    except BaseException as fault:
        tell(ledger, f"unexpected {type(fault).__name__}: {fault}")
        code = EXIT_UNEXPECTED
    # Threads of a store that would not close must not hold the end up: a server is gone too.
    os._exit(code)


def tell(ledger: socket.socket, text: str) -> None:
    """One message, on its way for good when this returns."""
    ledger.send(text.replace("\n", " ")[:400].encode() + b"\n")


class _Script:
    """One life of the engine."""

    def __init__(self, told: Told, ledger: socket.socket) -> None:
        self._told = told
        self._ledger = ledger
        self._random = Random(told.seed)
        self._moved = asyncio.Event()
        self._broken = False

    def tell(self, text: str) -> None:
        tell(self._ledger, text)

    async def run(self) -> int:
        async with asyncio.timeout(SCRIPT_S_MAX):
            await self._open()
            self.tell("ready")
            for number in range(PUBLISHES):
                await self._publish(number)
                await self._settled()
                if number % 3 == 1:
                    await self._edit(number)
                if number % 5 == 2:
                    await self._keep_blob(number)
            self.tell("end")
            await self._close()
        return EXIT_BROKEN if self._broken else 0

    async def _open(self) -> None:
        clock = outside.SystemClock()
        directory = self._directory = Directory.open(Path(self._told.folder))
        registry = self._registry = SqliteRegistry(directory, clock)
        revision = await registry.open()
        self._blobs = files.FileBlobs(directory.blobs)
        writer = self._writer = outside.writer_executor("scripted")
        self.tell(f"w {await _thread_of(writer)}")
        self._catalog = catalogs.Catalog(registry, clock, self._random, region="cn-hangzhou")
        journal = SqliteJournal(
            directory, writer=writer, settings=SETTINGS, snapshot=lambda: self._engine.snapshot()
        )
        self._engine = engines.Engine(
            journal, registry, self._catalog, clock=clock, random=self._random,
            region="cn-hangzhou",
            wiring=engines.Wiring(
                sender_of=lambda *_: _Sender(), call_sender=lambda *_: _Sender(),
                broken=self._note_broken,
            ),
        )  # fmt: skip
        await self._engine.open([ACCOUNT], int(revision))
        self._engine.committer.followers.append(lambda *_: self._moved.set())
        await self._create_rule()

    async def _create_rule(self) -> None:
        targets = [inputs.TargetInput(id, "http", "http://example.com/") for id in ("a", "b")]
        rule = inputs.RuleInput("push", "{}", description="0", targets=targets)
        await self._catalog.create_rule(ACCOUNT, "default", rule)

    def _note_broken(self, fault: BaseException) -> None:
        self.tell(f"broken {fault}")
        self._broken = True
        self._moved.set()

    async def _publish(self, number: int) -> None:
        ids = [f"{number}-{turn}" for turn in range(self._random.choice((1, 1, 2, 3)))]
        filler = "x" * self._random.choice((10, 300, 6_000))
        entries = [
            event.build({"id": id, "source": "faults", "type": "t", "data": filler}, limits.WIDE)
            for id in ids
        ]
        self.tell(f"s {number} {','.join(ids)}")
        try:
            answers = await self._engine.publish(ACCOUNT, entries, bus="default", addr="127.0.0.1")
        except errors.HeadraceError as fault:
            self.tell(f"r {number} {type(fault).__name__}")
            return
        taken = all(isinstance(answer, accept.Accepted) for answer in answers)
        self.tell(f"a {number}" if taken else f"r {number} refused by entry")

    async def _settled(self) -> None:
        """Until every delivery is closed, so that the next sync is about the next publish."""
        while not self._broken and self._engine.ledger.pending() > self._waiting_letters():
            self._moved.clear()
            await self._moved.wait()

    def _waiting_letters(self) -> int:
        """Dead letters stay open until somebody takes them."""
        dead = self._engine.postbox.addresses[ACCOUNT].dead_subscription
        return len(self._engine.ledger.deliveries(dead).open)

    async def _edit(self, number: int) -> None:
        self.tell(f"S edit {number}")
        try:
            await self._catalog.update_rule(
                ACCOUNT, "default", "push", inputs.RulePatch(description=str(number))
            )
        except (errors.HeadraceError, ports.StoreError):
            self.tell(f"R edit {number}")
        else:
            self.tell(f"A edit {number}")

    async def _keep_blob(self, number: int) -> None:
        self.tell(f"S blob {hashlib.sha256(blob(number)).hexdigest()}")
        try:
            digest = await self._blobs.put(_chunks(number), BLOB_BYTES)
        except (errors.HeadraceError, ports.StoreError, OSError):
            self.tell(f"R blob {number}")
        else:
            self.tell(f"A blob {digest}")

    async def _close(self) -> None:
        try:
            await self._engine.close()
            await self._registry.close()
        except (ports.StoreError, OSError) as fault:
            # A failing disk may fail the closing too; nothing is promised by it.
            self.tell(f"closing {type(fault).__name__}: {fault}")
        self._directory.close()


def blob(number: int) -> bytes:
    return Random(number).randbytes(BLOB_BYTES)


async def _chunks(number: int) -> AsyncIterator[bytes]:
    yield blob(number)


async def _thread_of(executor: Executor) -> int:
    return await asyncio.get_running_loop().run_in_executor(executor, threading.get_native_id)
