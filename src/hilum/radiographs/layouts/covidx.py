"""COVIDx: text lists of ``patientid filename label source`` beside the folders train and test.

Source: Wang, Lin and Wong 2020, doi:10.1038/s41598-020-76550-z.
"""

import re
from pathlib import Path

from hilum.errors import DataError, Problems, plural
from hilum.radiographs.image import IMAGE_SUFFIXES
from hilum.radiographs.layouts.listing import SPLITS, Found, Layout, Listing, split_of
from hilum.radiographs.layouts.named import NamedImages
from hilum.radiographs.layouts.tables import read_lines

_LIST = re.compile(r"(train|val|test)(_COVIDx\w*|_split\w*)?\.txt", re.IGNORECASE)


def _lists(root: Path) -> dict[Path, str]:
    """The lists at the top of a folder, each with its split."""
    if not root.is_dir():
        return {}
    return {p: match[1].casefold() for p in sorted(root.iterdir())
            if (match := _LIST.fullmatch(p.name)) and p.is_file()}  # fmt: skip


def _matches(root: Path) -> bool:
    lists = _lists(root)
    return bool(lists) and all(_begins_as_list(file) for file in lists)


def _begins_as_list(file: Path) -> bool:
    with file.open(encoding="utf-8", errors="replace") as text:
        fields = text.readline(4096).split()
    return len(fields) in (3, 4) and Path(fields[1]).suffix.casefold() in IMAGE_SUFFIXES


def _read(root: Path) -> Listing:
    lists = _lists(root)
    for split in SPLITS:
        of_split = [p.name for p, s in lists.items() if s == split]
        if len(of_split) > 1:
            raise DataError(
                f"{root}: several lists give the split '{split}' ({', '.join(of_split)}); COVIDx "
                "has one for each version: keep the one that is meant."
            )
    found: list[Found] = []
    for file, split in sorted(lists.items(), key=lambda item: SPLITS.index(item[1])):
        found += _images(root, file, split)
    notes = [
        f"There is no list of the split '{s}' for the folder {s}, which is not read."
        for s in SPLITS if (root / s).is_dir() and s not in lists.values()
    ]  # fmt: skip
    return Listing(root, LAYOUT.name, tuple(found), tuple(notes))


def _images(root: Path, file: Path, split: str) -> list[Found]:
    folder = next(
        (p.name for p in sorted(root.iterdir()) if p.is_dir() and split_of(p.name) == split), None
    )
    if folder is None:
        raise DataError(
            f"{file}: its images are expected in the folder '{split}' beside it, which is missing."
        )
    problems = Problems(file)
    images = NamedImages(root, problems)
    found: list[Found] = []
    for line, text in enumerate(read_lines(file), start=1):
        fields = text.split()
        if not fields:
            continue
        if len(fields) not in (3, 4):
            problems.add(
                "of another number of fields than 3 or 4",
                "divide them by blanks: patientid filename label source",
                f"line {line}: {plural(len(fields), 'field')} ({text[:60]})",
                noun="line",
            )
            continue
        patient, name, label = fields[:3]
        source = fields[3] if len(fields) == 4 else None
        # The collections that make up COVIDx count their patients each from 1.
        group = f"{source}/{patient}" if source else patient
        if path := images.path(name, line, folder):
            images.add(path, line, (label,))
            found.append(Found(path, split, (label,), group, source))
    problems.check()
    return found


LAYOUT = Layout(
    name="covidx",
    looks="train_COVIDx9A.txt and test_COVIDx9A.txt beside the folders train and test",
    names=("train*.txt", "val*.txt", "test*.txt"),
    matches=_matches,
    read=_read,
)
