"""The running process: socket, keys, signals, ready file. Everything behind them is `app`.

Order at start: bind, lock and open the data directory, recover, announce, listen. At the end: stop
listening, let running requests and attempts finish, write what waits, release the directory. Under
a supervisor socket and lock are lent, and connections that nobody waits on are given back.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import logging
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import httptools
import msgspec
import uvicorn
import uvloop

from headrace import app as apps
from headrace import channel, outside, settings
from headrace.access import keys
from headrace.api import bounds, connection
from headrace.api.native import face as native
from headrace.core import errors

log = logging.getLogger(__name__)

#: Connections waiting for `accept`, and how long an idle one is kept.
BACKLOG = 2048
ACCEPTS_PER_TURN = 16
KEEP_ALIVE_S = 75
#: Time given to requests that run when the server is told to stop.
DRAIN_S = 15
#: The writer thread waits at most this long for the interpreter; the default 5 ms is a commit.
SWITCH_INTERVAL_S = 0.0005
#: What is made for an event is let go with it, by reference count. The default, a search for cycles
#: every 700 objects, finds none of it and takes a tenth of the loop's time.
GC_THRESHOLDS = (20_000, 20, 50)
#: Exit code of a server whose store failed under it.
EXIT_BROKEN = 70

assert httptools is not None, "uvicorn's fast parser must be there"


class Ready(msgspec.Struct, frozen=True):
    """What a started server says of itself; the ready file holds it without the secret."""

    url: str
    host: str
    port: int
    #: Who is to be told to stop, and who serves; one process without a supervisor.
    pid: int
    worker_pid: int
    account: str
    region: str
    access_key_id: str
    #: File with the pair; None when it came from the environment.
    keys_file: str | None
    data: str | None
    #: The keys are new: show `secret` once.
    created: bool
    facts: dict[str, Any]
    secret: str | None = None


class Lent(NamedTuple):
    """What a supervisor lends its worker. The lock of the data directory is held with it."""

    listener: socket.socket
    #: Descriptors of connections whose worker has gone.
    connections: list[int]
    channel: channel.Channel
    supervisor: int
    #: Bring the data directory to the newest format first.
    finalize: bool


def run(
    config: settings.Settings,
    *,
    environ: Mapping[str, str] = os.environ,
    announce: Callable[[Ready], None],
    alongside: Callable[[Ready], Any] | None = None,
    lent: Lent | None = None,
) -> int:
    """Serve until a signal; return the exit code.

    announce: called once the server answers.  alongside: a coroutine function run beside it; the
    server stops when it returns, with its result as exit code (demo, tests).  lent: by the
    supervisor, if there is one.
    Raises: errors.HeadraceError, OSError when it cannot start.
    """
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    gc.set_threshold(*GC_THRESHOLDS)
    process = _Process(config, environ, announce, alongside, lent)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(process.run())
    except apps.ports.StoreError as fault:
        raise errors.Unavailable(
            str(fault), remedy="Choose another directory with --data, or stop the other server."
        ) from fault


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: it would re-raise the signal before we have closed."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listens = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listens.set()

    def adopting(self) -> asyncio.Protocol:
        """Return what speaks on a connection that another process had before."""
        speaking: Any = self.config.http_protocol_class
        protocol = speaking(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        protocol.adopted = True
        return protocol

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


class _Process:
    """One run of `headrace up`."""

    def __init__(
        self,
        config: settings.Settings,
        environ: Mapping[str, str],
        announce: Callable[[Ready], None],
        alongside: Callable[[Ready], Any] | None,
        lent: Lent | None,
    ) -> None:
        self._config = config
        self._environ = environ
        self._announce = announce
        self._alongside = alongside
        self._lent = lent
        #: Seconds for what runs, once the supervisor wants another worker here.
        self._leaves: float | None = None
        #: Connections to give back, as descriptors.
        self._kept: list[int] = []
        self._exit = 0
        #: The data directory is ours: before that its ready file may be another server's.
        self._holds = False
        self._stop = asyncio.Event()

    async def run(self) -> int:
        with contextlib.ExitStack() as stack:
            listener = stack.enter_context(
                bind(self._config) if self._lent is None else self._lent.listener
            )
            home = self._config.data or Path(
                stack.enter_context(TemporaryDirectory(prefix="headrace-keys-"))
            )
            application = apps.App(self._config, broken=self._broken)
            if self._lent is not None and self._lent.finalize:
                application.finalize()
            try:
                application.hold(lock=self._lent is None)
                self._holds = True
                home.mkdir(parents=True, exist_ok=True, mode=0o700)
                obtained = keys.obtain(home, self._environ, account=self._config.account)
                served = await application.open(obtained.key, first_start=obtained.created)
                ready = self._ready(application, obtained, listener)
                await self._serve(application, served, listener, ready)
            finally:
                if self._holds and self._leaves is None:
                    forget_ready(self._config)
                await application.close()
        if self._lent is not None:
            self._lent.channel.give(self._kept)
        return self._exit

    async def _serve(
        self, application: apps.App, served: Any, listener: socket.socket, ready: Ready
    ) -> None:
        self._bounded = connection.bounded(
            served, native.refuse, outside.system_random(),
            connections_max=bounds.connections_max(take_descriptors()),
        )  # fmt: skip
        server = _Server(
            uvicorn.Config(
                served, loop="none", http=self._bounded, ws="none", lifespan="off",
                access_log=False, log_config=None, server_header=False, date_header=True,
                backlog=BACKLOG, timeout_keep_alive=KEEP_ALIVE_S,
                timeout_graceful_shutdown=DRAIN_S, proxy_headers=False,
            )
        )  # fmt: skip
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop.set)
        # The loop accepts one connection from each descriptor in a turn, however many wait.
        doors = [listener, *(listener.dup() for _ in range(ACCEPTS_PER_TURN - 1))]
        serving = loop.create_task(server.serve(sockets=doors))
        stopping = loop.create_task(self._stop.wait())
        listening = loop.create_task(server.listens.wait())
        await asyncio.wait([serving, listening], return_when=asyncio.FIRST_COMPLETED)
        if not listening.done():
            await serving  # says why
        self._write_ready(ready)
        self._announce(ready)
        if self._lent is not None:  # not before: a start that fails must have read nothing of them
            await self._adopt(server, self._lent)
        beside = self._start_beside(ready)
        await asyncio.wait(
            [task for task in (serving, stopping, beside) if task is not None],
            return_when=asyncio.FIRST_COMPLETED,
        )
        stopping.cancel()
        served.end_streams()
        if self._leaves is not None and self._lent is not None:
            await self._leave(application, server, self._lent)
        server.should_exit = True
        if beside is not None:
            if beside.done():
                self._exit = beside.result()
            else:
                beside.cancel()
        await serving

    # -- under a supervisor -----------------------------------------------------------------------

    async def _adopt(self, server: _Server, lent: Lent) -> None:
        """Go on with connections of the worker before; nothing of a request was read from them."""
        loop = asyncio.get_running_loop()
        loop.add_reader(lent.channel.fileno(), self._told, lent.channel)
        for one in lent.connections:
            await loop.connect_accepted_socket(server.adopting, socket.socket(fileno=one))

    def _told(self, supervisor: channel.Channel) -> None:
        heard = supervisor.hear()
        if heard is None:  # it is gone, and so are we
            asyncio.get_running_loop().remove_reader(supervisor.fileno())
        elif heard.word == channel.LEAVE:
            self._leaves = float(heard.body)
        self._stop.set()

    async def _leave(self, application: apps.App, server: _Server, lent: Lent) -> None:
        """Let deliveries and requests that run end while new requests are still served, then those,
        and keep the rest."""
        asyncio.get_running_loop().remove_reader(lent.channel.fileno())
        grace_s = self._leaves or 0.0
        begun = server.server_state.tasks.copy()
        winding = asyncio.get_running_loop().create_task(application.wind_down(grace_s))
        await asyncio.wait({winding, *begun}, timeout=grace_s)
        await winding
        server.config.timeout_graceful_shutdown = round(grace_s) or 1
        self._bounded.keep = self._kept.append
        lent.channel.tell(channel.PAUSED)

    def _start_beside(self, ready: Ready) -> asyncio.Task[int] | None:
        if self._alongside is None:
            return None
        return asyncio.get_running_loop().create_task(self._alongside(ready))

    def _broken(self, fault: BaseException) -> None:
        """The store takes no more writes: nothing may be acknowledged, so the process ends."""
        log.critical("the store failed, stopping: %s", fault)
        self._exit = EXIT_BROKEN
        self._stop.set()

    # -- ready file -------------------------------------------------------------------------------

    def _ready(
        self, application: apps.App, obtained: keys.Obtained, listener: socket.socket
    ) -> Ready:
        host, port = listener.getsockname()[:2]
        application.listening(port)
        shown = f"[{host}]" if ":" in host else host
        return Ready(
            url=f"http://{shown}:{port}", host=host, port=port,
            pid=os.getpid() if self._lent is None else self._lent.supervisor,
            worker_pid=os.getpid(),
            account=obtained.key.account, region=self._config.region,
            access_key_id=obtained.key.access_key_id,
            keys_file=None if obtained.path is None else str(obtained.path),
            data=None if self._config.data is None else str(self._config.data),
            created=obtained.created, facts=application.facts(),
            secret=obtained.key.secret if obtained.created else None,
        )  # fmt: skip

    def _write_ready(self, ready: Ready) -> None:
        text = msgspec.json.format(msgspec.json.encode(msgspec.structs.replace(ready, secret=None)))
        for path in _ready_files(self._config):
            part = path.with_name(path.name + ".part")
            part.write_bytes(text)
            part.replace(path)  # whoever waits for it reads it whole


def forget_ready(config: settings.Settings) -> None:
    """Remove what says that a server answers; the data directory is ours."""
    for path in _ready_files(config):
        path.unlink(missing_ok=True)


def _ready_files(config: settings.Settings) -> list[Path]:
    """The file that was asked for, and one in the data directory for the command line."""
    named = [config.ready_file] if config.ready_file is not None else []
    return named if config.data is None else [*named, config.data / "ready.json"]


def take_descriptors() -> int:
    """Raise the soft limit of open descriptors to the hard one; return how many there are."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError):  # a system whose hard limit is more than it really gives
        hard = soft
    return sys.maxsize if hard == resource.RLIM_INFINITY else hard


def bind(config: settings.Settings) -> socket.socket:
    """Return a socket that listens on the address, or say clearly why there is none.

    Raises: errors.Unavailable (the port is taken, the address is not ours), errors.InvalidInput
    (beyond loopback without --insecure).
    """
    if not apps.is_loopback(config.host) and not config.insecure:
        raise errors.InvalidInput(
            f"{config.host} can be reached from other machines, and nothing would be encrypted",
            field="host",
            remedy="Put a TLS proxy in front and pass --insecure, or listen on 127.0.0.1.",
        )
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((config.host, config.port))
        listener.listen(BACKLOG)
    except OSError as fault:
        listener.close()
        taken = fault.errno == errno.EADDRINUSE
        why = "is taken by another process" if taken else f"cannot be used: {fault.strerror}"
        raise errors.Unavailable(
            f"port {config.port} on {config.host} {why}",
            remedy="Choose another with --port, or --port 0 for any free one.",
        ) from fault
    listener.setblocking(False)
    return listener
