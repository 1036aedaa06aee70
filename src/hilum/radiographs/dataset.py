"""A data set: records, the label tree they span, and their pixels."""

import fnmatch
import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from hilum.display import Displayed, paragraphs
from hilum.errors import DataError, LabelError, in_lines, plural
from hilum.labels import LabelTree
from hilum.phantoms.phantom import is_phantom
from hilum.radiographs.completeness import check_complete
from hilum.radiographs.finding_map import describe_unplaced, match_findings, without_several
from hilum.radiographs.label_map import NO_MAPPING, match_classes
from hilum.radiographs.layouts import (
    FROM_LIST,
    SPLITS,
    Found,
    LeftOut,
    natural_key,
    read_layout,
    tables_not_read,
)
from hilum.radiographs.pixels import (
    DamagedFilesError,
    PixelTransform,
    Thumbnail,
    content_digests,
    open_pixels,
)
from hilum.radiographs.typos import refuse_typos, what_to_do
from hilum.records import (
    ABSENT,
    MISSING,
    PRESENT,
    UNCERTAIN,
    IntArray,
    PixelArray,
    Progress,
    Record,
    several,
)
from hilum.stores import answering, as_place
from hilum.table import Row, Table

#: What files are decoded to, to see whether they can be: small, and the audit needs it too.
_TRIED = Thumbnail(48)


@dataclass(frozen=True, repr=False)
class Dataset(Displayed):
    """Labelled radiographs. Made by open_dataset.

    root: the folder below which all images lie. tree: its labels. records: in order of split,
    label and number. digests: SHA-256 of each record's file, or of its pixels in an NPZ file.
    synthetic: the images are phantoms. layout: how they lie in root. notes: what was left out or
    decided while reading the layout, in sentences for people that name no image. file: the table
    or NPZ file that was opened instead of a folder. left_out: what is not read, by reason.
    damaged: of these the files that cannot be decoded, and why. patients_from: what named the
    patients of records with a group. rename: what labels of the data mean in the tree, as given.
    """

    root: Path
    tree: LabelTree
    records: tuple[Record, ...]
    digests: tuple[str, ...]
    synthetic: bool
    layout: str = ""
    notes: tuple[str, ...] = ()
    file: Path | None = None
    left_out: tuple[LeftOut, ...] = ()
    damaged: Mapping[str, str] = field(default_factory=dict)
    patients_from: str = FROM_LIST
    rename: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The own name of the data folder, or of the file that was opened."""
        return (self.file or self.root).resolve().name

    def reading(self) -> dict[str, Any]:
        """How it was read, as JSON values: its layout, notes, and what is not read."""
        left_out = [{"note": left.note, "names": list(left.names)} for left in self.left_out]
        return {"layout": self.layout, "notes": list(self.notes), "left_out": left_out}

    @cached_property
    def labels(self) -> IntArray:
        """(N,) class index of every record."""
        return np.array([r.label for r in self.records], dtype=np.int64)

    @cached_property
    def marks(self) -> IntArray:
        """(N, F) of every record what is known of each finding: see Record.marks."""
        return np.array([r.marks for r in self.records], dtype=np.int64).reshape(
            len(self.records), len(self.tree.findings)
        )

    @cached_property
    def splits(self) -> tuple[str, ...]:
        """The splits that hold images, in the order train, val, test."""
        present = {r.split for r in self.records}
        return tuple(s for s in SPLITS if s in present)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over every file's content, split and label: equal for equal data."""
        digest = hashlib.sha256()
        for record, content in zip(self.records, self.digests, strict=True):
            digest.update(f"{record.split}\t{self._label_of(record)}\t{content}\n".encode())
        return digest.hexdigest()

    @cached_property
    def content(self) -> str:
        """SHA-256 over every file's content and label, however the files are divided."""
        lines = (
            f"{self._label_of(r)}\t{content}\n"
            for r, content in zip(self.records, self.digests, strict=True)
        )
        return hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()

    def _label_of(self, record: Record) -> str:
        """Its class, and what is known of each finding."""
        marks = " ".join(map(str, record.marks))
        return self.tree.classes[record.label] + (f" {marks}" if marks else "")

    def indices(self, split: str) -> IntArray:
        """Positions of a split's records; 'all' gives every record.

        Raises DataError where the data set has no such split.
        """
        if split == "all":
            return np.arange(len(self.records), dtype=np.int64)
        if split not in self.splits:
            raise DataError(
                f"{self.root}: there is no split '{split}'; found {', '.join(self.splits)}."
            )
        return np.array([i for i, r in enumerate(self.records) if r.split == split], dtype=np.int64)

    def split_or_all(self, split: str) -> str:
        """The split, or 'all' where it is not there and all images are in one.

        Raises DataError where there are several others.
        """
        if split not in self.splits and len(self.splits) == 1:
            return "all"
        self.indices(split)
        return split

    def counts(self) -> dict[str, dict[str, int]]:
        """Images per split and class."""
        found = Counter((r.split, r.label) for r in self.records)
        return {
            split: {name: found[split, i] for i, name in enumerate(self.tree.classes)}
            for split in self.splits
        }

    def finding_counts(self) -> dict[str, dict[str, dict[str, int]]]:
        """Of each split and finding, how many images have it, do not, and of how many who knows.

        Under 'present', 'absent', 'uncertain' and 'missing'.
        """
        names = {"present": PRESENT, "absent": ABSENT, "uncertain": UNCERTAIN, "missing": MISSING}
        found = {}
        for split in self.splits:
            marks = self.marks[self.indices(split)]
            found[split] = {
                finding.name: {
                    name: int((marks[:, finding.index] == mark).sum())
                    for name, mark in names.items()
                }
                for finding in self.tree.findings
            }
        return found

    def take(self, rows: Sequence[int]) -> "Dataset":
        """The data set of some of the records, in the order of the rows."""
        return replace(
            self,
            records=tuple(self.records[i] for i in rows),
            digests=tuple(self.digests[i] for i in rows),
        )

    def _in_one_line(self) -> str:
        parts = Counter(record.split for record in self.records)
        counted = ", ".join(f"{split} {parts[split]:,}" for split in self.splits)
        images = plural(len(self.records), "image")
        phantoms = ", synthetic" if self.synthetic else ""
        return f"Dataset '{self.name}': {images} of {self.tree} ({counted}){phantoms}"

    def _in_full(self) -> Iterator[str | Table]:
        counts = self.counts()
        columns = ["split", *self.tree.classes * bool(self.tree.decisions), "all"]
        rows: list[Row] = [
            [s, *list(of.values()) * bool(self.tree.decisions), sum(of.values())]
            for s, of in counts.items()
        ]
        yield Table("", columns, rows)
        if self.tree.findings:
            told = self.finding_counts()
            columns = ["present in", *(f.name for f in self.tree.findings)]
            rows = [[s, *(n["present"] for n in of.values())] for s, of in told.items()]
            yield Table("", columns, rows)
        yield paragraphs(f"Read as {self.layout}.", *self.notes)

    def pixels(self, transform: PixelTransform, progress: Progress | None = None) -> PixelArray:
        """Every record's pixels, decoded at most once: read-only (N, H, W) uint8."""
        paths = [r.path for r in self.records]
        return open_pixels(paths, self.digests, transform, progress)


