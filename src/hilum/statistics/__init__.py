"""Statistics: measures, intervals and tests as pure functions of arrays.

Nothing here knows of classifiers, data sets or files.
"""

__all__ = [
    "calibration",
    "checks",
    "comparison",
    "confident",
    "curves",
    "findings",
    "intervals",
    "meta",
    "metrics",
    "power",
    "targets",
    "two_by_two",
]
