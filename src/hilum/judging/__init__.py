"""Judging: anybody's table of predictions → what can be claimed, and what not."""

__all__ = [
    "cases",
    "claims",
    "columns",
    "evaluated",
    "images",
    "judge",
    "leaks",
    "longform",
    "roles",
    "scores",
    "verdict",
    "weighing",
]
