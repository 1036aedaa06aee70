"""Classifiers, a folder of radiographs with some that cannot be read, and the verb."""

import io
import sys

import pytest

from hilum.classifier.calibrate import calibrate_on
from hilum.radiographs.dataset import open_dataset
from tests.command import run_command
from tests.spots import write_spots
from tests.untrained import untrained


@pytest.fixture(scope="session")
def calibrated(tmp_path_factory):
    """Untrained networks with validation figures, prediction sets and a gate."""
    root = tmp_path_factory.mktemp("calibrated") / "spots"
    data = open_dataset(write_spots(root, {"train": 34, "val": 12}))
    return calibrate_on(untrained(data), data, "val")


@pytest.fixture
def plain(spots):
    """Without any calibration."""
    return untrained(spots)


@pytest.fixture
def folder(tmp_path):
    """10 radiographs, and 2 files that are none: normal/1.png and normal/3.png."""
    root = write_spots(tmp_path / "folder", {"new": 4}, seed=7) / "new"
    (root / "normal/1.png").write_bytes(b"no image")
    (root / "normal/3.png").write_bytes(b"")
    return root


@pytest.fixture
def predict(monkeypatch, capsys, tmp_path, plain):
    """Run `hilum predict CLASSIFIER …`; returns (exit code, stdout, stderr)."""
    plain.save(tmp_path / "classifier")

    def call(*arguments, stdin=b"", device="cpu"):
        argv = ["predict", tmp_path / "classifier", *arguments, "--device", device]
        if "--runtime" not in arguments:  # translating every test's networks would take long
            argv += ["--runtime", "torch"]
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        return run_command(monkeypatch, capsys, *argv)

    return call
