"""Rules of the catalog and the targets in them: the bus side of the one record.

A rule that was made as a trigger stays one while its target points at the function: every write
here ends in `triggers_view.reconciled`, which keeps the trigger's own words in step with the rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from headrace.core import errors, names
from headrace.core import pattern as patterns
from headrace.resources import (
    base,
    buses,
    deletes,
    editing,
    inputs,
    model,
    queues,
    settings,
    target_rules,
    triggers_view,
)

_DOOR: Final[inputs.Door] = "bus side"


class Rules(buses.Buses, queues.Queues):
    """Operations on rules."""

    async def create_rule(self, account: str, bus: str, given: inputs.RuleInput) -> model.Rule:
        """Create a rule with its targets, all or nothing.

        Raises: RuleNameInvalid, PatternInvalid, TargetInvalid, TargetIdDuplicate, BusNotFound,
        RuleExists.
        """
        names.check_rule_name(given.name)
        self._check_pattern(given.pattern)
        self._check_description(given.description, "Description")
        status = check_status(given.status, "Status") or "ENABLE"
        checked = self._checked_targets(account, given.targets, "EventTargets")
        tags = base.check_tags(given.tags, "Tags")

        async def write(draft: editing.Draft) -> model.Rule:
            self._hold_bus(draft, account, bus)
            key = editing.RULE.key(account, bus, given.name)
            self._check_new_rule(account, bus, given.name, key)
            for index, target in enumerate(checked):
                self._hold_queues(draft, account, target, f"EventTargets[{index}]")
            now = self._editor.now_ms()
            rule = model.Rule(
                name=given.name,
                bus=bus,
                pattern=given.pattern,
                description=given.description,
                status=status,
                targets=await self._numbered(account, bus, given.name, checked, ()),
                created_ms=now,
                modified_ms=now,
                number=await self._rule_number(account, bus, given.name),
                tags=tags,
                edits=editing.edits_with(None, _DOOR, ("created",), now),
            )
            draft.put(editing.RULE, key, rule, None)
            return rule

        return await self._editor.run(write)

    async def update_rule(
        self,
        account: str,
        bus: str,
        name: str,
        patch: inputs.RulePatch,
        *,
        revision: int | None = None,
    ) -> model.Rule:
        """Change what is given (also Enable and Disable: a patch of the status).

        Raises: PatternInvalid, InvalidInput, BusNotFound, RuleNotFound, EditConflict.
        """
        if patch.pattern is not None:
            self._check_pattern(patch.pattern)
        self._check_description(patch.description or "", "Description")
        status = check_status(patch.status, "Status")
        tags = None if patch.tags is None else base.check_tags(patch.tags, "Tags")

        async def write(draft: editing.Draft) -> model.Rule:
            was = self._stored_rule(account, bus, name)
            rule = was.record
            after = msgspec.structs.replace(
                rule,
                pattern=rule.pattern if patch.pattern is None else patch.pattern,
                description=rule.description if patch.description is None else patch.description,
                status=status or rule.status,
                tags=rule.tags if tags is None else tags,
            )
            return self._put_rule(draft, was, after, _DOOR, revision)

        return await self._editor.run(write)

    def get_rule(self, account: str, bus: str, name: str) -> tuple[model.Rule, int]:
        """Return a rule and its revision. Raises: BusNotFound, RuleNotFound."""
        stored = self._stored_rule(account, bus, name)
        return stored.record, stored.revision

    def list_rules(
        self,
        account: str,
        bus: str,
        *,
        prefix: str = "",
        limit: int = 100,
        token: str | None = None,
    ) -> inputs.Listing[model.Rule]:
        """Return the rules of a bus ascending by name. Raises: BusNotFound, LimitInvalid."""
        self.get_bus(account, bus)
        rows = (
            (stored.record.name, stored.record)
            for stored in self._editor.scan(editing.RULE, editing.RULE.prefix(account, bus))
            if stored.record.name.startswith(prefix)
        )
        return base.page_of(rows, limit=limit, token=token)

    async def delete_rule(
        self, account: str, bus: str, name: str, *, revision: int | None = None
    ) -> model.Rule:
        """Delete a rule with its targets, and with it every trigger it is seen as; return it.

        Raises: BusNotFound, RuleNotFound, EditConflict.
        """

        async def write(draft: editing.Draft) -> model.Rule:
            was = self._stored_rule(account, bus, name)
            editing.check_revision(was, revision, f"The event rule [{name}]")
            rule = was.record
            situation = deletes.ANY
            if rule.origin is not None:
                situation = deletes.ALONE if len(rule.targets) == 1 else deletes.SHARED
            effect = deletes.effect("delete_rule", triggers_view.origin_of(rule), situation)
            assert effect is deletes.Effect.RECORD_GONE, "the bus side may delete every rule"
            draft.delete(editing.RULE, was)
            return rule

        return await self._editor.run(write)

    # -- shared with targets and triggers

    def _stored_rule(self, account: str, bus: str, name: str) -> editing.Stored[model.Rule]:
        self.get_bus(account, bus)
        known = editing.is_key_part(name)
        key = editing.RULE.key(account, bus, name) if known else ""
        found = self._editor.read(editing.RULE, key) if known else None
        if found is None:
            raise errors.RuleNotFound("The event rule not existed!", field="RuleName", got=name)
        return found

    def _put_rule(
        self,
        draft: editing.Draft,
        was: editing.Stored[model.Rule],
        after: model.Rule,
        door: inputs.Door,
        revision: int | None,
    ) -> model.Rule:
        """Draft `after` in place of `was`, with the trigger's words in step."""
        editing.check_revision(was, revision, f"The event rule [{was.record.name}]")
        kept = triggers_view.reconciled(after)
        return editing.put_edited(
            self._editor, draft, editing.RULE, was.key, (was.record, kept), was, door
        )

    def _check_pattern(self, given: str) -> None:
        """Raise PatternInvalid for what the dialect does not allow."""
        most = self._settings.limits.expressions_per_field_max
        if most is None:
            patterns.compile(given)
        else:
            patterns.compile(given, field_expressions_max=most)

    def _checked_targets(
        self, account: str, given: Sequence[inputs.TargetInput], field: str
    ) -> tuple[model.Target, ...]:
        """Return the records of all targets, or raise for the first that is wrong."""
        self._check_target_count(len(given), field)
        checker = target_rules.Checker(account, self._settings)
        checked = tuple(
            checker.target(each, f"{field}[{index}]") for index, each in enumerate(given)
        )
        twice = target_rules.duplicates([target.id for target in checked])
        if twice:
            raise errors.TargetIdDuplicate(
                f"The id of event target is duplicate! [{min(twice)}]",
                field=f"{field}.Id",
                got=min(twice),
            )
        return checked

    def _check_target_count(self, count: int, field: str) -> None:
        most = self._settings.limits.targets_per_rule_max or settings.TARGETS_PER_REQUEST_MAX
        if count > most:
            raise errors.TargetInvalid(
                f"{field} would have {count} targets, a rule may have {most}.",
                field=field,
                expected=most,
                got=count,
            )

    def _check_new_rule(self, account: str, bus: str, name: str, key: str) -> None:
        """Raise unless a rule `name` may be added to the bus."""
        existing = self._editor.read(editing.RULE, key)
        if existing is not None:
            origin = existing.record.origin
            made = ""
            if origin is not None:
                made = f" It is the trigger [{origin.trigger}] of the function [{origin.function}]."
            raise errors.RuleExists(
                f"The event rule [{name}] already existed on the bus [{bus}]!{made}",
                field="RuleName",
                got=name,
            )
        most = self._settings.limits.rules_per_bus_max
        if most is None:
            return
        count = sum(1 for _ in self._editor.scan(editing.RULE, editing.RULE.prefix(account, bus)))
        if count >= most:
            raise errors.Refused(
                f"A bus may have {most} rules (strict_limits).",
                code="EventRuleCountExceedLimit",
                expected=most,
                got=count + 1,
            )

    async def _rule_number(self, account: str, bus: str, name: str) -> int:
        return await self._new_number(f"{account}/rule/{bus}/{name}")

    async def _subscription(self, account: str, bus: str, rule: str, target: str) -> int:
        """Return the number of a new target's life."""
        return await self._new_number(f"{account}/subscription/{bus}/{rule}/{target}")

    async def _numbered(
        self,
        account: str,
        bus: str,
        rule: str,
        wanted: Sequence[model.Target],
        existing: Sequence[model.Target],
    ) -> tuple[model.Target, ...]:
        """Return `wanted` with subscription numbers: that of the target it replaces, else a new
        one.
        """
        numbers = {target.id: target.subscription for target in existing}
        result: list[model.Target] = []
        for target in wanted:
            number = numbers.get(target.id)
            if number is None:
                number = await self._subscription(account, bus, rule, target.id)
            result.append(msgspec.structs.replace(target, subscription=number))
        return tuple(result)


def check_status(given: str | None, field: str) -> model.RuleStatus | None:
    """Return ENABLE or DISABLE, or None if not sent."""
    if not given:
        return None
    if given == "ENABLE":
        return "ENABLE"
    if given == "DISABLE":
        return "DISABLE"
    raise errors.InvalidInput(
        f"{field} must be ENABLE or DISABLE, got [{given}].",
        field=field,
        expected="ENABLE or DISABLE",
        got=given,
    )
