"""The notebooks run from top to bottom on small phantoms, and show what they are stored with.

They are stored with what a longer run on more phantoms showed; its numbers are not compared, since
they hang on the machine, too.
"""

import re
from pathlib import Path
from typing import Any

import pytest

from hilum.classifier.classifier import Classifier
from hilum.evaluation.files import read_evaluation

nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed")
pytest.importorskip("nbclient", reason="nbclient is not installed")
pytest.importorskip("ipykernel", reason="ipykernel is not installed")

from scripts.store_notebooks import FOLDER, MOST, NAMES, read, run  # noqa: E402

#: One epoch of each decision on a few small images: enough to run every cell.
SMALL = """
PHANTOMS = {"train": 24, "val": 12, "test": 12}
CHANGES = ["image_size=32", "decision.root.epochs=2", "decision.infected.epochs=2"]
"""

#: Cells whose words hang on how many images there are, or on what was learned from them.
OF_ITS_OWN = {"train-10", "train-21", "evaluate-16", "evaluate-18", "evaluate-20", "evaluate-22"}


def words(notebook: Any) -> dict[str, list[tuple[str, str]]]:
    """What every code cell shows, in words without their numbers."""
    return {
        cell.id: [
            (
                output.output_type,
                ""
                if cell.id in OF_ITS_OWN
                else re.sub(r"\d[\d,.]*", "#", output.data["text/plain"]),
            )
            for output in cell.outputs
        ]
        for cell in notebook.cells
        if cell.cell_type == "code"
    }


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


def test_notebooks_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, python: str) -> None:
    monkeypatch.setattr("sys.executable", python)  # runs the kernels
    for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "jupyter"))
    # tqdm, which Captum brings, asks for ipywidgets; without them its bars are text
    monkeypatch.setenv("PYTHONWARNINGS", "ignore:IProgress not found")

    trained = run("train", tmp_path, SMALL)
    evaluated = run("evaluate", tmp_path)

    check_outputs(trained)
    check_outputs(evaluated)
    assert words(trained) == words(read("train"))
    assert words(evaluated) == words(read("evaluate"))
    counted = "phantoms: train: 6 normal, 6 covid, 12 non-covid; val: 3 normal, 3 covid"
    assert shown(trained, "show_counts")["text/plain"].startswith(counted)
    curves = shown(trained, "show_learning_curves")
    assert "root: epoch 2 of 2" in curves["text/html"], "it was brought up to date"
    assert "infected: epoch 2 of 2" in curves["text/html"]
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
def test_notebooks_are_stored_with_what_they_show(name: str) -> None:
    notebook = read(name)

    nbformat.validate(notebook)
    check_outputs(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    for cell in code:
        assert set(cell.metadata) <= {"tags"}
        for output in cell.outputs:
            assert set(output.data) <= {"text/plain", "text/html"}
            assert len(output.data.get("text/html", "")) <= MOST
    assert notebook.metadata.kernelspec.name == "python3"
    assert set(notebook.metadata) == {"kernelspec", "language_info"}, "nothing of one machine"
    assert notebook.metadata.language_info == {"name": "python"}


def test_the_stored_counts_are_those_of_the_stored_parameters() -> None:
    notebook = read("train")
    found: dict[str, Any] = {}
    exec(notebook.cells[1].source, found)

    told = shown(notebook, "show_counts")["text/plain"]

    for split, n in found["PHANTOMS"].items():
        (counts,) = re.findall(rf"{split}: ([^;.]+)", told)
        assert sum(map(int, re.findall(r"\d+", counts))) == n


@pytest.mark.parametrize("name", NAMES)
def test_notebooks_name_no_place_of_one_machine(name: str) -> None:
    sources = "\n".join(cell.source for cell in read(name).cells)

    assert not re.search(r"""["'(\s](/[a-z]|~|[A-Z]:\\)""", sources)
    for link in re.findall(r"\]\(([^)#]+)\)", sources):
        assert link.startswith("https://doi.org/") or (FOLDER / link).exists(), link
    for other in re.findall(r"`([\w-]+\.ipynb)`", sources):
        assert (FOLDER / other).is_file(), other
