"""Reading results at home: signatures, the drop beside the internal result, and sites together."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hilum.capsule.archive import opened
from hilum.capsule.fitting import is_recalibration, is_told, misfit
from hilum.capsule.ranges import Count
from hilum.capsule.result import Aggregates, Figure, Signed, SiteResult
from hilum.capsule.run import as_text
from hilum.capsule.signing import canonical, fingerprint, is_genuine
from hilum.codec import from_plain
from hilum.errors import EvaluationError
from hilum.files import sha256
from hilum.parsing import parse_json, read_bytes
from hilum.records import Estimate
from hilum.statistics.intervals import mover_difference
from hilum.statistics.meta import Pooled, pool

_LARGEST = 16 << 20  # bytes; a result has some 50 kB
_Z = 1.959963984540054


@dataclass(frozen=True, slots=True)
class Read:
    """A result whose signature holds. signer: the fingerprint of its key. path: where it was."""

    path: Path
    signer: str
    result: SiteResult

    @property
    def name(self) -> str:
        """The site as it calls itself, or its key."""
        return self.result.site or self.signer[:9]


@dataclass(frozen=True, slots=True)
class Compared:
    """One measure at home and at each site. differences: site less home, with their intervals."""

    name: str
    home: Estimate
    sites: tuple[Estimate, ...]
    differences: tuple[Estimate, ...]


@dataclass(frozen=True, slots=True)
class Together:
    """A measure pooled over sites, on the logit scale and told as a share.

    estimate: with the Hartung-Knapp interval; undefined below two sites that can be pooled.
    prediction: where one more such site is expected; None below three. left_out: sites that give
    no variance. tau2: between sites, on the logit scale. i2: in [0, 1].
    """

    name: str
    estimate: Estimate
    prediction: tuple[float, float] | None
    tau2: float | None
    i2: float | None
    left_out: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Reading:
    """What several sites found of one capsule."""

    capsule: str
    sites: tuple[Read, ...]
    compared: tuple[Compared, ...]
    together: tuple[Together, ...]


def read_results(paths: Sequence[Path], capsule: Path | None = None) -> Reading:
    """Read signed results of one capsule and set them beside home and each other.

    capsule: the file that was sent, to see that it is what was run. Raises EvaluationError where a
    result is missing, damaged, changed after it was signed, given twice, or of another capsule.
    """
    if not paths:
        raise EvaluationError("No result was given.")
    found = [read_result(path) for path in paths]
    _refuse_twice(found)
    first = found[0].result
    for one in found:
        if one.result.capsule != first.capsule or one.result.home != first.home:
            raise EvaluationError(
                f"{one.path}: is of another capsule ({one.result.capsule[:16]}) than "
                f"{found[0].path} ({first.capsule[:16]}); read them apart."
            )
    if capsule is not None:
        with opened(capsule) as sent:
            if sent.hash != first.capsule or sent.home.aggregates != first.home:
                raise EvaluationError(
                    f"{found[0].path}: is of another capsule ({first.capsule[:16]}) than {capsule} "
                    f"({sent.hash[:16]})."
                )
    return Reading(first.capsule, tuple(found), tuple(compare(found)), tuple(pool_sites(found)))


def read_result(path: Path) -> Read:
    """Read one result and check its signature. Raises EvaluationError as read_results does."""
    data = read_bytes(path, _LARGEST, EvaluationError)
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = ""
    plain = parse_json(text, path, EvaluationError)
    signed = from_plain(
        Signed, plain, what=f"a result of a capsule ({path})", error=EvaluationError
    )
    # Every byte counts: what is not signed, and what stands there twice, could be read as a result.
    if not is_genuine(signed) or data.replace(b"\r\n", b"\n") != as_text(signed):
        raise EvaluationError(
            f"{path}: was changed after it was signed by {_signer(signed)}; ask for it again."
        )
    _refuse_impossible(path, signed.result)
    return Read(path, fingerprint(signed.key), signed.result)


def _refuse_impossible(path: Path, result: SiteResult) -> None:
    """What no run of a capsule gives: a signature shows that it is unchanged, not that it is."""
    home, there = result.home, result.there
    names, points = (*home.classes, *home.left_out), [point.name for point in home.points]
    wrong = (
        None if is_told(result) else "what it says of itself",
        misfit(home, names, home.decisions, points),
        misfit(there, names, home.decisions, points),
        None if is_recalibration(result.recalibration) else "its temperatures",
    )
    if found := next(filter(None, wrong), None):
        raise EvaluationError(
            f"{path}: its numbers do not fit together or to home's, as those of no capsule do "
            f"({found}); ask whoever signed it how it was made."
        )


def _signer(signed: Signed) -> str:
    try:
        return fingerprint(signed.key)
    except ValueError:
        return "an unreadable key"


def _refuse_twice(found: Sequence[Read]) -> None:
    seen: dict[str, Path] = {}
    for one in found:
        digest = sha256(canonical(one.result.there))
        if digest in seen:
            raise EvaluationError(
                f"{one.path}: says the same as {seen[digest]}; give each result once."
            )
        seen[digest] = one.path


def _measures(home: Aggregates, side: Aggregates) -> dict[str, Figure]:
    """What is compared, by its name, as a side has it; not defined where it lacks it."""
    lacking = Figure(None)
    found = {
        "accuracy": side.accuracy,
        "balanced accuracy": side.balanced_accuracy,
        "macro AUROC": side.macro_auroc,
    }
    for name in home.decisions if len(home.decisions) > 1 else ():
        found[f"AUROC of the decision {name}"] = side.decisions.get(name, lacking)
    for label in home.classes:
        own = side.classes.get(label)
        found[f"AUROC of {label}"] = own.auroc if own else lacking
        found[f"recall of {label}"] = own.recall if own else lacking
        found[f"specificity of {label}"] = own.specificity if own else lacking
    for point in side.points:
        found[f"{point.name}: sensitivity"] = point.sensitivity
        found[f"{point.name}: specificity"] = point.specificity
    return {**found, "calibration error (ECE)": side.top_label.ece, "Brier score": side.brier}


def compare(found: Sequence[Read]) -> list[Compared]:
    """Each measure at home and at every site, with the interval of their difference."""
    home = found[0].result.home
    sides = [home, *(one.result.there for one in found)]
    told = [_measures(home, side) for side in sides]
    rows = []
    for name in told[0]:
        first, *others = (own[name].estimate(side.n) for own, side in zip(told, sides, strict=True))
        differences = tuple(mover_difference(other, first) for other in others)
        rows.append(Compared(name, first, tuple(others), differences))
    return rows


def pool_sites(found: Sequence[Read]) -> list[Together]:
    """AUROCs and sensitivities over the sites, home not among them."""
    labels = list(found[0].result.home.classes)
    sides = [one.result.there for one in found]
    names = site_names(found)
    of_classes = [[side.classes.get(label) for side in sides] for label in labels]
    rows = [_together("macro AUROC", names, [_of_area(side.macro_auroc) for side in sides])]
    for label, there in zip(labels, of_classes, strict=True):
        areas = [_of_area(own.auroc) if own else None for own in there]
        rows.append(_together(f"AUROC of {label}", names, areas))
    for label, there in zip(labels, of_classes, strict=True):
        shares = [_of_share(own.called[label], own.n) if own else None for own in there]
        rows.append(_together(f"recall of {label}", names, shares))
    return rows


def site_names(found: Sequence[Read]) -> list[str]:
    """What each site is called; one that sent several results has their number behind it."""
    names = [one.name for one in found]
    return [
        name if names.count(name) == 1 else f"{name} ({names[: at + 1].count(name)})"
        for at, name in enumerate(names)
    ]


def _of_area(figure: Figure) -> tuple[float, float] | None:
    """The logit of an AUROC and its variance, from its interval by the delta method."""
    if figure.value is None or figure.low is None or figure.high is None:
        return None
    if not 0 < figure.value < 1 or figure.high <= figure.low:
        return None
    error = (figure.high - figure.low) / (2 * _Z) / (figure.value * (1 - figure.value))
    return _logit(figure.value), error**2


def _of_share(count: Count, n: int) -> tuple[float, float]:
    """The logit of a share of n images and its variance, with half an image more on both sides.

    What the range of the count leaves open is added, as of a value anywhere in it.
    """
    part, rest = count.middle + 0.5, n - count.middle + 0.5
    open_ = math.log((count.high + 0.5) / (n - count.high + 0.5)) - math.log(
        (count.low + 0.5) / (n - count.low + 0.5)
    )
    return math.log(part / rest), 1 / part + 1 / rest + open_**2 / 12


def _together(
    name: str, sites: Sequence[str], logits: Sequence[tuple[float, float] | None]
) -> Together:
    known = [pair for pair in logits if pair is not None]
    left_out = tuple(s for s, pair in zip(sites, logits, strict=True) if pair is None)
    if len(known) < 2:
        why = Estimate.undefined("fewer than two sites that can be pooled")
        return Together(name, why, None, None, None, left_out)
    found: Pooled = pool([effect for effect, _ in known], [variance for _, variance in known])
    value, low, high = (_share(x) for x in (found.value, found.low, found.high))
    prediction = None
    if found.prediction_low is not None and found.prediction_high is not None:
        prediction = _share(found.prediction_low), _share(found.prediction_high)
    estimate = Estimate(value, low, high, len(known), "Hartung-Knapp")
    return Together(name, estimate, prediction, found.tau2, found.i2, left_out)


def _logit(share: float) -> float:
    return math.log(share / (1 - share))


def _share(logit: float) -> float:
    return 1 / (1 + math.exp(-logit)) if logit > -700 else 0.0
