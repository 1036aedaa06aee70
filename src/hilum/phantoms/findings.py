"""The findings of the embedded phantom: tissue added to a patient's lungs, with known extent.

covid: soft, textured ground-glass patches near the lateral wall, mostly in the lower zones, on
both sides in 73 % of patients. Source of the pattern: Cleverley et al., BMJ 2020;370:m2426,
doi:10.1136/bmj.m2426 (bilateral in 73 %, ground glass in 69 %; here every covid phantom has
ground glass, since one without it would have no finding at all).
non-covid: one denser consolidation, bounded by a lobe of one lung.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import scipy

from hilum.phantoms.anatomy import (
    LUNG_DENSITY,
    MU_SOFT,
    Anatomy,
    Lung,
    Map,
    chord,
    smooth_step,
)
from hilum.records import PixelArray

PhantomLabel = Literal["normal", "covid", "non-covid"]

#: How often ground glass is found on both sides (Cleverley et al. 2020).
BILATERAL = 0.73
#: A pixel belongs to the finding's mask where the finding takes at least this share of the rays:
#: 6 % is two to five times the quantum noise of one pixel in lung at 150 x 150.
NOTICEABLE = 0.06
#: Lung thinner than this (cm) does not count as lung: there a finding cannot be seen.
THIN_LUNG = 0.5


@dataclass(frozen=True, slots=True)
class Lobe:
    """Where a lobe lies: bounds on Lung.down and Lung.across, each with the width of its edge.

    A fissure that the rays run along makes a sharp edge, an oblique one a soft edge.
    """

    side: int
    weight: float  # how often it is the one affected
    top: float
    top_edge: float
    bottom: float
    bottom_edge: float
    lateral: float
    share: float  # of the lung's depth


LOBES = {
    "right upper": Lobe(-1, 0.17, -0.1, 0.01, 0.47, 0.03, 1.2, 0.85),
    "right middle": Lobe(-1, 0.15, 0.46, 0.03, 0.92, 0.10, 0.72, 0.60),
    "right lower": Lobe(-1, 0.22, 0.48, 0.22, 1.2, 0.01, 1.2, 0.75),
    "left upper": Lobe(1, 0.20, -0.1, 0.01, 0.58, 0.16, 1.2, 0.80),
    "left lower": Lobe(1, 0.26, 0.46, 0.22, 1.2, 0.01, 1.2, 0.75),
}


def added_tissue(label: PhantomLabel, anatomy: Anatomy, rng: np.random.Generator) -> Map:
    """Centimetres of soft tissue that the finding adds along each ray: (size, size).

    It is 0 outside the lungs, everywhere for 'normal', and never more than the lung's own air.
    """
    if label == "normal":
        return np.zeros_like(anatomy.x)
    return drawn_tissue(ground_glass if label == "covid" else consolidation, anatomy, rng)


#: What draws a finding: from a patient without it, the tissue in cm that it adds to each ray.
Draw = Callable[[Anatomy, np.random.Generator], Map]


def drawn_tissue(draw: Draw, anatomy: Anatomy, rng: np.random.Generator) -> Map:
    """Centimetres of soft tissue that a finding adds: never more than the lung's own air."""
    air = (1 - LUNG_DENSITY) * (anatomy.right.depth + anatomy.left.depth)
    return np.minimum(draw(anatomy, rng), air)


def finding_mask(anatomy: Anatomy, added: Map) -> PixelArray:
    """The pixels where a finding is noticeable: (size, size) uint8, 255 inside and 0 outside.

    Inside means: behind at least THIN_LUNG cm of lung, and the finding takes at least the share
    NOTICEABLE of the rays that would otherwise arrive.
    """
    lung = (anatomy.right.depth + anatomy.left.depth) >= THIN_LUNG
    taken = 1 - np.exp(-MU_SOFT * added)
    return np.where(lung & (taken >= NOTICEABLE), 255, 0).astype(np.uint8)


def _texture(anatomy: Anatomy, rng: np.random.Generator, grain: float) -> Map:
    """Smooth noise with mean 0 and spread about 1, its grain in cm, fixed to the body."""
    lattice = rng.standard_normal((96, 96)).astype(np.float32)
    middle = (len(lattice) - 1) / 2
    where = np.stack([anatomy.y / grain + middle, anatomy.x / grain + middle])
    noise: Map = scipy.ndimage.map_coordinates(lattice, where, order=1, mode="wrap")
    # Between lattice points linear interpolation averages, which costs a third of the spread.
    return 1.5 * noise


def _place(anatomy: Anatomy, lung: Lung, across: float, down: float) -> tuple[float, float]:
    """Body coordinates of the aerated point nearest to a place in a lung."""
    open_lung = (lung.depth > 3.0) & (lung.dome < -0.8)
    away = np.square(lung.across - across) + np.square(lung.down - down)
    nearest = np.where(open_lung, away, np.float32(np.inf)).argmin()
    return float(anatomy.x.flat[nearest]), float(anatomy.y.flat[nearest])


