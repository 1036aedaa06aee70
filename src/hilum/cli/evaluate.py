"""hilum evaluate: evaluate a classifier on a split."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hilum import console
from hilum.cli.options import (
    Data,
    Device,
    Exclude,
    Json,
    Layout,
    Map,
    SkipDamaged,
    Trained,
    open_data,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hilum.evaluation.assess import Assessment
    from hilum.evaluation.files import Evaluation
    from hilum.evaluation.operating import OperatingAssessment, OperatingRow
    from hilum.evaluation.run import EvaluationRun
    from hilum.evaluation.shift import Shift
    from hilum.evaluation.stress import Stress as Stressed
    from hilum.records import Estimate
    from hilum.table import Column


class Stress(StrEnum):
    """How many strengths of each corruption a stress test takes."""

    full = "full"
    quick = "quick"


EXAMPLE = 'hilum evaluate runs/first DATA --split test --operate "covid: recall>=0.95"'


def evaluate(
    classifier: Trained,
    data: Data,
    split: Annotated[
        str,
        typer.Option(help="train, val, test, or all. Data that are not divided are taken whole."),
    ] = "val",
    out: Annotated[
        Path | None,
        typer.Option(
            help="Where predictions.csv, evaluation.json and assessment.json go. "
            "[dim]Default: evaluation/SPLIT in the classifier's folder.[/dim]"
        ),
    ] = None,
    rule: Annotated[
        str | None, typer.Option(help="route or argmax. [dim]Default: the classifier's.[/dim]")
    ] = None,
    operate: Annotated[
        list[str] | None,
        typer.Option(
            help="An operating point: 'LABEL: MEASURE>=VALUE', or DECISION/OPTION. Chosen on the "
            "classifier's validation images, or shifted copies of them. Always shown: "
            "public-health, clinic. Repeatable."
        ),
    ] = None,
    prevalence: Annotated[
        list[str] | None,
        typer.Option(
            help="LABEL=SHARE or FINDING=SHARE: predictive values where it is as common as this."
        ),
    ] = None,
    coverage: Annotated[
        float, typer.Option(help="Share of each class that its prediction sets are to hold.")
    ] = 0.9,
    internal: Annotated[
        Path | None,
        typer.Option(
            help="For other data than the classifier's: the evaluation to compare with. "
            "[dim]Default: the run's own of test, or else of val.[/dim]"
        ),
    ] = None,
    stress: Annotated[
        Stress | None,
        typer.Option(
            help="Also measure it on corrupted copies of the images (another exposure, framing, "
            "sharpness, noise, markers): in five strengths (full), or two of them (quick)."
        ),
    ] = None,
    shift: Annotated[
        bool,
        typer.Option(
            "--shift",
            help="Also measure it on copies in which several things change at once, as they do at "
            "another hospital: how it may do elsewhere.",
        ),
    ] = False,
    exclude: Exclude = None,
    layout: Layout = None,
    label_map: Map = None,
    skip_damaged: SkipDamaged = False,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Evaluate a classifier on a split: every measure, with its interval.

    Where ten or more images are, together, unlike those that trained it, the first line says so.
    """
    from hilum.classifier.classifier import Classifier
    from hilum.evaluation.ledger import describe_looks
    from hilum.evaluation.run import evaluate_run

    model = Classifier.load(classifier, device=device or "auto")
    with console.progress_bar() as progress:
        dataset = open_data(
            data,
            tree=model.tree,
            exclude=exclude,
            layout=layout,
            label_map=label_map,
            every_class=False,
            skip_damaged=skip_damaged,
            progress=progress,
        )
        run = evaluate_run(
            classifier,
            model,
            dataset,
            split,
            out=out,
            rule=rule,
            operate=operate or (),
            prevalence=prevalence or (),
            coverage=coverage,
            internal=internal,
            stress=stress.value if stress else None,
            shift=shift,
            progress=progress,
        )
    if as_json:
        console.print_json(run, reading=dataset.reading())
        return
    result, assessment = run.evaluation, run.assessment
    notes = [*result.notes, *([describe_looks(run.looks)] if run.looks else [])]
    if assessment.arrivals and assessment.arrivals.warning:
        console.print_lines(f"Note: {notes.pop(0)}\n")  # it bears on all that follows
    if result.split != split:
        console.say(f"{run.data} has no split '{split}': all its images are evaluated.")
    if result.findings:
        _print_findings(result, assessment, f"{run.data}, {result.split}: {result.n} images")
    if result.chooses:
        _print_choice(result, assessment, f"{run.data}, {result.split}: {result.n} images")
    _print_rest(run, notes)


