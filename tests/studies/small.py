"""A study that trains in a second, on the data set of bright spots."""

from pathlib import Path
from typing import Any

from hilum.radiographs.dataset import Dataset, open_dataset
from hilum.studies.study import Study
from tests.spots import write_spots

RECIPE = """
name = "small"
strategy = "flat"
network = "naive"
image_size = 32
batch_size = 8
epochs = 2
learning_rate = 0.003
device = "cpu"
precision = "float32"
"""


def small_study(folder: Path, **changes: Any) -> Study:
    """Two learning rates, two seeds, two folds; changes are keys of the study file."""
    (folder / "small.toml").write_text(RECIPE)
    settings = {
        "name": "rates",
        "question": "Which learning rate?",
        "recipe": "small.toml",
        "seeds": 2,
        "folds": 2,
        "block_size": 1,
        "variants": {"slow": {"learning_rate": 1e-5}, "quick": {}},
    }
    return Study.from_dict({**settings, **changes}, "rates.toml", folder)


def small_data(folder: Path) -> Dataset:
    """3 x 8 training, 3 x 2 validation and 3 x 2 test images."""
    if not folder.is_dir():
        write_spots(folder, {"train": 8, "val": 2, "test": 2})
    return open_dataset(folder)
