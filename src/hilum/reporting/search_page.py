"""The page of a search: its course, what mattered, and every trial, as one HTML file."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from matplotlib.axes import Axes

from hilum.reporting.page import write_page
from hilum.reporting.svg import (
    FAINT,
    INK,
    SERIES,
    draw_svg,
    lay_lines,
    lay_rows,
    legend_above,
    shorten,
)
from hilum.search.results import Importance, SearchResult, TrialResult
from hilum.table import Column, Columns, Rows, Table
from hilum.wording import bare, duration

_SIZE: Final = (4.3, 2.6)

#: How many letters a choice may take under an axis.
_CHOICE: Final = 14


def history_chart(result: SearchResult) -> str:
    """The measure of every trial in order, and the best so far, as inline SVG.

    Pruned trials stand at the foot, since they have no measure. Raises ValueError if no trial is
    complete.
    """
    trials = _complete(result)
    pruned = result.with_state("pruned")
    numbers, values = [t.number for t, _ in trials], [v for _, v in trials]
    best = [max(values[: i + 1]) for i in range(len(values))]
    low, high = _limits(values)

    def draw(axes: Axes) -> None:
        axes.plot(
            numbers, best, color=SERIES[1], linewidth=1.7, drawstyle="steps-post",
            label="best so far",
        )  # fmt: skip
        axes.plot(numbers, values, "o", color=SERIES[0], markersize=4, label="trial")
        if pruned:
            axes.plot(
                [t.number for t in pruned], [low] * len(pruned), "|", color=INK, markersize=8,
                clip_on=False, label="pruned",
            )  # fmt: skip
        axes.set_ylim(low, high)
        lay_lines(axes, "trial", _plain(result.measure["label"]))
        legend_above(axes)

    first = f"it begins at {values[0]:.3f} and ends at {best[-1]:.3f}"
    alt = (
        f"{result.measure['label']} of {len(trials)} complete trials; the best so far: {first}, "
        f"reached in trial {result.best}. {len(pruned)} trials were pruned."
    )
    return draw_svg(draw, _SIZE, alt=alt)


def importance_chart(importance: Importance) -> str:
    """The share of each key as a bar, as inline SVG. Raises ValueError if there are none."""
    if not importance.shares:
        raise ValueError(f"There are no importances: {importance.reason}.")
    rows = list(importance.shares.items())

    def draw(axes: Axes) -> None:
        for y, (_, share) in enumerate(rows):
            axes.barh(y, 100 * share, height=0.4, color=SERIES[0])
            axes.text(100 * share + 1.2, y, f"{100 * share:.0f}", va="center", color=INK)
        lay_rows(
            axes, [y - 0.26 for y in range(len(rows))], (len(rows) - 0.6, -0.75), (0, 108),
            "share of the variance explained, %", ticks=[[0, 25, 50, 75, 100]],
        )  # fmt: skip

    told = ", ".join(f"{name} {100 * share:.0f} per cent" for name, share in rows)
    alt = f"Importance of the keys by {importance.method}: {told}."
    size = (4.3, 0.65 + 0.46 * len(rows))
    return draw_svg(draw, size, alt=alt, rows=[name for name, _ in rows])


def slice_chart(result: SearchResult, name: str) -> str:
    """The measure of every complete trial over its value of one key, as inline SVG.

    Numbers stand on their own axis, by powers where they were drawn so; choices side by side.
    Raises ValueError if no trial is complete.
    """
    trials = _complete(result)
    values = [v for _, v in trials]
    drawn = [t.values[name] for t, _ in trials]
    choices = [_text(c, 3) for c in result.space[name].get("choices", ())]
    at = [choices.index(_text(x, 3)) for x in drawn] if choices else drawn
    best = next(i for i, (t, _) in enumerate(trials) if t.number == result.best)

    def draw(axes: Axes) -> None:
        axes.plot(at, values, "o", color=SERIES[0], markersize=4.5, alpha=0.75, label="trial")
        axes.plot(
            [at[best]], [values[best]], "D", mfc="none", mec=SERIES[1], markersize=9,
            mew=1.7, label="best",
        )  # fmt: skip
        if choices:
            axes.set_xlim(-0.6, len(choices) - 0.4)
            axes.set_xticks(range(len(choices)), [_plain(shorten(c, _CHOICE)) for c in choices])
        elif name in result.log_keys:
            axes.set_xscale("log")
        axes.set_ylim(*_limits(values))
        lay_lines(axes, _plain(shorten(name, 42)), _plain(result.measure["label"]))
        axes.tick_params(which="minor", color=FAINT, labelbottom=False)
        legend_above(axes)

    alt = (
        f"{result.measure['label']} of {len(trials)} trials over {name}. "
        f"{_in_words(choices, drawn, values)} The best, trial {result.best}, has "
        f"{_text(drawn[best], 3)} and {values[best]:.3f}."
    )
    return draw_svg(draw, _SIZE, alt=alt)


def _complete(result: SearchResult) -> list[tuple[TrialResult, float]]:
    found = [(t, t.value) for t in result.trials if t.value is not None]
    if not found:
        raise ValueError("No trial is complete.")
    return found


def _in_words(choices: Sequence[str], drawn: Sequence[Any], values: Sequence[float]) -> str:
    if not choices:
        return f"Tried: {_text(min(drawn), 3)} to {_text(max(drawn), 3)}."
    told = []
    for choice in choices:
        mine = [v for x, v in zip(drawn, values, strict=True) if _text(x, 3) == choice]
        told.append(f"{choice}: {len(mine)} trials" + (f", best {max(mine):.3f}" if mine else ""))
    return "; ".join(told) + "."


def _limits(values: Sequence[float]) -> tuple[float, float]:
    """A range with some room, also where all values are equal."""
    low, high = min(values), max(values)
    room = max(0.08 * (high - low), 0.01)
    return low - 1.6 * room, high + room


def _plain(text: str) -> str:
    """The text without what matplotlib would take for mathematics."""
    return text.replace("$", r"\$")


PAGE_FILE = "search.html"


def write_search_page(result: SearchResult, out: Path) -> Path:
    """Write the course of a search, what mattered and every trial as write_page does."""
    complete = result.best is not None
    keys = list(result.space) if complete else []
    shares = result.importance.shares
    return write_page(
        out,
        "search.html.j2",
        result=result,
        history=history_chart(result) if complete else None,
        importance=importance_chart(result.importance) if shares else None,
        shares=Table(
            "Importance of the keys", ["key", "share of the variance"], list(shares.items())
        ),
        slices=[slice_chart(result, key) for key in keys],
        keys=_keys_table(result),
        trials=_trials_table(result),
        how=_how_table(result),
    )


def _keys_table(result: SearchResult) -> Table:
    best = result.best_trial
    columns = ["key", "tried", f"recipe {result.recipe['name']}", "best trial"]
    rows = [
        [key, _range(told), _base(result, key), _text(best.values[key]) if best else None]
        for key, told in result.space.items()
    ]
    return Table("Keys that were searched", columns, rows, kind="facts")


def _trials_table(result: SearchResult) -> Table:
    columns: Columns = [
        "trial", Column("state", "text"), result.measure["label"],
        *(Column(key, wrap=True) for key in result.space), "epochs", "time",
    ]  # fmt: skip
    rows: Rows = [
        [
            str(t.number),
            "best" if t.number == result.best else t.state,
            None if t.value is None else bare(t.estimate),
            *(_text(t.values[key]) if key in t.values else None for key in result.space),
            str(t.epochs),
            None if t.seconds is None else duration(t.seconds),
        ]
        for t in result.trials
    ]
    best = [i for i, t in enumerate(result.trials) if t.number == result.best]
    return Table("All trials", columns, rows, marked=best)


def _how_table(result: SearchResult) -> Table:
    rows = [
        ("begins with", f"the recipe {result.recipe['name']}"),
        (
            "held out",
            f"{result.held_out} of {result.folds} folds of train, divided by patients or blocks of "
            f"file numbers: {result.n_images:,} images. The test split and the data’s own val were "
            "not looked at.",
        ),
        (
            "drawn by",
            "tree-structured Parzen estimator (Optuna "
            f"{result.versions['optuna']}), seed {result.seed}",
        ),
        ("trials", f"{len(result.trials)} of {result.wanted}"),
        ("storage", result.storage),
        ("data", result.data["name"]),
        ("fingerprint", result.data["fingerprint"]),
        ("versions", ", ".join(f"{name} {version}" for name, version in result.versions.items())),
    ]
    return Table("How it was searched", ("", ""), rows, kind="facts")


def _range(table: dict[str, Any]) -> str:
    """A key's table in words."""
    if "choices" in table:
        return "one of " + ", ".join(_text(c) for c in table["choices"])
    text = f"{_text(table['low'])} to {_text(table['high'])}"
    if table.get("step"):
        text += f" in steps of {_text(table['step'])}"
    text += ", whole numbers" if table.get("int") else ""
    return text + (", evenly over powers" if table.get("log") else "")


def _base(result: SearchResult, name: str) -> str:
    """What the recipe that the search began with has; a decision's own key, or the common one."""
    path = name.split(".")
    for keys in (path, path[2:] if path[0] == "decision" else path):
        value: Any = result.recipe
        for key in keys:
            value = value.get(key) if isinstance(value, dict) else None
        if value is not None:
            return _text(value)
    return "its default"


def _text(value: Any, digits: int = 4) -> str:
    """A value as a cell has it, or in charts with fewer digits."""
    if isinstance(value, float):
        return f"{value:.{digits}g}"
    return value if isinstance(value, str) else json.dumps(value)
