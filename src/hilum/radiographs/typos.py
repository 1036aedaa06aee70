"""Labels that look like one label, written in two ways."""

import re
from collections.abc import Iterable
from pathlib import Path

from hilum.errors import DataError
from hilum.radiographs.layouts import same_numbers

#: What file managers add to the name of a copy.
_COPY = re.compile(
    r"^copy of |[ _-]+(copy|kopie|copie|copia)([ _-]*\(?\d+\)?)?$|[ _]*\(\d+\)$", re.IGNORECASE
)


def refuse_typos(root: Path, paths: Iterable[tuple[str, ...]]) -> None:
    """Raise DataError where two labels of one decision differ by a typo. paths: of the labels."""
    siblings: dict[tuple[str, ...], set[str]] = {}
    for path in paths:
        for depth, name in enumerate(path):
            siblings.setdefault(path[:depth], set()).add(name)
    for parent, names in siblings.items():
        ordered = sorted(names)
        for i, one in enumerate(ordered):
            for other in ordered[i + 1 :]:
                if _is_typo(one, other):
                    where = "/".join(parent) or "the labels"
                    raise DataError(
                        f"{root}: among {where}, '{one}' and '{other}' look like one label with a "
                        "typo. Rename one folder, or list the labels with --classes if both are "
                        "meant."
                    )


def _is_typo(one: str, other: str) -> bool:
    """Whether two names are one edit apart: a letter more, less, changed, or two swapped.

    Names that differ in a digit or in a word of one or two letters (grade-1, type a) are meant.
    """
    numbers = same_numbers([one, other])
    if numbers.get(one, one) == numbers.get(other, other):
        return True  # 1 and 1.0
    if _COPY.sub("", one) == _COPY.sub("", other):
        return True  # normal and normal - Copy
    words = [re.split(r"[\s_-]+", name.casefold().strip()) for name in (one, other)]
    if words[0] == words[1]:
        return True  # they differ in case or in the separator only
    if len(words[0]) == len(words[1]):
        pairs = [(a, b) for a, b in zip(*words, strict=True) if a != b]
        if all(len(a) <= 2 or len(b) <= 2 for a, b in pairs):
            return False
    a, b = ("".join(w) for w in words)
    if a == f"a{b}" or b == f"a{a}":
        return False  # typical and atypical
    if max(len(a), len(b)) < 5 or re.sub(r"\d", "", a) == re.sub(r"\d", "", b):
        return a == b
    start = next(
        (i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), len(min(a, b, key=len))
    )
    rest_a, rest_b = a[start:], b[start:]
    return (
        rest_a[1:] == rest_b[1:]
        or rest_a[1:] == rest_b
        or rest_a == rest_b[1:]
        or (rest_a[:2] == rest_b[1::-1] and rest_a[2:] == rest_b[2:])
    )
