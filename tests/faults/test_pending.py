"""R13 at CI size."""

from __future__ import annotations

import pytest

from tests.faults import pending


@pytest.mark.timeout(120)
def test_a_restart_on_a_large_backlog_is_ready_at_once_and_holds_it_on_disk() -> None:
    assert pending.main(pending.EVENTS_CI) == 0
