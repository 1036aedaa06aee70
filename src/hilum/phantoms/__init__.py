"""Synthetic chest radiographs whose findings are known, and pictures that are no radiographs.

They run everything where no data are at hand; nothing measured on them is about patients.
"""

__all__ = ["multiple", "negatives", "phantom", "sites"]
