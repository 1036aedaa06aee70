"""One folder to give away: the whole classifier, with a model card."""

from dataclasses import replace
from pathlib import Path

from hilum.classifier import Classifier
from hilum.errors import ClassifierError
from hilum.exporting.card import write_card
from hilum.exporting.provenance import shareable
from hilum.files import write_atomically

CARD = "README.md"


def export_folder(classifier: Classifier, folder: Path | str) -> list[Path]:
    """Write a classifier's folder, complete, and its model card.

    folder: new or empty; its name is the card's title. The files hold no path of this machine.
    Classifier.load and every verb read the folder as they do any classifier's. Returns its files.
    Raises ClassifierError where the folder holds something.
    """
    folder = Path(folder)
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise ClassifierError(f"{folder}: not empty; name a new folder with --out.")
    given = replace(classifier, provenance=shareable(classifier.provenance))
    card = write_card(given, folder.resolve().name)
    write_atomically(folder / CARD, card.encode())
    given.save(folder)
    return sorted(folder.iterdir())
