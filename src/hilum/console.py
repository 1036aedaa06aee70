"""What the command line shows: tables, progress and refusals.

Results go to standard output, progress and messages to standard error. In a terminal they are
coloured; in a pipe they are plain text, so that ``hilum … | grep`` and log files stay clean.
"""

import json
import os
import re
import shlex
import shutil
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from hilum.auditing.findings import Finding
    from hilum.auditing.leaks import Copies
    from hilum.pipeline import WriteUp
    from hilum.radiographs.pixels import Progress
    from hilum.table import Column
    from hilum.training.checkpoint import Row


#: Sentences are wrapped at so many characters in a terminal, however wide it is.
LINE = 80
#: What may be copied: a command at a line's end, and one within a sentence with its options.
_COMMAND = re.compile(
    r"(?:^\s*|: )(?:\$ )?hilum [a-z].*$"
    r"|\b(?:pip install|hilum) (?:'[^']*'|[\w.\[\]-]+)(?: (?:--?[a-z][\w-]*|'[^']*'|\S*[/.=]\S+))*"
)
_BULLETS = " -→"
#: What a terminal obeys and does not show, but for tabs and the ends of lines; names may have it.
_OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
#: So many warnings are printed; the report has all.
HEEDED = 3


def print_table(
    caption: str, columns: Sequence["str | Column"], rows: Sequence[Sequence[Any]]
) -> None:
    """Print a table, in a terminal within its width. columns, rows: as of hilum.table.Table."""
    from hilum.table import Table

    width = _width(sys.stdout)
    text = shown(Table(caption, columns, rows).text(width))
    if width is not None:
        said = len(shown(Table(caption, [], []).text(width)))
        text = f"\033[1m{text[:said]}\033[0m{text[said:]}"
    sys.stdout.write(f"{text}\n\n")


def print_lines(*texts: str) -> None:
    """Print lines of results; a terminal gets them wrapped."""
    sys.stdout.writelines(f"{_for(sys.stdout, text)}\n" for text in texts)


def _width(stream: TextIO) -> int | None:
    """The columns of a terminal; None where a stream leads elsewhere."""
    return shutil.get_terminal_size().columns if stream.isatty() else None


def _for(stream: TextIO, text: str) -> str:
    """A text as a stream shows it: a terminal in lines of at most 80 characters."""
    width, text = _width(stream), shown(text)
    return text if width is None else wrapped(text, min(width, LINE))


def shown(text: str) -> str:
    r"""A text in which what a terminal would obey is written out: ``\x1b``."""
    return _OBEYED.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def wrapped(text: str, width: int = LINE) -> str:
    """A text in lines of at most so many characters; the lines that it has stay apart.

    No word, path or command is broken, so that it can be copied: those may be longer. What follows
    a bullet stands below its text.
    """
    lines = []
    for line in text.split("\n"):
        kept = _COMMAND.sub(lambda found: found[0].replace(" ", "\0"), line)
        indent = line[: len(line) - len(line.lstrip(_BULLETS))]
        lines += textwrap.wrap(
            kept, width, subsequent_indent=" " * len(indent), break_long_words=False,
            break_on_hyphens=False,
        ) or [""]  # fmt: skip
    return "\n".join(lines).replace("\0", " ")


def command(*words: object) -> str:
    """A command as it can be copied into a shell."""
    return shlex.join(map(str, words))


def print_write_up(result: "WriteUp", data: object) -> None:
    """Print the figures of what was held out, what to heed, and what can be done next."""
    from hilum.evaluation.findings import OVER_FINDINGS
    from hilum.evaluation.measures import OVERALL

    found = result.evaluations
    if found:
        first = next(iter(found.values()))
        rows: list[list[Any]] = []
        if first.chooses:
            rows += [
                [measure.name, *(e.overall[name] for e in found.values())]
                for name, measure in OVERALL.items()
            ]
            rows += [
                [f"recall of {name}", *(e.per_class[name].recall for e in found.values())]
                for name in first.classes
            ]
        if first.over_findings:
            rows += [
                [of.label, *(e.over_findings[key] for e in found.values())]
                for key, of in OVER_FINDINGS.items()
            ]
        caption = f"Held out: {result.split}, {first.n:,} images; in brackets 95 % intervals"
        print_table(caption, ["", *found], rows)
        for name, evaluation in found.items():
            if evaluation.findings:
                table = evaluation.findings_table()
                of = f" of {name}" if len(found) > 1 else ""
                print_table(f"{table.caption}{of}", table.columns, table.rows)
    else:
        print_lines("Nothing was held out that could be evaluated.", "")
    if result.warnings:
        print_lines("Heed:")
        for text in result.warnings[:HEEDED]:
            print_lines(wrapped(f"  - {text}"))
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
    sys.stdout.write(json.dumps(plain, indent=2, ensure_ascii=False) + "\n")


