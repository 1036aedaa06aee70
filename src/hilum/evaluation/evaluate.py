"""From predictions and the truth to an evaluation: every measure, with its interval."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from hilum.auditing.leaks import find_copies
from hilum.auditing.pretraining import seen_sentences
from hilum.auditing.provenance import recognise
from hilum.classifier.arrivals import Arrivals, judge_arrivals
from hilum.classifier.classifier import Classifier, check_labels
from hilum.classifier.provenance import doubt_of
from hilum.errors import EvaluationError
from hilum.evaluation.files import ClassMeasures, DecisionEvaluation, Evaluation, write_evaluation
from hilum.evaluation.findings import called_together, measure_findings
from hilum.evaluation.measures import Sample, measure_label, measure_overall, samples_of
from hilum.evaluation.overlap import trained_on
from hilum.given import Data, Trained
from hilum.labels import LabelTree, Rule, Strategy, parse_rule
from hilum.predictions import Predictions
from hilum.radiographs.dataset import Dataset, describe_damage
from hilum.radiographs.pixels import Progress
from hilum.records import BoolArray, IntArray, LazyPixels
from hilum.statistics import metrics
from hilum.statistics.findings import as_choice
from hilum.statistics.intervals import CONFIDENCE, RESAMPLES
from hilum.training.folder import as_pair

SYNTHETIC = (
    "The images are synthetic phantoms: nothing measured on them says anything about patients."
)


def evaluate(
    classifier: Trained,
    dataset: Data,
    split: str = "val",
    *,
    rule: Rule | None = None,
    out: Path | str | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Run a classifier over a split and measure how it did.

    Args:
        classifier: What is measured, or the folder of it or of its run.
        dataset: With the classifier's own labels, in its order (open it with tree=classifier.tree),
            or its path.
        split: 'train', 'val', 'test' or 'all'.
        rule: How probabilities become a class; None takes the classifier's.
        out: A folder for predictions.csv and evaluation.json; None writes nothing.
        progress: Called with what is done, how much of it, and of how much.

    Returns:
        Every measure with its 95 % interval, over all classes, of each class and each decision.

    Raises:
        EvaluationError: Where the labels differ.
        LabelError: Where there is no such rule.
        DataError: Where the split does not exist.
    """
    model, data = as_pair(classifier, dataset, progress)
    run = run_split(model, data, split, rule=rule, progress=progress)
    if out is not None:
        run.write(Path(out))
    return run.evaluation


@dataclass(frozen=True)
class SplitRun:
    """What a classifier said of a split, and how it did.

    classifier: under the rule that was asked for. rows: (N,) positions in the data set. truth:
    (N,) class indices. marks: (N, F) what is known of the
    findings. arrivals: what the gate says of those that did not train it, together.
    """

    classifier: Classifier
    rows: IntArray
    truth: IntArray
    marks: IntArray
    predictions: Predictions
    evaluation: Evaluation
    arrivals: Arrivals | None

    def write(self, out: Path) -> None:
        """Write predictions.csv and evaluation.json into a folder."""
        tree = self.classifier.tree
        write_evaluation(self.evaluation, self.truth, self.predictions, tree, out, self.marks)


def run_split(
    classifier: Classifier,
    dataset: Dataset,
    split: str,
    *,
    rule: Rule | None = None,
    progress: Progress | None = None,
) -> SplitRun:
    """Run a classifier over a split. Arguments and errors are those of evaluate."""
    check_labels(classifier, dataset)
    if rule is not None:
        classifier = replace(classifier, rule=parse_rule(rule))
    rows = dataset.indices(split)
    names = tuple(dataset.records[row].name for row in rows)
    pixels = dataset.pixels(classifier.preprocessing, progress)
    predictions = classifier.predict_pixels(LazyPixels.of_rows(pixels, rows), names, progress)
    doubt = doubt_of(classifier.provenance)
    truth, marks = dataset.labels[rows], doubt.settle(dataset.marks[rows])
    trained = trained_on(classifier, dataset)
    arrivals = judge_arrivals(
        classifier.gate,
        predictions.take(~trained[rows]).gate_p_values,
        of=f"{dataset.name} ({split})",
    )
    warnings = [arrivals.warning] if arrivals and arrivals.warning else []
    evaluation = evaluate_predictions(
        classifier.tree,
        truth,
        predictions,
        rule=classifier.rule,
        strategy=classifier.strategy,
        split=split,
        notes=[*warnings, *_notes(classifier, dataset, rows, trained, split, progress)],
        data=describe_data(dataset),
        classifier=describe_classifier(classifier),
        marks=marks,
        groups=patients_of(dataset, rows),
    )
    return SplitRun(classifier, rows, truth, marks, predictions, evaluation, arrivals)


