"""Functions: ranges, defaults, partial updates, and the honesty of every field."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from headrace.core import errors
from headrace.resources import fields, inputs
from tests.unit.resources import world as worlds

pytestmark = pytest.mark.anyio

ACCOUNT = worlds.ACCOUNT

#: Keys of CreateFunctionInput in alibabacloud_fc20230330 4.8.3.
CREATE_FUNCTION_INPUT = [
    "code", "cpu", "customContainerConfig", "customDNS", "customRuntimeConfig", "description",
    "disableInjectCredentials", "disableOndemand", "diskSize", "enableLongLiving",
    "environmentVariables", "functionName", "gpuConfig", "handler", "idleTimeout",
    "instanceConcurrency", "instanceIsolationMode", "instanceLifecycleConfig", "internetAccess",
    "juiceFsConfig", "layers", "logConfig", "memorySize", "microSandboxConfig", "nasConfig",
    "ossMountConfig", "polarFsConfig", "resourceGroupId", "role", "runtime", "sessionAffinity",
    "sessionAffinityConfig", "tags", "timeout", "tracingConfig", "vpcConfig",
]  # fmt: skip

#: The empty forms of fc3 (FC_RESOURCES_EMPTY_CONFIG).
EMPTY_FORMS: dict[str, Any] = {
    "vpcConfig": {"securityGroupId": "", "vSwitchIds": [], "vpcId": ""},
    "tracingConfig": {},
    "ossMountConfig": {"mountPoints": []},
    "nasConfig": {"groupId": 0, "userId": 0, "mountPoints": []},
    "logConfig": {
        "project": "",
        "logstore": "",
        "logBeginRule": "None",
        "enableRequestMetrics": False,
        "enableInstanceMetrics": False,
    },
    "layers": [],
    "customDNS": {"dnsOptions": []},
    "role": "",
}


def test_the_fate_of_every_field_is_decided() -> None:
    assert set(fields.FUNCTION_FIELDS) == set(CREATE_FUNCTION_INPUT)
    assert all(rule.reason for rule in fields.FUNCTION_FIELDS.values() if rule.fate != "honoured")
    honoured = {name for name, rule in fields.FUNCTION_FIELDS.items() if rule.fate == "honoured"}
    assert honoured == fields.TYPED


async def test_a_new_function_has_the_defaults_of_the_cloud(world: worlds.World) -> None:
    made = await world.catalog.create_function(ACCOUNT, worlds.function())
    assert world.catalog.get_function(ACCOUNT, "f") == made
    assert (made.memory_mb, made.disk_mb, made.timeout_s) == (512, 512, 3)
    assert (made.instance_concurrency, made.idle_timeout_s) == (1, None)
    assert (made.code_sha256, made.code_checksum, made.code_bytes) == ("ab" * 32, "123", 9)
    assert uuid.UUID(made.function_id).version == 4
    assert made.async_subscription > 0


async def test_what_is_honoured_comes_back(world: worlds.World) -> None:
    given = worlds.function(
        description="d",
        memory_mb=1024,
        disk_mb=10240,
        timeout_s=60,
        instance_concurrency=20,
        idle_timeout_s=120,
        environment={"KEY": "value"},
        initializer=inputs.HookInput("index.init", 30),
        pre_stop=inputs.HookInput("index.stop"),
        tags={"a": "b"},
    )
    made = await world.catalog.create_function(ACCOUNT, given)
    assert (made.memory_mb, made.disk_mb, made.timeout_s) == (1024, 10240, 60)
    assert (made.instance_concurrency, made.idle_timeout_s) == (20, 120)
    assert (made.environment, made.tags) == ({"KEY": "value"}, {"a": "b"})
    assert made.initializer is not None
    assert (made.initializer.handler, made.initializer.timeout_s) == ("index.init", 30)
    assert made.pre_stop is not None
    assert made.pre_stop.timeout_s == 3


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"name": "1f"}, "functionName"),
        ({"name": "f.g"}, "functionName"),
        ({"name": ""}, "functionName"),
        ({"runtime": ""}, "runtime"),
        ({"runtime": "cobol"}, "runtime"),
        ({"handler": ""}, "handler"),
        ({"handler": "index"}, "handler"),
        ({"handler": "a/../b.c"}, "handler"),
        ({"handler": "a\0b.c"}, "handler"),
        ({"code": None}, "code"),
        ({"memory_mb": 63}, "memorySize"),
        ({"memory_mb": 100}, "memorySize"),
        ({"memory_mb": 32832}, "memorySize"),
        ({"disk_mb": 600}, "diskSize"),
        ({"timeout_s": 0}, "timeout"),
        ({"timeout_s": 86401}, "timeout"),
        ({"instance_concurrency": 201}, "instanceConcurrency"),
        ({"idle_timeout_s": -2}, "idleTimeout"),
        ({"environment": {"1A": "x"}}, "environmentVariables.1A"),
        ({"environment": {"A-B": "x"}}, "environmentVariables.A-B"),
        ({"environment": {"FC_REGION": "x"}}, "environmentVariables.FC_REGION"),
        ({"environment": {"topic": "x"}}, "environmentVariables.topic"),
        ({"environment": {"A": "x\0"}}, "environmentVariables.A"),
        ({"environment": {"A": "x" * 4096}}, "environmentVariables"),
        ({"initializer": inputs.HookInput("x.y", 301)}, "instanceLifecycleConfig.initializer"),
        ({"pre_stop": inputs.HookInput("x.y", 91)}, "instanceLifecycleConfig.preStop"),
        ({"pre_stop": inputs.HookInput("xy")}, "instanceLifecycleConfig.preStop.handler"),
        ({"other": {"nonsense": 1}}, "nonsense"),
        ({"other": {"runtime": "python3"}}, "runtime"),
    ],
)
async def test_a_wrong_field_is_named(
    world: worlds.World, more: dict[str, Any], field: str
) -> None:
    with pytest.raises(errors.InvalidInput) as refused:
        await world.catalog.create_function(ACCOUNT, worlds.function(**more))
    assert str(refused.value.field).startswith(field)
    assert world.catalog.list_functions(ACCOUNT).total == 0


@pytest.mark.parametrize("runtime", ["nodejs20", "go1", "custom", "custom-container"])
async def test_a_runtime_that_is_not_built_is_refused_by_name(
    world: worlds.World, runtime: str
) -> None:
    with pytest.raises(errors.Unsupported, match=rf"\[{runtime}\]") as refused:
        await world.catalog.create_function(ACCOUNT, worlds.function(runtime=runtime))
    assert refused.value.field == "runtime"


REFUSED = sorted(name for name, rule in fields.FUNCTION_FIELDS.items() if rule.fate == "refused")
ECHOED = sorted(name for name, rule in fields.FUNCTION_FIELDS.items() if rule.fate == "echoed")


@pytest.mark.parametrize("field", REFUSED)
async def test_a_refused_field_is_refused_with_its_reason(world: worlds.World, field: str) -> None:
    said = {"disableOndemand": True, "enableLongLiving": True}.get(field, {"a": ["b"]})
    with pytest.raises(errors.Unsupported) as refused:
        await world.catalog.create_function(ACCOUNT, worlds.function(other={field: said}))
    assert refused.value.field == field
    assert fields.FUNCTION_FIELDS[field].reason in refused.value.message


@pytest.mark.parametrize("field", REFUSED)
async def test_a_refused_field_may_say_what_is_so_anyway(world: worlds.World, field: str) -> None:
    rule = fields.FUNCTION_FIELDS[field]
    for said in (*rule.neutral, None, EMPTY_FORMS.get(field, {})):
        await world.catalog.create_function(ACCOUNT, worlds.function(other={field: said}))
        await world.catalog.delete_function(ACCOUNT, "f")


@pytest.mark.parametrize("field", ECHOED)
async def test_an_echoed_field_is_kept_until_an_empty_form_clears_it(
    world: worlds.World, field: str
) -> None:
    made = await world.catalog.create_function(ACCOUNT, worlds.function(other={field: {"a": "b"}}))
    assert made.echoed == {field: {"a": "b"}}
    kept = await world.catalog.update_function(
        ACCOUNT, "f", inputs.FunctionPatch(description="other")
    )
    assert kept.echoed == {field: {"a": "b"}}
    empty = EMPTY_FORMS.get(field, "")
    cleared = await world.catalog.update_function(
        ACCOUNT, "f", inputs.FunctionPatch(other={field: empty})
    )
    assert cleared.echoed == {}


def test_false_is_not_an_empty_form_of_a_switch() -> None:
    assert not fields.is_unset(False)
    assert not fields.is_unset(0)


async def test_a_hook_by_command_is_refused(world: worlds.World) -> None:
    hook = inputs.HookInput(command=["/bin/true"])
    with pytest.raises(errors.Unsupported) as refused:
        await world.catalog.create_function(ACCOUNT, worlds.function(initializer=hook))
    assert refused.value.field == "instanceLifecycleConfig.initializer.command"


async def test_an_update_keeps_what_it_does_not_say(world: worlds.World) -> None:
    given = worlds.function(
        environment={"A": "1"}, initializer=inputs.HookInput("index.init"), idle_timeout_s=60
    )
    before = await world.catalog.create_function(ACCOUNT, given)
    after = await world.catalog.update_function(ACCOUNT, "f", inputs.FunctionPatch(timeout_s=9))
    assert after.timeout_s == 9
    for name in before.__struct_fields__:
        if name not in ("timeout_s", "edits", "modified_ms"):
            assert getattr(after, name) == getattr(before, name)


async def test_an_update_clears_by_empty_forms(world: worlds.World) -> None:
    given = worlds.function(
        environment={"A": "1"}, initializer=inputs.HookInput("index.init"), idle_timeout_s=60
    )
    await world.catalog.create_function(ACCOUNT, given)
    patch = inputs.FunctionPatch(environment={}, initializer=inputs.HookInput(), idle_timeout_s=-1)
    after = await world.catalog.update_function(ACCOUNT, "f", patch)
    assert (after.environment, after.initializer, after.idle_timeout_s) == ({}, None, None)


async def test_a_function_is_made_once_and_found_in_its_account(world: worlds.World) -> None:
    await world.with_function("f", "g")
    with pytest.raises(errors.FunctionExists):
        await world.with_function("f")
    listed = world.catalog.list_functions(ACCOUNT)
    assert [function.name for function in listed.items] == ["f", "g"]
    assert world.catalog.list_functions(ACCOUNT, prefix="g").total == 1
    assert world.catalog.list_functions(ACCOUNT, runtime="python3").total == 0
    for name in ("missing", "a/b", ""):
        with pytest.raises(errors.FunctionNotFound):
            world.catalog.get_function(ACCOUNT, name)
    with pytest.raises(errors.FunctionNotFound):
        world.catalog.get_function("another", "f")


async def test_a_function_made_again_has_a_new_life(world: worlds.World) -> None:
    first = await world.catalog.create_function(ACCOUNT, worlds.function())
    await world.catalog.delete_function(ACCOUNT, "f")
    second = await world.catalog.create_function(ACCOUNT, worlds.function())
    assert first.function_id != second.function_id
    assert first.async_subscription != second.async_subscription


async def test_a_stale_update_of_a_function_is_refused(world: worlds.World) -> None:
    await world.with_function("f")
    seen = world.catalog.function_revision(ACCOUNT, "f")
    await world.catalog.update_function(ACCOUNT, "f", inputs.FunctionPatch(timeout_s=9))
    with pytest.raises(errors.EditConflict, match="timeout_s on the function side"):
        await world.catalog.update_function(
            ACCOUNT, "f", inputs.FunctionPatch(timeout_s=10), revision=seen
        )
