"""hilum judge: what a table of predictions, or published figures, show of anybody's model."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from hilum import console
from hilum.cli.options import Classes, Json

EXAMPLE = (
    'hilum judge predictions.csv --against other.csv --claim "AUROC > 0.9" · '
    "hilum judge --accuracy 0.79 --n 24 --against-accuracy 0.75"
)


class Scores(StrEnum):
    """What the scores of a table are."""

    probabilities = "probabilities"
    logits = "logits"
    scores = "scores"
    labels = "labels"


class ChosenOn(StrEnum):
    """Where a threshold was chosen."""

    validation = "validation"
    test = "test"
    unknown = "unknown"


def judge(
    predictions: Annotated[
        Path | None,
        typer.Argument(
            help="A table of the truth and of scores or classes: CSV, Parquet, JSON Lines, NPZ."
        ),
    ] = None,
    against: Annotated[
        Path | None, typer.Option(help="Another model's table of the same cases.")
    ] = None,
    validation: Annotated[
        Path | None,
        typer.Option(
            help="A table of other cases, on which temperatures, thresholds and prediction sets "
            "are chosen, to be measured on these."
        ),
    ] = None,
    train: Annotated[
        Path | None,
        typer.Option(help="A table of what the model was trained on: are its cases here?"),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            help="The images of the cases: subgroups by how they look, and copies among other "
            "images of train there."
        ),
    ] = None,
    claim: Annotated[
        list[str] | None,
        typer.Option(
            help="'AUROC > 0.90', 'recall of covid >= 0.9', 'accuracy > OTHER + 0.02', 'accuracy "
            "alike across site within 0.05', … Repeatable. [dim]Default: the usual ones.[/dim]"
        ),
    ] = None,
    columns: Annotated[
        str, typer.Option(help="What columns mean: 'truth=label,patient=pid,p:covid=prob_1'.")
    ] = "",
    classes: Classes = None,
    scores: Annotated[
        Scores | None, typer.Option(help="What the scores are. [dim]Default: looked at.[/dim]")
    ] = None,
    chosen_on: Annotated[
        ChosenOn, typer.Option(help="Where the threshold behind predicted classes was chosen.")
    ] = ChosenOn.unknown,
    leave_out_missing: Annotated[
        bool,
        typer.Option("--leave-out-missing", help="Leave out cases without scores, and say so."),
    ] = False,
    operate: Annotated[
        list[str] | None,
        typer.Option(
            help="An operating point, chosen on --validation: 'LABEL: MEASURE>=VALUE'. Repeatable."
        ),
    ] = None,
    prevalence: Annotated[
        list[str] | None,
        typer.Option(help="LABEL=SHARE: predictive values where a finding is as common as this."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Where judgement.json, the evaluation and report.html go. "
            "[dim]Default: judged-NAME.[/dim]"
        ),
    ] = None,
    confusion: Annotated[
        str | None,
        typer.Option(
            help="Instead of a table a confusion matrix, rows are the truth: '7,1,0;0,8,0;0,4,4'."
        ),
    ] = None,
    accuracy: Annotated[
        float | None,
        typer.Option(help="Instead of a table a published accuracy (or sensitivity) of --n cases."),
    ] = None,
    n: Annotated[int | None, typer.Option("--n", help="Of how many cases it is.")] = None,
    against_accuracy: Annotated[
        float | None, typer.Option(help="The other model's: could the order be chance?")
    ] = None,
    against_n: Annotated[
        int | None,
        typer.Option(help="Of how many cases that is. [dim]Default: the same cases.[/dim]"),
    ] = None,
    as_json: Json = False,
) -> None:
    """Judge anybody's model by a table of its predictions: what may be claimed, and what not.

    Also from published figures alone (--accuracy, --confusion).
    """
    from hilum.errors import EvaluationError

    given = [predictions is not None, accuracy is not None, confusion is not None]
    if sum(given) != 1:
        raise EvaluationError(
            "Give a table of predictions, or figures alone: --accuracy with --n, or --confusion."
        )
    if accuracy is not None:
        _judge_figures(accuracy, n, against_accuracy, against_n, as_json)
        return
    from hilum.judging.judge import judge as run_judge
    from hilum.judging.judge import judge_matrix

    if confusion is not None:
        found = judge_matrix(confusion, classes=classes, claims=claim or (), out=out)
    else:
        assert predictions is not None
        if out is None:
            out = Path(f"judged-{predictions.name.split('.')[0]}")
        with console.progress_bar() as progress:
            found = run_judge(
                predictions,
                data=data,
                progress=progress,
                against=against,
                validation=validation,
                train=train,
                claims=claim or (),
                columns=columns,
                classes=classes,
                kind=scores.value if scores else None,
                chosen_on=chosen_on.value,
                leave_out_missing=leave_out_missing,
                operate=operate or (),
                prevalence=prevalence or (),
                out=out,
            )
    page = None
    if out is not None:
        from hilum.reporting.report import write_report

        page = write_report(out)
    if as_json:
        console.print_json(found.judgement)
        return
    from hilum.judging.scores import KINDS

    judgement = found.judgement
    console.print_lines(judgement.reading, KINDS[judgement.kind], "")
    table = judgement.table()
    console.print_table(table.caption, table.columns, table.rows)
    console.print_lines(*(f"{sentence.text}" for sentence in judgement.verdict))
    console.print_lines("", *(f"Note: {note}" for note in judgement.notes))
    if page is not None:
        console.print_lines(f"Written: {page.parent}/ (judgement.json, {page.name}, evaluation/)")


def _judge_figures(
    accuracy: float,
    n: int | None,
    against: float | None,
    against_n: int | None,
    as_json: bool,
) -> None:
    from hilum.errors import EvaluationError
    from hilum.statistics.chance import chance_of_order, share_of

    if n is None:
        raise EvaluationError("Say of how many cases the accuracy is: --n 24.")
    if against is None:
        found = share_of(accuracy, n)
        if as_json:
            console.print_json(found)
        else:
            console.print_lines(f"{found.in_words(2)} of {n:,} cases (95 % interval, Wilson).")
        return
    chance = chance_of_order(accuracy, n, against, against_n)
    if as_json:
        console.print_json(chance, sentence=chance.sentence)
    else:
        console.print_lines(chance.sentence)
