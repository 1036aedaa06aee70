"""Does an ONNX file say the same as the classifier that it was made from?"""

import copy
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from hilum.classifier import Classifier
from hilum.errors import ClassifierError
from hilum.exporting.graph import Input, logits_name, output_names
from hilum.exporting.sessions import run_session, start_session
from hilum.files import safe_name
from hilum.records import PixelArray, Predictions
from hilum.spacing import evenly_spaced

#: The largest difference between two probabilities that is allowed.
TOLERANCE = 1e-4

_RADIOGRAPHS = 32  # of those that were given, at equal steps


@dataclass(frozen=True, slots=True)
class Agreement:
    """How well a file agrees with its classifier.

    radiographs, random: how many images of each kind were compared. largest: the largest
    difference between two probabilities, of classes and of decisions' options. tolerance: what it
    had to stay below. The predicted classes are the same for all images.
    """

    radiographs: int
    random: int
    largest: float
    tolerance: float = TOLERANCE

    def to_json(self) -> dict[str, Any]:
        """{"radiographs": …, "random": …, "largest_difference": …, "tolerance": …}."""
        return {
            "radiographs": self.radiographs,
            "random": self.random,
            "largest_difference": self.largest,
            "tolerance": self.tolerance,
        }


def check_onnx(
    model: bytes,
    classifier: Classifier,
    takes: Input,
    radiographs: Sequence[PixelArray] = (),
) -> Agreement:
    """Run an exported model by ONNX Runtime and the classifier by PyTorch, and compare.

    takes: as of export_onnx. radiographs: grey images (H, W) uint8, of which 32 are used at
    most; random images, blank ones and gradients of many shapes are always compared.
    Raises ClassifierError where a probability differs by TOLERANCE or more, or a class differs.
    """
    rows = evenly_spaced(len(radiographs), _RADIOGRAPHS)
    real = [radiographs[row][None] for row in rows]
    made = list(_random_batches(classifier.preprocessing.image_size))
    reference, session = _on_cpu(classifier), start_session(model)
    largest = 0.0
    for batch in (*real, *made):
        pixels = np.stack([classifier.preprocessing.to_pixels(image) for image in batch])
        expected = reference.predict_pixels(pixels)
        found = run_session(session, batch if takes == "images" else pixels)
        outputs = dict(zip(output_names(classifier), found, strict=True))
        largest = max(largest, _difference(outputs, expected, reference))
        differ = np.flatnonzero(outputs["predicted"] != expected.predicted)
        # not (… < …), so that a NaN does not pass
        if not largest < TOLERANCE or len(differ):
            size = "{1} x {2}".format(*batch.shape)
            what = f"{largest:.2g}" + (f", and {len(differ)} classes" if len(differ) else "")
            raise ClassifierError(
                "The ONNX model does not agree with the classifier: for images of "
                f"{size} pixels probabilities differ by {what} (allowed: less than "
                f"{TOLERANCE:g}). It was not written."
                + (" Another version of Pillow may resize otherwise: try --input pixels."
                   if takes == "images" else "")
            )  # fmt: skip
    return Agreement(_count(real), _count(made), largest)


def _on_cpu(classifier: Classifier) -> Classifier:
    """The same classifier with copies of its networks on the CPU, and no gate to judge images."""
    networks = {
        name: copy.deepcopy(network).to("cpu") for name, network in classifier.networks.items()
    }
    return replace(classifier, networks=networks, gate=None, device=torch.device("cpu"))


def _difference(
    outputs: dict[str, npt.NDArray[Any]], expected: Predictions, reference: Classifier
) -> float:
    """The largest difference of a probability: as the model gives it, and of its logits."""
    decided = reference.decide(
        {n: outputs[logits_name(n)].astype(np.float64) for n in reference.networks}
    )
    pairs = [(outputs["probs"], expected.probs), (decided.probs, expected.probs)]
    for name, probs in expected.decision_probs.items():
        pairs += [(outputs[f"decision_{safe_name(name)}"], probs)]
    return float(max(np.abs(found - wanted).max() for found, wanted in pairs))


def _random_batches(size: tuple[int, int]) -> Iterator[PixelArray]:
    """Noise, gradients and blanks: of the classifier's size, smaller, larger, flat and tall."""
    rng = np.random.default_rng(0)
    height, width = size
    sizes = [(height, width), (height // 2, width // 3), (3 * height + 1, 2 * width - 1),
             (height + 5, 4 * width), (5 * height, width + 1), (1, 1)]  # fmt: skip
    for rows, columns in sizes:
        noise = rng.integers(0, 256, (3, rows, columns))
        slope = np.add.outer(np.linspace(0, 200, rows), np.linspace(0, 55, columns))[None]
        blank = np.stack([np.full((rows, columns), grey) for grey in (0, 255)])
        yield np.concatenate([noise, slope, 255 - slope, blank]).astype(np.uint8)
        yield noise[:1].astype(np.uint8)  # a batch of one


def _count(batches: Iterable[PixelArray]) -> int:
    return sum(len(batch) for batch in batches)