def record_order(record: Record) -> tuple[int, int, tuple[tuple[int, str], ...]]:
    """Sort key of a data set's records: by split, label and natural order of the names."""
    return (SPLITS.index(record.split), record.label, natural_key(record.name))


def open_dataset(
    root: Path | str,
    *,
    tree: LabelTree | str | None = None,
    exclude: str | Sequence[str] = (),
    layout: str | None = None,
    rename: Mapping[str, str] = NO_MAPPING,
    every_class: bool = True,
    keep_identifiers: bool = False,
    skip_damaged: bool = False,
    progress: Progress | None = None,
) -> Dataset:
    """Open labelled radiographs: a folder, or a table or NPZ file that lists or holds them.

    Args:
        root: The folder or file, or its URL in a store (``s3://bucket/films``).
        tree: The labels and their order, also as a line such as ``normal, pneumonia``; an image's
            class is then the innermost of its labels that is a class of it, so ``NORMAL,
            PNEUMONIA`` joins what is divided further in the data. With braces, as in ``{effusion,
            mass}``, it asks for findings. Without it the nesting of the labels is the tree, or the
            findings are, where images have several labels.
        exclude: Shell patterns of names below root, such as ``val/infected/covid/8.jpg`` or
            ``*/normal/1?.png``.
        layout: One of layouts.LAYOUTS by name; without it the layout is recognised.
        rename: What labels of the data mean in the given tree, such as {"No_findings": "normal",
            "Effusion": "-"}, where "-" leaves images out (see label_map); notes tell what it did.
        every_class: Refuse a split that lacks a class, which nothing can be trained or monitored
            on. An evaluation may do without: notes then name what is missing, and measures of
            such a class are undefined.
        keep_identifiers: Name patients of DICOM files by their PatientID, not by a salted hash.
        skip_damaged: Leave out the files that cannot be decoded, instead of refusing them when
            their pixels are wanted.
        progress: Called as files are read.

    Returns:
        The data set; no pixel is decoded yet, but with skip_damaged, into the cache.

    Raises:
        DataError: The data have no layout that is known, a split lacks a class, a class of the
            training split has a single image, two labels differ by a typo, an exclude pattern
            matches nothing, a label is neither a class of the given tree nor renamed, or files
            cannot be read (all of them listed at once).
        LabelError: The labels form no tree.
    """
    data = as_place(root)
    if isinstance(tree, str):
        tree = LabelTree.from_text(tree)
    with answering(progress and partial(progress, "Listing folders")):
        listing = read_layout(data, layout, keep_identifiers=keep_identifiers, progress=progress)
    root = listing.root
    found = _without_excluded(listing.found, root, several(exclude))
    left_out = listing.left_out
    notes = list(listing.sentences)
    marks: list[tuple[int, ...]] = [()] * len(found)
    by_finding = bool(listing.findings) and not all(f.labels for f in found)
    if tree is None and by_finding and not rename:
        refuse_typos(root, {(name,) for name in listing.findings})
        tree = LabelTree((), listing.findings)
        notes.append(
            "Images have several labels, or none: each is read as a finding that is present or "
            "absent. Labels without braces read images of one label alone."
        )
    elif by_finding and not (tree and tree.findings):
        found, several_labels = without_several(root, found, listing.findings)
        left_out = (*left_out, *several_labels)
        notes += [left.note for left in several_labels]
    if tree is not None and tree.findings:
        placed, marks, said = match_findings(root, found, listing.findings, tree, rename)
        kept = [k for k, label in enumerate(placed) if label is not None]
        if len(kept) < len(found):
            said.append(describe_unplaced(len(found) - len(kept)))
        found, marks = [found[k] for k in kept], [marks[k] for k in kept]
        labels = [label for label in placed if label is not None]
        notes += said
        if not found:
            raise DataError(f"{root}: every image is left out.")
    elif tree is None:
        if rename:
            raise DataError(
                f"{root}: labels can be renamed only to classes of a tree that is given."
            )
        paths = {f.labels for f in found}
        refuse_typos(root, paths)
        try:
            tree = LabelTree.from_paths(paths)
        except LabelError as error:
            remedy = what_to_do(root, paths) + tables_not_read(root)
            raise LabelError(f"{root}: {error}{remedy}") from None
        index = {path: i for i, path in enumerate(tree.paths)}
        labels = [index[f.labels] for f in found]
    else:
        matched, mapped = match_classes(root, found, tree, rename)
        found = [f for f, label in zip(found, matched, strict=True) if label is not None]
        labels = [label for label in matched if label is not None]
        notes += mapped
        marks = [()] * len(found)
        if not found:
            raise DataError(f"{root}: every image is left out.")
    records = tuple(
        Record(
            path=f.path,
            name=f.path.relative_to(root).as_posix(),
            split=f.split,
            label=label,
            group=f.group,
            source=f.source,
            attributes=f.attributes,
            marks=mark,
        )
        for f, label, mark in zip(found, labels, marks, strict=True)
    )
    records = tuple(sorted(records, key=record_order))
    damaged: dict[str, str] = {}
    if skip_damaged:
        records, digests, damaged = _decodable(data, records, progress)
    if damaged:
        names = tuple(f"{name} ({reason})" for name, reason in damaged.items())
        left_out = (*left_out, LeftOut(describe_damage(damaged), names))
        notes.append(describe_damage(damaged))
    notes += check_complete(root, tree, records, describe_damage(damaged), every_class=every_class)
    if not skip_damaged:
        digests = content_digests(data, [r.path for r in records], progress)
    return Dataset(
        root, tree, records, tuple(digests), is_phantom(root), listing.layout, tuple(notes),
        file=data if data.is_file() else None, left_out=left_out, damaged=damaged,
        patients_from=listing.patients_from, rename=dict(rename),
    )  # fmt: skip


