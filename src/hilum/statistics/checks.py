"""What an evaluation refuses: truth and predictions that cannot belong together."""

from collections.abc import Sequence

import numpy as np

from hilum.errors import EvaluationError
from hilum.labels import LabelTree
from hilum.predictions import Predictions
from hilum.records import FloatArray, IntArray


def check_classes(name: str, values: IntArray, n_classes: int) -> None:
    """Raise EvaluationError unless all values are integers from 0 to n_classes - 1."""
    if values.size and not np.issubdtype(values.dtype, np.integer):
        raise EvaluationError(f"The {name} classes must be integers; found {values.dtype}.")
    wrong = values[(values < 0) | (values >= n_classes)] if values.size else values
    if wrong.size:
        raise EvaluationError(
            f"There are {n_classes} classes, numbered from 0, but a {name} class is {wrong[0]}."
        )


def check_predictions(tree: LabelTree, truth: IntArray, predictions: Predictions) -> None:
    """Refuse what cannot be evaluated.

    Raises EvaluationError where there is no image, the truth and the predictions differ in length,
    a class index is out of range, a decision of the tree has no probabilities, or probabilities
    have the wrong shape, are not finite, lie outside [0, 1] or do not sum to 1.
    """
    n, n_classes = len(predictions), len(tree.classes)
    if truth.shape != (n,):
        raise EvaluationError(
            f"The truth has shape {truth.shape} but there are predictions of {n} images: "
            "give one true class per image."
        )
    if n == 0:
        raise EvaluationError("There are no images to evaluate.")
    if predictions.predicted.shape != (n,):
        raise EvaluationError(
            f"Expected {n} predicted classes; found shape {predictions.predicted.shape}."
        )
    check_classes("true", truth, n_classes)
    check_classes("predicted", predictions.predicted, n_classes)
    _check_probs("the classes", predictions.probs, predictions.names, n_classes)
    for decision in tree.decisions:
        if decision.name not in predictions.decision_probs:
            raise EvaluationError(f"The predictions lack the decision '{decision.name}'.")
        probs = predictions.decision_probs[decision.name]
        _check_probs(
            f"the decision '{decision.name}'", probs, predictions.names, len(decision.options)
        )


def _check_probs(what: str, probs: FloatArray, names: Sequence[str], options: int) -> None:
    expected = (len(names), options)
    if probs.shape != expected:
        raise EvaluationError(
            f"The probabilities of {what} must have shape {expected}; found {probs.shape}."
        )
    # NaN fails every comparison, so this finds it too. Softmax in float32 sums to 1 within 1e-6.
    sound = (probs >= 0).all(axis=1) & (probs <= 1 + 1e-6).all(axis=1)
    sound &= np.abs(probs.sum(axis=1) - 1) < 1e-3
    if not sound.all():
        first = int(np.argmin(sound))
        raise EvaluationError(
            f"The probabilities of {what} must lie in [0, 1] and sum to 1, but those of "
            f"{names[first] or f'image {first}'} are {probs[first].tolist()}."
        )
