"""Whether attribution maps point at findings, where it is known where these lie.

This says how far to trust the heat maps of one classifier. It is known of phantoms, and of some
public radiographs, on which people drew boxes; of all others it cannot be measured, and says so.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

import numpy as np

from hilum.classifier.classifier import Classifier, check_labels
from hilum.decisions import Finding
from hilum.errors import EvaluationError
from hilum.explanation.attribution import METHOD_NAMES, METHODS, Method, attribute
from hilum.explanation.feature_maps import MapArray
from hilum.explanation.network import OpenNetwork, open_network
from hilum.explanation.places import Places, mask_pixels
from hilum.radiographs.dataset import Dataset
from hilum.radiographs.image import read_radiograph
from hilum.radiographs.pixels import Progress
from hilum.records import BoolArray, Estimate, FloatArray, PixelArray, evenly_spaced
from hilum.statistics.intervals import bootstrap, wilson
from hilum.table import Column, Columns, Rows, Table
from hilum.wording import listed

NO_PLACES: Final = (
    "not measured: where they lie is not known in these radiographs, as it is in phantoms and "
    "where people drew boxes"
)
TOO_SMALL: Final = "not measured: preprocessing leaves nothing to be seen of where they lie"
OTHER_FILES: Final = (
    "not measured: boxes reach beyond their images, which are not those that were published"
)


@dataclass(frozen=True, slots=True)
class Localisation:
    """How well the maps of one method, of a choice or a finding, lie where that is to be seen.

    decision: whose network. finding: the one that was explained; '' of the choice, for which each
    radiograph was explained for its true option. n: radiographs that were looked at, whose place is
    known. pointing: share of them whose strongest place lies in it (the pointing game, Zhang et
    al. 2018, doi:10.1007/s11263-017-1059-x; no tolerance). mass: mean share of what speaks for the
    option that lies in it. chance: mean share of the image that the place takes, which a map that
    knows nothing would reach in both. lift: mean of mass minus that share, image by image. empty:
    maps in which nothing speaks for the option: misses of the pointing game, left out of mass and
    lift. Undefined, with the reason, where no place is known.
    """

    method: Method
    decision: str
    n: int
    pointing: Estimate
    mass: Estimate
    chance: Estimate
    lift: Estimate
    empty: int
    finding: str = ""

    DERIVED: ClassVar[tuple[str, ...]] = ("measured", "verdict")

    @property
    def measured(self) -> bool:
        """Whether places were known to measure against."""
        return self.pointing.value is not None

    @property
    def about(self) -> str:
        """What was explained: the finding, or the decision."""
        return self.finding or self.decision

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
    """Compare the maps of every method with where findings are known to lie.

    Of every choice of a network, the maps for each image's true option are compared with the place
    of what shows its class; of every finding, its own maps in images that have it with its place.

    dataset: with the classifier's labels; as write_phantoms or write_findings left it, or of a
    layout that read_boxes knows. Of other data the result is "not measured". n: how many
    radiographs of the split, at most, for each choice and finding, spread over those whose place is
    known. Raises EvaluationError where the labels differ, DataError where the split is missing, or
    a mask or box is damaged.
    """
    check_labels(classifier, dataset)
    places, chosen = Places(dataset), tuple(methods)
    found = []
    for network in classifier.tree.networks(classifier.strategy):
        opened = open_network(classifier, network.name)
        for finding in (*([None] if network.options else []), *network.findings):
            name = finding.name if finding else ""
            rows, pixels, masks, why = _placed(opened, places, dataset, split, finding, n)
            answers = network.targets(dataset.labels[rows])
            if finding:
                answers[:] = len(network.options) + network.findings.index(finding)
            for method in chosen:
                if why:
                    found.append(_unmeasured(method, network.name, name, why))
                    continue
                maps = attribute(
                    opened, np.stack(pixels), method=method, options=answers, progress=progress
                )
                compared = compare_with_masks(
                    maps, np.stack(masks), method=method, decision=network.name, finding=name
                )
                found.append(compared)
    return tuple(found)


def _unmeasured(method: Method, decision: str, finding: str, why: str) -> Localisation:
    lacking = Estimate.undefined(why)
    return Localisation(method, decision, 0, lacking, lacking, lacking, lacking, 0, finding)


def compare_with_masks(
    maps: MapArray, masks: BoolArray, *, method: Method, decision: str, finding: str = ""
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
        finding=finding,
    )


def _placed(
    opened: OpenNetwork,
    places: Places,
    dataset: Dataset,
    split: str,
    finding: Finding | None,
    n: int,
) -> tuple[list[int], list[PixelArray], list[BoolArray], str]:
    """Rows of at most n images whose place is known and seen, pixels, places; or why there is none.

    finding: None of the network's choice.
    """
    rows = dataset.indices(split)
    if finding is None:
        rows = rows[opened.decision.targets(dataset.labels[rows]) >= 0]
    told = [row for row in rows.tolist() if places.known(row, finding)]
    kept, pixels, masks = list[int](), list[PixelArray](), list[BoolArray]()
    for row in [told[i] for i in evenly_spaced(len(told), n)] if told else []:
        image = read_radiograph(dataset.records[row].path)
        drawn = places.draw(row, finding, image)
        if drawn is None:
            return [], [], [], OTHER_FILES
        inside = mask_pixels(opened.preprocessing, image, drawn)
        if inside.any():  # a crop or a coarse grid may leave nothing of a small finding
            kept.append(row)
            pixels.append(opened.preprocessing.to_pixels(image))
            masks.append(inside)
    return kept, pixels, masks, "" if kept else TOO_SMALL if told else NO_PLACES


def _mean(values: FloatArray) -> Estimate:
    if len(values) == 0:
        return Estimate.undefined("no map in which anything speaks for the option")
    return bootstrap(lambda counts: counts @ values / counts.sum(axis=1), len(values))


def localisation_table(caption: str, scores: Sequence[Localisation]) -> Table:
    """How well maps lie where findings are, of what was measured."""
    kinds = ["finding" if s.finding else "decision" for s in scores if s.measured]
    columns: Columns = [
        Column("method", wrap=True),
        Column(" or ".join(dict.fromkeys(kinds)), "text"),
        "images", Column("strongest place inside", wrap=True),
        Column("share of the map inside", wrap=True), "by chance", Column("verdict", "text"),
    ]  # fmt: skip
    rows: Rows = [
        [METHOD_NAMES[s.method], s.about, s.n, s.pointing, s.mass, s.chance, s.verdict]
        for s in scores
        if s.measured
    ]
    return Table(caption, columns, rows)


def say_unmeasured(scores: Sequence[Localisation]) -> list[str]:
    """Why it was not measured, a sentence for each reason; of what, unless of nothing it was."""
    lacking: dict[str, dict[str, None]] = {}
    for score in scores:
        if not score.measured:
            lacking.setdefault(score.pointing.reason, {})[score.about] = None
    everything = len(lacking) == 1 and not any(score.measured for score in scores)
    return [
        f"Whether the maps find {'the findings' if everything else listed(list(names))}: {why}."
        for why, names in lacking.items()
    ]
