"""Facts that come with the package, as TOML files."""

import tomllib
from importlib import resources
from typing import Any


def read_packaged(*place: str) -> dict[str, Any]:
    """The table in a file. place: its folders below the package, and its name."""
    file = resources.files("hilum").joinpath(*place)
    return tomllib.loads(file.read_text(encoding="utf-8"))


def read_packaged_folder(*place: str) -> dict[str, dict[str, Any]]:
    """The tables of all TOML files in a folder, by their names without the ending, sorted."""
    names = sorted(file.name for file in resources.files("hilum").joinpath(*place).iterdir())
    return {
        name.removesuffix(".toml"): read_packaged(*place, name)
        for name in names
        if name.endswith(".toml")
    }
