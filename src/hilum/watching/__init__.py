"""Watching: whether images that come without labels are still like those that a classifier knows.

What is compared are its validation images, which trained nothing, and what is asked is answered by
statistics alone; a run appends to a history, by which slow changes are found.
"""

__all__ = ["baseline", "history", "judging", "labelling", "watch"]