def _print_findings(result: "Evaluation", assessment: "Assessment", caption: str) -> None:
    from hilum.evaluation.findings import OVER_FINDINGS
    from hilum.evaluation.operating import ELSEWHERE

    table = result.findings_table()
    console.print_table(caption, table.columns, table.rows)
    console.print_table(
        "Over all findings",
        ["", ""],
        [[OVER_FINDINGS[key].label, value] for key, value in result.over_findings.items()],
    )
    points = [own.operating for own in assessment.findings.values() if own.operating]
    rows = [row for own in points if own.prevalence for row in own.rows]
    if rows:
        _print_predictive(rows)
        console.print_lines(*_unmet(rows), ELSEWHERE)


def _print_choice(result: "Evaluation", assessment: "Assessment", caption: str) -> None:
    from hilum.classifier.validation import HOLDS

    measures = ("precision", "recall", "AUROC")  # the others are in the files
    console.print_table(
        f"{caption}, rule {result.rule}",
        ["class", "images", *_narrow(*measures)],
        [
            [name, m.support, *(getattr(m, measure.lower()) for measure in measures)]
            for name, m in result.per_class.items()
        ],
    )
    console.print_table(
        "Confusion matrix (rows: truth, columns: prediction)",
        ["", *result.classes],
        [[c, *row] for c, row in zip(result.classes, result.confusion_matrix, strict=True)],
    )
    console.print_table(
        "Each decision alone, on the images that belong to it",
        ["decision", "images", "accuracy", "errors caused"],
        [
            [name, d.n, d.accuracy, f"{d.errors_caused} of {result.errors}"]
            for name, d in result.decisions.items()
        ],
    )
    accuracy, error = result.accuracy, assessment.calibration.classes.top_label.ece
    console.print_lines(f"Accuracy: {_text(accuracy)}; in brackets the 95 % intervals.")
    console.print_lines(f"Expected calibration error: {_text(error)}")
    if assessment.operating:
        _print_operating_points(assessment.operating)
    if assessment.conformal:
        sets = assessment.conformal
        console.print_lines(
            f"Prediction sets for {sets.conformal.coverage:.0%}: they hold the truth for "
            f"{_text(sets.covered)}; referred: {_text(sets.referred)}; right on the rest: "
            f"{_text(sets.answered)}" + (f"\n{HOLDS[assessment.holds]}" if assessment.holds else "")
        )


def _print_rest(run: "EvaluationRun", notes: "list[str]") -> None:
    assessment, stressed, drop = run.assessment, run.stress, run.external
    if drop:
        from hilum.table import Column
        from hilum.wording import Style

        console.print_table(
            f"Against {drop.internal['name']}, {drop.internal['split']}",
            [
                "measure",
                *_narrow("there", "here"),
                Column("here − there", style=Style(2, plus=True)),
            ],
            [[d.name, d.internal, d.external, d.drop.turned()] for d in drop.drops],
        )
    if stressed:
        console.print_lines(_describe_stress(stressed, _of(run)))
    if run.shift:
        console.print_lines(_describe_shift(run.shift, _of(run)))
    files = ["predictions.csv", "evaluation.json", "assessment.json"]
    files += ["stress.json"] * bool(stressed) + ["shift.json"] * bool(run.shift)
    console.print_lines(
        *(f"Not measured: {part}: {reason}" for part, reason in assessment.missing.items()),
        *(f"Note: {note}" for note in notes),
        f"Written: {run.out}/ ({', '.join(files)})",
    )


