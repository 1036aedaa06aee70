"""Splits: no group on both sides, the same for the same seed, stable when files are added."""

import math
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.auditing.splits import PROPORTIONS, apply_split, count_parts, make_split
from hilum.errors import DataError
from hilum.labels import LabelTree
from hilum.radiographs.dataset import Dataset, open_dataset
from hilum.records import Record

CLASSES = ("normal", "covid", "other")
TREE = LabelTree.from_text("normal, infected(covid, other)")


def dataset(
    *images: tuple[str, int], groups: dict[str, str] | None = None, same: tuple[str, ...] = ()
) -> Dataset:
    """(name, label) pairs; the split is the first folder. Files named in `same` are identical."""
    records = tuple(
        Record(Path("/data") / n, n, n.split("/")[0], label, (groups or {}).get(n))
        for n, label in images
    )
    digests = tuple("same" if r.name in same else r.name for r in records)
    return Dataset(Path("/data"), TREE, records, digests, synthetic=False)


def numbered(*counts: int, split: str = "train") -> list[tuple[str, int]]:
    return [
        (f"{split}/{CLASSES[c]}/{i}.png", c) for c, n in enumerate(counts) for i in range(n)
    ]  # fmt: skip


def of_patients(*counts: int, images: int = 3) -> list[tuple[str, int]]:
    """NIH names: so many patients of each class, each with `images` images."""
    start = [0, *counts]
    return [
        (f"train/{CLASSES[c]}/{sum(start[: c + 1]) + p:08d}_{i:03d}.png", c)
        for c, n in enumerate(counts)
        for p in range(n)
        for i in range(images)
    ]


# ---- groups ----------------------------------------------------------------------------------


@settings(max_examples=30)
@given(
    seed=st.integers(),
    counts=st.tuples(*[st.integers(200, 500)] * 3),
    block_size=st.integers(1, 10),
    folds=st.none() | st.integers(2, 5),
    data=st.data(),
)
def test_no_group_and_no_pair_is_torn(
    seed: int, counts: tuple[int, ...], block_size: int, folds: int | None, data: st.DataObject
) -> None:
    images = numbered(*counts)
    rows = st.integers(0, len(images) - 1)
    pairs = data.draw(st.lists(st.tuples(rows, rows), max_size=5))

    split = make_split(
        dataset(*images), seed=seed, folds=folds, block_size=block_size, keep_together=pairs
    )

    parts_of: dict[str, set[str]] = defaultdict(set)
    for name, group in split.groups.items():
        parts_of[group].add(split.parts[name])
    assert all(len(parts) == 1 for parts in parts_of.values())
    for a, b in pairs:
        assert split.parts[images[a][0]] == split.parts[images[b][0]]
    for c, n in enumerate(counts):  # neighbours within a block, whatever it is called
        for i in range(n - 1):
            if i // block_size == (i + 1) // block_size:
                folder = f"train/{CLASSES[c]}"
                assert split.parts[f"{folder}/{i}.png"] == split.parts[f"{folder}/{i + 1}.png"]


@settings(max_examples=30)
@given(
    seed=st.integers(),
    holes=st.sets(st.integers(0, 2399), max_size=40),
    cut=st.integers(0, 60),
)
def test_adding_files_moves_none(seed: int, holes: set[int], cut: int) -> None:
    images = numbered(800, 800, 800)  # the draw meets the shares of so many blocks
    there = [image for i, image in enumerate(images[: 2400 - cut]) if i not in holes]

    first = make_split(dataset(*there), seed=seed, block_size=10)
    second = make_split(dataset(*images, *of_patients(9)), seed=seed, block_size=10)

    assert first.parts.items() <= second.parts.items()


@given(seed=st.integers())
@settings(max_examples=20)
def test_the_same_seed_gives_the_same_split(seed: int) -> None:
    images = numbered(120, 120, 120)
    first = make_split(dataset(*images), seed=seed, block_size=4)

    assert first == make_split(dataset(*reversed(images)), seed=seed, block_size=4)
    assert first != make_split(dataset(*images), seed=seed + 1, block_size=4)


