"""Backups of a directory whose owner goes on working: whole, of one instant, never half taken."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import apsw
import msgspec
import pytest

from headrace import doctor, outside
from headrace.backup import making, restoring, vault
from headrace.bus import commit
from headrace.bus import ledger as ledgers
from headrace.store import ports, sqlite
from headrace.store.settings import JournalSettings
from headrace.store.sqlite import capture, directory, segment
from headrace.store.sqlite import disk as disks

pytestmark = pytest.mark.anyio

BUS, RULE, TARGET = 1, 101, 5
SMALL = JournalSettings(roll_events=8)


class World:
    """A directory with a registry, code and a log, as `app` opens them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.directory = sqlite.Directory.open(path)
        self.writer = outside.writer_executor("test")
        self.ledger = ledgers.Ledger()
        self.registry = sqlite.SqliteRegistry(self.directory, outside.SystemClock())
        self.blobs = sqlite.FileBlobs(self.directory.blobs)
        self.records = sqlite.SqliteRecords(self.directory)
        self.journal = sqlite.SqliteJournal(
            self.directory,
            0,
            writer=self.writer,
            settings=SMALL,
            snapshot=lambda: (self.ledger.last, self.ledger.dump()),
        )
        self.committer = commit.Committer(
            self.journal, self.ledger, outside.SystemClock(), broken=lambda fault: None
        )

    async def open(self) -> None:
        await self.registry.open()
        await self.records.open()
        opened = await self.journal.open()
        self.ledger = ledgers.Ledger.load(opened.state)
        async for replayed in self.journal.replay(opened.at):
            self.ledger.apply(replayed.frame, replayed.last)
        self.committer = commit.Committer(
            self.journal, self.ledger, outside.SystemClock(), broken=lambda fault: None
        )
        self.committer.start()
        rules = msgspec.msgpack.encode(ledgers.RuleSnapshot((RULE,), (RULE,)))
        self.committer.mark(f"{ledgers.RULES_MARK}{BUS}/1", rules)

    async def close(self) -> None:
        await self.committer.close()
        await self.journal.save(self.ledger.last, self.ledger.dump())
        await self.journal.close()
        await self.records.close()
        await self.registry.close()
        self.writer.shutdown()
        self.directory.close()

    async def publish(self, events: int) -> list[int]:
        return [
            await self.committer.append(
                (ports.Record(BUS, 0, 0, 0, 1, (-RULE, TARGET), b'{"n":%d}' % number),)
            )
            for number in range(events)
        ]

    async def deliver(self, position: int) -> None:
        done = ports.Settlement(ports.Position(position), TARGET, ports.Verdict.DELIVERED)
        await self.committer.append((), (done,))

    async def edit(self, name: str) -> ports.Revision:
        change = ports.Change(f"1/bus/{name}", b"{}")
        return await self.registry.commit([change])


@asynccontextmanager
async def world(path: Path) -> AsyncIterator[World]:
    made = World(path)
    await made.open()
    try:
        yield made
    finally:
        await made.close()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def dest(tmp_path: Path) -> Path:
    return tmp_path / "backup"


async def back_up(data: Path, dest: Path, *, incremental: bool = False) -> making.Made:
    """As the command does it: from a thread that is not the owner's."""
    clock = outside.SystemClock()
    return await asyncio.to_thread(making.make, data, dest, incremental=incremental, clock=clock)


async def examined(path: Path) -> doctor.Report:
    return await asyncio.to_thread(doctor.check, path)


async def restored(dest: Path, to: Path) -> doctor.Report:
    """Restore and recount; the report counts events and open deliveries."""
    await asyncio.to_thread(restoring.restore, dest, to)
    return await examined(to)


def segments(made: making.Made) -> dict[str, vault.Entry]:
    return {entry.name: entry for entry in made.manifest.files if entry.kind == "segment"}


