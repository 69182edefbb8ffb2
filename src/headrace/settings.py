"""What `headrace up` is told: one record from the command line to the wiring. Data only."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from headrace.bus import retention

REGION_DEFAULT = "cn-hangzhou"
PORT_DEFAULT = 7280


class Settings(msgspec.Struct, frozen=True):
    host: str = "127.0.0.1"
    #: 0: any free port; the ready file says which.
    port: int = PORT_DEFAULT
    #: None: everything in memory, gone with the process (`--ephemeral`).
    data: Path | None = None
    account: str | None = None
    region: str = REGION_DEFAULT
    ready_file: Path | None = None
    sandbox: Literal["auto", "bubblewrap", "none"] = "auto"
    strict_limits: bool = False
    keep: retention.Keep = retention.Keep()
    #: New events are refused when less than this is free; None: min(256 MB, 5 %).
    low_disk_bytes: int | None = None
    #: Listen beyond loopback without TLS.
    insecure: bool = False
    #: HTTP targets may reach loopback and private networks; None: when bound to loopback.
    private_targets: bool | None = None
