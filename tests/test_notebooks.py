"""The notebooks run from top to bottom on small phantoms, and every cell shows something."""

import re
from pathlib import Path
from typing import Any

import pytest

from hilum.classifier.classifier import Classifier
from hilum.evaluation.files import read_evaluation

nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed")
nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed")
pytest.importorskip("ipykernel", reason="ipykernel is not installed")

FOLDER = Path(__file__).parents[1] / "notebooks"
NAMES = ("train", "evaluate")

#: One epoch of each decision on a few small images: enough to run every cell.
SMALL = """
PHANTOMS = {"train": 24, "val": 12, "test": 12}
CHANGES = ["image_size=32", "decision.root.epochs=2", "decision.infected.epochs=1"]
"""


def read(name: str) -> Any:
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


def run(name: str, folder: Path, parameters: str = "") -> Any:
    """Execute a notebook in a folder, with assignments after its cell tagged 'parameters'."""
    notebook = read(name)
    tagged = [i for i, c in enumerate(notebook.cells) if "parameters" in c.metadata.get("tags", ())]
    (place,) = tagged
    notebook.cells[place].source += parameters
    nbclient.NotebookClient(
        notebook, timeout=1200, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    ).execute()
    return notebook


def shown(notebook: Any, call: str) -> dict[str, str]:
    """What the one cell that calls a function shows, by MIME type."""
    (cell,) = [c for c in notebook.cells if c.cell_type == "code" and f"{call}(" in c.source]
    data: dict[str, str] = cell.outputs[-1].data
    return data


def check_outputs(notebook: Any) -> None:
    """Every cell but the parameters shows something, and nothing is complained of."""
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert cell.outputs or cell.metadata.get("tags") == ["parameters"], cell.source
            streams = [o.text for o in cell.outputs if o.output_type == "stream"]
            assert streams == [], cell.source


def test_notebooks_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "jupyter"))
    # tqdm, which Captum brings, asks for ipywidgets; without them its bars are text
    monkeypatch.setenv("PYTHONWARNINGS", "ignore:IProgress not found")

    trained = run("train", tmp_path, SMALL)
    evaluated = run("evaluate", tmp_path)

    check_outputs(trained)
    check_outputs(evaluated)
    counted = "phantoms: train: 6 normal, 6 covid, 12 non-covid; val: 3 normal, 3 covid"
    assert shown(trained, "show_counts")["text/plain"].startswith(counted)
    curves = shown(trained, "show_learning_curves")
    assert "root: epoch 2 of 2" in curves["text/html"], "it was brought up to date"
    assert "infected: epoch 1 of 1" in curves["text/html"]
    assert curves["text/html"].count("<svg") == 4

    (run_folder,) = (tmp_path / "work").glob("*-demo")
    assert Classifier.load(run_folder).preprocessing.image_size == (32, 32)
    evaluation = read_evaluation(run_folder / "evaluation" / "test" / "evaluation.json")
    assert evaluation.n == 12
    for name, measures in evaluation.per_class.items():
        recall = f"recall of {name} {measures.recall.value:.3f}"
        assert recall in shown(evaluated, "show_measures")["text/plain"]
    assert (run_folder / "report.html").is_file()
    assert (run_folder / "explanation" / "explanation.json").is_file()


@pytest.mark.parametrize("name", NAMES)
def test_notebooks_are_stored_bare(name: str) -> None:
    notebook = read(name)

    nbformat.validate(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None
    assert notebook.metadata.kernelspec.name == "python3"
    assert set(notebook.metadata) == {"kernelspec", "language_info"}, "nothing of one machine"


@pytest.mark.parametrize("name", NAMES)
def test_notebooks_name_no_place_of_one_machine(name: str) -> None:
    sources = "\n".join(cell.source for cell in read(name).cells)

    assert not re.search(r"""["'(\s](/[a-z]|~|[A-Z]:\\)""", sources)
    for link in re.findall(r"\]\(([^)#]+)\)", sources):
        assert link.startswith("https://doi.org/") or (FOLDER / link).exists(), link
    for other in re.findall(r"`([\w-]+\.ipynb)`", sources):
        assert (FOLDER / other).is_file(), other