def version(path: Path, number: int) -> None:
    path.mkdir(exist_ok=True)
    (path / "VERSION").write_text(json.dumps({"format": number}))


async def once(chunk: bytes) -> AsyncIterator[bytes]:
    yield chunk


# -- whole


async def test_a_backup_of_a_directory_at_work_restores_to_the_same(
    data: Path, dest: Path, tmp_path: Path
) -> None:
    async with world(data) as owner:
        positions = await owner.publish(30)
        for position in positions[:25]:
            await owner.deliver(position)
        digest = await owner.blobs.put(once(b"code"), 100)
        revision = await owner.edit("b")
        number = await owner.registry.intern("a-name")
        owner.records.write(ports.LogLine(1_700_000_000_000, "f", "r", "log", b"said"))
        assert await owner.records.read(ports.LineQuery("f"))
        made = await back_up(data, dest)
        await owner.publish(3)
    assert made.manifest.revision == revision
    assert made.manifest.accounts == ["1"]
    report = await restored(dest, tmp_path / "new")
    assert (report.problems, report.events, report.open) == ([], 30, 5)
    async with world(tmp_path / "new") as again:
        assert [v.key for v in again.registry.list("1/").items] == ["1/bus/b"]
        assert again.registry.interned("a-name") == number
        assert (await again.blobs.path(digest)).read_bytes() == b"code"
        assert [line.body for line in await again.records.read(ports.LineQuery("f"))] == [b"said"]
        assert await again.journal.verify() == []
        (more,) = await again.publish(1)
        assert more > positions[-1]


async def test_the_keys_stay_where_they_are_and_the_backup_says_so(
    data: Path, dest: Path, tmp_path: Path
) -> None:
    async with world(data) as owner:
        await owner.publish(1)
    (data / "credentials.json").write_text("{}")
    (data / "master.key").write_text("secret")
    made = await back_up(data, dest)
    assert {"credentials.json", "master.key"} <= set(made.manifest.left_out)
    assert not any(b"secret" in path.read_bytes() for path in (dest / "files").iterdir())
    await restored(dest, tmp_path / "new")
    assert not (tmp_path / "new" / "credentials.json").exists()


async def test_every_backup_under_load_holds_what_was_acknowledged_before_it_began(
    data: Path, dest: Path, tmp_path: Path
) -> None:
    """Rolls, seals, trims and edits go on during each; the books of each balance."""
    async with world(data) as owner:
        stop, thirty = asyncio.Event(), asyncio.Event()
        acked: list[int] = []

        async def load() -> None:
            while not stop.is_set():
                (position,) = await owner.publish(1)
                acked.append(position)
                await owner.deliver(position)
                if len(acked) % 30 == 0:
                    thirty.set()
                if len(acked) % 5 == 0:
                    await owner.edit(f"b{len(acked)}")
                if len(acked) % 40 == 0:
                    kept = (await owner.journal.segments())[-4:]
                    await owner.journal.trim(kept[0].first)

        loading = asyncio.create_task(load())
        for turn in range(6):
            await thirty.wait()
            thirty.clear()
            before = acked[-1]
            made = await back_up(data, dest, incremental=True)
            assert made.manifest.positions["0"] >= before
            report = await restored(dest, tmp_path / str(turn))
            assert report.problems == []
        stop.set()
        await loading


# -- incremental


async def test_what_the_backup_has_is_not_copied_again(data: Path, dest: Path) -> None:
    async with world(data) as owner:
        await owner.publish(30)
        await owner.blobs.put(once(b"code"), 100)
        await owner.journal.quiesce()
        first = await back_up(data, dest)
        sealed = {name: one for name, one in segments(first).items() if one.sealed}
        assert len(sealed) == 3
        inodes = {
            one.sha256: (dest / "files" / one.sha256).stat().st_ino for one in sealed.values()
        }
        await owner.publish(20)
        await owner.journal.quiesce()
        second = await back_up(data, dest, incremental=True)
    now = segments(second)
    assert all(now[name] == one for name, one in sealed.items())
    assert {sha: (dest / "files" / sha).stat().st_ino for sha in inodes} == inodes
    # Anew: the head and two that were sealed since, the registry at most.
    assert second.files_copied <= 4
    assert second.files_kept >= len(sealed) + 1
    named = {entry.sha256 for entry in second.manifest.files}
    assert {path.name for path in (dest / "files").iterdir()} == named
    assert second.files_removed >= 1


