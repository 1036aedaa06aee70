"""The report's sections on data: what was counted and audited, the looks, where all came from."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hilum.auditing.findings import Finding, by_importance
from hilum.auditing.provenance import Source, known_sources
from hilum.codec import read_plain
from hilum.errors import HilumError
from hilum.evaluation.ledger import Look, describe_looks, read_ledger
from hilum.files import read_packaged
from hilum.records import Estimate
from hilum.reporting.audit_findings import shortcuts_table
from hilum.reporting.charts import class_bars
from hilum.reporting.runs import Run
from hilum.reporting.subject import Subject
from hilum.table import Column, Columns, Row, Rows, Table
from hilum.wording import PERCENT, Cell, duration, moment

#: A split and its images of each class.
Counts = tuple[str, Sequence[int]]


def describe_data(subject: Subject) -> list[dict[str, Any]]:
    """One entry per data set (by fingerprint): its runs, class counts and known source."""
    return [_describe_set(*runs) for runs in _data_sets(subject)]


#: How many findings a chart shows split by split; more have one bar each.
_BY_SPLIT = 6


def class_charts(subject: Subject) -> list[tuple[str, str, list[str], str]]:
    """Of every data set its name, of what its images are counted, its splits, and the chart."""
    found: list[tuple[str, str, list[str], str]] = []
    for run, *_ in _data_sets(subject):
        name = str(run.data.get("name") or "data without a name")
        if run.tree.decisions and (splits := _counts(run)):
            bars = class_bars(run.tree.classes, splits, title="Images per class")
            found.append((name, "of each class", [split for split, _ in splits], bars))
        if findings := _finding_counts(run):
            names, splits, totals = findings
            if len(names) > _BY_SPLIT:
                splits = [
                    ("all splits", [sum(own) for own in zip(*(c for _, c in splits), strict=True)])
                ]
                totals = [sum(totals)]
            bars = class_bars(names, splits, title="Images with each finding", totals=totals)
            found.append((name, "with each finding", [split for split, _ in splits], bars))
    return found


def _finding_counts(run: Run) -> tuple[list[str], list[Counts], list[int]] | None:
    """The findings, in how many images of each split they are, and how many images these hold."""
    told: Mapping[str, Mapping[str, Mapping[str, int]]] = run.data.get("findings") or {}
    names = [finding.name for finding in run.tree.findings]
    if not told or not names:
        return None
    splits: list[Counts] = [(s, [int(of[n]["present"]) for n in names]) for s, of in told.items()]
    return names, splits, [sum(of[names[0]].values()) for of in told.values()]


def _data_sets(subject: Subject) -> list[list[Run]]:
    """The runs of each data set, told apart by fingerprints."""
    sets: dict[Any, list[Run]] = {}
    for run in subject.runs:
        identity = (run.data.get("fingerprint") or str(run.folder), run.tree.classes)
        sets.setdefault(identity, []).append(run)
    return list(sets.values())


def _counts(run: Run) -> list[Counts]:
    counts: Mapping[str, Mapping[str, int]] = run.data.get("counts") or {}
    return [(s, [int(c.get(name, 0)) for name in run.tree.classes]) for s, c in counts.items()]


def _describe_set(run: Run, *others: Run) -> dict[str, Any]:
    classes, name = run.tree.classes, run.data.get("name") or "not recorded"
    splits = _counts(run)
    return {
        "name": name,
        "run": run,
        "splits": [split for split, _ in splits],
        "table": counts_table(f"Images per class and split of {name}", classes, splits)
        if run.tree.decisions
        else None,
        "findings": _finding_table(run, name),
        "users": [run.name, *(other.name for other in others)],
        "source": known_source(run),
    }


def counts_table(label: str, classes: Sequence[str], splits: Sequence[Counts]) -> Table:
    """Images per class and split, with the share of each class in its split."""

    def row(name: str, counts: Sequence[int]) -> list[str | Cell | int]:
        total = sum(counts)
        shares = [PERCENT.number(n / total) if total else "—" for n in counts]
        cells = [Cell(n, small=share) for n, share in zip(counts, shares, strict=True)]
        return [name, *cells, total]

    columns: Columns = ["split", *(Column(name, wrap=True) for name in classes), "all"]
    return Table(label, columns, [row(*split) for split in splits])


def _finding_table(run: Run, name: str) -> Table | None:
    """In how many images of each split a finding is known to be, and to be not."""
    told: Mapping[str, Mapping[str, Mapping[str, int]]] = run.data.get("findings") or {}
    if not told:
        return None
    rows: list[Row] = [
        [finding.name, *(Cell(of[finding.name]["present"], small=_unknown(of[finding.name]))
                         for of in told.values())]
        for finding in run.tree.findings
    ]  # fmt: skip
    return Table(f"Images with each finding of {name}", ["finding", *told], rows)


def _unknown(marks: Mapping[str, int]) -> str:
    total, unknown = sum(marks.values()), marks["uncertain"] + marks["missing"]
    return f"of {total - unknown:,}" + (f", {unknown:,} not known" if unknown else "")


def known_source(run: Run) -> Source | None:
    """What is known of the public data set that a run was trained on, or None."""
    name = run.data.get("source")
    return next((source for source in known_sources() if source.name == name), None)


def describe_reading(subject: Subject) -> dict[str, Any]:
    """The readings and figures of clinical.toml, with their sources and their caveat.

    meanings: what the labels of the data that the runs were trained or evaluated on are known to
    mean, where that is known; an evaluation keeps the sentence among its notes.
    """
    content = read_packaged("reporting", "texts", "clinical.toml")
    runs = subject.runs
    known = [source.meaning for run in runs if (source := known_source(run))]
    notes = {note for run in runs for result in run.results for note in result.evaluation.notes}
    known += [source.meaning for source in known_sources() if source.meaning in notes]
    columns: Columns = [
        Column("reference figure", wrap=True), Column("share", style=PERCENT),
        Column("source", "text"),
    ]  # fmt: skip
    rows: Rows = [
        [
            figure["name"],
            Estimate(figure["value"], figure.get("low"), figure.get("high")),
            content["sources"][figure["source"]]["short"],
        ]
        for figure in content["figure"]
    ]
    table = Table("Reference figures of radiographs in COVID-19", columns, rows)
    return {**content, "meanings": list(dict.fromkeys(known)), "table": table}


# ---- the audit -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Shortcut:
    name: str
    auroc: Estimate


@dataclass(frozen=True, slots=True)
class _Audited:
    """What the report reads of an audit.json."""

    data: dict[str, Any]
    findings: tuple[Finding, ...]
    shortcuts: tuple[_Shortcut, ...]
    shortcuts_by_finding: dict[str, tuple[_Shortcut, ...]] = field(default_factory=dict)


def read_audit(path: Path, runs: Sequence[Run]) -> dict[str, Any]:
    """What the report shows of an audit.json.

    'other': whether it is about other images or labels than the runs (by what they contain);
    'divided': whether it is about the same ones, but in other splits than those of a run.
    Raises HilumError if the file is missing, damaged or of another form.
    """
    found = read_plain(path, _Audited, what="an audit.json of `hilum audit`", error=HilumError)
    same = all(_equal(found.data, run.data, "content") for run in runs)
    divided = not all(_equal(found.data, run.data, "fingerprint") for run in runs)
    return {
        "about": found,
        "other": not same,
        "divided": same and divided,
        "findings": by_importance(found.findings),
        "shortcuts": Table(
            "Shortcuts", ["what it saw", "AUROC"], [[s.name, s.auroc] for s in found.shortcuts]
        ),
        "by_finding": shortcuts_table(found.shortcuts_by_finding)
        if found.shortcuts_by_finding
        else None,
    }


def _equal(audited: Mapping[str, Any], trained: Mapping[str, Any], key: str) -> bool:
    # Without both contents, only the fingerprints tell, which the splits belong to.
    key = key if audited.get(key) and trained.get(key) else "fingerprint"
    return bool(audited.get(key) == trained.get(key))


# ---- looks at test images ------------------------------------------------------------------


def show_looks(subject: Subject) -> list[dict[str, Any]]:
    """Per run every look in order; what they amount to stands in the first part."""
    return [{"run": run, "table": _looks_table(run)} for run in subject.runs]


def describe_ledger(run: Run) -> list[str]:
    """A sentence on each test set that a run's classifier was evaluated on; of the last look."""
    looks = _looks_of(run)
    last = {look.images: look for look in looks}.values()
    return [
        describe_looks([k for k in looks[: looks.index(look) + 1] if k.is_of_same_images(look)])
        for look in last
    ]


