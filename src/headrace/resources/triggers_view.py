"""The trigger as a view: pure functions from a rule to the triggers it is seen as, and from edits
to the rule.

A trigger is never stored. What only the function side knows of it is the rule's `origin`;
everything else is read from the rule and its target, so the two sides cannot disagree.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Final

import msgspec

from headrace.core import names
from headrace.resources import deletes, editing, inputs, model, targets, trigger_words
from headrace.resources import trigger_config as config

TYPE: Final = "eventbridge"
MODIFIED: Final = "ModifiedByEventBridge"
#: Between bus, rule and target in the name of a trigger that the bus side made.
SEPARATOR: Final = "|"


def origin_of(rule: model.Rule) -> deletes.Origin:
    return "rule" if rule.origin is None else "trigger"


def own_target(rule: model.Rule) -> model.Target | None:
    """Return the target that is the trigger, if it still points at the function."""
    origin = rule.origin
    if origin is None:
        return None
    target = next((each for each in rule.targets if each.id == origin.target_id), None)
    if target is None or targets.function_of(target) != origin.function:
        return None
    return target


def rule_name(function: str, trigger: str) -> str:
    """Return the name of the rule that a trigger makes on the bus `default`."""
    return f"{function}-{trigger}"


def remote_name(rule: model.Rule, target: model.Target) -> str:
    return SEPARATOR.join((rule.bus, rule.name, target.id))


# -- from the rule to its views


def views(
    stored: editing.Stored[model.Rule], function: str, region: str
) -> Iterator[inputs.Trigger]:
    """Yield the triggers of `function` that the rule is seen as: its own, then one per other
    target.
    """
    rule = stored.record
    own = own_target(rule)
    for target in rule.targets:
        if targets.function_of(target) == function:
            yield _view(stored, target, region, is_own=target is own)


def view_of(stored: editing.Stored[model.Rule], target_id: str, region: str) -> inputs.Trigger:
    """Return the view of one function target."""
    rule = stored.record
    target = next(each for each in rule.targets if each.id == target_id)
    return _view(stored, target, region, is_own=target is own_target(rule))


def _view(
    stored: editing.Stored[model.Rule], target: model.Target, region: str, *, is_own: bool
) -> inputs.Trigger:
    rule, account = stored.record, stored.account
    origin = rule.origin if is_own else None
    qualifier = targets.qualifier_of(target)
    function = targets.function_of(target)
    assert function is not None, "only function targets are triggers"
    return inputs.Trigger(
        name=origin.trigger if origin else remote_name(rule, target),
        id=origin.trigger_id if origin else _remote_id(account, rule, target),
        type=origin.type if origin else TYPE,
        config=_config(rule, origin) if origin else trigger_words.rendered(rule, target),
        description=rule.description,
        source_arn=names.rule_arn(region, account, rule.bus, rule.name),
        invocation_role=origin.invocation_role if origin else "",
        qualifier=qualifier,
        target_arn=names.function_arn(region, account, function, qualifier),
        status=MODIFIED if origin and origin.modified_by_bus else rule.status,
        created_ms=rule.created_ms,
        modified_ms=rule.modified_ms,
        origin="trigger" if origin else "rule",
        bus=rule.bus,
        rule=rule.name,
        target_id=target.id,
        revision=stored.revision,
    )


def _config(rule: model.Rule, origin: model.TriggerOrigin) -> str:
    text = origin.rendered or origin.config
    return trigger_words.with_pattern_key(text, rule.pattern) if origin.modified_by_bus else text


def _remote_id(account: str, rule: model.Rule, target: model.Target) -> str:
    """Return a UUID (version 8) that stays for the life of the target."""
    life = f"{account}/{rule.bus}/{rule.name}/{target.id}/{target.subscription}"
    text = hashlib.sha256(life.encode()).hexdigest()
    return f"{text[:8]}-{text[8:12]}-8{text[13:16]}-8{text[17:20]}-{text[20:32]}"


# -- from edits to the rule


def reconciled(rule: model.Rule) -> model.Rule:
    """Return `rule` with the trigger's own words in step with what the rule now says.

    The text as sent comes back by itself when an edit is undone. Where the trigger's type has no
    words for the rule, the last text that had them is kept and the trigger is marked.
    """
    origin = rule.origin
    if origin is None:
        return rule
    target = own_target(rule)
    situation = deletes.ELSEWHERE if target is None else deletes.STILL
    effect = deletes.effect("put_targets", "trigger", situation)
    if target is None:
        assert effect is deletes.Effect.TRIGGER_GONE_RULE_ORDINARY, effect
        return msgspec.structs.replace(rule, origin=None)

    assert effect is deletes.Effect.EDITED, effect
    return msgspec.structs.replace(rule, origin=_in_words(origin, rule, target))


def _in_words(
    origin: model.TriggerOrigin, rule: model.Rule, target: model.Target
) -> model.TriggerOrigin:
    now = trigger_words.say(rule, target)
    if now is None:
        return msgspec.structs.replace(origin, modified_by_bus=True)
    sent = config.parse(origin.config).said
    rendered = "" if sent == now else trigger_words.patched(origin.config, sent, now)
    return msgspec.structs.replace(origin, rendered=rendered, modified_by_bus=False)


def without_target(
    operation: deletes.Operation, rule: model.Rule, target_id: str
) -> model.Rule | None:
    """Return what is left of `rule` when `operation` takes the target away; None = nothing."""
    effect = deletes.effect(operation, *_situation(operation, rule, target_id))
    if effect is deletes.Effect.RECORD_GONE:
        return None
    return _detached(rule, target_id, effect)


def detached(operation: deletes.Operation, rule: model.Rule, target_id: str) -> model.Rule:
    """Return `rule` without the target, for an operation that never takes the whole rule."""
    effect = deletes.effect(operation, *_situation(operation, rule, target_id))
    return _detached(rule, target_id, effect)


def _detached(rule: model.Rule, target_id: str, effect: deletes.Effect) -> model.Rule:
    left = tuple(target for target in rule.targets if target.id != target_id)
    if effect is deletes.Effect.TARGET_GONE_RULE_ORDINARY:
        return msgspec.structs.replace(rule, targets=left, origin=None)
    assert effect is deletes.Effect.TARGET_GONE, effect
    return msgspec.structs.replace(rule, targets=left)


def _situation(
    operation: deletes.Operation, rule: model.Rule, target_id: str
) -> tuple[deletes.Origin, str]:
    """Return the row: on the function side, a target that the bus side added is not the trigger."""
    is_own = rule.origin is not None and rule.origin.target_id == target_id
    if operation == "delete_trigger":
        if rule.origin is not None and not is_own:
            return "rule", deletes.ADDED
        return origin_of(rule), deletes.ALONE if len(rule.targets) == 1 else deletes.SHARED

    if rule.origin is None:
        return "rule", deletes.FUNCTION
    return "trigger", deletes.OWN if is_own else deletes.OTHER
