"""Labels that are not what was meant: one label written in two ways, and nesting that is none."""

import re
from collections.abc import Collection, Iterable
from pathlib import Path

from hilum.errors import DataError
from hilum.radiographs.layouts import same_numbers
from hilum.wording import listed

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
                        "typo. Give both one name, or list the labels with --classes if both are "
                        "meant."
                    )


def what_to_do(root: Path, paths: Collection[tuple[str, ...]]) -> str:
    """How data whose labels form no tree may be mended, as the end of a refusal."""
    if len(paths) == 1:
        return " Add images of another label."
    common = [
        at[0]
        for k, at in enumerate(zip(*paths, strict=False))
        if len({p[: k + 1] for p in paths}) == 1
    ]
    if common and tuple(common) not in paths:
        inner = root.joinpath(*common)
        if inner.is_dir():
            return f" If '{'/'.join(common)}' is no label, give as the data: {inner}"
    parents: dict[str, set[str]] = {}
    for path in paths:
        for depth, name in enumerate(path[1:]):
            parents.setdefault(name, set()).add("/".join(path[: depth + 1]))
    several = next((above for above in parents.values() if len(above) > 1), None)
    if several:
        return (
            f" It stands below {listed(sorted(several))}: if these are splits, call them train, "
            "val and test; otherwise give each label a name of its own."
        )
    return " Rename, move or remove what is no label of its own."


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
