"""Can the classes be told apart by something that is not lung?

A network takes the easiest way: a hospital's marker in the corner, the width of the collimation,
the brightness of one machine. So a simple classifier is given only such things. Where it does
better than chance, a network may do the same, and a good figure need not mean a good reader.
Sources: Maguolo and Nanni 2021, doi:10.1016/j.inffus.2021.04.008 (lungs blanked out); DeGrave,
Janizek and Lee 2021, doi:10.1038/s42256-021-00338-7.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from threadpoolctl import threadpool_limits

from hilum.auditing.findings import Finding
from hilum.auditing.probe import FOLDS, Features, probe, thin, units_of
from hilum.radiographs.image import Header
from hilum.radiographs.pixels import in_parallel
from hilum.records import Estimate, IntArray, PixelArray, Pixels, Progress

#: The side of the square images that features are taken from.
SIDE = 64

#: In units of SIDE: how thick the border is, how long a corner patch, and what the mask covers.
_BORDER = 4
_CORNER = 12
#: Rows and columns that hold the lungs: of phantoms, in any framing, 99.9 % of the lung pixels.
#: Of real radiographs that are framed tightly a rim of lung can remain.
LUNGS = (slice(4, 58), slice(4, 60))

#: An AUROC from which a shortcut is worth a warning, if its whole interval is above chance.
_NOTABLE = 0.6


@dataclass(frozen=True, slots=True)
class Shortcut:
    """How well one kind of information tells the classes apart.

    name: what the classifier saw. about: that in words. auroc: one-vs-rest, mean over classes,
    0.5 by chance. per_class: the AUROC of each class against the rest. sees_lung: whether lung was
    seen: in the histogram its brightness without its place, in the whole image all of it. Those
    two are there to compare with.
    """

    DERIVED: ClassVar = ("above_chance",)

    name: str
    about: str
    auroc: Estimate
    per_class: dict[str, float]
    sees_lung: bool = False

    @property
    def above_chance(self) -> bool:
        """Whether the whole interval lies above chance."""
        return self.auroc.low is not None and self.auroc.low > 0.5


_ABOUT = {
    "file": "width, height, aspect ratio, bytes, bit depth, colour mode and compression",
    "border": f"the outer {100 * _BORDER / SIDE:.0f} % of the image on every side",
    "corners": f"four corner patches, each {100 * _CORNER / SIDE:.0f} % of a side, where markers "
    "stand",
    "histogram": "mean, standard deviation and histogram of all pixel values: how bright, not "
    "where",
    "no lungs": "the image with the rectangle that holds the lungs blanked out",
    "whole image": "all of the image, lungs included, to compare with",
}
_SEE_LUNG = ("histogram", "whole image")
_FILE_SIZE = (
    "The number of bytes follows what an image shows as well as how it was stored, so files of "
    "one size and format can still differ by class here."
)


def measure_shortcuts(
    pixels: Pixels,
    headers: Sequence[Header] | None,
    labels: IntArray,
    classes: Sequence[str],
    *,
    rows: IntArray | None = None,
    groups: Sequence[str | None] | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> tuple[Shortcut, ...]:
    """The AUROC of a logistic regression on each kind of information that is not lung.

    pixels: (N, SIDE, SIDE) uint8. headers: of the N files; None leaves them out. labels: (N,)
    class indices, the images of a class in the order of their files. rows: which of them are used
    (all). groups: N patients, None where unknown.

    Cross-validated in 5 folds of contiguous blocks of each class's files, with a patient in one
    fold only. Intervals take patients, or runs of 10 neighbouring files of a class, as what is
    independent, not images; see probe.
    A class with fewer than 2 x FOLDS images, or fewer than two classes, leaves all undefined.
    Above LIMIT images whole runs are left out evenly.
    """
    rows = np.arange(len(labels)) if rows is None else rows
    rows = rows[thin(labels[rows])]
    labels = labels[rows]
    units = units_of(labels, None if groups is None else [groups[i] for i in rows])
    counts = np.bincount(labels, minlength=len(classes))
    short = [name for name, n in zip(classes, counts, strict=True) if n < 2 * FOLDS]
    sets = _features(pixels, headers, rows)

    def judge(name: str) -> Shortcut:
        seen, lung = _ABOUT[name], name in _SEE_LUNG
        if short:
            reason = f"'{short[0]}' has fewer than {2 * FOLDS} images"
            return Shortcut(name, seen, Estimate.undefined(reason, len(rows)), {}, lung)
        return Shortcut(name, seen, *probe(sets[name](), labels, units, classes, seed), lung)

    # One thread for each kind of information: the matrices are too small to be shared out, and
    # threads that wait for each other cost many times the arithmetic on a busy machine.
    with threadpool_limits(1):
        return tuple(in_parallel(judge, list(sets), "Looking for shortcuts", progress))


def shortcut_findings(shortcuts: Sequence[Shortcut]) -> list[Finding]:
    """What the shortcuts mean, the strongest in the title."""
    outside = [s for s in shortcuts if not s.sees_lung]
    evidence = tuple(f"{s.name}: AUROC {_in_words(s.auroc)} from {s.about}" for s in shortcuts)
    if any(s.auroc.value is None for s in shortcuts):
        return [
            Finding(
                "note",
                "shortcut-unknown",
                "Too few images to look for shortcuts",
                f"{shortcuts[0].auroc.reason}, and the search is cross-validated in {FOLDS} folds.",
            )
        ]
    return [*_outside_the_lungs(outside, evidence), *_brightness(shortcuts)]


def _brightness(shortcuts: Sequence[Shortcut]) -> list[Finding]:
    """Whether brightness alone goes with the classes: of disease, or of how images were made."""
    return [
        Finding(
            "note",
            "shortcut-brightness",
            f"Brightness alone tells the classes apart with an AUROC of {s.auroc.value:.2f}",
            "Disease makes lungs brighter, and so do other exposures, machines and programs: this "
            "cannot tell which of them it is.",
            "Make brightness alike (preprocessing), and see whether your classifier loses by it.",
        )
        for s in shortcuts
        if s.name == "histogram" and s.above_chance and (s.auroc.value or 0) >= _NOTABLE
    ]


def left_findings(
    recipe: str, shortcuts: Sequence[Shortcut], left: Sequence[Shortcut]
) -> list[Finding]:
    """What a recipe's augmentation leaves of the shortcuts.

    shortcuts: of the images as they are; left: of the same kinds, of the images as it trains on
    them.
    """
    before = {s.name: s.auroc for s in shortcuts}
    measured = [s for s in left if s.auroc.value is not None]
    outside = [s for s in measured if not s.sees_lung]
    if not outside:
        return []
    best = max(outside, key=lambda s: s.auroc.value or 0)
    evidence = tuple(
        f"{s.name}: AUROC {_in_words(s.auroc)}, as the images are {_in_words(before[s.name])}"
        for s in measured
    )
    strongest = f"AUROC {best.auroc.value:.2f} from {best.about}"
    if best.above_chance and (best.auroc.value or 0) >= _NOTABLE:
        return [
            Finding(
                "warning",
                "shortcut-left",
                f"The augmentation of '{recipe}' leaves a shortcut outside the lungs: {strongest}",
                "A network that is trained with it can still learn this instead of the disease.",
                "Augment further (rotate, shift, scale, contrast, …), as far as a person still "
                "sees the finding, or crop to the lungs.",
                evidence,
            )
        ]
    return [
        Finding(
            "passed",
            "shortcut-left",
            f"The augmentation of '{recipe}' leaves little of any shortcut: at most {strongest}",
            f"Outside the lungs a simple classifier stays below {_NOTABLE} on images as training "
            "sees them. A network sees more than a simple classifier: this is no proof.",
            "",
            evidence,
        )
    ]


def strength(shortcuts: Sequence[Shortcut]) -> float:
    """The highest AUROC outside the lungs; 0 where none is defined."""
    return max((s.auroc.value or 0 for s in shortcuts if not s.sees_lung), default=0)


def by_finding(found: Mapping[str, Sequence[Finding]]) -> list[Finding]:
    """Of the results for each finding of images, one of each kind, which names them all.

    found: by the finding's name, of shortcut_findings or left_findings, the strongest first.
    """
    kinds: dict[tuple[str, str], list[tuple[str, Finding]]] = {}
    for name, results in found.items():
        for result in results:
            kinds.setdefault((result.severity, result.code), []).append((name, result))
    merged = []
    for of_kind in kinds.values():
        name, first = of_kind[0]
        more = f" and {len(of_kind) - 1} more" if len(of_kind) > 1 else ""
        title = f"'{name}'{more}: {first.title[0].lower()}{first.title[1:]}"
        evidence = (f"{n}: {r.title}" for n, r in of_kind)
        merged.append(replace(first, title=title, evidence=(*evidence, *first.evidence)))
    return merged


def _outside_the_lungs(outside: Sequence[Shortcut], evidence: tuple[str, ...]) -> list[Finding]:
    strong = [s for s in outside if s.above_chance and (s.auroc.value or 0) >= _NOTABLE]
    if strong:
        best = max(strong, key=lambda s: s.auroc.value or 0)
        return [
            Finding(
                "warning",
                "shortcut",
                f"Labels can be told without the lungs: AUROC {best.auroc.value:.2f} "
                f"from {best.about}",
                "A network can learn this instead of the disease; on images from elsewhere it "
                "is then lost. " + _FILE_SIZE * any(s.name == "file" for s in strong),
                "Crop to the lungs, make brightness alike (preprocessing), look where the "
                "network looks, and test on data from another source.",
                evidence,
            )
        ]
    if any(s.above_chance for s in outside):
        return [
            Finding(
                "note",
                "shortcut-possible",
                "Something outside the lungs goes with the classes, but weakly",
                f"An AUROC is above chance, though below {_NOTABLE}.",
                "Compare it with the AUROC of your classifier.",
                evidence,
            )
        ]
    return [
        Finding(
            "passed",
            "shortcut",
            "No shortcut found outside the lungs",
            "A simple classifier that does not see lung does no better than chance. A network "
            "sees more than a simple classifier: this is no proof.",
            "",
            evidence,
        )
    ]


def _in_words(auroc: Estimate) -> str:
    if auroc.value is None or auroc.low is None or auroc.high is None:
        return "undefined" if auroc.value is None else f"{auroc.value:.2f} ({auroc.reason})"
    return auroc.in_words(2)


# ---- features ------------------------------------------------------------------------------


def _features(
    pixels: Pixels, headers: Sequence[Header] | None, rows: IntArray
) -> dict[str, Callable[[], Features]]:
    """How to make the (N, features) of each kind of information; made one at a time."""
    images = np.asarray(pixels[rows])
    inside = np.zeros((SIDE, SIDE), dtype=bool)
    inside[_BORDER:-_BORDER, _BORDER:-_BORDER] = True
    corners = np.zeros((SIDE, SIDE), dtype=bool)
    for y in (slice(None, _CORNER), slice(-_CORNER, None)):
        for x in (slice(None, _CORNER), slice(-_CORNER, None)):
            corners[y, x] = True

    def masked() -> Features:
        blanked = images.copy()
        blanked[:, LUNGS[0], LUNGS[1]] = 0
        return _coarse(blanked)

    of_files = (
        {} if headers is None else {"file": lambda: _file_features([headers[i] for i in rows])}
    )
    return {
        **of_files,
        "border": lambda: _coarse(images)[:, ~inside[::2, ::2].ravel()],
        "corners": lambda: _coarse(images)[:, corners[::2, ::2].ravel()],
        "histogram": lambda: _histogram(images),
        "no lungs": masked,
        "whole image": lambda: _coarse(images, 4),
    }


def _file_features(headers: Sequence[Header]) -> Features:
    numbers = [
        (np.log(h.width), np.log(h.height), np.log(h.width / h.height), np.log(h.bytes),
         h.bits, h.quantisation)
        for h in headers
    ]  # fmt: skip
    kinds = sorted({(h.format, h.mode) for h in headers})
    flags = [[(h.format, h.mode) == kind for kind in kinds] for h in headers]
    return np.hstack([np.array(numbers), np.array(flags)]).astype(np.float32)


def _histogram(images: PixelArray) -> Features:
    shares = np.stack([np.bincount(i.ravel() >> 4, minlength=16) for i in images]) / SIDE**2
    values = images.reshape(len(images), -1)
    moments = values.mean(1)[:, None], values.std(1)[:, None]
    return np.hstack([shares, *moments]).astype(np.float32)


def _coarse(images: PixelArray, by: int = 2) -> Features:
    """Means of by x by pixels: far fewer features, and no less for a linear classifier."""
    side = SIDE // by
    squares = images.reshape(len(images), side, by, side, by)
    means: Features = squares.mean(axis=(2, 4), dtype=np.float32).reshape(len(images), -1)
    return means
