"""What was published beside what a study found: figure by figure, and conclusion by conclusion."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from markupsafe import Markup, escape

from hilum.evaluation.files import Matrix
from hilum.records import Estimate
from hilum.statistics.intervals import wilson
from hilum.studies.published import Experiment, Published, PublishedVariant, read_published
from hilum.studies.results import StudyResult, VariantResult, say, unit_of

_CODE = re.compile(r"`([^`]*)`")


def difference(estimate: Estimate, label: str, *, flip: bool = False, named: bool = True) -> str:
    """A difference with its interval: '4.3 points (−11.4 to 19.9)'; 'undefined' without a value.

    flip: of b less a rather than a less b. named: with its unit.
    """
    if estimate.value is None:
        return "undefined"
    unit = unit_of(label)
    return (unit if named else replace(unit, unit="")).words(estimate, flip=flip)


def with_codes(text: str) -> Markup:
    """A sentence as HTML, the names that it has in `backquotes` set as code."""
    return Markup(_CODE.sub(r"<code>\1</code>", str(escape(text))))


def spread(estimate: Estimate) -> str:
    """A value with its interval as text: '0.746 (0.703 to 0.789)'; '—' without a value."""
    return "—" if estimate.value is None else estimate.in_words()


NOT_TESTED = "The study holds no comparison of the two."


@dataclass(frozen=True, slots=True)
class OverRuns:
    """A share on the data's own val, of all runs together, and its lowest and highest run.

    All None where it is undefined in every run. undefined: in how many runs it is.
    """

    value: float | None
    low: float | None
    high: float | None
    undefined: int = 0


@dataclass(frozen=True, slots=True)
class Figure:
    """A published figure beside those found here.

    what: 'accuracy', 'recall of covid', …. published: with a Wilson interval where the count
    behind it was published. own_val: on the data's own val; held_out: on what the runs held out,
    each image once. None where there is none.
    """

    what: str
    published: Estimate
    own_val: OverRuns | None
    held_out: Estimate | None


def published_beside(result: StudyResult) -> dict[str, tuple[Figure, ...]] | None:
    """By variant, in the order of the study, its published figures beside those found here.

    None where the study names no published experiment, or one that is not carried any more.
    """
    found = experiment_of(result)
    if found is None:
        return None
    published = read_published()
    return {
        name: tuple(_figures(published, found.variants[name], variant))
        for name, variant in result.variants.items()
        if name in found.variants
    }


def experiment_of(result: StudyResult) -> Experiment | None:
    """The published experiment of a study, if it names one."""
    name = result.study.get("published")
    return read_published().experiments.get(str(name)) if name else None


def judged_conclusions(result: StudyResult) -> list[dict[str, Any]]:
    """The conclusions of the published experiment, as the study judged them.

    Each with the "difference" of the study's measure, the better one less the other, and the
    "sentence" on it; '—' and NOT_TESTED where the study does not compare the two.
    """
    compared = {frozenset((c.a, c.b)): c for c in result.comparisons}
    judged = []
    for claim in result.published:
        amount, sentence = "—", NOT_TESTED
        if c := compared.get(frozenset((claim["better"], claim["than"]))):
            amount = difference(c.difference, c.label, flip=c.a != claim["better"])
            sentence = say(c)
        judged.append({**claim, "difference": amount, "sentence": sentence})
    return judged


def own_val_of(variant: VariantResult) -> OverRuns | None:
    """Accuracy on the data's own val over the runs of a variant; None without it.

    Of findings alone the mean of their mean AUROC.
    """
    matrices = _matrices(variant)
    if not matrices:
        values = [run.own_val.value for run in variant.runs if run.own_val]
        known = [value for value in values if value is not None]
        missing = len(values) - len(known)
        if not known:
            return OverRuns(None, None, None, missing) if values else None
        return OverRuns(sum(known) / len(known), min(known), max(known), missing)
    return _over_runs(
        [(sum(row[k] for k, row in enumerate(m)), sum(map(sum, m))) for m in matrices]
    )


def _matrices(variant: VariantResult) -> list[Matrix]:
    return [run.own_val_matrix for run in variant.runs if run.own_val_matrix]


def _figures(
    published: Published, figures: PublishedVariant, variant: VariantResult
) -> list[Figure]:
    """In the order: accuracy, test accuracy, then recalls and precisions by class or option."""
    pooled = variant.pooled
    held = pooled.accuracy if pooled else None
    found = []
    accuracy = figures.accuracy(published.of)
    if accuracy is not None:
        found.append(Figure("accuracy", accuracy, own_val_of(variant), held))
    if figures.test_accuracy is not None:
        # There is nothing to set beside it but the accuracy on other images.
        given = Estimate(figures.test_accuracy, reason="a mean over batches: no count")
        found.append(Figure("accuracy on test", given, None, held))
    given_of = [("recall", name, wilson(k, published.of)) for name, k in figures.correct.items()]
    given_of += [
        (kind, name, Estimate(values[kind], reason="published without counts"))
        for name, values in figures.val.items()
        for kind in ("recall", "precision")
        if kind in values
    ]
    for kind, name, given in given_of:
        own_val, of_label = None, None
        if pooled and name in pooled.classes:
            k = pooled.classes.index(name)
            of_label = getattr(pooled.per_class[name], kind)
            own_val = _over_runs(
                [
                    (m[k][k], sum(row[k] for row in m) if kind == "precision" else sum(m[k]))
                    for m in _matrices(variant)
                ]
            )
        found.append(Figure(f"{kind} of {name}", given, own_val, of_label))
    return found


def _over_runs(pairs: Sequence[tuple[int, int]]) -> OverRuns | None:
    """A share of all runs together from (part, whole) of each; None without runs."""
    if not pairs:
        return None
    shares = [part / whole for part, whole in pairs if whole]
    missing = len(pairs) - len(shares)
    if not shares:
        return OverRuns(None, None, None, missing)
    value = sum(part for part, _ in pairs) / sum(whole for _, whole in pairs)
    return OverRuns(value, min(shares), max(shares), missing)
