"""What may be claimed: sentences about a model, each shown, not shown or contradicted.

A claim is written ``MEASURE > BOUND`` (also >=, <, <=; a test cannot tell > from >=):

- the measures of studies: ``accuracy``, ``balanced accuracy``, ``macro AUROC``, ``Matthews
  correlation``, and ``recall of covid``, ``AUROC of covid`` and so on (of two classes, ``AUROC``,
  ``sensitivity``, ``specificity`` alone are of the second);
- ``mean AUROC`` of findings; ``calibration error``;
- the bound is a number, ``OTHER`` for the model that is compared with, ``OTHER + 0.02``, or
  ``commonest`` for the accuracy of always saying the commonest class;
- ``accuracy alike across site within 0.05``: that subgroups differ by less than that.
"""

import re
from dataclasses import dataclass

from hilum.errors import EvaluationError
from hilum.evaluation.bands import cut_cells
from hilum.judging.cases import MANY, Cases
from hilum.labels import LabelTree
from hilum.studies.measures import OVER_FINDINGS, Measure

#: What the calibration error is claimed to be below, and how much subgroups may differ, by default.
WELL_CALIBRATED = 0.05
ALIKE = 0.05
#: The sensitivity that is asked of a test that is to rule a disease out.
SENSITIVE = 0.9

_CLAIM = re.compile(r"(?P<measure>.+?)\s*(?P<sign>>=|<=|=>|=<|>|<|≥|≤)\s*(?P<bound>[^<>=≥≤]+)")
_ALIKE = re.compile(
    r"(?P<measure>.+?)\s+alike\s+across\s+(?P<by>.+?)(\s+within\s+(?P<margin>[\d.]+))?",
    re.IGNORECASE,
)
_OTHER = re.compile(r"other\s*((?P<sign>[+-])\s*(?P<margin>[\d.]+))?", re.IGNORECASE)
SHARES = ("accuracy", "recall", "specificity", "precision")
_CALIBRATION = "calibration error"


@dataclass(frozen=True)
class Claim:
    """A claim, read. measure: None is the calibration error.

    above: whether the measure is claimed to lie above the bound. other: whether the bound is added
    to the other model's measure. commonest: it is the accuracy of the commonest class. across: the
    subgroups that are claimed to be alike.
    """

    text: str
    measure: Measure | None
    bound: float
    above: bool = True
    other: bool = False
    commonest: bool = False
    across: str = ""


def parse_claim(text: str, tree: LabelTree) -> Claim:
    """Read a claim, as the head of this file says. Raises EvaluationError."""
    if form := _ALIKE.fullmatch(text.strip()):
        measure = _parse_measure(form["measure"], tree)
        if measure is None or measure.kind not in SHARES:
            raise EvaluationError(f"'{text}': subgroups are compared by {', '.join(SHARES)}.")
        margin = _number(form["margin"] or str(ALIKE), text)
        return Claim(text.strip(), measure, margin, across=form["by"].strip())
    form = _CLAIM.fullmatch(text.strip())
    if form is None:
        raise EvaluationError(
            f"Cannot read the claim '{text}': write MEASURE > BOUND, such as 'AUROC > 0.9', "
            "'accuracy > OTHER + 0.02' or 'accuracy alike across site within 0.05'."
        )
    measure = _parse_measure(form["measure"], tree)
    above = form["sign"] in (">", ">=", "=>", "≥")
    bound = form["bound"].strip()
    if other := _OTHER.fullmatch(bound):
        margin = _number(other["margin"] or "0", text)
        if measure is None:
            raise EvaluationError(f"'{text}': models are not compared by the calibration error.")
        margin = -margin if other["sign"] == "-" else margin
        return Claim(text.strip(), measure, margin, above, other=True)
    if bound.casefold().split(" ")[0] in ("commonest", "majority"):
        if measure is None or measure.kind != "accuracy":
            raise EvaluationError(f"'{text}': the commonest class has an accuracy, nothing else.")
        return Claim(text.strip(), measure, 0.0, above, commonest=True)
    return Claim(text.strip(), measure, _number(bound, text), above)


def usual_claims(cases: Cases, other: Cases | None) -> list[str]:
    """The claims that are judged where none are given."""
    tree = cases.tree
    found = []
    if tree.decisions:
        found.append("accuracy > commonest class")
        if other is not None:
            found.append("accuracy > OTHER")
            if cases.kind != "labels" and other.kind != "labels":
                found.append("macro AUROC > OTHER")
        if len(tree.classes) > MANY:
            found.append(f"balanced accuracy >= {SENSITIVE:g}")
        else:
            rest = [*tree.classes[1:], tree.classes[0]]
            found += [f"recall of {name} >= {SENSITIVE:g}" for name in rest]
        if cases.kind in ("probabilities", "logits"):
            found.append(f"calibration error <= {WELL_CALIBRATED:g}")
        found += [
            f"accuracy alike across {name} within {ALIKE:g}"
            for name, cells in cases.attributes.items()
            if len(cut_cells(name, cells).names) > 1
        ]
    for finding in tree.findings:
        found.append(f"AUROC of {finding.name} > 0.5")
        found.append(f"recall of {finding.name} >= {SENSITIVE:g}")
        if other is not None:
            found.append(f"AUROC of {finding.name} > OTHER")
    return found


def _parse_measure(text: str, tree: LabelTree) -> Measure | None:
    """The measure; None of the calibration error."""
    name = " ".join(re.sub(r"[\s_-]+", " ", text).split()).casefold()
    if name in (_CALIBRATION, "ece", "expected calibration error"):
        return None
    two = len(tree.classes) == 2 and bool(tree.decisions)
    if two and name in ("auroc", "auc", "recall", "sensitivity", "specificity", "precision", "f1"):
        text = f"{name} of {tree.classes[1]}"
    elif name in ("auroc", "auc") and tree.decisions:
        text = "macro AUROC"
    found = Measure.parse(text, tree)
    if found.kind in OVER_FINDINGS and not found.is_auroc:
        raise EvaluationError(f"'{text}': claims over all findings are of their mean AUROC.")
    return found


def _number(text: str, claim: str) -> float:
    try:
        value = float(text.strip().rstrip("%"))
    except ValueError:
        raise EvaluationError(f"'{claim}': the bound '{text}' is no number.") from None
    value = value / 100 if text.strip().endswith("%") else value
    if not -1 <= value <= 1:
        raise EvaluationError(f"'{claim}': a bound lies between 0 and 1; found {text}.")
    return value
