"""Faults of a store as refusals: 507 when room is missing, 503 when it failed, others unchanged."""

from __future__ import annotations

import errno

import pytest

from headrace.core import errors
from headrace.store import ports, refusing


@pytest.mark.parametrize(
    ("fault", "refusal"),
    [
        (ports.Full("no room"), errors.StoreFull),
        (OSError(errno.ENOSPC, "no room"), errors.StoreFull),
        (OSError(errno.EDQUOT, "no room"), errors.StoreFull),
        (OSError(errno.EIO, "bad disk"), errors.Unavailable),
        (ports.Broken("bad disk"), errors.Unavailable),
        (ports.Fenced("another owner"), errors.Unavailable),
        (ports.StoreError("locked"), errors.Unavailable),
        (ports.Conflict("a/x", ports.Revision(1), ports.Revision(2)), ports.Conflict),
        (errors.RuleNotFound("none"), errors.RuleNotFound),
    ],
)
def test_a_fault_becomes_the_refusal_that_says_what_to_do(
    fault: Exception, refusal: type[Exception]
) -> None:
    with pytest.raises(refusal), refusing.refused():
        raise fault
