"""How much worse a classifier does on another data set than on its own."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from hilum.codec import write_plain
from hilum.errors import EvaluationError
from hilum.evaluation.files import EVALUATION_FILE, Evaluation, read_evaluation
from hilum.evaluation.measures import OF_A_LABEL, OVERALL
from hilum.records import Estimate
from hilum.statistics.intervals import mover_difference, wilson

_MIX = (
    "Accuracy weighs each class by its images, which differ between the two sets ({mix}); "
    "balanced accuracy, recall and AUROC do not depend on that."
)


@dataclass(frozen=True, slots=True)
class Drop:
    """One measure inside and outside.

    name: 'accuracy', 'balanced accuracy', 'macro AUROC', 'recall of covid', …. internal,
    external: the measure on each set. drop: internal less external, above 0 where it is worse
    outside, with the interval of a difference of independent samples.
    """

    name: str
    internal: Estimate
    external: Estimate
    drop: Estimate

    DERIVED: ClassVar[tuple[str, ...]] = ("shown", "sentence")

    @property
    def shown(self) -> bool:
        """Whether the data show a difference, for better or worse: the interval excludes 0."""
        return self.drop.excludes_zero

    @property
    def sentence(self) -> str:
        """The difference in words."""
        if self.drop.value is None:
            return f"{self.name}: not compared ({self.drop.reason})."
        head = (
            f"{self.name}: {self.internal.in_words(2)} inside, {self.external.in_words(2)} outside"
        )
        if self.drop.low is None or self.drop.high is None:
            return f"{head}; the difference has no interval ({self.drop.reason})."
        drop, low, high = self.drop.value, self.drop.low, self.drop.high
        if not self.shown:
            return (
                f"{head}; no difference that these data show (outside less inside "
                f"{-high:+.3f} to {-low:+.3f})."
            )
        if drop < 0:
            return f"{head}: higher by {-drop:.3f} ({-high:.3f} to {-low:.3f})."
        return f"{head}: lower by {drop:.3f} ({low:.3f} to {high:.3f})."


@dataclass(frozen=True, slots=True)
class ExternalDrop:
    """A classifier on its own data and on others.

    internal, external: which images, as {"name", "fingerprint", "split", "n"}. missing: classes
    that the external set has no image of. drops: in the order of a table, accuracy first.
    notes: sentences that a reader of the figures must know.
    """

    internal: dict[str, Any]
    external: dict[str, Any]
    missing: tuple[str, ...]
    drops: tuple[Drop, ...]
    notes: tuple[str, ...]


def compare_external(internal: Evaluation, external: Evaluation) -> ExternalDrop:
    """The drop of each measure from one classifier's own held-out images to another data set.

    Images are taken as independent, within each set and between them. Proportions get Newcombe's
    interval, the other measures one from their bootstrap intervals in the same way (MOVER).
    Accuracy is compared on the classes that both sets hold. Precision, and each other measure that
    follows the shares of the classes, is left out: these are a fact of the collection. Raises
    EvaluationError where classes, rule or classifier differ, or both are of the same data. Sources:
    Newcombe 1998, doi:10.1002/(SICI)1097-0258(19980430)17:8<873::AID-SIM779>3.0.CO;2-I; Zou and
    Donner 2008, doi:10.1002/sim.3095
    """
    _refuse_unlike(internal, external)
    held = [k for k in range(len(internal.classes))
            if sum(internal.confusion_matrix[k]) and sum(external.confusion_matrix[k])]  # fmt: skip
    shared = [internal.classes[k] for k in held]
    name = "accuracy"
    if len(held) < len(internal.classes):
        name = f"accuracy on {', '.join(shared)}" if shared else "accuracy"
    pairs: dict[str, tuple[Estimate, Estimate]] = {
        name: (_accuracy(internal, held), _accuracy(external, held)),
        **{
            measure.name: (internal.overall[key], external.overall[key])
            for key, measure in OVERALL.items()
            if not measure.follows_shares
        },
    }
    for key in ("recall", "specificity", "auroc"):
        for label in internal.classes:
            inside, outside = (getattr(side.per_class[label], key) for side in (internal, external))
            pairs[f"{OF_A_LABEL[key].name} of {label}"] = (inside, outside)
    return ExternalDrop(
        internal=_facts(internal),
        external=_facts(external),
        missing=tuple(c for c, m in external.per_class.items() if not m.support),
        drops=tuple(
            Drop(name, inside, outside, mover_difference(inside, outside))
            for name, (inside, outside) in pairs.items()
        ),
        notes=_notes(internal, external, shared),
    )


def _refuse_unlike(internal: Evaluation, external: Evaluation) -> None:
    if internal.labels != external.labels:
        raise EvaluationError(
            f"The internal evaluation is of {', '.join(internal.classes)}, the external one of "
            f"{', '.join(external.classes)}; map the labels of the external data first (--map)."
        )
    if internal.rule != external.rule or internal.classifier != external.classifier:
        raise EvaluationError(
            "The two evaluations are of different classifiers or rules, so a difference would not "
            "be one between the data; evaluate one classifier on both."
        )
    fingerprints = [side.data.get("fingerprint") for side in (internal, external)]
    if fingerprints[0] is not None and fingerprints[0] == fingerprints[1]:
        raise EvaluationError(
            f"Both evaluations are of the same data ({internal.data.get('name', 'no name')}); "
            "give one of other data as the external one."
        )


def _accuracy(evaluation: Evaluation, classes: list[int]) -> Estimate:
    """Share of the images of some classes that were given their true class."""
    matrix = evaluation.confusion_matrix
    n = sum(sum(matrix[k]) for k in classes)
    if not n:
        return Estimate.undefined("no class has images in both sets", evaluation.n)
    return wilson(sum(matrix[k][k] for k in classes), n)


def _facts(evaluation: Evaluation) -> dict[str, Any]:
    known = {k: v for k, v in evaluation.data.items() if k in ("name", "fingerprint")}
    return {**known, "split": evaluation.split, "n": evaluation.n}


def _notes(internal: Evaluation, external: Evaluation, shared: list[str]) -> tuple[str, ...]:
    notes = []
    missing = [c for c, m in external.per_class.items() if not m.support]
    if missing:
        notes.append(
            f"The external data have no image of {', '.join(missing)}: nothing is known of how "
            "these would be recognised there."
        )
    shares = []
    for side in (internal, external):
        counts = {label: side.per_class[label].support for label in shared}
        total = sum(counts.values()) or 1
        shares.append({label: round(100 * count / total) for label, count in counts.items()})
    if shares[0] != shares[1]:
        mix = "; ".join(
            f"{where} " + ", ".join(f"{label} {share} %" for label, share in side.items())
            for where, side in zip(("inside", "outside"), shares, strict=True)
        )
        notes.append(_MIX.format(mix=mix))
    return tuple(notes)


EXTERNAL_FILE = "external.json"


def internal_folder(path: Path) -> Path | None:
    """Where the evaluation to compare with is: in the folder itself, or a run's of test or val.

    None where there is none yet.
    """
    folders = (path, path / "evaluation" / "test", path / "evaluation" / "val")
    return next((f for f in folders if (f / EVALUATION_FILE).is_file()), None)


def read_internal(path: Path) -> Evaluation | None:
    """The evaluation to compare with: a folder with an evaluation.json, or a run's of test or val.

    None where a run has none yet. Raises EvaluationError where it is damaged.
    """
    found = internal_folder(path)
    return read_evaluation(found / EVALUATION_FILE) if found else None


def write_external(internal: Evaluation, external: Evaluation, out: Path) -> ExternalDrop:
    """Compare, and write external.json into a folder. Raises as compare_external does."""
    drop = compare_external(internal, external)
    write_plain(out / EXTERNAL_FILE, drop, error=EvaluationError, indent=2)
    return drop
