"""R21 at CI size."""

from __future__ import annotations

import pytest

from tests.faults import backup


@pytest.mark.timeout(240)
def test_two_backups_under_load_restore_to_what_was_there() -> None:
    assert backup.main(rounds=2) == 0
