"""What a store that cannot write means to a caller: no room is waited out, anything else is not.

The one place where a fault of a store becomes a refusal that faces may utter. Must never make a
refusal of what a caller can mend (a conflict, a frame too large).
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Generator

from headrace.core import errors
from headrace.store import ports

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})


@contextlib.contextmanager
def refused() -> Generator[None]:
    """Raises: errors.StoreFull, errors.Unavailable instead of what the store raised."""
    try:
        yield
    except ports.Full as fault:
        raise errors.StoreFull() from fault
    except (ports.Conflict, ports.TooLarge, ports.Compacted, ports.LeaseHeld):
        raise
    except ports.StoreError as fault:
        raise errors.Unavailable(f"the store failed: {fault}") from fault
    except OSError as fault:
        if fault.errno in _NO_ROOM:
            raise errors.StoreFull() from fault
        raise errors.Unavailable(f"the store failed: {fault}") from fault