def count_looks(run: Run, split: str) -> int:
    """How often the images of a split of its own data, as they were last, are known to be seen."""
    looks = [look for look in _looks_of(run) if look.split == split and not look.external]
    return sum(look.is_of_same_images(looks[-1]) for look in looks)


def _looks_of(run: Run) -> tuple[Look, ...]:
    """Every recorded look of a run's classifier; none where it has no classifier or ledger."""
    return read_ledger(run.classifier) if run.classifier else ()


def _looks_table(run: Run) -> Table:
    looks = _looks_of(run)
    settings = list(dict.fromkeys((look.weights, look.rule) for look in looks))
    columns: Columns = [
        "when", *(Column(name, "text") for name in ("data", "split")), "images",
        *(Column(name, "text") for name in ("from elsewhere", "rule")),
        "setting of weights and rule",
    ]  # fmt: skip
    rows: Rows = [
        [
            moment(look.when), look.data, look.split, look.n, "yes" if look.external else "no",
            look.rule, str(settings.index((look.weights, look.rule)) + 1),
        ]
        for look in looks
    ]  # fmt: skip
    return Table(f"Looks of {run.name} at test images", columns, rows)


# ---- provenance ----------------------------------------------------------------------------


def tell_provenance(subject: Subject) -> list[dict[str, Any]]:
    """Per run its facts, its recipe and the commands that repeat it."""
    return [_tell(run) for run in subject.runs]


def _tell(run: Run) -> dict[str, Any]:
    info = run.info
    monitored = info.get("monitored") or {}
    facts = [
        ("Run folder", run.folder.resolve().name),
        ("Data set", run.data.get("name") or "not recorded"),
        ("Fingerprint of the data", run.data.get("fingerprint") or "not recorded"),
        ("Label tree", run.tree.to_text()),
        (
            "Watched during training",
            f"{monitored['split']} ({monitored.get('n', '—')})" if monitored else "nothing",
        ),
        ("Seed", str(run.recipe.get("seed", "not recorded"))),
        ("Device, precision", f"{info.get('device', '—')}, {info.get('precision', '—')}"),
        ("Started", moment(info.get("started"))),
        ("Finished", moment(info.get("finished")) if info.get("finished") else "not yet"),
        ("Time taken", duration(info.get("seconds"))),
        *((f"Version of {k}", str(v)) for k, v in (info.get("versions") or {}).items()),
    ]
    imported = [
        (decision, str(source.get("file", "—")), str(source.get("sha256", "—")))
        for decision, source in (info.get("imported") or {}).items()
    ]
    columns: Columns = ["decision", "file", "SHA-256"]
    return {
        "run": run,
        "facts": Table(f"Provenance of {run.name}", ("", ""), facts, kind="facts"),
        "imported": Table(f"Imported files of {run.name}", columns, imported, kind="facts"),
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
