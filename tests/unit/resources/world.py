"""What the catalog's tests share: a catalog over the memory engine, still time, seeded chance,
short inputs.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from typing import Any

import msgspec

from headrace.core import limits
from headrace.resources import catalog as catalogs
from headrace.resources import editing, inputs, model, targets
from headrace.store.memory import registry as memory

ACCOUNT = "1234567890"
REGION = "cn-hangzhou"


class StillClock:
    """Moves only when told to."""

    def __init__(self) -> None:
        self.now_ms = 1_700_000_000_000

    def wall_ms(self) -> int:
        return self.now_ms

    def mono_us(self) -> int:
        return self.now_ms * 1000


class World:
    """One catalog and what it told its listeners."""

    def __init__(
        self, *, table: memory.MemoryTable | None = None, bounds: limits.Limits = limits.WIDE
    ) -> None:
        self.clock = StillClock()
        self.table = table if table is not None else memory.MemoryTable()
        self.registry = memory.MemoryRegistry(self.clock, table=self.table)
        self.catalog = catalogs.Catalog(
            self.registry, self.clock, random.Random(7), region=REGION, bounds=bounds
        )
        self.heard: list[editing.Changed] = []
        self.catalog.on_change(self.heard.extend)

    async def opened(self) -> World:
        await self.registry.open()
        return self

    async def with_function(self, *names: str) -> World:
        for name in names:
            await self.catalog.create_function(ACCOUNT, function(name))
        return self

    async def rule(
        self, name: str = "r", *, bus: str = "default", targets: Sequence[inputs.TargetInput] = ()
    ) -> model.Rule:
        given = inputs.RuleInput(name=name, pattern='{"source":["a"]}', targets=targets)
        return await self.catalog.create_rule(ACCOUNT, bus, given)

    async def trigger(
        self, name: str = "t", *, of: str = "f", config: str | None = None, **more: Any
    ) -> inputs.Trigger:
        given = inputs.TriggerInput(
            name=name,
            type="eventbridge",
            config=trigger_config() if config is None else config,
            **more,
        )
        return await self.catalog.create_trigger(ACCOUNT, of, given)

    def stored_rule(self, name: str, bus: str = "default") -> model.Rule:
        return self.catalog.get_rule(ACCOUNT, bus, name)[0]

    def view(self, name: str = "t", *, of: str = "f") -> inputs.Trigger:
        return self.catalog.get_trigger(ACCOUNT, of, name)

    def config(self, name: str = "t", *, of: str = "f") -> dict[str, Any]:
        return json.loads(self.view(name, of=of).config)

    def trigger_names(self, of: str = "f", **more: Any) -> list[str]:
        return [each.name for each in self.catalog.list_triggers(ACCOUNT, of, **more).items]


def function(name: str = "f", **more: Any) -> inputs.FunctionInput:
    given = inputs.FunctionInput(
        name=name,
        runtime="python3.10",
        handler="index.handler",
        code=inputs.Code(sha256="ab" * 32, checksum="123", size=9),
    )
    return msgspec.structs.replace(given, **more)


def trigger_config(**more: Any) -> str:
    return json.dumps({"eventRuleFilterPattern": '{"source":["a"]}', **more}, indent=1)


def calls(function_name: str, id_: str = "1", **more: Any) -> inputs.TargetInput:
    """A function target as the bus side makes it."""
    params = more.pop("params", (inputs.ParamInput("Body", "ORIGINAL"),))
    return inputs.TargetInput(
        id=id_,
        type="acs.fc.function",
        endpoint=f"acs:fc:{REGION}:{ACCOUNT}:services/s.LATEST/functions/{function_name}",
        params=params,
        **more,
    )


def web(id_: str = "w", url: str = "http://receiver.example/in", **more: Any) -> inputs.TargetInput:
    return inputs.TargetInput(id=id_, type="http", endpoint=url, **more)


def feeds(queue: str, id_: str = "q", **more: Any) -> inputs.TargetInput:
    endpoint = f"acs:mns:{REGION}:{ACCOUNT}:queues/{queue}"
    return inputs.TargetInput(id=id_, type="acs.mns.queue", endpoint=endpoint, **more)


def dead_letter_arn(queue: str) -> str:
    return f"acs:mns:{REGION}:{ACCOUNT}:/queues/{queue}"


def as_input(target: model.Target, **more: Any) -> inputs.TargetInput:
    """A stored target as a client sends it back, with changes."""
    dead = target.dead_letter
    given = inputs.TargetInput(
        id=target.id,
        type=target.type,
        endpoint=target.endpoint,
        params=[
            inputs.ParamInput(each.key, each.form, each.value, each.template)
            for each in target.params
        ],
        retry=target.retry,
        errors=target.errors,
        dead_letter={"Arn": dead.arn, **dead.echoed} if dead else None,
        concurrency=target.concurrency,
    )
    return msgspec.structs.replace(given, **more)


def with_param(target: model.Target, key: str, form: str, value: Any = None) -> inputs.TargetInput:
    """A stored target sent back with one entry of its ParamList replaced."""
    kept = [
        inputs.ParamInput(each.key, each.form, each.value, each.template)
        for each in target.params
        if each.key.lower() != key.lower()
    ]
    return as_input(target, params=[*kept, inputs.ParamInput(key, form, value, value and "${a}")])


def param(target: model.Target, key: str) -> tuple[str, str | None]:
    found = targets.param(target, key)
    assert found is not None
    return found.form, found.value


async def update(world: World, name: str = "t", **patch: Any) -> inputs.Trigger:
    return await world.catalog.update_trigger(ACCOUNT, "f", name, inputs.TriggerPatch(**patch))


#: A triggerConfig that says everything it can.
FULL_CONFIG = trigger_config(
    triggerEnable=False,
    asyncInvocationType=True,
    eventSourceConfig={"eventSourceType": "Default", "eventSourceParameters": {}},
    eventSinkConfig={
        "deliveryOption": {"mode": "event-driven", "eventSchema": "RawData", "concurrency": "2"}
    },
    runOptions={
        "mode": "event-driven",
        "errorsTolerance": "ALL",
        "retryStrategy": {
            "PushRetryStrategy": "EXPONENTIAL_DECAY_RETRY",
            "MaximumRetryAttempts": 3,
        },
        "deadLetterQueue": {"Arn": dead_letter_arn("d")},
        "batchWindow": {"CountBasedWindow": 2},
        "maximumTasks": 3,
    },
)
