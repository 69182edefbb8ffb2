"""Code packages (spec/security.md S10): what is refused, by name, with nothing left behind."""

from __future__ import annotations

import io
import os
import stat
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from headrace.core import errors
from headrace.functions import package

Entry = tuple[str, bytes, int]


def packed(*entries: Entry | tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip of (name, content[, unix mode]); names go in as they are, however bad."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, content, *mode in entries:
            info = zipfile.ZipInfo("x")
            info.filename = name
            info.compress_type = method
            info.external_attr = (mode[0] if mode else stat.S_IFREG | 0o644) << 16
            archive.writestr(info, content)
    return out.getvalue()


def link(name: str, target: str) -> Entry:
    return (name, target.encode(), stat.S_IFLNK | 0o777)


def everything(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*")}


def unpacked(data: bytes, root: Path) -> Path:
    place = root / "cache" / "digest"
    package.unpack(io.BytesIO(data), place)
    return place


def refused(data: bytes, root: Path) -> str:
    """The message of the refusal, after a look that nothing was left anywhere."""
    (root / "cache").mkdir(exist_ok=True)
    before = everything(root)
    with pytest.raises(errors.PackageInvalid) as caught:
        unpacked(data, root)
    assert everything(root) == before
    return caught.value.message


def test_files_folders_and_links_are_unpacked_read_only(tmp_path: Path) -> None:
    data = packed(
        ("index.py", b"print(1)\n"),
        ("bin/tool", b"#!/bin/sh\n", stat.S_IFREG | 0o755),
        ("empty/", b"", stat.S_IFDIR | 0o755),
        ("./dotted/./name.txt", b"x"),
        link("latest", "bin/tool"),
        link("bin/up", "../index.py"),
    )
    place = unpacked(data, tmp_path)
    assert everything(place) == {
        "index.py", "bin", "bin/tool", "empty", "dotted", "dotted/name.txt", "latest", "bin/up",
    }  # fmt: skip
    assert (place / "index.py").read_bytes() == b"print(1)\n"
    assert (place / "bin/up").read_bytes() == b"print(1)\n"
    modes = {name: stat.S_IMODE((place / name).stat().st_mode) for name in ("index.py", "bin/tool")}
    assert modes == {"index.py": 0o444, "bin/tool": 0o555}
    assert everything(tmp_path / "cache") >= {"digest"}
    assert len(list((tmp_path / "cache").iterdir())) == 1
    package.remove(place)
    assert not place.exists()


BAD_NAMES = {
    "absolute": ("/etc/passwd", "has an absolute path"),
    "parent": ("../evil", "leaves the package by '..'"),
    "parent inside": ("a/b/../../../evil", "leaves the package by '..'"),
    "harmless parent": ("a/../b", "leaves the package by '..'"),
    "backslash": ("a\\..\\evil", "has a backslash"),
    "drive": ("C:/evil", "begins with a drive name"),
    "nul": ("a\0b", "has a control character"),
    "newline": ("a\nb", "has a control character"),
    "empty part": ("a//b", "has an empty part"),
    "long path": ("/".join(["a" * 200] * 6), "longer than 1024 bytes"),
    "long part": ("a" * 256, "longer than 255 bytes"),
    "deep": ("/".join(["a"] * 65), "deeper than 64 folders"),
}


@pytest.mark.parametrize("case", BAD_NAMES)
def test_bad_name_is_refused(tmp_path: Path, case: str) -> None:
    name, why = BAD_NAMES[case]
    message = refused(packed(("good.py", b"x"), (name, b"evil")), tmp_path)
    assert why in message
    shown = ascii(name[:200])[1:-1]
    assert f"Member '{shown}'" in message


BAD_KINDS = {
    "character device": (stat.S_IFCHR | 0o666, "device, a pipe or a socket"),
    "block device": (stat.S_IFBLK | 0o666, "device, a pipe or a socket"),
    "fifo": (stat.S_IFIFO | 0o666, "device, a pipe or a socket"),
    "socket": (stat.S_IFSOCK | 0o666, "device, a pipe or a socket"),
    "setuid": (stat.S_IFREG | 0o4755, "setuid or setgid"),
    "setgid": (stat.S_IFREG | 0o2755, "setuid or setgid"),
}


@pytest.mark.parametrize("case", BAD_KINDS)
def test_bad_kind_of_file_is_refused(tmp_path: Path, case: str) -> None:
    mode, why = BAD_KINDS[case]
    assert why in refused(packed(("bad", b"", mode)), tmp_path)


BAD_LINKS: dict[str, list[Entry | tuple[str, bytes]]] = {
    "absolute": [link("l", "/etc/passwd")],
    "parent": [link("l", "../x")],
    "deep parent": [link("a/b/l", "../../../x")],
    "through another link": [link("d/e/s", "../.."), link("t", "d/e/s/..")],
    "chain": [link("a", "b"), link("b", "c"), link("c", "../out")],
    "loop": [link("a", "b"), link("b", "a")],
    "empty": [link("l", "")],
    "long": [link("l", "a" * 2000)],
    "write through": [link("l", "."), ("l/evil", b"x")],
    "write through out": [link("l", "sub"), ("sub/x", b"x"), ("l/evil", b"x")],
    "folder of a link": [link("l", "sub"), ("l/", b"", stat.S_IFDIR | 0o755)],
}


@pytest.mark.parametrize("case", BAD_LINKS)
def test_link_that_leaves_the_package_is_refused(tmp_path: Path, case: str) -> None:
    message = refused(packed(*BAD_LINKS[case]), tmp_path)
    assert message.startswith("Member '")


DOUBLES: dict[str, list[tuple[str, bytes]]] = {
    "same": [("a", b"1"), ("a", b"2")],
    "case": [("Index.py", b"1"), ("index.PY", b"2")],
    "case of sharp s": [("stra\u00dfe", b"1"), ("STRASSE", b"2")],
    "composed": [("caf\u00e9", b"1"), ("cafe\u0301", b"2")],
    "dotted": [("./a", b"1"), ("a", b"2")],
    "file and folder": [("a", b"1"), ("a/b", b"2")],
}


@pytest.mark.parametrize("case", DOUBLES)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_members_for_one_place_are_refused(tmp_path: Path, case: str) -> None:
    message = refused(packed(*DOUBLES[case]), tmp_path)
    assert "same name" in message or "not a folder" in message


def test_bomb_is_refused_by_its_ratio(tmp_path: Path) -> None:
    """11 MiB of zeros pack 1000:1; below 10 MiB the ratio is nobody's business."""
    assert "packed more than 200:1" in refused(packed(("zeros", bytes(11 << 20))), tmp_path)
    place = unpacked(packed(("zeros", bytes(9 << 20))), tmp_path)
    assert (place / "zeros").stat().st_size == 9 << 20


def test_total_size_is_limited_by_what_the_zip_declares(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(package, "UNPACKED_BYTES_MAX", 1000)
    data = packed(("a", bytes(600)), ("b", bytes(600)))
    assert "Member 'b' of the code package brings the package over" in refused(data, tmp_path)


def changed(data: bytes, field: int, value: bytes) -> bytes:
    """Overwrite a field of the last directory entry."""
    at = data.rindex(b"PK\x01\x02") + field
    return data[:at] + value + data[at + len(value) :]


def test_declared_size_smaller_than_the_content_is_found_while_extracting(tmp_path: Path) -> None:
    data = packed(("ok", b"x"), ("lies", os.urandom(5000)))
    lie = changed(data, 24, struct.pack("<I", 10))
    assert "not a readable zip" in refused(lie, tmp_path)


@pytest.mark.parametrize("field", [16, 20, 42], ids=["crc", "packed-size", "offset"])
def test_zip_that_contradicts_itself_is_refused(tmp_path: Path, field: int) -> None:
    data = packed(("a", b"x" * 100), ("b", b"y" * 100))
    lie = changed(data, field, struct.pack("<I", 3))
    assert "not a readable zip" in refused(lie, tmp_path)


def test_encrypted_member_is_refused(tmp_path: Path) -> None:
    data = changed(packed(("a", b"x")), 8, struct.pack("<H", 1))
    assert "is encrypted" in refused(data, tmp_path)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_compressions_are_refused(tmp_path: Path, method: int) -> None:
    """LZMA lets the zip choose how much memory unpacking takes."""
    assert "compression other than deflate" in refused(packed(("a", b"x"), method=method), tmp_path)


def test_too_many_members_are_refused_before_they_are_read(tmp_path: Path) -> None:
    """50,001 entries cost no 50,001 objects: the memory it takes shows that nobody made them."""
    entry = b"PK\x01\x02" + bytes(42) + b"x"
    data = entry * 50_001 + b"PK\x05\x06" + bytes(18)
    tracemalloc.start()
    message = refused(data, tmp_path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "more than 50000 members" in message
    assert peak < 6_000_000


@pytest.mark.parametrize(
    "data",
    [b"", b"x", b"PK", b"PK\x05\x06", b"Rar!\x1a\x07", b"\x1f\x8b\x08" + bytes(50), bytes(1000)],
)
def test_what_is_no_zip_is_refused(tmp_path: Path, data: bytes) -> None:
    assert "code package" in refused(data, tmp_path)


@pytest.mark.parametrize("cut", [1, 10, 30, 60, 100])
def test_zip_that_was_cut_off_is_refused(tmp_path: Path, cut: int) -> None:
    data = packed(("a", b"x" * 50), ("b", b"y" * 50))
    refused(data[:-cut], tmp_path)


def test_empty_zip_is_an_empty_folder(tmp_path: Path) -> None:
    assert everything(unpacked(packed(), tmp_path)) == set()


def test_disk_that_is_full_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(package, "_make_read_only", fail)
    with pytest.raises(OSError, match="No space left"):
        unpacked(packed(("a/b", b"x")), tmp_path)
    assert everything(tmp_path) == {"cache"}


def test_faster_caller_keeps_its_result(tmp_path: Path) -> None:
    place = unpacked(packed(("first", b"1")), tmp_path)
    package.unpack(io.BytesIO(packed(("second", b"2"))), place)
    assert everything(place) == {"first"}
    assert everything(tmp_path / "cache") == {"digest", "digest/first"}


def test_large_members_are_streamed(tmp_path: Path) -> None:
    """Memory does not grow with the size of a member."""
    data = packed(("large", os.urandom(1 << 16) * 256))
    tracemalloc.start()
    unpacked(data, tmp_path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3_000_000


MUTATIONS: list[Callable[[bytes, int], bytes]] = [
    lambda data, at: data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :],
    lambda data, at: data[:at] + data[at + 1 :],
    lambda data, at: data[:at] + b"\0" + data[at:],
    lambda data, at: data[:at],
]


@pytest.mark.parametrize("mutation", range(len(MUTATIONS)))
def test_damaged_zips_are_unpacked_or_refused_and_never_escape(
    tmp_path: Path, mutation: int
) -> None:
    """Every byte of a small zip changed, dropped, doubled, cut: PackageInvalid and no other."""
    data = packed(("a.py", b"x = 1\n"), link("l", "a.py"), ("d/", b"", stat.S_IFDIR | 0o755))
    root = tmp_path / "root"
    root.joinpath("cache").mkdir(parents=True)
    tried = 0
    for at in range(len(data)):
        tried += 1
        place = root / "cache" / str(at)
        try:
            package.unpack(io.BytesIO(MUTATIONS[mutation](data, at)), place)
        except errors.PackageInvalid:
            assert not place.exists()
    assert tried == len(data)
    assert everything(tmp_path) <= {"root", *(f"root/{name}" for name in everything(root))}
    left = [name for name in os.listdir(root / "cache") if name.startswith("unpacking-")]
    assert left == []
