"""hilum predict: classify radiographs, from one to any number."""

import sys
from itertools import islice
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hilum import console
from hilum.cli.options import (
    Address,
    Device,
    Json,
    KeepIdentifiers,
    Runtime,
    Trained,
    cluster_of,
)

if TYPE_CHECKING:
    from hilum.classifier.arrivals import Arrivals
    from hilum.prediction.table import Table
    from hilum.predictions import Prediction

EXAMPLE = "hilum predict runs/first image.png folder/ --out predictions.csv"

_SHOWN = 1000  # rows that are printed; a table longer than this belongs into a file


def predict(
    classifier: Trained,
    inputs: Annotated[
        list[str],
        typer.Argument(
            help="Files, folders (every image below), URLs of these, 'patterns/**/*.png', @FILE (a "
            "list of paths) and - (the same from standard input)."
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            help="Write a row each to a .csv, .jsonl or .parquet file instead of printing. If it "
            "was begun before, go on."
        ),
    ] = None,
    operate: Annotated[
        list[str] | None,
        typer.Option(
            help="Add a column for an operating point: 'LABEL: MEASURE>=VALUE', or public-health, "
            "clinic. Chosen on the classifier's validation images, or shifted copies of them. "
            "Repeatable."
        ),
    ] = None,
    coverage: Annotated[
        float | None,
        typer.Option(
            help="Share of each class that its prediction sets are to hold. [dim]Default: 0.9, if "
            "the classifier was calibrated.[/dim]"
        ),
    ] = None,
    restart: Annotated[
        bool, typer.Option("--restart", help="Begin the file anew, whatever it holds.")
    ] = False,
    keep_identifiers: KeepIdentifiers = False,
    engine: Annotated[
        str,
        typer.Option(
            help="local, or ray: workers of a Ray cluster write Parquet files into the folder "
            r"--out; pip install 'hilum\[ray]'."
        ),
    ] = "local",
    address: Address = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Of Ray. [dim]Default: one for each processor, or GPU with --device cuda.[/dim]",
        ),
    ] = None,
    runtime: Runtime = "auto",
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Classify radiographs: the probability of every class and decision.

    Where ten or more are, together, unlike those that trained it, the first line says so. Exit
    code 1 says that some files could not be read; their rows say why.
    """
    from hilum.classifier.arrivals import judge_arrivals
    from hilum.errors import DataError, Interrupted
    from hilum.exporting.runtime import load_to_predict
    from hilum.prediction.predict import predict_each, predict_files
    from hilum.prediction.table import StudyNames, Table
    from hilum.radiographs.layouts import no_images

    cluster = cluster_of(engine, address, workers)
    if cluster and (out is None or out.suffix):
        raise DataError("The engine ray writes Parquet files into a folder: name it with --out.")
    lines = sys.stdin.buffer
    others: list[PurePath] = []
    if cluster is None:
        model, kind = load_to_predict(classifier, runtime, device, say=console.say)
    if out is None:
        if restart:
            raise DataError("--restart begins a file anew: name it with --out.")
        table = Table.of(model, operate or (), coverage, StudyNames(Path(), keep_identifiers))
        found = predict_each(model, inputs, table, stdin=lines, others=others)
        rows = list(islice(found, _SHOWN + 1))
        if len(rows) > _SHOWN:
            raise DataError(f"More than {_SHOWN} images: write them to a file with --out.")
        p_values = (p.gate_p_value for p in rows if p.gate_p_value is not None)
        arrivals = judge_arrivals(model.gate, p_values)
        failed = print_predictions(rows, table, as_json, arrivals, _reading(others))
        images = len(rows)
    else:
        try:
            with console.progress_bar() as progress:
                shared: dict[str, Any] = {
                    "operate": operate or (),
                    "coverage": coverage,
                    "restart": restart,
                    "keep_identifiers": keep_identifiers,
                    "stdin": lines,
                    "progress": progress,
                }
                if cluster:
                    from hilum.prediction.on_ray import predict_on_ray

                    done = predict_on_ray(
                        classifier, inputs, out, runtime=runtime, device=device, cluster=cluster,
                        say=console.say, **shared,
                    )  # fmt: skip
                else:
                    done = predict_files(model, inputs, out, runtime=kind, others=others, **shared)
        except KeyboardInterrupt:
            raise Interrupted(
                f"Stopped. The rows in {out} stay, and the same command goes on with the rest."
            ) from None
        failed, images = done.failed, done.images
        if done.arrivals and done.arrivals.warning:
            console.say(done.arrivals.warning)
        if as_json:
            console.print_json(done, reading=_reading(others))
        before = f", {done.found} of them from before" if done.found else ""
        console.say(f"Written: {out} ({images} images{before})")
        if done.redone:
            console.say(f"{done.redone} rows were made anew: pictures have changed since.")
    console.say(*(left.in_words() for left in no_images(others)))
    if failed:
        console.say(f"{failed} of {images} files cannot be read; their rows say why.")
        raise typer.Exit(1)


def _reading(others: "list[PurePath]") -> dict[str, Any]:
    """Which files were not read, because they are no images: for --json."""
    from hilum.radiographs.layouts import no_images

    return {"left_out": [{"note": left.note, "names": left.names} for left in no_images(others)]}


def print_predictions(
    found: "list[Prediction]",
    table: "Table",
    as_json: bool,
    arrivals: "Arrivals | None" = None,
    reading: dict[str, Any] | None = None,
) -> int:
    """Print what was found, and first what is said of all together.

    reading: what else is in the JSON, of how the files were read.

    Returns how many files could not be read.
    """
    from hilum.classifier.conformal import ODD
    from hilum.wording import PLAIN, Cell

    if arrivals and arrivals.warning:
        console.say(arrivals.warning)
    unread = [p for p in found if p.reason]
    if as_json:
        nested = [table.nest(p) for p in found]
        for one in nested:
            by = (one.get("probs", {}), one.get("findings", {}))
            for probs in (*by, *one.get("decisions", {}).values()):
                probs.update({name: round(p, 6) for name, p in probs.items()})
        console.print_json({"arrivals": arrivals, "predictions": nested}, reading=reading)
        return len(unread)
    classes = table.tree.classes if table.tree.decisions else ()
    findings = [finding.name for finding in table.tree.findings]
    said = [c for c in table.columns if c in ("predicted", "present")]
    # of what else there is, the table shows what is short
    also = [c for c in table.columns if c in ("set", "possible", "referral")]

    def row(p: "Prediction") -> list[Any]:
        more = {"set": "|".join(p.held or ()), "possible": "|".join(p.possible or ())}
        more |= {"referral": p.referral}
        cells: list[Any] = [*(p.probs.get(c, "") for c in classes)]
        cells += [*(p.findings.get(f, "") for f in findings), *(more[c] for c in also)]
        if p.reason:
            return [p.path, p.status, *[""] * (len(said) - 1), *cells]
        if p.referral != ODD:
            words = {"predicted": p.predicted, "present": "|".join(p.present) or "none"}
            return [p.path, *(words[c] for c in said), *cells]
        texts = (PLAIN.number(c) if isinstance(c, float) else c for c in cells if c != ODD)
        return [p.path, *[""] * len(said), *(Cell(f"({text})", kind="void") for text in texts), ODD]

    console.print_table(
        "Predictions: research software, not a diagnosis",
        ["image", *said, *classes, *findings, *also],
        [row(p) for p in found],
    )
    odd = sum(p.referral == ODD for p in found)
    console.say_odd(odd, len(found), "what stands in brackets")
    for p in unread:
        console.say(f"{p.path}: {p.reason}")
    return len(unread)
