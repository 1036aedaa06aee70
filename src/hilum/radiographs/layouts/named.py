"""From the names in a table or list to image files, none of them outside the data folder."""

import os
import posixpath
import re
import stat
from functools import cache, cached_property
from pathlib import Path, PurePath

from hilum.errors import Problems
from hilum.radiographs.layouts.listing import nfc, walk
from hilum.stores import StorePath, as_place, is_url, walk_store


class NamedImages:
    """Finds the images that a list names, and notes what is wrong with the names.

    root: the data folder. problems: gets what is wrong. A name is a path below root, with slashes
    or backslashes. Where there is no such file, it may be the end of one path alone, and may lack
    the ending: ``IM0000`` is ``dicom/IM0000.dcm`` where no other file is called so. bare: the list
    gives no folders, so that no place is better than another.
    """

    def __init__(self, root: Path, problems: Problems, *, bare: bool = False) -> None:
        self._root, self._problems, self._bare = root, problems, bare
        self._top = os.path.realpath(root)
        self._real_folder = cache(os.path.realpath)
        self._lines: dict[Path, tuple[int, tuple[str, ...]]] = {}

    def path(self, name: str, line: int, folder: str = "") -> Path | None:
        """The file of a name below root, or below a folder of it; None where something is wrong."""
        if is_url(name):  # whether there is such an object is seen when it is read
            return as_place(name)
        inside = posixpath.normpath(posixpath.join(folder, name))
        if "\\" in name and not self._mode(inside):
            inside = posixpath.normpath(posixpath.join(folder, name.replace("\\", "/")))
        if _leaves(name, inside):
            self._problems.add(
                f"with a path that leaves the data folder {self._root}",
                "name files below it, relative to it",
                f"line {line}: {name!r}",
            )
            return None
        path = self._root / inside
        mode = 0 if self._bare else self._mode(inside)
        if not mode:
            paths = self._called(PurePath(inside))
            if len(paths) != 1:
                self._wrong_name(inside, line, paths)
                return None
            path = self._root / paths[0]
            mode = self._mode(paths[0])
        if isinstance(path, StorePath):
            return path  # stores have no links
        # Folders are resolved once each: resolving every file is slow for 100,000 of them.
        real = self._real_folder(path.parent) if stat.S_ISREG(mode) else os.path.realpath(path)
        if os.path.commonpath([self._top, real]) != self._top:
            self._problems.add(
                f"with a link that leaves the data folder {self._root}",
                "copy the images into it",
                f"line {line}: {name!r}, to {real}",
            )
            return None
        return path

    def add(self, path: Path, line: int, labels: tuple[str, ...]) -> None:
        """Note that a line lists an image, to find those that are listed twice."""
        before = self._lines.setdefault(path, (line, labels))
        if before[0] != line:
            conflict = (
                "" if before[1] == labels
                else f", as {'/'.join(before[1])} and as {'/'.join(labels)}"
            )  # fmt: skip
            self._problems.add(
                "with an image that an earlier one lists",
                "keep one row for each image",
                f"lines {before[0]} and {line}: {path.name}{conflict}",
            )

    def absent(self, name: str, line: int) -> None:
        """Note that no file was found for a name."""
        self._wrong_name(name, line, [])

    def _mode(self, inside: str) -> int:
        """The kind of what lies at a path below root; 0 where it is nothing or a folder."""
        if not isinstance(self._root, StorePath):
            return _mode(self._root / inside)
        return stat.S_IFREG if inside in self._stored else 0

    @cached_property
    def _stored(self) -> set[str]:
        """All objects below a root in a store, which is listed once instead of asked for each."""
        return {
            (folder / name).relative_to(self._root).as_posix()
            for folder, _, names in walk_store(StorePath(self._root))
            for name in names
        }

    def _called(self, wanted: PurePath) -> list[str]:
        """The images that a name may mean, as paths below root: the best kind of match only."""
        name, folders = nfc(wanted.name), tuple(map(nfc, wanted.parent.parts))
        kinds: dict[tuple[bool, bool], list[str]] = {}
        for path in self._by_name.get(name, []):
            above = tuple(map(nfc, PurePath(path).parent.parts))
            if above[len(above) - len(folders) :] == folders:
                elsewhere = self._bare or above != folders
                kinds.setdefault((elsewhere, nfc(PurePath(path).name) != name), []).append(path)
        return kinds[min(kinds)] if kinds else []

    @cached_property
    def _by_name(self) -> dict[str, list[str]]:
        """The path below root of every image, by its name with and without the ending."""
        index: dict[str, list[str]] = {}
        for directory, names in walk(self._root):
            folder = str(directory.relative_to(self._root))
            for name in names:
                path = name if folder == "." else f"{folder}/{name}"
                plain = nfc(name)
                for key in {plain, plain.rpartition(".")[0] or plain}:
                    index.setdefault(key, []).append(path)
        return index

    def _wrong_name(self, name: str, line: int, paths: list[str]) -> None:
        if paths:
            self._problems.add(
                "with a name that several files have",
                "write the path of the one that is meant, or remove the others",
                f"line {line}: {name}: {', '.join(paths[:3])}",
            )
        else:
            self._problems.add(
                f"whose image is not below {self._root}",
                "add the files or remove the rows",
                f"line {line}: {name}",
            )


def _leaves(name: str, inside: str) -> bool:
    """Whether a name, of which inside is the path, leads out of the data folder by itself."""
    return (
        "\0" in name
        or inside.startswith("/")
        or inside.partition("/")[0] in (".", "..")
        or re.match(r"[A-Za-z]:[\\/]", name) is not None
    )


def _mode(path: Path) -> int:
    """The kind of what lies there, links not followed; 0 where it is nothing or a folder.

    A broken link is something: reading it tells what is wrong with it.
    """
    try:
        mode = path.lstat().st_mode
    except OSError:
        return 0
    return 0 if stat.S_ISDIR(mode) or (stat.S_ISLNK(mode) and path.is_dir()) else mode