def ground_glass(anatomy: Anatomy, rng: np.random.Generator) -> Map:
    """Three to five soft patches in one lung or both, near the lateral wall, mostly low."""
    both = rng.random() < BILATERAL
    one = anatomy.right if rng.random() < 0.5 else anatomy.left
    severity = rng.uniform(0.75, 1.25)
    outline = _texture(anatomy, rng, 1.6)
    grain = _texture(anatomy, rng, 0.7)
    added = np.zeros_like(anatomy.x)
    for lung in (anatomy.right, anatomy.left) if both else (one,):
        for _ in range(int(rng.integers(3, 6))):
            lower_zone = rng.random() < 0.85
            down = float(rng.uniform(0.58, 0.85) if lower_zone else rng.uniform(0.3, 0.58))
            x, y = _place(anatomy, lung, float(rng.uniform(0.68, 0.92)), down)
            width, height = float(rng.uniform(2.2, 3.8)), float(rng.uniform(2.8, 5.2))
            away = np.square((anatomy.x - x) / width) + np.square((anatomy.y - y) / height)
            inside = np.maximum(1 - away * (1 + 0.35 * np.clip(outline, -2, 2)), 0)
            patch = inside * np.minimum(2 - inside, 1.2) * (away < 2.5)
            added = np.maximum(added, float(severity * rng.uniform(2.0, 5.0)) * patch)
    added *= np.clip(1 + 0.22 * grain, 0.4, 1.6)
    depth = anatomy.right.depth + anatomy.left.depth if both else one.depth
    return added * np.minimum(depth / 5, 1)


def consolidation(anatomy: Anatomy, rng: np.random.Generator) -> Map:
    """One dense consolidation, bounded by a lobe."""
    lobes = tuple(LOBES.values())
    lobe = lobes[int(rng.choice(len(lobes), p=[lobe.weight for lobe in lobes]))]
    lung = anatomy.right if lobe.side < 0 else anatomy.left
    down = rng.uniform(max(lobe.top, 0.12) + 0.1, min(lobe.bottom, 0.95) - 0.1)
    across = rng.uniform(0.3, min(lobe.lateral, 0.85))
    x, y = _place(anatomy, lung, float(across), float(down))
    width, height = float(rng.uniform(4.5, 8.0)), float(rng.uniform(4.5, 8.0))
    density = float(rng.uniform(0.45, 1.0))
    away = np.sqrt(np.square((anatomy.x - x) / width) + np.square((anatomy.y - y) / height))
    ragged = away + 0.12 * _texture(anatomy, rng, 1.8)
    extent = smooth_step((1.1 - ragged) / 0.5)
    # The fissures are not quite level: they fall towards the side.
    level = lung.down - 0.06 * (lung.across - 0.5)
    extent *= smooth_step((level - lobe.top) / lobe.top_edge + 0.5)
    extent *= smooth_step((lobe.bottom - level) / lobe.bottom_edge + 0.5)
    extent *= smooth_step((lobe.lateral - lung.across) / 0.25 + 0.5)
    extent *= np.clip(1 + 0.10 * _texture(anatomy, rng, 0.8), 0.7, 1.3)
    return density * lobe.share * (1 - LUNG_DENSITY) * extent * lung.depth


def effusion(anatomy: Anatomy, rng: np.random.Generator) -> Map:
    """Fluid at the base of one lung, in a third of patients of both, that rises at the side."""
    both = rng.random() < 1 / 3
    one = anatomy.right if rng.random() < 0.5 else anatomy.left
    added = np.zeros_like(anatomy.x)
    for lung in (anatomy.right, anatomy.left) if both else (one,):
        level = float(rng.uniform(0.62, 0.86))  # of the lung's height, at the midline
        rise = float(rng.uniform(0.08, 0.2))  # how much higher it stands at the wall
        surface = level - rise * np.square(np.clip(lung.across, 0, 1))
        below = smooth_step((lung.down - surface) / 0.12)
        added += (1 - LUNG_DENSITY) * float(rng.uniform(0.75, 1.0)) * below * lung.depth
    return added


def nodule(anatomy: Anatomy, rng: np.random.Generator) -> Map:
    """One to three round nodules of 1.6 to 3.6 cm, anywhere in the lungs."""
    added = np.zeros_like(anatomy.x)
    for _ in range(int(rng.integers(1, 4))):
        lung = anatomy.right if rng.random() < 0.5 else anatomy.left
        x, y = _place(anatomy, lung, float(rng.uniform(0.35, 0.9)), float(rng.uniform(0.15, 0.8)))
        radius = float(rng.uniform(0.8, 1.8))
        away = np.square(anatomy.x - x) + np.square(anatomy.y - y)
        added = np.maximum(added, (1 - LUNG_DENSITY) * chord(away, radius))
    return added
