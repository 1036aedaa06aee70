"""Patients from file names, and what neighbouring file numbers give away."""

from pathlib import Path

import numpy as np
import pytest

from hilum.auditing.patients import (
    LAGS,
    NAME_PATTERNS,
    file_number,
    neighbour_resemblance,
    patient_groups,
    patients_across_splits,
)
from hilum.codec import to_plain
from hilum.errors import DataError
from hilum.labels import LabelTree
from hilum.radiographs.dataset import Dataset, open_dataset
from hilum.radiographs.layouts import FROM_LIST
from hilum.records import PixelArray, Record
from hilum.transforms.preprocess import Preprocessing

TREE = LabelTree.from_text("normal, pneumonia")


def record(name: str, split: str = "train", label: int = 0, group: str | None = None) -> Record:
    return Record(Path("/data") / name, name, split, label, group)


def dataset(names: list[str]) -> Dataset:
    records = tuple(record(name) for name in names)
    return Dataset(Path("/data"), TREE, records, tuple(names), synthetic=False)


# ---- who is it? ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "patient"),
    [
        ("train/PNEUMONIA/person12_virus_34.jpeg", "person12_virus"),
        ("test/PNEUMONIA/person12_bacteria_35.jpeg", "person12_bacteria"),
        ("train/NORMAL/IM-0115-0001.jpeg", "IM-0115"),
        ("train/NORMAL/IM-0666-0001-0002.jpeg", "IM-0666"),
        ("train/NORMAL/NORMAL2-IM-0123-0001.jpeg", "NORMAL2-IM-0123"),
        ("train/PNEUMONIA/BACTERIA-1008087-0001.jpeg", "BACTERIA-1008087"),
        ("images/00000001_000.png", "00000001"),
        ("train/patient00001/study1/view1_frontal.jpg", "patient00001"),
        ("files/p10/p10000032/s50414267/02aa804e-bde0.jpg", "p10000032"),
        ("train/normal/12.jpg", None),
        ("COVID/images/COVID-12.png", None),
        ("study/IM-0001-0001.png", None),  # what export programs call any first image
        ("train/normal/100000001_000.png", None),
    ],
)
def test_patients_by_name(name: str, patient: str | None) -> None:
    assert patient_groups([record(name)]).patients == (patient,)


def test_every_pattern_is_shown_by_its_own_name() -> None:
    for pattern in NAME_PATTERNS:
        example = pattern.name.split(", ")[1].replace("…", "02aa804e")
        found = [p for p in NAME_PATTERNS if p.regex.search(f"normal/{example}")]
        assert found == [pattern]
        assert "doi:" in pattern.source


def test_what_the_layout_says_comes_first_and_everything_is_counted() -> None:
    info = patient_groups(
        [
            record("a/00000001_000.png", group="Jo"),
            record("a/00000001_001.png"),
            record("b/00000001_002.png"),
            record("b/7.png"),
        ]
    )

    assert info.patients == ("Jo", "00000001", "00000001", None)
    assert (info.count, info.without) == (2, 1)
    nih = "NIH ChestX-ray14, 00000001_000.png"
    assert to_plain(info) == {
        "patients": 2,
        "images_without": 1,
        "sources": {FROM_LIST: 1, nih: 2},
    }


def test_patients_who_stand_in_two_splits() -> None:
    records = [
        record("train/x/00000001_000.png"),
        record("test/x/00000001_001.png", "test"),
        record("test/x/00000002_000.png", "test"),
        record("test/x/00000002_001.png", "test"),
        record("train/x/1.png"),
        record("test/x/1.png", "test"),
    ]

    assert patients_across_splits(records, patient_groups(records)) == {"00000001": [0, 1]}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("train/normal/12.jpg", ("train/normal/", 12)),
        ("train/normal/0012.jpg", ("train/normal/", 12)),
        ("COVID/COVID-12.png", ("COVID/COVID-", 12)),
        ("12b.png", ("", 12)),
        ("2020-01-07_3.png", ("2020-01-07_", 3)),
        ("scan9/left.png", None),
        ("٣.png", None),
    ],
)
def test_file_numbers(name: str, expected: tuple[str, int] | None) -> None:
    assert file_number(name) == expected


# ---- do neighbours resemble each other? ------------------------------------------------------


def noise(n: int) -> PixelArray:
    return np.random.default_rng(1).integers(0, 256, (n, 16, 16)).astype(np.uint8)


def test_unrelated_files_are_as_alike_as_random_pairs() -> None:
    found = neighbour_resemblance(dataset([f"n/{i}.png" for i in range(400)]), noise(400))

    assert found.random.value == pytest.approx(0, abs=0.02)
    assert found.excess.low is not None
    assert found.excess.high is not None
    assert found.excess.low < 0 < found.excess.high
    assert [e.n for e in found.by_lag] == [400 - lag for lag in range(1, LAGS + 1)]


def test_two_images_of_each_patient_show_at_lag_one_only() -> None:
    images = np.repeat(noise(200), 2, axis=0)  # 0 and 1 are one patient, 2 and 3 the next, …
    found = neighbour_resemblance(dataset([f"n/{i}.png" for i in range(400)]), images)

    # 200 of 399 neighbours are one patient's (correlation 1), the others unrelated
    assert found.by_lag[0].value == pytest.approx(0.5, abs=0.02)
    assert found.by_lag[1].value == pytest.approx(0, abs=0.02)
    assert found.excess.low is not None
    assert found.excess.low > 0.4


def test_brightness_and_contrast_do_not_matter() -> None:
    images = noise(100) // 4
    changed = images * 3 + 20
    data = dataset([f"n/{i}.png" for i in range(100)])

    ours, theirs = neighbour_resemblance(data, images), neighbour_resemblance(data, changed)

    assert ours.excess.value == pytest.approx(theirs.excess.value, abs=1e-6)


def test_gaps_in_the_numbers_and_other_folders_are_no_neighbours() -> None:
    data = dataset([f"n/{i}.png" for i in range(0, 100, 2)] + ["m/1.png"])
    found = neighbour_resemblance(data, noise(51))

    assert found.by_lag[0].value is None
    assert found.excess.value is None
    assert found.by_lag[1].n == 49


def test_without_numbers_nothing_is_claimed() -> None:
    found = neighbour_resemblance(dataset(["a/x.png", "a/y.png"]), noise(2))

    assert found.random.value is None
    assert "numbered" in to_plain(found)["excess"]["reason"]


def test_images_without_contrast_correlate_with_nothing() -> None:
    flat = np.full((60, 8, 8), 7, dtype=np.uint8)
    found = neighbour_resemblance(dataset([f"n/{i}.png" for i in range(60)]), flat)

    assert found.excess.value == 0


def test_pixels_of_other_images_are_refused() -> None:
    with pytest.raises(DataError, match="expected pixels of 2 images, found 3"):
        neighbour_resemblance(dataset(["1.png", "2.png"]), noise(3))


@pytest.mark.shared
def test_the_real_files_are_in_the_order_of_patients(shared_data: Path) -> None:
    data = open_dataset(shared_data / "chest-xray-150")
    assert patient_groups(data.records).count == 0

    found = neighbour_resemblance(data, data.pixels(Preprocessing(image_size=(32, 32))))

    assert found.excess.low is not None
    assert found.excess.low > 0.05
    values = [e.value for e in found.by_lag if e.value is not None]
    assert values[0] > values[1] > values[2] > max(values[3:])