def patients_of(dataset: Dataset, rows: IntArray) -> tuple[str, ...] | None:
    """The patient of each of some images, or None where not all of them are known."""
    groups = [dataset.records[row].group for row in rows]
    known = tuple(group for group in groups if group is not None)
    return known if len(known) == len(groups) else None


def describe_data(dataset: Dataset) -> dict[str, Any]:
    """What an evaluation records of the data set, as JSON values."""
    return {
        "name": dataset.name,
        "fingerprint": dataset.fingerprint,
        "synthetic": dataset.synthetic,
        **({"damaged": dict(dataset.damaged)} if dataset.damaged else {}),
    }


def describe_classifier(classifier: Classifier) -> dict[str, Any]:
    """What an evaluation records of where the classifier came from, as JSON values."""
    provenance = classifier.provenance
    return {key: provenance[key] for key in ("name", "data", "finished") if key in provenance}


def _notes(
    classifier: Classifier,
    dataset: Dataset,
    rows: IntArray,
    trained: BoolArray,
    split: str,
    progress: Progress | None,
) -> list[str]:
    """What a reader of the figures must know."""
    provenance = classifier.provenance
    notes = [str(note) for note in provenance.get("notes", [])]
    if classifier.tree.findings and (said := doubt_of(provenance).in_words()):
        notes.append(said)
    source = recognise(dataset.counts(), layout=dataset.layout, digests=dataset.digests)
    if source and source.meaning not in notes:
        notes.append(source.meaning)
    starts = provenance.get("starts") or {}
    started = [network for name, network in classifier.network_names.items() if name in starts]
    known = source.name if source else None
    seen = seen_sentences(started, dataset.name, layout=dataset.layout, source=known)
    notes += [sentence for sentence in seen if sentence not in notes]
    if dataset.damaged:
        notes.append(f"{dataset.name}: {describe_damage(dataset.damaged)}")
    if dataset.synthetic:
        notes.append(SYNTHETIC)
    if among := int(trained[rows].sum()):
        notes.append(f"These images include {among:,} of those that the classifier was trained on.")
    elif trained.any():
        notes += _near_copies(dataset, trained, rows, progress)
    chosen = [
        s for s in provenance.get("selects_best", []) if split in (provenance.get("monitor"), "all")
    ]
    if chosen:
        notes.append(
            f"The split '{provenance.get('monitor')}' chose the epoch of {', '.join(chosen)}, so "
            "figures on it are too good."
        )
    return notes


def _near_copies(
    dataset: Dataset, trained: BoolArray, rows: IntArray, progress: Progress | None
) -> list[str]:
    """Which of the evaluated images are near copies of training images, as a note."""
    parts = np.where(trained, "train", "")
    parts[rows] = "evaluated"
    copies = find_copies(dataset, parts.tolist(), progress=progress)
    if not copies.groups:
        return []
    return [f"{copies.sentence} They are: {'; '.join(copies.names[:5])}"
            f"{'; …' * (copies.groups > 5)}"]  # fmt: skip


