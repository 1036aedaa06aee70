"""The report on one or more runs: a single HTML file that opens offline."""

import datetime
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2

import hilum.reporting.results as results
import hilum.reporting.sections as sections
from hilum.errors import HilumError
from hilum.evaluation.evaluate import SYNTHETIC
from hilum.files import write_atomically
from hilum.records import Estimate
from hilum.reporting.audit_section import read_audit
from hilum.reporting.results import ImageSource
from hilum.reporting.runs import Run, read_runs
from hilum.reporting.summary import compare_runs, describe_result, describe_run, listed, percent

__all__ = ["ImageSource", "write_report"]


def write_report(
    runs: Sequence[Path],
    out: Path,
    *,
    images: ImageSource | None = None,
    audit: Path | None = None,
    title: str | None = None,
) -> Path:
    """Write one self-contained HTML file about runs; several are set side by side.

    runs: RUN folders as training leaves them, with RUN/evaluation/SPLIT/ where evaluated; what a
    run lacks, the report says. out: the file to write; its folder is made. images: gives the
    (H, W) uint8 pixels of radiographs by name, for the grid; None leaves the pictures out, and
    the report says so. audit: an audit.json about the data, whose findings are shown.
    title: the heading; by default the names of the runs.

    The file loads nothing and runs no script. Of this machine it holds the names of the run
    folders, not their paths. Returns out. Raises HilumError if a folder is no run or damaged,
    or if out cannot be written.
    """
    read = read_runs(runs)
    page = (
        page_environment()
        .get_template("report.html.j2")
        .render(_collect(read, images, audit, title))
    )
    # A file name that is not valid Unicode cannot stand in UTF-8: its odd bytes become '?'.
    try:
        write_atomically(out, page.encode("utf-8", errors="replace"))
    except OSError as error:
        raise HilumError(f"Cannot write the report {out}: {error.strerror}.") from error
    return out


def page_environment() -> jinja2.Environment:
    """What every page is rendered with: escaping, strict names, the filters of numbers."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("hilum.reporting", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": percent,
        "number": _number,
        "bounds": _bounds,
        "duration": _duration,
        "moment": _moment,
        "listed": listed,
    }
    return environment


def _collect(
    runs: tuple[Run, ...], images: ImageSource | None, audit: Path | None, title: str | None
) -> dict[str, Any]:
    synthetic = [run.name for run in runs if run.synthetic]
    return {
        "title": title or f"Report on {listed(run.name for run in runs)}",
        "made": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "synthetic": synthetic,
        "all_synthetic": len(synthetic) == len(runs),
        "notes": _notes(runs),
        "summaries": [_summary(run) for run in runs],
        "comparisons": compare_runs(runs),
        "accuracy_chart": results.accuracy_chart(runs),
        "data": sections.data_sections(runs),
        "audit": read_audit(audit, runs) if audit else None,
        "settings": sections.settings_table(runs),
        "curves": sections.curve_sections(runs),
        "results": results.result_sections(runs),
        "grid": results.grid_section(runs, images),
        "provenance": [_provenance(run) for run in runs],
    }


def _summary(run: Run) -> dict[str, Any]:
    first = run.results[0] if run.results else None
    return {
        "name": run.name,
        "what": describe_run(run),
        "sentences": [describe_result(result) for result in run.results],
        "split": first.split if first else None,
        "accuracy": first.evaluation.accuracy if first else None,
    }


def _notes(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """What runs and evaluations want every reader to know; equal notes are told once."""
    found: dict[str, list[str]] = {}
    for run in runs:
        notes = [*(run.info.get("notes") or ())]
        for result in run.results:
            notes += result.evaluation.notes
        for note in notes:
            if note == SYNTHETIC and run.synthetic:
                continue  # the banner says so above everything else
            if run.name not in found.setdefault(str(note), []):
                found[str(note)].append(run.name)
    return [{"text": text, "runs": names} for text, names in found.items()]


def _provenance(run: Run) -> dict[str, Any]:
    info = run.info
    monitored = info.get("monitored") or {}
    watched = f"{monitored['split']} ({monitored.get('n', '—')})" if monitored else "nothing"
    folder = run.folder.resolve().name
    here, data = shlex.quote(folder), shlex.quote(str(run.data.get("name") or "DATA"))
    commands = []
    if run.recipe_text:
        commands.append(f"hilum train {data} --recipe {here}/recipe.toml --out {here}-again")
    commands += [
        f"hilum evaluate {here}-again {data} --split {shlex.quote(result.split)} "
        f"--out {here}-again/evaluation/{shlex.quote(result.split)}"
        for result in run.results
    ]
    return {
        "name": run.name,
        "facts": [
            ("Run folder", folder),
            ("Data set", run.data.get("name") or "not recorded"),
            ("Fingerprint of the data", run.data.get("fingerprint") or "not recorded"),
            ("Label tree", run.tree.to_text()),
            ("Watched during training", watched),
            ("Seed", str(run.recipe.get("seed", "not recorded"))),
            ("Device, precision", f"{info.get('device', '—')}, {info.get('precision', '—')}"),
            ("Started", _moment(info.get("started"))),
            ("Finished", _moment(info.get("finished")) if info.get("finished") else "not yet"),
            ("Time taken", _duration(info.get("seconds"))),
            *((f"Version of {k}", str(v)) for k, v in (info.get("versions") or {}).items()),
        ],
        "recipe": run.recipe_text,
        "commands": commands,
    }


# ---- filters -------------------------------------------------------------------------------


def _number(value: float) -> str:
    return f"{value:.3f}"


def _bounds(estimate: Estimate) -> str:
    """The 95 % interval as '0.595–0.908', or '' where there is none."""
    if estimate.low is None or estimate.high is None:
        return ""
    return f"{estimate.low:.3f}–{estimate.high:.3f}"


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "not recorded"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def _moment(text: str | None) -> str:
    """An ISO time as people read it: '2026-11-23 01:00:00 UTC'."""
    return "not recorded" if not text else str(text).replace("T", " ").replace("Z", " UTC")
