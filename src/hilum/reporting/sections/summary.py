"""The report's first section: what was trained on what, and the verdict in three sentences."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

from hilum.reporting.runs import Run, SplitResult
from hilum.reporting.sections.data import class_charts, count_looks
from hilum.reporting.sections.elsewhere import expected_range
from hilum.reporting.sections.results import cautions
from hilum.reporting.subject import Subject, name_external
from hilum.wording import PERCENT, listed

_95 = "95\N{NARROW NO-BREAK SPACE}%"


def summarise_runs(subject: Subject) -> dict[str, Any]:
    """A card per run with its main result and verdict, and what the runs say about each other."""
    return {
        "runs": [
            {
                "run": run,
                "what": describe_run(run),
                "result": run.main,
                "verdict": give_verdict(subject, run),
                "others": [r for r in run.results if r is not run.main],
            }
            for run in subject.runs
        ],
        "charts": class_charts(subject),
        "sentences": compare_runs(subject.runs),
    }


def give_verdict(subject: Subject, run: Run) -> list[str]:
    """Three sentences: how good it is, what speaks against believing it, and where it is weak.

    None where the run has not been evaluated.
    """
    if run.main is None:
        return []
    return [
        describe_result(run.main),
        _say_doubts(subject, run, run.main),
        _say_weakness(run, run.main),
    ]


def _say_doubts(subject: Subject, run: Run, result: SplitResult) -> str:
    doubts = [f"{sentence[:1].lower()}{sentence[1:-1]}" for sentence in cautions(run, result)]
    audit = subject.audit
    if audit is None or audit["other"]:
        doubts.append("no audit of these very data was at hand")
    else:
        divided = ", made of these data before they were so divided," if audit["divided"] else ""
        critical = [f"“{f.title}”" for f in audit["findings"] if f.severity == "critical"]
        if critical:
            doubts.insert(0, f"the audit{divided} found what is critical: {listed(critical)}")
        elif divided:
            doubts.append("the audit is of these data in other splits")
    if result.assessment and result.assessment.same_images:
        doubts.append(f"thresholds were chosen on {result.split} too")
    if (looks := count_looks(run, result.split)) > 1:
        doubts.append(f"it is of look {looks} at this test set")
    if result.split == "val":
        doubts.append("no test split was evaluated")
    if not doubts:
        return (
            "The audit found nothing critical, and nothing that is recorded flatters this figure."
        )
    return f"What speaks against trusting that: {'; '.join(doubts)}."


def _say_weakness(run: Run, result: SplitResult) -> str:
    found = result.evaluation
    recalls = {n: of.recall for n, of in found.per_class.items() if of.recall.value is not None}
    text = "Which class it misses most is not known"
    if recalls:
        worst = min(recalls, key=lambda name: recalls[name].value or 0.0)
        missed = dict(
            zip(found.classes, found.confusion_matrix[found.classes.index(worst)], strict=True)
        )
        del missed[worst]
        taken = max(missed, key=lambda name: missed[name])
        text = f"It is weakest on {worst}, of which it finds {PERCENT.words(recalls[worst])}"
        text += f" and takes {missed[taken]:,} for {taken}" * (missed[taken] > 0)
    elsewhere = [
        f"on {name_external(r)}, from elsewhere, its accuracy is "
        f"{PERCENT.words(r.evaluation.accuracy)}"
        for r in run.external
    ]
    if result.shift and not elsewhere and (span := expected_range(result.shift)):
        elsewhere.append(f"where films are made in another way, reckon with an accuracy of {span}")
    unknown = "how it does on films from elsewhere was not measured"
    return f"{text}; {'; '.join(elsewhere) or unknown}."


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
        f"{PERCENT.number(accuracy.value)}{bounds}, where always naming the most frequent class "
        f"would be right for {most:,}."
    )


# ---- runs beside each other ----------------------------------------------------------------


def compare_runs(runs: Sequence[Run]) -> list[str]:
    """For every pair of runs whose main evaluations are of the same split, what can be said.

    Overlapping intervals are called that, and no winner is named from them.
    """
    return [
        _compare(a, a.main, b, b.main)
        for a, b in combinations(runs, 2)
        if a.main and b.main and a.main.split == b.main.split
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
