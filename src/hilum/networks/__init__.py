"""Networks, and how they are known by name; several of them may answer together as one.

Each takes grey images (B, 1, H, W) in [0, 1] and returns logits (B, outputs).
"""

__all__ = ["ensemble", "registry", "states", "summary"]