async def test_a_second_backup_to_one_place_needs_a_word(data: Path, dest: Path) -> None:
    async with world(data) as owner:
        await owner.publish(1)
    await back_up(data, dest)
    with pytest.raises(vault.BackupError, match="holds a backup already"):
        await back_up(data, dest)


async def test_a_place_with_something_else_is_left_alone(data: Path, tmp_path: Path) -> None:
    async with world(data) as owner:
        await owner.publish(1)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "1.jpg").write_text("x")
    for incremental in (False, True):
        with pytest.raises(vault.BackupError, match="something else"):
            await back_up(data, tmp_path / "photos", incremental=incremental)
    with pytest.raises(vault.BackupError, match="contain each other"):
        await back_up(data, data / "backup")
    with pytest.raises(vault.BackupError, match="no data directory"):
        await back_up(tmp_path / "photos", tmp_path / "b")
    assert os.listdir(tmp_path / "photos") == ["1.jpg"]


async def test_two_backups_to_one_place_at_once_are_refused(data: Path, dest: Path) -> None:
    async with world(data) as owner:
        await owner.publish(1)
    with vault.Vault(dest).writing(), pytest.raises(vault.BackupError, match="another backup"):
        await back_up(data, dest, incremental=True)


async def test_a_segment_that_rots_never_takes_the_place_of_its_good_copy(
    data: Path, dest: Path, tmp_path: Path
) -> None:
    async with world(data) as owner:
        await owner.publish(30)
        await owner.journal.quiesce()
    await back_up(data, dest)
    oldest = min((data / "shard-0000").glob("*.seg"))
    content = oldest.read_bytes()
    oldest.write_bytes(content.replace(b'{"n":3}', b'{"n":4}'))
    with pytest.raises(ports.Corrupt, match="holds it whole"):
        await back_up(data, dest, incremental=True)
    report = await restored(dest, tmp_path / "new")
    assert (report.problems, report.events) == ([], 30)


async def test_code_that_rots_is_not_backed_up(data: Path, dest: Path) -> None:
    async with world(data) as owner:
        await owner.publish(1)
        digest = await owner.blobs.put(once(b"code"), 100)
        (await owner.blobs.path(digest)).write_bytes(b"cope")
    with pytest.raises(ports.Corrupt, match=digest):
        await back_up(data, dest)


# -- interrupted


class _CutShort(Exception):
    """The power went."""


