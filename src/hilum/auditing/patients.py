"""Whose radiographs are these: patients from file names, and how alike neighbouring files are.

Several images of one patient must not stand on both sides of a split. Where nothing names the
patient, files that were numbered in the order of a collection still betray it: neighbouring
numbers resemble each other more than chance, and blocks of numbers are the unit to split by.
"""

import re
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from hilum.errors import DataError, in_lines, nearest, plural
from hilum.radiographs.dataset import Dataset
from hilum.radiographs.layouts import FROM_LIST, natural_key
from hilum.records import BoolArray, Estimate, FloatArray, IntArray, PixelArray, Record
from hilum.statistics.intervals import bootstrap

Float32Array = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class NamePattern:
    """A way in which a public collection writes the patient into the path of an image.

    name: for people. regex: searched in the path below the data root; its group is
    the patient. source: where the convention is described or can be seen.
    """

    name: str
    regex: re.Pattern[str]
    source: str


#: To add a convention, add a line. The first that matches wins.
NAME_PATTERNS: tuple[NamePattern, ...] = (
    # Bacterial and viral cases are numbered apart: person100_bacteria_475 and person100_virus_184
    # are taken as two children: the image numbers rise with the person's within each kind only.
    NamePattern(
        "Kaggle chest X-ray pneumonia, person12_virus_34.jpeg",
        re.compile(r"(?:^|/)(person\d+_(?:bacteria|virus))_\d+\.[^/.]+$", re.IGNORECASE),
        "Kermany et al. 2018, doi:10.1016/j.cell.2018.02.010, as published on Kaggle",
    ),
    # Only below a folder of normal images: export programs call any series IM-0001-0001.
    NamePattern(
        "Kaggle chest X-ray pneumonia, NORMAL2-IM-0123-0001.jpeg",
        re.compile(
            r"(?:^|/)normal/((?:NORMAL2-)?IM-\d+)-\d+(?:-\d+)?\.[^/.]+$", re.IGNORECASE
        ),
        "Kermany et al. 2018, doi:10.1016/j.cell.2018.02.010, as published on Kaggle",
    ),
    NamePattern(
        "Kermany et al., VIRUS-1980593-0002.jpeg",
        re.compile(r"(?:^|/)((?:BACTERIA|VIRUS|NORMAL)-\d+)-\d+\.[^/.]+$", re.IGNORECASE),
        "Mendeley Data, doi:10.17632/rscbjbr9sj: (disease)-(patient)-(image of the patient)",
    ),
    NamePattern(
        "NIH ChestX-ray14, 00000001_000.png",
        re.compile(r"(?:^|/)(\d{8})_\d{3}\.[^/.]+$"),
        "Wang et al. 2017, doi:10.1109/CVPR.2017.369",
    ),
    NamePattern(
        "CheXpert, patient00001/study1/view1_frontal.jpg",
        re.compile(r"(?:^|/)(patient\d{5})/study\d+/[^/]+$"),
        "Irvin et al. 2019, doi:10.1609/aaai.v33i01.3301590",
    ),
    NamePattern(
        "MIMIC-CXR, p10000032/s50414267/….jpg",
        re.compile(r"(?:^|/)(p\d{8})/s\d{8}/[^/]+$"),
        "Johnson et al. 2019, doi:10.1038/s41597-019-0322-0",
    ),
)  # fmt: skip


@dataclass(frozen=True)
class PatientInfo:
    """Whose image each record is, as far as it can be known.

    patients: per record an identifier, None where nothing names the patient. sources: images by
    where the identifier was found: a NamePattern's name, or what patient_groups was told.
    """

    patients: tuple[str | None, ...]
    sources: dict[str, int]

    @cached_property
    def count(self) -> int:
        """How many patients are known."""
        return len(set(self.patients) - {None})

    @property
    def without(self) -> int:
        """How many images name no patient."""
        return self.patients.count(None)

    def to_plain(self) -> dict[str, Any]:
        """For the codec: counts only; identifiers of patients stay where they are."""
        return {"patients": self.count, "images_without": self.without, "sources": self.sources}


def patient_groups(records: Sequence[Record], named_by: str = FROM_LIST) -> PatientInfo:
    """Find the patient of each record: its group, else from known patterns of names.

    Equal identifiers mean one patient wherever the files lie, also across splits. named_by: what
    gave the groups, as Dataset.patients_from says.
    """
    patients: list[str | None] = []
    sources: dict[str, int] = {}
    for record in records:
        patient, source = _patient(record, named_by)
        patients.append(patient)
        if patient is not None:
            sources[source] = sources.get(source, 0) + 1
    return PatientInfo(tuple(patients), sources)


def _patient(record: Record, named_by: str) -> tuple[str | None, str]:
    if record.group is not None:
        return record.group, named_by
    for pattern in NAME_PATTERNS:
        if match := pattern.regex.search(record.name):
            return match[1], pattern.name
    return None, ""