def _of(run: "EvaluationRun") -> str:
    """What an accuracy is, in words."""
    return "accuracy" if run.evaluation.chooses else "findings called rightly"


def _describe_stress(stress: "Stressed", accuracy: str) -> str:
    worst, found = stress.worst, stress.stressed
    return (
        f"Under stress ({len(stress.corruptions)} corruptions in {len(stress.strengths)} "
        f"strengths): {accuracy} {_text(found.measures.accuracy)}, a drop of "
        f"{_text(found.drop.accuracy)}; worst under {worst.name}: "
        f"{_text(worst.mean.measures.accuracy)}"
    )


def _describe_shift(shift: "Shift", accuracy: str) -> str:
    found = shift.kinds[shift.hardest]
    return (
        f"How it may do elsewhere: {accuracy} {_text(shift.clean.accuracy)} on films like these, "
        f"{_text(found.measures.accuracy)} where several things change at once "
        f"({shift.hardest}, {shift.draws} copies of each); beyond that it is unknown."
        + "".join(
            f"\n{kept.name}, {kept.measure}: {_text(kept.clean)} on films like these, "
            f"{_text(kept.hardest)} there"
            for kept in shift.promises
        )
    )


def _print_operating_points(operating: "OperatingAssessment") -> None:
    from hilum.table import Column

    rows: list[list[Any]] = []
    elsewhere: list[list[Any]] = []
    for row in operating.rows:
        chosen = row.point.chosen
        if chosen is None or chosen.threshold is None or row.result is None:
            continue
        m = row.result.measured
        name = _name_of(row)
        rows.append([name, chosen.threshold, m.sensitivity, m.specificity])
        ranges = [row.elsewhere(measure) for measure in ("sensitivity", "specificity")]
        if any(ranges):
            elsewhere.append([name, *(f"{r[0]:.2f} to {r[1]:.2f}" if r else "" for r in ranges)])
    console.print_table(
        "Operating points",
        ["positive for", "from", *_narrow("sensitivity", "specificity")],
        rows,
    )
    if elsewhere:
        console.print_table(
            "Elsewhere reckon with, if films differ as shifted ones do",
            ["positive for", Column("sensitivity", "text"), Column("specificity", "text")],
            elsewhere,
        )
    _print_predictive(operating.rows)
    console.print_lines(*_unmet(operating.rows), *operating.notes)


def _print_predictive(points: "Sequence[OperatingRow]") -> None:
    rows: list[list[Any]] = []
    for row in points:
        if row.result is not None:
            m, at = row.result.measured, row.at_prevalence
            rows.append([_name_of(row), "here", m.ppv, m.npv])
            if at:
                rows.append([_name_of(row), f"{at.prevalence:g}", at.ppv, at.npv])
    console.print_table(
        "Predictive values, which hang on how common it is",
        ["positive for", "common", *_narrow("PPV", "NPV")],
        rows,
    )


def _unmet(points: "Sequence[OperatingRow]") -> list[str]:
    """Why operating points have no threshold, or one that does not meet what was demanded."""
    said = []
    for row in points:
        chosen = row.point.chosen
        if row.result is None or chosen is None:
            said.append(row.summary())
        elif not chosen.satisfied:
            said.append(f"* {row.point}: {chosen.reason}")
    return said


def _name_of(row: "OperatingRow") -> str:
    """An operating point, with a star where its demand could not be met."""
    return f"{row.point}{'' if row.point.chosen and row.point.chosen.satisfied else ' *'}"


def _narrow(*names: str) -> "list[Column]":
    """Columns of estimates with two decimals, so that three of them fit a terminal."""
    from hilum.table import Column
    from hilum.wording import NARROW

    return [Column(name, style=NARROW) for name in names]


def _text(estimate: "Estimate") -> str:
    """An estimate as in the tables: what is undefined is a dash and why."""
    from hilum.wording import PLAIN, Cell

    return Cell(estimate).text(PLAIN)
