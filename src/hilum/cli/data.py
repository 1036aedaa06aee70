"""Opening the data that a verb was given."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hilum import console

if TYPE_CHECKING:
    from hilum.labels import LabelTree
    from hilum.radiographs.dataset import Dataset
    from hilum.radiographs.pixels import Progress


def open_data(
    data: Path,
    *,
    classes: str | None = None,
    tree: "LabelTree | None" = None,
    exclude: Sequence[str] | None = None,
    layout: str | None = None,
    progress: "Progress | None" = None,
) -> "Dataset":
    """Open a data set as the options say, and tell what its layout left out or decided."""
    from hilum.labels import LabelTree
    from hilum.radiographs.dataset import open_dataset

    if classes:
        tree = LabelTree.from_text(classes)
    dataset = open_dataset(data, tree=tree, exclude=exclude or (), layout=layout, progress=progress)
    for note in dataset.notes:
        console.say(f"{dataset.name}: {note}")
    return dataset
