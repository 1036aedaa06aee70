"""A home hospital with a run, a capsule of it, and others with images of their own."""

import itertools
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hilum.capsule.archive import opened
from hilum.capsule.make import make_capsule
from hilum.capsule.run import run_capsule, write_result
from hilum.capsule.signing import sign
from hilum.evaluation.evaluate import evaluate
from hilum.radiographs.dataset import open_dataset
from hilum.training.run import train
from tests.command import run_command
from tests.spots import PLACES, quick_recipe, write_spots


@pytest.fixture(scope="session")
def home(tmp_path_factory):
    """The folder of a run that was evaluated on its test split."""
    folder = tmp_path_factory.mktemp("home")
    data = open_dataset(write_spots(folder / "data", {"train": 40, "val": 30, "test": 30}))
    run = folder / "run"
    trained = train(data, quick_recipe("epochs=2", "promises=alike"), run)
    evaluate(trained, data, "test", out=run / "evaluation/test")
    return run


@pytest.fixture(scope="session")
def capsule(home, tmp_path_factory):
    return make_capsule(home, tmp_path_factory.mktemp("made") / "capsule.zip")


@pytest.fixture(scope="session")
def result(capsule, tmp_path_factory):
    """What a hospital found, signed by its key, and the folder of that key."""
    folder = tmp_path_factory.mktemp("hospital")
    with pytest.MonkeyPatch.context() as patch, opened(capsule.path) as inside:
        patch.setenv("HILUM_CONFIG", str(folder / "config"))
        data = open_dataset(write_hospital(folder), tree=inside.classifier.tree)
        return sign(run_capsule(inside, data)), folder / "config"


@pytest.fixture
def signed(result, tmp_path):
    """The file of a result."""
    write_result(result[0], tmp_path / "result.json")
    return tmp_path / "result.json"


@pytest.fixture
def run(monkeypatch, capsys):
    return partial(run_command, monkeypatch, capsys)


@pytest.fixture(autouse=True)
def key_of_the_test(tmp_path, monkeypatch):
    """No test makes or uses the user's own key."""
    monkeypatch.setenv("HILUM_CONFIG", str(tmp_path / "config"))


#: What is planted in the data of another hospital, and must not be found in what leaves it.
PLANTED = (
    "Zebraquartz",
    "Wolkenstein",
    "Quixotheria",
    "Kranichfeld",
    "Xylotron",
    "113.7",
    "Ostend",
)


def write_hospital(root: Path, n: int = 40, seed: int = 1, faint: float = 0.5) -> Path:
    """n spots of each class, some of them hard to see, in a table that names what is planted."""
    folder = root / "Zebraquartz ward"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    lines = ["path,label,patient_id,age,sex,view,site,manufacturer,source"]
    number = itertools.count()
    for label, (y, x) in PLACES.items():
        for i in range(n):
            image = rng.integers(60, 120, (32, 32))
            image[y : y + 6, x : x + 6] += 100 if rng.random() > faint else 5
            name = f"Wolkenstein_{next(number)}.png"
            Image.fromarray(image.astype(np.uint8)).save(folder / name)
            age = "113.7" if i < 4 else str(20 + i)
            sex = "Kranichfeld" if i < 4 else "MF"[i % 2]
            lines.append(
                f"{name},{label},Wolkenstein {i // 2} {label[-9:]},{age},{sex},PA,Quixotheria,"
                f"Xylotron {i % 2},Ostend {i % 3}"
            )
    (folder / "manifest.csv").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture
def hospital(tmp_path):
    return write_hospital(tmp_path)
