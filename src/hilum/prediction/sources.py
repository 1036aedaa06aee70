"""Which radiographs are meant: files, folders, patterns, lists and standard input, one by one.

Nothing here holds all the paths at once, but for the names in one folder and the matches of one
pattern, which are sorted, so that the same inputs always come in the same order; and those that
were asked for as others.
"""

import glob
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePath
from typing import BinaryIO

from hilum.errors import DataError
from hilum.files import is_dir
from hilum.radiographs.layouts import natural_key, walk
from hilum.stores import StorePath, answering, as_place

STDIN = "-"
LIST = "@"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def list_sources(
    inputs: Iterable[str],
    stdin: Iterable[bytes] = (),
    others: list[PurePath] | None = None,
) -> Iterator[Path]:
    """The radiographs that some inputs mean, in the inputs' order.

    inputs: each a file; a folder (every image below it); the URL of one; a pattern such as
    'scans/**/*.png'; '@FILE', a text file with a path on each line; or '-', the same from stdin.
    What is there under its very name is not read as a pattern or a list. Paths in a list are used
    as they stand, from the working directory, and blank lines are passed over.
    others: gets the files in folders that are passed over, because they are no images.
    A path that turns out to lead nowhere is given all the same: its row says so.
    Raises DataError where a list cannot be read.
    """
    for text in inputs:
        if text == STDIN:
            yield from _lines(stdin)
        elif isinstance(place := as_place(text), StorePath):
            yield from _below(place, others)
        elif os.path.lexists(text):
            yield from _below(Path(text), others)
        elif text.startswith(LIST):
            with _opened(text) as lines:
                yield from _lines(lines)
        elif glob.has_magic(text):
            matches = glob.glob(text, recursive=True)  # noqa: PTH207 - may be absolute or begin with ..
            for match in sorted(matches, key=natural_key):
                yield from _below(Path(match), others)
        else:
            yield place


def check_sources(inputs: Sequence[str]) -> None:
    """Refuse inputs that can be seen to hold nothing, before any work is done.

    Raises DataError for a folder without images, a pattern that matches nothing, a list that
    cannot be read, and standard input that is asked for twice.
    """
    if list(inputs).count(STDIN) > 1:
        raise DataError(f"'{STDIN}' stands for standard input, which can be read only once.")
    for text in inputs:
        if text == STDIN or (text.startswith(LIST) and not os.path.lexists(text)):
            if text != STDIN:
                _opened(text).close()
        elif next(list_sources([text]), None) is None:
            found = "no images found in this folder" if is_dir(text) else "matches no file"
            raise DataError(f"{text}: {found}.")


def count_sources(inputs: Sequence[str]) -> int:
    """How many radiographs the inputs mean, for a progress bar; 0 where stdin is one of them."""
    return 0 if STDIN in inputs else sum(1 for _ in list_sources(inputs))


def _below(path: Path, others: list[PurePath] | None) -> Iterator[Path]:
    with answering():
        if not path.is_dir():
            yield path
            return
        for directory, names in walk(path, others):
            for name in names:
                yield directory / name


def _opened(text: str) -> BinaryIO:
    path = Path(text.removeprefix(LIST))
    try:
        return path.open("rb")
    except OSError as error:
        raise DataError(f"{path}: the list of paths cannot be read ({error.strerror}).") from None


def _lines(lines: Iterable[bytes]) -> Iterator[Path]:
    """File names are bytes: they need not be UTF-8."""
    for number, line in enumerate(lines):
        name = line.removeprefix(_BYTE_ORDER_MARK if number == 0 else b"").rstrip(b"\r\n")
        if name.strip():
            yield as_place(os.fsdecode(name))
