"""Evaluation: a classifier and a split in, measures with their intervals out, as values and files.

evaluate_run in `run` is the whole of it; measures over all classes are listed in `measures`.

Everywhere in it, truth is (N,) class indices of a label tree and predictions are of the same N
images; what cannot be evaluated is refused with an EvaluationError, as check_predictions says.
"""

__all__ = [
    "assess",
    "bands",
    "calibration",
    "compare",
    "curves",
    "evaluate",
    "external",
    "files",
    "findings",
    "for_card",
    "gate",
    "label_errors",
    "ledger",
    "measures",
    "operating",
    "overlap",
    "overview",
    "predictions_file",
    "run",
    "shift",
    "stress",
    "subgroups",
]
