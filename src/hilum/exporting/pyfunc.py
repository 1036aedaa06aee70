"""A classifier as a model of MLflow: its folder, and this module, which MLflow loads it by.

Nothing is pickled. `mlflow models serve` and `mlflow.pyfunc.load_model` give it one column,
'image', of files' bytes: in JSON as base64. It opens no path that a request names.
"""

import io
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from hilum.classifier.classifier import Classifier
from hilum.errors import DataError
from hilum.radiographs.decoding import Decoders, DecodingLimits

#: The one column of what is asked.
IMAGE = "image"


def pyfunc_model(folder: Path) -> dict[str, Any]:
    """What mlflow.pyfunc.save_model and log_model take of a classifier's folder."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema
    from pandas import DataFrame

    black = io.BytesIO()
    Image.new("L", (8, 8)).save(black, "PNG")
    return {
        "loader_module": __name__,
        "data_path": str(folder),
        "pip_requirements": [f"hilum[mlflow]=={version('hilum')}"],
        "signature": ModelSignature(inputs=Schema([ColSpec(DataType.binary, IMAGE)])),
        "input_example": DataFrame({IMAGE: [black.getvalue()]}),
    }


class ServedClassifier:
    """What MLflow calls: a column of files in, the columns of predictions.csv out."""

    def __init__(self, classifier: Classifier) -> None:
        self._classifier = classifier
        self._decoders = Decoders(DecodingLimits())  # others may send what they like

    def predict(self, model_input: Any, params: dict[str, Any] | None = None) -> Any:
        """Classify radiographs, as Classifier.predict does.

        model_input: a DataFrame with the column 'image', bytes of N files. Returns a DataFrame of
        N rows: Predictions.to_frame without the path. Raises DataError where one cannot be read.
        """
        if IMAGE not in model_input or not len(model_input):
            raise DataError(f"Expected a column '{IMAGE}' with the bytes of a file in each row.")
        preprocessing = self._classifier.preprocessing
        reading = [
            self._decoders.submit(
                Path(f"row {row}"),
                lambda picture: preprocessing.to_pixels(picture.pixels),
                content=io.BytesIO(content),
            )
            for row, content in enumerate(model_input[IMAGE], start=1)
        ]
        pixels = np.stack([answer.result() for answer in reading])
        return self._classifier.predict_pixels(pixels).to_frame().drop(columns="path")


def _load_pyfunc(path: str) -> ServedClassifier:
    """MLflow calls it by this name. path: of the classifier's folder."""
    return ServedClassifier(Classifier.load(path))
