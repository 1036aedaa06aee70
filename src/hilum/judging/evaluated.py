"""Cases of anybody's model, evaluated and assessed by the same code as a classifier."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.special import softmax

from hilum.classifier.operating_points import parse_operating_points
from hilum.classifier.temperature import fit_temperature
from hilum.classifier.threshold import PRESETS
from hilum.evaluation.assess import Assessment, assess_predictions
from hilum.evaluation.bands import Bands, cut_cells
from hilum.evaluation.calibration import compare_calibration
from hilum.evaluation.evaluate import evaluate_predictions
from hilum.evaluation.files import Evaluation
from hilum.judging.cases import Cases
from hilum.labels import LabelTree
from hilum.predictions import Predictions
from hilum.records import Estimate
from hilum.statistics.findings import as_choice

#: What the cases are called among a run's splits.
SPLIT = "cases"

#: Of more cases the assessment (calibration, curves, subgroups) is of so many, drawn at random.
ASSESSED = 10_000


def evaluate_cases(cases: Cases, notes: Sequence[str]) -> Evaluation:
    """Every measure. notes: for the reader."""
    evaluation = evaluate_predictions(
        cases.tree,
        cases.truth,
        cases.predictions,
        rule="argmax",
        strategy="flat",
        split=SPLIT,
        notes=notes,
        data={"name": cases.name},
        classifier={"name": cases.name},
        marks=cases.marks if cases.tree.findings else None,
        groups=cases.groups,
    )
    return _without_areas(evaluation) if cases.kind == "labels" else evaluation


def _without_areas(evaluation: Evaluation) -> Evaluation:
    """Classes order no cases: what would be their area is undefined."""
    none = Estimate.undefined("there are no scores, only classes", evaluation.n)
    return replace(
        evaluation,
        overall={k: none if k == "macro_auroc" else e for k, e in evaluation.overall.items()},
        per_class={k: replace(m, auroc=none) for k, m in evaluation.per_class.items()},
        decisions={
            name: replace(
                of,
                overall={k: none if k == "macro_auroc" else e for k, e in of.overall.items()},
                per_option={k: replace(m, auroc=none) for k, m in of.per_option.items()},
            )
            for name, of in evaluation.decisions.items()
        },
    )


def assess_cases(
    cases: Cases,
    known: Cases | None,
    operate: Sequence[str],
    shares: Mapping[str, float],
    looks: Mapping[str, Bands],
) -> Assessment | None:
    """What an evaluation does not say; None where scores are no probabilities.

    known: other cases of the model, on which operating points are chosen. operate: their texts,
    beside the presets. shares: prevalences, for predictive values. looks: subgroups of the cases
    beside those of the table.
    """
    if cases.kind not in ("probabilities", "logits"):
        return None
    kept = cases.sampled(ASSESSED)
    cases = cases.take(kept)
    tree, truth, said = cases.tree, cases.truth, cases.predictions
    bands = {name: replace(b, index=b.index[kept]) for name, b in looks.items()}
    bands |= {name: cut_cells(name, cells) for name, cells in cases.attributes.items()}
    unknown = "thresholds are chosen on other cases: give a table of them with --validation"
    points = parse_operating_points([*PRESETS, *operate], tree) if tree.decisions else []
    whole = assess_predictions(
        tree, truth, said, None, None if known is None else (known.truth, known.predictions),
        points if known is not None else [], bands, split=SPLIT, prevalence=shares,
        holds="alike" if known is not None else None, unknown=unknown,
    )  # fmt: skip
    if known is not None and tree.decisions:
        after = _recalibrated(said, tree, known)
        whole = replace(whole, temperature=compare_calibration(tree, truth, said, after))
    each = {}
    for finding in tree.findings:
        side = as_choice(finding, truth, cases.marks, said)
        if not len(side.truth):
            continue
        pair = None
        if known is not None:
            there = as_choice(finding, known.truth, known.marks, known.predictions)
            pair = (there.truth, there.predictions)
        each[finding.name] = assess_predictions(
            side.tree, side.truth, side.predictions, None, pair,
            parse_operating_points(PRESETS, side.tree) if pair else [],
            {k: replace(b, index=b.index[side.known]) for k, b in bands.items()},
            split=SPLIT, holds="alike" if pair else None, unknown=unknown,
        )  # fmt: skip
    missing = {**whole.missing, "gate": "a table of predictions has no images"}
    return replace(whole, missing=missing, findings=each)


def _recalibrated(said: Predictions, tree: LabelTree, known: Cases) -> Predictions:
    """Predictions under the temperature that another table asks for."""

    def logits(predictions: Predictions) -> np.ndarray[Any, np.dtype[np.float64]]:
        return np.asarray(np.log(np.clip(predictions.probs, 1e-12, 1.0)))

    fitted = fit_temperature(logits(known.predictions), known.truth).value
    probs = np.asarray(softmax(logits(said) / fitted, axis=1))
    return replace(said, probs=probs, decision_probs=tree.decision_probs(probs))
