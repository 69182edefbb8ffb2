"""What one side sees of the other's edits, and what becomes of a write on a stale revision."""

from __future__ import annotations

from typing import Any

import pytest

from headrace.core import errors
from headrace.resources import inputs, model
from tests.unit.resources import world as worlds

pytestmark = pytest.mark.anyio

ACCOUNT = worlds.ACCOUNT


# -- edits on the bus side


async def put(world: worlds.World, given: inputs.TargetInput) -> None:
    assert await world.catalog.put_targets(ACCOUNT, "default", "f-t", [given]) == []


async def edit_rule(world: worlds.World, **patch: Any) -> None:
    await world.catalog.update_rule(ACCOUNT, "default", "f-t", inputs.RulePatch(**patch))


async def test_a_pattern_set_on_the_bus_side_is_rendered_anew(wired: worlds.World) -> None:
    await edit_rule(wired, pattern='{"type":["b"]}')
    assert wired.config() == {"eventRuleFilterPattern": '{"type":["b"]}'}
    assert wired.view().status == "ENABLE"


async def test_only_keys_that_differ_are_written(wired: worlds.World) -> None:
    await edit_rule(wired, status="DISABLE")
    expected = {"eventRuleFilterPattern": '{"source":["a"]}', "triggerEnable": False}
    assert wired.config() == expected
    assert wired.view().status == "DISABLE"


async def test_an_edit_that_is_undone_brings_the_sent_text_back(wired: worlds.World) -> None:
    """So that Terraform sees no difference."""
    sent = wired.view().config
    await edit_rule(wired, status="DISABLE", pattern="{}")
    assert wired.view().config != sent
    await edit_rule(wired, status="ENABLE", pattern='{"source":["a"]}')
    assert wired.view().config == sent


async def test_the_settings_of_the_target_are_seen_in_the_config(wired: worlds.World) -> None:
    target = wired.stored_rule("f-t").targets[0]
    arn = worlds.dead_letter_arn("d")
    changed = worlds.as_input(
        target,
        retry="EXPONENTIAL_DECAY_RETRY",
        errors="NONE",
        dead_letter={"Arn": arn, "Network": "PublicNetwork"},
        concurrency=7,
    )
    await put(wired, changed)
    assert wired.config() == {
        "eventRuleFilterPattern": '{"source":["a"]}',
        "eventSinkConfig": {"deliveryOption": {"concurrency": 7}},
        "runOptions": {
            "retryStrategy": {"PushRetryStrategy": "EXPONENTIAL_DECAY_RETRY"},
            "errorsTolerance": "NONE",
            "deadLetterQueue": {"Arn": arn, "Network": "PublicNetwork"},
        },
    }
    await worlds.update(wired, config=wired.view().config)
    assert wired.stored_rule("f-t").targets[0].dead_letter == model.DeadLetterQueue(
        arn, {"Network": "PublicNetwork"}
    )
    await put(wired, worlds.as_input(target))
    assert wired.config() == {"eventRuleFilterPattern": '{"source":["a"]}'}


async def test_settings_taken_away_on_the_bus_side_leave_the_config(wired: worlds.World) -> None:
    await worlds.update(wired, config=worlds.FULL_CONFIG)
    target = wired.stored_rule("f-t").targets[0]
    await put(wired, worlds.as_input(target, retry=None, dead_letter=None, errors=None))
    options = wired.config()["runOptions"]
    assert "deadLetterQueue" not in options
    assert "errorsTolerance" not in options
    assert options["retryStrategy"] == {"MaximumRetryAttempts": 3}
    assert options["maximumTasks"] == 3


@pytest.mark.parametrize(
    ("key", "form", "value", "path", "said"),
    [
        ("InvocationType", "CONSTANT", "Async", "asyncInvocationType", True),
        ("body", "JSONPATH", "$.data", "eventSinkConfig.deliveryOption.eventSchema", "RawData"),
    ],
)
async def test_parameters_with_a_word_for_them_are_seen(
    wired: worlds.World, key: str, form: str, value: str, path: str, said: object
) -> None:
    target = wired.stored_rule("f-t").targets[0]
    await put(wired, worlds.with_param(target, key, form, value))
    here: Any = wired.config()
    for step in path.split("."):
        here = here[step]
    assert here == said
    assert wired.view().status == "ENABLE"


