"""Unpacking a stranger's archive: every name and size is checked before anything is written.

Sources: OWASP, "Zip Slip"; Fifield 2019, "A better zip bomb" (USENIX WOOT), for entries that
overlap in the archive.
"""

import os
import shutil
import stat
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

from hilum.errors import DataError
from hilum.records import Progress

_PIECE = 1 << 20
_LONGEST = 255  # bytes that common file systems allow to a name

#: What a damaged or hostile archive makes the standard library raise.
_DAMAGE = (
    zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, NotImplementedError,
    RuntimeError, ValueError, OverflowError, LookupError,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Limits:
    """How much may come out of an archive.

    files: files and folders. ratio: unpacked bytes as a multiple of the archive's; images are
    compressed already, so that 20 is plenty. small: so many bytes may come out of any archive.
    """

    files: int = 200_000
    ratio: int = 20
    small: int = 64 << 20


LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class _Member:
    name: str
    size: int
    is_folder: bool
    open: Callable[[], IO[bytes] | None]


def unpack(
    archive: Path, into: Path, *, limits: Limits = LIMITS, progress: Progress | None = None
) -> int:
    """Unpack a ZIP or uncompressed TAR archive into a new folder; how many files were written.

    Hidden files and ``__MACOSX`` are left out. Files get ordinary permissions and no owner.

    Raises DataError, before anything is written, where the archive holds absolute names, names
    that lead out of the folder, links, devices, encrypted files, names that occur twice or differ
    only in case, or more files or bytes than the limits allow; and where it is damaged, which may
    be found while it is written.
    """
    try:
        is_zip = zipfile.is_zipfile(archive)
        read = _zip_members if is_zip else _tar_members
        files = _check(archive, read(archive), limits)
        return _write(archive, read(archive), files, into, progress)
    except _DAMAGE as error:
        raise DataError(f"{archive.name}: is damaged ({error}); download it again.") from None


def copy_tree(source: Path, into: Path) -> int:
    """Copy a folder's files, without hidden ones; how many. Raises DataError where it has links."""
    copied = 0
    for directory, folders, names in os.walk(source):
        here = Path(directory)
        folders[:] = sorted(f for f in folders if not _is_hidden((f,)))
        for name in [*folders, *names]:
            if (here / name).is_symlink():
                raise DataError(f"{here / name}: is a link; a data set holds files only.")
        target = into / here.relative_to(source)
        target.mkdir(parents=True, exist_ok=True)
        for name in (n for n in names if not _is_hidden((n,))):
            shutil.copyfile(here / name, target / name)
            copied += 1
    return copied


def _zip_members(archive: Path) -> Iterator[_Member]:
    with zipfile.ZipFile(archive) as content:
        entries = content.infolist()
        length = archive.stat().st_size
        if any(not 0 <= e.header_offset < length for e in entries):
            raise zipfile.BadZipFile("an entry lies outside of the file")
        if sum(e.compress_size for e in entries) > length:
            raise _refusal(archive, "", "holds entries that overlap")
        for entry in entries:
            name = entry.orig_filename
            kind = stat.S_IFMT(entry.external_attr >> 16)
            if kind == stat.S_IFLNK:
                raise _refusal(archive, name, "is a link")
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _refusal(archive, name, "is neither a file nor a folder")
            if entry.flag_bits & 1:
                raise _refusal(archive, name, "is encrypted")
            if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise _refusal(archive, name, "is compressed in an unusual way")
            yield _Member(name, entry.file_size, entry.is_dir(), partial(content.open, entry))


def _tar_members(archive: Path) -> Iterator[_Member]:
    # Not compressed: a compressed header could unpack to any size before it can be looked at.
    with tarfile.open(archive, "r:") as content:
        for entry in content:
            if entry.issym() or entry.islnk():
                raise _refusal(archive, entry.name, "is a link")
            if not (entry.isreg() or entry.isdir()) or entry.issparse():
                raise _refusal(archive, entry.name, "is neither a plain file nor a folder")
            read = partial(content.extractfile, entry)
            yield _Member(entry.name, entry.size, entry.isdir(), read)


def _check(archive: Path, members: Iterable[_Member], limits: Limits) -> int:
    """Check every name and size; how many files there will be."""
    most = max(limits.small, limits.ratio * archive.stat().st_size)
    most = min(most, shutil.disk_usage(archive.parent).free)
    seen: dict[str, tuple[str, bool]] = {}  # a path without its case: the path, is it a file?
    unpacked = files = 0
    for n, member in enumerate(members, 1):
        if n > limits.files:
            raise _refusal(archive, "", f"holds more than {limits.files:,} files and folders")
        unpacked += member.size
        if unpacked > most:
            raise _refusal(
                archive,
                "",
                f"would unpack to more than the {most:,} bytes that are allowed or free",
            )
        parts = _parts(archive, member)
        for depth in range(1, len(parts) + 1):
            path = "/".join(parts[:depth])
            is_file = depth == len(parts) and not member.is_folder
            key = _folded(path)
            other, was_file = seen.get(key, (path, False))
            if other != path:
                raise _refusal(archive, path, f"differs from '{other}' only in its case")
            if was_file or (is_file and key in seen):
                raise _refusal(archive, path, "occurs twice")
            seen[key] = (path, is_file)
        files += not member.is_folder and not _is_hidden(parts)
    return files


def _parts(archive: Path, member: _Member) -> tuple[str, ...]:
    """The parts of a member's name. Raises DataError where it is not a plain name below here."""
    name = member.name
    if name.startswith("/") or "\\" in name or ":" in name:
        raise _refusal(archive, name, "is not a relative name with '/'")
    if any(unicodedata.category(c) == "Cc" for c in name) or len(name) > 1024:
        raise _refusal(archive, name, "has a name that no file should have")
    parts = tuple(p for p in name.split("/") if p not in ("", "."))
    try:
        longest = max((len(os.fsencode(part)) for part in parts), default=0)
    except UnicodeEncodeError:
        longest = _LONGEST + 1
    if longest > _LONGEST:
        raise _refusal(archive, name, "has a name that no file can have")
    if ".." in parts:
        raise _refusal(archive, name, "leads out of the folder")
    if not parts and not member.is_folder:
        raise _refusal(archive, name, "has no name")
    return parts


def _folded(path: str) -> str:
    """Equal for names that some file systems hold to be the same."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())


def _is_hidden(parts: tuple[str, ...]) -> bool:
    return any(p.startswith(".") or p == "__MACOSX" for p in parts)


def _write(
    archive: Path,
    members: Iterable[_Member],
    files: int,
    into: Path,
    progress: Progress | None,
) -> int:
    into.mkdir(parents=True)
    written = 0
    for member in members:
        parts = _parts(archive, member)
        if member.is_folder or _is_hidden(parts):
            continue
        path = into.joinpath(*parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        source = member.open()
        if source is None:
            raise _refusal(archive, member.name, "cannot be read")
        with source, path.open("xb") as target:
            left = member.size
            while piece := source.read(min(_PIECE, left + 1)):
                left -= len(piece)
                if left < 0:
                    break
                target.write(piece)
        if left:
            raise _refusal(archive, member.name, "is not as long as the archive says")
        written += 1
        if progress:
            progress("unpacking", written, files)
    return written


def _refusal(archive: Path, name: str, what: str) -> DataError:
    of = f"'{name[:200]}' " if name else ""
    return DataError(
        f"{archive.name}: {of}{what}; such an archive is not unpacked, and nothing of it is kept."
    )
