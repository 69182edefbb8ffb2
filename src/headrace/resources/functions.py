"""Functions of the catalog: what a function may say, and its life. Running one is elsewhere
(`headrace.functions`).

The code package is given by its digest: the caller has checked it and put it into the blobs.
Source of ranges and defaults: `CreateFunctionInput` of API 2023-03-30 and the fc3 schema.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from headrace.core import errors, names
from headrace.resources import (
    base,
    deletes,
    editing,
    fields,
    function_rules,
    inputs,
    model,
    targets,
)

_DOOR: Final[inputs.Door] = "function side"
_NAMED_MAX: Final = 3


class Functions(base.Part):
    """Operations on functions."""

    async def create_function(self, account: str, given: inputs.FunctionInput) -> model.Function:
        """Create a function.

        Raises: InvalidInput naming the field, Unsupported for what is not built, FunctionExists.
        """
        names.check_function_name(given.name)
        settled = self._checked(_as_patch(given), None)
        key = editing.FUNCTION.key(account, given.name)

        async def write(draft: editing.Draft) -> model.Function:
            if self._editor.read(editing.FUNCTION, key) is not None:
                raise errors.FunctionExists(
                    f"The function [{given.name}] already exists.",
                    field="functionName",
                    got=given.name,
                )
            function_id = self._uuid()
            now = self._editor.now_ms()
            function = msgspec.structs.replace(
                settled,
                name=given.name,
                function_id=function_id,
                created_ms=now,
                modified_ms=now,
                async_subscription=await self._new_number(f"{account}/function/{given.name}"),
                edits=editing.edits_with(None, _DOOR, ("created",), now),
            )
            draft.put(editing.FUNCTION, key, function, None)
            return function

        return await self._editor.run(write)

    async def update_function(
        self,
        account: str,
        name: str,
        patch: inputs.FunctionPatch,
        *,
        revision: int | None = None,
    ) -> model.Function:
        """Change what is given and keep the rest.

        Raises: FunctionNotFound, InvalidInput, Unsupported, EditConflict.
        """
        self.get_function(account, name)

        async def write(draft: editing.Draft) -> model.Function:
            was = self._stored_function(account, name)
            editing.check_revision(was, revision, f"The function [{name}]")
            after = self._checked(patch, was.record)
            return editing.put_edited(
                self._editor, draft, editing.FUNCTION, was.key, (was.record, after), was, _DOOR
            )

        return await self._editor.run(write)

    def get_function(self, account: str, name: str) -> model.Function:
        """Return a function. Raises: FunctionNotFound."""
        return self._stored_function(account, name).record

    def function_revision(self, account: str, name: str) -> int:
        """Return the revision to give back to an update. Raises: FunctionNotFound."""
        return self._stored_function(account, name).revision

    def list_functions(
        self,
        account: str,
        *,
        prefix: str = "",
        runtime: str | None = None,
        limit: int = 100,
        token: str | None = None,
    ) -> inputs.Listing[model.Function]:
        """Return functions ascending by name."""
        rows = (
            (stored.record.name, stored.record)
            for stored in self._editor.scan(editing.FUNCTION, editing.FUNCTION.prefix(account))
            if stored.record.name.startswith(prefix)
            and (not runtime or stored.record.runtime == runtime)
        )
        return base.page_of(rows, limit=limit, token=token)

    async def delete_function(
        self, account: str, name: str, *, revision: int | None = None
    ) -> model.Function:
        """Delete a function and return it. Bus-made rules that point at it keep their target.

        Raises: FunctionNotFound, FunctionInUse naming its triggers, EditConflict.
        """
        fence = base.fence_of(account, "function", name)

        async def write(draft: editing.Draft) -> model.Function:
            was = self._stored_function(account, name)
            editing.check_revision(was, revision, f"The function [{name}]")
            origin, situation, triggers = self._function_situation(account, name)
            if deletes.effect("delete_function", origin, situation) is deletes.Effect.REFUSED:
                raise _in_use(name, triggers)
            draft.delete(editing.FUNCTION, was)
            self._drop(draft, fence)
            return was.record

        return await self._editor.run(write)

    def _stored_function(self, account: str, name: str) -> editing.Stored[model.Function]:
        known = editing.is_key_part(name)
        key = editing.FUNCTION.key(account, name) if known else ""
        found = self._editor.read(editing.FUNCTION, key) if known else None
        if found is None:
            raise errors.FunctionNotFound(
                f"The function [{name}] does not exist.", field="functionName", got=name
            )
        return found

    def _hold_function(self, draft: editing.Draft, account: str, name: str) -> None:
        """Let `draft` fail if the function is deleted first; a delete after it will see the
        trigger.
        """
        stored = self._stored_function(account, name)
        draft.guard(stored.key, stored)
        draft.touch(base.fence_of(account, "function", name))

    def _function_situation(self, account: str, name: str) -> tuple[deletes.Origin, str, list[str]]:
        """Return who points at the function, and the names of its own triggers."""
        triggers: list[str] = []
        pointed = False
        for stored in self._editor.scan(editing.RULE, editing.RULE.prefix(account)):
            rule = stored.record
            if rule.origin is not None and rule.origin.function == name:
                triggers.append(rule.origin.trigger)
            pointed = pointed or any(targets.function_of(each) == name for each in rule.targets)
        if triggers:
            return "trigger", deletes.USED_BY_TRIGGERS, triggers
        if pointed:
            return "rule", deletes.USED_BY_RULES, []
        return "-", deletes.UNUSED, []

    def _checked(self, patch: inputs.FunctionPatch, was: model.Function | None) -> model.Function:
        """Return the record that `patch` makes of `was` (None: of nothing)."""
        function_rules.check_required(patch, creating=was is None)
        self._check_description(patch.description or "", "description")
        base_ = was or _BLANK
        changes: dict[str, Any] = function_rules.settled(patch)
        if patch.tags is not None:
            changes["tags"] = base.check_tags(patch.tags, "tags")
        changes["echoed"] = _echoed(patch, base_.echoed)
        return msgspec.structs.replace(base_, **changes)


_BLANK: Final = model.Function(
    name="", function_id="", runtime="", handler="", code_sha256="", code_checksum="", code_bytes=0
)


def _as_patch(given: inputs.FunctionInput) -> inputs.FunctionPatch:
    """Return a creation as a change of nothing."""
    shared = {field: getattr(given, field) for field in inputs.FunctionPatch.__struct_fields__}
    return inputs.FunctionPatch(**shared)


def _echoed(patch: inputs.FunctionPatch, was: dict[str, Any]) -> dict[str, Any]:
    """Return the echoed fields after `patch`: an empty form unsets, what is refused raises."""
    after = dict(was)
    for field, value in patch.other.items():
        check_field(field, value)
        if fields.is_unset(value):
            after.pop(field, None)
        else:
            after[field] = value
    return after


def check_field(field: str, value: Any) -> None:
    """Raise Unsupported for a refused field, UnknownParameter for one no function has."""
    rule = fields.FUNCTION_FIELDS.get(field)
    if rule is None or field in fields.TYPED:
        raise errors.UnknownParameter(f"{field} is not a field of a function.", field=field)
    if rule.fate != "refused" or fields.is_unset(value) or _is_neutral(value, rule):
        return
    raise errors.Unsupported(
        f"{field} is not supported here: {rule.reason}.", field=field, got=value
    )


def _is_neutral(value: Any, rule: fields.FieldRule) -> bool:
    return any(type(value) is type(each) and value == each for each in rule.neutral)


def _in_use(name: str, triggers: list[str]) -> errors.FunctionInUse:
    shown = ", ".join(f"[{trigger}]" for trigger in triggers[:_NAMED_MAX])
    more = f" and {len(triggers) - _NAMED_MAX} more" if len(triggers) > _NAMED_MAX else ""
    return errors.FunctionInUse(
        f"The function [{name}] still has the triggers {shown}{more}.",
        field="functionName",
        got=name,
        remedy="Delete its triggers first.",
    )
