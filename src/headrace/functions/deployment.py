"""Deployments: which code and configuration a set of instances was started with, and what lives.

Data and comparison only; `service` moves requests from one deployment to the next.
"""

from __future__ import annotations

from pathlib import Path

from headrace.functions import instance, scaling
from headrace.resources import model


class Deployment:
    """A function with the code and configuration its instances were started with."""

    __slots__ = ("account", "code", "function", "key", "retired", "settings", "stream")

    def __init__(self, account: str, function: model.Function, key: int) -> None:
        self.account = account
        self.function = function
        self.key = key
        self.retired = False
        self.stream = f"{account}/function/{function.name}"
        idle_s = function.idle_timeout_s
        self.settings = scaling.Settings(
            concurrency=function.instance_concurrency,
            idle_us=None if idle_s is None or idle_s < 0 else idle_s * scaling.SECOND_US,
        )
        #: Where the code is unpacked; None until the first start.
        self.code: Path | None = None


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