def test_a_patient_stays_whole_across_folders_and_classes() -> None:
    images = [
        *of_patients(40, 40, 40),
        ("train/normal/99999999_000.png", 0),
        ("val/covid/99999999_001.png", 1),
    ]
    for seed in range(20):
        split = make_split(dataset(*images), seed=seed)
        assert split.groups["val/covid/99999999_001.png"] == "patient:99999999"
        parts = {split.parts[n] for n, _ in images if "99999999" in n}
        assert len(parts) == 1


def test_groups_that_a_layout_gives_and_images_without() -> None:
    images = [*numbered(200, 200, 200), ("train/covid/x.png", 1)]
    groups = {name: f"p{i // 2}" for i, (name, _) in enumerate(images[:400])}
    data = dataset(*images, groups=groups)

    auto = make_split(data, block_size=10)
    assert auto.groups["train/normal/3.png"] == "patient:p1"
    assert auto.groups["train/other/17.png"] == "block:train/other/10-19"
    assert auto.groups["train/covid/x.png"] == "file:train/covid/x.png"
    blocks = make_split(data, block_size=10, group_by="blocks")
    assert blocks.groups["train/normal/3.png"] == "block:train/normal/0-9"
    with pytest.raises(DataError, match="names the patient of 201 images(.|\n)*other/0.png"):
        make_split(data, group_by="patient")


def test_identical_files_join_their_groups_and_the_first_speaks_for_both() -> None:
    same = ("train/normal/5.png", "train/normal/295.png", "train/covid/7.png")
    data = dataset(*numbered(300, 300, 300), same=same)

    split = make_split(data, block_size=10)

    assert {split.groups[n] for n in same} == {"block:train/covid/0-9"}
    assert split.largest_group() == ("block:train/covid/0-9", 30)
    alone = make_split(dataset(*numbered(300, 300, 300)), block_size=10)
    moved = {n for n in alone.parts if alone.parts[n] != split.parts[n]}
    assert moved <= {n for n, g in split.groups.items() if g == "block:train/covid/0-9"}


# ---- shares ----------------------------------------------------------------------------------


@settings(max_examples=50)
@given(seed=st.integers(), blocks=st.integers(20, 120))
def test_blocks_are_spread_evenly(seed: int, blocks: int) -> None:
    counts = count_parts(
        data := dataset(*numbered(blocks * 2, blocks * 2, blocks * 2)),
        make_split(data, seed=seed, block_size=2),
    )

    for part, share in {"train": 0.7, "val": 0.15, "test": 0.15}.items():
        for n in counts[part].values():
            assert abs(n / 2 - share * blocks) <= 3  # blocks; drawn by chance it would be 10


@settings(max_examples=20)
@given(seed=st.integers(), images=st.integers(1, 3))
def test_patients_come_within_chance_of_their_shares(seed: int, images: int) -> None:
    data = dataset(*of_patients(300, 300, 300, images=images))
    counts = count_parts(data, make_split(data, seed=seed))

    for part, share in {"train": 0.7, "val": 0.15, "test": 0.15}.items():
        # Hoeffding's inequality: one seed in 10^9 is further off. doi:10.2307/2282952
        bound = math.sqrt(math.log(2e9) / 2 / 300)
        for n in counts[part].values():
            assert abs(n / (300 * images) - share) <= bound


def test_shares_of_many_patients() -> None:
    data = dataset(*of_patients(2000, 2000, 2000, images=1))
    counts = count_parts(data, make_split(data))

    for part, share in {"train": 0.7, "val": 0.15, "test": 0.15}.items():
        for n in counts[part].values():
            assert n / 2000 == pytest.approx(share, abs=0.025)  # 2.4 standard deviations


@settings(max_examples=20)
@given(
    seed=st.integers(),
    counts=st.tuples(*[st.integers(6, 150)] * 3),
    patients=st.booleans(),
    folds=st.none() | st.integers(2, 5),
)
def test_a_small_class_is_stratified(
    seed: int, counts: tuple[int, ...], patients: bool, folds: int | None
) -> None:
    data = dataset(*(of_patients if patients else numbered)(*counts))
    split = make_split(data, seed=seed, folds=folds)

    shares = {str(k): 1 / folds for k in range(folds)} if folds else PROPORTIONS
    found, each = count_parts(data, split), 3 if patients else split.largest_group()[1]
    for part, share in shares.items():
        for name, images in zip(CLASSES, np.bincount(data.labels), strict=True):
            # drawn: a fifth off at most; cut: to a group, or the one that each part gets
            assert abs(found[part][name] - share * images) <= max(0.2 * share * images, each)


