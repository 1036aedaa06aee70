"""The report's sentences about results: plain words, and never more than was measured."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any

from hilum.records import Estimate
from hilum.reporting.runs import Run, SplitResult

#: A thin space that does not break, between a number and its per cent sign.
_THIN = "\N{NARROW NO-BREAK SPACE}"


def percent(share: float) -> str:
    """A share in [0, 1] as per cent with one decimal: 79.2 %."""
    return f"{100 * share:.1f}{_THIN}%"


def interval(estimate: Estimate) -> str:
    """The bounds of an estimate as per cent: 59.5 to 90.8 %; '' where it has none."""
    if estimate.low is None or estimate.high is None:
        return ""
    return f"{100 * estimate.low:.1f} to {100 * estimate.high:.1f}{_THIN}%"


def listed(words: Iterable[str]) -> str:
    """Words as a sentence has them: 'a', 'a and b', 'a, b and c'."""
    words = list(words)
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)


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
    n = result.evaluation.n
    accuracy = result.evaluation.accuracy
    if accuracy.value is None:
        return f"On {result.split} its accuracy is undefined: {accuracy.reason}."
    right = n - result.evaluation.errors
    most = max(sum(row) for row in result.evaluation.confusion_matrix)
    bounds = f" (95{_THIN}% interval {interval(accuracy)})" if interval(accuracy) else ""
    return (
        f"On {result.split} it named the right class for {right:,} of {n:,}: "
        f"{percent(accuracy.value)}{bounds}. Always naming the most frequent class would be right "
        f"for {most:,} of {n:,}."
    )


def compare_runs(runs: Sequence[Run]) -> list[str]:
    """For every pair of runs and every split that both were evaluated on, what can be said.

    Overlapping intervals are called that, and no winner is named from them.
    """
    sentences = []
    for a, b in combinations(runs, 2):
        for first in a.results:
            second = b.result(first.split)
            if second is not None:
                sentences.append(_compare(a, first, b, second))
    return sentences


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
    overlap = one.low <= two.high and two.low <= one.high
    text = (
        f"On {split}, the 95{_THIN}% intervals of the accuracy of {a.name} ({interval(one)}) and "
        f"{b.name} ({interval(two)}) "
    )
    if overlap:
        text += "overlap: these intervals do not show that either is better."
    else:
        text += (
            "do not overlap: the choice of radiographs alone hardly explains the difference. "
            "Another seed, or another hospital, may still change it."
        )
    if known:
        only_a = only_b = 0
        for name, verdict in first.verdicts.items():
            other = second.verdicts[name]
            only_a += verdict.correct and not other.correct
            only_b += other.correct and not verdict.correct
        text += (
            f" Of the {n:,} radiographs, {a.name} alone is right for {only_a:,} and "
            f"{b.name} alone for {only_b:,}."
        )
    return text


def cautions(run: Run, result: SplitResult) -> list[str]:
    """What makes the figures of a split look better than they are, as far as the run tells."""
    found = []
    split = result.split
    if split == "train":
        found.append("These radiographs were trained on: the figures say nothing about new ones.")
    elif run.monitored == split:
        if _selects_best(run):
            found.append(
                f"The epoch that was kept was chosen on {split}, so these figures are optimistic."
            )
        else:
            found.append(
                f"The split {split} was watched during training; no epoch was chosen on it."
            )
    n = result.evaluation.n
    if n < 100:
        found.append(f"With {n:,} radiographs the intervals are wide: read them, not the points.")
    return found


def _selects_best(run: Run) -> bool:
    overrides: Mapping[str, Mapping[str, Any]] = run.recipe.get("decision") or {}
    base = run.recipe.get("select")
    return any(overrides.get(d, {}).get("select", base) == "best" for d in run.decisions)
