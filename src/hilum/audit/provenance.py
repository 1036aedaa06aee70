"""Which public data set is this, and what do its labels really mean?

Every file in ``sources/`` describes one data set by its counts per split and class. To add one,
add a TOML file.
"""

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources

from pydantic import BaseModel, ConfigDict


class Source(BaseModel):
    """A known public data set.

    name: the file's name. title, source, licence: for people. meaning: what the labels mean, as
    a sentence for every report made on the data. counts: images by split and class; a data set
    is recognised if all of them are equal (splits that are not given do not matter).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    title: str
    source: str
    licence: str
    meaning: str
    counts: dict[str, dict[str, int]]


@cache
def known_sources() -> tuple[Source, ...]:
    """Every described data set, by name."""
    folder = resources.files("hilum") / "audit" / "sources"
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".toml")), key=lambda f: f.name)
    return tuple(
        Source(name=f.name.removesuffix(".toml"), **tomllib.loads(f.read_text(encoding="utf-8")))
        for f in files
    )


def recognise(counts: Mapping[str, Mapping[str, int]]) -> Source | None:
    """The known data set with these counts (images by split and class), or None."""
    for source in known_sources():
        if all(counts.get(split) == classes for split, classes in source.counts.items()):
            return source
    return None
