"""The classifier: its folder, and the only way from pixels to probabilities.

From held-out images it gets temperatures, thresholds and prediction sets, and from those that it
was trained on features, by which it tells what is unlike all of them.
"""

__all__ = [
    "arrivals",
    "calibrate",
    "classifier",
    "conformal",
    "decider",
    "files",
    "gate",
    "hub",
    "importing",
    "inference",
    "operating_points",
    "promised",
    "provenance",
    "reference",
    "risk_control",
    "shifted",
    "temperature",
    "threshold",
    "thumbnails",
    "validation",
    "weights",
]
