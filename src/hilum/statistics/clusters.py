"""Intervals where images belong together: several of one patient, or from one block of files."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from hilum.errors import EvaluationError
from hilum.records import Estimate, FloatArray, IntArray
from hilum.statistics.intervals import CONFIDENCE, RESAMPLES, bootstrap

METHOD = "cluster bootstrap"

#: Image counts held at a time while resampling; bounds memory whatever the number of images.
_BLOCK_COUNTS = 2_000_000


def cluster_bootstrap(
    measure: Callable[[IntArray], FloatArray],
    groups: Sequence[str] | Sequence[int] | IntArray,
    *,
    strata: IntArray | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
) -> Estimate:
    """Any measure with a percentile bootstrap interval that draws whole groups of images.

    measure: takes (R, N) counts, how often each image is drawn in each of R resamples, and
    returns (R,) values, NaN where undefined. For a paired difference, the measure of a less the
    measure of b on the same counts: what both find hard cancels.
    groups: (N,) the patient or block of each image; images of one group are drawn together.
    strata: (N,) integers, as a rule the true classes; a group belongs to the stratum that most of
    its images have, and groups are drawn within it, so that no class vanishes by accident.

    Without interval, with a reason, as in intervals.bootstrap, and where a stratum consists of
    one group: how much its images vary between patients cannot be seen. With fewer than about ten
    groups a stratum the interval is too narrow. Estimate.n counts images.
    Raises EvaluationError for strata of another length.
    Source: Field and Welsh 2007, doi:10.1111/j.1467-9868.2007.00593.x
    """
    names, group_of = np.unique(np.asarray(groups), return_inverse=True)
    n, n_groups = len(group_of), len(names)
    if strata is not None and np.shape(strata) != (n,):
        raise EvaluationError(
            f"Expected {n} strata, one per image; found shape {np.shape(strata)}."
        )
    if n == 0:
        return Estimate.undefined("no images")
    sizes = np.bincount(group_of)
    group_strata = np.zeros(n_groups, dtype=np.int64)
    if strata is not None:
        kinds, stratum_of = np.unique(np.asarray(strata), return_inverse=True)
        table = np.zeros((n_groups, len(kinds)), dtype=np.int64)
        np.add.at(table, (group_of, stratum_of), 1)
        group_strata = table.argmax(axis=1).astype(np.int64)

    def of_groups(counts: IntArray) -> FloatArray:
        rows = max(1, _BLOCK_COUNTS // n)
        blocks = [counts[start : start + rows] for start in range(0, len(counts), rows)]
        return np.concatenate([measure(block[:, group_of]) for block in blocks])

    found = bootstrap(
        of_groups,
        n_groups,
        strata=group_strata,
        seed=seed,
        resamples=resamples,
        confidence=confidence,
    )
    alone = np.bincount(group_strata) == 1
    if found.value is not None and found.low is not None and alone.any():
        size = int(sizes[group_strata == int(np.argmax(alone))][0])
        reason = f"no interval: all images of a class belong to one group of {size}"
        return Estimate(found.value, n=n, method=METHOD, reason=reason)
    return replace(found, n=n, method=METHOD if found.value is not None else "")
