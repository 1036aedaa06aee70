"""Splits of findings: each comes in its shares, and no patient is torn."""

from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hilum.auditing.splits import PROPORTIONS, count_findings, count_parts, make_split
from hilum.labels import LabelTree
from hilum.radiographs.dataset import Dataset
from hilum.records import Record


def with_findings(n: int, seed: int = 0, tree: str = "{common, rare, seldom}") -> Dataset:
    """n patients of one to four images each, whose findings come together."""
    rng = np.random.default_rng(seed)
    records = []
    for patient in range(n):
        sick = rng.random(3) < (0.3, 0.03, 0.06)
        for i in range(int(rng.integers(1, 5))):
            marks = tuple(int(s and rng.random() < 0.8) for s in sick)
            marks = (marks[0], marks[1], -1 if rng.random() < 0.1 else marks[2])
            name = f"{patient}/{i}.png"
            records.append(
                Record(Path("/data") / name, name, "train", 0, str(patient), marks=marks)
            )
    digests = tuple(record.name for record in records)
    return Dataset(
        Path("/data"), LabelTree.from_text(tree), tuple(records), digests, synthetic=False
    )


@pytest.mark.parametrize(
    "arguments", [{}, {"folds": 5}, {"proportions": {"train": 0.9, "val": 0.1}}]
)
def test_findings_come_in_their_shares(arguments: dict[str, Any]) -> None:
    data = with_findings(400)
    split = make_split(data, **arguments)
    shares = arguments.get("proportions") or (
        {str(k): 0.2 for k in range(5)} if arguments else PROPORTIONS
    )
    counts = count_findings(data, split)
    totals = Counter(split.parts.values())
    assert totals.total() == len(data.records)
    for part, share in shares.items():
        assert totals[part] == pytest.approx(share * len(data.records), abs=3)
        for finding in data.tree.findings:
            wanted = share * (data.marks[:, finding.index] == 1).sum()
            assert counts[part][finding.name] == pytest.approx(wanted, abs=3)
    parts: dict[str, set[str]] = defaultdict(set)
    for record in data.records:
        parts[record.group or ""].add(split.parts[record.name])
    assert {len(of) for of in parts.values()} == {1}


def test_findings_are_divided_alike_by_one_seed_whatever_the_order() -> None:
    data = with_findings(60)
    order = np.random.default_rng(1).permutation(len(data.records)).tolist()
    assert make_split(data).parts == make_split(data.take(order)).parts
    assert make_split(data).parts != make_split(data, seed=1).parts


def test_every_part_gets_what_there_is_once_for_each() -> None:
    """Three images with the rare finding, one for each part, and patients of their own."""
    marks = [(1, 0), (1, 1), (0, 1), *[(0, 0)] * 17]
    records = tuple(
        Record(Path(f"/data/{i}.png"), f"{i}.png", "train", 0, str(i), marks=m)
        for i, m in enumerate([*marks, (1, 0)])
    )
    tree = LabelTree.from_text("{a, b}")
    data = Dataset(Path("/data"), tree, records, tuple(r.name for r in records), synthetic=False)
    counts = count_findings(data, make_split(data, proportions={"train": 0.5, "val": 0.5}))
    assert counts["train"]["b"] == counts["val"]["b"] == 1
    assert abs(counts["train"]["a"] - counts["val"]["a"]) == 1


def test_classes_beside_findings_are_stratified_too() -> None:
    plain = with_findings(300, tree="normal, ill{common, rare, seldom}")
    records = tuple(replace(r, label=int(1 in r.marks)) for r in plain.records)
    data = replace(plain, records=records)
    kept = replace(data, records=tuple(
        replace(r, split="test" if int(r.group or 0) < 30 else "train") for r in records
    ))  # fmt: skip
    split = make_split(kept, keep_test=True)
    assert {r.name for r in kept.records if r.split == "test"} == {
        name for name, part in split.parts.items() if part == "test"
    }
    counts = count_parts(kept, split)
    rest = counts["train"]["ill"] + counts["val"]["ill"]
    assert counts["val"]["ill"] == pytest.approx(0.15 * rest, abs=2)
