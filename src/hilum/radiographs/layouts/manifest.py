"""A table that says what images show: by their paths, or by their UIDs in a tree of DICOM files."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path, PureWindowsPath

from hilum.errors import DataError, Problems, plural
from hilum.radiographs.image import IMAGE_SUFFIXES
from hilum.radiographs.layouts.dicom_facts import study_facts
from hilum.radiographs.layouts.findings import CELLS, Marked, marks_in, name_of
from hilum.radiographs.layouts.listing import (
    COLUMNS,
    SPLITS,
    Found,
    Layout,
    LeftOut,
    Listing,
    attributes_of,
    natural_key,
    note_divided_patients,
    walk,
)
from hilum.radiographs.layouts.named import NamedImages
from hilum.radiographs.layouts.tables import (
    LABEL_TABLES,
    Names,
    Roles,
    Table,
    column_names,
    find_columns,
    findings_in,
    label_tables,
    labels_in,
    read_cells,
    read_table,
    says_something,
    split_in,
)
from hilum.records import ABSENT, MISSING, PRESENT
from hilum.stores import StorePath

_SAID: Roles = {
    "label": Names(
        ("label", "class"),
        ("labels", "finding", "findings", "finding label", "finding labels", "diagnosis",
         "disease", "category", "class name", "class label", "label name", "ground truth"),
    ),
    "split": Names(
        ("split",), ("set", "subset", "partition", "phase", "dataset", "data set", "data split"),
    ),
    "patient": Names(
        ("patient_id",),
        ("patient", "patient no", "patient number", "subject", "subject_id", "participant",
         "participant_id", "MRN"),
    ),
    "source": Names(
        ("source",), ("collection", "database", "data source", "source dataset", "dataset",
                      "data set"),
    ),
    **{name: Names(spellings) for name, spellings in COLUMNS.items()},
}  # fmt: skip
_PATHS = Names(
    ("path", "filename", "image"),
    (
        "image_id",
        "image index",
        "image name",
        "image path",
        "image file",
        "image filename",
        "file",
        "filepath",
        "relative path",
        "img",
        "img name",
        "img path",
        "img id",
        "dicom path",
    ),
)
_BY_PATH: Roles = {"image": _PATHS, **_SAID}
#: What names a DICOM image in a table, the more precise first.
_UIDS: Roles = {"image": Names(("SOPInstanceUID",)), "study": Names(("StudyInstanceUID",))}
_FEWEST_FINDINGS = 2  # columns of marks: one alone may be anything, such as whether somebody smokes


def finding_columns(table: Path, roles: Roles) -> tuple[str, ...]:
    """The columns that each tell of a finding, by 1, 0 or -1; () where a column gives the label."""
    header = column_names(table)
    at = find_columns(table, header, roles, ())
    if at.get("label") is not None:
        return ()
    played = {i for i in at.values() if i is not None}
    others = [name for i, name in enumerate(header) if i not in played and name.strip()]
    cells = read_cells(table, others)
    names = [name.strip() for name in others if _tells_of_a_finding(cells[name])]
    return tuple(names) if len(names) >= _FEWEST_FINDINGS else ()


def _tells_of_a_finding(cells: Sequence[str]) -> bool:
    """Whether more than half of the cells that say something are marks; the others are refused."""
    told = [cell for cell in cells if says_something(cell)]
    return 2 * sum(cell.casefold() in CELLS for cell in told) > len(told)


def why_not(table: Path) -> str:
    """What keeps a table from labelling images, in a sentence; '' where nothing does."""
    try:
        find_columns(table, column_names(table), _BY_PATH, ("image", "label"))
    except DataError as error:
        return str(error).removeprefix(f"{table}: ")
    return ""


def labels_images(table: Path) -> bool:
    """Whether a table names images, by paths or by a UID of DICOM, and gives each a label.

    One in which two columns do so counts, too: reading it says which.
    """
    try:
        header = column_names(table)
    except DataError:
        return False

    def has(names: Names) -> bool:
        try:
            return find_columns(table, header, {"": names}, ())[""] is not None
        except DataError:  # several do
            return True

    return has(_SAID["label"]) and any(map(has, (_PATHS, *_UIDS.values())))


def _has_uids_only(table: Path) -> bool:
    """Whether a table names images by a UID of DICOM, and by no path."""
    roles = {**_UIDS, "path": Names(_PATHS.sure)}
    try:
        columns = find_columns(table, column_names(table), roles, ())
    except DataError:
        return False  # reading it as a manifest says what is wrong with it
    return columns["path"] is None and (columns["image"], columns["study"]) != (None, None)


def _matches_manifest(data: Path) -> bool:
    return bool(label_tables(data)) and not _matches_dicom_tree(data)


def _matches_dicom_tree(data: Path) -> bool:
    return any(_has_uids_only(table) for table in label_tables(data))


def _only_table(data: Path) -> Path:
    tables = label_tables(data)
    if len(tables) != 1:
        there = " and ".join(t.name for t in tables) or "none"
        raise DataError(f"{data}: expected one of {', '.join(LABEL_TABLES)}; found {there}.")
    return tables[0]


class _Listed:
    """The images that the rows of a table list, and all that is wrong with the rows."""

    def __init__(self, file: Path, roles: Roles, required: tuple[str, ...]) -> None:
        self.file, self.root = file, file.parent
        self.problems = Problems(file)
        self.images = NamedImages(self.root, self.problems)
        self.columns = finding_columns(file, roles)
        if self.columns:
            roles = {role: names for role, names in roles.items() if role != "label"}
            required = tuple(role for role in required if role != "label")
        self.table: Table = read_table(
            file, roles, required, self.problems, several=True, findings=self.columns
        )
        self._marked = Marked(self.problems, MISSING if self.columns else ABSENT)
        self._splits: dict[str, dict[str, str]] = {}
        self._without_split = 0

    def add(self, path: Path, line: int, row: Mapping[str, str]) -> None:
        if self.columns:
            said = marks_in(row, self.columns, line, self.problems)
            labels: tuple[str, ...] = ()
        else:
            findings = findings_in(row)
            said = dict.fromkeys(map(name_of, findings), PRESENT)
            labels = labels_in(line, row, self.problems) if len(findings) == 1 else ()
        split, patient = split_in(line, row, self.problems), row["patient"] or None
        self.images.add(path, line, labels)
        self._without_split += not row["split"]
        if patient:
            self._splits.setdefault(patient, {}).setdefault(split, f"line {line}")
        source, attributes = row["source"] or None, attributes_of(row)
        self._marked.add(Found(path, split, labels, patient, source, attributes), said, line)

    def listing(self, layout: Layout, left_out: tuple[LeftOut, ...] = ()) -> Listing:
        """Raises DataError with every problem."""
        if not layout.by_uid:  # of PatientIDs none is named; see dicom_facts
            note_divided_patients(self.problems, self._splits)
        marked, findings = self._marked.finish(self.columns or None)
        self.problems.check()
        left_out = (*self.table.left_out, *left_out, *self._marked.left_out)
        if not marked:
            raise DataError(
                " ".join([f"{self.file}: lists no image.", *(x.note for x in left_out)])
            )
        notes = [self.table.note]
        if 0 < self._without_split < len(marked):
            notes.append(f"{plural(self._without_split, 'image')} without a split read as train.")
        found = tuple(sorted(marked, key=lambda f: SPLITS.index(f.split)))
        if all(len(image.labels) for image in found) and not self.columns:
            findings = ()  # each label excludes the others
        return Listing(
            self._root_of(found), layout.name, found, tuple(notes), left_out, findings=findings
        )

    def _root_of(self, found: Sequence[Found]) -> Path:
        """The table's folder, or that of all the URLs that it lists."""
        here = isinstance(self.root, StorePath)
        far = [
            f.path for f in found
            if isinstance(f.path, StorePath) != here or not f.path.is_relative_to(self.root)
        ]  # fmt: skip
        if not far:
            return self.root
        root = _common_folder(far) if len(far) == len(found) else None
        if root is None:
            raise DataError(
                f"{self.file}: names images by URLs that have no folder in common; name all of "
                "them below one bucket or server, and none by a path."
            )
        root.forget()
        return root


