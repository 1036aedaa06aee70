"""What a stress test found, as values and as stress.json."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hilum.errors import EvaluationError
from hilum.evaluation.files import read_result, write_result
from hilum.records import Estimate

FORMAT = 1
STRESS_FILE = "stress.json"


@dataclass(frozen=True, slots=True)
class StressMeasures:
    """Three measures of one thing, or the drops of the three."""

    accuracy: Estimate
    balanced_accuracy: Estimate
    macro_auroc: Estimate

    def to_json(self) -> dict[str, Any]:
        """{"accuracy": {…}, "balanced_accuracy": {…}, "macro_auroc": {…}}."""
        return {name: getattr(self, name).to_json() for name in MEASURES}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "StressMeasures":
        """The inverse of to_json."""
        return cls(**{name: Estimate.from_json(data[name]) for name in MEASURES})


MEASURES = ("accuracy", "balanced_accuracy", "macro_auroc")


@dataclass(frozen=True, slots=True)
class StressMean:
    """A mean over several corrupted copies of the same images.

    measures: the mean of each measure. drop: the measure on the clean images less that mean,
    above 0 where it is worse under stress; its interval is paired, from the same resamples of
    images on both sides.
    """

    measures: StressMeasures
    drop: StressMeasures

    def to_json(self) -> dict[str, Any]:
        """{"measures": {…}, "drop": {…}}."""
        return {"measures": self.measures.to_json(), "drop": self.drop.to_json()}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "StressMean":
        """The inverse of to_json."""
        return cls(*(StressMeasures.from_json(data[name]) for name in ("measures", "drop")))


@dataclass(frozen=True, slots=True)
class StressLevel:
    """One corruption at one strength, 1 to 5; amount: what that is in its physical quantity."""

    strength: int
    amount: float
    measures: StressMeasures

    def to_json(self) -> dict[str, Any]:
        """{"strength": 2, "amount": 0.7, "measures": {…}}."""
        measures = self.measures.to_json()
        return {"strength": self.strength, "amount": self.amount, "measures": measures}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "StressLevel":
        """The inverse of to_json."""
        measures = StressMeasures.from_json(data["measures"])
        return cls(data["strength"], data["amount"], measures)


@dataclass(frozen=True, slots=True)
class CorruptionStress:
    """One corruption at all strengths that were tested; fields as of transforms.Corruption.

    mean: over these strengths.
    """

    name: str
    family: str
    quantity: str
    augmented_by: str
    levels: tuple[StressLevel, ...]
    mean: StressMean

    def to_json(self) -> dict[str, Any]:
        """Plain values, in the order of the fields."""
        return {
            "name": self.name,
            "family": self.family,
            "quantity": self.quantity,
            "augmented_by": self.augmented_by,
            "levels": [level.to_json() for level in self.levels],
            "mean": self.mean.to_json(),
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "CorruptionStress":
        """The inverse of to_json."""
        return cls(
            **{key: data[key] for key in ("name", "family", "quantity", "augmented_by")},
            levels=tuple(StressLevel.from_json(level) for level in data["levels"]),
            mean=StressMean.from_json(data["mean"]),
        )


@dataclass(frozen=True, slots=True)
class Stress:
    """How a classifier holds under corruptions of the images of one split.

    n: images. strengths: of 1 to 5. seed: of the corruptions and the bootstrap. clean: on the
    images as they are. stressed: the mean over all corruptions, each of which weighs the same;
    its accuracy is the stressed accuracy, by which recipes are compared. new_kinds: the same over
    corruptions of kinds that no augmentation of training has, or None without such. rule, data,
    classifier: as in the Evaluation of the same images; empty for several runs together.
    """

    n: int
    split: str
    strengths: tuple[int, ...]
    seed: int
    clean: StressMeasures
    stressed: StressMean
    new_kinds: StressMean | None
    corruptions: tuple[CorruptionStress, ...]
    rule: str = ""
    data: dict[str, Any] = field(default_factory=dict)
    classifier: dict[str, Any] = field(default_factory=dict)

    @property
    def worst(self) -> CorruptionStress:
        """The corruption with the lowest mean accuracy."""
        return min(self.corruptions, key=lambda c: c.mean.measures.accuracy.value or 0.0)

    def to_json(self) -> dict[str, Any]:
        """Plain values, in the order of the fields, with the format's number in front."""
        return {
            "format": FORMAT,
            "n": self.n,
            "split": self.split,
            "strengths": list(self.strengths),
            "seed": self.seed,
            "clean": self.clean.to_json(),
            "stressed": self.stressed.to_json(),
            "new_kinds": self.new_kinds.to_json() if self.new_kinds else None,
            "corruptions": [corruption.to_json() for corruption in self.corruptions],
            "rule": self.rule,
            "data": self.data,
            "classifier": self.classifier,
        }

    @classmethod
    def from_json(cls, data: Any) -> "Stress":
        """The inverse of to_json. Raises EvaluationError for another form or format."""
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            raise EvaluationError(f"Not a stress test in format {FORMAT}.")
        try:
            new = data["new_kinds"]
            return cls(
                n=data["n"],
                split=data["split"],
                strengths=tuple(data["strengths"]),
                seed=data["seed"],
                clean=StressMeasures.from_json(data["clean"]),
                stressed=StressMean.from_json(data["stressed"]),
                new_kinds=None if new is None else StressMean.from_json(new),
                corruptions=tuple(CorruptionStress.from_json(c) for c in data["corruptions"]),
                rule=data["rule"],
                data=data["data"],
                classifier=data["classifier"],
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise EvaluationError(f"Not a stress test: {error!r}.") from None


def write_stress(stress: Stress, out: Path) -> None:
    """Write stress.json into a folder. Raises EvaluationError where it cannot be written."""
    write_result(stress.to_json(), out / STRESS_FILE, indent=2)


def read_stress(path: Path) -> Stress:
    """Read a stress.json. Raises EvaluationError if it is missing, damaged or foreign."""
    return read_result(path, Stress.from_json)
