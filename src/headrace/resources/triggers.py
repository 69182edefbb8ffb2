"""Triggers: the function side of the one record. Creating, changing and deleting one writes a rule.

Source of names and shapes: EventBridge and Function Compute on triggers of type `eventbridge`; the
view itself is `triggers_view`, the config text `trigger_config`, what deleting does `deletes`.
"""

from __future__ import annotations

from typing import Final

import msgspec

from headrace.core import errors, limits, names
from headrace.resources import (
    base,
    editing,
    functions,
    inputs,
    model,
    rule_targets,
    target_rules,
    targets,
    trigger_words,
    triggers_view,
)
from headrace.resources import trigger_config as config

_DOOR: Final[inputs.Door] = "function side"
_TYPES_ELSEWHERE: Final = (
    "oss", "log", "http", "timer", "tablestore", "cdn_events", "mns_topic",
)  # fmt: skip
_CONFIG_TARGET: Final = "triggerConfig.runOptions"


class Triggers(rule_targets.RuleTargets, functions.Functions):
    """Operations on triggers."""

    async def create_trigger(
        self, account: str, function: str, given: inputs.TriggerInput
    ) -> inputs.Trigger:
        """Create a trigger of type `eventbridge`, source type Default: rule `{function}-{trigger}`
        on `default`.

        Raises: InvalidInput naming the key, PatternInvalid, Unsupported, FunctionNotFound,
        TriggerExists, RuleExists when the bus side has a rule of that name.
        """
        parsed = self._checked_trigger(account, function, given)
        rule = triggers_view.rule_name(function, given.name)
        key = editing.RULE.key(account, model.DEFAULT_BUS, rule)
        trigger_id = self._uuid()

        async def write(draft: editing.Draft) -> editing.Stored[model.Rule]:
            self._hold_function(draft, account, function)
            self._check_new_trigger(account, function, given.name, key)
            origin = model.TriggerOrigin(
                function=function,
                trigger=given.name,
                trigger_id=trigger_id,
                target_id=trigger_id,
                type=given.type,
                config=parsed.text,
                invocation_role=given.invocation_role,
            )
            target = self._own_target(account, origin, parsed.said, given.qualifier or "LATEST")
            self._hold_queues(draft, account, target, _CONFIG_TARGET)
            number = await self._subscription(account, model.DEFAULT_BUS, rule, target.id)
            now = self._editor.now_ms()
            record = model.Rule(
                name=rule,
                bus=model.DEFAULT_BUS,
                pattern=parsed.said.pattern,
                description=given.description,
                status="ENABLE" if parsed.said.enabled else "DISABLE",
                targets=(msgspec.structs.replace(target, subscription=number),),
                created_ms=now,
                modified_ms=now,
                number=await self._rule_number(account, model.DEFAULT_BUS, rule),
                origin=origin,
                edits=editing.edits_with(None, _DOOR, ("created",), now),
            )
            draft.put(editing.RULE, key, record, None)
            return editing.Stored(key, editing.UNCOMMITTED, record)

        stored = await self._editor.run(write)
        return self._view_after(stored, trigger_id)

    async def update_trigger(
        self,
        account: str,
        function: str,
        name: str,
        patch: inputs.TriggerPatch,
        *,
        revision: int | None = None,
    ) -> inputs.Trigger:
        """Change what is given. A config given for a bus-made rule changes only what it holds.

        Raises: TriggerNotFound, InvalidInput naming the key, PatternInvalid, Unsupported,
        EditConflict.
        """
        self._check_description(patch.description or "", "description")
        parsed = None if patch.config is None else self._parsed(patch.config)
        if patch.qualifier:
            target_rules.check_qualifier(patch.qualifier, "qualifier")

        async def write(draft: editing.Draft) -> tuple[editing.Stored[model.Rule], str]:
            was, target = self._found(account, function, name)
            after = self._patched(was, target, patch, parsed)
            changed = next(each for each in after.targets if each.id == target.id)
            self._hold_queues(draft, account, changed, _CONFIG_TARGET)
            rule = self._put_rule(draft, was, after, _DOOR, revision)
            return editing.Stored(was.key, editing.UNCOMMITTED, rule), target.id

        stored, target_id = await self._editor.run(write)
        return self._view_after(stored, target_id)

    def get_trigger(self, account: str, function: str, name: str) -> inputs.Trigger:
        """Return a trigger by its name, or by `{bus}|{rule}|{target}` for one the bus side made.

        Raises: FunctionNotFound, TriggerNotFound.
        """
        stored, target = self._found(account, function, name)
        return triggers_view.view_of(stored, target.id, self._settings.region)

    def list_triggers(
        self,
        account: str,
        function: str,
        *,
        prefix: str = "",
        include_remote: bool = True,
        limit: int = 100,
        token: str | None = None,
    ) -> inputs.Listing[inputs.Trigger]:
        """Return the triggers of a function ascending by name, with those that the bus side made.

        Raises: FunctionNotFound, LimitInvalid, NextTokenInvalid.
        """
        self.get_function(account, function)
        rows = (
            (view.name, view)
            for stored in self._editor.scan(editing.RULE, editing.RULE.prefix(account))
            for view in triggers_view.views(stored, function, self._settings.region)
            if view.name.startswith(prefix) and (include_remote or view.origin == "trigger")
        )
        return base.page_of(rows, limit=limit, token=token)

    async def delete_trigger(
        self, account: str, function: str, name: str, *, revision: int | None = None
    ) -> inputs.Trigger:
        """Delete a trigger and return it; what becomes of its rule says `deletes.DELETE_TABLE`.

        Raises: FunctionNotFound, TriggerNotFound, EditConflict.
        """

        async def write(draft: editing.Draft) -> inputs.Trigger:
            was, target = self._found(account, function, name)
            view = triggers_view.view_of(was, target.id, self._settings.region)
            left = triggers_view.without_target("delete_trigger", was.record, target.id)
            if left is None:
                editing.check_revision(was, revision, f"The trigger [{name}]")
                draft.delete(editing.RULE, was)
            else:
                self._put_rule(draft, was, left, _DOOR, revision)
            return view

        return await self._editor.run(write)

    # -- parts

    def _checked_trigger(
        self, account: str, function: str, given: inputs.TriggerInput
    ) -> config.Parsed:
        self.get_function(account, function)
        _check_name(function, given.name)
        _check_type(given.type)
        self._check_description(given.description, "description")
        target_rules.check_qualifier(given.qualifier or "LATEST", "qualifier")
        own = names.rule_arn(
            self._settings.region,
            account,
            model.DEFAULT_BUS,
            triggers_view.rule_name(function, given.name),
        )
        if given.source_arn not in ("", own):
            raise errors.InvalidInput(
                f"sourceArn of an eventbridge trigger is its rule, [{own}]; leave it out.",
                field="sourceArn",
                expected=own,
                got=given.source_arn,
            )
        return self._parsed(given.config)

    def _parsed(self, text: str) -> config.Parsed:
        parsed = config.parse(text)
        try:
            self._check_pattern(parsed.said.pattern)
        except errors.PatternInvalid as invalid:
            at = f"triggerConfig.eventRuleFilterPattern{'.' if invalid.field else ''}"
            raise errors.PatternInvalid(
                invalid.message,
                field=f"{at}{invalid.field or ''}",
                expected=invalid.expected,
                got=invalid.got,
            ) from invalid
        return parsed

    def _check_new_trigger(self, account: str, function: str, name: str, key: str) -> None:
        existing = self._editor.read(editing.RULE, key)
        origin = existing.record.origin if existing else None
        if origin is not None and (origin.function, origin.trigger) == (function, name):
            raise errors.TriggerExists(
                f"The trigger [{name}] of the function [{function}] already exists.",
                field="triggerName",
                got=name,
            )
        self._check_new_rule(
            account, model.DEFAULT_BUS, triggers_view.rule_name(function, name), key
        )
        most = self._settings.triggers_per_function_max
        if most is None:
            return
        count = self.list_triggers(account, function, include_remote=False, limit=1).total
        if count >= most:
            raise errors.Refused(
                f"A function may have {most} eventbridge triggers (strict_limits).",
                code="LimitExceededError",
                expected=most,
                got=count + 1,
            )

    def _own_target(
        self, account: str, origin: model.TriggerOrigin, said: config.Said, qualifier: str
    ) -> model.Target:
        return trigger_words.target_for(
            said,
            id_=origin.target_id,
            function=origin.function,
            arn=names.function_arn(self._settings.region, account, origin.function),
            qualifier=qualifier,
            subscription=0,
        )

    def _found(
        self, account: str, function: str, name: str
    ) -> tuple[editing.Stored[model.Rule], model.Target]:
        """Return the rule and target that `name` is a view of. Raises: FunctionNotFound,
        TriggerNotFound.
        """
        self.get_function(account, function)
        bus, rule, target_id = _parts(function, name)
        if editing.is_key_part(bus) and editing.is_key_part(rule):
            stored = self._editor.read(editing.RULE, editing.RULE.key(account, bus, rule))
            target = _target(stored.record, function, name, target_id) if stored else None
            if stored is not None and target is not None:
                return stored, target
        raise errors.TriggerNotFound(
            f"The trigger [{name}] of the function [{function}] does not exist.",
            field="triggerName",
            got=name,
        )

    def _patched(
        self,
        was: editing.Stored[model.Rule],
        target: model.Target,
        patch: inputs.TriggerPatch,
        parsed: config.Parsed | None,
    ) -> model.Rule:
        rule = was.record
        origin = rule.origin if target is triggers_view.own_target(rule) else None
        if patch.invocation_role and origin is None:
            raise errors.InvalidInput(
                "invocationRole cannot be kept on a rule that the bus side made.",
                field="invocationRole",
                got=patch.invocation_role,
            )
        if patch.description is not None:
            rule = msgspec.structs.replace(rule, description=patch.description)
        if origin is None:
            return _patched_remote(rule, target, patch, parsed)
        return self._patched_own(was.account, rule, (origin, target), patch, parsed)

    def _patched_own(
        self,
        account: str,
        rule: model.Rule,
        own: tuple[model.TriggerOrigin, model.Target],
        patch: inputs.TriggerPatch,
        parsed: config.Parsed | None,
    ) -> model.Rule:
        origin, target = own
        qualifier = patch.qualifier or targets.qualifier_of(target)
        if patch.invocation_role is not None:
            origin = msgspec.structs.replace(origin, invocation_role=patch.invocation_role)
        if parsed is None:
            after = _with_qualifier(target, patch.qualifier)
            return _with_target(msgspec.structs.replace(rule, origin=origin), after)
        fresh = self._own_target(account, origin, parsed.said, qualifier)
        rule = msgspec.structs.replace(
            rule,
            pattern=parsed.said.pattern,
            status="ENABLE" if parsed.said.enabled else "DISABLE",
            origin=msgspec.structs.replace(origin, config=parsed.text, rendered=""),
        )
        return _with_target(rule, msgspec.structs.replace(fresh, subscription=target.subscription))

    def _view_after(self, written: editing.Stored[model.Rule], target_id: str) -> inputs.Trigger:
        """Return the view of what was just written, at the revision it has now."""
        now = self._editor.read(editing.RULE, written.key)
        same = now is not None and now.record == written.record
        stored = now if now is not None and same else written
        return triggers_view.view_of(stored, target_id, self._settings.region)


