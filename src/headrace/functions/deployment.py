"""Deployments: which code and configuration a set of instances was started with, and what lives.

Which one new requests get is decided here; `service` moves requests from one to the next.
"""

from __future__ import annotations

from collections.abc import Callable

from headrace.core import errors
from headrace.functions import frames, instance, invocation, scaling
from headrace.resources import model


class Deployment:
    """A function with the code and configuration its instances were started with."""

    __slots__ = ("account", "function", "key", "retired", "settings", "stream")

    def __init__(self, account: str, function: model.Function, key: int) -> None:
        self.account = account
        self.function = function
        self.key = key
        self.retired = False
        self.stream = f"{account}/function/{function.name}"
        idle_s = function.idle_timeout_s
        self.settings = scaling.Settings(
            concurrency=function.instance_concurrency,
            account=account,
            idle_us=None if idle_s is None or idle_s < 0 else idle_s * scaling.SECOND_US,
        )


class Life:
    """An instance from the pool's Start to its end."""

    __slots__ = ("created_ms", "deployment", "instance", "unwanted")

    def __init__(self, deployment: Deployment, created_ms: int) -> None:
        self.deployment = deployment
        self.created_ms = created_ms
        #: None until the process is spawned.
        self.instance: instance.Instance | None = None
        #: The pool let it go before it was spawned.
        self.unwanted = False


#: The catalog's view of a function, by account and name; no I/O.
Lookup = Callable[[str, str], model.Function | None]


class Deployments:
    """The deployments that take new requests, one of each function."""

    def __init__(self, lookup: Lookup, replaced: Callable[[Deployment], None]) -> None:
        """replaced: called with a deployment once another has taken its place."""
        self._lookup = lookup
        self._replaced = replaced
        self._by_name: dict[tuple[str, str], Deployment] = {}
        self._by_key: dict[int, Deployment] = {}
        self._last_key = 0

    def admit(self, call: invocation.Call) -> Deployment:
        """Return where `call` is to run.

        Raises: errors.PayloadTooLarge, VersionNotFound, FunctionNotFound.
        """
        if len(call.payload) > frames.PAYLOAD_BYTES_MAX:
            raise errors.PayloadTooLarge(
                f"payload size exceeds maximum allowed size ({frames.PAYLOAD_BYTES_MAX} bytes)"
            )
        if call.qualifier not in ("LATEST", ""):
            raise errors.VersionNotFound(
                f"version or alias '{call.qualifier}' does not exist", got=call.qualifier
            )
        function = self._lookup(call.account, call.function)
        if function is None:
            raise errors.FunctionNotFound(f"function '{call.function}' does not exist")
        known = self._by_name.get((call.account, call.function))
        if known is not None and known.function is function:
            return known
        return self._deploy(call.account, function, known)

    def find(self, account: str, name: str) -> Deployment | None:
        return self._by_name.get((account, name))

    def keyed(self, key: int) -> Deployment:
        return self._by_key[key]

    def open(self) -> list[Deployment]:
        return list(self._by_key.values())

    def close(self, deployment: Deployment) -> None:
        """It takes no new requests."""
        deployment.retired = True
        self._by_key.pop(deployment.key, None)
        name = (deployment.account, deployment.function.name)
        if self._by_name.get(name) is deployment:
            del self._by_name[name]

    def _deploy(
        self, account: str, function: model.Function, former: Deployment | None
    ) -> Deployment:
        """The deployment new requests go to; the former one drains when its processes are no longer
        right.
        """
        if former is not None and same_process(former.function, function):
            former.function = function
            return former
        self._last_key += 1
        made = Deployment(account, function, self._last_key)
        self._by_name[account, function.name] = made
        self._by_key[made.key] = made
        if former is not None:
            self._replaced(former)
        return made


def same_process(one: model.Function, other: model.Function) -> bool:
    """True when instances of `one` may serve `other`: description, tags and the like do not matter
    to a process.
    """
    return _process_of(one) == _process_of(other)


def _process_of(function: model.Function) -> tuple[object, ...]:
    return (
        function.function_id,
        function.runtime,
        function.handler,
        function.code_sha256,
        function.memory_mb,
        function.disk_mb,
        function.timeout_s,
        function.instance_concurrency,
        function.idle_timeout_s,
        function.environment,
        function.initializer,
        function.pre_stop,
    )
