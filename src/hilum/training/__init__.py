"""Training: a data set and a recipe in, a run folder with a classifier out.

A run that was killed and resumed ends with the same weights, bit for bit, as one that was not.
"""

__all__ = ["checkpoint", "folder", "interrupt", "joining", "plan", "run", "together", "tracking"]
