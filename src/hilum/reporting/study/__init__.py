"""The page of a study, and the document on what was reproduced of published work."""

__all__ = ["page", "reproduction"]
