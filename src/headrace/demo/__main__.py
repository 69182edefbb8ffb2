"""`python -m headrace.demo`: a server of its own, and the story through the official SDKs.

Without the SDKs' environments (`./dev` makes them) the story goes through our own client, and the
demo says so.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from pathlib import Path

from headrace import demo, serve, settings
from headrace.core import errors
from headrace.demo import sdk, story
from headrace.store import ports

#: Events are refused when less than this is free; no file system has so much.
NO_ROOM_BYTES = 1 << 60


def main(arguments: list[str]) -> int:
    """Run the demo; return its exit code (2: wrong use)."""
    options = _options(arguments)
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    data = demo.fresh_directory() if options.data is None else options.data.absolute()
    config = settings.Settings(
        port=options.port,
        data=data,
        low_disk_bytes=NO_ROOM_BYTES if options.sabotage == "disk" else None,
    )
    drivers: sdk.Drivers | None = None
    try:
        if options.door == "sdk":
            drivers = sdk.start(os.environ)
        beside = demo.alongside(once=options.once, sabotage=options.sabotage, drivers=drivers)
        return serve.run(config, announce=lambda _: None, alongside=beside)
    except (errors.HeadraceError, ports.StoreError, OSError) as fault:
        print(f"headrace.demo: the server cannot start: {fault}", file=sys.stderr)
        return 1
    finally:
        if drivers is not None:
            drivers.close()


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="headrace.demo", description=__doc__)
    parser.add_argument("--once", action="store_true", help="end after the story")
    parser.add_argument("--sabotage", choices=story.SABOTAGES, help="break one step on purpose")
    parser.add_argument("--door", choices=("sdk", "wire"), help="the official SDKs, or our client")
    parser.add_argument("--port", type=int, help="default: 7280, with --once any free one")
    parser.add_argument("--data", type=Path, help="data directory; default: a new temporary one")
    options = parser.parse_args(arguments)
    if options.port is None:
        options.port = 0 if options.once else settings.PORT_DEFAULT
    if options.door is None:
        options.door = "sdk" if sdk.are_there(os.environ) else "wire"
    elif options.door == "sdk" and not sdk.are_there(os.environ):
        parser.error(f"{sdk.CONTROL_VARIABLE} and {sdk.DATA_VARIABLE} are not set; use ./dev demo")
    return options


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
