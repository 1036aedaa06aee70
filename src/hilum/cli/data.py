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
    label_map: str | None = None,
    every_class: bool = True,
    keep_identifiers: bool = False,
    progress: "Progress | None" = None,
) -> "Dataset":
    """Open a data set as the options say, and tell what its layout left out or decided.

    label_map: the text of --map. every_class, keep_identifiers: as of open_dataset.
    """
    from hilum.errors import LabelError
    from hilum.labels import LabelTree
    from hilum.radiographs.dataset import open_dataset
    from hilum.radiographs.label_map import parse_label_map

    if classes:
        tree = LabelTree.from_text(classes)
    if label_map and tree is None:
        raise LabelError("--map gives labels the names of classes: name these with --classes.")
    dataset = open_dataset(
        data,
        tree=tree,
        exclude=exclude or (),
        layout=layout,
        rename=parse_label_map(label_map, tree) if label_map and tree else {},
        every_class=every_class,
        keep_identifiers=keep_identifiers,
        progress=progress,
    )
    for note in dataset.notes:
        console.say(f"{dataset.name}: {note}")
    return dataset