def _patched_remote(
    rule: model.Rule,
    target: model.Target,
    patch: inputs.TriggerPatch,
    parsed: config.Parsed | None,
) -> model.Rule:
    if parsed is not None:
        target = trigger_words.patched_target(target, parsed)
        rule = msgspec.structs.replace(
            rule, pattern=parsed.said.pattern, status=trigger_words.patched_status(rule, parsed)
        )
    return _with_target(rule, _with_qualifier(target, patch.qualifier))


def _with_qualifier(target: model.Target, qualifier: str | None) -> model.Target:
    if not qualifier or qualifier == targets.qualifier_of(target):
        return target
    return trigger_words.with_param(target, model.Param("Qualifier", "CONSTANT", qualifier))


def _with_target(rule: model.Rule, target: model.Target) -> model.Rule:
    kept = tuple(target if each.id == target.id else each for each in rule.targets)
    return msgspec.structs.replace(rule, targets=kept)


def _parts(function: str, name: str) -> tuple[str, str, str | None]:
    """Return bus, rule and, for a trigger the bus side made, target id."""
    parts = name.split(triggers_view.SEPARATOR)
    if len(parts) == 3:
        return parts[0], parts[1], parts[2]
    return model.DEFAULT_BUS, triggers_view.rule_name(function, name), None


