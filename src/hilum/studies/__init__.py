"""Studies: variants of a recipe, trained with several seeds, and compared by paired tests.

A study here is an experiment with trainings, not an examination of a patient as in DICOM.
"""

__all__ = [
    "compare",
    "crew",
    "folds",
    "measures",
    "on_ray",
    "published",
    "results",
    "runner",
    "stressed",
    "study",
    "study_run",
    "workers",
]
