"""Writing files so that a crash, a kill or a full disk leaves the old one or the new one."""

import errno
import hashlib
import os
import re
import shutil
import stat
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import IO, Any, NamedTuple

import filelock

from hilum.errors import DataError, HilumError, examples
from hilum.stores import as_place, on_disk


def refuse_ending(
    file: Path, endings: tuple[str, ...], error: type[HilumError] = DataError
) -> None:
    """Raise error for a file to be written that is named as one of another kind: it may be one."""
    if file.suffix.casefold() not in endings:
        raise error(f"{file}: what is written there ends in {' or '.join(endings)}; rename it.")


def refuse_others(folder: Path, names: Iterable[str], error: type[HilumError]) -> None:
    """Raise error for a folder to be written into that holds what does not belong there: names."""
    if others := sorted(names):
        raise error(
            f"{folder}: holds other files ({examples(others)}); name an empty or a new folder."
        )


def make_folder(folder: Path) -> None:
    """Make a folder where there is none, with those above it. Raises OSError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        reason = "a file stands in the place of its folder"
        raise NotADirectoryError(errno.ENOTDIR, reason, str(folder)) from None


@contextmanager
def new_file(target: Path, *, mode: int = 0o644) -> Iterator[IO[bytes]]:
    """A file beside the target that takes its place at the end, when all is on the disk.

    Makes the folder. mode: who may read it. Whatever goes wrong, the old content stands.
    Raises DataError where the target is a URL.
    """
    target = on_disk(target)
    make_folder(target.parent)
    # A name of its own: several threads or processes may write the same target at once.
    begins = f".{target.name}."
    try:
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=begins, suffix=".partial")
    except OSError as error:
        error.filename = str(target)
        raise
    partial = Path(name)
    try:
        with os.fdopen(handle, "w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.chmod(mode)
        put_in_place(partial, target)
    except BaseException as error:
        if isinstance(error, OSError) and error.filename in (None, name):
            error.filename = str(target)  # that of a full disk names no file
        partial.unlink(missing_ok=True)
        raise


def put_in_place(partial: Path, target: Path) -> None:
    """Rename a file or folder that is whole, and force its new name to the disk, too."""
    partial.replace(target)
    if os.name != "posix":
        return  # elsewhere folders cannot be opened
    try:
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        # A folder that may not be listed, and file systems over a network that cannot do it.
        if error.errno not in (errno.EACCES, errno.EINVAL, errno.ENOTSUP, errno.EBADF):
            raise


@contextmanager
def locked(lock: Path, *, timeout: float = -1) -> Iterator[None]:
    """Hold a lock file, which stays, for this process; one that dies lets go of it.

    timeout: seconds to wait for another that holds it; -1 waits for ever. Raises filelock.Timeout
    where another still holds it, and OSError where there can be no such file.
    """
    lock.open("ab").close()  # filelock takes a file that cannot be made for one that is held
    with filelock.FileLock(lock, timeout=timeout):
        yield


def check_there(place: Path) -> None:
    """Raise DataError where there is nothing."""
    if not place.exists():
        raise DataError(f"{place}: there is no such folder or file.")


def is_file(path: Path | str) -> bool:
    """As Path.is_file, and False for a name that is too long for any file."""
    return _is(Path.is_file, path)


def is_dir(path: Path | str) -> bool:
    """As Path.is_dir, and False for a name that is too long for any folder."""
    return _is(Path.is_dir, path)


def _is(kind: Callable[[Path], bool], path: Path | str) -> bool:
    try:
        return kind(as_place(path))
    except (OSError, DataError):
        return False


def write_atomically(target: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Write a whole file by new_file. Raises OSError where it cannot be written."""
    with new_file(target, mode=mode) as file:
        file.write(data)


#: Time stamps of file systems may be so coarse (of FAT they are). In nanoseconds.
_COARSE_NS = 2_500_000_000


class FileMark(NamedTuple):
    """What tells a file's content from what comes to lie under its name later.

    size in bytes. mtime, ctime: when the content and the entry were changed, looked: when this was
    asked for, all in nanoseconds. A program that unpacks or copies can set mtime as it likes, but
    ctime and inode are the system's.
    """

    size: int
    mtime: int
    ctime: int
    inode: int
    looked: int

    @property
    def settles(self) -> bool:
        """Whether a change since then shows in the mark: not within the grain of the clock."""
        return self.looked - self.ctime > _COARSE_NS

    @property
    def identity(self) -> tuple[int, ...]:
        """What equals that of another mark as long as nothing was changed."""
        return self[:4]

    def still_holds(self, now: "FileMark | None") -> bool:
        """Whether the content is surely the one it was. False: it has to be looked at."""
        return now is not None and self.settles and self.identity == now.identity


def file_mark(path: Path) -> FileMark | None:
    """The mark of a file; None where there is no ordinary file (such as a pipe)."""
    looked = time.time_ns()
    try:
        status = path.stat()
    except OSError:
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    return FileMark(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, looked)


@contextmanager
def filled_folder(folder: Path) -> Iterator[None]:
    """Make a folder, or take an empty one; if it cannot be filled, it is as before.

    Raises FileExistsError where it holds something.
    """
    found = folder.is_dir()
    if folder.exists() and not (found and not any(folder.iterdir())):
        raise FileExistsError(errno.EEXIST, "it is not empty; name a new folder", str(folder))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        for left in [*folder.iterdir()] if found else [folder]:
            shutil.rmtree(left) if left.is_dir() else left.unlink()
        raise


#: First characters that make a cell of a spreadsheet a formula (OWASP, "CSV Injection"), their
#: full-width forms, and the escape itself.
_FORMULA = tuple("=+-@\t\r\n＝＋－＠'")

#: File names are bytes on some systems; with this, those that are not UTF-8 come back as they were.
ODD_NAMES = "surrogateescape"


def to_cell(text: str) -> str:
    """The text as a cell that no spreadsheet runs: a ``'`` in front where it could be a formula."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def from_cell(cell: str) -> str:
    """The inverse of to_cell."""
    return cell.removeprefix("'")


def sha256(data: bytes) -> str:
    """The SHA-256 of some bytes, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def file_sha256(file: Path) -> str:
    """The SHA-256 of a file's content, of any size, in hexadecimal. Raises OSError."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def safe_name(name: str) -> str:
    """A file name for any label: unchanged if plain, otherwise made plain and told apart.

    Two labels never share a name, also on file systems that ignore case.
    """
    plain = re.sub(r"[^a-z0-9_-]", "_", name)
    return plain if plain == name else f"{plain}-{sha256(name.encode())[:8]}"


def read_packaged(*place: str) -> dict[str, Any]:
    """The table in a file. place: its folders below the package, and its name."""
    file = resources.files("hilum").joinpath(*place)
    return tomllib.loads(file.read_text(encoding="utf-8"))


def read_packaged_folder(*place: str) -> dict[str, dict[str, Any]]:
    """The tables of all TOML files in a folder, by their names without the ending, sorted."""
    names = sorted(file.name for file in resources.files("hilum").joinpath(*place).iterdir())
    return {
        name.removesuffix(".toml"): read_packaged(*place, name)
        for name in names
        if name.endswith(".toml")
    }