def describe_damage(damaged: Mapping[str, str]) -> str:
    """How many files are left out because they are damaged; '' where none is."""
    return f"{plural(len(damaged), 'damaged file')} left out." if damaged else ""


def _decodable(
    data: Path, records: tuple[Record, ...], progress: Progress | None
) -> tuple[tuple[Record, ...], list[str], dict[str, str]]:
    """The records that can be decoded, their digests, and of the others what is wrong by name."""
    damaged: dict[str, str] = {}
    while records:
        paths = [r.path for r in records]
        try:
            digests = content_digests(data, paths, progress)
            open_pixels(paths, digests, _TRIED, progress)
        except DamagedFilesError as error:
            wrong = {
                paths[k] if isinstance(k, int) else k: why for k, why in error.failures.items()
            }
            reasons = {p: why.removeprefix(f"{p}: ").rstrip(".") for p, why in wrong.items()}
            damaged |= {r.name: reasons[r.path] for r in records if r.path in reasons}
            records = tuple(r for r in records if r.path not in reasons)
        else:
            return records, digests, dict(sorted(damaged.items(), key=lambda d: natural_key(d[0])))
    raise DataError(
        f"{data}: every image is damaged:"
        + in_lines(f"{name}: {reason}" for name, reason in damaged.items())
    )


def _without_excluded(
    found: Sequence[Found], root: Path, exclude: Sequence[str]
) -> Sequence[Found]:
    kept = found
    for pattern in exclude:
        before = len(kept)
        kept = [
            f for f in kept if not fnmatch.fnmatchcase(f.path.relative_to(root).as_posix(), pattern)
        ]
        if len(kept) == before:
            raise DataError(f"{root}: no image matches the exclude pattern '{pattern}'.")
    if not kept:
        raise DataError(f"{root}: every image is excluded.")
    return kept
