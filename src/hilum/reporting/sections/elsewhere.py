"""The report's sections on other images: shifted and stressed, from elsewhere, and subgroups."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from hilum.classifier.validation import HOLDS
from hilum.evaluation.external import ExternalDrop
from hilum.evaluation.shift import Shift
from hilum.evaluation.stress import Stress, StressMean, StressMeasures
from hilum.evaluation.subgroups import Attribute, Subgroup
from hilum.reporting.evaluation_charts import stress_chart
from hilum.reporting.runs import Run, SplitResult
from hilum.reporting.sections.findings import show_findings
from hilum.reporting.sections.results import confusion_table
from hilum.reporting.subject import Assessed, Subject, name_external, name_images
from hilum.statistics.findings import NEGATIVE
from hilum.table import Column, Columns, Row, Rows, Table
from hilum.wording import PERCENT, POINTS, SIGNED

T = TypeVar("T")

_MEASURED = (
    "accuracy", Column("changed − clean", style=SIGNED), "balanced accuracy", "macro AUROC",
)  # fmt: skip


def _tests(
    subject: Subject, found: Callable[[SplitResult], T | None], show: Callable[[T, str], Any]
) -> dict[str, Any]:
    """What is shown of every result that has such a test, with the title of run and images."""
    tests = [
        (run, show(test, f"{run.name}, {name_images(run, result)}"))
        for run in subject.runs
        for result in (*run.results, *run.external)
        if (test := found(result))
    ]
    return {
        **subject.lacking([run for run, _ in tests]),
        "shown": [shown for _, shown in tests],
    }


def _as_they_are(clean: StressMeasures) -> Row:
    return [
        "the images as they are",
        clean.accuracy,
        "",
        clean.balanced_accuracy,
        clean.macro_auroc,
    ]


# ---- shifted films -------------------------------------------------------------------------

_KINDS = {
    "composite": "exposure, framing, geometry, sharpness, noise and markers changed at once",
    "exchange": "photographed as another class's film was",
    "both": "both at once",
}


def show_shift(subject: Subject) -> dict[str, Any]:
    """Per test of shifted films the range to reckon with, and all figures."""
    return _tests(subject, lambda result: result.shift, _show_shift)


def _show_shift(shift: Shift, title: str) -> dict[str, Any]:
    rows: list[Row] = [_as_they_are(shift.clean)]
    rows += [[_KINDS.get(kind, kind), *_measured(mean)] for kind, mean in shift.kinds.items()]
    return {
        "title": title,
        "shift": shift,
        "range": expected_range(shift),
        "holds": HOLDS[shift.holds] if shift.holds else "Chosen on the validation images.",
        "table": Table(f"Shifted films of {title}", [Column("films", wrap=True), *_MEASURED], rows),
        "promises": Table(
            f"What holds on shifted films of {title}",
            [
                Column("what was chosen", wrap=True),
                "measure",
                "promised",
                "films as they are",
                *(Column(_KINDS.get(kind, kind), wrap=True) for kind in shift.kinds),
            ],
            [
                [kept.name, kept.measure, kept.promised, kept.clean, *kept.kinds.values()]
                for kept in shift.promises
            ],
        ),
    }


def expected_range(shift: Shift) -> str:
    """From the lower bound where it does worst to the upper bound on the films as they are."""
    worst, clean = shift.kinds[shift.hardest].measures.accuracy, shift.clean.accuracy
    low = worst.value if worst.low is None else worst.low
    high = clean.value if clean.high is None else clean.high
    if low is None or high is None:
        return ""
    low, high = sorted((100 * low, 100 * high))
    return f"{low:.0f} to {high:.0f}\N{NARROW NO-BREAK SPACE}%"


# ---- stress tests --------------------------------------------------------------------------


def show_stress(subject: Subject) -> dict[str, Any]:
    """Per stress test its sentences, a chart for each family of corruptions, and all figures."""
    return _tests(subject, lambda result: result.stress, _show_stress)


def _show_stress(stress: Stress, title: str) -> dict[str, Any]:
    clean = stress.clean
    families = dict.fromkeys(corruption.family for corruption in stress.corruptions)
    means: list[Row] = [
        _as_they_are(clean),
        ["all corruptions", *_measured(stress.stressed)],
    ]
    if stress.new_kinds:
        name = "kinds that no augmentation of training has"
        means.append([name, *_measured(stress.new_kinds)])
    ordered = sorted(stress.corruptions, key=lambda c: -(c.mean.drop.accuracy.value or 0))
    strengths = [column for s in stress.strengths for column in (f"amount {s}", f"accuracy {s}")]
    return {
        "title": title,
        "sentence": _sentence(stress),
        "ordered": ordered,
        "charts": {
            family: stress_chart(
                [c for c in stress.corruptions if c.family == family], clean.accuracy, family=family
            )
            for family in families
        },
        "means": Table(
            f"Stress tests of {title}", [Column("mean over", wrap=True), *_MEASURED], means
        ),
        "corruptions": Table(
            f"Every corruption, {title}",
            ["corruption", *_MEASURED, Column("like training's augmentation", "text")],
            [[c.name, *_measured(c.mean), c.augmented_by or "none"] for c in ordered],
        ),
        "levels": Table(
            f"Accuracy at every strength, {title}",
            ["corruption", *strengths],
            [
                [c.name, *(v for x in c.levels for v in (f"{x.amount:g}", x.measures.accuracy))]
                for c in stress.corruptions
            ],
        ),
    }


def _measured(mean: StressMean) -> Row:
    """In the order of _MEASURED."""
    found = mean.measures
    return found.accuracy, mean.drop.accuracy.turned(), found.balanced_accuracy, found.macro_auroc


def _sentence(stress: Stress) -> str:
    worst, tested = stress.worst, len(stress.corruptions)
    found = (
        f"The accuracy is {PERCENT.words(stress.clean.accuracy)} on the {stress.n:,} images as "
        f"they are, and {PERCENT.words(stress.stressed.measures.accuracy)} on average under "
        f"{tested} corruption{'s' * (tested != 1)}"
    )
    drop = stress.stressed.drop.accuracy
    if drop.low is None or drop.high is None:
        reason = drop.reason.removeprefix("no interval: ")
        found += f"; the difference has no interval ({reason})."
    elif drop.excludes_zero:
        amount = replace(POINTS, unit="").words(drop, flip=drop.low < 0)
        found += f": {'lower' if drop.low > 0 else 'higher'} by {amount} percentage points."
    else:
        found += ": no difference that these images show."
    if tested > 1:
        found += (
            f" It is lowest under {worst.name}, {PERCENT.words(worst.mean.measures.accuracy)} on "
            "average over its strengths."
        )
    return found


# ---- data from elsewhere -------------------------------------------------------------------

#: How the measures begin that are told in words where they differ; the table holds all.
_MAIN = ("balanced accuracy", "macro AUROC", "recall")


def show_external(subject: Subject) -> dict[str, Any]:
    """Per run and other data set the figures inside and outside, with what fell between them."""
    return {
        **subject.lacking([run for run in subject.runs if run.external]),
        "shown": [_show_external(run, result) for run in subject.runs for result in run.external],
    }


def _show_external(run: Run, result: SplitResult) -> dict[str, Any]:
    evaluation, name, found = result.evaluation, name_external(result), result.drop
    title = f"{run.name} on {name}"
    return {
        "title": title,
        "name": name,
        "evaluation": evaluation,
        "drop": _drop(found, title) if found else None,
        "findings": show_findings(run, result),
        "matrix": confusion_table(
            f"Confusion matrix of {title}", evaluation.classes, evaluation.confusion_matrix
        ),
    }


def _drop(found: ExternalDrop, title: str) -> dict[str, Any]:
    accuracy, *others = found.drops
    columns: Columns = [
        Column("measure", wrap=True), "inside", "outside", Column("outside − inside", style=SIGNED),
    ]  # fmt: skip
    rows: Rows = [[d.name, d.internal, d.external, d.drop.turned()] for d in found.drops]
    return {
        "of": found,
        "sentences": [
            d.sentence
            for d in (accuracy, *(d for d in others if d.shown and d.name.startswith(_MAIN)))
        ],
        "table": Table(f"Inside and outside, {title}", columns, rows),
    }


# ---- subgroups -----------------------------------------------------------------------------


def show_subgroups(subject: Subject) -> dict[str, Any]:
    """Per evaluation a sentence on every attribute, those that differ first, and the tables."""

    def tell(item: Assessed) -> dict[str, Any]:
        found = item.assessment.subgroups
        attributes = sorted(found.attributes if found else (), key=lambda a: not a.differs)
        return {"attributes": [(a, _subgroup_table(a, item)) for a in attributes]}

    return subject.section(tell, where=lambda found: found.subgroups)


def _subgroup_table(attribute: Attribute, item: Assessed) -> Table:
    """The subgroups, worst first where they differ: elsewhere that would suggest a difference."""

    def shortfall(subgroup: Subgroup) -> tuple[bool, float]:
        return subgroup.name != attribute.worst, (subgroup.accuracy.value or 0) - subgroup.expected

    classes = (NEGATIVE, item.finding) if item.finding else item.run.tree.classes
    groups = attribute.subgroups
    columns: Columns = [
        Column("subgroup", wrap=True), "images", "accuracy", "by the mix of classes",
        "standardised", *(Column(f"recall of {name}", wrap=True) for name in classes),
    ]  # fmt: skip
    rows: Rows = [
        [g.name, g.n, g.accuracy, g.expected, g.standardised, *(g.recalls[c] for c in classes)]
        for g in (sorted(groups, key=shortfall) if attribute.differs else groups)
    ]
    return Table(f"Subgroups by {attribute.name}, {item.title}", columns, rows)
