"""PadChest: one CSV whose cells list findings as Python writes lists, and images in any folder.

Source: Bustos et al. 2020, doi:10.1016/j.media.2020.101797.
"""

from pathlib import Path

from hilum.errors import DataError, Problems, plural
from hilum.labels import says_nothing_found
from hilum.radiographs.layouts.findings import Marked
from hilum.radiographs.layouts.listing import Found, Layout, LeftOut, Listing, attributes_of
from hilum.radiographs.layouts.named import NamedImages
from hilum.radiographs.layouts.tables import Names, findings_in, read_table
from hilum.radiographs.layouts.views import Views
from hilum.records import ABSENT, PRESENT

_TABLE = "PADCHEST_*.csv*"
_ROLES = {
    "image": Names(("ImageID",)),
    "label": Names(("Labels",)),
    "patient": Names(("PatientID",)),
    "view": Names(("Projection",)),
    "sex": Names(("PatientSex_DICOM",)),
    "manufacturer": Names(("Manufacturer_DICOM",)),
}
#: What is said of a report and not of an image: it is no use, or tells what is as before.
_EXCLUDE, _UNCHANGED = "exclude", "unchanged"


def _matches(root: Path) -> bool:
    return root.is_dir() and any(root.glob(_TABLE))


def _read(root: Path) -> Listing:
    tables = sorted(root.glob(_TABLE))
    if len(tables) != 1:
        there = " and ".join(t.name for t in tables) or "none"
        raise DataError(f"{root}: expected one {_TABLE}; found {there}.")
    problems = Problems(tables[0])
    read = read_table(tables[0], _ROLES, ("image", "label", "patient"), problems, several=True)
    images = NamedImages(root, problems, bare=True)
    marked, views = Marked(problems, ABSENT), Views()
    unsaid: list[str] = []
    beside = 0
    for line, row in read.rows:
        if not views.takes(row["view"], row["image"]):
            continue
        labels = [name for name in findings_in(row) if name != _UNCHANGED]
        if not labels or _EXCLUDE in labels:
            unsaid.append(row["image"])
            continue
        present = [name for name in labels if not says_nothing_found(name)] or labels
        beside += len(present) < len(labels)
        if path := images.path(row["image"], line):
            images.add(path, line, tuple(present))
            image = Found(path, "train", (), row["patient"], None, attributes_of(row))
            marked.add(image, dict.fromkeys(present, PRESENT), line)
    found, names = marked.finish()
    problems.check()
    notes = [read.note, "PadChest has no split: every image is read as train."]
    if beside:
        notes.append(
            f"{plural(beside, 'image')} with findings beside 'normal', which one sentence of the "
            "report says: the findings are read."
        )
    left_out = [*read.left_out, *views.left_out()]
    if unsaid:
        note = (
            f"{plural(len(unsaid), 'image')} left out whose report is marked '{_EXCLUDE}', or says "
            f"'{_UNCHANGED}' and no more."
        )
        left_out.append(LeftOut(note, tuple(unsaid)))
    return Listing(root, LAYOUT.name, found, tuple(notes), tuple(left_out), findings=names)


LAYOUT = Layout(
    name="padchest",
    looks=f"{_TABLE} with the columns ImageID, Labels, PatientID and Projection, and images in "
    "any folder",
    names=(_TABLE,),
    matches=_matches,
    read=_read,
)
