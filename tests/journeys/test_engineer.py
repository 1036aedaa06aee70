"""An engineer with a classifier: an ONNX file without Hilum, and the API by curl."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hilum.classifier.classifier import Classifier
from hilum.predictions import Prediction
from hilum.radiographs.dataset import open_dataset
from tests.journeys.tutorials import Step, follow
from tests.spots import write_spots
from tests.untrained import untrained

ROOT = Path(__file__).parents[2]


#: PyTorch's own, as it exports.
pytestmark = pytest.mark.filterwarnings("always:.*LeafSpec:FutureWarning")


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A folder with a classifier at runs/first, and film.png and film.pgm."""
    folder: Path = tmp_path_factory.mktemp("engineer")
    dataset = open_dataset(write_spots(folder / "spots", {"train": 2, "val": 1}))
    untrained(dataset).save(folder / "runs/first")
    film = Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 40)).astype(np.uint8))
    film.save(folder / "film.png")
    film.save(folder / "film.pgm")
    return folder


@pytest.fixture(scope="module")
def followed(place) -> list[Step]:
    """What the steps of the tutorial print; first.onnx is then in the folder."""
    if not shutil.which("curl"):
        pytest.skip("no curl")
    return follow("engineer", place)


@pytest.fixture
def expected(place, followed, monkeypatch) -> Prediction:
    """What Hilum says of the film; the test is in the folder."""
    monkeypatch.chdir(place)
    (found,) = Classifier.load("runs/first").predict("film.png")
    return found


def documented(language: str) -> str:
    """The script of a language in docs/export.md."""
    text = (ROOT / "docs" / "export.md").read_text(encoding="utf-8")
    script: str
    (script,) = re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)
    return script


def run(*words: str, **given: str) -> str:
    """What a program prints; its environment has what is given, and no way to Hilum."""
    env = {name: text for name, text in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(words, capture_output=True, text=True, env={**env, **given}, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_an_onnx_file_in_python_without_hilum(expected):
    script = f"import sys\nsys.modules['hilum'] = None\n{documented('python')}"
    Path("use.py").write_text(script, encoding="utf-8")
    predicted, probs = run(sys.executable, "use.py").split("\n")[0].split(" ", 1)
    assert predicted == expected.predicted
    assert ast.literal_eval(probs) == pytest.approx(expected.probs, abs=1e-4)


@pytest.mark.skipif(
    not shutil.which("node") or "HILUM_NODE_MODULES" not in os.environ,
    reason="no node, or no $HILUM_NODE_MODULES with onnxruntime-web",
)
def test_an_onnx_file_in_javascript(expected):
    Path("node_modules").symlink_to(os.environ["HILUM_NODE_MODULES"])
    Path("use.mjs").write_text(documented("js"), encoding="utf-8")
    index, values = json.loads(run("node", "use.mjs"))
    assert list(expected.probs)[index] == expected.predicted
    assert values == pytest.approx(list(expected.probs.values()), abs=1e-4)


def test_the_tutorial(expected, followed):
    python, _, by_form, by_json, _, by_onnx = (step.out for step in followed)

    assert python.split()[:2] == [expected.predicted, str(round(expected.probability, 3))]
    assert json.loads(by_form) == json.loads(by_json)
    (answer,) = json.loads(by_form)["predictions"]
    assert (answer["name"], answer["predicted"]) == ("film.png", expected.predicted)
    assert answer["probs"] == pytest.approx(expected.probs, abs=1e-6)
    assert by_onnx.split()[0] == expected.predicted