def patients_across_splits(records: Sequence[Record], info: PatientInfo) -> dict[str, list[int]]:
    """Patients with images in more than one split: identifier to positions in records."""
    members: dict[str, list[int]] = {}
    for i, patient in enumerate(info.patients):
        if patient is not None:
            members.setdefault(patient, []).append(i)
    return {p: rows for p, rows in members.items() if len({records[i].split for i in rows}) > 1}


_LAST_NUMBER = re.compile(r"^(.*?)([0-9]+)[^0-9]*$", re.DOTALL)


def file_number(name: str) -> tuple[str, int] | None:
    """The series that a file belongs to and its number there; None if its name has no number.

    The number is the last one in the name without its suffix; the series is the folder and what
    stands before the number: 'train/normal/12.jpg' is ('train/normal/', 12), and
    'COVID/COVID-12.png' is ('COVID/COVID-', 12).
    """
    folder, slash, file = name.rpartition("/")
    stem = file.rpartition(".")[0] or file
    match = _LAST_NUMBER.match(stem)
    return (folder + slash + match[1], int(match[2])) if match else None


# ---- do neighbouring file numbers resemble each other? -----------------------------------------

LAGS = 10
_RUN = 50  # files that are resampled together; several times the reach of the resemblance
_MOST = 10_000  # files of a series that are looked at; bounds memory, and more say nothing new


@dataclass(frozen=True)
class Resemblance:
    """How alike files with neighbouring numbers are, against random pairs of the same series.

    by_lag: mean correlation of files whose numbers differ by 1, 2, … LAGS. random: that of random
    pairs. excess: lag 1 minus random; if its interval lies above 0, neighbours are more alike
    than chance, as several images of one patient would be. n of each: the number of pairs.
    """

    by_lag: tuple[Estimate, ...]
    random: Estimate
    excess: Estimate


def neighbour_resemblance(dataset: Dataset, pixels: PixelArray, *, seed: int = 0) -> Resemblance:
    """Measure how much neighbouring file numbers resemble each other.

    pixels: (N, H, W) uint8, small versions of the data set's images; 32 x 32 will do. Pairs are
    of one series of numbers (see file_number) and one class. What all images of a series share is
    taken away first (its mean image), so that unrelated images correlate about 0; values lie in
    [-1, 1]. Of a series the first 10,000 files are looked at. Intervals are 95 % percentiles of a
    bootstrap over runs of 50 consecutive files, because neighbouring pairs are not independent.
    Estimates are undefined where no file numbers follow each other. Pure in its arguments.
    Raises DataError where pixels are not of N images.
    Source: Künsch 1989, doi:10.1214/aos/1176347265 (resampling runs of dependent observations).
    """
    if len(pixels) != len(dataset.records):
        raise DataError(
            f"{dataset.root}: expected pixels of {len(dataset.records)} images, "
            f"found {len(pixels)}."
        )
    rng = np.random.default_rng([seed, 0x0E16])
    sums: list[FloatArray] = []
    pairs: list[FloatArray] = []
    for rows, numbers in _series(dataset):
        products, there = _correlations(pixels[rows], numbers, rng)
        starts = np.arange(0, len(rows), _RUN)
        sums.append(np.add.reduceat(products, starts, axis=0))
        pairs.append(np.add.reduceat(there.astype(np.float64), starts, axis=0))
    if not sums:
        none = Estimate.undefined("no class has two files whose names are numbered")
        return Resemblance((none,) * LAGS, none, none)
    run_sums, run_pairs = np.concatenate(sums), np.concatenate(pairs)
    estimates = [_mean(run_sums[:, [c]], run_pairs[:, [c]], seed) for c in range(LAGS + 1)]
    excess = _mean(run_sums[:, [1, 0]], run_pairs[:, [1, 0]], seed)
    return Resemblance(tuple(estimates[1:]), estimates[0], excess)


def _series(dataset: Dataset) -> list[tuple[IntArray, IntArray]]:
    """Rows of each series and class of at least two files, in order of number; the numbers."""
    members: dict[tuple[str, int], list[tuple[int, int]]] = {}
    for i, record in enumerate(dataset.records):
        if found := file_number(record.name):
            members.setdefault((found[0], record.label), []).append((found[1], i))
    ordered = [sorted(m) for m in members.values() if len(m) > 1]
    # Numbers beyond int64 are identifiers, not a count.
    return [
        (np.array([i for _, i in m[:_MOST]]), np.array([n for n, _ in m[:_MOST]]))
        for m in ordered
        if m[-1][0] < 2**62
    ]


