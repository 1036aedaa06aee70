"""How well the gate works: what it finds of images that are no chest radiographs."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import PIL

from hilum.classifier.arrivals import Tally
from hilum.classifier.gate import Gate
from hilum.errors import EvaluationError
from hilum.files import sha256
from hilum.phantoms import negatives
from hilum.phantoms.negatives import (
    CHANGED_KINDS,
    DRAWN_KINDS,
    SMALLEST,
    change_radiograph,
    draw_colour_photograph,
    draw_negative,
)
from hilum.radiographs.cache import cache_folder
from hilum.radiographs.image import has_colour
from hilum.radiographs.kept import map_kept, new_kept
from hilum.records import Estimate, PixelArray, evenly_spaced
from hilum.statistics.intervals import wilson
from hilum.transforms.preprocess import Preprocessing

COLOUR = "photograph in colour"


@dataclass(frozen=True)
class GateScore:
    """What a gate flags.

    wanted: the false-alarm rate that it was fitted for. false_alarms: share of held-out
    radiographs that it flags. detected: for each kind of negative the share that is flagged;
    'photograph in colour' is decided by the colour of the file, not by the gate.
    """

    wanted: float
    false_alarms: Estimate
    detected: dict[str, Estimate]


def score_gate(
    gate: Gate,
    preprocessing: Preprocessing,
    radiographs: Sequence[PixelArray],
    *,
    per_kind: int = 100,
) -> GateScore:
    """Show the gate held-out radiographs, the same ones changed, and drawn negatives.

    radiographs: grey images (H, W) uint8 as they were read, before preprocessing, at least one;
    none that fitted the gate. per_kind: how many of each drawn kind, and at most of each change,
    which is made of radiographs at equal steps. Drawings have the preprocessing's size, and are
    kept in the cache. Raises EvaluationError without radiographs, and DataError where the cache
    cannot be written.
    """
    if not radiographs or per_kind < 1:
        raise EvaluationError("Scoring a gate needs at least one held-out radiograph and negative.")

    def flagged(images: Iterable[PixelArray]) -> Estimate:
        pixels = np.stack([preprocessing.to_pixels(image) for image in images])
        return Tally.of(gate.judge(pixels).p_values, gate).share

    size = max(SMALLEST, *preprocessing.image_size)
    chosen = evenly_spaced(len(radiographs), per_kind)
    detected: dict[str, Estimate] = {}
    for kind in DRAWN_KINDS:
        detected[kind] = flagged(
            _drawings(kind, partial(draw_negative, kind, seed=0, size=size), per_kind, size)
        )
    for change in CHANGED_KINDS:
        detected[change] = flagged(
            change_radiograph(change, radiographs[i], clockwise=k % 2 == 0)
            for k, i in enumerate(chosen)
        )
    draw = partial(draw_colour_photograph, seed=0, size=size)
    coloured = sum(map(has_colour, _drawings(COLOUR, draw, per_kind, size)))
    detected[COLOUR] = wilson(coloured, per_kind)
    return GateScore(gate.false_alarms, flagged(radiographs), detected)


def _drawings(kind: str, draw: Callable[..., PixelArray], n: int, size: int) -> PixelArray:
    """The first n drawings of a kind, (n, size, size[, 3]) uint8: drawn once, then kept.

    They are known by what decides their pixels: the code that draws them and its libraries.
    """
    code = sha256(Path(negatives.__file__).read_bytes())
    made_by = (code, np.__version__, PIL.__version__, kind, n, size)
    target = cache_folder() / "drawings" / f"{sha256(repr(made_by).encode())[:32]}.npy"
    kept = map_kept(target)
    if kept is not None:
        return kept
    drawn = np.stack([draw(index=i) for i in range(n)])
    with new_kept(target) as file:
        np.save(file, drawn)
    return drawn
