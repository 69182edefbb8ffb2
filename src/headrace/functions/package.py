"""Code packages: check a zip and unpack it into a directory without trusting a byte of it.

Owns the rules of what a package may contain (`../spec/security.md` S10). Must never write outside
the directory it is given, never follow a link of the package, and leave nothing behind when it
refuses.
"""

from __future__ import annotations

import os
import shutil
import stat
import struct
import tempfile
import unicodedata
import zipfile
import zlib
from pathlib import Path
from typing import IO

import msgspec

from headrace.core import errors

#: Members of a code package; a package beyond any of these bounds is refused at upload.
MEMBERS_MAX = 50_000
#: Bytes of a code package when unpacked.
UNPACKED_BYTES_MAX = 500 * 1024 * 1024
#: Above this many unpacked bytes the ratio is limited too.
RATIO_FREE_BYTES = 10 * 1024 * 1024
#: How many times larger a member may be than in its package: more is a zip bomb.
RATIO_MAX = 200
#: Folders inside each other in a code package.
DEPTH_MAX = 64
#: Bytes of a path in a code package.
PATH_BYTES_MAX = 1024
#: Bytes of one name in such a path.
PART_BYTES_MAX = 255
#: Bytes of where a link in a code package leads.
LINK_BYTES_MAX = 1024
#: Links that lead to links in a code package.
LINK_HOPS_MAX = 40
CHUNK_BYTES = 64 * 1024

_DIRECTORY_ENTRY = b"PK\x01\x02"
_ENCRYPTED = 0x1
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)

#: What `zipfile` and what it calls raise for a zip that contradicts itself. OSError is not among
#: them: a full disk is not the package's fault.
_UNREADABLE = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    ValueError,
    OverflowError,
    RuntimeError,
)

Parts = tuple[str, ...]


class Listing(msgspec.Struct, frozen=True):
    """What a package holds, after every check that needs no extraction."""

    files: dict[Parts, zipfile.ZipInfo]
    folders: set[Parts]
    #: Link -> the text it holds, proven to stay inside the package.
    links: dict[Parts, str]


def unpack(source: IO[bytes], destination: Path) -> None:
    """Check the zip `source` and unpack it to `destination`, which must not exist.

    All or nothing: members go to a temporary directory beside `destination`, which is renamed when
    the last byte is right. When another caller was faster, its result stays. Raises:
    errors.PackageInvalid naming the member.
    """
    try:
        with zipfile.ZipFile(_bounded(source)) as archive:
            listing = inspect(archive)
            _extract_and_rename(archive, listing, destination)
    except _UNREADABLE as error:
        raise errors.PackageInvalid(f"The code package is not a readable zip: {error}") from error


def inspect(archive: zipfile.ZipFile) -> Listing:
    """Check everything the directory of the zip says, before a single member is extracted."""
    listing = Listing(files={}, folders=set(), links={})
    seen: dict[str, str] = {}
    total = 0
    for info in archive.infolist():
        parts = _parts_of(info)
        kind = _kind_of(info)
        total += info.file_size
        _check_size(info, total)
        if not parts:
            continue
        _check_unique(seen, parts, info.orig_filename)
        if kind == stat.S_IFDIR:
            listing.folders.add(parts)
        elif kind == stat.S_IFLNK:
            listing.links[parts] = _link_text(archive, info)
        else:
            listing.files[parts] = info
    _check_parents(listing)
    _check_links(listing)
    return listing


def _bounded(source: IO[bytes]) -> IO[bytes]:
    """Refuse a zip with too many members before `zipfile` builds an object for each of them."""
    size = source.seek(0, os.SEEK_END)
    source.seek(0)
    count = 0
    tail = b""
    while chunk := source.read(CHUNK_BYTES):
        joined = tail + chunk
        count += joined.count(_DIRECTORY_ENTRY)
        tail = joined[-3:]
        if count > MEMBERS_MAX:
            raise errors.PackageInvalid(
                f"The code package has more than {MEMBERS_MAX} members.", expected=MEMBERS_MAX
            )
    if size == 0:
        raise errors.PackageInvalid("The code package is empty.")
    source.seek(0)
    return source


