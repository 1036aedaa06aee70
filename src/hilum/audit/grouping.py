"""What must stay on one side of a split: patients, blocks of file numbers, identical files."""

from collections.abc import Iterable, Sequence
from typing import Literal, get_args

from hilum.audit.patients import file_number, patient_groups
from hilum.errors import DataError, nearest
from hilum.radiographs.dataset import Dataset
from hilum.radiographs.layouts import natural_key

GroupBy = Literal["auto", "patient", "blocks"]

#: Kind ('patient', 'block' or 'file'), its name or series, and the block's index in the series.
Group = tuple[str, str, int]


def own_groups(dataset: Dataset, group_by: str, block_size: int) -> list[Group]:
    """Each record's group before any are joined: see make_split for group_by and block_size.

    Raises DataError for another group_by, and where 'patient' is asked of images without one.
    """
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
            f"{dataset.root}: nothing names the patient of {count_images(nameless)}; group by "
            f"blocks of file numbers, or list the patients in a table:{list_names(nameless)}"
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


def joined_groups(dataset: Dataset) -> list[Group]:
    """What must stay together of each record: its patient where known, and its identical files."""
    own = own_groups(dataset, "auto", block_size=1)
    joined = join_groups(own, identical_files(dataset.digests), len(dataset.records))
    return [joined[group] for group in own]


def identical_files(digests: Sequence[str]) -> list[list[int]]:
    """Positions of byte-identical files."""
    rows: dict[str, list[int]] = {}
    for i, digest in enumerate(digests):
        rows.setdefault(digest, []).append(i)
    return [r for r in rows.values() if len(r) > 1]


def join_groups(own: list[Group], together: Iterable[Sequence[int]], n: int) -> dict[Group, Group]:
    """For each group the one that speaks for it and for all it is joined with: the first by name.

    The first, because files are mostly added with higher numbers: they then follow the others.
    """
    parent: dict[Group, Group] = {g: g for g in own}

    def find(group: Group) -> Group:
        while parent[group] != group:
            parent[group] = parent[parent[group]]
            group = parent[group]
        return group

    for rows in together:
        for row in rows:
            if not 0 <= row < n:
                raise DataError(f"There is no record {row} to keep together; there are {n}.")
            a, b = find(own[rows[0]]), find(own[row])
            first, second = sorted((a, b), key=lambda g: (g[0], natural_key(g[1]), g[2]))
            parent[second] = first
    return {g: find(g) for g in parent}


def group_name(group: Group, block_size: int) -> str:
    """A group's name in the table, such as 'block:train/normal/50-99'."""
    kind, name, index = group
    if kind == "block":
        name = f"{name}{index * block_size}-{(index + 1) * block_size - 1}"
    return f"{kind}:{name}"


_LISTED = 20


def count_images(names: Sequence[str]) -> str:
    """'1 image' or '3 images'."""
    return "1 image" if len(names) == 1 else f"{len(names)} images"


def list_names(names: Sequence[str]) -> str:
    """The first names for the end of a refusal, one on each line."""
    shown = "".join(f"\n  {name}" for name in names[:_LISTED])
    return shown + (f"\n  … and {len(names) - _LISTED} more" if len(names) > _LISTED else "")
