"""Reading radiographs: from a folder, table or NPZ file to records, and from files to pixels.

Every file is decoded once, to grey, whatever its format; the pixels are kept in the cache.
"""

__all__ = [
    "arrays",
    "cache",
    "dataset",
    "decoding",
    "gather",
    "image",
    "kept",
    "label_map",
    "layouts",
    "pixels",
]
