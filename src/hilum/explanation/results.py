"""What an explanation of radiographs holds, as values and as JSON."""

from dataclasses import dataclass
from typing import Any, Final

from hilum.explanation.localisation import Localisation
from hilum.explanation.neighbours import Neighbour
from hilum.explanation.sanity import SanityCheck

FORMAT: Final = 1


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

    def to_json(self) -> dict[str, Any]:
        """Plain values without the bytes; what does not apply is left out."""
        values = {
            name: getattr(self, name)
            for name in ("kind", "file", "alt", "decision", "option", "method", "layer")
        }
        return {name: value for name, value in values.items() if value}


@dataclass(frozen=True, slots=True)
class ImageExplanation:
    """What is said of one radiograph: name as given, truth (where a data set tells), pictures."""

    name: str
    predicted: str
    probs: dict[str, float]
    decision_probs: dict[str, dict[str, float]]
    truth: str | None = None
    pictures: tuple[Picture, ...] = ()
    neighbours: tuple[Neighbour, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain values, in the order of the fields."""
        return {
            "name": self.name,
            "predicted": self.predicted,
            "probs": self.probs,
            "decision_probs": self.decision_probs,
            "truth": self.truth,
            "pictures": [picture.to_json() for picture in self.pictures],
            "neighbours": [neighbour.to_json() for neighbour in self.neighbours],
        }


@dataclass(frozen=True, slots=True)
class Explanation:
    """What explain found, and how far to trust it.

    localisation: of every method and network, on phantoms; empty where no data were given.
    sanity: of every method and network that was used, where asked for. notes: what to know.
    """

    classifier: str
    images: tuple[ImageExplanation, ...]
    localisation: tuple[Localisation, ...] = ()
    sanity: tuple[SanityCheck, ...] = ()
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain values, in the order of the fields, with the format's number in front."""
        return {
            "format": FORMAT,
            "classifier": self.classifier,
            "images": [image.to_json() for image in self.images],
            "localisation": [score.to_json() for score in self.localisation],
            "sanity": [check.to_json() for check in self.sanity],
            "notes": list(self.notes),
        }
