"""Targets of rules: put (create or update by id), delete, list. Wrong entries fail one by one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from headrace.core import errors
from headrace.resources import base, editing, inputs, model, rules, target_rules, triggers_view

_DOOR: Final[inputs.Door] = "bus side"


class RuleTargets(rules.Rules):
    """Operations on the targets of a rule."""

    async def put_targets(
        self,
        account: str,
        bus: str,
        rule: str,
        given: Sequence[inputs.TargetInput],
        *,
        revision: int | None = None,
    ) -> list[inputs.EntryError]:
        """Create or replace targets by id; good entries are written even if others are refused.

        A replaced target keeps its subscription. Replacing a trigger's target by one that points
        elsewhere ends the trigger and leaves an ordinary rule.
        Raises: BusNotFound, RuleNotFound, EditConflict; TargetInvalid when the rule would have too
        many.
        """

        async def write(draft: editing.Draft) -> list[inputs.EntryError]:
            was = self._stored_rule(account, bus, rule)
            good, refused = self._sorted_entries(account, given)
            after_ids = {target.id for target in (*was.record.targets, *good)}
            self._check_target_count(len(after_ids), "Targets")
            for target in good:
                self._hold_queues(draft, account, target, f"Targets[{target.id}]")
            old = was.record.targets
            numbered = await self._numbered(account, bus, rule, good, old)
            after = msgspec.structs.replace(was.record, targets=_upserted(old, numbered))
            self._put_rule(draft, was, after, _DOOR, revision)
            return refused

        return await self._editor.run(write)

    async def delete_targets(
        self,
        account: str,
        bus: str,
        rule: str,
        ids: Sequence[str],
        *,
        revision: int | None = None,
    ) -> list[inputs.EntryError]:
        """Delete targets by id; ids that do not exist are reported, the others go.

        Deleting a trigger's target ends the trigger and leaves an ordinary rule.
        Raises: BusNotFound, RuleNotFound, EditConflict.
        """

        async def write(draft: editing.Draft) -> list[inputs.EntryError]:
            was = self._stored_rule(account, bus, rule)
            here = {target.id for target in was.record.targets}
            after = was.record
            for id_ in dict.fromkeys(ids):
                if id_ in here:
                    after = triggers_view.detached("delete_targets", after, id_)
            self._put_rule(draft, was, after, _DOOR, revision)
            return [_missing(id_) for id_ in ids if id_ not in here]

        return await self._editor.run(write)

    def list_targets(
        self,
        account: str,
        *,
        bus: str | None = None,
        rule: str | None = None,
        arn: str | None = None,
        limit: int = 100,
        token: str | None = None,
    ) -> inputs.Listing[inputs.PlacedTarget]:
        """Return targets ascending by bus, rule and id; of one bus, of one rule, or with the
        endpoint `arn`.

        Raises: BusNotFound, RuleNotFound, LimitInvalid, NextTokenInvalid.
        """
        rows = (
            (f"{placed.bus}/{placed.rule}/{placed.target.id}", placed)
            for placed in self._placed(account, bus, rule)
            if not arn or placed.target.endpoint == arn
        )
        return base.page_of(rows, limit=limit, token=token)

    def _placed(
        self, account: str, bus: str | None, rule: str | None
    ) -> Iterator[inputs.PlacedTarget]:
        if rule is not None:
            found = [self._stored_rule(account, bus or model.DEFAULT_BUS, rule)]
        else:
            if bus is not None:
                self.get_bus(account, bus)
            path = () if bus is None else (bus,)
            found = self._editor.scan(editing.RULE, editing.RULE.prefix(account, *path))
        for stored in found:
            for target in stored.record.targets:
                yield inputs.PlacedTarget(stored.record.bus, stored.record.name, target)

    def _sorted_entries(
        self, account: str, given: Sequence[inputs.TargetInput]
    ) -> tuple[list[model.Target], list[inputs.EntryError]]:
        """Return the records of the good entries and the refusals of the others."""
        self._check_target_count(len(given), "Targets")
        checker = target_rules.Checker(account, self._settings)
        twice = target_rules.duplicates([entry.id for entry in given])
        good: list[model.Target] = []
        refused: list[inputs.EntryError] = []
        for index, entry in enumerate(given):
            field = f"Targets[{index}]"
            try:
                if entry.id in twice:
                    raise errors.TargetIdDuplicate("The id of event target is duplicate!")
                target = checker.target(entry, field)
                self._check_queues(account, target, field)
            except (errors.InvalidInput, errors.Refused) as wrong:
                refused.append(inputs.EntryError(entry.id, wrong.code, told(wrong)))
            else:
                good.append(target)
        return good, refused


def told(wrong: errors.HeadraceError) -> str:
    """Return the message of a refusal with its remedy."""
    return f"{wrong.message} {wrong.remedy}".strip()


def _upserted(old: Sequence[model.Target], new: Sequence[model.Target]) -> tuple[model.Target, ...]:
    """Return `old` with `new` put in by id: in place, or at the end."""
    merged = {target.id: target for target in old}
    merged.update((target.id, target) for target in new)
    return tuple(merged.values())


def _missing(id_: str) -> inputs.EntryError:
    return inputs.EntryError(
        id_, errors.TargetNotFound.code, f"The event target [{id_}] not existed!"
    )
