"""A classifier's evaluations for its model card."""

from pathlib import Path

from hilum.classifier.classifier import Classifier
from hilum.evaluation.evaluate import describe_classifier
from hilum.evaluation.files import EVALUATION_FILE, Evaluation, read_evaluation
from hilum.evaluation.measures import OF_A_LABEL
from hilum.exporting.card import Evaluated

#: The most telling splits come first; what trained the classifier tells nothing.
_ORDER = ("test", "all", "val")


def read_for_card(folder: Path, classifier: Classifier) -> list[Evaluated]:
    """The evaluations beside a classifier, of this very training: its own data, then others.

    folder: of the run or the classifier. Raises EvaluationError where a file is damaged.
    """
    run = folder.resolve()
    folders = {run / "evaluation"} | (
        {run.parent / "evaluation"} if run.name == "classifier" else set()
    )
    files = sorted(file for f in folders for file in f.glob(f"*/{EVALUATION_FILE}"))
    found = [read_evaluation(file) for file in files]
    own, name = describe_classifier(classifier), classifier.provenance.get("data", {}).get("name")
    kept = [e for e in found if e.classifier == own and e.split in _ORDER]
    kept.sort(key=lambda e: (e.data.get("name") != name, _ORDER.index(e.split)))
    return [_evaluated(e) for e in kept]


def _evaluated(found: Evaluation) -> Evaluated:
    return Evaluated(
        data=str(found.data.get("name") or "data of an unrecorded name"),
        split=found.split,
        n=found.n,
        overall=found.overall,
        per_class={
            name: {key: getattr(measures, key) for key in OF_A_LABEL}
            for name, measures in found.per_class.items()
        },
    )