def test_80_images_of_each_class_are_divided_evenly() -> None:
    data = dataset(*numbered(80, 80, 80))
    for seed in range(5):
        split = make_split(data, seed=seed)
        assert set(split.groups.values()) >= {"block:train/covid/0-5"}
        assert all(10 <= n <= 14 for n in count_parts(data, split)["test"].values())
    six = count_parts(data := dataset(*numbered(6, 6, 6)), make_split(data))
    assert [list(counts.values()) for counts in six.values()] == [[4] * 3, [1] * 3, [1] * 3]


def test_folds_are_even() -> None:
    data = dataset(*numbered(500, 500, 500))
    split = make_split(data, folds=5, block_size=10)

    assert split.names == ("0", "1", "2", "3", "4")
    for counts in count_parts(data, split).values():
        assert all(80 <= n <= 120 for n in counts.values())


def test_two_parts_and_their_order() -> None:
    data = dataset(*numbered(400, 400, 400))
    split = make_split(data, proportions={"test": 0.5, "train": 0.5}, block_size=10)

    assert split.names == ("train", "test")
    assert 540 <= Counter(split.parts.values())["train"] <= 660


# ---- a test split that is kept -----------------------------------------------------------------


def test_a_kept_test_split_stays_as_it_is() -> None:
    data = dataset(
        *numbered(200, 200, 200), *numbered(2, 2, 2, split="val"), *numbered(30, 9, 9, split="test")
    )

    parts = make_split(data, keep_test=True, block_size=10)
    folds = make_split(data, keep_test=True, block_size=10, folds=4)

    for split in (parts, folds):
        inside = {n for n, part in split.parts.items() if part == "test"}
        assert inside == {r.name for r in data.records if r.split == "test"}
    assert parts.names == ("train", "val", "test")
    assert folds.names == ("0", "1", "2", "3", "test")
    assert apply_split(data, folds, fold=1).counts()["test"] == data.counts()["test"]


def test_a_patient_on_both_sides_of_a_kept_test_is_refused() -> None:
    images = [*of_patients(40, 40, 40), *numbered(2, 2, 2, split="test")]
    torn = ("test/normal/00000003_777.png", 0)

    with pytest.raises(DataError, match="3 images outside 'test'(.|\n)*normal/00000003_000.png"):
        make_split(dataset(*images, torn), keep_test=True)


# ---- using it --------------------------------------------------------------------------------


def test_a_split_renames_reorders_and_changes_the_fingerprint() -> None:
    data = dataset(*numbered(300, 300, 300))
    split = make_split(data, block_size=10)

    used = apply_split(data, split)

    assert used.splits == ("train", "val", "test")
    assert used.counts() == count_parts(data, split)
    assert {r.name: r.split for r in used.records} == dict(split.parts)
    assert [r.name for r in used.records] == list(used.digests), "digests moved along"
    assert used.fingerprint != data.fingerprint
    order = [(used.splits.index(r.split), r.label, int(r.path.stem)) for r in used.records]
    assert order == sorted(order)


def test_a_fold_is_monitored_and_the_rest_trains() -> None:
    data = dataset(*numbered(300, 300, 300))
    split = make_split(data, folds=3, block_size=10)

    monitored = [
        {r.name for r in apply_split(data, split, fold=k).records if r.split == "val"}
        for k in range(3)
    ]

    assert sum(len(m) for m in monitored) == 900
    assert set.union(*monitored) == set(split.parts)
    assert apply_split(data, split, fold=0).splits == ("train", "val")


