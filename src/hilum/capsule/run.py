"""Running a capsule on a hospital's own images, without network: aggregates come out."""

import datetime
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np

from hilum import __version__
from hilum.capsule.aggregate import Cases, aggregate, choose_cases, in_vocabulary, of_rows
from hilum.capsule.archive import Capsule
from hilum.capsule.result import SITE, Change, Figure, Recalibration, Signed, SiteResult, rounded
from hilum.capsule.signing import fingerprint
from hilum.classifier.classifier import Classifier, check_labels
from hilum.classifier.temperature import fit_temperature
from hilum.codec import to_plain
from hilum.decisions import FLAT
from hilum.errors import EvaluationError
from hilum.evaluation.calibration import MeasureChange, compare_calibration
from hilum.evaluation.evaluate import patients_of
from hilum.evaluation.overlap import is_own
from hilum.evaluation.subgroups import collect_attributes
from hilum.files import write_atomically
from hilum.predictions import Predictions
from hilum.radiographs.dataset import Dataset
from hilum.radiographs.pixels import Progress
from hilum.records import BoolArray, FloatArray, IntArray, LazyPixels

#: Below it a probability is one that was rounded to 0.
_LEAST = 1e-12


def run_capsule(
    capsule: Capsule,
    dataset: Dataset,
    split: str = "all",
    *,
    site: str = "",
    progress: Progress | None = None,
) -> SiteResult:
    """Classify, evaluate and recalibrate, and keep nothing but aggregates.

    dataset: with the capsule's labels, in its order. split: as of evaluate. site: what the hospital
    wants to be called by, which is told; '' tells nothing. Decoded pixels stay in this machine's
    cache, as of every verb.

    Raises EvaluationError where the labels differ, the images are those that trained the
    classifier, or are too few (choose_cases), or the site's name is none; DataError where the split
    does not exist or an image cannot be read.
    """
    if not SITE.fullmatch(site):
        raise EvaluationError(
            f"'{site}' is no name of a site: up to 60 letters, digits, blanks and .,()&'- please."
        )
    classifier = capsule.classifier
    check_labels(classifier, dataset)
    if is_own(classifier, dataset):
        raise EvaluationError(
            f"{dataset.root}: are the images that trained the classifier; a capsule is run on "
            "others."
        )
    rows = dataset.indices(split)
    pixels = LazyPixels.of_rows(dataset.pixels(classifier.preprocessing, progress), rows)
    predictions = classifier.predict_pixels(pixels, (), progress)
    tree = classifier.tree
    cases = choose_cases(tree, dataset.labels[rows], predictions, patients_of(dataset, rows))
    attributes = in_vocabulary(collect_attributes(dataset, rows, progress))
    there = aggregate(
        tree,
        cases,
        capsule.home.points,
        rule=classifier.rule,
        strategy=classifier.strategy,
        attributes=of_rows(attributes, cases.rows),
        gate=classifier.gate,
    )
    return SiteResult(
        capsule=capsule.hash,
        site=site.strip(),
        day=datetime.datetime.now(datetime.UTC).date().isoformat(),
        hilum=__version__,
        home=capsule.home.aggregates,
        there=there,
        recalibration=recalibrate(classifier, cases),
    )


def recalibrate(classifier: Classifier, cases: Cases) -> Recalibration | None:
    """Fit temperatures anew, and measure what they bring on images that they were not fitted on.

    The images are halved (by patients, where these are known); those of each half are judged at the
    temperatures that the other half gives. None where not all temperatures can be fitted.
    """
    home = {n: classifier.temperatures.get(n, 1.0) for n in classifier.networks}
    logits = _logits(classifier, cases.predictions)
    units = np.arange(len(cases.truth)) if cases.patients is None else cases.patients
    _, unit_of = np.unique(units, return_inverse=True)
    order = np.random.default_rng(0).permutation(int(unit_of.max()) + 1)
    half = order[unit_of] % 2
    local = _fit(classifier, cases.truth, logits)
    crossed = [_fit(classifier, cases.truth, logits, half != h) for h in (0, 1)]
    if local is None or any(fitted is None for fitted in crossed):
        return None
    parts = [
        replace(classifier, temperatures=fitted, gate=None).decide(logits)
        for fitted in crossed
        if fitted is not None
    ]
    chosen = Predictions.join([parts[0].take(half == 0), parts[1].take(half == 1)])
    back = np.argsort(np.concatenate([np.flatnonzero(half == 0), np.flatnonzero(half == 1)]))
    before = replace(cases.predictions, gate_p_values=None)
    found = compare_calibration(classifier.tree, cases.truth, before, chosen.take(back)).classes
    return Recalibration(
        home={name: rounded(value) for name, value in home.items()},
        local={name: rounded(value) for name, value in local.items()},
        ece=_change(found.ece),
        brier=_change(found.brier),
        log_loss=_change(found.log_loss),
    )


def _logits(classifier: Classifier, predictions: Predictions) -> dict[str, FloatArray]:
    """What gives the predictions at home's temperatures, up to a constant per image."""
    of = {FLAT: predictions.probs} if classifier.strategy == "flat" else predictions.decision_probs
    return {
        name: np.log(np.clip(of[name], _LEAST, 1)) * classifier.temperatures.get(name, 1.0)
        for name in classifier.networks
    }


def _fit(
    classifier: Classifier,
    truth: IntArray,
    logits: dict[str, FloatArray],
    among: BoolArray | None = None,
) -> dict[str, float] | None:
    found = {}
    for decision in classifier.tree.networks(classifier.strategy):
        targets = decision.targets(truth)
        mine = targets >= 0 if among is None else (targets >= 0) & among
        fitted = fit_temperature(logits[decision.name][mine], targets[mine])
        if fitted.reason:
            return None
        found[decision.name] = fitted.value
    return found


def _change(found: MeasureChange) -> Change:
    return Change(*(Figure.of(e) for e in (found.before, found.after, found.difference)))


def result_name(signed: Signed) -> str:
    """The name of a result's file: by the site, or else by the key, never by the data."""
    plain = re.sub(r"[^a-z0-9]+", "-", signed.result.site.lower()).strip("-")
    return f"result-{plain or fingerprint(signed.key)[:9].replace(' ', '')}.json"


def write_result(signed: Signed, out: Path) -> None:
    """Write what is sent. Raises EvaluationError where it cannot be written."""
    try:
        write_atomically(out, as_text(signed))
    except OSError as error:
        raise EvaluationError(f"Cannot write {out}: {error.strerror}.") from None


def as_text(signed: Signed) -> bytes:
    """The file of a signed result; one text for each."""
    text = json.dumps(to_plain(signed), indent=1, ensure_ascii=False, allow_nan=False)
    return f"{text}\n".encode()
