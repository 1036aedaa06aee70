"""Whether what is told fits together: no count beyond its whole, no share that its counts deny.

A signature shows that numbers were not changed, not that a run of a capsule gave them. What cannot
be is refused before it stands beside home's figures. Whoever invents numbers that fit is not found.
"""

import re
from collections.abc import Collection, Iterable, Iterator

from hilum.capsule.aggregate import FEWEST, PATIENTS, class_shares, overall_shares
from hilum.capsule.ranges import LEAST, Count
from hilum.capsule.result import SITE, Aggregates, Change, Curve, Figure, Recalibration, SiteResult

#: Of more images no capsule tells.
_MOST = 10**9

#: By so much may differ what is computed here and there: numbers have three decimals.
_NEAR = 0.002


def misfit(
    told: Aggregates, names: Collection[str], decisions: Collection[str], points: Collection[str]
) -> str | None:
    """The first thing in aggregates that no run gives, in words; None where all fits.

    names: all classes. decisions, points: all of them, by name.
    """
    return next(_misfits(told, set(names), set(decisions), list(points)), None)


def _misfits(
    told: Aggregates, names: set[str], decisions: set[str], points: list[str]
) -> Iterator[str]:
    classes, n = told.classes, told.n
    rows = {name: own.called for name, own in classes.items()}
    sizes = {name: own.n for name, own in classes.items()}
    if sorted([*classes, *told.left_out]) != sorted(names):
        yield "its classes"
    if not FEWEST <= n <= _MOST or n != sum(sizes.values()):
        yield "the number of images"
    if told.patients is not None and not PATIENTS <= told.patients <= n:
        yield "the number of patients"
    for name, own in classes.items():
        if own.n < LEAST or set(own.called) != names or not _divides(own.called.values(), own.n):
            yield f"how images of {name} are called"
    for name, own in classes.items():
        found = class_shares(rows, sizes, name)
        if not all(map(_alike, (own.recall, own.specificity, own.precision), found)):
            yield f"the sensitivity, specificity or precision for {name}"
        if not _is_share(own.auroc):
            yield f"the AUROC for {name}"
    if not all(map(_alike, (told.accuracy, told.balanced_accuracy), overall_shares(rows, sizes))):
        yield "the accuracy or balanced accuracy"
    if set(told.decisions) != decisions or not all(map(_is_share, told.decisions.values())):
        yield "the AUROCs of its decisions"
    if not (_is_share(told.macro_auroc) and _is_share(told.brier, 2) and _is_loss(told.log_loss)):
        yield "the macro AUROC, the Brier score or the log loss"
    if set(told.curves) != set(classes):
        yield "the calibration of its classes"
    for curve in (told.top_label, *told.curves.values()):
        if not _is_curve(curve, n):
            yield "a calibration curve"
    if [point.name for point in told.points] != points:
        yield "its operating points"
    yield from _parts(told)


def _parts(told: Aggregates) -> Iterator[str]:
    """Of operating points, subgroups and the gate."""
    n = told.n
    for p in told.points:
        sides = ((p.found, p.positives, p.sensitivity), (p.spared, p.negatives, p.specificity))
        if p.positives + p.negatives > n or not all(_is_part(*side) for side in sides):
            yield f"the operating point {p.name}"
    for name, attribute in told.attributes.items():
        groups, rest = attribute.groups, attribute.rest
        whole = all(_is_part(g.right, g.n, g.accuracy) for g in groups)
        named = len({g.name for g in groups}) == len(groups)
        if not (whole and named and rest >= 0 and sum(g.n for g in groups) + rest == n):
            yield f"the subgroups by {name}"
    if gate := told.gate:
        chances = (gate.expected, gate.odder_p_value, gate.p_value or 0.0)
        flags = gate.n == n and _is_part(gate.flagged, n, gate.share)
        if not (flags and _is_share(gate.odder) and all(0 <= c <= 1 for c in chances)):
            yield "what the gate says"


def is_told(result: SiteResult) -> bool:
    """Whether a run may have written these names; they are shown, also by a terminal."""
    texts = (*result.home.classes, *result.home.left_out, *(p.name for p in result.home.points))
    return (
        re.fullmatch("[0-9a-f]{64}", result.capsule) is not None
        and SITE.fullmatch(result.site) is not None
        and re.fullmatch(r"\d{4}-\d\d-\d\d", result.day, re.ASCII) is not None
        and re.fullmatch(r"[\w.+!-]{1,60}", result.hilum, re.ASCII) is not None
        and all(text.isprintable() for text in texts)
    )


def is_recalibration(found: Recalibration | None) -> bool:
    """Whether a run may tell this of temperatures."""
    if found is None:
        return True
    temperatures = [*found.home.values(), *found.local.values()]
    shares = all(_is_change(change, most) for change, most in ((found.ece, 1), (found.brier, 2)))
    losses = _is_loss(found.log_loss.before) and _is_loss(found.log_loss.after)
    fitted = set(found.home) == set(found.local) and min(temperatures, default=0.0) >= 0
    return fitted and shares and losses


def _divides(counts: Iterable[Count], n: int) -> bool:
    """Whether n images can be divided so."""
    counts = list(counts)
    most = sum(c.high for c in counts)
    return sum(c.low for c in counts) <= n <= most and all(c.high <= n for c in counts)


def _is_part(count: Count, n: int, told: Figure) -> bool:
    """Whether a count can be of n images, and this be its share."""
    return 0 <= count.high <= n and _alike(told, Figure.of_count(count, n))


def _is_curve(curve: Curve, n: int) -> bool:
    bins = curve.bins
    return (
        _is_share(curve.ece)
        and sum(b.n for b in bins) in (n, 0)
        and all(b.n > 0 and 0 <= b.mean_prob <= 1 and _is_share(b.observed) for b in bins)
        and all(_is_ordered(f) for f in (curve.intercept, curve.slope) if f)
    )


def _is_change(change: Change, most: float) -> bool:
    return _is_share(change.before, most) and _is_share(change.after, most)


def _is_share(figure: Figure, most: float = 1) -> bool:
    bounds = (figure.value, figure.low, figure.high)
    return _is_ordered(figure) and all(b is None or 0 <= b <= most for b in bounds)


def _is_loss(figure: Figure) -> bool:
    return _is_ordered(figure) and (figure.value is None or figure.value >= 0)


def _is_ordered(figure: Figure) -> bool:
    """Whether it has both bounds, in order, or none, and none without a value."""
    if figure.low is None or figure.high is None:
        return figure.low is figure.high
    return figure.value is not None and figure.low <= figure.high


def _alike(told: Figure, found: Figure) -> bool:
    pairs = ((told.value, found.value), (told.low, found.low), (told.high, found.high))
    return all(a is b if a is None or b is None else abs(a - b) <= _NEAR for a, b in pairs)
