"""Statistics: measures, intervals and tests as pure functions of arrays.

Nothing here knows of classifiers, data sets or files.
"""

__all__ = [
    "calibration",
    "chance",
    "checks",
    "comparison",
    "confident",
    "curves",
    "drift",
    "evidence",
    "findings",
    "influence",
    "intervals",
    "label_shift",
    "meta",
    "metrics",
    "power",
    "stratified",
    "targets",
    "two_by_two",
]
