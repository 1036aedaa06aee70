"""Classifiers for use elsewhere: as an ONNX file, by ONNX Runtime, or as a folder with a card.

What is exported to ONNX is compared with the classifier before it is written.
"""

__all__ = [
    "card",
    "graph",
    "huggingface",
    "onnx",
    "pyfunc",
    "runtime",
    "session",
    "translation",
]
