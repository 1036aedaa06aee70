"""Run the notebooks from top to bottom, and store them with what they show.

    python scripts/store_notebooks.py

They run in an empty folder, on synthetic radiographs. Figures and pictures of more than 50 kB are
left out: their cells keep what they say in words.
"""

import os
import tempfile
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[1] / "notebooks"
#: The second goes on from what the first leaves.
NAMES = ("train", "evaluate")

#: Characters of one figure that are stored.
MOST = 50_000


def read(name: str) -> Any:
    """A notebook as it is stored."""
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)  # type: ignore[no-untyped-call]


def run(name: str, folder: Path, parameters: str = "") -> Any:
    """Execute a notebook in a folder, with assignments after its cell tagged 'parameters'."""
    notebook = read(name)
    (place,) = (c for c in notebook.cells if "parameters" in c.metadata.get("tags", ()))
    place.source += parameters
    NotebookClient(
        notebook,
        timeout=3600,
        kernel_name="python3",
        record_timing=False,
        resources={"metadata": {"path": str(folder)}},
    ).execute()
    return notebook


def trimmed(notebook: Any) -> Any:
    """The same notebook with what is to be stored of it, and nothing of this machine."""
    notebook.metadata.language_info = {"name": "python"}
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            if len(output.get("data", {}).get("text/html", "")) > MOST:
                del output.data["text/html"]
    return notebook


def main() -> None:
    # tqdm, which Captum brings, asks for ipywidgets; without them its bars are text
    os.environ["PYTHONWARNINGS"] = "ignore:IProgress not found"
    with tempfile.TemporaryDirectory() as folder:
        for name in NAMES:
            shown = trimmed(run(name, Path(folder)))
            nbformat.write(shown, FOLDER / f"{name}.ipynb")  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main()
