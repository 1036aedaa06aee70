"""Whether attribution maps point at findings, where it is known where these are: on phantoms.

This says how far to trust the heat maps of one classifier. On real radiographs nobody has drawn
the findings, so it cannot be measured there, and says so.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hilum.classifier.classifier import Classifier, check_labels
from hilum.decisions import Decision
from hilum.errors import DataError, EvaluationError
from hilum.explanation.attribution import METHODS, Method, attribute
from hilum.explanation.feature_maps import MapArray
from hilum.explanation.network import open_network
from hilum.radiographs.dataset import Dataset
from hilum.radiographs.image import read_radiograph
from hilum.radiographs.pixels import Progress
from hilum.records import BoolArray, Estimate, FloatArray, PixelArray, evenly_spaced
from hilum.statistics.intervals import bootstrap, wilson
from hilum.transforms.cropping import body_box, lungs_box, resize_image
from hilum.transforms.preprocess import Preprocessing

NO_MASKS = (
    "not measured: where the findings of these radiographs are has not been drawn; it is known of "
    "phantoms only"
)


@dataclass(frozen=True, slots=True)
class Localisation:
    """How well the maps of one method, of one decision, find the findings of phantoms.

    n: radiographs with a finding that were looked at, each explained for its true option.
    pointing: share of them whose strongest place lies in the finding (the pointing game, Zhang et
    al. 2018, doi:10.1007/s11263-017-1059-x; no tolerance). mass: mean share of what speaks for the
    option that lies in the finding. chance: mean share of the image that the finding takes, which
    a map that knows nothing would reach in both. lift: mean of mass minus that share, image by
    image. empty: maps in which nothing speaks for the option: misses of the pointing game, left
    out of mass and lift. Undefined, with the reason, where no finding is known.
    """

    method: Method
    decision: str
    n: int
    pointing: Estimate
    mass: Estimate
    chance: Estimate
    lift: Estimate
    empty: int

    DERIVED: ClassVar[tuple[str, ...]] = ("measured", "verdict")

    @property
    def measured(self) -> bool:
        """Whether findings were known to measure against."""
        return self.pointing.value is not None

    @property
    def verdict(self) -> str:
        """In words, from 'not measured' to 'mostly inside the finding'.

        Findings are bright, and so maps of untrained networks lie in them a little more than by
        chance (measured: up to 1.7 times). Hence 'above chance' needs twice chance.
        """
        if not self.measured:
            return "not measured"
        if self.lift.value is None or self.lift.low is None or self.lift.low <= 0:
            return "no better than chance"
        if self.mass.low is not None and self.mass.low >= 0.5:
            return "mostly inside the finding"
        if self.mass.low is None or self.mass.low < 2 * (self.chance.value or 0):
            return "hardly above chance"
        return "above chance"


def measure_localisation(
    classifier: Classifier,
    dataset: Dataset,
    split: str = "val",
    *,
    methods: Iterable[Method] = METHODS,
    n: int = 48,
    progress: Progress | None = None,
) -> tuple[Localisation, ...]:
    """score_localisation for every network of a classifier and every method."""
    return tuple(
        score_localisation(
            classifier, dataset, method, split=split, decision=decision.name, n=n, progress=progress
        )
        for decision in classifier.tree.networks(classifier.strategy)
        for method in methods
    )


def score_localisation(
    classifier: Classifier,
    dataset: Dataset,
    method: Method,
    *,
    split: str = "val",
    decision: str | None = None,
    n: int = 48,
    progress: Progress | None = None,
) -> Localisation:
    """Compare a method's maps with the masks of phantoms.

    dataset: as write_phantoms left it, opened with the classifier's labels; of other data the
    result is "not measured". decision: whose network; None takes the first. n: how many
    radiographs of the split, at most, spread over it; those without a finding are not among them.
    Raises EvaluationError where the labels differ or the decision is not there, DataError where
    the split or a mask is missing.
    """
    check_labels(classifier, dataset)
    opened = open_network(classifier, decision)
    name = opened.decision.name
    rows, pixels, masks = _with_findings(classifier, dataset, split, opened.decision, n)
    if not rows:
        why = (
            "no phantom with a finding belongs to this decision" if dataset.synthetic else NO_MASKS
        )
        nothing = Estimate.undefined(why)
        return Localisation(method, name, 0, nothing, nothing, nothing, nothing, 0)
    options = opened.decision.targets(dataset.labels[rows])
    maps = attribute(opened, np.stack(pixels), method=method, options=options, progress=progress)
    return compare_with_masks(maps, np.stack(masks), method=method, decision=name)


def compare_with_masks(
    maps: MapArray, masks: BoolArray, *, method: Method, decision: str
) -> Localisation:
    """The scores of maps (N, H, W) against masks (N, H, W), each with at least one pixel inside.

    N ≥ 1. Only what is positive in a map counts. Raises EvaluationError for other shapes or an
    empty mask.
    """
    if maps.shape != masks.shape or maps.ndim != 3 or not masks.any(axis=(1, 2)).all():
        raise EvaluationError(
            f"Maps {maps.shape} and masks {masks.shape} must have one shape (N, H, W), and every "
            "mask a finding."
        )
    positive = np.maximum(maps.astype(np.float64), 0)
    total = positive.sum(axis=(1, 2))
    shown = total > 0
    flat = positive.reshape(len(maps), -1)
    hits = masks.reshape(len(maps), -1)[np.arange(len(maps)), flat.argmax(axis=1)] & shown
    area = masks.mean(axis=(1, 2))
    mass = (positive * masks).sum(axis=(1, 2))[shown] / total[shown]
    return Localisation(
        method=method,
        decision=decision,
        n=len(maps),
        pointing=wilson(int(hits.sum()), len(maps)),
        mass=_mean(mass),
        chance=_mean(area),
        lift=_mean(mass - area[shown]),
        empty=int((~shown).sum()),
    )


def mask_pixels(preprocessing: Preprocessing, image: PixelArray, mask: PixelArray) -> BoolArray:
    """Where a mask lies in the pixels that preprocessing makes of its image.

    image, mask: (H, W) uint8, the mask 255 inside. Returns image_size bool, true where at least
    half of a pixel is inside.
    """
    if preprocessing.crop != "none":
        box = body_box(image) if preprocessing.crop == "body" else lungs_box(image)
        mask = np.ascontiguousarray(box.cut(mask))
    resized = resize_image(mask, preprocessing.image_size, preprocessing.resize)
    inside: BoolArray = resized >= 128
    return inside


def _with_findings(
    classifier: Classifier, dataset: Dataset, split: str, decision: Decision, n: int
) -> tuple[list[int], list[PixelArray], list[BoolArray]]:
    """Rows of at most n phantoms below the decision whose finding is seen, pixels and masks."""
    found: tuple[list[int], list[PixelArray], list[BoolArray]] = ([], [], [])
    if not dataset.synthetic:
        return found
    masks = {
        row: dataset.root / "masks" / dataset.records[row].name
        for row in dataset.indices(split).tolist()
    }
    below = decision.targets(dataset.labels[list(masks)]) >= 0
    rows = [row for row, own in zip(masks, below, strict=True) if own and masks[row].is_file()]
    for row in [rows[i] for i in evenly_spaced(len(rows), n)] if rows else []:
        image, mask = read_radiograph(dataset.records[row].path), read_radiograph(masks[row])
        if image.shape != mask.shape:
            raise DataError(
                f"{masks[row]}: the mask is {mask.shape}, its image {image.shape}: write the "
                "phantoms again."
            )
        inside = mask_pixels(classifier.preprocessing, image, mask)
        if inside.any():  # a crop or a coarse grid may leave nothing of a small finding
            found[0].append(row)
            found[1].append(classifier.preprocessing.to_pixels(image))
            found[2].append(inside)
    return found


def _mean(values: FloatArray) -> Estimate:
    if len(values) == 0:
        return Estimate.undefined("no map in which anything speaks for the option")
    return bootstrap(lambda counts: counts @ values / counts.sum(axis=1), len(values))
