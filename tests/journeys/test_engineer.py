"""An engineer with a classifier: an ONNX file without Hilum, and the API by curl."""

import ast
import base64
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
from tests.command import run_command
from tests.untrained import untrained

ROOT = Path(__file__).parents[2]


@pytest.fixture
def classifier(spots, tmp_path, monkeypatch) -> Classifier:
    """One at runs/first of the folder that the test is in, and film.png and film.pgm beside it."""
    monkeypatch.chdir(tmp_path)
    made = untrained(spots)
    made.save(Path("runs/first"))
    film = Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 40)).astype(np.uint8))
    film.save("film.png")
    film.save("film.pgm")
    return made


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


@pytest.mark.filterwarnings("always:.*LeafSpec:FutureWarning")  # PyTorch's own
def test_an_onnx_file_without_hilum(classifier, monkeypatch, capsys):
    code, _, err = run_command(
        monkeypatch, capsys, "export", "runs/first", "--to", "onnx", "--out", "first.onnx"
    )
    assert code == 0, err
    (expected,) = classifier.predict("film.png")

    Path("use.py").write_text(
        f"import sys\nsys.modules['hilum'] = None\n{documented('python')}", encoding="utf-8"
    )
    predicted, probs = run(sys.executable, "use.py").split("\n")[0].split(" ", 1)
    assert predicted == expected.predicted
    assert ast.literal_eval(probs) == pytest.approx(expected.probs, abs=1e-4)

    installed = os.environ.get("HILUM_NODE_MODULES")
    if not shutil.which("node") or not installed:
        pytest.skip("no node, or no $HILUM_NODE_MODULES with onnxruntime-web: not tried in it")
    Path("node_modules").symlink_to(installed)
    Path("use.mjs").write_text(documented("js"), encoding="utf-8")
    index, values = json.loads(run("node", "use.mjs"))
    assert classifier.classes[index] == expected.predicted
    assert values == pytest.approx(list(expected.probs.values()), abs=1e-4)


@pytest.mark.skipif(not shutil.which("curl"), reason="no curl")
def test_the_api_by_curl(classifier):
    serve = [
        "-m",
        "hilum",
        "serve",
        "runs/first",
        "--port",
        "0",
        "--runtime",
        "torch",
        "--device",
        "cpu",
    ]
    server = subprocess.Popen([sys.executable, *serve], stderr=subprocess.PIPE, text=True)
    try:
        assert server.stderr is not None
        (url,) = re.findall(r"http://\S+", server.stderr.readline())
        url += "/v1/predictions"
        by_form = json.loads(run("curl", "-sS", "-F", "files=@film.png", url))

        content = base64.b64encode(Path("film.png").read_bytes()).decode()
        body = {"files": [{"name": "film.png", "content": content}]}
        Path("body.json").write_text(json.dumps(body), encoding="utf-8")
        kind = "Content-Type: application/json"
        by_json = json.loads(run("curl", "-sS", "-H", kind, "-d", "@body.json", url))
    finally:
        server.terminate()
        server.communicate()

    (expected,) = classifier.predict("film.png")
    assert by_form == by_json
    (answer,) = by_form["predictions"]
    assert (answer["name"], answer["predicted"]) == ("film.png", expected.predicted)
    assert answer["probs"] == pytest.approx(expected.probs, abs=1e-6)