def evaluate_predictions(
    tree: LabelTree,
    truth: IntArray,
    predictions: Predictions,
    *,
    rule: Rule,
    strategy: Strategy,
    split: str,
    notes: Sequence[str] = (),
    data: Mapping[str, Any] | None = None,
    classifier: Mapping[str, Any] | None = None,
    seed: int = 0,
    marks: IntArray | None = None,
    groups: tuple[str, ...] | None = None,
) -> Evaluation:
    """Every measure of a classification, each with its 95 % interval. A pure function.

    Class probabilities give the AUROCs, predicted classes everything else. rule, strategy, split,
    notes, data, classifier: recorded as they are, as JSON values. seed: of the bootstrap.

    Each decision of the tree is evaluated alone too, on the images whose true class lies below it,
    by its most probable option; under the flat strategy its probabilities are those that the class
    probabilities imply. Every wrong image is counted once, for the decision at which its true and
    its predicted class part.

    Proportions (accuracy, precision, recall, specificity) carry Wilson intervals, all other
    measures bootstrap intervals, stratified by true class; of very many images the influence of
    each gives them.

    marks: (N, F) what is known of the tree's findings, if it has some: each is evaluated as a
    choice between its absence and presence, on the images of which it is known. groups: (N,) the
    patient of each image; where patients have several, intervals draw patients. None takes the
    images as independent.
    """
    if groups is not None and len(set(groups)) == len(groups):
        groups = None  # an image of each patient: images are what is drawn
    sample, alone = samples_of(tree, truth, predictions, groups)
    return _evaluate(
        tree,
        sample,
        alone,
        split=split,
        seed=seed,
        rule=rule,
        strategy=strategy,
        data=dict(data or {}),
        classifier=dict(classifier or {}),
        notes=tuple(notes),
        **_of_findings(tree, truth, marks, predictions, groups, split, seed),
    )


def _evaluate(
    tree: LabelTree,
    sample: Sample,
    alone: Mapping[str, Sample],
    *,
    split: str,
    seed: int,
    rule: Rule = "argmax",
    strategy: Strategy = "flat",
    **recorded: Any,
) -> Evaluation:
    found = _measure(sample, seed)
    decisions = {}
    for decision in tree.decisions:
        own = alone[decision.name]
        true, final = decision.targets(sample.truth), decision.targets(sample.predicted)
        decisions[decision.name] = DecisionEvaluation(
            options=own.options,
            n=len(own.truth),
            **_measure(own, seed),
            # both classes lie below it, under different options, only where their paths part
            errors_caused=int(((true >= 0) & (final >= 0) & (true != final)).sum()),
        )
    return Evaluation(
        n=len(sample.truth),
        split=split,
        classes=tree.classes,
        labels=tree.to_json(),
        confusion_matrix=found["confusion_matrix"],
        overall=found["overall"],
        per_class=found["per_option"],
        decisions=decisions,
        rule=rule,
        strategy=strategy,
        intervals={
            "confidence": CONFIDENCE,
            "resamples": RESAMPLES,
            "seed": seed,
            **({"patients": len(set(sample.groups))} if sample.groups else {}),
        },
        **recorded,
    )


def _of_findings(
    tree: LabelTree,
    truth: IntArray,
    marks: IntArray | None,
    predictions: Predictions,
    groups: tuple[str, ...] | None,
    split: str,
    seed: int,
) -> dict[str, Any]:
    if not tree.findings:
        return {}
    if marks is None:
        raise EvaluationError(f"'{tree}' has findings: give the marks of the images.")
    each = {}
    for finding in tree.findings:
        side = as_choice(finding, truth, marks, predictions)
        if not len(side.truth):
            continue
        sample, alone = samples_of(
            side.tree,
            side.truth,
            side.predictions,
            None if groups is None else tuple(np.array(groups)[side.known].tolist()),
        )
        each[finding.name] = _evaluate(side.tree, sample, alone, split=split, seed=seed)
    return {
        "findings": each,
        "over_findings": measure_findings(
            tree, truth, marks, predictions, groups=groups, seed=seed
        ),
        "called_together": called_together(tree, truth, marks, predictions),
    }


def _measure(sample: Sample, seed: int) -> dict[str, Any]:
    """What is measured of every choice, be it between classes or between options."""
    matrix = metrics.confusion_matrix(sample.truth, sample.predicted, len(sample.options))
    return {
        "confusion_matrix": tuple(tuple(row) for row in matrix.tolist()),
        "overall": measure_overall(sample, matrix, sample.options, seed),
        "per_option": {
            option: ClassMeasures(
                **measure_label(sample, k, option, seed), support=int(matrix[k].sum())
            )
            for k, option in enumerate(sample.options)
        },
    }
