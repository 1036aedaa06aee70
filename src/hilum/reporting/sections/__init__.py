"""The sections of the report: functions that make plain values and tables of its subject.

Report lists them, and templates of their names show what they give.
"""

__all__ = [
    "claims",
    "data",
    "elsewhere",
    "explanations",
    "findings",
    "forms",
    "front",
    "probabilities",
    "published",
    "results",
    "summary",
    "training",
]
