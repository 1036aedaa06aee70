"""What the explanation of an evaluated split holds, as values and as JSON."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from hilum.errors import EvaluationError
from hilum.evaluation.files import read_result, write_result
from hilum.explanation.attribution import Method
from hilum.explanation.errors import ErrorGallery
from hilum.explanation.localisation import Localisation
from hilum.explanation.pictures import from_text, to_text
from hilum.explanation.sanity import SanityCheck
from hilum.files import ODD_NAMES

#: Beside evaluation.json.
EXPLANATIONS_FILE: Final = "explanations.json"
FORMAT: Final = 1


@dataclass(frozen=True, slots=True)
class Drawing:
    """PNG bytes of an attribution over its radiograph, and what they show in words (alt)."""

    method: Method
    decision: str
    option: str
    png: bytes
    alt: str

    def to_json(self) -> dict[str, Any]:
        """Plain values; PNG in Base64."""
        return {
            "method": self.method,
            "decision": self.decision,
            "option": self.option,
            "png": to_text(self.png),
            "alt": self.alt,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Drawing":
        """The inverse of to_json."""
        return cls(**{**data, "png": from_text(data["png"])})


@dataclass(frozen=True, slots=True)
class Example:
    """A radiograph that was classified rightly: its class, the class's probability, its maps."""

    name: str
    truth: str
    probability: float
    drawings: tuple[Drawing, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values, in the order of the fields."""
        return {
            "name": self.name,
            "truth": self.truth,
            "probability": self.probability,
            "drawings": [drawing.to_json() for drawing in self.drawings],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Example":
        """The inverse of to_json."""
        drawings = tuple(Drawing.from_json(drawing) for drawing in data["drawings"])
        return cls(**{**data, "drawings": drawings})


@dataclass(frozen=True, slots=True)
class FeaturePair:
    """Feature maps of a misclassified radiograph (left) beside those of its counterpart.

    counterpart: the nearest rightly classified radiograph of the predicted class. png: bytes.
    """

    name: str
    counterpart: str
    decision: str
    layer: str
    png: bytes
    alt: str

    def to_json(self) -> dict[str, Any]:
        """Plain values; PNG in Base64."""
        return {
            "name": self.name,
            "counterpart": self.counterpart,
            "decision": self.decision,
            "layer": self.layer,
            "png": to_text(self.png),
            "alt": self.alt,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "FeaturePair":
        """The inverse of to_json."""
        return cls(**{**data, "png": from_text(data["png"])})


@dataclass(frozen=True, slots=True)
class SplitExplanation:
    """What explain_split found.

    gallery: every error. sanity: of the gallery's method, for each network. localisation: of
    every method and network; "not measured" where the data are no phantoms. checked_on: the split
    whose radiographs the two were measured on. examples: rightly classified radiographs of each
    class. pair: of the surest error that has a counterpart, or None. notes: what was left out.
    """

    split: str
    n: int
    gallery: ErrorGallery
    sanity: tuple[SanityCheck, ...]
    localisation: tuple[Localisation, ...]
    checked_on: str
    examples: tuple[Example, ...]
    pair: FeaturePair | None
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain values, in the order of the fields, with the format's number in front."""
        return {
            "format": FORMAT,
            "split": self.split,
            "n": self.n,
            "gallery": self.gallery.to_json(),
            "sanity": [check.to_json() for check in self.sanity],
            "localisation": [score.to_json() for score in self.localisation],
            "checked_on": self.checked_on,
            "examples": [example.to_json() for example in self.examples],
            "pair": self.pair and self.pair.to_json(),
            "notes": list(self.notes),
        }

    @classmethod
    def from_json(cls, data: Any) -> "SplitExplanation":
        """The inverse of to_json. Raises EvaluationError for another form or format."""
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            raise EvaluationError(f"Not explanations in format {FORMAT}.")
        try:
            return cls(
                split=data["split"],
                n=data["n"],
                gallery=ErrorGallery.from_json(data["gallery"]),
                sanity=tuple(SanityCheck.from_json(check) for check in data["sanity"]),
                localisation=tuple(Localisation.from_json(s) for s in data["localisation"]),
                checked_on=data["checked_on"],
                examples=tuple(Example.from_json(example) for example in data["examples"]),
                pair=data["pair"] and FeaturePair.from_json(data["pair"]),
                notes=tuple(data["notes"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise EvaluationError(f"Not explanations: {error!r}.") from None


def write_explanations(explanation: SplitExplanation, out: Path) -> None:
    """Write explanations.json into a folder. Raises EvaluationError where that cannot be done."""
    write_result(explanation.to_json(), out / EXPLANATIONS_FILE, errors=ODD_NAMES)


def read_explanations(path: Path) -> SplitExplanation:
    """Read an explanations.json. Raises EvaluationError if it is missing, damaged or foreign."""
    return read_result(path, SplitExplanation.from_json, errors=ODD_NAMES)
