"""From the names that a list gives to files on the disk, none of them outside the data folder."""

import os
import stat
from functools import cache
from pathlib import Path

from hilum.errors import DataError
from hilum.radiographs.layouts.listing import plural, refuse_all
from hilum.radiographs.layouts.walk import walk


class ListedImages:
    """Collects the images that a list names, and what is wrong with the list.

    root: the data folder. file: the list, for messages. Problems that may be many (images that
    are absent or listed twice) are gathered and refused together by check().
    """

    def __init__(self, root: Path, file: Path) -> None:
        self._root, self._file = root, file
        self._top = os.path.realpath(root)
        self._real_folder = cache(os.path.realpath)
        self._lines: dict[Path, tuple[int, tuple[str, ...]]] = {}
        self._absent: list[str] = []
        self._twice: list[str] = []

    def path(self, name: str, line: int, folder: str = "") -> Path:
        """The file of a name, which is a path below root, or below a folder of it.

        Raises DataError where the name leads out of root: by being absolute, by ``..`` or by a
        link.
        """
        where = f"{self._file}, line {line}"
        inside = os.path.normpath(os.path.join(folder, name))  # noqa: PTH118 - pathlib keeps '..'
        if "\0" in name or Path(inside).is_absolute() or Path(inside).parts[:1] in ((), ("..",)):
            raise DataError(
                f"{where}: the path {name!r} leaves the data folder {self._root}; expected a file "
                "below it, written relative to it."
            )
        path = self._root / inside
        try:
            kind = path.lstat().st_mode
        except OSError:
            self._absent.append(f"line {line}: {inside}")
            return path
        # Folders are resolved once each: resolving every file is slow for 100,000 of them.
        real = self._real_folder(path.parent) if stat.S_ISREG(kind) else os.path.realpath(path)
        if os.path.commonpath([self._top, real]) != self._top:
            raise DataError(
                f"{where}: {name!r} is a link that leaves the data folder {self._root} (to "
                f"{real}); copy the images into it."
            )
        return path

    def absent(self, name: str, line: int) -> None:
        """Note that no file was found for a name."""
        self._absent.append(f"line {line}: {name}")

    def add(self, path: Path, line: int, labels: tuple[str, ...]) -> None:
        """Note that a line lists an image, to find those that are listed twice."""
        before = self._lines.setdefault(path, (line, labels))
        if before[0] != line:
            conflict = (
                "" if before[1] == labels
                else f", as {'/'.join(before[1])} and as {'/'.join(labels)}"
            )  # fmt: skip
            self._twice.append(f"lines {before[0]} and {line}: {path.name}{conflict}")

    def check(self) -> None:
        """Raises DataError naming every image that is absent, or every one listed twice."""
        if self._absent:
            n = len(self._absent)
            raise refuse_all(
                f"{self._file}: lists {plural(n, 'image')} that {'is' if n == 1 else 'are'} not "
                f"below {self._root}; add the files or remove the rows:",
                self._absent,
            )
        if self._twice:
            raise refuse_all(
                f"{self._file}: lists images twice; keep one row for each image:", self._twice
            )


def index_by_name(root: Path, suffixes: frozenset[str], *, stem: bool = False) -> dict[str, Path]:
    """Every image below a folder by its file name, or by the name without its ending.

    Raises DataError where two files share a name, since a list of bare names could mean either.
    """
    index: dict[str, Path] = {}
    for directory, names in walk(root, suffixes):
        for name in names:
            key = name.rpartition(".")[0] if stem else name
            path = Path(directory) / name
            if key in index:
                raise DataError(
                    f"{root}: {index[key].relative_to(root)} and {path.relative_to(root)} have one "
                    "name, so the list could mean either; remove one of them."
                )
            index[key] = path
    return index
