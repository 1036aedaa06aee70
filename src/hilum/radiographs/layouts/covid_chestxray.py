"""covid-chestxray-dataset and its forks: metadata.csv, whose findings are ways such as
``Pneumonia/Viral/COVID-19``.

Source: Cohen et al. 2020, doi:10.59275/j.melba.2020-48g7.
"""

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from hilum.errors import Problems, plural
from hilum.radiographs.layouts.listing import (
    COLUMNS,
    Found,
    Layout,
    LeftOut,
    Listing,
    attributes_of,
)
from hilum.radiographs.layouts.named import NamedImages
from hilum.radiographs.layouts.tables import Names, has_columns, labels_in, read_table
from hilum.radiographs.layouts.views import Views

_TABLE = "metadata.csv"
_FOLDER = "images"
_ROLES = {
    "image": Names(("filename",), ("patientid",)),  # some forks call files after their patients
    "label": Names(("finding",)),
    "patient": Names(("patientid",)),
    "modality": Names(("modality",)),
    "folder": Names(("folder",)),
    **{name: Names(COLUMNS[name]) for name in ("view", "sex", "age")},
}
_UNTOLD = {"todo", "unknown"}


def _matches(root: Path) -> bool:
    return has_columns(root / _TABLE, "patientid", "finding", "view")


def _read(root: Path) -> Listing:
    table = root / _TABLE
    problems = Problems(table)
    read = read_table(table, _ROLES, ("image", "label", "patient"), problems)
    images, views = NamedImages(root, problems), Views()
    ct: list[str] = []
    untold: list[str] = []
    told: list[tuple[Found, tuple[str, ...]]] = []
    for line, row in read.rows:
        if "CT" in (row["modality"].upper(), row["view"].upper()):
            ct.append(row["image"])
        elif row["label"].casefold() in _UNTOLD:
            untold.append(row["image"])
        elif views.takes(row["view"], row["image"]):
            labels = labels_in(line, row, problems)
            folder = row["folder"] or _FOLDER
            folder = folder if (root / folder).is_dir() else ""
            if path := images.path(row["image"], line, folder):
                images.add(path, line, labels)
                image = Found(path, "train", (), row["patient"], None, attributes_of(row))
                told.append((image, labels))
    problems.check()
    ways = _ways({labels for _, labels in told})
    found = [replace(image, labels=ways[labels]) for image, labels in told]
    left_out = [*read.left_out, *views.left_out()]
    for names, what in ((ct, "of computed tomography"), (untold, "whose finding is not told")):
        if names:
            note = f"{plural(len(names), 'image')} {what} left out."
            left_out.append(LeftOut(note, tuple(names)))
    return Listing(root, LAYOUT.name, tuple(found), (read.note,), tuple(left_out))


def _ways(labels: Collection[tuple[str, ...]]) -> dict[tuple[str, ...], tuple[str, ...]]:
    """The labels of each finding, of which a tree can be made.

    'Pneumonia' beside 'Pneumonia/Viral' is 'Pneumonia/unspecified Pneumonia'; what divides into one
    thing only is left out of the way.
    """
    whole = {
        way: (*way, f"unspecified {way[-1]}")
        if any(len(o) > len(way) and o[: len(way)] == way for o in labels)
        else way
        for way in labels
    }
    below: dict[tuple[str, ...], set[str]] = {}
    for way in whole.values():
        for depth, name in enumerate(way):
            below.setdefault(way[:depth], set()).add(name)

    def divides(way: tuple[str, ...]) -> bool:
        return len(below[way]) > 1

    ways = {}
    for way, full in whole.items():
        above = [full[depth - 1] for depth in range(1, len(full)) if divides(full[:depth])]
        # where the root does not divide, what divides first takes its place
        ways[way] = (*(above if divides(()) else above[1:]), full[-1])
    return ways


LAYOUT = Layout(
    name="covid-chestxray",
    looks="metadata.csv with the columns patientid, finding and view, and filename unless images "
    "are named after the patients; images in the folder images",
    names=(_TABLE, _FOLDER),
    matches=_matches,
    read=_read,
)
