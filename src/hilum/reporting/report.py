"""The report on one or more runs: a single HTML file that opens offline.

Every section has a function that makes plain values and tables of the subject, a template that
shows them, and a line in SECTIONS.
"""

from collections.abc import Callable, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any

from hilum.errors import HilumError
from hilum.evaluation.evaluate import SYNTHETIC
from hilum.evaluation.files import read_held_out
from hilum.evaluation.label_errors import LabelErrors, find_label_errors
from hilum.given import Data, Place
from hilum.radiographs.dataset import Dataset
from hilum.radiographs.image import image_source
from hilum.radiographs.pixels import Progress
from hilum.records import several
from hilum.reporting.page import Section, write_page
from hilum.reporting.runs import Run, read_runs
from hilum.reporting.sections.claims import show_claims
from hilum.reporting.sections.data import (
    describe_data,
    describe_reading,
    read_audit,
    show_looks,
    tell_provenance,
)
from hilum.reporting.sections.elsewhere import (
    show_external,
    show_shift,
    show_stress,
    show_subgroups,
)
from hilum.reporting.sections.explanations import (
    show_errors,
    show_explanations,
    show_radiographs,
)
from hilum.reporting.sections.forms import fill_form
from hilum.reporting.sections.front import (
    show_confusion,
    show_measures,
    show_operating,
    tell_limits,
)
from hilum.reporting.sections.probabilities import (
    show_abstention,
    show_calibration,
    show_operating_points,
    show_roc,
)
from hilum.reporting.sections.published import compare_published
from hilum.reporting.sections.results import result_sections
from hilum.reporting.sections.summary import summarise_runs
from hilum.reporting.sections.training import describe_networks, draw_curves, settings_table
from hilum.reporting.subject import ImageSource, Subject
from hilum.stores import on_disk
from hilum.training.folder import data_root
from hilum.wording import listed

__all__ = ["ImageSource", "write_report"]


#: In the order in which they are read: what a reader needs, then the appendix.
SECTIONS = (
    Section("summary", "Verdict", summarise_runs, front=True),
    Section("claims", "Claims", show_claims, "What may be claimed", front=True),
    Section("measures", "Measures", show_measures, front=True),
    Section(
        "confusion",
        "Confusion, calibration",
        show_confusion,
        "What it confuses, and what its probabilities are worth",
        front=True,
    ),
    Section("operating", "Operating point", show_operating, "Where to draw the line", front=True),
    Section("errors", "Where it errs", show_errors, front=True),
    Section("limits", "What limits it", tell_limits, front=True),
    Section(
        "comparison",
        "Comparison",
        attrgetter("compared"),
        "Comparison on the same radiographs",
    ),
    Section("data", "Data", describe_data, "The data"),
    Section("audit", "Audit", lambda subject: {"audit": subject.audit}, "Is the data sound?"),
    Section("networks", "Networks", describe_networks),
    Section("settings", "Settings", settings_table, "What was trained on what"),
    Section("curves", "Learning curves", draw_curves),
    Section("results", "Results", result_sections),
    Section("roc", "ROC and precision–recall", show_roc),
    Section("calibration", "Calibration", show_calibration),
    Section("operating-points", "Operating points", show_operating_points),
    Section("abstention", "Abstention", show_abstention),
    Section("subgroups", "Subgroups", show_subgroups),
    Section("shift", "How it may do elsewhere", show_shift),
    Section("stress", "Stress tests", show_stress),
    Section("external", "Data from elsewhere", show_external),
    Section("looks", "Looks at test images", show_looks),
    Section("radiographs", "Radiographs", show_radiographs),
    Section("explanations", "Errors and explanations", show_explanations),
    Section("published", "Published figures", compare_published),
    Section(
        "clinical",
        "How radiologists read",
        describe_reading,
        "How radiologists read COVID-19 pneumonia",
    ),
    Section("model-card", "Model card", fill_form("model-card", each=True), template="form"),
    Section("claim", "CLAIM 2024", fill_form("claim-2024"), template="form"),
    Section("tripod", "TRIPOD+AI", fill_form("tripod-ai"), template="form"),
    Section("provenance", "Provenance", tell_provenance, "Provenance, and how to reproduce this"),
)


#: What a table of predictions has nothing to say of.
_OF_RUNS = frozenset(
    ("data", "audit", "networks", "settings", "curves", "shift", "stress", "external", "looks",
     "radiographs", "explanations", "published", "clinical", "provenance")
)  # fmt: skip


