"""A search as one HTML file that opens offline."""

import json
from pathlib import Path
from typing import Any

from hilum.reporting.page import made_now, page_environment, write_page
from hilum.reporting.search.figures import history_chart, importance_chart, slice_chart
from hilum.studies.search_results import SearchResult

PAGE_FILE = "search.html"


def write_search_page(result: SearchResult, out: Path) -> Path:
    """Write the course of a search, what mattered and every trial as one self-contained HTML file.

    out: the file to write; its folder is made. The file loads nothing and runs no script. Returns
    out. Raises HilumError if it cannot be written.
    """
    complete = result.best is not None
    keys = list(result.space) if complete else []
    slices = [slice_chart(result, k, key=f"slice-{i}") for i, k in enumerate(keys)]
    page = (
        page_environment()
        .get_template("search.html.j2")
        .render(
            result=result,
            history=history_chart(result, key="history") if complete else None,
            importance=importance_chart(result.importance, key="importance")
            if result.importance.shares
            else None,
            slices=slices,
            keys=[
                {"name": k, "told": _told(t), "base": _base(result, k)}
                for k, t in result.space.items()
            ],
            shown=_shown,
            made=made_now(),
        )
    )
    return write_page(page, out)


def _told(table: dict[str, Any]) -> str:
    """A key's table in words."""
    if "choices" in table:
        return "one of " + ", ".join(_shown(c) for c in table["choices"])
    text = f"{_shown(table['low'])} to {_shown(table['high'])}"
    if table.get("step"):
        text += f" in steps of {_shown(table['step'])}"
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
            return _shown(value)
    return "its default"


def _shown(value: Any) -> str:
    """A value as a cell has it."""
    if isinstance(value, float):
        return f"{value:.4g}"
    return value if isinstance(value, str) else json.dumps(value)
