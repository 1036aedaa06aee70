"""A classifier as what a model repository on Hugging Face holds: the folder to give away, and more.

README.md (the card), classifier.json and what it names, model.onnx, and config.json, by which the
hub counts downloads and other programs find names and sizes.
"""

import json
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from hilum.classifier.classifier import Classifier
from hilum.exporting.card import Evaluated, export_folder
from hilum.exporting.graph import Input, output_names
from hilum.exporting.onnx import Agreement, make_onnx
from hilum.records import PixelArray

#: Their names in the repository.
ONNX, CONFIG = "model.onnx", "config.json"

_USAGE = f"""
From the repository itself, `pip install 'hilum[hub]'` and `hilum predict hf://OWNER/NAME
radiographs/`, or in Python `hilum.Classifier.load("hf://OWNER/NAME@REVISION")`. `{ONNX}` holds the
whole classifier, preprocessing too, for ONNX Runtime; its metadata say what goes in and comes out.
"""


def export_repository(
    classifier: Classifier,
    folder: Path | str,
    evaluated: Sequence[Evaluated] = (),
    *,
    takes: Input = "images",
    operate: Iterable[str] | None = None,
    radiographs: Sequence[PixelArray] = (),
) -> tuple[list[Path], Agreement]:
    """Write all that a repository needs into a folder that is new or empty.

    evaluated: as of export_folder. takes, operate, radiographs: as of export_onnx. Returns the
    files, and how well model.onnx agrees with the classifier. Raises ClassifierError as both do.
    """
    data, agreement = make_onnx(classifier, takes=takes, operate=operate, radiographs=radiographs)
    config = json.dumps(_config(classifier, takes), indent=2, ensure_ascii=False) + "\n"
    beside = {ONNX: data, CONFIG: config.encode()}
    return export_folder(classifier, folder, evaluated, beside=beside, usage=_USAGE), agreement


def _config(classifier: Classifier, takes: Input) -> dict[str, Any]:
    """Under the names that transformers gives them where it has such; all else is Hilum's."""
    tree = classifier.tree
    names = tree.classes if tree.decisions else tuple(f.name for f in tree.findings)
    one_of = bool(tree.decisions)
    return {
        "model_type": "hilum",
        "architectures": sorted(set(classifier.network_names.values())),
        "problem_type": f"{'single' if one_of else 'multi'}_label_classification",
        "id2label": {str(i): name for i, name in enumerate(names)},
        "label2id": {name: i for i, name in enumerate(names)},
        "image_size": list(classifier.preprocessing.image_size),
        "num_channels": 1,
        "labels": str(tree),
        "strategy": classifier.strategy,
        "onnx": {"file": ONNX, "input": takes, "outputs": output_names(classifier)},
        "hilum_version": version("hilum"),
    }
