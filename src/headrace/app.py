"""The wiring: the only place where stores, bus, functions, targets and faces meet.

`App` opens everything in order and closes it in reverse; it decides nothing. The process around it
(sockets, signals, ready file) is `serve`.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import prometheus_client

import headrace
from headrace import metrics, outside, plugins, settings
from headrace.access import authenticate, claims, keys, nonces, policy
from headrace.api import assembly, server, services
from headrace.api.cloudevents import face as cloudevents
from headrace.api.eventbridge import control, dataplane
from headrace.api.fc import face as fc_face
from headrace.api.fc import faults as fc_faults
from headrace.api.fc import table as fc_table
from headrace.api.native import face as native
from headrace.bus import engine as engines
from headrace.core import calling, delivery, errors, limits
from headrace.functions import cache, history, launcher, sandbox, service, shelf
from headrace.resources import catalog as catalogs
from headrace.resources import editing, model
from headrace.store import memory, ports, sqlite
from headrace.store import settings as journal
from headrace.targets import asynchronous, egress, push
from headrace.targets import registry as targets

log = logging.getLogger(__name__)


class Stores(msgspec.Struct):
    """The four ports of one shard, and how to let go of them."""

    journal: ports.Journal
    registry: ports.Registry
    blobs: ports.Blobs
    records: ports.Records
    #: Of the data directory; None: there is none.
    format: int | None
    #: Scratch space of this process: unpacked code, compiled runtime.
    scratch: Path
    release: Callable[[], None]


class App:
    """One server, wired but not yet listening."""

    def __init__(
        self, config: settings.Settings, *, broken: Callable[[BaseException], None]
    ) -> None:
        """broken: called when the store can take no more writes."""
        self._config = config
        self._broken = broken
        self._unready = "starting"
        self._closing = contextlib.AsyncExitStack()
        self.clock = outside.SystemClock()
        self.random = outside.system_random()

    def finalize(self) -> None:
        """Bring the data directory, whose lock is held, to the newest format: there is no way back.

        Raises: store.ports.StoreError.
        """
        if self._config.data is not None:
            sqlite.finalize(self._config.data)

    def hold(self, *, lock: bool = True) -> None:
        """Take the data directory. lock: False when the supervisor holds it.

        Raises: store.ports.StoreError (held, too new, not ours).
        """
        self.stores = _open_stores(
            self._config, self.clock, lambda: self.engine.snapshot(), lock=lock
        )
        self._closing.callback(self.stores.release)

    async def open(
        self, key: keys.Key, *, first_start: bool, others: Sequence[keys.Key] = ()
    ) -> server.Server:
        """Open everything behind the directory that is held; return the ASGI application.

        others: keys of further accounts.
        """
        config, closing = self._config, self._closing
        self.key = key
        self.keyring = keys.Keyring([key, *others])
        self.walls = sandbox.choose(config.sandbox)
        self.plugins = _plugins()
        revision = await self.stores.registry.open()
        closing.push_async_callback(self.stores.registry.close)
        await self.stores.records.open()
        closing.push_async_callback(self.stores.records.close)
        self.nonces = self._nonces(first_start=first_start)
        closing.callback(self.nonces.close)
        self.catalog = catalogs.Catalog(
            self.stores.registry, self.clock, self.random, region=config.region,
            bounds=self.limits, deliverable=frozenset({*targets.FACTORIES, *self.plugins.openers}),
        )  # fmt: skip
        packages = cache.Packages(self.stores.scratch / "code")
        self.functions = self._functions(packages)
        closing.push_async_callback(self.functions.close)
        self.shelf = shelf.Shelf(self.stores.blobs, packages, self._needed_code)
        await self._open_shelf()
        self.targets = self._targets()
        closing.push_async_callback(self.targets.close)
        self.engine = self._engine()
        closing.push_async_callback(self.engine.close)
        await self.engine.open(sorted(self.keyring.accounts), revision)
        self.catalog.on_change(self._function_changed)
        application = self._faces()
        self._unready = ""
        return application

    async def wind_down(self, grace_s: float) -> None:
        """Start no more deliveries and give those that run `grace_s` to end; requests are served
        on."""
        self._unready = "stopping"
        await self.engine.wind_down(grace_s)

    async def close(self) -> None:
        """Let what runs end, write what waits, let go of the data directory; in reverse order."""
        self._unready = "stopping"
        await self._closing.aclose()

    def _targets(self) -> targets.Registry:
        self.egress = egress.Egress(allow_private=self._private_targets())
        pushers = push.Pushers(self.egress, self.clock)
        return targets.Registry(
            pushers=pushers, clock=self.clock, begin=self._begin, openers=self.plugins.openers
        )

    def _engine(self) -> engines.Engine:
        config = self._config
        return engines.Engine(
            self.stores.journal, self.stores.registry, self.catalog, clock=self.clock,
            random=self.random, region=config.region, keep=config.keep,
            wiring=engines.Wiring(
                sender_of=lambda _account, _rule, target: self.targets.open(target),
                call_sender=self._call_sender,
                broken=self._broken,
            ),
        )  # fmt: skip

    @property
    def limits(self) -> limits.Limits:
        return limits.STRICT if self._config.strict_limits else limits.WIDE

    def listening(self, port: int) -> None:
        """The port is known: targets must not call the server itself."""
        self.egress.forbid_own_port(port)

    # -- functions ----------------------------------------------------------------

    def _functions(self, packages: cache.Packages) -> service.Functions:
        spawner = launcher.Launcher(self.walls, self.stores.scratch)
        spawner.prepare()
        packages.sweep()
        return service.Functions(
            spawner=spawner, packages=packages, lookup=self._function,
            blob_path=lambda digest: self.stores.blobs.path(ports.Digest(digest)),
            records=self.stores.records, clock=self.clock, random=self.random,
            region=self._config.region,
        )  # fmt: skip

    def _function(self, account: str, name: str) -> model.Function | None:
        try:
            return self.catalog.get_function(account, name)
        except errors.FunctionNotFound:
            return None

    async def _open_shelf(self) -> None:
        """Take away the code that is nobody's; a disk that refuses that keeps nobody from work."""
        try:
            await self.shelf.open()
        except OSError:
            log.exception("code of functions that are gone could not be taken away")
        sweeping = asyncio.get_running_loop().create_task(self.shelf.run(), name="shelf")
        self._closing.push_async_callback(_cancelled, sweeping)

    def _needed_code(self) -> set[str]:
        """Digests that records of functions refer to, or that run."""
        records = self.catalog.walk(editing.FUNCTION)
        return {one.record.code_sha256 for one in records} | self.functions.code_in_use()

    def _function_changed(self, changes: Sequence[editing.Changed]) -> None:
        for change in changes:
            record = change.after or change.before
            if isinstance(record, model.Function):
                self.functions.refresh(change.account, record.name)

    def _begin(self, call: calling.Call, told: calling.Told) -> calling.Abandon:
        return functools.partial(self.functions.abandon, self.functions.submit(call, told))

    def _call_sender(self, _account: str, called: model.Function) -> delivery.Sender:
        return asynchronous.CallSender(called.name, self.clock, begin=self._begin)

    # -- faces ----------------------------------------------------------------

    def _faces(self) -> server.Server:
        config = self._config
        tables = (
            control.TABLE, dataplane.TABLE, fc_table.TABLE, cloudevents.TABLE, native.TABLE,
        )  # fmt: skip
        container = services.Services(
            catalog=self.catalog, engine=self.engine, functions=self.functions,
            authenticator=authenticate.Authenticator(self.keyring, self.clock, self.nonces),
            authorize=policy.authorize, limits=self.limits, account=self.key.account,
            region=config.region, clock=self.clock, random=self.random, facts=self.facts(),
            tables=tables,
            logs=history.History(self.stores.records),
            account_of=lambda request: claims.account(
                self.keyring, request.raw_headers, request.query
            ),
        )  # fmt: skip
        shown = prometheus_client.CollectorRegistry()
        shown.register(metrics.Books(self.engine, self.functions))
        fc = fc_face.Face(container, self.shelf)
        below_fc = assembly.Elsewhere(
            "fc", "/2023-03-30/", fc, fc_faults.refuse, fc_face.BODY_BYTES_MAX, short=True
        )
        return assembly.build(
            container, registry=shown, unready=self._why_unready, elsewhere=[below_fc]
        )

    def _why_unready(self) -> str:
        """A drained server asks whoever balances load to send requests elsewhere."""
        return self._unready or ("drained" if self.engine.switchboard.board.drain else "")

    def facts(self) -> dict[str, object]:
        """What `status` and `/healthz` say of this process and never changes."""
        return {
            "version": headrace.__version__,
            "store": "memory" if self._config.data is None else "sqlite",
            "format": self.stores.format,
            "sandbox": self.walls.rung,
            "sandbox_description": self.walls.description,
            "plugins": msgspec.to_builtins(self.plugins.plugins),
        }

    def _private_targets(self) -> bool:
        chosen = self._config.private_targets
        return is_loopback(self._config.host) if chosen is None else chosen

    def _nonces(self, *, first_start: bool) -> nonces.Nonces:
        if self._config.data is None:
            return nonces.Nonces.in_memory()
        return nonces.Nonces.open(
            self._config.data / "nonces", now_ms=self.clock.wall_ms(),
            boot_id=outside.boot_id(), first_start=first_start,
        )  # fmt: skip


