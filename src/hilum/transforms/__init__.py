"""What is done to images: preprocessing, augmentation, and corruptions for stress tests.

Preprocessing travels with the classifier; the others never change an image that is predicted.
"""

__all__ = ["augment", "corrupt", "cropping", "preprocess", "shift"]
