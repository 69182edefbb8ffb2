"""One simulated day: the real bus between simulated producers, receivers, functions and disk.

Owns the driving: it lets time pass up to the next action of the plan, carries the action out, ends
a life and begins the next, and at the end heals everything and counts. Everything it draws comes
from the seed.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Any

from headrace.bus import engine as engines
from headrace.bus import lane, retention
from headrace.core import calling, delivery, errors
from headrace.resources import editing, inputs, model, settings, targets
from headrace.store.settings import JournalSettings
from headrace.targets import asynchronous, function, queue
from headrace.testing import disk as disks
from headrace.testing import shard
from tests.simulation import (
    chronicle,
    clients,
    executor,
    history,
    network,
    plan,
    rulebook,
    watch,
)

#: After the day everything works; all that is open must close within this time.
HEAL_S = 3 * 3600.0
#: A full look at everything, at least this often.
LOOK_S = 7_200.0
PATIENCE_S = 10.0
DAY_MS = 86_400_000


class World:
    """One seed. `live` runs it."""

    def __init__(
        self,
        seed: int,
        *,
        engine: type[engines.Engine] = engines.Engine,
        journal: type[disks.SimulatedJournal] = disks.SimulatedJournal,
    ) -> None:
        self.seed = seed
        self.plan = plan.draw(seed)
        self.chance = random.Random(f"world {seed}")
        self.disk = network.Disk(random.Random(f"disk {seed}"))
        keep = retention.Keep(
            self.chance.choice((DAY_MS, DAY_MS, DAY_MS // 6)),
            self.chance.choice((1 << 33, 1 << 33, 1 << 33, 1 << 33, 200_000)),
        )
        self.shard = shard.Shard(
            engines.Wiring(
                sender_of=self._sender, call_sender=self._call_sender, broken=self._broken
            ),
            seed=seed, disk=self.disk, keep=keep, engine=engine, journal=journal,
            settings=JournalSettings(
                roll_events=self.chance.choice((131_072, 20)),
                roll_ms=self.chance.choice((3_600_000, 600_000)),
            ),
            watcher=self._durable,
        )  # fmt: skip
        self.history = history.History(self.now_s)
        self.rulebook = rulebook.Rulebook(self.shard.table)
        self.chronicle = chronicle.Chronicle(self)
        self.watch = watch.Watch(self)
        self.clients = clients.Clients(self, self.chance)
        self.healed = False
        self.answered_generation = 0
        self.runs = self.crashes = self.steps = 0
        self._receivers: dict[tuple[str, str], network.Receiver] = {}
        self._room_until_s = self._slow_until_s = self._bad_until_s = 0.0
        self._rules_made = len(self.plan.rules)

    def now_s(self) -> float:
        return self.shard.loop.time()

    # -- the day ------------------------------------------------------------------

    def live(self) -> None:
        """Run the day; stop at the first break."""
        listener = Listener(self)
        logger = logging.getLogger("headrace")
        propagates, logger.propagate = logger.propagate, False
        logger.addHandler(listener)
        try:
            self._begin()
            self._set_up()
            start_s = self.now_s()
            for action in self.plan.actions:
                self._until(start_s + action.at_s)
                if self.history.broken is not None:
                    return
                self._act(action)
            self._until(start_s + network.DAY_S)
            self._end()
        finally:
            logger.removeHandler(listener)
            logger.propagate = propagates
            self.shard.close()

    def _begin(self) -> None:
        """A new life."""
        self.watch.new_life()
        self.shard.loop.set_exception_handler(self._unheard)
        # Before the bus, which goes on with what is open as soon as it begins.
        self.functions = executor.SimulatedFunctions(self)
        self.shard.start()
        self.shard.catalog.on_change(self._changed)
        self.answered_generation = (
            self.shard.table.sets[-1].revision if self.shard.table.sets else 0
        )
        self.history.note("life", self.shard.lives, self.shard.log.last)
        self.look()

    def _set_up(self) -> None:
        catalog, run = self.shard.catalog, self.shard.loop.run
        for name in plan.QUEUES:
            run(catalog.create_queue(shard.ACCOUNT, name))
        for name in plan.FUNCTIONS:
            run(catalog.create_function(shard.ACCOUNT, _function(name)))
        for given in self.plan.rules:
            run(catalog.create_rule(shard.ACCOUNT, "default", given))
        self.answered_generation = self.shard.table.sets[-1].revision

    def _until(self, at_s: float) -> None:
        """Let time pass, and die and rise on the way if the disk says so."""
        while self.now_s() < at_s and self.history.broken is None:
            events = [at_s, self.now_s() + LOOK_S]
            if self._until_s():
                events.append(self._until_s())
            to_s = max(self.now_s(), min(events))
            wants_kill = self.disk.kill_at
            self.shard.loop.run_for(to_s - self.now_s())
            if wants_kill and not self.disk.kill_at:
                self._crash("in a write")
            self._weather()
            if self.now_s() >= to_s and to_s < at_s:
                self.look()

    def _until_s(self) -> float:
        ends = [at for at in (self._room_until_s, self._slow_until_s, self._bad_until_s) if at]
        return min(ends, default=0.0)

    def _weather(self) -> None:
        """What was bad for a while is over."""
        now_s = self.now_s()
        if self._room_until_s and now_s >= self._room_until_s:
            self._room_until_s, self.shard.log.room_bytes = 0.0, None
        if self._slow_until_s and now_s >= self._slow_until_s:
            self._slow_until_s, self.disk.slow = 0.0, False
        if self._bad_until_s and now_s >= self._bad_until_s:
            self._bad_until_s, self.disk.bad_reads = 0.0, False

    def _act(self, action: plan.Action) -> None:
        self.history.note("action", action.what, round(action.number, 4))
        getattr(self, f"do_{action.what}")(action.number)

    def _end(self) -> None:
        """Heal everything; what is open closes; then look, crash and look again."""
        self.healed = self.disk.healed = True
        self.disk.kill_at = 0
        self.shard.log.room_bytes = None
        self.disk.slow = self.disk.bad_reads = False
        self._room_until_s = self._slow_until_s = self._bad_until_s = 0.0
        for receiver in self._receivers.values():
            receiver.heal()
        self.history.note("heal")
        self._until(self.now_s() + HEAL_S)
        self._check_quiet()
        self._crash("at the end")
        self._until(self.now_s() + 5.0)
        self._check_quiet()
        self._restart()
        self._check_quiet()
        self.clients.check_refused()

    def _check_quiet(self) -> None:
        """Nothing is open but what waits for people; nothing was left behind on the way."""
        self.look()
        check, engine = self.history.check, self.shard.engine
        for number in engine.router.subscriptions:
            still = sorted(self.chronicle.tally(number).open)
            label = self.watch.terms[number].label
            check(not still, "everything is delivered in the end", label, still[:5])
        for (position, number), life in self.chronicle.lives.items():
            if life.closed is None and number in self.watch.terms:
                check(self.is_live(number), "nothing stays open for nobody", position, number)
        committer = engine.committer
        left = (committer.waiting, committer._bytes, len(committer._settling))
        check(left == (0, 0, 0), "the committer is empty when it is quiet", *left)
        check(engine.dispatcher.loaded_bytes == 0, "nothing is loaded when it is quiet",
              engine.dispatcher.loaded_bytes)  # fmt: skip

    # -- looking ------------------------------------------------------------------

    def look(self) -> None:
        """Books, ledger, windows and queues at this moment."""
        check, engine = self.history.check, self.shard.engine
        books = engine.books()
        if not books.balanced:
            rows = [row for row in (*books.subscriptions, *books.rules) if row.balance]
            check(False, "the books balance", *rows)
        if self.chronicle.last == int(engine.ledger.last):  # else a frame is on its way back
            self.chronicle.compare(engine.ledger)
        self.watch.check_unsettled(PATIENCE_S)
        loaded = 0
        for number, taker in engine.dispatcher.lanes.items():
            held = len(taker._ready)
            loaded += taker._ready_bytes
            # Fresh ones and retries are read side by side.
            step = max(lane.LOAD_RECORDS_MAX, lane.LOAD_RECORDS_FIRST)
            bound = lane.WINDOW_RECORDS_MAX + 2 * step
            check(held <= bound, "a window keeps its bound", number, held, bound)
        check(loaded == engine.dispatcher.loaded_bytes, "loaded bytes are counted", loaded)

    def is_live(self, number: int) -> bool:
        return number in self.shard.engine.router.subscriptions

    def bus_number(self, bus: str) -> int:
        return self.shard.table.names[f"{shard.ACCOUNT}/bus/{bus}"]

    # -- wiring -------------------------------------------------------------------

    def _durable(self, frame: Any, last: Any) -> None:
        words = (len(frame.events), len(frame.settlements))
        self.history.note("frame", last, *words)
        self.chronicle.durable(frame, last)

    def _sender(self, _account: str, rule: model.Rule, target: model.Target) -> delivery.Sender:
        self.watch.configure(target.subscription, watch.terms_of(rule, target))
        return watch.observed(self._plain_sender(rule, target), self.watch, target.subscription)

    def _plain_sender(self, rule: model.Rule, target: model.Target) -> delivery.Sender:
        if target.type == settings.QUEUE_TARGET:
            return queue.QueueSender(targets.queue_of(target) or "", encoded=False)
        if target.type == settings.FUNCTION_TARGET:
            return function.FunctionSender(
                targets.function_of(target) or "", "LATEST", self.shard.clock,
                asynchronous=targets.is_async(target), begin=self._call,
            )  # fmt: skip
        at = (rule.name, target.id)
        if at not in self._receivers:
            chance = random.Random(f"receiver {self.seed} {at} {len(self._receivers)}")
            self._receivers[at] = network.Receiver(chance, self.shard.clock)
        return network.ReceiverSender(self._receivers[at])

    def _call_sender(self, _account: str, called: model.Function) -> delivery.Sender:
        number = called.async_subscription
        self.watch.configure(number, watch.call_terms(called))
        sender = asynchronous.CallSender(called.name, self.shard.clock, begin=self._call)
        return watch.observed(sender, self.watch, number)

    def _call(self, call: calling.Call, told: calling.Told) -> calling.Abandon:
        functions = self.functions
        return functools.partial(functions.abandon, functions.submit(call, told))

    def function(self, account: str, name: str) -> model.Function | None:
        try:
            return self.shard.catalog.get_function(account, name)
        except errors.FunctionNotFound:
            return None

    def _changed(self, changes: Any) -> None:
        for change in changes:
            if isinstance(change.after or change.before, model.Function):
                self.functions.refresh(change.account, (change.after or change.before).name)

    def _unheard(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if loop is self.shard.loop:
            words = (context.get("message"), repr(context.get("exception")))
            self.history.check(False, "no error goes unheard", *words)

    def _broken(self, fault: BaseException) -> None:
        self.history.check(False, "the journal is never given up", repr(fault))

    # -- the end of a life --------------------------------------------------------

    def _crash(self, when: str) -> None:
        self.crashes += 1
        self.history.note("crash", when)
        self.disk.kill_at = 0
        self.shard.crash(self.chance.choice((0.0, 0.5, 30.0)))
        self._begin()

    def _restart(self) -> None:
        """End in order, as the process does on SIGTERM, and begin again; or be killed meanwhile."""
        self.history.note("stop")
        wants_kill = self.disk.kill_at
        closing = self.shard.loop.create_task(self._close())
        closing.add_done_callback(lambda _: self.shard.loop.stop())
        self.shard.loop.run_forever()
        if wants_kill and not self.disk.kill_at:
            self._crash("while it stopped")
            return
        closing.result()
        self.shard.leave()
        self._begin()

    async def _close(self) -> None:
        await self.shard.engine.close(5.0)
        await self.functions.close()
        self.chronicle.compare(self.shard.engine.ledger)

    # -- actions ------------------------------------------------------------------

    def _task(self, call: Callable[..., Awaitable[Any]], *given: Any, **named: Any) -> None:
        self.shard.loop.create_task(self._edit(call, given, named))

    async def _edit(
        self, call: Callable[..., Awaitable[Any]], given: Any, named: dict[str, Any]
    ) -> None:
        """A call of the control plane: an error is an answer, too."""
        try:
            await call(*given, **named)
        except (errors.HeadraceError, disks.ReadFailed) as refusal:
            self.history.note("answered", type(refusal).__name__)
            return
        sets = self.shard.table.sets
        self.history.note("answered", "ok", len(sets))

    def _rule(self, number: float) -> model.Rule | None:
        rules = [one.record for one in self.shard.catalog.walk(editing.RULE)]
        return rules[int(number * len(rules))] if rules else None

    def _patch(self, number: float, patch: inputs.RulePatch) -> None:
        if rule := self._rule(number):
            self._task(self._patched, rule.name, patch)

    async def _patched(self, name: str, patch: inputs.RulePatch) -> None:
        await self.shard.catalog.update_rule(shard.ACCOUNT, "default", name, patch)
        _, revision = self.shard.catalog.get_rule(shard.ACCOUNT, "default", name)
        self.answered_generation = max(self.answered_generation, revision)

    def do_publish(self, count: float) -> None:
        self.shard.loop.create_task(self.clients.publish(int(count)))

    def do_edit_rule(self, number: float) -> None:
        self._patch(number, inputs.RulePatch(pattern=self.chance.choice(list(rulebook.PATTERNS))))

    def do_disable(self, number: float) -> None:
        self._patch(number, inputs.RulePatch(status="DISABLE"))

    def do_enable(self, number: float) -> None:
        self._patch(number, inputs.RulePatch(status="ENABLE"))

    def do_drop_target(self, number: float) -> None:
        if (rule := self._rule(number)) and len(rule.targets) > 1:
            ids = [self.chance.choice(rule.targets).id]
            self._task(self.shard.catalog.delete_targets, shard.ACCOUNT, "default", rule.name, ids)

    def do_put_target(self, number: float) -> None:
        if rule := self._rule(number):
            made = plan.target(self.chance, f"t{self.chance.randrange(3)}")
            total = sum(len(one.record.targets) for one in self.shard.catalog.walk(editing.RULE))
            known = {target.id: target for target in rule.targets}
            if made.id in known and known[made.id].type != made.type:
                return
            if made.id in known or total < plan.SUBSCRIPTIONS_MAX - len(plan.FUNCTIONS):
                self._task(
                    self.shard.catalog.put_targets, shard.ACCOUNT, "default", rule.name, [made]
                )

    def do_delete_rule(self, number: float) -> None:
        if rule := self._rule(number):
            self._task(self.shard.catalog.delete_rule, shard.ACCOUNT, "default", rule.name)

    def do_add_rule(self, number: float) -> None:
        total = sum(len(one.record.targets) for one in self.shard.catalog.walk(editing.RULE))
        if total < plan.SUBSCRIPTIONS_MAX - len(plan.FUNCTIONS):
            # Sometimes under a name that was there before: a new life of it.
            name = f"r{self.chance.randrange(self._rules_made + 3)}"
            made = plan.rule(self.chance, name, 1)
            self._task(self.shard.catalog.create_rule, shard.ACCOUNT, "default", made)

    def do_touch_function(self, number: float) -> None:
        name = plan.FUNCTIONS[int(number * len(plan.FUNCTIONS))]
        patch = inputs.FunctionPatch(memory_mb=self.chance.choice((256, 512, 1024)))
        self._task(self.shard.catalog.update_function, shard.ACCOUNT, name, patch)

    def do_call(self, number: float) -> None:
        name = plan.FUNCTIONS[int(number * len(plan.FUNCTIONS))]
        called = self.shard.catalog.get_function(shard.ACCOUNT, name)
        request_id = f"call-{self.chance.getrandbits(64):x}"
        self._task(
            self.shard.engine.enqueue_call, shard.ACCOUNT, called, b"{}", request_id=request_id
        )

    def do_purge(self, number: float) -> None:
        name = plan.QUEUES[int(number * len(plan.QUEUES))]
        self._task(self.shard.engine.queues.purge, shard.ACCOUNT, name)

    def do_resend(self, number: float) -> None:
        self._task(self._resend, 1 + int(number * 3))

    async def _resend(self, count: int) -> None:
        letters = self.shard.engine.dead_letters
        found = await letters.list(shard.ACCOUNT, limit=count)
        if found:
            await letters.resend(shard.ACCOUNT, [one.id for one in found])

    def do_replay(self, number: float) -> None:
        known = list(self.chronicle.events)
        if known:
            event_id = known[int(number * len(known))]
            self._task(self.shard.engine.replay, shard.ACCOUNT, "default", event_id)

    def do_slow_disk(self, number: float) -> None:
        self.disk.slow = True
        self._slow_until_s = self.now_s() + 60 + number * 1_800

    def do_no_room(self, number: float) -> None:
        self.shard.log.room_bytes = 0
        self._room_until_s = self.now_s() + 10 + number * 1_800

    def do_bad_reads(self, number: float) -> None:
        self.disk.bad_reads = True
        self._bad_until_s = self.now_s() + 10 + number * 600

    def do_step_clock(self, number: float) -> None:
        step_ms = self.chance.choice((1_000, -1_000, 3_600_000, -3_600_000, 365 * DAY_MS, -86_000))
        self.shard.clock.step(step_ms)
        self.steps += 1

    def do_crash(self, number: float) -> None:
        self._crash("by plan")

    def do_crash_in_write(self, number: float) -> None:
        self.disk.kill_at = 1 + int(number * 8)

    def do_restart(self, number: float) -> None:
        self._restart()

    def do_look(self, number: float) -> None:
        self.look()


class Listener(logging.Handler):
    """What the product logs as an error is a break, unless we caused it."""

    def __init__(self, world: World) -> None:
        super().__init__(logging.ERROR)
        self._world = world

    def emit(self, record: logging.LogRecord) -> None:
        fault = record.exc_info[1] if record.exc_info else None
        if isinstance(fault, disks.ReadFailed | network.SenderBug):
            return
        self._world.history.check(False, "no error is logged", record.getMessage(), repr(fault))


def _function(name: str) -> inputs.FunctionInput:
    code = inputs.Code("0" * 64, "0", 1)
    return inputs.FunctionInput(name, "python3.10", "index.handler", code, timeout_s=10)
