"""Checks of a data set before anything is learned from it, and splits that keep patients together.

The checks give findings in words; what a public data set's labels mean is in ``sources/``.
"""

__all__ = [
    "audit",
    "croissant",
    "describe",
    "duplicates",
    "findings",
    "leaks",
    "likeness",
    "occurrence",
    "patients",
    "pretraining",
    "provenance",
    "shortcuts",
    "split_table",
    "splits",
]