@pytest.mark.parametrize(
    ("form", "value"),
    [("JSONPATH", "$.data.order"), ("CONSTANT", "x"), ("TEMPLATE", '{"a":"$.data.a"}')],
)
async def test_a_body_without_a_word_keeps_the_last_config_and_marks_the_trigger(
    wired: worlds.World, form: str, value: str
) -> None:
    before = wired.view()
    await edit_rule(wired, pattern='{"type":["b"]}')
    target = wired.stored_rule("f-t").targets[0]
    await put(wired, worlds.with_param(target, "Body", form, value))
    await edit_rule(wired, pattern='{"type":["c"]}')
    view = wired.view()
    assert view.status == "ModifiedByEventBridge"
    assert (view.name, view.id, view.type) == (before.name, before.id, before.type)
    assert wired.config() == {
        "eventRuleFilterPattern": '{"type":["b"]}',
        "x-headrace-pattern": '{"type":["c"]}',
    }
    await put(wired, worlds.as_input(target))
    assert wired.view().status == "ENABLE"
    assert wired.config() == {"eventRuleFilterPattern": '{"type":["c"]}'}


async def test_a_config_read_while_modified_can_be_sent_back(wired: worlds.World) -> None:
    """The key that is ours, for reading only, is not kept."""
    target = wired.stored_rule("f-t").targets[0]
    await put(wired, worlds.with_param(target, "Body", "CONSTANT", "x"))
    await worlds.update(wired, config=wired.view().config)
    assert wired.config() == {"eventRuleFilterPattern": '{"source":["a"]}'}
    assert wired.view().status == "ENABLE"
    assert worlds.param(wired.stored_rule("f-t").targets[0], "Body") == ("ORIGINAL", None)


async def test_a_description_alone_does_not_undo_what_the_bus_side_did(
    wired: worlds.World,
) -> None:
    target = wired.stored_rule("f-t").targets[0]
    await put(wired, worlds.with_param(target, "Body", "CONSTANT", "x"))
    await worlds.update(wired, description="new")
    assert wired.view().status == "ModifiedByEventBridge"
    assert worlds.param(wired.stored_rule("f-t").targets[0], "Body") == ("CONSTANT", "x")


async def test_a_pattern_edit_never_changes_the_payload(wired: worlds.World) -> None:
    await worlds.update(wired, config=worlds.FULL_CONFIG)
    before = wired.stored_rule("f-t").targets
    await edit_rule(wired, pattern='{"type":["b"]}')
    assert wired.stored_rule("f-t").targets == before


async def test_other_targets_leave_the_trigger_as_it_is(wired: worlds.World) -> None:
    before = wired.view()
    added = [worlds.web(), worlds.calls("f", "again"), worlds.calls("g", "other")]
    await wired.catalog.put_targets(ACCOUNT, "default", "f-t", added)
    after = wired.view()
    assert (after.config, after.status) == (before.config, before.status)
    assert wired.trigger_names("f") == ["default|f-t|again", "t"]
    assert wired.trigger_names("g") == ["default|f-t|other"]


# -- stale writes


async def test_a_stale_trigger_update_names_the_bus_sides_change(wired: worlds.World) -> None:
    seen = wired.view().revision
    wired.clock.now_ms = 1_700_000_100_000
    await edit_rule(wired, pattern="{}", status="DISABLE")
    with pytest.raises(errors.EditConflict) as refused:
        await wired.catalog.update_trigger(
            ACCOUNT, "f", "t", inputs.TriggerPatch(description="x"), revision=seen
        )
    told = "pattern, status on the bus side at 2023-11-14T22:15:00Z"
    assert told in refused.value.message
    assert wired.stored_rule("f-t").description == ""


async def test_a_stale_rule_update_names_the_function_sides_change(wired: worlds.World) -> None:
    _, seen = wired.catalog.get_rule(ACCOUNT, "default", "f-t")
    await worlds.update(wired, config=worlds.FULL_CONFIG)
    with pytest.raises(errors.EditConflict, match=r"status, target .* on the function side"):
        await wired.catalog.update_rule(
            ACCOUNT, "default", "f-t", inputs.RulePatch(pattern="{}"), revision=seen
        )
    with pytest.raises(errors.EditConflict):
        await wired.catalog.delete_rule(ACCOUNT, "default", "f-t", revision=seen)
    with pytest.raises(errors.EditConflict):
        await wired.catalog.delete_trigger(ACCOUNT, "f", "t", revision=seen)


async def test_an_edit_with_the_revision_that_was_read_goes_through(wired: worlds.World) -> None:
    view = await wired.catalog.update_trigger(
        ACCOUNT, "f", "t", inputs.TriggerPatch(description="x"), revision=wired.view().revision
    )
    assert view.revision == wired.view().revision
    await wired.catalog.delete_trigger(ACCOUNT, "f", "t", revision=view.revision)


async def test_a_change_of_the_trigger_alone_is_named_so(wired: worlds.World) -> None:
    seen = wired.view().revision
    await worlds.update(wired, invocation_role="role")
    with pytest.raises(errors.EditConflict, match="trigger on the function side"):
        await wired.catalog.delete_rule(ACCOUNT, "default", "f-t", revision=seen)
