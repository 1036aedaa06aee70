"""A classifier of features that a person can name, and how well it tells the classes apart.

Logistic regression, cross-validated by patients or runs of neighbouring files, one against the
rest.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from hilum.records import Estimate, FloatArray, IntArray
from hilum.statistics.intervals import resample
from hilum.statistics.metrics import aurocs

FOLDS = 5
RESAMPLES = 500

#: More images than this make the answer no clearer: whole blocks are then left out evenly.
LIMIT = 8000

#: Neighbouring files that are taken as one patient where patients are not known.
_RUN = 10

#: Nadeau and Bengio's variance is 1 + FOLDS * test / train times that of fixed classifiers.
_WIDER = (1 + FOLDS / (FOLDS - 1)) ** 0.5

#: Where the fit stops: the AUROC is then settled to the third digit.
_TOLERANCE = 1e-2

#: (N, features); single precision halves the time and is ample for pixels.
Features = npt.NDArray[np.float32]


def probe(
    features: Features, labels: IntArray, units: IntArray, classes: Sequence[str], seed: int
) -> tuple[Estimate, dict[str, float]]:
    """The one-vs-rest AUROC, mean over classes, with its interval; and that of each class.

    features: (N, features). labels: (N,) class indices; every class has images. units: (N,) from
    units_of: what is held out and drawn as one. seed: of the resampling.

    The percentile bootstrap over units holds the classifiers fixed: of data without any signal
    about 15 % would then look as if they had one, or its opposite. So the interval is made wider
    by the factor of Nadeau and Bengio for what other training images would have given (2003,
    doi:10.1023/A:1024068626366).
    """
    folds = _folds(labels, units)
    for fold in range(FOLDS):
        rest = np.bincount(labels[folds != fold], minlength=len(classes))
        if not rest.all():
            reason = f"'{classes[int(rest.argmin())]}' has too few patients to hold some out"
            return Estimate.undefined(reason, len(labels)), {}
    scores = _cross_validate(features, labels, folds, len(classes))
    counts = _draws(labels, units, seed)
    # a class whose patients also have images of another class may be missing from a draw
    complete = all(counts[:, labels == k].any(axis=1).all() for k in range(len(classes)))
    used = counts if complete else counts[:1]
    areas = np.stack([aurocs(labels == k, scores[:, k], used) for k in range(len(classes))])
    values = areas.mean(axis=0)
    value = float(values[0])
    each = {name: float(areas[k, 0]) for k, name in enumerate(classes)}
    if not complete:
        reason = "no interval: some resamples leave a class without images"
        return Estimate(value, n=len(labels), method="bootstrap", reason=reason), each
    low, high = value + _WIDER * (np.quantile(values[1:], [0.025, 0.975]) - value)
    low, high = max(0.0, float(low)), min(1.0, float(high))
    auroc = Estimate(value, low, high, len(labels), "bootstrap, widened for training")
    return auroc, each


def _cross_validate(features: Features, labels: IntArray, folds: IntArray, size: int) -> FloatArray:
    """(N, classes) probabilities, each from classifiers that did not see the image's fold."""
    # Imported here, because an evaluation measures looks as this module does, and never fits.
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    scores = np.zeros((len(labels), size))
    varying = features[:, features.std(axis=0) > 0]
    if varying.shape[1] == 0:
        return scores  # nothing varies: every image looks alike, which is chance exactly
    for fold in range(FOLDS):
        train, test = folds != fold, folds == fold
        # The penalty grows with the number of features, so that many pixels say no more by
        # their number alone.
        model = make_pipeline(
            StandardScaler(),
            LogisticRegression(C=1 / varying.shape[1], tol=_TOLERANCE, max_iter=2000),
        )
        model.fit(varying[train], labels[train])
        scores[np.ix_(test, model[-1].classes_)] = model.predict_proba(varying[test])
    return scores


def thin(labels: IntArray) -> IntArray:
    """Which images are used: all, or above LIMIT every k-th run of neighbouring files."""
    step = -(-len(labels) // LIMIT)
    kept = [rows[(np.arange(len(rows)) // _RUN) % step == 0] for rows in _by_class(labels)]
    return np.sort(np.concatenate(kept))


def _by_class(labels: IntArray) -> list[IntArray]:
    return [np.flatnonzero(labels == k) for k in np.unique(labels)]


def units_of(labels: IntArray, groups: Sequence[str | None] | None = None) -> IntArray:
    """(N,) what is drawn and held out as one: a patient, or a run of neighbouring files.

    Where classes are small the runs are shorter, so that each class has about twenty.
    """
    names: list[tuple[Any, ...]] = [()] * len(labels)
    for rows in _by_class(labels):
        run = max(1, min(_RUN, len(rows) // 20))
        for place, i in enumerate(rows):
            group = groups[i] if groups is not None else None
            names[i] = ("group", group) if group is not None else (int(labels[i]), place // run)
    known: dict[tuple[Any, ...], int] = {}
    return np.array([known.setdefault(name, len(known)) for name in names], dtype=np.int64)


def _folds(labels: IntArray, units: IntArray) -> IntArray:
    """(N,) folds: contiguous blocks of each class, a unit never in two."""
    folds = np.empty(len(labels), dtype=np.int64)
    chosen: dict[int, int] = {}
    for rows in _by_class(labels):
        for place, i in enumerate(rows):
            folds[i] = chosen.setdefault(int(units[i]), place * FOLDS // len(rows))
    return folds


def _draws(labels: IntArray, units: IntArray, seed: int) -> IntArray:
    """(1 + RESAMPLES, N) how often each image counts: once, and then as its unit is drawn.

    Units are drawn within the class of their first image, so that no class vanishes.
    """
    first = np.unique(units, return_index=True)[1]
    drawn = np.vstack([*resample(len(first), labels[first], seed, RESAMPLES)])
    return np.vstack([np.ones((1, len(labels)), dtype=np.int64), drawn[:, units]])
