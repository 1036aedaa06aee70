"""Reading the evaluations of a run for a report: the figures, the predictions, what is beyond.

Nothing is computed or corrected here. A part that is absent is absent in the result, so that the
report can say so; a part that is damaged, or about other images, is refused.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hilum.errors import EvaluationError, HilumError
from hilum.evaluation.assess import ASSESSMENT_FILE, Assessment, read_assessment
from hilum.evaluation.external import EXTERNAL_FILE, ExternalDrop
from hilum.evaluation.files import (
    EVALUATION_FILE,
    PREDICTIONS_FILE,
    read_evaluation,
    read_predictions,
)
from hilum.evaluation.results import Evaluation
from hilum.evaluation.stress_results import STRESS_FILE, Stress, read_stress

#: The order in which splits are told, the most telling first; others follow alphabetically.
_SPLITS = ("test", "val", "train")

#: How the folders begin that evaluations of data from elsewhere are written to.
EXTERNAL_PREFIX = "external-"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one run says of one radiograph: class names, and the predicted class's probability."""

    name: str
    truth: str
    predicted: str
    probability: float

    @property
    def correct(self) -> bool:
        """Whether the predicted class is the true one."""
        return self.truth == self.predicted


@dataclass(frozen=True)
class SplitResult:
    """The evaluation of one split.

    verdicts: by radiograph name, empty without predictions.csv. assessment, drop, stress: what
    assessment.json, external.json and stress.json hold beside it; None without one.
    """

    split: str
    evaluation: Evaluation
    verdicts: Mapping[str, Verdict]
    assessment: Assessment | None = None
    drop: ExternalDrop | None = None
    stress: Stress | None = None


def read_results(folder: Path) -> tuple[tuple[SplitResult, ...], tuple[SplitResult, ...]]:
    """A run's evaluations on its own data, and those on data from elsewhere.

    folder: RUN/evaluation, which need not be there. Raises HilumError naming the damaged file.
    """
    own: list[SplitResult] = []
    external: list[SplitResult] = []
    for file in sorted(folder.glob(f"*/{EVALUATION_FILE}")):
        result = _read_result(file)
        elsewhere = result.drop is not None or file.parent.name.startswith(EXTERNAL_PREFIX)
        (external if elsewhere else own).append(result)
    order = {split: i for i, split in enumerate(_SPLITS)}
    own.sort(key=lambda r: (order.get(r.split, len(order)), r.split))
    return tuple(own), tuple(external)


def _read_result(file: Path) -> SplitResult:
    evaluation = read_evaluation(file)
    table = file.with_name(PREDICTIONS_FILE)
    verdicts: dict[str, Verdict] = {}
    if table.is_file():
        truth, predictions = read_predictions(table)
        classes = evaluation.classes
        if len(predictions) != evaluation.n or predictions.probs.shape[1] != len(classes):
            raise HilumError(
                f"{table} holds {len(predictions)} predictions over {predictions.probs.shape[1]} "
                f"classes, but {file} is about {evaluation.n} over {len(classes)}: evaluate again."
            )
        for i, name in enumerate(predictions.names):
            k = int(predictions.predicted[i])
            probability = float(predictions.probs[i, k])
            verdicts[name] = Verdict(name, classes[int(truth[i])], classes[k], probability)
    assessment = drop = stress = None
    if (beside := file.with_name(ASSESSMENT_FILE)).is_file():
        assessment = read_assessment(beside)
        _refuse_older(beside, (assessment.n, assessment.split), evaluation)
    if (beside := file.with_name(EXTERNAL_FILE)).is_file():
        try:
            drop = ExternalDrop.from_json(parse_object(beside, beside.read_text("utf-8")))
        except EvaluationError as error:
            raise HilumError(f"Cannot read {beside}: {error}") from None
        _refuse_older(beside, (drop.external.get("n"), drop.external.get("split")), evaluation)
    if (beside := file.with_name(STRESS_FILE)).is_file():
        stress = read_stress(beside)
        _refuse_older(beside, (stress.n, stress.split), evaluation)
        _refuse_other(beside, stress, evaluation)
    return SplitResult(evaluation.split, evaluation, verdicts, assessment, drop, stress)


def _refuse_older(file: Path, about: tuple[Any, Any], evaluation: Evaluation) -> None:
    if about != (evaluation.n, evaluation.split):
        raise HilumError(
            f"{file} is about {about[0]} images of {about[1]}, but {EVALUATION_FILE} beside it "
            f"about {evaluation.n} of {evaluation.split}: evaluate again."
        )


def _refuse_other(file: Path, stress: Stress, evaluation: Evaluation) -> None:
    """A stress test takes minutes: it is easily left behind when a run is evaluated anew."""
    keys = ("rule", "data", "classifier")
    differ = [key for key in keys if getattr(stress, key) != getattr(evaluation, key)]
    if differ:
        raise HilumError(
            f"{file} is not about the same {' and '.join(differ)} as {EVALUATION_FILE} beside it: "
            "evaluate again with --stress, or remove it."
        )


def parse_object(file: Path, text: str) -> dict[str, Any]:
    """The JSON object in a file's text. Raises HilumError naming the file for anything else."""
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise HilumError(f"{file} is not JSON: {error}.") from error
    if not isinstance(found, dict):
        raise HilumError(f"{file} should hold a JSON object; found {type(found).__name__}.")
    return found
