"""Event buses of the catalog. `default` exists in every account without being created and cannot be
deleted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from headrace.core import errors, names
from headrace.resources import base, deletes, editing, inputs, model

_DOOR: Final[inputs.Door] = "bus side"


class Buses(base.Part):
    """Operations on event buses."""

    async def create_bus(
        self,
        account: str,
        name: str,
        description: str = "",
        tags: Mapping[str, str] | None = None,
    ) -> model.EventBus:
        """Create a bus.

        Raises: BusNameInvalid, BusExists, InvalidInput.
        """
        names.check_bus_name(name)
        self._check_description(description, "Description")
        checked_tags = base.check_tags(tags or {}, "Tags")
        key = editing.BUS.key(account, name)

        async def write(draft: editing.Draft) -> model.EventBus:
            if self._bus(account, name) is not None:
                raise errors.BusExists(
                    f"The event bus [{name}] already existed!", field="EventBusName", got=name
                )
            self._check_bus_count(account)
            now = self._editor.now_ms()
            bus = model.EventBus(
                name=name,
                description=description,
                created_ms=now,
                modified_ms=now,
                tags=checked_tags,
                edits=editing.edits_with(None, _DOOR, ("created",), now),
            )
            draft.put(editing.BUS, key, bus, None)
            return bus

        return await self._editor.run(write)

    async def update_bus(
        self,
        account: str,
        name: str,
        *,
        description: str | None = None,
        tags: Mapping[str, str] | None = None,
        revision: int | None = None,
    ) -> model.EventBus:
        """Change what is given.

        Raises: BusNotFound, EditConflict, InvalidInput.
        """
        if description is not None:
            self._check_description(description, "Description")
        checked_tags = None if tags is None else base.check_tags(tags, "Tags")

        async def write(draft: editing.Draft) -> model.EventBus:
            bus = self.get_bus(account, name)
            key = editing.BUS.key(account, name)  # a name that cannot be one was not found above
            was = self._editor.read(editing.BUS, key)
            if was is not None:
                editing.check_revision(was, revision, f"The event bus [{name}]")
            after = msgspec.structs.replace(
                bus,
                description=bus.description if description is None else description,
                tags=bus.tags if checked_tags is None else checked_tags,
            )
            return editing.put_edited(
                self._editor, draft, editing.BUS, key, (bus, after), was, _DOOR
            )

        return await self._editor.run(write)

    def get_bus(self, account: str, name: str) -> model.EventBus:
        """Return a bus. Raises: BusNotFound."""
        bus = self._bus(account, name)
        if bus is None:
            raise errors.BusNotFound.named(name)
        return bus

    def list_buses(
        self, account: str, *, prefix: str = "", limit: int = 100, token: str | None = None
    ) -> inputs.Listing[model.EventBus]:
        """Return buses ascending by name."""
        rows = {
            stored.record.name: stored.record
            for stored in self._editor.scan(editing.BUS, editing.BUS.prefix(account))
        }
        rows.setdefault(model.DEFAULT_BUS, _DEFAULT)
        fitting = ((name, bus) for name, bus in rows.items() if name.startswith(prefix))
        return base.page_of(fitting, limit=limit, token=token)

    async def delete_bus(
        self, account: str, name: str, *, revision: int | None = None
    ) -> model.EventBus:
        """Delete an empty bus and return it.

        Raises: BusNotFound, BusNotEmpty, BusNameInvalid for `default`, EditConflict.
        """
        fence = base.fence_of(account, "bus", name)

        async def write(draft: editing.Draft) -> model.EventBus:
            bus = self.get_bus(account, name)
            situation = self._situation(account, name)
            if deletes.effect("delete_bus", "-", situation) is deletes.Effect.REFUSED:
                raise self._refusal(account, name, situation)
            was = self._editor.read(editing.BUS, editing.BUS.key(account, name))
            assert was is not None, "only the default bus has no record"
            editing.check_revision(was, revision, f"The event bus [{name}]")
            draft.delete(editing.BUS, was)
            self._drop(draft, fence)
            return bus

        return await self._editor.run(write)

    def _bus(self, account: str, name: str) -> model.EventBus | None:
        if not editing.is_key_part(name):
            return None
        stored = self._editor.read(editing.BUS, editing.BUS.key(account, name))
        if stored is not None:
            return stored.record
        return _DEFAULT if name == model.DEFAULT_BUS else None

    def _hold_bus(self, draft: editing.Draft, account: str, name: str) -> None:
        """Let `draft` fail if the bus is deleted first; a delete after it will see it."""
        self.get_bus(account, name)
        if name == model.DEFAULT_BUS:
            return
        key = editing.BUS.key(account, name)
        draft.guard(key, self._editor.read(editing.BUS, key))
        draft.touch(base.fence_of(account, "bus", name))

    def _check_bus_count(self, account: str) -> None:
        most = self._settings.limits.buses_max
        if most is None:
            return
        count = sum(
            not stored.record.system
            for stored in self._editor.scan(editing.BUS, editing.BUS.prefix(account))
        )
        if count >= most:
            raise errors.Refused(
                f"An account may have {most} custom buses (strict_limits).",
                code="EventBusCountExceedLimit",
                expected=most,
                got=count + 1,
            )

    def _situation(self, account: str, name: str) -> str:
        if name == model.DEFAULT_BUS:
            return deletes.IS_DEFAULT
        if self._first_rule(account, name) is not None:
            return deletes.HAS_RULES
        if self._first_source(account, name) is not None:
            return deletes.HAS_SOURCES
        return deletes.EMPTY

    def _first_rule(self, account: str, bus: str) -> str | None:
        found = self._editor.scan(editing.RULE, editing.RULE.prefix(account, bus))
        return next((stored.record.name for stored in found), None)

    def _first_source(self, account: str, bus: str) -> str | None:
        found = self._editor.scan(editing.SOURCE, editing.SOURCE.prefix(account, bus))
        return next((stored.record.name for stored in found), None)

    def _refusal(self, account: str, name: str, situation: str) -> errors.HeadraceError:
        if situation == deletes.IS_DEFAULT:
            return errors.BusNameInvalid(
                "The event bus [default] always exists and cannot be deleted.",
                field="EventBusName",
                got=name,
            )
        if situation == deletes.HAS_RULES:
            rule = self._first_rule(account, name)
            return errors.BusNotEmpty(
                f"The event bus [{name}] still has rules, such as [{rule}].",
                remedy="Delete its rules first.",
            )
        source = self._first_source(account, name)
        return errors.BusNotEmpty(
            f"The event bus [{name}] still has sources, such as [{source}].",
            code="EventBusSourceNotEmptyForDelete",
            remedy="Delete its sources first.",
        )


_DEFAULT: Final = model.EventBus(
    name=model.DEFAULT_BUS, description="The bus that always exists.", system=True
)