@pytest.fixture
def cut(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Let the n-th step that writes to a backup be its last; the list holds n."""
    left = [-1]

    def guarded(name: str) -> None:
        plain = getattr(vault.Vault, name)

        def step(self: vault.Vault, *arguments: object) -> object:
            left[0] -= 1
            if left[0] == 0:
                raise _CutShort
            return plain(self, *arguments)

        monkeypatch.setattr(vault.Vault, name, step)

    for name in ("put", "commit"):
        guarded(name)
    return left


async def test_a_backup_cut_short_at_any_step_is_never_taken_for_a_whole_one(
    data: Path, dest: Path, tmp_path: Path, cut: list[int]
) -> None:
    async with world(data) as owner:
        await owner.publish(20)
        await owner.blobs.put(once(b"code"), 100)
        await owner.edit("b")
        await owner.journal.quiesce()
        steps = 0
        while True:
            steps += 1
            cut[0] = steps
            place = tmp_path / f"cut-{steps}"
            try:
                await back_up(data, place)
            except _CutShort:
                with pytest.raises(vault.BackupError, match="no whole backup"):
                    await asyncio.to_thread(restoring.check, place)
                cut[0] = -1
                await back_up(data, place, incremental=True)  # and it can be gone on with
                assert (await asyncio.to_thread(restoring.check, place))[1] == []
                continue
            break
    assert steps > 5


async def test_an_increment_cut_short_leaves_the_backup_before_as_it_was(
    data: Path, dest: Path, tmp_path: Path, cut: list[int]
) -> None:
    async with world(data) as owner:
        await owner.publish(20)
        first = await back_up(data, dest)
        for steps in range(1, 20):
            await owner.publish(9)
            cut[0] = steps
            try:
                await back_up(data, dest, incremental=True)
            except _CutShort:
                manifest, problems = await asyncio.to_thread(restoring.check, dest)
                assert (manifest, problems) == (first.manifest, [])
                continue
            break
        assert steps > 3
    report = await restored(dest, tmp_path / "new")
    assert report.problems == []


# -- restoring


async def make(data: Path, dest: Path) -> making.Made:
    async with world(data) as owner:
        await owner.publish(20)
        await owner.blobs.put(once(b"code"), 100)
        await owner.journal.quiesce()
    return await back_up(data, dest)


async def test_any_changed_byte_is_found_before_anything_is_written(
    data: Path, dest: Path, tmp_path: Path
) -> None:
    made = await make(data, dest)
    for entry in made.manifest.files:
        path = dest / "files" / entry.sha256
        content = path.read_bytes()
        changed = bytearray(content)
        changed[len(content) // 2] ^= 1
        for broken in (bytes(changed), content[:-1], None):
            path.unlink()
            if broken is not None:
                path.write_bytes(broken)
            _, problems = await asyncio.to_thread(restoring.check, dest)
            assert len(problems) == 1
            assert entry.name in problems[0]
            with pytest.raises(vault.BackupError, match="nothing was restored"):
                restoring.restore(dest, tmp_path / "new")
            assert not (tmp_path / "new").exists()
            path.write_bytes(content)


async def test_any_changed_byte_of_the_manifest_is_found(data: Path, dest: Path) -> None:
    await make(data, dest)
    path = dest / "manifest.json"
    content = path.read_bytes()
    for at in range(0, len(content), 7):
        changed = bytearray(content)
        changed[at] ^= 1
        path.write_bytes(changed)
        try:
            manifest, problems = restoring.check(dest)
        except vault.BackupError:
            continue
        # A bit of the outer frame that JSON takes either way: the content is what was sealed.
        assert problems == []
        assert manifest.files
    path.write_bytes(content)
    assert restoring.check(dest)[1] == []


async def test_a_manifest_that_names_a_place_outside_is_refused(data: Path, dest: Path) -> None:
    made = await make(data, dest)
    for name in ("../evil", "shard-0000/../../x.seg", "credentials.json", "/etc/passwd"):
        evil = msgspec.structs.replace(made.manifest.files[0], name=name)
        manifest = msgspec.structs.replace(made.manifest, files=[evil])
        vault.Vault(dest).commit(manifest)
        with pytest.raises(vault.BackupError, match="no file of a data directory"):
            restoring.check(dest)


async def test_a_later_backup_is_refused(data: Path, dest: Path) -> None:
    made = await make(data, dest)
    later = msgspec.structs.replace(made.manifest, data_format=directory.FORMAT + 1)
    vault.Vault(dest).commit(later)
    with pytest.raises(vault.BackupError, match="has format 2") as caught:
        restoring.check(dest)
    assert "which made the backup" in caught.value.remedy
    vault.Vault(dest).commit(msgspec.structs.replace(made.manifest, format=vault.FORMAT + 1))
    with pytest.raises(vault.BackupError, match="has format 2"):
        restoring.check(dest)


async def test_a_directory_in_use_or_not_empty_is_refused(
    data: Path, dest: Path, tmp_path: Path
) -> None:
    await make(data, dest)
    async with world(tmp_path / "other"):
        with pytest.raises(vault.BackupError, match=f"in use by .* {os.getpid()}"):
            restoring.restore(dest, tmp_path / "other")
    with pytest.raises(vault.BackupError, match="not empty"):
        restoring.restore(dest, tmp_path / "other")
    (tmp_path / "empty").mkdir()
    restoring.restore(dest, tmp_path / "empty")
    assert (await examined(tmp_path / "empty")).problems == []


async def test_a_restore_cut_short_leaves_no_directory_that_a_server_takes(
    data: Path, dest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await make(data, dest)
    plain = restoring._copy
    for steps in range(len(made.manifest.files)):
        left = steps

        def copy(*arguments: object) -> None:
            nonlocal left
            if left == 0:
                raise _CutShort
            left -= 1
            plain(*arguments)

        monkeypatch.setattr(restoring, "_copy", copy)
        target = tmp_path / f"cut-{steps}"
        with pytest.raises(_CutShort):
            restoring.restore(dest, target)
        assert not (target / "VERSION").exists()
        if any(target.iterdir()):
            with pytest.raises(directory.DirectoryForeign):
                sqlite.Directory.open(target)


async def test_a_disk_without_room_is_named_before_anything_is_written(
    data: Path, dest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await make(data, dest)

    class Usage:
        free = made.manifest.bytes - 1

    monkeypatch.setattr(restoring.shutil, "disk_usage", lambda _path: Usage)
    with pytest.raises(vault.BackupError, match="has room for"):
        restoring.restore(dest, tmp_path / "new")
    assert os.listdir(tmp_path / "new") == []


# -- the instant


async def test_an_edit_between_the_heads_and_the_registry_makes_it_look_again(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(data) as owner:
        await owner.publish(1)
        revision = await owner.edit("a")
    plain, turns = capture._chain, []

    def chain(*arguments: object) -> object:
        held = plain(*arguments)
        if not turns:
            connection = apsw.Connection(str(data / "registry.db"))
            connection.execute("UPDATE meta SET revision = revision + 1")
            connection.close()
        turns.append(1)
        return held

    monkeypatch.setattr(capture, "_chain", chain)
    with capture.instant(data, disks.Disk()) as instant:
        assert instant.revision == revision + 1
    assert len(turns) == 2


async def test_a_file_trimmed_after_it_was_listed_makes_it_look_again(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(data) as owner:
        await owner.publish(30)
        await owner.journal.quiesce()
    plain, gone = segment.listed, []

    def listed(folder: Path) -> list[Path]:
        found = plain(folder)
        if not gone:
            gone.append(found[0])
            found[0].unlink()
        return found

    monkeypatch.setattr(capture.segments, "listed", listed)
    with capture.instant(data, disks.Disk()) as instant:
        names = [Path(held.name).name for held in instant.shards[0]]
    assert gone[0].name not in names
    assert len(names) == 3


async def test_a_file_missing_in_the_middle_is_named(data: Path, dest: Path) -> None:
    async with world(data) as owner:
        await owner.publish(30)
        await owner.journal.quiesce()
    missing = sorted((data / "shard-0000").glob("*.seg"))[1]
    missing.unlink()
    with pytest.raises(ports.Corrupt, match=f"{missing.name} is missing"):
        await back_up(data, dest)


async def test_a_directory_no_server_ever_ran_on_is_refused(data: Path, dest: Path) -> None:
    version(data, directory.FORMAT)
    with pytest.raises(ports.StoreError, match="no registry"):
        await back_up(data, dest)
    version(data, directory.FORMAT + 1)
    with pytest.raises(vault.BackupError, match="has format 2"):
        await back_up(data, dest)
