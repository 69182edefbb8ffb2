"""User-defined event sources of the catalog: kept and listed. Nothing runs from them yet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from headrace.core import errors, names
from headrace.resources import base, buses, editing, inputs, model

_DOOR: Final[inputs.Door] = "bus side"


class Sources(buses.Buses):
    """Operations on event sources."""

    async def create_source(
        self, account: str, bus: str, given: inputs.SourceInput
    ) -> model.EventSource:
        """Create a source on a bus.

        Raises: InvalidInput for its name, BusNotFound, SourceExists.
        """
        names.check_source_name(given.name)
        self._check_description(given.description, "Description")

        async def write(draft: editing.Draft) -> model.EventSource:
            self._hold_bus(draft, account, bus)
            key = editing.SOURCE.key(account, bus, given.name)
            if self._editor.read(editing.SOURCE, key) is not None:
                raise errors.SourceExists(
                    f"The event source [{given.name}] already existed!",
                    field="EventSourceName",
                    got=given.name,
                )
            now = self._editor.now_ms()
            source = model.EventSource(
                name=given.name,
                bus=bus,
                type=given.type,
                description=given.description,
                parameters=dict(given.parameters),
                created_ms=now,
                modified_ms=now,
                edits=editing.edits_with(None, _DOOR, ("created",), now),
            )
            draft.put(editing.SOURCE, key, source, None)
            return source

        return await self._editor.run(write)

    async def update_source(
        self,
        account: str,
        bus: str,
        name: str,
        *,
        description: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        revision: int | None = None,
    ) -> model.EventSource:
        """Change what is given. Raises: SourceNotFound, EditConflict, InvalidInput."""
        if description is not None:
            self._check_description(description, "Description")

        async def write(draft: editing.Draft) -> model.EventSource:
            was = self._stored_source(account, bus, name)
            editing.check_revision(was, revision, f"The event source [{name}]")
            source = was.record
            after = msgspec.structs.replace(
                source,
                description=source.description if description is None else description,
                parameters=source.parameters if parameters is None else dict(parameters),
            )
            return editing.put_edited(
                self._editor, draft, editing.SOURCE, was.key, (source, after), was, _DOOR
            )

        return await self._editor.run(write)

    def get_source(self, account: str, bus: str, name: str) -> model.EventSource:
        """Return a source. Raises: SourceNotFound."""
        return self._stored_source(account, bus, name).record

    def list_sources(
        self,
        account: str,
        bus: str | None = None,
        *,
        prefix: str = "",
        limit: int = 100,
        token: str | None = None,
    ) -> inputs.Listing[model.EventSource]:
        """Return the sources of one bus, or of all, ascending by bus and name."""
        if bus is not None:
            self.get_bus(account, bus)
        path = () if bus is None else (bus,)
        found = self._editor.scan(editing.SOURCE, editing.SOURCE.prefix(account, *path))
        rows = (
            (f"{stored.record.bus}/{stored.record.name}", stored.record)
            for stored in found
            if stored.record.name.startswith(prefix)
        )
        return base.page_of(rows, limit=limit, token=token)

    async def delete_source(
        self, account: str, bus: str, name: str, *, revision: int | None = None
    ) -> model.EventSource:
        """Delete a source and return it. Raises: SourceNotFound, EditConflict."""

        async def write(draft: editing.Draft) -> model.EventSource:
            was = self._stored_source(account, bus, name)
            editing.check_revision(was, revision, f"The event source [{name}]")
            draft.delete(editing.SOURCE, was)
            return was.record

        return await self._editor.run(write)

    def _stored_source(
        self, account: str, bus: str, name: str
    ) -> editing.Stored[model.EventSource]:
        self.get_bus(account, bus)
        known = editing.is_key_part(name)
        key = editing.SOURCE.key(account, bus, name) if known else ""
        found = self._editor.read(editing.SOURCE, key) if known else None
        if found is None:
            raise errors.SourceNotFound(
                f"The event source [{name}] not existed!", field="EventSourceName", got=name
            )
        return found
