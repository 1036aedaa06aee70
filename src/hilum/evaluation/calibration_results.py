"""What was found about calibration, as values and as JSON."""

from dataclasses import dataclass
from typing import Any

from hilum.records import Estimate


@dataclass(frozen=True, slots=True)
class Bin:
    """A point of a reliability diagram.

    mean_prob: mean predicted probability of its images. observed: how often it came true, with
    its Wilson interval; its n is the number of images.
    """

    mean_prob: float
    observed: Estimate


@dataclass(frozen=True, slots=True)
class Reliability:
    """A reliability diagram in bins of equal mass, by rising probability, and its error.

    ece: expected calibration error, root mean square and debiased, as
    statistics.reliability.calibration_errors defines it.
    """

    bins: tuple[Bin, ...]
    ece: Estimate

    def to_json(self) -> dict[str, Any]:
        """{"bins": [{"mean_prob": 0.93, "observed": {…}}, …], "ece": {…}}."""
        bins = [{"mean_prob": b.mean_prob, "observed": b.observed.to_json()} for b in self.bins]
        return {"bins": bins, "ece": self.ece.to_json()}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Reliability":
        """The inverse of to_json."""
        bins = tuple(Bin(b["mean_prob"], Estimate.from_json(b["observed"])) for b in data["bins"])
        return cls(bins, Estimate.from_json(data["ece"]))


@dataclass(frozen=True, slots=True)
class OptionCalibration:
    """The probability of one class or option.

    intercept: 0 is right, below 0 the probability is too high on the whole. slope: 1 is right,
    below 1 it is too extreme. support: how many images are truly of it.
    """

    reliability: Reliability
    intercept: Estimate
    slope: Estimate
    support: int

    def to_json(self) -> dict[str, Any]:
        """{"bins": […], "ece": {…}, "intercept": {…}, "slope": {…}, "support": 8}."""
        return {
            **self.reliability.to_json(),
            "intercept": self.intercept.to_json(),
            "slope": self.slope.to_json(),
            "support": self.support,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "OptionCalibration":
        """The inverse of to_json."""
        return cls(
            reliability=Reliability.from_json(data),
            intercept=Estimate.from_json(data["intercept"]),
            slope=Estimate.from_json(data["slope"]),
            support=data["support"],
        )


@dataclass(frozen=True, slots=True)
class ChoiceCalibration:
    """The calibration of a choice: between all classes, or between a decision's options.

    n: how many images. top_label: of the option that was taken. brier: in [0, 2], 0 is perfect.
    brier_skill: 1 is perfect, 0 no better than the shares of the options. log_loss: in nats.
    """

    options: tuple[str, ...]
    n: int
    top_label: Reliability
    brier: Estimate
    brier_skill: Estimate
    log_loss: Estimate
    per_option: dict[str, OptionCalibration]

    def to_json(self) -> dict[str, Any]:
        """Plain values, in the order of the fields."""
        return {
            "options": list(self.options),
            "n": self.n,
            "top_label": self.top_label.to_json(),
            "brier": self.brier.to_json(),
            "brier_skill": self.brier_skill.to_json(),
            "log_loss": self.log_loss.to_json(),
            "per_option": {name: option.to_json() for name, option in self.per_option.items()},
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "ChoiceCalibration":
        """The inverse of to_json."""
        options = data["per_option"].items()
        return cls(
            options=tuple(data["options"]),
            n=data["n"],
            top_label=Reliability.from_json(data["top_label"]),
            brier=Estimate.from_json(data["brier"]),
            brier_skill=Estimate.from_json(data["brier_skill"]),
            log_loss=Estimate.from_json(data["log_loss"]),
            per_option={name: OptionCalibration.from_json(option) for name, option in options},
        )


@dataclass(frozen=True, slots=True)
class Calibration:
    """How well a classifier is calibrated on n images: over the classes and at each decision.

    intervals: confidence, resamples and seed behind the bootstrap intervals.
    """

    n: int
    classes: ChoiceCalibration
    decisions: dict[str, ChoiceCalibration]
    intervals: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        """{"n": 24, "classes": {…}, "decisions": {"root": {…}, …}, "intervals": {…}}."""
        return {
            "n": self.n,
            "classes": self.classes.to_json(),
            "decisions": {name: choice.to_json() for name, choice in self.decisions.items()},
            "intervals": self.intervals,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Calibration":
        """The inverse of to_json."""
        decisions = data["decisions"].items()
        return cls(
            n=data["n"],
            classes=ChoiceCalibration.from_json(data["classes"]),
            decisions={name: ChoiceCalibration.from_json(choice) for name, choice in decisions},
            intervals=data["intervals"],
        )


@dataclass(frozen=True, slots=True)
class MeasureChange:
    """A measure before and after, and after - before with its paired interval."""

    before: Estimate
    after: Estimate
    difference: Estimate

    def to_json(self) -> dict[str, Any]:
        """{"before": {…}, "after": {…}, "difference": {…}}."""
        return {name: getattr(self, name).to_json() for name in self.__slots__}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "MeasureChange":
        """The inverse of to_json."""
        return cls(**{name: Estimate.from_json(value) for name, value in data.items()})


@dataclass(frozen=True, slots=True)
class ChoiceChange:
    """What became of the top label's calibration error, the Brier score and the log loss."""

    ece: MeasureChange
    brier: MeasureChange
    log_loss: MeasureChange

    def to_json(self) -> dict[str, Any]:
        """{"ece": {…}, "brier": {…}, "log_loss": {…}}."""
        return {name: getattr(self, name).to_json() for name in self.__slots__}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "ChoiceChange":
        """The inverse of to_json."""
        return cls(**{name: MeasureChange.from_json(value) for name, value in data.items()})


@dataclass(frozen=True, slots=True)
class CalibrationChange:
    """What a recalibration changed, over the classes and at each decision."""

    classes: ChoiceChange
    decisions: dict[str, ChoiceChange]

    def to_json(self) -> dict[str, Any]:
        """{"classes": {…}, "decisions": {"root": {…}, …}}."""
        return {
            "classes": self.classes.to_json(),
            "decisions": {name: choice.to_json() for name, choice in self.decisions.items()},
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "CalibrationChange":
        """The inverse of to_json."""
        decisions = data["decisions"].items()
        return cls(
            classes=ChoiceChange.from_json(data["classes"]),
            decisions={name: ChoiceChange.from_json(choice) for name, choice in decisions},
        )