def say(*texts: str) -> None:
    """Print messages for a person; a terminal gets them wrapped."""
    sys.stderr.writelines(f"{_for(sys.stderr, text)}\n" for text in texts)


def refuse(text: str) -> None:
    """Print why something was refused."""
    _write_marked(sys.stderr, "hilum:", text, "1;31")


def _write_marked(stream: TextIO, mark: str, text: str, colour: str) -> None:
    """Write a sentence behind a mark that has a colour in a terminal."""
    on, off = (f"\033[{colour}m", "\033[0m") if stream.isatty() else ("", "")
    stream.write(f"{on}{mark}{off}{_for(stream, f'{mark} {text}').removeprefix(mark)}\n")


def print_finding(finding: "Finding") -> None:
    """Print a finding of an audit: how much it matters, what it means, what to do."""
    colour = {"critical": "1;31", "warning": "33", "note": "36"}.get(finding.severity, "32")
    _write_marked(sys.stdout, f"{finding.severity.upper()}:", finding.title, colour)
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
    with training_table() as (progress, _):
        yield progress


@contextmanager
def training_table(
    *,
    quiet: bool = False,
) -> Iterator[tuple["Progress | None", "Callable[[Row], None]"]]:
    """What shows a training on standard error: its progress, and the rows of its history.

    In a terminal a table has a line for each decision, which changes with every epoch, and below
    it is the progress bar; both are gone when the training ends. Elsewhere there is no bar, and
    every epoch is a line. quiet: show nothing, because another process does.
    """
    if quiet:
        yield None, lambda row: None
        return
    if not sys.stderr.isatty():
        yield None, say_epoch
        return
    from rich.console import Console, Group
    from rich.live import Live
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar
    from rich.table import Column as BarsColumn
    from rich.text import Text

    # what is done may be cut, so that the line never wraps
    column = BarsColumn(no_wrap=True, ratio=1)
    said = TextColumn("{task.description}", markup=False, table_column=column)
    bar = Bar(said, BarColumn(20), MofNCompleteColumn(), TimeRemainingColumn(), expand=True)
    task = bar.add_task("", total=None, visible=False)
    trained = Trained()
    told = ""

    def update(what: str, done: int, total: int) -> None:
        nonlocal told
        if what != told:
            bar.reset(task, description=shown(what), total=total, visible=True)
            live.refresh()
            told = what
        bar.update(task, completed=done)

    def add(row: "Row") -> None:
        trained.add(row, time.monotonic())
        live.update(Group(Text(shown(trained.text(shutil.get_terminal_size().columns))), bar))

    with Live(bar, console=Console(stderr=True), transient=True) as live:
        yield update, add


class Trained:
    """The table of a training under way: the last epoch of each decision."""

    def __init__(self) -> None:
        self._rows: list[Row] = []
        self._began = self._left = 0.0
        self._seen = 0

    def add(self, row: "Row", now: float) -> None:
        """Add an epoch that has just ended. now: seconds, from any moment on."""
        before = self._rows[-1] if self._rows else None
        if before and before["decision"] == row["decision"] and before["epoch"] < row["epoch"]:
            self._rows[-1] = row
        else:
            self._rows.append(row)
            self._began, self._seen = now - row["seconds"], 0
        self._seen += 1
        self._left = (now - self._began) / self._seen * (row["epochs"] - row["epoch"])

    def text(self, width: int) -> str:
        """The table in so many columns; the time left is that of the decision in training."""
        from hilum.table import Column, Table
        from hilum.wording import Style, duration

        figures = ("train_loss", "train_accuracy", "monitor_loss", "monitor_accuracy")
        names = ("loss", "accuracy", "loss", "accuracy")
        columns: list[str | Column] = [
            "",
            "epoch",
            *(Column(n, style=Style(3)) for n in names),
            "images/s",
            "left",
        ]
        rows = [
            [
                row["decision"],
                f"{row['epoch']}/{row['epochs']}",
                *(row[figure] for figure in figures),
                f"{row['images_per_second']:.0f}",
                duration(self._left) if self._left and row is self._rows[-1] else None,
            ]
            for row in self._rows
        ]
        over = ["", "", "train", "train", "monitored", "monitored", "", ""]
        return Table("Training", columns, rows, over=over).text(width)