def _target(
    rule: model.Rule, function: str, name: str, target_id: str | None
) -> model.Target | None:
    own = triggers_view.own_target(rule)
    if target_id is None:
        mine = rule.origin is not None and (rule.origin.function, rule.origin.trigger) == (
            function,
            name,
        )
        return own if mine else None
    found = next((each for each in rule.targets if each.id == target_id), None)
    # One trigger has one name: what FC made is found by its own name only.
    if found is None or found is own or targets.function_of(found) != function:
        return None
    return found


def _check_name(function: str, name: str) -> None:
    if not name:
        raise errors.MissingParameter("triggerName is required.", field="triggerName")
    names.check_trigger_name(name)
    rule = triggers_view.rule_name(function, name)
    if len(rule) > limits.NAME_CHARS_MAX:
        raise errors.InvalidInput(
            f"The names of function and trigger together make the rule name [{rule}], "
            f"which has more than {limits.NAME_CHARS_MAX} characters.",
            field="triggerName",
            expected=limits.NAME_CHARS_MAX,
            got=len(rule),
        )


def _check_type(given: str) -> None:
    if given == triggers_view.TYPE:
        return
    if not given:
        raise errors.MissingParameter("triggerType is required.", field="triggerType")
    if given in _TYPES_ELSEWHERE:
        raise errors.Unsupported(
            f"triggerType [{given}] is not supported yet; eventbridge is.",
            field="triggerType",
            expected=triggers_view.TYPE,
            got=given,
        )
    raise errors.InvalidInput(
        f"triggerType [{given}] does not exist.",
        field="triggerType",
        expected=triggers_view.TYPE,
        got=given,
    )
