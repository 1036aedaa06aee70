"""Explanation: why a classifier decides as it does, and how far its heat maps can be trusted.

Attribution methods are listed in `attribution`; explain and explain_split draw and check.
"""

__all__ = [
    "attribution",
    "errors",
    "explain",
    "explained",
    "feature_maps",
    "localisation",
    "neighbours",
    "network",
    "overlay",
    "pictures",
    "questions",
    "sanity",
    "split",
]
