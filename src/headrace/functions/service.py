"""Functions as a service: `invoke` a function, get an `Invocation`; everything else happens behind
it.

Joins the pool (which decides), the launcher (which starts) and the instances (which run). Owns
deployments: which code and configuration new requests get, and the orderly end of the old ones. No
task per invocation: the instance's protocol tells the caller itself.
"""

from __future__ import annotations

import asyncio
import functools
import os
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path

from headrace.core import clock as clocks
from headrace.core import errors
from headrace.functions import (
    cache,
    frames,
    history,
    holdings,
    invocation,
    launcher,
    outcome,
    pool,
    scaling,
)
from headrace.functions import deployment as deployments
from headrace.functions import instance as sandboxed
from headrace.resources import model
from headrace.store import ports

TICK_BUSY_S = 0.02
TICK_IDLE_S = 1.0

BlobPath = Callable[[str], Awaitable[Path]]


class Functions:
    """Run functions of every account on this worker."""

    def __init__(
        self,
        *,
        spawner: launcher.Launcher,
        packages: cache.Packages,
        lookup: deployments.Lookup,
        blob_path: BlobPath,
        records: ports.Records,
        clock: clocks.Clock,
        random: clocks.Random,
        region: str,
        limits: scaling.Limits | None = None,
        load_timeout_s: float = sandboxed.LOAD_TIMEOUT_S,
    ) -> None:
        """lookup: the catalog's view, no I/O. blob_path: where a code package lies, by sha256;
        raises KeyError.
        """
        self._launcher = spawner
        self._packages = packages
        self._lookup = lookup
        self._blob_path = blob_path
        self._history = history.History(records)
        self._clock = clock
        self._random = random
        self._region = region
        starts_max = max(2, os.cpu_count() or 2)
        limits = limits or scaling.Limits(starts_max=starts_max)
        self._pool = pool.Pool(limits)
        self._holdings = holdings.Holdings(limits)
        self._load_timeout_s = load_timeout_s
        self._deployments = deployments.Deployments(lookup, self._retire)
        self._lives: dict[int, deployments.Life] = {}
        self._tickets: dict[int, sandboxed.Ticket] = {}
        self._starts: set[asyncio.Task[None]] = set()
        self._last_number = 0
        self._ticker: asyncio.TimerHandle | None = None
        self._ticks_fast = False
        self._closing = False
        self._changed = asyncio.Event()
        self._count = dict.fromkeys(("invocations", "errors", "cold", "throttled", "failures"), 0)

    # -- what others call -----------------------------------------------------------------------

    async def invoke(self, call: invocation.Call) -> invocation.Invocation:
        """Run a function and return its answer, which may be its own failure (`error_type`).

        Raises: errors.FunctionNotFound, VersionNotFound, PayloadTooLarge, Throttled, Unavailable.
        When the caller is cancelled, a request that has not begun is dropped; one that runs is left
        to its end.
        """
        done: asyncio.Future[invocation.Invocation] = asyncio.get_running_loop().create_future()
        ticket = self.submit(call, functools.partial(_resolve, done))
        try:
            return await done
        except asyncio.CancelledError:
            self.abandon(ticket)
            raise

    def submit(self, call: invocation.Call, tell: sandboxed.Tell) -> sandboxed.Ticket:
        """As `invoke`, without a task that waits: `tell` is called once with what it would return
        or raise. It must not raise, and may be called before this returns.

        Raises, at once: errors.FunctionNotFound, VersionNotFound, PayloadTooLarge, Unavailable,
        Throttled (too many wait or run, or their payloads take too much memory; ShareUsed when it
        is only this account that has too much).
        """
        deployment = self._admit(call)
        words = outcome.words(call)
        try:
            self._holdings.take(call)
        except errors.Throttled:
            self._count["throttled"] += 1
            raise
        self._last_number = number = self._last_number % 0xFFFFFFFF + 1
        now_us = self._clock.mono_us()
        ticket = sandboxed.Ticket(number, call, words, deployment, tell, now_us)
        self._tickets[number] = ticket
        self._apply(self._pool.request(now_us, number, deployment.key, deployment.settings))
        return ticket

    def abandon(self, ticket: sandboxed.Ticket) -> None:
        """The caller has gone away and is told nothing more: a request that has not begun is
        dropped; one that runs is left to its end.
        """
        ticket.tell = None
        if ticket.number not in self._tickets:
            return
        deployment = ticket.entry
        assert isinstance(deployment, deployments.Deployment)
        if self._pool.cancel(ticket.number, deployment.key):
            self._let_go(ticket)
            return
        for life in self._lives.values():
            if life.instance is not None and life.deployment is deployment:
                life.instance.cancel(ticket.number)

    def code_in_use(self) -> set[str]:
        """Digests of the code that instances run, or that requests may start next."""
        held = [life.deployment for life in self._lives.values()]
        return {one.function.code_sha256 for one in (*held, *self._deployments.open())}

    def refresh(self, account: str, name: str) -> None:
        """A function was changed or deleted: let instances of what it was go now rather than at the
        next request.
        """
        deployment = self._deployments.find(account, name)
        if deployment is None:
            return
        function = self._lookup(account, name)
        if function is None or not deployments.same_process(deployment.function, function):
            self._retire(deployment)

    def stats(self) -> invocation.Stats:
        counts = self._pool.counts()
        return invocation.Stats(
            instances=len(self._lives),
            starting=counts.starting,
            queued=counts.queued,
            invocations=self._count["invocations"],
            errors=self._count["errors"],
            cold_starts=self._count["cold"],
            throttled=self._count["throttled"],
            start_failures=self._count["failures"],
            under_way=len(self._tickets),
        )

    def instances(self, account: str, name: str) -> list[invocation.InstanceInfo]:
        """The living instances of one function."""
        return [
            invocation.InstanceInfo(
                instance_id=life.instance.id,
                state=life.instance.state,
                running=life.instance.running,
                served=life.instance.served,
                memory_mb=round(life.instance.memory_kib / 1024, 2),
                created_ms=life.created_ms,
            )
            for life in self._lives.values()
            if life.instance is not None
            and (life.deployment.account, life.deployment.function.name) == (account, name)
        ]

    async def close(self, grace_s: float = 5.0) -> None:
        """Refuse new requests, let running ones finish for `grace_s`, run pre-stop hooks, end every
        process.
        """
        self._closing = True
        loop = asyncio.get_running_loop()
        await self._until(lambda: not self._tickets, loop.time() + grace_s)
        for deployment in self._deployments.open():
            self._retire(deployment)
        stop_by_s = loop.time()
        for life in self._lives.values():
            if life.instance is not None:
                hook_s = outcome.pre_stop_s(life.deployment.function)
                stop_by_s = max(stop_by_s, loop.time() + (hook_s or 0))
                life.instance.stop(hook_s)
        await self._until(lambda: not self._lives, stop_by_s + 1.0)
        for life in self._lives.values():
            if life.instance is not None:
                life.instance.kill("stopped")
        await self._until(lambda: not self._lives, None)
        if self._ticker is not None:
            self._ticker.cancel()

    async def _until(self, reached: Callable[[], bool], stop_s: float | None) -> None:
        """Wait for `reached`, looking again after every change, until loop time `stop_s`."""
        loop = asyncio.get_running_loop()
        while not reached():
            self._changed.clear()
            left_s = None if stop_s is None else stop_s - loop.time()
            if left_s is not None and left_s <= 0:
                return
            try:
                async with asyncio.timeout(left_s):
                    await self._changed.wait()
            except TimeoutError:
                return

    # -- deployments ----------------------------------------------------------------------------

    def _admit(self, call: invocation.Call) -> deployments.Deployment:
        if self._closing:
            raise errors.Unavailable("The server is stopping.")
        return self._deployments.admit(call)

    def _let_go(self, ticket: sandboxed.Ticket) -> None:
        del self._tickets[ticket.number]
        self._holdings.give_back(ticket.call)

    def _retire(self, deployment: deployments.Deployment) -> None:
        self._deployments.close(deployment)
        orphans, commands = self._pool.retire(deployment.key)
        self._apply(commands)
        self._ask_again(self._tickets[number] for number in orphans)

    def _ask_again(self, tickets: Iterable[sandboxed.Ticket]) -> None:
        """Requests that never began move to what the function is now, or fail if it is no more."""
        for ticket in tickets:
            try:
                deployment = self._admit(ticket.call)
            except errors.HeadraceError as error:
                self._refuse(ticket, error)
                continue
            ticket.entry = deployment
            self._apply(
                self._pool.request(
                    self._clock.mono_us(), ticket.number, deployment.key, deployment.settings
                )
            )

    # -- the pool's commands --------------------------------------------------------------------

    def _apply(self, commands: Sequence[pool.Command]) -> None:
        for command in commands:
            if isinstance(command, pool.Dispatch):
                self._dispatch(command)
            elif isinstance(command, pool.Start):
                self._start(command)
            elif isinstance(command, pool.Stop):
                self._stop(command.instance)
            else:
                assert isinstance(command, pool.Reject), "Fail follows a failed start only"
                self._count["throttled"] += 1
                error = errors.Throttled(
                    f"The function is throttled: {command.reason}.", code="ResourceThrottled"
                )
                self._refuse(self._tickets[command.request], error)
        if self._ticker is None or (self._pool.waiting and not self._ticks_fast):
            self._arm_ticker()

    def _dispatch(self, command: pool.Dispatch) -> None:
        ticket = self._tickets[command.request]
        process = self._lives[command.instance].instance
        assert process is not None, "the pool sends to started instances only"
        deployment = ticket.entry
        assert isinstance(deployment, deployments.Deployment)
        deadline_ms = self._clock.wall_ms() + deployment.function.timeout_s * 1000
        process.send(ticket, b"%d\0%b" % (deadline_ms, ticket.words), ahead=command.ahead)

    def _start(self, command: pool.Start) -> None:
        assert isinstance(command.group, int)
        life = deployments.Life(self._deployments.keyed(command.group), self._clock.wall_ms())
        self._lives[command.instance] = life
        self._packages.hold(life.deployment.function.code_sha256)
        task = asyncio.get_running_loop().create_task(self._begin(command.instance, life))
        self._starts.add(task)
        task.add_done_callback(self._starts.discard)

    async def _begin(self, number: int, life: deployments.Life) -> None:
        """Fetch the code and spawn; from then on the instance reports for itself."""
        try:
            code = await self._code(life.deployment.function.code_sha256)
            if life.unwanted:
                self._drop(number)
                self._changed.set()
                return
            process = self._spawn(number, life, code)
        except Exception as error:
            # Whatever it was: who waits for this start must be told, or waits for ever.
            self._drop(number)
            self._start_failed(number, outcome.not_started(error), None)
            return
        life.instance = process

    async def _code(self, digest: str) -> Path:
        found = self._packages.cached(digest)
        if found is None:
            blob = await self._blob_path(digest)
            found = await asyncio.to_thread(self._packages.path, digest, blob)
        return found

    def _drop(self, number: int) -> deployments.Life:
        life = self._lives.pop(number)
        self._packages.release(life.deployment.function.code_sha256)
        return life

    def _spawn(self, number: int, life: deployments.Life, code: Path) -> sandboxed.Instance:
        function = life.deployment.function
        identity = launcher.Identity(
            account=life.deployment.account,
            region=self._region,
            instance_id=f"c-{life.created_ms // 1000:08x}-{self._random.getrandbits(80):020x}",
            token=f"{self._random.getrandbits(128):032x}",
        )
        frame = self._launcher.start_frame(function, identity, code)
        process = self._launcher.spawn(function, identity, code)
        hook_s = function.initializer.timeout_s if function.initializer else 0
        return sandboxed.Instance(
            number,
            identity,
            process,
            self,
            timeout_s=function.timeout_s,
            load_timeout_s=self._load_timeout_s + hook_s,
            concurrency=function.instance_concurrency,
            start_frame=frame,
        )

    def _stop(self, number: int) -> None:
        life = self._lives[number]
        if life.instance is None:
            life.unwanted = True
        else:
            life.instance.stop(outcome.pre_stop_s(life.deployment.function))

    def _arm_ticker(self) -> None:
        if self._ticker is not None:
            self._ticker.cancel()
            self._ticker = None
        if self._pool.empty:
            return
        self._ticks_fast = self._pool.waiting
        wait_s = TICK_BUSY_S if self._ticks_fast else TICK_IDLE_S
        self._ticker = asyncio.get_running_loop().call_later(wait_s, self._tick)

    def _tick(self) -> None:
        self._ticker = None
        self._ticks_fast = False
        self._apply(self._pool.tick(self._clock.mono_us()))
        if self._ticker is None:
            self._arm_ticker()

    # -- what instances report (instance.Keeper) ------------------------------------------------

    def ready(self, instance: sandboxed.Instance, took_us: int) -> None:
        self._count["cold"] += 1
        self._apply(self._pool.started(self._clock.mono_us(), instance.number))

    def answered(
        self,
        instance: sandboxed.Instance,
        ticket: sandboxed.Ticket,
        status: int,
        took_us: int,
        head: bytes,
        body: bytes,
    ) -> None:
        ticket.cold = instance.served == 1
        ran_us = None if status == frames.CANCELLED else took_us
        self._apply(self._pool.done(self._clock.mono_us(), instance.number, ran_us))
        if status == frames.OK:
            result = outcome.Outcome(body, None, took_us)
        elif status == frames.CANCELLED:
            result = outcome.canceled()
        else:
            result = outcome.failed(head, body, took_us)
        self._finish(ticket, instance, result)

    def overdue(self, instance: sandboxed.Instance, ticket: sandboxed.Ticket) -> None:
        self._pool.drain(instance.number)
        self._finish(ticket, instance, outcome.timed_out(_function_of(ticket).timeout_s))

    def gone(
        self,
        instance: sandboxed.Instance,
        begun: list[sandboxed.Ticket],
        waiting: list[sandboxed.Ticket],
    ) -> None:
        life = self._drop(instance.number)
        if instance.was_ready:
            self._gone_after_ready(instance, life, begun, waiting)
        elif instance.killed != "stopped":
            result = outcome.failed_start(instance, self._load_timeout_s)
            self._start_failed(instance.number, result, instance)
        self._changed.set()

    def _gone_after_ready(
        self,
        instance: sandboxed.Instance,
        life: deployments.Life,
        begun: list[sandboxed.Ticket],
        waiting: list[sandboxed.Ticket],
    ) -> None:
        for ticket in begun:
            timeout_s = _function_of(ticket).timeout_s
            self._finish(ticket, instance, outcome.died(instance, ticket, timeout_s))
        wanted: list[sandboxed.Ticket] = []
        for ticket in waiting:
            if ticket.tell is None:
                self._finish(ticket, instance, outcome.canceled())
            else:
                wanted.append(ticket)
        now_us = self._clock.mono_us()
        if self._pool.knows(instance.number) and not life.deployment.retired:
            again = [ticket.number for ticket in wanted]
            self._apply(self._pool.died(now_us, instance.number, again))
        else:
            self._apply(self._pool.died(now_us, instance.number, ()))
            self._ask_again(wanted)

    def _start_failed(
        self, number: int, result: outcome.Outcome, process: sandboxed.Instance | None
    ) -> None:
        commands = self._pool.failed(self._clock.mono_us(), number)
        output = process.take_carry() if process is not None else None
        for command in commands:
            if isinstance(command, pool.Fail):
                ticket = self._tickets[command.request]
                ticket.output = output
                ticket.cold = True
                self._finish(ticket, process, result)
        self._count["failures"] += 1
        self._apply([command for command in commands if not isinstance(command, pool.Fail)])
        self._changed.set()

    # -- the end of a request -------------------------------------------------------------------

    def _finish(
        self,
        ticket: sandboxed.Ticket,
        process: sandboxed.Instance | None,
        result: outcome.Outcome,
    ) -> None:
        """Write the log and the record of one invocation and answer its caller."""
        self._let_go(ticket)
        deployment = ticket.entry
        assert isinstance(deployment, deployments.Deployment)
        self._count["invocations"] += 1
        if result.error_type is not None:
            self._count["errors"] += 1
        end = outcome.conclude(ticket, process, deployment.function, result)
        self._history.note(
            self._clock.wall_ms(), deployment.stream, ticket.call.request_id, end.log, end.record
        )
        if ticket.tell is not None:
            ticket.tell(end.invocation)
        if self._closing:
            self._changed.set()

    def _refuse(self, ticket: sandboxed.Ticket, error: errors.HeadraceError) -> None:
        self._let_go(ticket)
        if ticket.tell is not None:
            ticket.tell(error)
        if self._closing:
            self._changed.set()


def _resolve(
    done: asyncio.Future[invocation.Invocation],
    result: invocation.Invocation | errors.HeadraceError,
) -> None:
    """Wake the caller of `invoke`, unless it was cancelled in this very turn."""
    if done.done():
        return
    if isinstance(result, errors.HeadraceError):
        done.set_exception(result)
    else:
        done.set_result(result)


def _function_of(ticket: sandboxed.Ticket) -> model.Function:
    assert isinstance(ticket.entry, deployments.Deployment)
    return ticket.entry.function
