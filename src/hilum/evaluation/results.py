"""What an evaluation found, as values and as JSON."""

from dataclasses import dataclass, field
from typing import Any

from hilum.errors import EvaluationError
from hilum.labels import Rule, Strategy
from hilum.records import Estimate

FORMAT = 1

Matrix = tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class ClassMeasures:
    """The measures of one class, or of one option of a decision, against the rest.

    support: how many images are truly of it. Recall is the sensitivity, precision the positive
    predictive value (at the data's own prevalence).
    """

    precision: Estimate
    recall: Estimate
    specificity: Estimate
    f1: Estimate
    auroc: Estimate
    support: int

    def to_json(self) -> dict[str, Any]:
        """{"precision": {…}, "recall": {…}, …, "support": 8}."""
        measures = {name: getattr(self, name).to_json() for name in MEASURES}
        return {**measures, "support": self.support}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "ClassMeasures":
        """The inverse of to_json."""
        estimates = {name: Estimate.from_json(data[name]) for name in MEASURES}
        return cls(**estimates, support=data["support"])


#: The measures of a class, in the order of tables.
MEASURES = ("precision", "recall", "specificity", "f1", "auroc")


@dataclass(frozen=True, slots=True)
class DecisionEvaluation:
    """One decision of the label tree, on the images whose true class lies below it.

    options: what it chooses between. n: how many images. confusion_matrix: rows are the truth.
    per_option: for each option its measures. errors_caused: how many of the final errors, over
    all images, are its doing: the true and the predicted class part at this decision.
    """

    options: tuple[str, ...]
    n: int
    confusion_matrix: Matrix
    accuracy: Estimate
    balanced_accuracy: Estimate
    macro_auroc: Estimate
    per_option: dict[str, ClassMeasures]
    errors_caused: int

    def to_json(self) -> dict[str, Any]:
        """Plain values, in the order of the fields."""
        return {
            "options": list(self.options),
            "n": self.n,
            "confusion_matrix": [list(row) for row in self.confusion_matrix],
            "accuracy": self.accuracy.to_json(),
            "balanced_accuracy": self.balanced_accuracy.to_json(),
            "macro_auroc": self.macro_auroc.to_json(),
            "per_option": {name: m.to_json() for name, m in self.per_option.items()},
            "errors_caused": self.errors_caused,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "DecisionEvaluation":
        """The inverse of to_json."""
        return cls(
            options=tuple(data["options"]),
            n=data["n"],
            confusion_matrix=tuple(tuple(row) for row in data["confusion_matrix"]),
            accuracy=Estimate.from_json(data["accuracy"]),
            balanced_accuracy=Estimate.from_json(data["balanced_accuracy"]),
            macro_auroc=Estimate.from_json(data["macro_auroc"]),
            per_option={k: ClassMeasures.from_json(v) for k, v in data["per_option"].items()},
            errors_caused=data["errors_caused"],
        )


@dataclass(frozen=True, slots=True)
class Evaluation:
    """How a classifier did on one split.

    n: number of images. classes: the leaves of the label tree, in order; labels: the tree itself
    as LabelTree.to_json gives it. confusion_matrix: rows are the truth. per_class: each class
    against the rest. decisions: each decision alone, by name. rule, strategy: how probabilities
    became classes. intervals: confidence, resamples and seed behind the intervals.
    data: the data set (name, fingerprint). classifier: what it is and where it came from.
    notes: sentences a reader must know, such as "The test set was used during training."
    """

    n: int
    split: str
    classes: tuple[str, ...]
    labels: list[Any]
    confusion_matrix: Matrix
    accuracy: Estimate
    balanced_accuracy: Estimate
    macro_auroc: Estimate
    per_class: dict[str, ClassMeasures]
    decisions: dict[str, DecisionEvaluation]
    rule: Rule
    strategy: Strategy
    intervals: dict[str, float]
    data: dict[str, Any] = field(default_factory=dict)
    classifier: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def errors(self) -> int:
        """How many images were given a wrong class."""
        return self.n - sum(row[k] for k, row in enumerate(self.confusion_matrix))

    @property
    def errors_by_decision(self) -> dict[str, int]:
        """How many of the errors each decision caused; they sum to errors."""
        return {name: decision.errors_caused for name, decision in self.decisions.items()}

    def to_json(self) -> dict[str, Any]:
        """Plain values, in the order of the fields, with the format's number in front."""
        return {
            "format": FORMAT,
            "n": self.n,
            "split": self.split,
            "classes": list(self.classes),
            "labels": self.labels,
            "confusion_matrix": [list(row) for row in self.confusion_matrix],
            "accuracy": self.accuracy.to_json(),
            "balanced_accuracy": self.balanced_accuracy.to_json(),
            "macro_auroc": self.macro_auroc.to_json(),
            "per_class": {name: m.to_json() for name, m in self.per_class.items()},
            "decisions": {name: d.to_json() for name, d in self.decisions.items()},
            "rule": self.rule,
            "strategy": self.strategy,
            "intervals": self.intervals,
            "data": self.data,
            "classifier": self.classifier,
            "notes": list(self.notes),
        }

    @classmethod
    def from_json(cls, data: Any) -> "Evaluation":
        """The inverse of to_json. Raises EvaluationError for another form or format."""
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            raise EvaluationError(f"Not an evaluation in format {FORMAT}.")
        try:
            return cls(
                n=data["n"],
                split=data["split"],
                classes=tuple(data["classes"]),
                labels=data["labels"],
                confusion_matrix=tuple(tuple(row) for row in data["confusion_matrix"]),
                accuracy=Estimate.from_json(data["accuracy"]),
                balanced_accuracy=Estimate.from_json(data["balanced_accuracy"]),
                macro_auroc=Estimate.from_json(data["macro_auroc"]),
                per_class={k: ClassMeasures.from_json(v) for k, v in data["per_class"].items()},
                decisions={
                    k: DecisionEvaluation.from_json(v) for k, v in data["decisions"].items()
                },
                rule=data["rule"],
                strategy=data["strategy"],
                intervals=data["intervals"],
                data=data["data"],
                classifier=data["classifier"],
                notes=tuple(data["notes"]),
            )
        except KeyError as error:
            raise EvaluationError(f"The evaluation lacks the key {error}.") from None
        except (TypeError, AttributeError) as error:
            raise EvaluationError(
                f"The evaluation holds a value of the wrong kind: {error}."
            ) from None

    to_plain, from_plain = to_json, from_json