def _correlations(
    images: PixelArray, numbers: IntArray, rng: np.random.Generator
) -> tuple[FloatArray, BoolArray]:
    """(M, 1 + LAGS) correlation of each file with a random one and its next ones; which exist."""
    m = len(images)
    x = images.reshape(m, -1).astype(np.float32)
    x = _unit(x)
    x = _unit(x - x.mean(axis=0))
    partner = (np.arange(m) + rng.integers(1, m, size=m)) % m
    products = np.zeros((m, 1 + LAGS))
    there = np.zeros((m, 1 + LAGS), dtype=np.bool_)
    products[:, 0], there[:, 0] = np.einsum("md,md->m", x, x[partner]), True
    for lag in range(1, LAGS + 1):
        position = np.minimum(np.searchsorted(numbers, numbers + lag), m - 1)
        found = numbers[position] == numbers + lag
        there[:, lag] = found
        products[found, lag] = np.einsum("md,md->m", x[found], x[position[found]])
    return products, there


def _unit(x: Float32Array) -> Float32Array:
    """Rows with mean 0 and length 1; a row without contrast becomes 0."""
    x = x - x.mean(axis=1, keepdims=True)
    length = np.linalg.norm(x, axis=1, keepdims=True)
    result: Float32Array = np.divide(x, length, out=np.zeros_like(x), where=length > 1e-6)
    return result


def _mean(sums: FloatArray, pairs: FloatArray, seed: int) -> Estimate:
    """A mean (or the first column's less the second's) with its interval over runs of files."""
    n = int(pairs[:, 0].sum())
    if n == 0:
        return Estimate.undefined("no two file numbers lie this far apart")

    def mean(counts: IntArray) -> FloatArray:
        below = counts @ pairs
        means = np.divide(counts @ sums, below, out=np.full_like(below, np.nan), where=below > 0)
        difference: FloatArray = means[:, 0] - (means[:, 1] if means.shape[1] > 1 else 0)
        return difference

    return replace(bootstrap(mean, len(sums), seed=seed), n=n)


GroupBy = Literal["auto", "patient", "blocks"]

#: Kind ('patient', 'block' or 'file'), its name or series, and the block's index in the series.
Group = tuple[str, str, int]


def _own_groups(dataset: Dataset, group_by: str, block_size: int) -> list[Group]:
    """Each record's group before any are joined."""
    if group_by not in get_args(GroupBy):
        raise DataError(
            f"Images cannot be grouped by '{group_by}'.{nearest(group_by, get_args(GroupBy))}"
        )
    patients: Sequence[str | None] = [None] * len(dataset.records)
    if group_by != "blocks":
        patients = patient_groups(dataset.records).patients
    if group_by == "patient" and None in patients:
        nameless = [r.name for r, p in zip(dataset.records, patients, strict=True) if p is None]
        raise DataError(
            f"{dataset.root}: nothing names the patient of {plural(len(nameless), 'image')}; group "
            f"by blocks of file numbers, or list the patients in a table:{in_lines(nameless, 20)}"
        )
    groups: list[Group] = []
    for record, patient in zip(dataset.records, patients, strict=True):
        numbered = file_number(record.name)
        if patient is not None:
            groups.append(("patient", patient, 0))
        elif numbered is not None:
            groups.append(("block", numbered[0], numbered[1] // block_size))
        else:
            groups.append(("file", record.name, 0))
    return groups


def joined_groups(
    dataset: Dataset,
    group_by: str = "auto",
    block_size: int = 1,
    keep_together: Iterable[Sequence[int]] = (),
) -> list[Group]:
    """What must stay together, of each record: its own group, or the one that it was joined to.

    Identical files join their groups, and so do the records at positions to keep together. Of
    joined groups the first by name speaks for all, because files are mostly added with higher
    numbers: they then follow the others.

    group_by, block_size: see make_split. Raises DataError for another group_by, where 'patient' is
    asked of images without one, and for a position that no record has.
    """
    own = _own_groups(dataset, group_by, block_size)
    parent: dict[Group, Group] = {g: g for g in own}

    def find(group: Group) -> Group:
        while parent[group] != group:
            parent[group] = parent[parent[group]]
            group = parent[group]
        return group

    for rows in [*same_as_first(dataset.digests), *keep_together]:
        for row in rows:
            if not 0 <= row < len(own):
                raise DataError(f"There is no record {row} to keep together; there are {len(own)}.")
            a, b = find(own[rows[0]]), find(own[row])
            first, second = sorted((a, b), key=lambda g: (g[0], natural_key(g[1]), g[2]))
            parent[second] = first
    return [find(group) for group in own]


def same_as_first(keys: Sequence[Hashable]) -> list[tuple[int, int]]:
    """A link from the first position of every key to each later one."""
    first: dict[Hashable, int] = {}
    return [(first[k], i) for i, k in enumerate(keys) if first.setdefault(k, i) != i]


def group_name(group: Group, block_size: int) -> str:
    """A group's name in the table, such as 'block:train/normal/50-99'."""
    kind, name, index = group
    if kind == "block":
        name = f"{name}{index * block_size}-{(index + 1) * block_size - 1}"
    return f"{kind}:{name}"
