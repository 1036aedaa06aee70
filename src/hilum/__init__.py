"""Hilum: from a folder of chest radiographs to a classifier that says how far it can be trusted.

The public names are loaded when they are first used, so that ``import hilum`` stays light.
"""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hilum.classifier.classifier import Classifier as Classifier
    from hilum.evaluation.assess import assess as assess
    from hilum.evaluation.evaluate import evaluate as evaluate
    from hilum.explanation.explain import explain as explain
    from hilum.labels import LabelTree as LabelTree
    from hilum.radiographs.dataset import open_dataset as open_dataset
    from hilum.radiographs.image import read_radiograph as read_radiograph
    from hilum.recipe import Recipe as Recipe
    from hilum.reporting.report import write_report as write_report
    from hilum.serving.app import create_app as create_app
    from hilum.training.run import train as train

__version__ = version("hilum")

_PUBLIC = {
    "Classifier": "hilum.classifier.classifier",
    "assess": "hilum.evaluation.assess",
    "LabelTree": "hilum.labels",
    "Recipe": "hilum.recipe",
    "create_app": "hilum.serving.app",
    "evaluate": "hilum.evaluation.evaluate",
    "explain": "hilum.explanation.explain",
    "open_dataset": "hilum.radiographs.dataset",
    "read_radiograph": "hilum.radiographs.image",
    "train": "hilum.training.run",
    "write_report": "hilum.reporting.report",
}

__all__ = [*sorted(_PUBLIC), "__version__"]


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'hilum' has no attribute '{name}'")


def __dir__() -> list[str]:
    return list(__all__)
