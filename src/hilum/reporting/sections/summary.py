"""The report's first section: each run in plain words with its main figure."""

from collections.abc import Sequence
from typing import Any

from hilum.classifier.threshold import PRESETS
from hilum.evaluation.assess import Assessment
from hilum.evaluation.operating import OperatingRow
from hilum.evaluation.subgroups import Subgroups
from hilum.records import Estimate
from hilum.reporting.figures.charts import Interval, interval_chart
from hilum.reporting.runs import Run, SplitResult
from hilum.reporting.sections.assessed import name_external, name_images
from hilum.reporting.sections.data import describe_ledger
from hilum.reporting.sections.results import splits_evaluated
from hilum.reporting.subject import Subject
from hilum.reporting.summary import (
    compare_runs,
    describe_result,
    describe_run,
    interval,
    listed,
    percent,
)

#: A fact: what it is about, in a few words, and the sentence.
Fact = tuple[str, str]

_WORDS = {"sensitivity": "sensitivity", "specificity": "specificity", "ppv": "PPV", "npv": "NPV"}


def main_facts(run: Run) -> list[Fact]:
    """What a reader must know of a run beside its accuracy; nothing that was not measured.

    They are of one split of its own data: test, or else one that no threshold was chosen on.
    Data from elsewhere and looks at test images follow.
    """
    facts: list[Fact] = []
    told = [result for result in run.results if result.assessment is not None]
    if told:
        result = min(told, key=_rank)
        if result.assessment is not None:
            facts = _assessment_facts(result.assessment, name_images(run, result))
    for result in run.external:
        if result.drop is not None:
            told_of = f"Data from elsewhere: {name_external(result)}"
            facts.append((told_of, _first(result.drop.drops[0].sentence)))
    if looks := describe_ledger(run):
        facts.append(("Looks at test images", " ".join(looks)))
    return facts


def _rank(result: SplitResult) -> tuple[bool, bool]:
    found = result.assessment
    return found is None or found.same_images, result.split != "test"


def _assessment_facts(found: Assessment, images: str) -> list[Fact]:
    facts = [("Calibration", _calibration(found.calibration.classes.top_label.ece, images))]
    for preset in PRESETS:
        rows = (
            [r for r in found.operating.rows if r.point.preset == preset] if found.operating else []
        )
        if rows:
            facts.append((f"Operating point {preset}", _preset(rows, found.same_images, images)))
    if found.conformal:
        sets = found.conformal
        if sets.answered.value is None:
            rest = f"nothing is left to answer ({sets.answered.reason})"
        else:
            rest = (
                f"of the rest {_share(sets.answered)} are right, against {_share(sets.accuracy)} "
                "of all without referral"
            )
        facts.append(
            (
                "Referral",
                f"With prediction sets for {percent(sets.conformal.coverage)} of each class, "
                f"{_share(sets.referred)} of {images} would be referred to a radiologist; {rest}.",
            )
        )
    if found.subgroups:
        facts.append(("Subgroups", _subgroups(found.subgroups, images)))
    return facts


def _calibration(error: Estimate, images: str) -> str:
    if error.value is None:
        return f"On {images} it is undefined: {error.reason}."
    return (
        f"On {images} the probability of the predicted class is off by {_share(error)} "
        "(root mean square; 0 is perfect)."
    )


def _preset(rows: Sequence[OperatingRow], same_images: bool, images: str) -> str:
    """The demanded measures and what they cost; expected ones where measuring would flatter."""
    parts, unmet = [], []
    for row in rows:
        chosen = row.point.chosen
        if chosen is None or row.result is None or not chosen.satisfied:
            unmet.append(row.point.target)
            continue
        values = chosen.expected if same_images else row.result.measured
        measures = ["sensitivity", "specificity"]
        measures += [d.measure for d in row.point.demands if d.measure not in measures]
        told = [f"{_WORDS[name]} {_share(getattr(values, name))}" for name in measures]
        parts.append(f"{row.point.target}: {listed(told)}")
    where = f"Expected of images like {images}" if same_images else f"On {images}"
    text = f"{where}, {'; '.join(parts)}." if parts else ""
    if unmet:
        text += f" No threshold meets its demands for {listed(unmet)}."
    return text.strip()


def _subgroups(found: Subgroups, images: str) -> str:
    differing = [a.sentence for a in found.attributes if a.differs]
    compared = [a.name for a in found.attributes if a.p is not None]
    if differing:
        return f"On {images} it does worse for some. " + " ".join(map(_first, differing))
    if not compared:
        return f"On {images} no subgroups could be compared."
    return (
        f"On {images} no difference that these data show between subgroups of {listed(compared)}."
    )


def _share(estimate: Estimate) -> str:
    if estimate.value is None:
        return f"undefined ({estimate.reason})"
    bounds = interval(estimate)
    return f"{percent(estimate.value)} ({bounds})" if bounds else percent(estimate.value)


def _first(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]


def summarise_runs(subject: Subject) -> dict[str, Any]:
    """A card per run, all accuracies on one scale, and what the runs say about each other."""
    return {
        "runs": [_card(run) for run in subject.runs],
        "chart": accuracy_chart(subject.runs),
        "sentences": compare_runs(subject.runs),
    }


def accuracy_chart(runs: Sequence[Run]) -> str | None:
    """Every run's accuracy on every split as intervals on one scale, or None without any."""
    rows = []
    for split in splits_evaluated(runs):
        for run in runs:
            result = run.result(split)
            accuracy = result.evaluation.accuracy if result else None
            if accuracy is not None and accuracy.value is not None:
                rows.append(
                    Interval(f"{run.name} · {split}", accuracy.value, accuracy.low, accuracy.high)
                )
    if not rows:
        return None
    words = "; ".join(
        f"{r.name}: {percent(r.value)}"
        + (
            f", {percent(r.low)} to {percent(r.high)}"
            if r.low is not None and r.high is not None
            else ""
        )
        for r in rows
    )
    alt = f"Accuracy with 95 % intervals. {words}."
    return interval_chart(rows, quantity="accuracy", key="accuracy", alt=alt)


def _card(run: Run) -> dict[str, Any]:
    first = run.results[0] if run.results else None
    return {
        "name": run.name,
        "what": describe_run(run),
        "sentences": [describe_result(result) for result in run.results],
        "split": first.split if first else None,
        "facts": main_facts(run),
        "accuracy": first.evaluation.accuracy if first else None,
    }
