"""What a run says of single radiographs, as predictions.csv beside an evaluation has it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hilum.errors import HilumError
from hilum.evaluation.files import PREDICTIONS_FILE, Evaluation
from hilum.evaluation.predictions_file import read_told
from hilum.wording import PERCENT

#: Probabilities of single radiographs, as per cent without decimals.
WHOLE = replace(PERCENT, digits=0)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one run says of one radiograph.

    truth, predicted: classes, '' where there is nothing to choose; probability: of the predicted
    one. present: the findings that it truly has; called: those that are called present, with their
    probabilities; None where there are no findings. wrong: those that are told wrongly. free:
    whether it is known to have none.
    """

    name: str
    truth: str
    predicted: str
    probability: float
    present: tuple[str, ...] | None = None
    called: Mapping[str, float] | None = None
    wrong: tuple[str, ...] = ()
    free: bool = False

    @property
    def correct(self) -> bool:
        """Whether the predicted class is the true one, and every finding told rightly."""
        return self.truth == self.predicted and not self.wrong

    @property
    def true_words(self) -> str:
        """What is true of it: 'abnormal: effusion, mass'."""
        return _in_words(self.truth, self.present)

    @property
    def short(self) -> str:
        """What is said of it, without probabilities: 'abnormal: effusion'."""
        return _in_words(self.predicted, None if self.called is None else tuple(self.called))

    @property
    def said_words(self) -> str:
        """What is said of it: 'abnormal (81 %): effusion (62 %)'."""
        predicted = self.predicted and f"{self.predicted} ({WHOLE.number(self.probability)})"
        called = self.called
        named = None if called is None else [f"{n} ({WHOLE.number(p)})" for n, p in called.items()]
        return _in_words(predicted, named)


def _in_words(label: str, findings: Sequence[str] | None) -> str:
    found = "" if findings is None else ", ".join(findings) or "no finding"
    return ": ".join(filter(None, (label, found)))


def read_verdicts(file: Path, evaluation: Evaluation) -> dict[str, Verdict]:
    """What predictions.csv beside an evaluation says, by radiograph; nothing without one."""
    table, classes = file.with_name(PREDICTIONS_FILE), evaluation.classes
    if not table.is_file():
        return {}
    truth, predictions, marks = read_told(table)
    if predictions.probs.shape != (evaluation.n, len(classes)):
        raise HilumError(
            f"{table} holds {len(predictions)} predictions over {predictions.probs.shape[1]} "
            f"classes, but {file} is about {evaluation.n} over {len(classes)}: evaluate again."
        )
    found = {}
    for one, true, marked in zip(predictions, truth, marks, strict=True):
        verdict = Verdict(
            one.path, classes[true] * evaluation.chooses, one.predicted, one.probability or 1.0
        )
        if predictions.findings:
            known = {n: m for n, m in zip(predictions.findings, marked, strict=True) if m >= 0}
            verdict = replace(
                verdict,
                present=tuple(name for name, mark in known.items() if mark),
                called={name: one.findings[name] for name in one.present},
                wrong=tuple(n for n, mark in known.items() if mark != (n in one.present)),
                free=not any(known.values()) and len(known) == len(marked),
            )
        found[one.path] = verdict
    return found
