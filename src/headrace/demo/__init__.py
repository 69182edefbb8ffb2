"""The demo: a story that shows Headrace at work on a real server, step by step.

Goes through the public APIs only. Must never be needed by the server, nor reach into it.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headrace.demo import sdk, show

if TYPE_CHECKING:
    from headrace import serve


def fresh_directory() -> Path:
    """Make a new data directory; it stays, so that its events can be looked at again."""
    return Path(tempfile.mkdtemp(prefix="headrace-demo-"))


def alongside(
    *, once: bool, sabotage: str | None = None, drivers: sdk.Drivers | None = None
) -> Callable[[serve.Ready], Coroutine[Any, Any, int]]:
    """Return what `serve.run` runs beside the server; its result is the exit code.

    once: end with the story; else the server stays up.  sabotage: one of `story.SABOTAGES`; that
    of the disk is the setting `low_disk_bytes` of the server.  drivers: the official SDKs; None:
    our own client.
    """

    async def perform(ready: serve.Ready) -> int:
        telling = show.Show(ready, once=once, sabotage=sabotage, drivers=drivers)
        try:
            code = await asyncio.get_running_loop().run_in_executor(None, telling.tell)
            if code == 0 and not once:
                await asyncio.Event().wait()
            return code
        finally:
            await asyncio.to_thread(telling.close)

    return perform
