"""The audit's own chart: what tells the classes apart, as bars from chance."""

from collections.abc import Sequence

from matplotlib.axes import Axes

from hilum.reporting.figures.charts import _FAINT, _INK, _SERIES, Interval, _svg


def auroc_bars(rows: Sequence[Interval], *, compared: Sequence[bool], key: str, alt: str) -> str:
    """A bar per row from 0.5, which is chance, to its AUROC, with the 95 % interval, as inline SVG.

    compared: per row whether it is there to compare with; such bars have the second colour.
    """
    least = min([0.35, *(r.low for r in rows if r.low is not None), *(r.value for r in rows)])

    def draw(axes: Axes) -> None:
        for y, (row, other) in enumerate(zip(rows, compared, strict=True)):
            colour = _SERIES[1] if other else _SERIES[0]
            axes.barh(y, row.value - 0.5, left=0.5, height=0.36, color=colour)
            if row.low is not None and row.high is not None:
                axes.plot([row.low, row.high], [y, y], color=_INK, linewidth=1.3)
                for end in (row.low, row.high):
                    axes.plot([end, end], [y - 0.12, y + 0.12], color=_INK, linewidth=1.3)
            name = axes.text(least, y - 0.24, "n", ha="left", va="bottom", color=_INK)
            name.set_gid(f"row-{y}")  # the name itself is put in when the SVG is made
            name.set_in_layout(False)
            axes.text(1, y - 0.24, f"{row.value:.2f}", ha="right", va="bottom", color=_INK)
        axes.axvline(0.5, color=_INK, linewidth=1, linestyle=(0, (3, 2)))
        axes.set_yticks([])
        axes.set_ylim(len(rows) - 0.6, -0.85)
        axes.set_xlim(least, 1)
        axes.set_xlabel("AUROC (0.5 is chance)")
        axes.grid(axis="x", color=_FAINT, linewidth=0.8)

    return _svg(
        draw, (4.3, 0.6 + 0.5 * len(rows)), key=key, alt=alt, rows=[row.name for row in rows]
    )
