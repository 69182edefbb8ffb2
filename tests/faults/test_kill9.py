"""R1 and R2 at CI size."""

from __future__ import annotations

import pytest

from tests.faults import kill9


@pytest.mark.timeout(240)
def test_ten_kills_lose_nothing_and_leave_no_edit_half_made() -> None:
    assert kill9.main(rounds=10, seed=1) == 0
