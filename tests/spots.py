"""A data set that a small network learns in seconds: bright spots in class-specific places."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hilum.radiographs.dataset import Dataset, open_dataset
from hilum.recipe import Recipe

PLACES = {"normal": (6, 6), "infected/covid": (20, 20), "infected/non-covid": (6, 20)}


def write_spots(root: Path, counts: dict[str, int], seed: int = 0, size: int = 32) -> Path:
    rng = np.random.default_rng(seed)
    for split, n in counts.items():
        for label, (y, x) in PLACES.items():
            folder = root / split / label
            folder.mkdir(parents=True)
            for i in range(n):
                image = rng.integers(60, 120, (size, size))
                image[y : y + 6, x : x + 6] += 100
                Image.fromarray(image.astype(np.uint8)).save(folder / f"{i}.png")
    return root


@pytest.fixture
def spots(tmp_path: Path) -> Dataset:
    """3 x 12 training and 3 x 4 validation images of 32 x 32 pixels."""
    return open_dataset(write_spots(tmp_path / "spots", {"train": 12, "val": 4}))


def quick_recipe(*assignments: str) -> Recipe:
    """A quick cascade; assignments change its keys."""
    quick = ["name=quick", "strategy=cascade", "image_size=32", "batch_size=8", "epochs=3"]
    return Recipe.load("covinet-flat").override(
        [*quick, "device=cpu", "precision=float32", *assignments]
    )


@pytest.fixture
def recipe() -> Callable[..., Recipe]:
    return quick_recipe


#: What is said of six kinds of images: of 'effusion', a spot in a corner, and of 'mass', one
#: below on the right. Images of the last three have both.
MARKS = ("1,0", "0,1", "0,0", "1,1", "-1,1", "1,")


def write_marked_spots(root: Path, counts: dict[str, int], seed: int = 0) -> Path:
    """A table of findings and its images: so many of each of MARKS, a patient for every two."""
    rng = np.random.default_rng(seed)
    root.mkdir(parents=True)
    lines = ["path,split,patient_id,effusion,mass"]
    for split, n in counts.items():
        for i in range(n * len(MARKS)):
            marks = MARKS[i % len(MARKS)]
            image = rng.integers(60, 120, (32, 32))
            for mark, (y, x) in zip(marks.split(","), ((0, 0), (20, 20)), strict=True):
                if mark != "0":
                    image[y : y + 6, x : x + 6] += 100
            Image.fromarray(image.astype(np.uint8)).save(root / f"{split}{i}.png")
            lines.append(f"{split}{i}.png,{split},{split}{i // 2},{marks}")
    (root / "manifest.csv").write_text("\n".join(lines) + "\n")
    return root
