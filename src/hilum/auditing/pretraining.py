"""Which public radiographs published weights were trained on, and whether the data are among them.

Every table in pretraining.toml is a collection. A network that starts from such weights has seen
its images, whichever split they are in here.
"""

from collections.abc import Iterable
from functools import cache

from pydantic import BaseModel, ConfigDict

from hilum.files import read_packaged
from hilum.wording import listed


class Collection(BaseModel):
    """Radiographs that weights were trained on.

    title: for people. layouts, sources: names of the layouts that only its images have, and of
    known data sets that hold some of them. networks: as recipes name them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str
    layouts: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    networks: tuple[str, ...]


@cache
def collections() -> tuple[Collection, ...]:
    """Every described collection."""
    return tuple(Collection(**t) for t in read_packaged("auditing", "pretraining.toml").values())


def trained_on_sentences(networks: Iterable[str]) -> list[str]:
    """What networks' published weights were trained on; nothing of those that none is known of.

    networks: names of those that start from weights, as recipes name them.
    """
    found = {n: [c.title for c in collections() if n in c.networks] for n in networks}
    return [
        f"The weights that {network} starts from were trained on {listed(titles)}: figures on "
        "images of these may be too good, in whichever split they are."
        for network, titles in found.items()
        if titles
    ]


def seen_sentences(
    networks: Iterable[str], name: str, *, layout: str | None, source: str | None
) -> list[str]:
    """What is to be said of data that networks' published weights may have been trained on.

    networks: as in trained_on_sentences. name, layout: the data's. source: the name of the known
    data set that they are, or None.
    """
    here = [c for c in collections() if layout in c.layouts or source in c.sources]
    return [
        f"The radiographs of {name} may be among those of {collection.title}, on which the weights "
        f"that {network} starts from were trained: figures on them may be too good."
        for network in dict.fromkeys(networks)
        for collection in here
        if network in collection.networks
    ]
