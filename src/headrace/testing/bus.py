"""A bus for tests: rules with Python callables as targets, virtual time, and what became of all.

Owns the synchronous face over one shard in memory; matching, transforms, retries, dead letters and
books are those of the server. Must never be used beside a running event loop: it has its own.
"""

from __future__ import annotations

import asyncio
import datetime
import json
import re
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Literal

import msgspec

from headrace.bus import engine as engines
from headrace.bus import letters, retention
from headrace.core import delivery, errors, event, limits
from headrace.resources import inputs, model
from headrace.store import ports
from headrace.testing import answers, shard

#: What passes when something is done, so that whatever takes no time has happened.
MOMENT_S = 0.001
#: A test wants to see all that happened, however far it advanced.
KEEP_MS = 100 * 365 * 86_400_000
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_TIME = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhd])")

#: pending: waits, or is being attempted, or waits for its next attempt.
State = Literal["pending", "delivered", "dead", "dropped"]
_STATES: Mapping[ports.Verdict, State] = {
    ports.Verdict.DELIVERED: "delivered",
    ports.Verdict.DEAD: "dead",
    ports.Verdict.DROPPED: "dropped",
}


class Attempt(msgspec.Struct, frozen=True):
    """One try at a delivery, as the journal has it."""

    #: 1 is the first.
    number: int
    #: Seconds since the bus began, when its outcome was written.
    at_s: float
    #: Status the receiver answered, 0 when it did not answer.
    status: int
    #: What went wrong; empty when it was delivered.
    error: str
    #: Seconds until the next one; None when there is none.
    wait_s: float | None


class Delivery(msgspec.Struct, frozen=True):
    """One event for one target."""

    event_id: str
    rule: str
    target: str
    state: State
    attempts: tuple[Attempt, ...]

    @property
    def retries(self) -> int:
        """Attempts after the first."""
        return max(0, len(self.attempts) - 1)


class DeadLetter(msgspec.Struct, frozen=True):
    """An event that could not be delivered, with the reason."""

    id: str
    event: dict[str, Any]
    rule: str
    target: str
    error: str
    attempts: int


