"""Searches: an optimiser tries settings of a recipe in trainings of its own, the trials.

Many processes and machines may work on one search, which meet in its storage.
"""

__all__ = ["results", "search", "space"]
