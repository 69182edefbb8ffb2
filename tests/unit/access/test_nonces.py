"""Nonces: once and only once, across restarts and kill -9, and never forgotten to make room."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.access import nonces
from headrace.core import errors

NOW_MS = 1_767_323_045_678
KEEP_MS = 30 * 60 * 1000
BOOT, OTHER_BOOT = b"a" * 16, b"b" * 16


def use(table: nonces.Nonces, nonce: str, at_ms: int = NOW_MS, for_ms: int = KEEP_MS // 2) -> None:
    table.use("key", nonce, now_ms=at_ms, until_ms=at_ms + for_ms)


def opened(
    path: Path, boot: bytes = BOOT, *, first_start: bool = False, entries: int = 1024
) -> nonces.Nonces:
    return nonces.Nonces.open(path, entries, now_ms=NOW_MS, boot_id=boot, first_start=first_start)


def test_a_nonce_is_used_once() -> None:
    table = nonces.Nonces.in_memory(1024)
    use(table, "n")
    with pytest.raises(errors.NonceUsed):
        use(table, "n")


def test_keys_have_nonces_of_their_own() -> None:
    table = nonces.Nonces.in_memory(1024)
    table.use("key", "n", now_ms=NOW_MS, until_ms=NOW_MS + 1)
    table.use("other", "n", now_ms=NOW_MS, until_ms=NOW_MS + 1)


def test_a_nonce_lives_until_its_end_and_not_for_ever() -> None:
    table = nonces.Nonces.in_memory(1024)
    use(table, "n", NOW_MS, 10_000)
    with pytest.raises(errors.NonceUsed):
        use(table, "n", NOW_MS + 10_000)
    use(table, "n", NOW_MS + 12_000)


def test_a_full_table_refuses_and_forgets_nothing() -> None:
    table = nonces.Nonces.in_memory(nonces.BUCKET_SLOTS)
    for i in range(nonces.BUCKET_SLOTS):
        use(table, str(i))
    with pytest.raises(errors.Unavailable):
        use(table, "one more")
    for i in range(nonces.BUCKET_SLOTS):
        with pytest.raises(errors.NonceUsed):
            use(table, str(i))


def test_expired_slots_are_used_again() -> None:
    table = nonces.Nonces.in_memory(nonces.BUCKET_SLOTS)
    for round_ in range(5):
        at_ms = NOW_MS + round_ * 20_000
        for i in range(nonces.BUCKET_SLOTS):
            use(table, f"{round_}-{i}", at_ms, 10_000)


def test_a_slot_freed_in_the_middle_hides_no_nonce_behind_it() -> None:
    """One bucket for all: the short-lived ones stand in front of the long-lived one."""
    table = nonces.Nonces.in_memory(nonces.BUCKET_SLOTS)
    for i in range(nonces.BUCKET_SLOTS - 1):
        use(table, str(i), NOW_MS, 5_000)
    use(table, "long", NOW_MS, KEEP_MS // 2)
    later = NOW_MS + 60_000
    use(table, "new", later)
    with pytest.raises(errors.NonceUsed):
        use(table, "long", later)


def test_a_large_table_takes_four_fifths_of_its_slots_and_knows_them_all() -> None:
    table = nonces.Nonces.in_memory(16_384)
    for i in range(13_107):
        use(table, str(i))
    for i in range(0, 13_107, 13):
        with pytest.raises(errors.NonceUsed):
            use(table, str(i))


def test_expiry_survives_the_wrap_of_its_clock() -> None:
    wrap_ms = (1 << 24) * 1000 * 106
    table = nonces.Nonces.in_memory(64)
    use(table, "n", wrap_ms - 5_000)
    with pytest.raises(errors.NonceUsed):
        use(table, "n", wrap_ms + 5_000)
    use(table, "n", wrap_ms + KEEP_MS)


def test_nonces_survive_a_restart(tmp_path: Path) -> None:
    table = opened(tmp_path / "nonces", first_start=True)
    assert table.not_before_ms == 0
    use(table, "n")
    table.close()
    again = opened(tmp_path / "nonces")
    assert again.not_before_ms == 0
    with pytest.raises(errors.NonceUsed):
        use(again, "n")
    use(again, "m")


def test_nonces_survive_kill_9(tmp_path: Path) -> None:
    """A process of its own, killed while it waits to be: every nonce it reported is remembered."""
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from headrace.access import nonces\n"
        f"t = nonces.Nonces.open(Path(sys.argv[1]), 1024, now_ms={NOW_MS}, boot_id=b'a'*16,"
        " first_start=True)\n"
        "for i in range(100):\n"
        f"    t.use('key', str(i), now_ms={NOW_MS}, until_ms={NOW_MS + KEEP_MS // 2})\n"
        "print('ready', flush=True)\n"
        "sys.stdin.read()\n"
    )
    path = tmp_path / "nonces"
    child = subprocess.Popen(
        [sys.executable, "-c", script, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    os.kill(child.pid, signal.SIGKILL)
    child.communicate()
    table = opened(path)
    assert table.not_before_ms == 0, "the same boot: the kernel kept every page"
    for i in range(100):
        with pytest.raises(errors.NonceUsed):
            use(table, str(i))


def test_after_a_power_loss_older_requests_are_not_trusted(tmp_path: Path) -> None:
    """Open when the machine went down: pages may be lost; only newer dates are taken."""
    opened(tmp_path / "nonces", first_start=True)
    table = opened(tmp_path / "nonces", OTHER_BOOT)
    assert table.not_before_ms == NOW_MS // 1000 * 1000


def test_a_clean_stop_is_trusted_after_a_reboot(tmp_path: Path) -> None:
    table = opened(tmp_path / "nonces", first_start=True)
    use(table, "n")
    table.close()
    again = opened(tmp_path / "nonces", OTHER_BOOT)
    assert again.not_before_ms == 0
    with pytest.raises(errors.NonceUsed):
        use(again, "n")


@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "magic", "resized"])
def test_a_lost_or_damaged_table_is_made_anew_and_distrusts_the_past(
    tmp_path: Path, damage: str
) -> None:
    path = tmp_path / "nonces"
    table = opened(path, first_start=True)
    table.close()
    whole = path.read_bytes()
    if damage == "missing":
        path.unlink()
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "cut":
        path.write_bytes(whole[:-1])
    elif damage == "magic":
        path.write_bytes(b"X" + whole[1:])
    entries = 2048 if damage == "resized" else 1024
    again = opened(path, entries=entries)
    assert again.not_before_ms == NOW_MS // 1000 * 1000
    use(again, "n")


def test_the_file_is_private_and_takes_its_room_at_once(tmp_path: Path) -> None:
    path = tmp_path / "nonces"
    opened(path, first_start=True, entries=1 << 20)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.stat().st_size > 8 * 2**20
    assert path.stat().st_blocks * 512 >= 8 * 2**20


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(st.integers(0, 40), st.integers(0, 4_000), st.integers(1, 20_000)), max_size=120
    )
)
def test_it_agrees_with_a_plain_dictionary(steps: list[tuple[int, int, int]]) -> None:
    """A model of nonce -> end of life, in whole seconds."""
    table = nonces.Nonces.in_memory(256)
    model: dict[int, int] = {}
    now_ms = 1_000_000_000
    for nonce, pause_ms, life_ms in steps:
        now_ms += pause_ms
        is_live = model.get(nonce, 0) > now_ms // 1000
        try:
            use(table, str(nonce), now_ms, life_ms)
        except errors.NonceUsed:
            assert is_live
        else:
            assert not is_live
            model[nonce] = -(-(now_ms + life_ms) // 1000)


def test_a_thousand_replays_are_a_thousand_refusals(tmp_path: Path) -> None:
    path = tmp_path / "nonces"
    chance = random.Random(5)
    table = opened(path, first_start=True, entries=8192)
    sent = [f"{chance.getrandbits(128):032x}" for _ in range(1000)]
    for nonce in sent:
        use(table, nonce)
    table.close()
    again = opened(path, entries=8192)
    for nonce in sent:
        with pytest.raises(errors.NonceUsed):
            use(again, nonce)


@pytest.mark.parametrize("old_size", [None, 1024 * 8 + 4096])
def test_the_table_has_its_room_on_the_disk_from_the_start(
    tmp_path: Path, old_size: int | None
) -> None:
    """A page that finds no room when a nonce is written to it ends the process without a word."""
    path = tmp_path / "nonces"
    if old_size is not None:  # as older versions left it: sparse
        with path.open("wb") as file:
            file.truncate(old_size)
    table = opened(path)
    assert path.stat().st_blocks * 512 >= 1024 * 8
    table.close()


HOUR_MS = 3_600_000


def test_what_was_in_date_before_the_clock_went_back_is_refused_by_its_date() -> None:
    """An hour ahead, its nonce made room; back again, the request would be in date."""
    table = nonces.Nonces.in_memory(nonces.BUCKET_SLOTS)
    table.seen(NOW_MS)
    use(table, "captured")
    table.seen(NOW_MS + HOUR_MS)
    for i in range(nonces.BUCKET_SLOTS):
        use(table, str(i), NOW_MS + HOUR_MS, 10_000)
    table.seen(NOW_MS + 3_000)
    assert table.not_before_ms > NOW_MS
    assert table.not_before_ms <= NOW_MS + 3_000, "who signs now is not refused"


def test_a_small_step_back_refuses_only_what_was_out_of_date() -> None:
    table = nonces.Nonces.in_memory(64)
    table.seen(NOW_MS)
    table.seen(NOW_MS - 1_000)
    assert table.not_before_ms == NOW_MS // 1000 * 1000 - KEEP_MS // 2


def test_a_clock_that_goes_on_refuses_nothing() -> None:
    table = nonces.Nonces.in_memory(64)
    for step in range(5):
        table.seen(NOW_MS + step * HOUR_MS)
    assert table.not_before_ms == 0


def test_a_step_back_while_the_server_was_down_is_seen_at_the_start(tmp_path: Path) -> None:
    first = opened(tmp_path / "nonces", first_start=True)
    first.seen(NOW_MS + HOUR_MS)
    first.close()
    assert opened(tmp_path / "nonces").not_before_ms == NOW_MS // 1000 * 1000


def test_nonces_of_an_hour_ahead_wait_for_the_clock_to_catch_up() -> None:
    table = nonces.Nonces.in_memory(nonces.BUCKET_SLOTS)
    use(table, "ahead", NOW_MS + HOUR_MS)
    for round_ in range(40):
        use(table, str(round_), NOW_MS + round_ * 20_000, 10_000)
    with pytest.raises(errors.NonceUsed):
        use(table, "ahead", NOW_MS + HOUR_MS - 60_000)