class Bus:
    """A bus in memory on virtual time. Use it with `with`, or as the fixture `bus`."""

    def __init__(self, *, seed: int = 0) -> None:
        """seed: of the chance in retry waits and ids; the same seed gives the same run."""
        wiring = engines.Wiring(
            sender_of=self._sender, call_sender=self._call_sender, broken=self._broken
        )
        self._shard = shard.Shard(wiring, seed=seed, keep=retention.Keep(KEEP_MS))
        self._receivers: dict[tuple[str, str, str], answers.Receiver] = {}
        self._places: dict[int, tuple[str, str]] = {}
        self._numbers = 0
        _refuse_a_running_loop()
        self._shard.start()
        self._start_s = self._shard.loop.time()

    def __enter__(self) -> Bus:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End; the books must balance, as they must at every moment."""
        books = self._shard.engine.books()
        self._shard.stop(grace_s=0)
        self._shard.close()
        assert books.balanced, f"deliveries appeared or vanished: {books}"

    # -- rules --------------------------------------------------------------------

    def rule(
        self,
        name: str,
        pattern: Mapping[str, Any] | str | None = None,
        *receivers: answers.Receiver,
        retry: Literal["BACKOFF_RETRY", "EXPONENTIAL_DECAY_RETRY"] = "BACKOFF_RETRY",
        errors_tolerance: Literal["ALL", "NONE"] = "ALL",
        concurrency: int | None = None,
        params: Sequence[inputs.ParamInput] = (),
        bus: str = "default",
        **named: answers.Receiver,
    ) -> None:
        """Create a rule that delivers to callables.

        pattern: as in the API, a mapping or JSON text; None matches every event. receivers: targets
        "1", "2" ...; named ones have their names. params: a ParamList, the same for all targets.
        Raises: errors.PatternInvalid, errors.RuleExists and what else the API would answer.
        """
        text = pattern if isinstance(pattern, str) else json.dumps(pattern or {})
        targets = {str(number): one for number, one in enumerate(receivers, 1)} | named
        assert targets, "a rule of a test wants something to deliver to"
        given = [
            inputs.TargetInput(
                id, "http", f"http://{id}.{name}.test/".lower(), params=params, retry=retry,
                errors=errors_tolerance, concurrency=concurrency,
            )
            for id in targets
        ]  # fmt: skip
        for id, receiver in targets.items():
            self._receivers[bus, name, id] = receiver
        made = inputs.RuleInput(name, text, targets=given)
        self._shard.run(self._shard.catalog.create_rule(shard.ACCOUNT, bus, made))

    def update(
        self, name: str, pattern: Mapping[str, Any] | str | None = None, *,
        enabled: bool | None = None, bus: str = "default",
    ) -> None:  # fmt: skip
        """Change a rule's pattern, or switch it on or off; None keeps."""
        text = json.dumps(pattern) if isinstance(pattern, Mapping) else pattern
        status = None if enabled is None else "ENABLE" if enabled else "DISABLE"
        patch = inputs.RulePatch(pattern=text, status=status)
        self._shard.run(self._shard.catalog.update_rule(shard.ACCOUNT, bus, name, patch))

    def delete(self, name: str, *, bus: str = "default") -> None:
        """Delete a rule; its open deliveries are dropped."""
        self._shard.run(self._shard.catalog.delete_rule(shard.ACCOUNT, bus, name))
        self._shard.loop.run_for(MOMENT_S)

    def create_bus(self, name: str) -> None:
        """Make another event bus beside `default`."""
        self._shard.run(self._shard.catalog.create_bus(shard.ACCOUNT, name))

    # -- events and time ----------------------------------------------------------

    def publish(self, given: Mapping[str, Any] | None = None, *, bus: str = "default") -> str:
        """Publish one event and return its id; what takes no time has happened then.

        given: CloudEvents attributes and `data`; what is required and missing is filled in.
        Raises: errors.EventRefused, errors.BusNotFound.
        """
        self._numbers += 1
        filled = {"id": f"event-{self._numbers}", "source": "test", "type": "test"} | dict(
            given or {}
        )
        entry = event.build(filled, limits.WIDE)
        answer = self._shard.run(
            self._shard.engine.publish(shard.ACCOUNT, [entry], bus=bus, addr="127.0.0.1")
        )[0]
        if isinstance(answer, errors.EventRefused):
            raise answer
        self._shard.loop.run_for(MOMENT_S)
        return answer.event_id

    def advance(self, time: str | float | datetime.timedelta) -> None:
        """Let time pass: "3h", "1h30m", "250ms", seconds, or a timedelta."""
        self._shard.loop.run_for(seconds(time))

    @property
    def now_s(self) -> float:
        """Seconds since the bus began."""
        return round(self._shard.loop.time() - self._start_s, 6)

    def crash(self) -> None:
        """Kill the bus where it stands and start it again on what was durable."""
        self._shard.crash()
        self._shard.start()
        self._shard.loop.run_for(MOMENT_S)

    # -- what became of it --------------------------------------------------------

    def deliveries(
        self, event_id: str | None = None, *, rule: str | None = None, target: str | None = None
    ) -> list[Delivery]:
        """Every delivery that fits, in the order of the events."""
        found = [
            self._delivery(position, record, number)
            for position, record in sorted(self._shard.log.events.items())
            for number in record.matches
            if number in self._places
        ]
        wanted = {"event_id": event_id, "rule": rule, "target": target}
        return [
            one
            for one in found
            if all(value in (None, getattr(one, name)) for name, value in wanted.items())
        ]

    def delivery(
        self, event_id: str | None = None, *, rule: str | None = None, target: str | None = None
    ) -> Delivery:
        """The one delivery that fits; fails when there is none, or more than one."""
        found = self.deliveries(event_id, rule=rule, target=target)
        assert len(found) == 1, f"{len(found)} deliveries fit: {found}"
        return found[0]

    def dead_letters(self, *, rule: str | None = None) -> list[DeadLetter]:
        """What could not be delivered, oldest first."""
        listed = self._shard.run(
            self._shard.engine.dead_letters.list(shard.ACCOUNT, rule=rule, limit=1000)
        )
        return [
            DeadLetter(
                one.id, msgspec.json.decode(one.event), one.rule.rsplit("/", 1)[-1], one.target,
                one.error, one.attempts,
            )
            for one in reversed(listed)
        ]  # fmt: skip

    def resend(self, letter: DeadLetter) -> None:
        """Deliver a dead letter again to the target it failed on."""
        self._shard.run(self._shard.engine.dead_letters.resend(shard.ACCOUNT, [letter.id]))
        self._shard.loop.run_for(MOMENT_S)

    def why(self, event_id: str, rule: str, *, bus: str = "default") -> str:
        """Return in one sentence why `rule` took an event or did not."""
        _, verdicts = self._shard.run(self._shard.engine.why(shard.ACCOUNT, bus, event_id, rule))
        return " ".join(verdict.because for verdict in verdicts)

    # -- inside -------------------------------------------------------------------

    def _delivery(self, position: int, record: ports.Record, number: int) -> Delivery:
        rule, target = self._places[number]
        state: State = "pending"
        attempts: list[Attempt] = []
        for one in self._shard.log.attempts.get(position, ()):
            fact = one.settlement
            if fact.subscription != number:
                continue
            state = _STATES.get(fact.verdict, state)
            if fact.verdict is not ports.Verdict.DROPPED:
                attempts.append(self._attempt(one.at_ms, fact))
        return Delivery(letters.head(record.body).id, rule, target, state, tuple(attempts))

    def _attempt(self, at_ms: int, fact: ports.Settlement) -> Attempt:
        is_retry = fact.verdict in (ports.Verdict.RETRY, ports.Verdict.PARKED)
        began_ms = self._shard.clock.WALL_START_MS + int(self._start_s * 1000)
        return Attempt(
            fact.attempt, (at_ms - began_ms) / 1000, fact.code,
            letters.read_detail(fact.detail).text, fact.wait_ms / 1000 if is_retry else None,
        )  # fmt: skip

    def _sender(self, _account: str, rule: model.Rule, target: model.Target) -> delivery.Sender:
        self._places[target.subscription] = (rule.name, target.id)
        receiver = self._receivers[rule.bus, rule.name, target.id]
        return answers.ReceiverSender(receiver, self._shard.clock)

    def _call_sender(self, _account: str, called: model.Function) -> delivery.Sender:
        raise AssertionError(f"nobody made the function {called.name}")

    def _broken(self, fault: BaseException) -> None:
        raise AssertionError("the journal in memory failed") from fault


def seconds(time: str | float | datetime.timedelta) -> float:
    """Read a span of time. Raises: ValueError."""
    if isinstance(time, datetime.timedelta):
        return time.total_seconds()
    if isinstance(time, int | float):
        return float(time)
    parts = _TIME.findall(time)
    if not parts or "".join(number + unit for number, unit in parts) != time:
        raise ValueError(f'{time!r} is no span of time; try "3h", "1h30m", "250ms"')
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def _refuse_a_running_loop() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise RuntimeError(
        "headrace.testing has an event loop of its own: use it from a plain test function; its"
        " targets may be async"
    )