def _common_folder(paths: Sequence[Path]) -> StorePath | None:
    """The innermost folder of a store that all of some StorePaths lie in; None where none is."""
    shared = [*paths[0].parent.parts]
    for path in paths:
        own = path.parent.parts
        while tuple(shared) != own[: len(shared)]:
            shared.pop()
    return StorePath(*shared) if len(shared) > 1 else None


def _read_manifest(data: Path) -> Listing:
    table = _only_table(data)
    listed = _Listed(table, _BY_PATH, ("image", "label"))
    named: set[Path] = set()
    for line, row in listed.table.rows:
        if path := listed.images.path(row["image"], line):
            named.add(path)
            listed.add(path, line, row)
    return listed.listing(MANIFEST, _unlisted(named, table))


def _unlisted(named: set[Path], table: Path) -> tuple[LeftOut, ...]:
    """The images that lie beside those that a table names, and that it does not name."""
    folders = {path.parent for path in named if not isinstance(path, StorePath)}
    others = [
        path
        for folder in folders
        for path in folder.iterdir()
        if path.suffix.casefold() in IMAGE_SUFFIXES and path not in named
    ]
    if others:  # in rows that say nothing of an image it is named nevertheless
        header = column_names(table)
        at = find_columns(table, header, _BY_PATH, ("image",))["image"] or 0
        cells = read_cells(table, [header[at]])[header[at]]
        told = {PureWindowsPath(cell).name for cell in cells}  # by / and by \
        others = [path for path in others if not {path.name, path.stem} & told]
    others.sort(key=lambda path: (path.parent, natural_key(path.name)))
    names = [Path(os.path.relpath(path, table.parent)).as_posix() for path in others]
    if not names:
        return ()
    note = f"{plural(len(names), 'image')} that {table.name} does not list left out."
    return (LeftOut(note, tuple(names)),)


