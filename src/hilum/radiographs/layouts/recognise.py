"""Which layout a data set has: by the names at its top, and never by guessing between two."""

from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path

from hilum.errors import DataError, nearest
from hilum.files import check_there
from hilum.radiographs.image import KINDS
from hilum.radiographs.layouts import (
    chexpert,
    covid_chestxray,
    covidx,
    folders,
    kaggle,
    manifest,
    medmnist,
    mimic,
    nih,
    padchest,
    radiography_database,
    rsna,
    vindr,
)
from hilum.radiographs.layouts.dicom_facts import add_dicom_facts
from hilum.radiographs.layouts.listing import Layout, Listing, seen
from hilum.radiographs.layouts.tables import TABLE_SUFFIXES
from hilum.records import Progress
from hilum.stores import StorePath, as_place
from hilum.wording import listed

#: Layouts of their own kind; at most one of them may fit.
SPECIFIC: tuple[Layout, ...] = (
    kaggle.LAYOUT, radiography_database.LAYOUT, covidx.LAYOUT, nih.LAYOUT, rsna.LAYOUT,
    chexpert.LAYOUT, mimic.LAYOUT, padchest.LAYOUT, vindr.LAYOUT, covid_chestxray.LAYOUT,
    medmnist.LAYOUT, manifest.DICOM_TREE, manifest.MANIFEST,
)  # fmt: skip
#: Folder trees, which almost anything looks like, are tried where none of the others fits.
GENERAL: tuple[Layout, ...] = (folders.SPLIT_FOLDERS, folders.LABEL_FOLDERS)
#: Endings of tables that are to be saved as CSV first.
_OTHER_TABLES = frozenset({".tsv", ".tab", ".xlsx", ".xls", ".ods"})
#: What a folder may be although a table of any name lies in it.
_BEFORE_TABLES = (*SPECIFIC, folders.SPLIT_FOLDERS)
LAYOUTS: dict[str, Layout] = {layout.name: layout for layout in (*SPECIFIC, *GENERAL)}


def read_layout(
    data: Path | str,
    layout: str | None = None,
    *,
    keep_identifiers: bool = False,
    progress: Progress | None = None,
) -> Listing:
    """List the labelled images of a data set, whatever its layout.

    data: a folder, or a CSV, Parquet or NPZ file, or the URL of one in a store. layout: a name of
    LAYOUTS to read it as; without it the layout is recognised. A folder that is of no layout of its
    own kind, and not divided into splits, is read as the only table at its top that labels images,
    whatever that is called. In folder trees the images are in natural order of their names, and
    hidden files, ``masks`` and what systems leave are ignored. DICOM files give their patients and
    views, whatever the layout (see dicom_facts).
    keep_identifiers: groups of DICOM files are PatientIDs, not salted hashes.

    Raises DataError where there is no such data, no layout fits, several do, or the one that
    fits is damaged.
    """
    data = as_place(data)
    if isinstance(data, StorePath):
        data.forget()
    check_there(data)
    place = _labelled_by(data, layout) or data
    kinds = _recognise(place) if layout is None else [_named(layout, place)]
    for kind in kinds:
        try:
            listing = kind.read(place)
        except folders.UnlabelledError as error:
            raise DataError(f"{error}{tables_not_read(data)}") from None
        if listing.found:
            beside = _tables(data.resolve().parent) if kind is folders.LABEL_FOLDERS else []
            if beside:
                note = (
                    f"Labels are the names of its folders. If {beside[0].name}, which lies beside "
                    "it, is to give them, give that table as the data."
                )
                listing = replace(listing, notes=(*listing.notes, note))
            listing = add_dicom_facts(
                listing, kind, keep_identifiers=keep_identifiers, progress=progress
            )
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


def _labelled_by(data: Path, layout: str | None) -> Path | None:
    """The table that labels a folder's images where no layout of its own kind does; None if none.

    layout: the one that is named, if any: only those by a table have such a table. Raises
    DataError where there are two.
    """
    wanted = layout is None or (layout in LAYOUTS and LAYOUTS[layout].by_table)
    if not wanted or data.is_file() or any(kind.matches(data) for kind in _BEFORE_TABLES):
        return None
    tables = _tables(data)
    if len(tables) > 1:
        raise DataError(
            f"{data}: {listed(t.name for t in tables)} all label images; give the one that is "
            "meant as the data, or keep one of them in the folder."
        )
    return tables[0] if tables else None


def _tables(folder: Path) -> list[Path]:
    """The tables at the top of a folder that label images, whatever they are called."""
    try:
        files = [p for p in sorted(folder.iterdir()) if p.suffix.casefold() in TABLE_SUFFIXES]
    except OSError:
        return []
    return [p for p in files if p.is_file() and manifest.labels_images(p)]


def tables_not_read(folder: Path) -> str:
    """Why the tables at the top of a folder do not label its images: sentences behind others."""
    if not folder.is_dir():
        return ""
    said = ""
    for path in sorted(p for p in folder.iterdir() if p.is_file()):
        ending = path.suffix.casefold()
        if ending in TABLE_SUFFIXES:
            said += f" The table {path.name} is not read: {manifest.why_not(path)}"
        elif ending in _OTHER_TABLES:
            said += f" The table {path.name} is not read: save it as CSV in UTF-8, with commas."
    return said


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
            "or NPZ. Unpack an archive; save a table as CSV in UTF-8, with commas between the "
            "cells."
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
