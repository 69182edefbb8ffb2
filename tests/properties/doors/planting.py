"""Event sources put straight into a data directory while no server has it.

No operation of either door makes a source yet, and one row of the delete table needs one.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from headrace import outside
from headrace.resources import catalog, inputs
from headrace.store import sqlite

NAME = "planted"


def change(data: Path, account: str, region: str, bus: str, *, present: bool) -> None:
    """Make or remove the source of a bus."""
    asyncio.run(_change(data, account, region, bus, present=present))


async def _change(data: Path, account: str, region: str, bus: str, *, present: bool) -> None:
    directory = sqlite.Directory.open(data)
    try:
        clock = outside.SystemClock()
        registry = sqlite.SqliteRegistry(directory, clock)
        await registry.open()
        everything = catalog.Catalog(registry, clock, outside.system_random(), region=region)
        if present:
            await everything.create_source(account, bus, inputs.SourceInput(NAME, "HTTPEvent"))
        else:
            await everything.delete_source(account, bus, NAME)
        await registry.close()
    finally:
        directory.close()
