"""The page of a watch: verdict, estimates and what to label on one screen; tests and runs below."""

from collections.abc import Sequence
from operator import methodcaller
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes

from hilum.records import Estimate
from hilum.reporting.page import Section, write_page
from hilum.reporting.svg import FAINT, SERIES, UNIT_TICKS, draw_svg, lay_lines
from hilum.table import Column, Columns, Row, Table
from hilum.watching.history import Line
from hilum.watching.watch import Answer, Watch

#: Markers of the lines of the series, and their names in its legend.
_MARKS = {"o": "dots", "s": "squares", "D": "diamonds", "^": "triangles"}

#: Of more runs than this the series shows the last ones.
_RUNS = 52

_SECTIONS = (
    Section("verdict", "Verdict", methodcaller("get", "verdict"), heading="Is it still the same?",
            template="watched", front=True),
    Section("tests", "Tests", methodcaller("get", "tests"), template="watch-tests"),
    Section("runs", "Runs", methodcaller("get", "runs"), template="watch-runs"),
)  # fmt: skip


def write_watch_page(watch: Watch, out: Path) -> Path:
    """Write what a watch found, as write_page does: one file, which names files to label."""
    series = _names(watch)
    chart = _series(watch, series)
    parts: dict[str, Any] = {
        "verdict": {
            "watch": watch,
            "cards": [_card(a) for a in watch.answers],
            "chart": chart,
            "lines": [(n, mark) for (_, n), mark in zip(series, _MARKS.values(), strict=False)],
        },
        "tests": {"watch": watch},
        **({"runs": {"table": _runs_table(watch)}} if watch.history else {}),
    }
    return write_page(
        out,
        "watch.html.j2",
        sections=[(s, part) for s in _SECTIONS if (part := s.collect(parts)) is not None],
        title=f"Watch of {watch.n:,} images",
        watch=watch,
        full=False,
    )


def _card(answer: Answer) -> dict[str, Any]:
    """The accuracy of a question: by labels, else as estimated, else why there is none."""
    labelled = answer.labelled if answer.labelled and answer.labelled.value is not None else None
    shown = labelled or answer.accuracy
    return {
        "title": answer.measure.capitalize(),
        "estimate": shown,
        "by": f"by {labelled.n} labels" if labelled else "estimated without labels",
    }


def _names(watch: Watch) -> list[tuple[str, str]]:
    """Question and class of each line of the series, at most as many as there are colours."""
    return [
        (answer.name, name)
        for answer in watch.answers
        for name in answer.validation
        if not answer.name or name == answer.name
    ][: len(SERIES)]


def _series(watch: Watch, names: Sequence[tuple[str, str]]) -> str:
    """The estimated shares of the last runs as inline SVG, alarms marked; '' of one run."""
    lines = watch.history[-_RUNS:]
    if len(lines) < 2:
        return ""
    first = len(watch.history) - len(lines) + 1
    x = list(range(first, first + len(lines)))

    def draw(axes: Axes) -> None:
        for at, line in zip(x, lines, strict=True):
            if line.alarm:
                axes.axvline(at, color=FAINT, linewidth=5)
        for colour, (question, name), style in zip(SERIES, names, _MARKS, strict=False):
            shares = [_share(line, question, name) for line in lines]
            axes.plot(x, shares, color=colour, marker=style, markersize=3.4, linewidth=1.6)
        axes.set_ylim(0, 1)
        axes.set_yticks(*UNIT_TICKS)
        step = max(1, len(x) // 8)
        axes.set_xticks(x[::step])
        lay_lines(axes, "run", "estimated share")

    said = "; ".join(
        f"{name} {_share(lines[0], question, name):.2f} to {_share(lines[-1], question, name):.2f}"
        for question, name in names
    )
    alt = f"Estimated shares from run {x[0]} to {x[-1]}: {said}. Grey bands are alarms."
    return draw_svg(draw, (4.6, 2.3), alt=alt)


def _share(line: Line, question: str, name: str) -> float:
    found = line.shares.get(question, {}).get(name)
    return float("nan") if found is None or found.value is None else found.value


def _runs_table(watch: Watch) -> Table:
    """A row for each run, the last one first."""
    measures = [answer.measure for answer in watch.answers]
    columns: Columns = [Column("run", "text"), "images", Column("", "text"), *measures]
    rows: list[Row] = [
        [
            line.made,
            line.sums.n,
            "alarm" if line.alarm else "",
            *(line.accuracy.get(a.name, Estimate.undefined("")) for a in watch.answers),
        ]
        for line in reversed(watch.history)
    ]
    return Table("All runs", columns, rows)