def _refuse(name: str, why: str) -> errors.PackageInvalid:
    shown = ascii(name[:200])[1:-1]
    return errors.PackageInvalid(f"Member '{shown}' of the code package {why}.", got=shown)


def _parts_of(info: zipfile.ZipInfo) -> Parts:
    """Split a member's name; empty for the root itself."""
    # filename is already cut at a NUL byte by zipfile, so it is the original that is judged.
    name = info.orig_filename
    if any(ord(letter) < 32 or ord(letter) == 127 for letter in name):
        raise _refuse(name, "has a control character in its name")
    if "\\" in name:
        raise _refuse(name, "has a backslash in its name")
    if name.startswith("/"):
        raise _refuse(name, "has an absolute path")
    if len(name) > 1 and name[1] == ":" and name[0].isalpha():
        raise _refuse(name, "begins with a drive name")
    if len(name.encode("utf-8", "surrogatepass")) > PATH_BYTES_MAX:
        raise _refuse(name, f"has a path longer than {PATH_BYTES_MAX} bytes")
    return _clean(name)


def _clean(name: str) -> Parts:
    parts = tuple(part for part in name.rstrip("/").split("/") if part != ".")
    if parts == ("",):
        return ()
    if len(parts) > DEPTH_MAX:
        raise _refuse(name, f"is nested deeper than {DEPTH_MAX} folders")
    for part in parts:
        if part == "..":
            raise _refuse(name, "leaves the package by '..'")
        if not part:
            raise _refuse(name, "has an empty part in its path")
        try:
            encoded = part.encode()
        except UnicodeEncodeError as error:
            raise _refuse(name, "has a name that is not text") from error
        if len(encoded) > PART_BYTES_MAX:
            raise _refuse(name, f"has a name longer than {PART_BYTES_MAX} bytes")
    return parts


def _kind_of(info: zipfile.ZipInfo) -> int:
    """Return S_IFREG, S_IFDIR or S_IFLNK; refuse every other kind of file."""
    name = info.orig_filename
    mode = info.external_attr >> 16
    kind = stat.S_IFMT(mode)
    if info.flag_bits & _ENCRYPTED:
        raise _refuse(name, "is encrypted")
    if info.compress_type not in _METHODS:
        raise _refuse(name, "uses a compression other than deflate")
    if name.endswith("/") or kind == stat.S_IFDIR:
        if info.file_size:
            raise _refuse(name, "is a folder with content")
        return stat.S_IFDIR
    if kind not in (0, stat.S_IFREG, stat.S_IFLNK):
        raise _refuse(name, "is a device, a pipe or a socket")
    if mode & (stat.S_ISUID | stat.S_ISGID):
        raise _refuse(name, "is setuid or setgid")
    return kind or stat.S_IFREG


def _check_size(info: zipfile.ZipInfo, total: int) -> None:
    name = info.orig_filename
    if total > UNPACKED_BYTES_MAX:
        raise _refuse(name, f"brings the package over {UNPACKED_BYTES_MAX} unpacked bytes")
    if info.file_size > RATIO_FREE_BYTES and info.file_size > RATIO_MAX * info.compress_size:
        raise _refuse(name, f"is packed more than {RATIO_MAX}:1, as a zip bomb is")


def _check_unique(seen: dict[str, str], parts: Parts, name: str) -> None:
    folded = unicodedata.normalize("NFC", "/".join(parts)).casefold()
    if folded in seen:
        raise _refuse(name, f"has the same name as '{ascii(seen[folded])[1:-1]}'")
    seen[folded] = name


