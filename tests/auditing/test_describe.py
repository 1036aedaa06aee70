"""What is there: counts, ratios, looks and extremes, on images whose numbers are known."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from hilum.auditing.describe import (
    describe,
    description_findings,
    measure_looks,
    ratio,
)
from hilum.auditing.findings import Finding, Severity, by_importance
from hilum.codec import to_plain
from hilum.radiographs.dataset import open_dataset
from hilum.radiographs.pixels import Thumbnail


def framed(brightness: int, left: int = 0, top: int = 0, size: int = 64) -> np.ndarray:
    """An even image with dark margins of some columns at the left and rows at the top."""
    image = np.full((size, size), brightness, dtype=np.uint8)
    image[:top] = 0
    image[:, :left] = 3
    return image


@pytest.fixture
def dataset(tmp_path: Path):
    """4 normal, 4 covid and 8 non-covid in train, brighter with the label; 2 of each in val."""
    for split, counts in {"train": (4, 4, 8), "val": (2, 2, 2)}.items():
        labels = ("normal", "infected/covid", "infected/non-covid")
        for k, (label, n) in enumerate(zip(labels, counts, strict=True)):
            folder = tmp_path / "data" / split / label
            folder.mkdir(parents=True)
            for i in range(n):
                left = 16 if (label, i) == ("normal", 1) else 0
                Image.fromarray(framed(100 + 40 * k + i, left)).save(folder / f"{i}.png")
    return open_dataset(tmp_path / "data")


def described(dataset):
    return describe(dataset, dataset.pixels(Thumbnail(64)), None)


def test_counts_ratios_and_balance_in_words(dataset):
    found = described(dataset)

    assert found.counts["train"] == {"normal": 4, "covid": 4, "non-covid": 8}
    assert found.ratio() == "normal : covid : non-covid ≈ 1 : 1 : 1.7"  # 6 : 6 : 10
    assert found.balance() == {
        "root": "normal : infected ≈ 1 : 2.7",
        "infected": "covid : non-covid ≈ 1 : 1.7",
    }


def test_brightness_per_class_and_the_extremes(dataset):
    found = described(dataset)

    looks = found.per_class()
    assert looks["covid"]["brightness"] == pytest.approx(141)  # 140, 141, 142, 143, 140, 141
    assert looks["covid"]["contrast"] == 0
    names = {k: [dataset.records[i].name for i in v] for k, v in found.extremes().items()}
    assert names["darkest"][0] == "train/normal/1.png"
    assert names["brightest"][0] == "train/infected/non-covid/7.png"
    assert names["widest dark margin"] == ["train/normal/1.png", "val/normal/1.png"]


def test_files_are_described_from_their_headers(dataset):
    found = to_plain(described(dataset))["files"]

    assert found["format"] == {"PNG": 22}
    assert found["mode"] == {"L": 22}
    assert found["bits per sample"] == {"8": 22}
    assert found["sizes"]["width"] == [64, 64, 64]
    assert found["sizes"]["most_frequent"] == {"64 x 64": 22}


def test_dark_margins_are_the_share_of_the_area_beyond_the_last_bright_lines():
    images = np.stack(
        [framed(90), framed(90, left=16), framed(90, left=16, top=32), framed(0), framed(90)]
    )
    images[4, 20:40] = 0  # dark in the middle is no margin

    margin = measure_looks(images).margin

    assert margin.tolist() == [0, 0.25, 1 - 0.75 * 0.5, 1, 0]


def test_a_marker_in_the_margin_does_not_end_it():
    image = framed(90, left=16)
    image[10:13, 6:9] = 255  # 3 of 64 rows, less than 5 %

    assert measure_looks(image[None]).margin[0] == 0.25


def test_looks_do_not_depend_on_how_many_are_measured_at_once():
    images = np.random.default_rng(0).integers(0, 256, (1100, 8, 8), dtype=np.uint8)

    together = measure_looks(images)

    np.testing.assert_allclose(together.brightness, images.mean(axis=(1, 2)))
    np.testing.assert_allclose(together.contrast, images.std(axis=(1, 2)))


@pytest.mark.parametrize(
    ("sizes", "whole", "words"),
    [
        ((1341, 1345, 2530), True, "1 : 1 : 2"),
        ((1341, 3875), False, "1 : 2.9"),
        ((10, 20), False, "1 : 2"),
        ((10, 14), True, "1 : 1.4"),
        ((0, 5), True, "0 : 5"),
        ((1, 12_345), True, "1 : 12,345"),
    ],
)
def test_ratios(sizes, whole, words):
    assert ratio(sizes, whole=whole) == words


@given(st.lists(st.integers(1, 10**6), min_size=2, max_size=5), st.integers(1, 20))
def test_a_ratio_does_not_change_with_the_scale(sizes, factor):
    assert ratio(sizes) == ratio([factor * n for n in sizes])
    assert ratio(sizes).split(" : ")[sizes.index(min(sizes))] == "1"


def test_small_splits_and_imbalance_are_found(dataset):
    found = {f.code: f for f in description_findings(described(dataset))}

    # 2 of 6 images: one of them is 16.7 points of accuracy, and half of a class
    assert "16.7 percentage points" in found["small-split"].meaning
    assert "by 50.0" in found["small-split"].meaning
    assert "imbalance" not in found  # 10 of 6 is less than threefold


def test_few_greys_and_images_that_are_nearly_black_or_white_are_found(tmp_path):
    """17 levels are what is left of 12 bits that are taken for 16."""
    dark = np.arange(64 * 64).reshape(64, 64) // 300
    few = (np.arange(64 * 64) // 16 % 16 * 16).reshape(64, 64)
    good = np.random.default_rng(0).integers(20, 230, (64, 64))
    found = {}
    images: dict[str, np.ndarray] = {"dark": dark, "few": few, "good": good}
    for name, image in images.items():
        for label in ("a", "b"):
            (tmp_path / name / label).mkdir(parents=True)
            for i in range(3):
                Image.fromarray((image + i).astype(np.uint8)).save(
                    tmp_path / name / label / f"{i}.png"
                )
        findings = description_findings(described(open_dataset(tmp_path / name)))
        found[name] = {f.code: f for f in findings if f.severity == "warning"}

    assert list(found["dark"]) == ["few-greys", "black-or-white"]
    assert found["dark"]["few-greys"].title == (
        "6 of 6 radiographs that were counted have fewer than 32 grey levels"
    )
    assert found["dark"]["black-or-white"].title == "6 of 6 radiographs are nearly black or white"
    assert found["dark"]["black-or-white"].evidence[0] == "a/0.png"
    assert list(found["few"]) == ["few-greys"]
    assert not found["good"]


def write_manifest(root: Path, rows: list[tuple[str, str]]) -> Path:
    """A table of images that names their sources: (label, source) per image."""
    lines = ["path,label,source"]
    for i, (label, source) in enumerate(rows):
        Image.fromarray(framed(60 + i)).save(root / f"{i}.png")
        lines.append(f"{i}.png,{label},{source}")
    (root / "manifest.csv").write_text("\n".join(lines) + "\n")
    return root


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        # source A is all normal, B all covid but one: 9 of 10 by source, 5 of 10 by guessing
        ([("normal", "A")] * 4 + [("covid", "B")] * 5 + [("normal", "B")], "90 %"),
        ([("normal", "A"), ("covid", "A")] * 3 + [("normal", "B"), ("covid", "B")] * 3, None),
        ([("normal", "A")] * 3 + [("covid", "A")] * 3, None),
    ],
)
def test_sources_that_tell_the_class(tmp_path, rows, told):
    found = description_findings(described(open_dataset(write_manifest(tmp_path, rows))))

    sources = [f for f in found if f.code == "source-confounded"]
    assert [told in f.title for f in sources] == ([True] if told else [])
    if told:
        assert sources[0].severity == "critical"
        assert "A: normal 4" in sources[0].evidence


def test_findings_come_in_the_order_in_which_they_matter():
    codes: list[tuple[Severity, str]] = [
        ("note", "imbalance"), ("critical", "provenance"), ("passed", "leak"),
        ("warning", "small-split"), ("critical", "leak"), ("warning", "shortcut"),
    ]  # fmt: skip

    ordered = by_importance([Finding(s, c, "", "") for s, c in codes])

    assert [(f.severity, f.code) for f in ordered] == [
        ("critical", "leak"), ("critical", "provenance"), ("warning", "shortcut"),
        ("warning", "small-split"), ("note", "imbalance"), ("passed", "leak"),
    ]  # fmt: skip
