"""What a layout's reader gives, whatever the layout: labelled images, and what to say of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from hilum.errors import DataError, in_lines
from hilum.records import NO_ATTRIBUTES, Attributes

#: The names of attributes, and what their columns may be called (as tables.Roles).
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "view": ("view", "view position", "projection"),
    "age": ("age", "patient age"),
    "sex": ("sex", "gender", "patient sex", "patient gender"),
    "site": ("site", "hospital", "institution"),
    "manufacturer": ("manufacturer",),
}


def attributes_of(row: Mapping[str, str]) -> Attributes:
    """The attributes that a row of a table gives; an empty cell gives none."""
    cells = {name: row[name] for name in COLUMNS if row.get(name)}
    return Attributes(cells) if cells else NO_ATTRIBUTES


SPLITS = ("train", "val", "test")
_SPLIT_NAMES = {
    "train": "train", "training": "train",
    "val": "val", "valid": "val", "validation": "val",
    "test": "test", "testing": "test",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Found:
    """A labelled image.

    path: the file; of an image inside an NPZ file ``FILE.npz/ARRAY/INDEX``. split: 'train', 'val'
    or 'test'. labels: on the way to the class, outermost first. group: the patient, where the
    data say so. source: the collection it comes from, where the data say so. attributes: what
    else they say, under the names of layouts.attributes.
    """

    path: Path
    split: str
    labels: tuple[str, ...]
    group: str | None = None
    source: str | None = None
    attributes: Attributes = NO_ATTRIBUTES


@dataclass(frozen=True, slots=True)
class Listing:
    """The labelled images of a data set.

    root: the folder below which all of them lie. layout: the name of the layout. found: in the
    order of the layout. notes: what the reader left out or decided, in sentences for people.
    """

    root: Path
    layout: str
    found: tuple[Found, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Layout:
    """One way that public or home-made data lie on a disk.

    name: what it is called on the command line and in messages. looks: how it must look, in one
    line. names: shell patterns of what lies at its top, to say what other data come near.
    matches: whether a folder or file is of this layout, from names and first lines only; where two
    layouts match, nothing is read. read: the images; raises DataError where something is wrong.
    """

    name: str
    looks: str
    names: tuple[str, ...]
    matches: Callable[[Path], bool]
    read: Callable[[Path], Listing]


def split_of(name: str) -> str | None:
    """The split that a folder name or a cell means ('valid' means 'val'), or None."""
    return _SPLIT_NAMES.get(name.strip().casefold())


def refuse_divided_patients(source: Path, places: Mapping[str, Mapping[str, str]]) -> None:
    """Raises DataError where a table puts a patient into several splits.

    source: the table, or the folder that it divides. places: for each patient, where in each split
    an image of theirs stands.
    """
    divided = [
        f"{patient}: " + ", ".join(f"{split} ({place})" for split, place in where.items())
        for patient, where in places.items() if len(where) > 1
    ]  # fmt: skip
    if divided:
        raise DataError(
            f"{source}: images of one patient are put into several splits, so that a classifier "
            "would be tested on patients it was trained on; move each patient into one split:"
            f"{in_lines(divided)}"
        )