def _read_dicom_tree(data: Path) -> Listing:
    table = _only_table(data)
    precise = find_columns(table, column_names(table), _UIDS, ())["image"] is not None
    wanted = _UIDS["image" if precise else "study"]
    listed = _Listed(table, {"uid": wanted, **_SAID}, ("uid", "label"))
    files = _files_by_uid(listed.root, precise)
    used: set[str] = set()
    for line, row in listed.table.rows:
        uid = row["uid"]
        used.add(uid)
        if uid not in files:  # the UID itself is not repeated: it leads to a patient
            listed.images.absent(f"no DICOM file has this {wanted.sure[0]}", line)
        for path in files.get(uid, []):
            listed.add(path, line, row)
    unlisted = [path for uid, paths in files.items() if uid not in used for path in paths]
    names = [path.relative_to(listed.root).as_posix() for path in unlisted]
    note = f"{plural(len(names), 'DICOM file')} that {table.name} does not list left out."
    return listed.listing(DICOM_TREE, (LeftOut(note, tuple(names)),) if names else ())


def _files_by_uid(root: Path, precise: bool) -> dict[str, list[Path]]:
    """The DICOM files below a folder by the UID of their image (precise), or of their study.

    Raises DataError where two files are one image.
    """
    files: dict[str, list[Path]] = {}
    images: dict[str, Path] = {}
    for directory, names in walk(root):
        for path in (directory / name for name in names):
            facts = study_facts(path)
            if facts is None:
                continue
            first = images.setdefault(facts.sop_instance, path)
            if first != path and facts.sop_instance:
                raise DataError(
                    f"{root}: {first.relative_to(root)} and {path.relative_to(root)} are one image "
                    "(they have one SOP Instance UID); remove one of them."
                )
            uid = facts.sop_instance if precise else facts.study_instance
            files.setdefault(uid, []).append(path)
    return files


MANIFEST = Layout(
    name="manifest",
    looks="a CSV or Parquet file, such as manifest.csv, with the columns path and label",
    names=("*.csv", "*.parquet"),
    matches=_matches_manifest,
    read=_read_manifest,
    by_table=True,
)
DICOM_TREE = Layout(
    name="dicom-tree",
    looks="labels.csv with the columns SOPInstanceUID or StudyInstanceUID, and label; DICOM files "
    "in any folders",
    names=("labels.csv", "*.dcm"),
    matches=_matches_dicom_tree,
    read=_read_dicom_tree,
    by_table=True,
    by_uid=True,
)
