"""The whole assessment of a classifier on a split: what evaluation.json says, and all beyond it.

``assessment.json`` stands beside ``evaluation.json``. What could not be measured is missing there,
with the reason.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

from hilum.classifier.arrivals import Arrivals
from hilum.classifier.conformal import COVERAGE, ConformalResult, fit_conformal, measure_conformal
from hilum.classifier.operating_points import (
    OperatingPoint,
    finding_of,
    fit_operating_point,
    parse_operating_points,
)
from hilum.classifier.promised import finding_sides, risk_control
from hilum.classifier.risk_control import RiskResult, measure_risk_control
from hilum.classifier.threshold import PRESETS
from hilum.codec import read_plain, write_plain
from hilum.decisions import Finding
from hilum.display import Displayed, paragraphs
from hilum.errors import EvaluationError, plural
from hilum.evaluation.bands import Bands
from hilum.evaluation.calibration import (
    Calibration,
    CalibrationChange,
    compare_calibration,
    measure_calibration,
)
from hilum.evaluation.curves import Curves, DecisionCurve, measure_curves, measure_decision_curves
from hilum.evaluation.evaluate import SplitRun, run_split
from hilum.evaluation.files import Evaluation
from hilum.evaluation.gate import GateScore, score_gate
from hilum.evaluation.operating import OperatingAssessment, assess_operating_points
from hilum.evaluation.overlap import chosen_on, trained_on
from hilum.evaluation.subgroups import Subgroups, collect_attributes, measure_subgroups
from hilum.given import Data, Trained
from hilum.labels import LabelTree, Rule
from hilum.predictions import Predictions
from hilum.radiographs.dataset import Dataset
from hilum.radiographs.image import read_radiograph
from hilum.radiographs.pixels import Progress, in_parallel
from hilum.records import PRESENT, IntArray, several
from hilum.settings import Promises
from hilum.statistics.findings import Side, as_choice, choice_of
from hilum.statistics.two_by_two import check_name
from hilum.training.folder import as_pair

ASSESSMENT_FILE = "assessment.json"

SAME_IMAGES = (
    "These are the images that temperatures, thresholds and prediction sets were chosen on: what "
    "follows from them is too good here, and no evidence."
)

#: Of more radiographs than this, so many at equal steps are shown to the gate.
_GATE_IMAGES = 400

#: Above this share of images that thresholds were chosen on, figures are told to be too good.
_SHARED = 0.05


@dataclass(frozen=True, repr=False)
class Assessment(Displayed):
    """What evaluation.json does not say of a classifier on a split.

    same_images: these images are the ones that thresholds were chosen on. calibration: of the
    probabilities as they are; temperature: what temperature scaling changed in it. conformal:
    prediction sets; gate: what it flags. missing: for each part that is None, why. arrivals: what
    the gate says of the images together; None without a gate or of few images, and in files of
    earlier versions. holds: for which films prediction sets and thresholds were chosen; None where
    there are none, and in files of earlier versions. missed: how many findings are missed among
    those that cannot be ruled out. findings: of each the same, as a choice between 'negative' and
    itself; what the gate says stands in the whole alone.
    """

    n: int
    split: str
    same_images: bool
    calibration: Calibration
    temperature: CalibrationChange | None
    curves: Curves
    decision_curves: tuple[DecisionCurve, ...]
    operating: OperatingAssessment | None
    conformal: ConformalResult | None
    gate: GateScore | None
    subgroups: Subgroups | None
    missing: dict[str, str]
    arrivals: Arrivals | None = None
    holds: Promises | None = None
    missed: RiskResult | None = None
    findings: dict[str, "Assessment"] = field(default_factory=dict)

    FORMAT: ClassVar[int] = 1

    def _in_one_line(self) -> str:
        missing = f"; not measured: {', '.join(self.missing)}" if self.missing else ""
        return f"Assessment of {plural(self.n, 'image')} of {self.split}{missing}"

    def _in_full(self) -> Iterator[str]:
        yield paragraphs(*(row.summary() for row in self.operating.rows) if self.operating else ())
        yield paragraphs(*(f"Not measured: {part}: {why}." for part, why in self.missing.items()))


def assess(
    classifier: Trained,
    dataset: Data,
    split: str = "val",
    *,
    rule: Rule | None = None,
    operate: str | Sequence[str] = (),
    prevalence: Mapping[str, float] | None = None,
    coverage: float = COVERAGE,
    out: Path | str | None = None,
    progress: Progress | None = None,
) -> tuple[Evaluation, Assessment]:
    """Evaluate a classifier, and measure whether its probabilities and thresholds can be used.

    Thresholds are chosen on the validation images that the classifier carries, or on shifted copies
    of them, never on the split that is evaluated.

    Args:
        classifier: What is measured, or the folder of it or of its run.
        dataset: With the classifier's own labels, in its order (open it with tree=classifier.tree),
            or its path.
        split: 'train', 'val', 'test' or 'all'.
        rule: How probabilities become a class; None takes the classifier's.
        operate: Operating points beside the two presets, as OperatingPoint.parse reads them.
        prevalence: By label and finding, as parse_prevalence gives it.
        coverage: Of the prediction sets, in (0, 1).
        out: A folder for predictions.csv, evaluation.json and assessment.json; None writes nothing.
        progress: Called with what is done, how much of it, and of how much.

    Returns:
        The evaluation, and what it does not say.

    Raises:
        EvaluationError: Where the labels differ, or something asked for does not fit them.
        DataError: Where the split does not exist.
    """
    classifier, dataset = as_pair(classifier, dataset, progress)
    tree, texts = classifier.tree, tuple(several(operate))
    own: dict[str, list[str]] = {finding.name: [] for finding in tree.findings}
    others: list[str] = []
    for text in texts:
        finding_asked = finding_of(text, tree)
        (own[finding_asked.name] if finding_asked else others).append(text)
    shares = {check_name(name, tree): share for name, share in (prevalence or {}).items()}
    asked = {name: {name: shares.pop(name)} if name in shares else None for name in own}
    for name in own:  # refuses before anything is computed
        parse_operating_points(own[name], choice_of(name))
    points = parse_operating_points([*PRESETS, *others], tree) if tree.decisions or others else []
    run = run_split(classifier, dataset, split, rule=rule, progress=progress)
    missing: dict[str, str] = {}
    gate = _score_gate(run, dataset, missing, progress)
    attributes = collect_attributes(dataset, run.rows, progress)
    same = _same_images(run, dataset)
    validation = run.classifier.validation
    known = run.classifier.promised_predictions() if validation else None
    holds = run.classifier.holds
    alike = run.classifier.validation_predictions() if holds == "elsewhere" else None
    before = run.classifier.without_temperatures(run.predictions)
    whole = assess_predictions(
        tree, run.truth, run.predictions, before, known, points, attributes,
        prevalence=shares, coverage=coverage, split=split, same=same, alike=alike, holds=holds,
    )  # fmt: skip
    told = finding_sides(run.classifier)
    like = finding_sides(run.classifier, promised=False) if alike else {}
    each = {}
    for finding in tree.findings:
        side = as_choice(finding, run.truth, run.marks, run.predictions)
        if not len(side.truth):
            continue
        plain = as_choice(finding, run.truth, run.marks, before)
        each[finding.name] = assess_predictions(
            side.tree, side.truth, side.predictions, plain.predictions, _pair(told, finding),
            parse_operating_points([*PRESETS, *own[finding.name]], side.tree),
            {n: replace(bands, index=bands.index[side.known]) for n, bands in attributes.items()},
            prevalence=asked[finding.name], coverage=coverage, split=split, same=same,
            alike=_pair(like, finding), holds=holds,
        )  # fmt: skip
    assessment = replace(
        whole,
        gate=gate,
        missing={**whole.missing, **missing},
        arrivals=run.arrivals,
        missed=_missed(run, same),
        findings=each,
    )
    if out is not None:
        run.write(Path(out))
        write_assessment(assessment, Path(out))
    return run.evaluation, assessment


def _missed(run: SplitRun, same: bool) -> RiskResult | None:
    """What is missed among the findings that cannot be ruled out; None where that is chosen on."""
    control = risk_control(run.classifier)
    if control is None or same:
        return None
    tree = run.classifier.tree
    present = tree.finding_truths(run.truth, run.marks) == PRESENT
    return measure_risk_control(
        control, run.predictions.finding_probs, run.predictions.present, present
    )


def _pair(sides: Mapping[str, Side], finding: Finding) -> tuple[IntArray, Predictions] | None:
    side = sides.get(finding.name)
    return (side.truth, side.predictions) if side is not None and len(side.truth) else None


_UNCALIBRATED = "the classifier carries no validation figures; hilum calibrate gives it some"


def assess_predictions(
    tree: LabelTree,
    truth: IntArray,
    predictions: Predictions,
    before: Predictions | None,
    known: tuple[IntArray, Predictions] | None,
    points: Sequence[OperatingPoint],
    attributes: Mapping[str, Bands],
    *,
    split: str,
    prevalence: Mapping[str, float] | None = None,
    coverage: float = COVERAGE,
    same: bool = False,
    alike: tuple[IntArray, Predictions] | None = None,
    holds: Promises | None = None,
    unknown: str = _UNCALIBRATED,
) -> Assessment:
    """All but what the gate says, of anybody's predictions.

    before: without the recalibration that is in predictions; None where there is none in them.
    known: the truth (M,) and predictions that thresholds are chosen on; None has none, and
    unknown says why. points: to be chosen there. attributes: the subgroups of the N images. same:
    whether the images are those. alike: the validation images, where known is of copies. holds:
    for which images what is chosen is to hold. The rest as of assess.
    """
    missing: dict[str, str] = {}
    temperature = operating = conformal = None
    if known is None:
        missing |= dict.fromkeys(("temperature", "operating", "conformal"), unknown)
    elif len(tree.classes) > 1:
        fitted = [fit_operating_point(point, tree, *known) for point in points]
        operating = assess_operating_points(
            tree,
            fitted,
            truth,
            predictions,
            prevalence,
            same_images=same,
            alike=alike,
        )
        if before is not None:
            temperature = compare_calibration(tree, truth, before, predictions)
        if same:
            missing["conformal"] = "prediction sets are chosen on these images: nothing to measure"
        else:
            sets = fit_conformal(tree, *known, coverage)
            conformal = measure_conformal(sets, truth, predictions)
    return Assessment(
        n=len(truth),
        split=split,
        same_images=same,
        calibration=measure_calibration(tree, truth, predictions),
        temperature=temperature,
        curves=measure_curves(tree, truth, predictions),
        decision_curves=measure_decision_curves(tree, truth, predictions, prevalence=prevalence),
        operating=operating,
        conformal=conformal,
        gate=None,
        subgroups=measure_subgroups(tree, truth, predictions, attributes),
        missing=missing,
        holds=holds,
    )


def write_assessment(assessment: Assessment, out: Path) -> None:
    """Write assessment.json into a folder. Raises EvaluationError where it cannot be written."""
    write_plain(out / ASSESSMENT_FILE, assessment, error=EvaluationError)


def read_assessment(path: Path) -> Assessment:
    """Read an assessment.json. Raises EvaluationError if it is missing, damaged or foreign."""
    return read_plain(path, Assessment, what="an assessment", error=EvaluationError)


def _same_images(run: SplitRun, dataset: Dataset) -> bool:
    """Whether more than a few of the evaluated images are ones that thresholds were chosen on."""
    return bool(chosen_on(run.classifier, dataset)[run.rows].mean() > _SHARED)


def _score_gate(
    run: SplitRun,
    dataset: Dataset,
    missing: dict[str, str],
    progress: Progress | None,
) -> GateScore | None:
    gate = run.classifier.gate
    if gate is None:
        known = run.classifier.provenance.get("gate", {}).get("reason")
        missing["gate"] = known or "the classifier does not remember its training images"
        return None
    rows = run.rows[~trained_on(run.classifier, dataset)[run.rows]]
    if not len(rows):
        missing["gate"] = "the gate was fitted on these images"
        return None
    step = -(-len(rows) // _GATE_IMAGES)
    paths = [dataset.records[row].path for row in rows[::step]]
    images = in_parallel(read_radiograph, paths, "Reading radiographs", progress)
    return score_gate(gate, run.classifier.preprocessing, images)
