"""The report's section on the data: what was counted, and what the labels are known to mean."""

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hilum.audit.findings import SEVERITIES
from hilum.audit.provenance import known_sources
from hilum.errors import HilumError
from hilum.evaluation.ledger import Look, describe_looks, read_ledger
from hilum.records import Estimate
from hilum.reporting.figures.charts import class_bars
from hilum.reporting.page import duration, moment
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


#: Severities in words.
WORDS = {"critical": "Critical", "warning": "Warning", "note": "Note", "passed": "Passed"}


def read_audit(path: Path, runs: Sequence[Run]) -> dict[str, Any]:
    """What the report shows of an audit.json.

    Says whether the audit is about other data than the runs (by their fingerprints).
    Raises HilumError if the file is missing, damaged or of another form.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        findings = [{**f, "word": WORDS[f["severity"]]} for f in content["findings"]]
        shortcuts = [
            {"name": s["name"], "auroc": Estimate.from_json(s["auroc"])}
            for s in content["shortcuts"]
        ]
        name, fingerprint = content["data"]["name"], content["data"]["fingerprint"]
    except OSError as error:
        raise HilumError(f"Cannot read {path}: {error.strerror}.") from None
    except (ValueError, KeyError, TypeError) as error:
        raise HilumError(f"{path} is not an audit.json of `hilum audit` ({error!r}).") from None
    return {
        "name": name,
        "other": any(run.data.get("fingerprint") != fingerprint for run in runs),
        "findings": sorted(findings, key=lambda f: SEVERITIES.index(f["severity"])),
        "shortcuts": shortcuts,
    }


def show_looks(subject: Subject) -> list[dict[str, Any]]:
    """Per run what its ledger says of each test set, and every look in order."""
    return [_show(run) for run in subject.runs]


def describe_ledger(run: Run) -> list[str]:
    """A sentence on each test set that a run's classifier was evaluated on; of the last look."""
    looks = ledger_of(run)
    last = {look.images: look for look in looks}.values()
    return [
        describe_looks([k for k in looks[: looks.index(look) + 1] if k.is_of_same_images(look)])
        for look in last
    ]


def ledger_of(run: Run) -> tuple[Look, ...]:
    """Every recorded look of a run's classifier; none where it has no classifier or ledger."""
    return read_ledger(run.classifier) if run.classifier else ()


def _show(run: Run) -> dict[str, Any]:
    looks = ledger_of(run)
    settings = list(dict.fromkeys((look.weights, look.rule) for look in looks))
    return {
        "name": run.name,
        "finished": run.classifier is not None,
        "sentences": describe_ledger(run),
        "rows": [
            {
                "when": moment(look.when),
                "look": look,
                "setting": settings.index((look.weights, look.rule)) + 1,
            }
            for look in looks
        ],
    }


def tell_provenance(subject: Subject) -> list[dict[str, Any]]:
    """Per run its facts, its recipe and the commands that repeat it."""
    return [_tell(run) for run in subject.runs]


def _tell(run: Run) -> dict[str, Any]:
    info = run.info
    monitored = info.get("monitored") or {}
    watched = f"{monitored['split']} ({monitored.get('n', '—')})" if monitored else "nothing"
    return {
        "name": run.name,
        "facts": [
            ("Run folder", run.folder.resolve().name),
            ("Data set", run.data.get("name") or "not recorded"),
            ("Fingerprint of the data", run.data.get("fingerprint") or "not recorded"),
            ("Label tree", run.tree.to_text()),
            ("Watched during training", watched),
            ("Seed", str(run.recipe.get("seed", "not recorded"))),
            ("Device, precision", f"{info.get('device', '—')}, {info.get('precision', '—')}"),
            ("Started", moment(info.get("started"))),
            ("Finished", moment(info.get("finished")) if info.get("finished") else "not yet"),
            ("Time taken", duration(info.get("seconds"))),
            *((f"Version of {k}", str(v)) for k, v in (info.get("versions") or {}).items()),
        ],
        "imported": [
            (decision, str(facts.get("file", "—")), str(facts.get("sha256", "—")))
            for decision, facts in (info.get("imported") or {}).items()
        ],
        "recipe": run.recipe_text,
        "commands": _commands(run),
    }


def _commands(run: Run) -> list[str]:
    """What repeats the training and the evaluations; weights from elsewhere are only evaluated."""
    folder = run.folder.resolve().name
    here, again = shlex.quote(folder), shlex.quote(f"{folder}-again")
    data = str(run.data.get("name") or "DATA")
    commands = []
    if run.recipe_text:
        commands.append(
            f"hilum train {shlex.quote(data)} --recipe {here}/recipe.toml --out {again}"
        )
    classifier = again if run.recipe_text else here
    for result in run.results:
        split = shlex.quote(result.split)
        of = shlex.quote(str(result.evaluation.data.get("name") or data))
        commands.append(
            f"hilum evaluate {classifier} {of} --split {split} --out {again}/evaluation/{split}"
        )
    return commands
