"""Images of which several findings are told: in one cell, or in a column for each finding."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from hilum.errors import Problems, plural
from hilum.labels import natural_order, says_nothing_found
from hilum.radiographs.layouts.listing import Found, LeftOut
from hilum.records import ABSENT, MISSING, PRESENT, UNCERTAIN

#: What cells of a finding's column mean.
CELLS = {
    "1": PRESENT, "1.0": PRESENT, "true": PRESENT, "yes": PRESENT,
    "0": ABSENT, "0.0": ABSENT, "false": ABSENT, "no": ABSENT,
    "-1": UNCERTAIN, "-1.0": UNCERTAIN, "": MISSING,
}  # fmt: skip


def marks_in(
    row: Mapping[str, str], columns: Sequence[str], line: int, problems: Problems
) -> dict[str, int]:
    """What a row says of the findings that have a column; problems gets cells that say neither."""
    said = {name: CELLS.get(row[name].casefold()) for name in columns}
    for name, mark in said.items():
        if mark is None:
            problems.add(
                "with another value in the column of a finding than 1, 0, -1 or nothing",
                "write one of these, or take the column out if it is of no finding",
                f"line {line}: '{name}' is '{row[name]}'",
            )
    return {name: MISSING if mark is None else mark for name, mark in said.items()}


def name_of(label: str) -> str:
    """The name of a finding: of nested labels the innermost."""
    return label.rpartition("/")[2].strip()


class Marked:
    """Collects images with what is said of their findings.

    otherwise: what is known of a finding that is not spoken of: ABSENT where findings are listed,
    MISSING where each has a column. An image that is said to have no finding has none of those
    that are not spoken of. beside: findings that may be present nevertheless.
    """

    def __init__(self, problems: Problems, otherwise: int, beside: Collection[str] = ()) -> None:
        self._problems, self._otherwise, self._beside = problems, otherwise, beside
        self._images: list[tuple[Found, Mapping[str, int]]] = []
        self.left_out: tuple[LeftOut, ...] = ()

    def add(self, image: Found, said: Mapping[str, int], line: int) -> None:
        """An image whose marks and labels are still to be given; said: a mark by finding."""
        present = [n for n, mark in said.items() if mark == PRESENT and n not in self._beside]
        nothing = next((n for n in present if says_nothing_found(n)), "")
        other = next((n for n in present if not says_nothing_found(n)), "")
        if nothing and other:
            self._problems.add(
                "with a finding beside a name for 'nothing found'",
                "keep one of them",
                f"line {line}: {image.path.name}: {nothing} and {other}",
            )
        self._images.append((image, said))

    def finish(
        self, names: Sequence[str] | None = None
    ) -> tuple[tuple[Found, ...], tuple[str, ...]]:
        """The images with marks, and the names of the findings; names: in which order.

        Images of whose findings nothing is known are left_out. An image's labels are those that it
        came with, or else the only thing that is present; () where that is not one.
        """
        if names is None:
            names = sorted({n for _, said in self._images for n in said}, key=natural_order)
        findings = tuple(n for n in names if not says_nothing_found(n))
        found = []
        unknown = []
        for image, said in self._images:
            present = [n for n, mark in said.items() if mark == PRESENT]
            rest = self._otherwise
            if any(map(says_nothing_found, present)):
                rest = ABSENT
            marks = []
            for name in findings:
                mark = said.get(name, MISSING)
                silent = mark == MISSING and name not in self._beside
                marks.append(rest if silent else mark)
            if findings and set(marks) == {MISSING}:
                unknown.append(image.path.name)
                continue
            alone = len(present) == 1 and not image.labels
            labels = (present[0],) if alone else image.labels
            found.append(replace(image, marks=tuple(marks), labels=labels))
        if unknown:
            note = f"{plural(len(unknown), 'image')} of whose findings nothing is known left out."
            self.left_out = (LeftOut(note, tuple(unknown)),)
        return tuple(found), findings
