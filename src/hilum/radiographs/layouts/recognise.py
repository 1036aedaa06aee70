"""Which layout a data set has: by the names at its top, and never by guessing between two."""

from fnmatch import fnmatch
from pathlib import Path

from hilum.errors import DataError, nearest
from hilum.radiographs.image import KINDS
from hilum.radiographs.layouts import (
    covidx,
    folders,
    kaggle,
    manifest,
    medmnist,
    nih,
    radiography_database,
    rsna,
)
from hilum.radiographs.layouts.dicom_facts import add_dicom_facts
from hilum.radiographs.layouts.listing import Layout, Listing, seen

#: Layouts of their own kind; at most one of them may fit.
SPECIFIC: tuple[Layout, ...] = (
    kaggle.LAYOUT, radiography_database.LAYOUT, covidx.LAYOUT, nih.LAYOUT, rsna.LAYOUT,
    medmnist.LAYOUT, manifest.DICOM_TREE, manifest.MANIFEST,
)  # fmt: skip
#: Folder trees, which almost anything looks like, are tried where none of the others fits.
GENERAL: tuple[Layout, ...] = (folders.SPLIT_FOLDERS, folders.LABEL_FOLDERS)
LAYOUTS: dict[str, Layout] = {layout.name: layout for layout in (*SPECIFIC, *GENERAL)}


def read_layout(
    data: Path | str, layout: str | None = None, *, keep_identifiers: bool = False
) -> Listing:
    """List the labelled images of a data set, whatever its layout.

    data: a folder, or a CSV, Parquet or NPZ file. layout: a name of LAYOUTS to read it as;
    without it the layout is recognised. In folder trees the images are in natural order of
    their names, and hidden files, ``masks`` and what systems leave are ignored. DICOM files give
    their patients and views, whatever the layout (see dicom_facts).
    keep_identifiers: groups of DICOM files are PatientIDs, not salted hashes.

    Raises DataError where there is no such data, no layout fits, several do, or the one that
    fits is damaged.
    """
    data = Path(data)
    if not data.exists():
        raise DataError(f"{data}: there is no such folder.")
    kinds = _recognise(data) if layout is None else [_named(layout, data)]
    for kind in kinds:
        listing = kind.read(data)
        if listing.found:
            listing = add_dicom_facts(listing, kind, keep_identifiers=keep_identifiers)
            if not listing.found:
                raise DataError(f"{data}: no image is left. {' '.join(listing.sentences)}")
            return listing
    if layout is not None:
        raise DataError(f"{data}: no labelled images found; expected {kinds[0].looks}.")
    raise DataError(
        f"{data}: no labelled images found (saw {seen(data)}). Expected folders by label, "
        f"such as train/normal and val/normal, or normal and pneumonia, holding {KINDS} or "
        f"DICOM files, or one of the layouts in docs/data.md.{_nearest(data)}"
    )


def _recognise(data: Path) -> list[Layout]:
    """The only layout of its own kind that matches, or else the folder trees that do."""
    matching = [kind for kind in SPECIFIC if kind.matches(data)]
    if len(matching) > 1:
        raise DataError(
            f"{data}: could be {' or '.join(f'{k.name} ({k.looks})' for k in matching)}; keep one "
            "of them in the folder, or name the layout that is meant."
        )
    if data.is_file() and not matching:
        raise DataError(
            f"{data}: expected a folder of radiographs, found a file that is not CSV, Parquet "
            "or NPZ."
        )
    return matching or [kind for kind in GENERAL if kind.matches(data)]


def _named(name: str, data: Path) -> Layout:
    kind = LAYOUTS.get(name)
    if kind is None:
        raise DataError(f"There is no layout '{name}'.{nearest(name, LAYOUTS)}")
    if not kind.matches(data):
        found = "a file" if data.is_file() else seen(data)
        raise DataError(
            f"{data}: is not of the layout '{name}': saw {found}; expected {kind.looks}."
        )
    return kind


def _nearest(data: Path) -> str:
    """The layouts that share the most names with the top of a folder, as the end of a refusal."""
    names = [p.name for p in data.iterdir()]
    shared = {
        kind: sum(any(fnmatch(n.casefold(), w.casefold()) for n in names) for w in kind.names)
        / len(kind.names)
        for kind in SPECIFIC
    }  # fmt: skip
    best = [k for k in sorted(SPECIFIC, key=lambda k: -shared[k]) if shared[k] > 0][:2]
    if not best:
        return ""
    return " Nearest: " + "; ".join(f"{kind.name} ({kind.looks})" for kind in best) + "."
