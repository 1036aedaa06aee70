"""What the command line shows: tables, progress and refusals.

Results go to standard output, progress and messages to standard error. In a terminal they are
coloured; in a pipe they are plain text, so that ``hilum … | grep`` and log files stay clean.
"""

import json
import os
import shlex
import sys
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hilum.auditing.findings import Finding
    from hilum.auditing.leaks import Copies
    from hilum.pipeline import WriteUp
    from hilum.radiographs.pixels import Progress
    from hilum.table import Column
    from hilum.training.checkpoint import Row


#: So many warnings are printed; the report has all.
HEEDED = 3


def print_table(
    caption: str, columns: Sequence["str | Column"], rows: Sequence[Sequence[Any]]
) -> None:
    """Print a table. columns, rows: as of hilum.table.Table."""
    from hilum.table import Table

    table = Table(caption, columns, rows)
    if not sys.stdout.isatty():
        print_lines(table.text() + "\n")
        return
    from rich.console import Console
    from rich.table import Table as Grid
    from rich.text import Text

    grid = Grid(title=caption, title_justify="left", title_style="bold", header_style="cyan")
    for k, column in enumerate(columns):
        name = column if isinstance(column, str) else column.name
        grid.add_column(name, justify="right" if k else "left")
    for row in rows:
        void = ["dim" if getattr(cell, "kind", "") == "void" else "" for cell in row]
        grid.add_row(*map(Text, table.strings(row), void))
    Console().print(grid)


def print_lines(*texts: str) -> None:
    """Print lines of results."""
    sys.stdout.writelines(f"{text}\n" for text in texts)


def command(*words: object) -> str:
    """A command as it can be copied into a shell."""
    return shlex.join(map(str, words))


def print_write_up(result: "WriteUp", data: object) -> None:
    """Print the figures of what was held out, what to heed, and what can be done next."""
    from hilum.evaluation.measures import OVERALL

    found = result.evaluations
    if found:
        first = next(iter(found.values()))
        rows: list[list[Any]] = [
            [measure.name, *(e.overall[name] for e in found.values())]
            for name, measure in OVERALL.items()
        ]
        rows += [
            [f"sensitivity for {name}", *(e.per_class[name].recall for e in found.values())]
            for name in first.classes
        ]
        caption = f"Held out: {result.split}, {first.n:,} images; in brackets 95 % intervals"
        print_table(caption, ["", *found], rows)
    else:
        print_lines("Nothing was held out that could be evaluated.", "")
    if result.warnings:
        print_lines("Heed:")
        for text in result.warnings[:HEEDED]:
            print_lines(
                textwrap.fill(text, 80, initial_indent="  - ", subsequent_indent="    ",
                              break_long_words=False, break_on_hyphens=False)
            )  # fmt: skip
        if (more := len(result.warnings) - HEEDED) > 0:
            print_lines(f"  and {more} more, in the report")
        print_lines("")
    run = result.runs[0]
    print_lines(
        f"Report: {result.report}",
        "Next:",
        f"  {command('hilum', 'serve', run)}",
        f"  {command('hilum', 'predict', run, data, '--out', 'predictions.csv')}",
    )


def finish() -> None:
    """Write out what is buffered; a reader that has gone away, as in `| head`, is no error."""
    try:
        sys.__stdout__.flush()  # type: ignore[union-attr]
    except BrokenPipeError:
        # what is left goes nowhere, or the interpreter would complain of it when it ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.__stdout__.fileno())  # type: ignore[union-attr]


def print_json(value: Any, **beside: Any) -> None:
    """Print a value for a program to read: plain ones, and results as in their files.

    beside: further keys of a result.
    """
    from hilum.codec import to_plain

    plain = to_plain(value)
    plain = {**plain, **beside} if beside else plain
    print_lines(json.dumps(plain, indent=2, ensure_ascii=False))


def say(*texts: str) -> None:
    """Print messages for a person."""
    sys.stderr.writelines(f"{text}\n" for text in texts)


def refuse(text: str) -> None:
    """Print why something was refused."""
    red, plain = ("\033[1;31m", "\033[0m") if sys.stderr.isatty() else ("", "")
    say(f"{red}hilum:{plain} {text}")


def print_finding(finding: "Finding") -> None:
    """Print a finding of an audit: how much it matters, what it means, what to do."""
    colour = {"critical": "1;31", "warning": "33", "note": "36"}.get(finding.severity, "32")
    on, off = (f"\033[{colour}m", "\033[0m") if sys.stdout.isatty() else ("", "")
    print_lines(f"{on}{finding.severity.upper()}{off}: {finding.title}")
    if finding.severity != "passed":
        print_lines(f"  {finding.meaning}")
    if finding.advice:
        print_lines(f"  → {finding.advice}")


def say_odd(odd: int, total: int, void: str) -> None:
    """Print that pictures are unlike the training radiographs, if any. void: what means nothing."""
    from hilum.errors import plural

    if odd:
        say(
            f"{odd} of {plural(total, 'picture')} {'is' if odd == 1 else 'are'} unlike the "
            f"training radiographs: no class is named, and {void} means nothing."
        )


def say_copies(copies: "Copies") -> None:
    """Print which images stand in two parts of the data, the first of them."""
    say(f"Note: {copies.sentence}", *(f"  {line}" for line in copies.names[:5]))


def say_epoch(row: "Row") -> None:
    """Print a line of the history."""
    monitored = ""
    if row["monitor_loss"] is not None:
        monitored = (
            f"  monitored loss {row['monitor_loss']:.4f}  accuracy {row['monitor_accuracy']:.4f}"
        )
    say(
        f"{row['decision']}  epoch {row['epoch']:>{len(str(row['epochs']))}}/{row['epochs']}"
        f"  train loss {row['train_loss']:.4f}  accuracy {row['train_accuracy']:.4f}{monitored}"
        f"  {row['images_per_second']:.0f} images/s"
    )


@contextmanager
def progress_bar() -> Iterator["Progress | None"]:
    """A progress bar on standard error while something runs; None where that is no terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    said = TextColumn("{task.description}")
    columns = (said, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)
        shown = ""

        def update(what: str, done: int, total: int) -> None:
            nonlocal shown
            if what != shown:
                bar.reset(task, description=what, total=total)
                shown = what
            bar.update(task, completed=done)

        yield update
