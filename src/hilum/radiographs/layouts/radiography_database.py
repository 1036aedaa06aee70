"""The COVID-19 Radiography Database: ``{COVID,Lung_Opacity,Normal,Viral Pneumonia}/images``.

The ``masks`` beside ``images`` are outlines of the lungs, and are never read as radiographs.

Source: Chowdhury et al. 2020, doi:10.1109/ACCESS.2020.3010287; Rahman et al. 2021,
doi:10.1016/j.compbiomed.2021.104319.
"""

from pathlib import Path, PurePath

from hilum.errors import DataError
from hilum.radiographs.layouts.listing import (
    Found,
    Layout,
    Listing,
    no_images,
    subfolders,
    walk,
)

CLASSES = ("COVID", "Lung_Opacity", "Normal", "Viral Pneumonia")


def _top(root: Path) -> Path:
    """The folder that holds the classes: root, or the archive's own folder in it."""
    inner = root / "COVID-19_Radiography_Dataset"
    return inner if inner.is_dir() else root


def _matches(root: Path) -> bool:
    return all((_top(root) / name / "images").is_dir() for name in ("COVID", "Normal"))


def _read(root: Path) -> Listing:
    top = _top(root)
    strange = [p.name for p in subfolders(top) if p.name not in CLASSES]
    if strange:
        raise DataError(
            f"{top}: the folder '{strange[0]}' is none of {', '.join(CLASSES)}; move it out of "
            "the data."
        )
    found: list[Found] = []
    others: list[PurePath] = []
    for name in CLASSES:
        if not (top / name).is_dir():  # earlier versions lack Lung_Opacity
            continue
        images = list(walk(top / name / "images", others))
        if not images:
            raise DataError(f"{top / name}: expected radiographs in {name}/images, found none.")
        found += [
            Found(directory / file, "train", (name,))
            for directory, files in images
            for file in files
        ]
    return Listing(root, LAYOUT.name, tuple(found), (), no_images(others, root))


LAYOUT = Layout(
    name="covid19-radiography",
    looks="COVID/images, Lung_Opacity/images, Normal/images, Viral Pneumonia/images",
    names=("COVID-19_Radiography_Dataset", *CLASSES),
    matches=_matches,
    read=_read,
)