# ---- refusals --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"proportions": {"train": 0.7, "val": 0.2}}, "add up to 1; found train 0.7, val 0.2"),
        ({"proportions": {"train": 1.5, "val": -0.5}}, "lie between 0 and 1"),
        ({"proportions": {"train": 1.0}}, "for 'train' and for another part"),
        ({"proportions": {"val": 0.5, "test": 0.5}}, "for 'train' and for another part"),
        ({"proportions": {"train": 0.5, "vall": 0.5}}, "no part 'vall'. Did you mean 'val'"),
        ({"proportions": {"train": 0.5, "val": 0.5}, "folds": 3}, "not both"),
        ({"folds": 1}, "at least 2 folds, not 1"),
        ({"block_size": 0}, "at least 1 file number"),
        ({"group_by": "patients"}, "Did you mean 'patient'"),
        ({"keep_test": True}, "no split 'test' to keep"),
        ({"keep_together": [(0, 900)]}, "no record 900"),
    ],
)
def test_settings_that_make_no_sense(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        make_split(dataset(*numbered(300, 300, 300)), **arguments)  # type: ignore[arg-type]


def test_a_share_for_a_kept_test_is_refused() -> None:
    data = dataset(*numbered(9, 9, 9), *numbered(9, 9, 9, split="test"))
    with pytest.raises(DataError, match="nothing can be drawn into it; found train 0.5, test 0.5"):
        make_split(data, keep_test=True, proportions={"train": 0.5, "test": 0.5})


def test_a_part_without_a_class_is_refused_with_blocks_that_would_do() -> None:
    data = dataset(*numbered(400, 125, 400))
    with pytest.raises(DataError, match=r"no image of the class 'covid'.*Try blocks of 9"):
        make_split(data, block_size=100)
    assert make_split(data).groups["train/covid/9.png"] == "block:train/covid/9-17"


def test_too_few_images_for_the_parts() -> None:
    with pytest.raises(DataError, match="too few groups for so many parts"):
        make_split(dataset(*numbered(300, 300, 1)), block_size=10)


@pytest.mark.parametrize(
    ("arguments", "empty"),
    [({}, "parts val, test"), ({"folds": 3}, "folds 1, 2"),
     ({"folds": 100}, "folds 1, 2, 3, 4, 5 and 94 more"),
     ({"proportions": {"train": 0.9, "test": 0.1}}, "parts test")],
)  # fmt: skip
def test_a_part_that_nothing_falls_into_is_refused(arguments: dict[str, Any], empty: str) -> None:
    images = numbered(20, 20, 20)
    one = dataset(*images, groups=dict.fromkeys((name for name, _ in images), "Jo"))

    with pytest.raises(DataError, match=f"divided by 1 group: nothing falls into the {empty};"):
        make_split(one, seed=0, **arguments)


def test_folds_and_parts_are_not_confused() -> None:
    data = dataset(*numbered(300, 300, 300))
    parts = make_split(data, block_size=10)
    folds = make_split(data, block_size=10, folds=3)

    with pytest.raises(DataError, match="Fold 0 was asked for, but the split has the parts train"):
        apply_split(data, parts, fold=0)
    with pytest.raises(DataError, match="3 folds, and none was chosen.*0 to 2"):
        apply_split(data, folds)
    with pytest.raises(DataError, match="there is no fold 3"):
        apply_split(data, folds, fold=3)
    with pytest.raises(DataError, match="does not list 1 image of /data(.|\n)*normal/300.png"):
        apply_split(dataset(*numbered(301, 300, 300)), parts)


# ---- real radiographs --------------------------------------------------------------------------


@pytest.mark.shared
def test_the_real_set_is_divided_by_blocks_with_duplicates_together(shared_data: Path) -> None:
    data = open_dataset(shared_data / "chest-xray-150")

    split = make_split(data)

    used = apply_split(data, split)
    by_digest: dict[str, set[str]] = defaultdict(set)
    for record, digest in zip(used.records, used.digests, strict=True):
        by_digest[digest].add(record.split)
    assert len(by_digest) == 5241 - 26  # 22 pairs and 2 triples
    assert all(len(splits) == 1 for splits in by_digest.values())
    assert split.largest_group()[1] <= 100
    totals = Counter(r.label for r in data.records)
    for part, share in {"train": 0.7, "val": 0.15, "test": 0.15}.items():
        for label, name in enumerate(data.tree.classes):
            assert used.counts()[part][name] / totals[label] == pytest.approx(share, abs=0.05)
