"""Assessments of the runs that conftest makes, with what the page has to tell of each part."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from hilum.classifier.arrivals import Arrivals
from hilum.classifier.conformal import fit_conformal, measure_conformal
from hilum.classifier.operating_points import fit_operating_point, parse_operating_points
from hilum.classifier.threshold import PRESETS
from hilum.codec import to_plain
from hilum.evaluation.assess import Assessment, write_assessment
from hilum.evaluation.bands import Bands
from hilum.evaluation.calibration import compare_calibration, measure_calibration
from hilum.evaluation.curves import measure_curves, measure_decision_curves
from hilum.evaluation.external import EXTERNAL_FILE, compare_external
from hilum.evaluation.files import EVALUATION_FILE, read_evaluation
from hilum.evaluation.gate import GateScore
from hilum.evaluation.operating import assess_operating_points
from hilum.evaluation.predictions_file import read_predictions
from hilum.evaluation.subgroups import measure_subgroups
from hilum.labels import LabelTree
from hilum.statistics.intervals import wilson

#: What the gate of these assessments flags; it lets half of what is upside down pass.
GATE = GateScore(0.01, wilson(1, 25), {"noise": wilson(10, 10), "upside down": wilson(5, 10)})

#: Of images half of which its gate flags.
ODD_ARRIVALS = Arrivals(
    10, 5, wilson(5, 10), 0.01, 1e-8, wilson(9, 10), 1e-6, "50.0 % of the 10 pictures are unlike."
)


def assess_run(run: Path, split: str = "val", **changes: Any) -> Assessment:
    """Write assessment.json beside a run's evaluation.

    Thresholds are chosen on the evaluated images themselves, which no page can see. Even images
    are of the subgroup 'first', odd ones of 'second'. changes: replace parts of the assessment.
    """
    table = run / "evaluation" / split / "predictions.csv"
    tree = LabelTree.from_json(json.loads((run / "run.json").read_text())["labels"])
    key = (tree.to_text(), table.read_text())
    if key not in _MADE:
        _MADE[key] = _assess(tree, table)
    return write(run, replace(_MADE[key], split=split, **changes), split)


#: The bootstraps take most of the time, and many tests want the same assessment.
_MADE: dict[tuple[str, str], Assessment] = {}


def _assess(tree: LabelTree, table: Path) -> Assessment:
    truth, predictions = read_predictions(table)
    sharp = predictions.probs**2 / (predictions.probs**2).sum(axis=1, keepdims=True)
    before = replace(predictions, probs=sharp, decision_probs=tree.decision_probs(sharp))
    label = tree.classes[1]
    texts = [f"{label}: {preset}" for preset in PRESETS]
    points = parse_operating_points([*texts, f"{label}: sensitivity>=1, specificity>=1"], tree)
    prevalence = {label: 0.02}
    fitted = [fit_operating_point(point, tree, truth, predictions) for point in points]
    halves = [("first", "second")[i % 2] for i in range(len(truth))]
    return Assessment(
        n=len(truth),
        split="val",
        same_images=False,
        calibration=measure_calibration(tree, truth, predictions),
        temperature=compare_calibration(tree, truth, before, predictions),
        curves=measure_curves(tree, truth, predictions),
        decision_curves=measure_decision_curves(tree, truth, predictions),
        operating=assess_operating_points(tree, fitted, truth, predictions, prevalence),
        conformal=measure_conformal(
            fit_conformal(tree, truth, predictions, 0.85), truth, predictions
        ),
        gate=GATE,
        subgroups=measure_subgroups(
            tree, truth, predictions, {"half": Bands.of(halves, ("first", "second"))}
        ),
        missing={},
    )


def write(run: Path, assessment: Assessment, split: str = "val") -> Assessment:
    """Write an assessment beside an evaluation of a run."""
    write_assessment(assessment, run / "evaluation" / split)
    return assessment


def move_elsewhere(run: Path, split: str = "test") -> Path:
    """Make the evaluation of a split one of data from elsewhere, compared with that of val."""
    inside = read_evaluation(run / "evaluation" / "val" / EVALUATION_FILE)
    folder = run / "evaluation" / f"external-elsewhere-{split}"
    (run / "evaluation" / split).rename(folder)
    file = folder / EVALUATION_FILE
    content = json.loads(file.read_text())
    content["data"] = {"name": "elsewhere", "fingerprint": "other"}
    file.write_text(json.dumps(content))
    drop = compare_external(inside, read_evaluation(file))
    (folder / EXTERNAL_FILE).write_text(json.dumps(to_plain(drop)))
    return folder


def evaluate_also(run: Path, split: str = "test") -> None:
    """Give a run a second evaluation, of the same radiographs under another split's name."""
    source, target = run / "evaluation" / "val", run / "evaluation" / split
    target.mkdir()
    (target / "predictions.csv").write_text((source / "predictions.csv").read_text())
    content = json.loads((source / EVALUATION_FILE).read_text())
    (target / EVALUATION_FILE).write_text(json.dumps(content | {"split": split}))
