"""A server of two accounts, the second written straight into its keys; a process of its own.

usage: two_accounts.py DATA READY_FILE INSTANCES_MAX; prints its address
"""

from __future__ import annotations

import functools
import sys
from pathlib import Path

from headrace import app as apps
from headrace import serve, settings
from headrace.access import keys
from headrace.functions import scaling

OTHER = keys.Key("HRAKOTHER", "a secret of the tests", "1000000000000002")


def main() -> int:
    data, ready, instances = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    apps.App.open = functools.partialmethod(apps.App.open, others=[OTHER])  # type: ignore[assignment]
    apps.service.Functions = functools.partial(  # type: ignore[misc,assignment]
        apps.service.Functions, limits=scaling.Limits(instances_max=instances)
    )
    config = settings.Settings(port=0, data=data, ready_file=ready)
    return serve.run(config, announce=lambda told: print(told.url, flush=True))


if __name__ == "__main__":
    sys.exit(main())
