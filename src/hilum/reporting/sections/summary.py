"""The report's first section, and its sentences on runs: never more than was measured."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

from hilum.auditing.leaks import Copies
from hilum.classifier.threshold import PRESETS
from hilum.evaluation.assess import Assessment
from hilum.evaluation.operating import OperatingRow
from hilum.evaluation.subgroups import Subgroups
from hilum.records import Estimate
from hilum.reporting.charts import interval_chart
from hilum.reporting.runs import Run, SplitResult
from hilum.reporting.sections.data import describe_ledger
from hilum.reporting.subject import Subject, name_external, name_images
from hilum.wording import PERCENT, listed

#: A fact: what it is about, in a few words, and the sentence.
Fact = tuple[str, str]

_95 = "95\N{NARROW NO-BREAK SPACE}%"


def summarise_runs(subject: Subject) -> dict[str, Any]:
    """A card per run, all accuracies on one scale, and what the runs say about each other."""
    return {
        "runs": [
            {
                "run": run,
                "what": describe_run(run),
                "sentences": [describe_result(result) for result in run.results],
                "facts": main_facts(run),
            }
            for run in subject.runs
        ],
        "chart": _accuracy_chart(subject),
        "sentences": compare_runs(subject.runs),
    }


def _accuracy_chart(subject: Subject) -> str | None:
    """Every run's accuracy on every split as intervals on one scale, or None without any."""
    found = {
        f"{run.name} · {split}": result.evaluation.accuracy
        for split in subject.splits
        for run in subject.runs
        if (result := run.result(split))
    }
    known = {name: accuracy for name, accuracy in found.items() if accuracy.value is not None}
    words = [f"{name}: {PERCENT.words(accuracy)}" for name, accuracy in known.items()]
    alt = f"Accuracy with 95 % intervals. {'; '.join(words)}."
    return interval_chart(known, quantity="accuracy", alt=alt) if known else None


def describe_run(run: Run) -> str:
    """What a run is and what it was trained on, in one sentence."""
    networks: Mapping[str, Any] = run.info.get("networks") or {}
    count = len(run.decisions)
    kinds = listed(sorted({str(n["name"]) for n in networks.values() if "name" in n}))
    network = f"{kinds} " if kinds else ""
    if run.strategy == "flat":
        what = f"one {network}network that chooses between {listed(run.tree.classes)}"
    else:
        names = ", ".join(run.decisions)
        what = f"a cascade of {count} {network}network{'s' * (count > 1)}, "
        what += f"one for each decision ({names})"
    n = sum(((run.data.get("counts") or {}).get("train") or {}).values())
    n -= run.held_out
    kind = "synthetic phantoms" if run.synthetic else "radiographs"
    trained = f"trained on {n:,} {kind}" if n else "what it was trained on is not recorded"
    if run.held_out:
        trained += f", {run.held_out:,} more of train being held out in blocks to watch it"
    if run.imported:
        trained = "its weights were trained elsewhere and imported"
    elif not run.info.get("finished"):
        trained += "; the training had not finished when this report was made"
    return f"It is {what}; {trained}."


def describe_result(result: SplitResult) -> str:
    """Accuracy on one split, with its interval and what naming one class always would give."""
    found = result.evaluation
    n, accuracy = found.n, found.accuracy
    if accuracy.value is None:
        return f"On {result.split} its accuracy is undefined: {accuracy.reason}."
    most = max(sum(row) for row in found.confusion_matrix)
    interval = PERCENT.bounds(accuracy)
    bounds = f" ({_95} interval {interval})" if interval else ""
    return (
        f"On {result.split} it named the right class for {n - found.errors:,} of {n:,}: "
        f"{PERCENT.number(accuracy.value)}{bounds}. Always naming the most frequent class would "
        f"be right for {most:,} of {n:,}."
    )


def cautions(run: Run, result: SplitResult) -> list[str]:
    """What makes the figures of a split look better than they are, as far as the run tells."""
    found = []
    split = result.split
    if split == "train":
        found.append("These radiographs were trained on: the figures say nothing about new ones.")
    elif run.monitored == split:
        overrides: Mapping[str, Mapping[str, Any]] = run.recipe.get("decision") or {}
        base = run.recipe.get("select")
        if any(overrides.get(d, {}).get("select", base) == "best" for d in run.decisions):
            found.append(
                f"The epoch that was kept was chosen on {split}, so these figures are optimistic."
            )
        else:
            found.append(
                f"The split {split} was watched during training; no epoch was chosen on it."
            )
    copies = run.info.get("copies") or {"groups": 0}
    if split != "train" and copies["groups"]:
        names = "; ".join(copies["names"][:5]) + "; …" * (copies["groups"] > 5)
        found.append(f"{Copies(copies['groups'], ()).sentence} They are: {names}.")
    n = result.evaluation.n
    if n < 100:
        found.append(f"With {n:,} radiographs the intervals are wide: read them, not the points.")
    return found


# ---- runs beside each other ----------------------------------------------------------------


