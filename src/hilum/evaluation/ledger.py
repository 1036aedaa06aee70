"""The ledger of a classifier's looks at test sets: one line of JSON for each.

A test set that is looked at again and again while a classifier is worked on becomes part of what
chose it, and its figures come out too good (Dwork et al. 2015, doi:10.1126/science.aaa9375). The
ledger lies in the classifier's folder and makes such looks visible. It proves nothing: a file can
be removed, and looks of other classifiers at the same images stand in ledgers of their own.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import filelock

from hilum.classifier.classifier import Classifier
from hilum.classifier.files import classifier_folder, read_classifier_file
from hilum.codec import to_plain
from hilum.errors import EvaluationError
from hilum.evaluation.files import Evaluation
from hilum.evaluation.overlap import is_external
from hilum.files import locked, sha256, write_atomically
from hilum.parsing import parse_json, read_text
from hilum.radiographs.dataset import Dataset
from hilum.training.folder import utc_now

LEDGER_FILE = "ledger.jsonl"

#: How long to wait for another process that is writing, in seconds.
_PATIENCE = 30


@dataclass(frozen=True, slots=True)
class Look:
    """One evaluation of images that are meant to be looked at once.

    when: UTC, ISO 8601, to the second. data, fingerprint: the data set. external: it is not the
    one that the classifier was trained on. split, n: which images, and how many. images: SHA-256
    over their contents, in whatever order. weights: SHA-256 over the networks' weights and
    temperatures. rule: how probabilities became a class.
    """

    when: str
    data: str
    fingerprint: str
    external: bool
    split: str
    n: int
    images: str
    weights: str
    rule: str

    def is_of_same_images(self, other: "Look") -> bool:
        """Whether both looked at the same images, be it among all those of the data set."""
        if self.images == other.images:
            return True
        return self.fingerprint == other.fingerprint and "all" in (self.split, other.split)


def is_look(classifier: Classifier, dataset: Dataset, split: str) -> bool:
    """Whether evaluating this split is to be recorded.

    It is where the split is test, where it is all and holds a test split, and always where the
    data are external.
    """
    tested = split == "test" or (split == "all" and "test" in dataset.splits)
    return tested or is_external(classifier, dataset)


def record_look(
    folder: Path | str,
    classifier: Classifier,
    dataset: Dataset,
    evaluation: Evaluation,
    *,
    known: bool = False,
) -> tuple[Look, ...]:
    """Append an evaluation to the ledger of a classifier's folder, if it is one to record.

    folder: of the classifier, or of the run that trained it. dataset: what was evaluated. known:
    its predictions were there already, so that a look with the same weights and rule at the same
    images is not recorded again.
    Returns every look at the same images so far, this one last; none where it is not recorded.
    Several processes may record at once. Raises EvaluationError where the ledger is damaged or
    cannot be written, ClassifierError where the folder holds no classifier.
    """
    if not is_look(classifier, dataset, evaluation.split):
        return ()
    folder = classifier_folder(folder)
    look = _look(folder, classifier, dataset, evaluation)
    file = folder / LEDGER_FILE
    try:
        with locked(folder / f".{LEDGER_FILE}.lock", timeout=_PATIENCE):
            before = read_ledger(folder)
            seen = any(replace(k, when=look.when) == look for k in before)
            looks = before if known and seen else (*before, look)
            lines = "".join(json.dumps(to_plain(k), ensure_ascii=False) + "\n" for k in looks)
            write_atomically(file, lines.encode())
    except filelock.Timeout:
        raise EvaluationError(
            f"{file}: another process has been writing to it for {_PATIENCE} seconds; try again."
        ) from None
    except OSError as error:
        raise EvaluationError(
            f"{file}: cannot be written ({error.strerror}). Looks at a test set are recorded "
            "beside the classifier; make its folder writable, or evaluate a copy of it."
        ) from None
    return tuple(k for k in looks if k.is_of_same_images(look))


def read_ledger(folder: Path | str) -> tuple[Look, ...]:
    """Every look that a classifier's folder records, in order; none where it has no ledger.

    Raises EvaluationError naming the line that is damaged, or where the file cannot be read.
    """
    file = classifier_folder(folder) / LEDGER_FILE
    if not file.exists():
        return ()
    text = read_text(file, EvaluationError)
    return tuple(_parse(file, i, line) for i, line in enumerate(text.splitlines(), start=1))


def describe_looks(looks: Sequence[Look]) -> str:
    """What the number of looks at one test set means, in words.

    looks: at the same images, the last one the newest (as record_look returns them).
    Raises EvaluationError where there is none.
    """
    if not looks:
        raise EvaluationError("There is no look to describe.")
    last = looks[-1]
    what = f"{last.data}, {last.split}"
    if len(looks) == 1:
        return f"This is the 1st look of this classifier at this test set ({what})."
    settings = len({(look.weights, look.rule) for look in looks})
    head = f"This is the {_ordinal(len(looks))} look of this classifier at this test set ({what})"
    if settings == 1:
        return (
            f"{head}, each with the same weights and rule. Figures that are chosen among several "
            "looks are too good."
        )
    return (
        f"{head}, with {settings} different settings of weights and rule. Figures that are chosen "
        "among several looks are too good: report the first, or test on images not yet looked at."
    )


def _look(folder: Path, classifier: Classifier, dataset: Dataset, evaluation: Evaluation) -> Look:
    contents = sorted(dataset.digests[row] for row in dataset.indices(evaluation.split))
    networks = read_classifier_file(folder).networks
    weights = sorted(f"{name}\t{e.sha256}\t{e.temperature}" for name, e in networks.items())
    return Look(
        when=utc_now(),
        data=dataset.name,
        fingerprint=dataset.fingerprint,
        external=is_external(classifier, dataset),
        split=evaluation.split,
        n=evaluation.n,
        images=sha256("\n".join(contents).encode()),
        weights=sha256("\n".join(weights).encode()),
        rule=evaluation.rule,
    )


def _parse(file: Path, number: int, line: str) -> Look:
    try:
        look = Look(**parse_json(line, file, EvaluationError))
    except (EvaluationError, TypeError):
        raise EvaluationError(
            f"{file}, line {number}: damaged; expected one look at a test set as JSON. Repair the "
            "line, or put the file aside to begin a new ledger."
        ) from None
    for name, kind in Look.__annotations__.items():
        if type(getattr(look, name)) is not kind:
            raise EvaluationError(
                f"{file}, line {number}: '{name}' is {getattr(look, name)!r}; expected "
                f"{kind.__name__}."
            )
    return look


def _ordinal(n: int) -> str:
    ending = "th" if n % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")
    return f"{n}{ending}"
