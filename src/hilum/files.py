"""Writing files so that a crash, a kill or a full disk leaves the old one or the new one."""

import hashlib
import os
import re
import tempfile
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import IO, Any

from hilum.errors import HilumError


@contextmanager
def new_file(target: Path, *, mode: int = 0o644) -> Iterator[IO[bytes]]:
    """A file beside the target that takes its place at the end, when all is on the disk.

    Makes the folder. mode: who may read it. Whatever goes wrong, the old content stands.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    # A name of its own: several threads or processes may write the same target at once.
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".partial")
    partial = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.chmod(mode)
        partial.replace(target)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def write_atomically(target: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Write a whole file by new_file. Raises OSError where it cannot be written."""
    with new_file(target, mode=mode) as file:
        file.write(data)


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


def safe_name(name: str) -> str:
    """A file name for any label: unchanged if plain, otherwise made plain and told apart.

    Two labels never share a name, also on file systems that ignore case.
    """
    plain = re.sub(r"[^a-z0-9_-]", "_", name)
    return plain if plain == name else f"{plain}-{sha256(name.encode())[:8]}"


def read_toml(path: Path, error: type[HilumError]) -> dict[str, Any]:
    """The tables in a file, from which an editor's byte order mark is taken. Raises error."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError as failure:
        raise error(f"{path}: not UTF-8 text, which TOML is ({failure}).") from None
    except tomllib.TOMLDecodeError as failure:
        raise error(f"{path}: not valid TOML ({failure}).") from None
    except OSError as failure:
        raise error(f"{path}: cannot be read ({failure.strerror}).") from None


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