def _link_text(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> str:
    if info.file_size > LINK_BYTES_MAX:
        raise _refuse(info.orig_filename, f"is a link longer than {LINK_BYTES_MAX} bytes")
    with archive.open(info) as stream:
        raw = stream.read(LINK_BYTES_MAX + 1)
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise _refuse(info.orig_filename, "is a link that is not text") from error
    if not text or "\0" in text or text.startswith("/"):
        raise _refuse(info.orig_filename, "is a link that leaves the package")
    return text


def _check_parents(listing: Listing) -> None:
    """Every parent must be a folder: nothing is ever written through a file or a link."""
    for parts in (*listing.files, *listing.links, *listing.folders):
        for depth in range(1, len(parts)):
            parent = parts[:depth]
            if parent in listing.links or parent in listing.files:
                raise _refuse("/".join(parts), "lies below a member that is not a folder")


def _check_links(listing: Listing) -> None:
    for parts, text in listing.links.items():
        if not _stays_inside(parts, text, listing.links):
            raise _refuse("/".join(parts), "is a link that leaves the package")


def _stays_inside(link: Parts, text: str, links: dict[Parts, str]) -> bool:
    """Walk the link as a kernel would, with the package as the only file system there is."""
    here = list(link[:-1])
    todo = text.split("/")[::-1]
    hops = 0
    while todo:
        part = todo.pop()
        if part in ("", "."):
            continue
        if part == "..":
            if not here:
                return False
            here.pop()
            continue
        here.append(part)
        onward = links.get(tuple(here))
        if onward is not None:
            hops += 1
            if hops > LINK_HOPS_MAX:
                return False
            here.pop()
            todo.extend(onward.split("/")[::-1])
    return True


def _extract_and_rename(archive: zipfile.ZipFile, listing: Listing, destination: Path) -> None:
    destination.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix="unpacking-", dir=destination.parent))
    try:
        root = work / "code"
        root.mkdir()
        _extract(archive, listing, root)
        try:
            root.rename(destination)
        except OSError:
            if not destination.is_dir():
                raise
    finally:
        remove(work)


def _extract(archive: zipfile.ZipFile, listing: Listing, root: Path) -> None:
    total = 0
    for parts in sorted(listing.folders):
        root.joinpath(*parts).mkdir(parents=True, exist_ok=True)
    for parts, info in listing.files.items():
        path = root.joinpath(*parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        total += _extract_file(archive, info, path, UNPACKED_BYTES_MAX - total)
    # Links last: no write can go through one.
    for parts, text in listing.links.items():
        path = root.joinpath(*parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(text)
    _make_read_only(root)


def _extract_file(
    archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path, bytes_left: int
) -> int:
    """Write one member, counting real bytes: sizes in the directory of a zip may lie."""
    mode = 0o555 if (info.external_attr >> 16) & 0o111 else 0o444
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    written = 0
    with archive.open(info) as stream, open(os.open(path, flags, mode), "wb") as out:
        while chunk := stream.read(CHUNK_BYTES):
            written += len(chunk)
            if written > bytes_left:
                raise _refuse(info.orig_filename, "brings the package over its unpacked limit")
            if written > RATIO_FREE_BYTES and written > RATIO_MAX * info.compress_size:
                raise _refuse(info.orig_filename, f"is packed more than {RATIO_MAX}:1")
            out.write(chunk)
        if written != info.file_size:
            raise _refuse(info.orig_filename, "is not as long as the zip says")
        os.fchmod(out.fileno(), mode)
    return written


def _make_read_only(root: Path) -> None:
    """Folders read-only too: a plain process (no sandbox) must not change the code by accident."""
    for folder, _, _ in os.walk(root, topdown=False):
        if Path(folder) != root:
            os.chmod(folder, 0o555)
    # The root itself stays writable until it was renamed: renaming a folder rewrites its "..".


def remove(folder: Path) -> None:
    """Delete a tree that may hold read-only folders; nothing happens when it is not there."""
    for inner, _, _ in os.walk(folder):
        os.chmod(inner, 0o755)
    if folder.exists():
        shutil.rmtree(folder)
