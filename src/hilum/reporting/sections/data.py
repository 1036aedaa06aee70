"""The report's section on the data: what was counted, and what the labels are known to mean."""

from collections.abc import Mapping
from typing import Any

from hilum.audit.provenance import known_sources
from hilum.reporting.figures.charts import class_bars
from hilum.reporting.runs import Run
from hilum.reporting.subject import Subject


def describe_data(subject: Subject) -> list[dict[str, Any]]:
    """One entry per data set (by fingerprint): its runs, class counts and known source."""
    found: dict[Any, dict[str, Any]] = {}
    for run in subject.runs:
        identity = (run.data.get("fingerprint") or str(run.folder), run.tree.classes)
        if identity in found:
            found[identity]["runs"].append(run.name)
            continue
        counts: Mapping[str, Mapping[str, int]] = run.data.get("counts") or {}
        classes = run.tree.classes
        splits = [(s, [int(c.get(name, 0)) for name in classes]) for s, c in counts.items()]
        words = "; ".join(
            f"{s}: " + ", ".join(f"{name} {n:,}" for name, n in zip(classes, row, strict=True))
            for s, row in splits
        )
        found[identity] = {
            "name": run.data.get("name") or "not recorded",
            "fingerprint": run.data.get("fingerprint") or "not recorded",
            "synthetic": run.synthetic,
            "tree": run.tree.to_text(),
            "classes": classes,
            "splits": [{"name": s, "counts": row, "total": sum(row)} for s, row in splits],
            "chart": class_bars(
                classes, splits, key=f"classes{len(found)}", alt=f"Class distribution. {words}."
            )
            if splits
            else None,
            "runs": [run.name],
            "source": known_source(run),
        }
    return list(found.values())


def known_source(run: Run) -> dict[str, Any] | None:
    """What is known of the public data set that a run was trained on, or None.

    The keys are those of audit.provenance.Source: title, source, licence, meaning, advice, traps.
    """
    name = run.data.get("source")
    found = next((s for s in known_sources() if s.name == name), None)
    return None if found is None else found.model_dump(exclude={"version", "files"}, mode="json")


def evaluated_meanings(run: Run) -> list[str]:
    """What the labels of the known data sets mean that a run was evaluated on.

    An evaluation keeps the sentence among its notes.
    """
    notes = {note for result in run.results for note in result.evaluation.notes}
    return [source.meaning for source in known_sources() if source.meaning in notes]
