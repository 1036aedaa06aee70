"""Judging: anybody's table of predictions → what can be claimed, and what not."""

__all__ = ["cases", "chance", "claims", "columns", "judge", "roles", "verdict"]
