"""What is said of radiographs, and the pictures of it: the result of explain."""

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from pathlib import PurePath
from typing import Any, ClassVar

from hilum.classifier.conformal import ODD
from hilum.display import Displayed, cards, heading, paragraphs, png_card
from hilum.errors import plural
from hilum.explanation.attribution import METHOD_NAMES
from hilum.explanation.localisation import Localisation, localisation_table
from hilum.explanation.neighbours import Neighbour
from hilum.explanation.sanity import SanityCheck


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture in the folder of an explanation.

    kind: 'radiograph', 'attribution', 'feature-maps' or 'pair'. file: its name. alt: what it
    shows. method, option: of an attribution; layer: of feature maps.
    """

    kind: str
    file: str
    png: bytes
    alt: str
    decision: str = ""
    option: str = ""
    method: str = ""
    layer: str = ""

    @property
    def caption(self) -> str:
        """What it is, in a few words: method, layer, decision and option."""
        what = (METHOD_NAMES.get(self.method, ""), self.layer, self.decision, self.option)
        return " · ".join(filter(None, what)) or "as the classifier sees it"

    def to_plain(self) -> dict[str, Any]:
        """Without the bytes, and without what does not apply."""
        values = {own.name: getattr(self, own.name) for own in fields(self)}
        return {name: value for name, value in values.items() if value and name != "png"}


@dataclass(frozen=True, slots=True)
class ImageExplanation:
    """What is said of one radiograph: name as given, truth (where a data set tells), pictures.

    referral: why a radiologist should look, as `hilum predict` says it; '' where none need.
    findings: the probability of each. present: those that are called so.
    """

    name: str
    predicted: str
    probs: dict[str, float]
    decision_probs: dict[str, dict[str, float]]
    truth: str | None = None
    pictures: tuple[Picture, ...] = ()
    neighbours: tuple[Neighbour, ...] = ()
    referral: str = ""
    findings: dict[str, float] = field(default_factory=dict)
    present: tuple[str, ...] = ()

    @property
    def called(self) -> str:
        """The class and the findings that it is said to have, by their names."""
        found = ", ".join(self.present) or "no finding" * bool(self.findings)
        return ": ".join(filter(None, (self.predicted, found)))

    @property
    def is_odd(self) -> bool:
        """Whether the gate refuses it: what the networks make of it then means nothing."""
        return self.referral == ODD

    @property
    def title(self) -> str:
        """The file's name, and what it was called, or why that means nothing."""
        probs = {**self.probs, **self.findings}
        named = [n for n in (self.predicted, *self.present) if n]
        said = "called " + (
            ", ".join(f"{name} ({probs[name]:.0%})" for name in named) or "free of all findings"
        )
        if self.is_odd:
            said = "unlike the training radiographs, so that its maps mean nothing"
        return f"{PurePath(self.name).name}: {said}" + (f", truly {self.truth}" * bool(self.truth))


@dataclass(frozen=True, slots=True, repr=False)
class Explanation(Displayed):
    """What explain found, and how far to trust it.

    localisation: of every method, choice and finding; empty where no data were given.
    sanity: of every method and network that was used, where asked for. notes: what to know.
    """

    classifier: str
    images: tuple[ImageExplanation, ...]
    localisation: tuple[Localisation, ...] = ()
    sanity: tuple[SanityCheck, ...] = ()
    notes: tuple[str, ...] = ()

    FORMAT: ClassVar[int] = 1

    def in_words(self) -> str:
        """What each radiograph was called, and what to know."""
        return " ".join([*(f"{image.title}." for image in self.images), *self.notes])

    def parts(self) -> Iterator[str]:
        """The pictures of each radiograph, and how far to trust them, as HTML."""
        for image in self.images:
            yield heading(image.title)
            yield cards([png_card(p.png, p.alt, p.caption) for p in image.pictures])
        if any(score.measured for score in self.localisation):
            table = localisation_table("Do the maps find the findings?", self.localisation)
            yield table.html(download=False)
        yield paragraphs(*self.notes)

    def _in_one_line(self) -> str:
        called = ", ".join(image.title for image in self.images)
        return f"Explanation of {plural(len(self.images), 'image')}: {called}"

    def _in_full(self) -> Iterator[str]:
        return self.parts()
