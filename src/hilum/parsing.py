"""JSON and TOML that a stranger may have written: read in bounded time, refused in a sentence."""

import json
import re
import stat
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hilum.errors import HilumError

_LARGEST_JSON = 2**30  # bytes; results have kilobytes, with pictures megabytes
_LARGEST_TOML = 2**18  # settings have kilobytes, and their parser is slow

#: The parts of a key, for which the standard library takes the square of their number in time.
DEEPEST_KEY = 32
_PART = r"""(?>(?<![\w-])[\w-]+|"[^"\n]*"|'[^'\n]*')"""
_TOO_DEEP = re.compile(rf"(?>{_PART}[ \t]*\.[ \t]*){{{DEEPEST_KEY}}}")


def read_json(path: Path, error: type[HilumError], *, errors: str = "strict") -> Any:
    """The value in a JSON file; an editor may have put a byte order mark in front.

    errors: what becomes of bytes that are not UTF-8. Raises error, with the file's name.
    """
    data = read_bytes(path, _LARGEST_JSON, error)
    return _parse("JSON", lambda: json.loads(data.decode("utf-8-sig", errors)), path, error)


def read_text(path: Path, error: type[HilumError]) -> str:
    """The text of a UTF-8 file, as read_json reads values; lines end as on any system."""
    data = read_bytes(path, _LARGEST_JSON, error)
    text: str = _parse("UTF-8 text", lambda: data.decode("utf-8-sig"), path, error)
    return text.replace("\r\n", "\n")


def read_toml(path: Path, error: type[HilumError]) -> dict[str, Any]:
    """The tables in a TOML file, as read_json reads values."""
    data = read_bytes(path, _LARGEST_TOML, error)
    return parse_toml(_parse("TOML", lambda: data.decode("utf-8-sig"), path, error), path, error)


def parse_json(text: str, where: object, error: type[HilumError], **options: Any) -> Any:
    """The value that a JSON text holds. where: for the message. options: of json.loads."""
    return _parse("JSON", lambda: json.loads(text, **options), where, error)


def parse_toml(text: str, where: object, error: type[HilumError]) -> dict[str, Any]:
    """The tables that a TOML text holds. where: for the message."""
    if _TOO_DEEP.search(text):
        raise error(f"{where} is not valid: it has a key of more than {DEEPEST_KEY} parts.")
    tables: dict[str, Any] = _parse("TOML", lambda: tomllib.loads(text), where, error)
    return tables


def read_bytes(path: Path, largest: int, error: type[HilumError]) -> bytes:
    """The content of a file, or of a pipe, that may have so many bytes. Raises as read_json."""
    try:
        status = path.stat()
        with path.open("rb") as file:
            size = status.st_size if stat.S_ISREG(status.st_mode) else largest  # a pipe has none
            data = file.read(size + 1) if size <= largest else None
    except OSError as failure:
        raise error(f"Cannot read {path}: {failure.strerror or failure}.") from None
    if data is None or len(data) > largest:
        power = (largest.bit_length() - 1) // 10
        most = f"{largest / 2 ** (10 * power):g} {('', 'K', 'M', 'G')[power]}iB"
        raise error(f"Cannot read {path}: it has more than {most}.")
    return data


def _parse(kind: str, parse: Callable[[], Any], where: object, error: type[HilumError]) -> Any:
    try:
        return parse()
    except UnicodeDecodeError as failure:
        raise error(f"{where} is not UTF-8: {failure.reason} at byte {failure.start}.") from None
    except ValueError as failure:
        raise error(f"{where} is not valid {kind}: {failure}.") from None
    except RecursionError:
        raise error(f"{where} is nested too deep to be read as {kind}.") from None
