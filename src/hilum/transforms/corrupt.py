"""Corruptions for stress tests: what changes between hospitals and folders, in five strengths.

They are for judging a classifier and never for training it. They act on the decoded radiograph,
before preprocessing. Inverting is not among them: it is another reading of the file, not another
film, and is the reader's to get right.
"""

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from hilum.errors import DataError, nearest
from hilum.records import PixelArray
from hilum.transforms.corruption import detail, exposure, framing, markers

#: All strengths, and those of a quick look.
STRENGTHS = (1, 2, 3, 4, 5)
QUICK_STRENGTHS = (2, 4)


@dataclass(frozen=True, slots=True)
class Corruption:
    """One thing that changes, in five strengths.

    amounts: what the strengths 1 to 5 are; quantity: what they measure, with its unit. apply:
    from an image (H, W) uint8, an amount and a generator to an image of the same shape.
    augmented_by: the part of training's augmentation (image_settings.Augmentation) that does
    something of the same kind, or ''. A recipe that uses that part was trained for this.
    """

    name: str
    family: str
    quantity: str
    amounts: tuple[float, float, float, float, float]
    apply: Callable[[PixelArray, float, np.random.Generator], PixelArray]
    augmented_by: str = ""


#: At strength 5 a person can still read the same film: the amounts were set by looking at three
#: radiographs of 150 x 150 pixels. Of what augmentation = "full" has, strength 1 lies at or near
#: the end of its range and the others beyond it, but for cropping, where it goes further, and
#: turning, where strengths 1 and 2 lie inside.
CORRUPTIONS = (
    Corruption("gamma-bright", "exposure", "exponent of the greys",
               (0.77, 0.67, 0.58, 0.5, 0.43), exposure.change_gamma, "gamma"),
    Corruption("gamma-dark", "exposure", "exponent of the greys",
               (1.3, 1.5, 1.75, 2.0, 2.3), exposure.change_gamma, "gamma"),
    Corruption("window-narrow", "exposure", "width of the window, share of the image's range",
               (0.9, 0.85, 0.8, 0.74, 0.68), exposure.change_window, "contrast"),
    Corruption("window-wide", "exposure", "width of the window, share of the image's range",
               (1.2, 1.5, 1.8, 2.1, 2.5), exposure.change_window, "contrast"),
    Corruption("crop", "framing", "share of both sides that is kept",
               (0.95, 0.91, 0.87, 0.83, 0.8), framing.crop_in, "corner_crop"),
    Corruption("margin", "framing", "share of both sides that the image takes",
               (0.92, 0.86, 0.8, 0.74, 0.68), framing.add_margin, "scale"),
    Corruption("shift", "framing", "distance, share of the sides",
               (0.05, 0.08, 0.11, 0.14, 0.17), framing.shift, "shift"),
    Corruption("aspect", "geometry", "ratio of the sides",
               (1.1, 1.18, 1.26, 1.34, 1.42), framing.stretch, "aspect"),
    Corruption("rotation", "geometry", "degrees either way",
               (4, 7, 10, 13, 16), framing.rotate, "rotate"),
    Corruption("resolution", "sharpness", "pixels along the longer side",
               (112, 98, 84, 72, 60), detail.reduce_resolution),
    Corruption("blur", "sharpness", "standard deviation, share of the shorter side",
               (0.003, 0.005, 0.007, 0.009, 0.011), detail.blur, "blur"),
    Corruption("jpeg", "sharpness", "JPEG quality",
               (50, 35, 25, 18, 12), detail.compress),
    Corruption("quantum-noise", "noise", "photons a grain behind white",
               (100, 50, 25, 14, 8), detail.add_quantum_noise),
    Corruption("electronic-noise", "noise", "standard deviation, share of black to white",
               (0.02, 0.03, 0.04, 0.055, 0.07), detail.add_electronic_noise, "noise"),
    Corruption("marker-added", "markers", "height of the letters, share of the shorter side",
               (0.05, 0.075, 0.1, 0.125, 0.15), markers.add_marker),
    Corruption("corners-erased", "markers", "share of the sides that each box takes",
               (0.05, 0.09, 0.13, 0.17, 0.21), markers.erase_corners, "erase"),
)  # fmt: skip


def select_corruptions(names: Sequence[str]) -> tuple[Corruption, ...]:
    """Corruptions by name, in the given order. Raises DataError for unknown or repeated names."""
    known = {corruption.name: corruption for corruption in CORRUPTIONS}
    for name in names:
        if name not in known:
            raise DataError(f"There is no corruption '{name}'.{nearest(name, known)}")
    if not names or len(set(names)) < len(names):
        raise DataError("Name at least one corruption, and each only once.")
    return tuple(known[name] for name in names)


def corrupt(
    image: PixelArray, corruption: Corruption, strength: int, *, seed: int = 0, index: int = 0
) -> PixelArray:
    """A radiograph under one corruption, a pure function of what is given.

    image: (H, W) uint8 of any size, not changed; returns the same shape. strength: 1 to 5. seed,
    index: of the whole test, and the position of the image in its data set; both not negative.
    Directions, places and the pattern of noise are drawn from these and the corruption's name
    alone, so that an image meets them the same at all strengths and whichever others are tested.
    Raises DataError for another strength.
    """
    if strength not in STRENGTHS:
        raise DataError(f"A strength is a whole number from 1 to 5; found {strength}.")
    generator = np.random.default_rng((seed, index, zlib.crc32(corruption.name.encode())))
    return corruption.apply(image, corruption.amounts[strength - 1], generator)


def corruption_grid(
    image: PixelArray, *, strength: int = 5, seed: int = 0
) -> dict[str, PixelArray]:
    """One radiograph under every corruption at one strength, by name, to look at."""
    return {
        corruption.name: corrupt(image, corruption, strength, seed=seed)
        for corruption in CORRUPTIONS
    }