def _plugins() -> plugins.Loaded:
    loaded = plugins.load()
    for one in loaded.refused:
        log.warning("the plug-in %s of %s is refused: %s", one.name, one.package, one.problem)
    return loaded


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def is_loopback(host: str) -> bool:
    return host in ("localhost", "::1") or host.startswith("127.")


def _open_stores(
    config: settings.Settings,
    clock: outside.SystemClock,
    snapshot: Callable[[], tuple[ports.Position, bytes]],
    *,
    lock: bool,
) -> Stores:
    if config.data is None:
        return _memory_stores(clock, snapshot)
    directory = sqlite.Directory.open(config.data, lock=lock)
    writer = outside.writer_executor("headrace-writer")

    def release() -> None:
        writer.shutdown()
        directory.close()

    return Stores(
        sqlite.SqliteJournal(
            directory, 0, writer=writer, snapshot=snapshot,
            settings=journal.JournalSettings(low_disk_bytes=config.low_disk_bytes),
        ),
        sqlite.SqliteRegistry(directory, clock),
        sqlite.FileBlobs(directory.path / "blobs"),
        sqlite.SqliteRecords(directory),
        directory.format,
        directory.path / "scratch",
        release,
    )  # fmt: skip


def _memory_stores(
    clock: outside.SystemClock, snapshot: Callable[[], tuple[ports.Position, bytes]]
) -> Stores:
    scratch = TemporaryDirectory(prefix="headrace-")
    return Stores(
        memory.MemoryJournal(snapshot=snapshot), memory.MemoryRegistry(clock),
        memory.MemoryBlobs(), memory.MemoryRecords(), None, Path(scratch.name), scratch.cleanup,
    )  # fmt: skip