def write_report(
    runs: Place | Sequence[Place],
    out: Place | None = None,
    *,
    images: ImageSource | Data | None = None,
    audit: Place | None = None,
    label_errors: LabelErrors | None = None,
    title: str | None = None,
    compare: bool = False,
    full: bool = False,
) -> Path:
    """Write one self-contained HTML file about runs; several are set side by side.

    First stands what a reader needs, then, folded, an appendix with everything else. The file loads
    nothing; its one script saves what is typed into its forms. Of this machine it holds the names
    of the run folders, not their paths.

    Args:
        runs: One or several RUN folders as training leaves them, with RUN/evaluation/SPLIT/ where
            evaluated, or folders of classifiers; what a run lacks, the report says.
        out: The file to write, whose folder is made; None takes report.html in the first run.
        images: The data, or what gives the (H, W) uint8 pixels of radiographs by name, for the
            grid; None leaves the pictures out, and the report says so.
        audit: An audit.json about the data, whose findings are shown.
        label_errors: The possible ones, from predictions that were held out.
        title: The heading; by default the names of the runs.
        compare: Refuse runs that no split allows to compare image by image.
        full: Leave the appendix open, and print it too.

    Returns:
        The file.

    Raises:
        HilumError: A folder is no run or damaged, runs cannot be compared, or out cannot be
            written.
    """
    folders = [on_disk(run) for run in several(runs)]
    read = read_runs(folders)
    if images is not None and not callable(images):
        images = image_source(images.root if isinstance(images, Dataset) else Path(images))
    found = read_audit(Path(audit), read) if audit else None
    subject = Subject(read, images, found, label_errors)
    judged = all(run.judgement is not None for run in subject.runs)
    parts = [
        (section, section.collect(subject))
        for section in SECTIONS
        if not (judged and section.anchor in _OF_RUNS)
    ]
    if compare:
        _refuse_incomparable(subject)
    synthetic = [run.name for run in subject.runs if run.synthetic]
    return write_page(
        folders[0] / "report.html" if out is None else on_disk(out),
        "report.html.j2",
        what="report",
        sections=[(section, part) for section, part in parts if part is not None],
        title=title or f"Report on {listed(run.name for run in subject.runs)}",
        synthetic=synthetic,
        all_synthetic=len(synthetic) == len(subject.runs),
        warnings=_notes(subject.runs),
        several=subject.several,
        full=full,
    )


def report_on(
    runs: Sequence[Path],
    out: Path | None = None,
    *,
    data: Path | None = None,
    audit: Path | None = None,
    out_of_fold: Sequence[Path] = (),
    explain: bool = True,
    compare: bool = False,
    full: bool = False,
    device: str = "auto",
    progress: Progress | None = None,
    say: Callable[[str], None],
) -> Path:
    """Explain what is not explained yet, and write a report with all that is found of the runs.

    out: by default report.html in the first run. data: the radiographs, by default those of each
    run. audit: by default the one that lies in the first run, that `hilum audit` of its data left
    here, or that `hilum demo` left beside it.
    out_of_fold: predictions.csv of radiographs that were held out, to look for label errors.
    explain: evaluated splits that have no explanations. say: told what of this was found, or why
    it is left out. full: as of write_report, which also says what is returned and raised.
    """
    from hilum.explanation.split import explain_run  # captum takes long to start

    for run in runs if explain else ():
        # without its data a run is not explained; the report says so, and how to do it
        if where := data or data_root(run):
            refused = explain_run(run, where, device=device, progress=progress)
            for name, reason in refused.items():
                say(f"No explanations of {run}, {name}: {reason}")
    root = data or data_root(runs[0])
    if audit is None:
        here = [Path(f"audit-{root.name}")] if root else []
        folders = [runs[0] / "audit", *here, runs[0].parent / "audit"]
        audit = next((a for a in (of / "audit.json" for of in folders) if a.is_file()), None)
        if audit:
            say(f"With the findings of {audit}")
    label_errors = None
    if out_of_fold:
        (read,) = read_runs(runs[:1])
        truth, predictions = read_held_out(out_of_fold, read.tree)
        files = [f"{table.resolve().parent.name}/{table.name}" for table in out_of_fold]
        label_errors = find_label_errors(read.tree, truth, predictions, about={"files": files})
    return write_report(
        runs,
        out or runs[0] / "report.html",
        images=image_source(root) if root else None,
        audit=audit,
        label_errors=label_errors,
        compare=compare,
        full=full,
    )


def _refuse_incomparable(subject: Subject) -> None:
    if subject.compared is None:
        raise HilumError("A comparison needs at least two runs; one was given.")
    if not subject.compared["pairs"]:
        evaluated = "; ".join(
            f"{run.name}: {listed(r.split for r in run.results) or 'no split'}"
            for run in subject.runs
        )
        raise HilumError(
            "These runs cannot be compared: they were not evaluated on the same radiographs with "
            f"the same labels ({evaluated}). Evaluate both on one split: hilum evaluate RUN DATA."
        )


def _notes(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """What runs and evaluations want every reader to know; equal notes are told once.

    First which images are, together, unlike those of training, also of data from elsewhere.
    """
    told = [
        (run.name, result.assessment.arrivals.warning)
        for run in runs
        for result in (*run.results, *run.external)
        if result.assessment and result.assessment.arrivals
    ]
    for run in runs:
        evaluated = (note for result in run.results for note in result.evaluation.notes)
        told += [(run.name, str(note)) for note in (*(run.info.get("notes") or ()), *evaluated)]
    synthetic = {run.name for run in runs if run.synthetic}  # the banner says so above all else
    found: dict[str, list[str]] = {}
    for name, note in told:
        if not note or (note == SYNTHETIC and name in synthetic):
            continue
        if name not in found.setdefault(note, []):
            found[note].append(name)
    return [{"text": text, "runs": names} for text, names in found.items()]
