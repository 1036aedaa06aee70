"""The report's first section: each run in plain words with its main figure."""

from collections.abc import Sequence
from typing import Any

from hilum.reporting.figures.charts import Interval, interval_chart
from hilum.reporting.runs import Run
from hilum.reporting.sections.results import splits_evaluated
from hilum.reporting.sections.summary_facts import main_facts
from hilum.reporting.subject import Subject
from hilum.reporting.summary import compare_runs, describe_result, describe_run, percent


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