def compare_runs(runs: Sequence[Run]) -> list[str]:
    """For every pair of runs and every split that both were evaluated on, what can be said.

    Overlapping intervals are called that, and no winner is named from them.
    """
    return [
        _compare(a, first, b, second)
        for a, b in combinations(runs, 2)
        for first in a.results
        if (second := b.result(first.split)) is not None
    ]


def _compare(a: Run, first: SplitResult, b: Run, second: SplitResult) -> str:
    split = first.split
    n, m = first.evaluation.n, second.evaluation.n
    known = bool(first.verdicts and second.verdicts)
    if n != m or (known and first.verdicts.keys() != second.verdicts.keys()):
        return (
            f"{a.name} and {b.name} were evaluated on different radiographs of {split} "
            f"({n:,} and {m:,}), so their figures cannot be compared directly."
        )
    one, two = first.evaluation.accuracy, second.evaluation.accuracy
    if one.low is None or one.high is None or two.low is None or two.high is None:
        return f"On {split}, {a.name} and {b.name} have no intervals to compare."
    text = (
        f"On {split}, the {_95} intervals of the accuracy of {a.name} ({PERCENT.bounds(one)}) and "
        f"{b.name} ({PERCENT.bounds(two)}) "
    )
    if one.low <= two.high and two.low <= one.high:
        text += "overlap: these intervals do not show that either is better."
    else:
        text += (
            "do not overlap: the choice of radiographs alone hardly explains the difference. "
            "Another seed, or another hospital, may still change it."
        )
    if known:
        right_a, right_b = (
            {name for name, verdict in result.verdicts.items() if verdict.correct}
            for result in (first, second)
        )
        text += (
            f" Of the {n:,} radiographs, {a.name} alone is right for {len(right_a - right_b):,} "
            f"and {b.name} alone for {len(right_b - right_a):,}."
        )
    return text


# ---- what else was found -------------------------------------------------------------------


def main_facts(run: Run) -> list[Fact]:
    """What a reader must know of a run beside its accuracy; nothing that was not measured.

    They are of one split of its own data: test, or else one that no threshold was chosen on.
    Data from elsewhere and looks at test images follow.
    """
    facts: list[Fact] = []
    parts = [(result, result.assessment) for result in run.results if result.assessment]
    if parts:
        first = min(parts, key=lambda part: (part[1].same_images, part[0].split != "test"))
        facts = _assessment_facts(first[1], name_images(run, first[0]))
    for result in run.external:
        if result.drop is not None:
            sentence = _capital(result.drop.drops[0].sentence)
            facts.append((f"Data from elsewhere: {name_external(result)}", sentence))
    if looks := describe_ledger(run):
        facts.append(("Looks at test images", " ".join(looks)))
    return facts


def _assessment_facts(found: Assessment, images: str) -> list[Fact]:
    facts = [("Calibration", _calibration(found.calibration.classes.top_label.ece, images))]
    for preset in PRESETS:
        every = found.operating.rows if found.operating else ()
        if rows := [row for row in every if row.point.preset == preset]:
            facts.append((f"Operating point {preset}", _preset(rows, found.same_images, images)))
    if sets := found.conformal:
        if sets.answered.value is None:
            rest = f"nothing is left to answer ({sets.answered.reason})"
        else:
            rest = (
                f"of the rest {PERCENT.words(sets.answered)} are right, against "
                f"{PERCENT.words(sets.accuracy)} of all without referral"
            )
        text = (
            f"With prediction sets for {PERCENT.number(sets.conformal.coverage)} of each class, "
            f"{PERCENT.words(sets.referred)} of {images} would be referred to a radiologist; "
            f"{rest}."
        )
        facts.append(("Referral", text))
    if found.subgroups:
        facts.append(("Subgroups", _subgroups(found.subgroups, images)))
    return facts


def _calibration(error: Estimate, images: str) -> str:
    if error.value is None:
        return f"On {images} it is undefined: {error.reason}."
    return (
        f"On {images} the probability of the predicted class is off by {PERCENT.words(error)} "
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
        measures = ["sensitivity", "specificity", *(d.measure for d in row.point.demands)]
        words = [
            f"{name.upper() if len(name) == 3 else name} {PERCENT.words(getattr(values, name))}"
            for name in dict.fromkeys(measures)
        ]
        parts.append(f"{row.point.target}: {listed(words)}")
    where = f"Expected of images like {images}" if same_images else f"On {images}"
    text = f"{where}, {'; '.join(parts)}." if parts else ""
    if unmet:
        text += f" No threshold meets its demands for {listed(unmet)}."
    return text.strip()


def _subgroups(found: Subgroups, images: str) -> str:
    differing = [_capital(a.sentence) for a in found.attributes if a.differs]
    compared = [a.name for a in found.attributes if a.p is not None]
    if differing:
        return f"On {images} it does worse for some. {' '.join(differing)}"
    if not compared:
        return f"On {images} no subgroups could be compared."
    return (
        f"On {images} no difference that these data show between subgroups of {listed(compared)}."
    )


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]
