"""How the embedded phantom's rays become a radiograph: exposure, detector, display, marker."""

from dataclasses import dataclass

import numpy as np
import scipy

from hilum.phantoms.anatomy import MU_SOFT, Anatomy, Map
from hilum.records import PixelArray

#: The side markers, five columns by seven rows, so that no font is needed.
_GLYPHS = {
    "L": ("1....", "1....", "1....", "1....", "1....", "1....", "11111"),
    "R": ("1111.", "1...1", "1...1", "1111.", "1.1..", "1..1.", "1...1"),
}


@dataclass(frozen=True, slots=True)
class Film:
    """One exposure and how it is shown. Shares and places are fractions of the image's edge."""

    photons: float  # arriving behind lung, per pixel of an image of 150 x 150
    blur: float  # focal spot and detector, as a standard deviation
    black: float  # the attenuation shown black, relative to lung's
    white: float  # the attenuation shown white, relative to the mediastinum's
    contrast: float  # steepness of the characteristic curve
    brightness: float  # its middle
    shutters: tuple[float, float, float, float]  # left, top, right, bottom
    marker: str  # 'R', 'L' or ''
    marker_place: tuple[float, float]  # top-left corner: down, across
    marker_height: float


def sample_film(rng: np.random.Generator) -> Film:
    """Draw an exposure. Uses nothing but rng, so it cannot depend on the class."""

    def uniform(low: float, high: float) -> float:
        return float(rng.uniform(low, high))

    marker = str(rng.choice(["R", "L", ""], p=[0.45, 0.4, 0.15]))
    height = uniform(0.05, 0.085)
    inset = uniform(0.035, 0.07)
    # A marker names the side of the patient that it lies on: R on the left of the image.
    across = inset if marker == "R" else 1 - inset - height * 5 / 7
    down = uniform(0.04, 0.2) if rng.random() < 0.7 else uniform(0.72, 0.85)
    shutters = [uniform(0, 0.035) if rng.random() < 0.35 else 0.0 for _ in range(4)]
    return Film(
        photons=float(np.exp(rng.uniform(np.log(1200), np.log(8000)))),
        blur=uniform(0.0022, 0.0042),
        black=uniform(0.32, 0.55),
        white=uniform(0.98, 1.16),
        contrast=uniform(3.2, 5.2),
        brightness=uniform(0.42, 0.56),
        shutters=(shutters[0], shutters[1], shutters[2], shutters[3]),
        marker=marker,
        marker_place=(down, across),
        marker_height=height,
    )


def develop(
    anatomy: Anatomy, added: Map, film: Film, noise: np.random.Generator | None
) -> PixelArray:
    """Expose and display: (size, size) uint8, bone bright and lung dark.

    added: (size, size) cm of soft tissue beyond the anatomy. noise: draws the photons; None
    gives the expected image. The display is set by the anatomy without the finding, so that a
    finding changes no pixel away from it.
    """
    size = len(added)
    lung = anatomy.right.depth + anatomy.left.depth
    in_lung = lung > 0.5 * lung.max()
    lung_level = float(anatomy.attenuation[in_lung].mean())
    middle = anatomy.attenuation[np.abs(anatomy.x) < 2.0]
    mediastinum = float(np.partition(middle, int(0.75 * middle.size))[int(0.75 * middle.size)])

    # Beer-Lambert: what arrives is exp(-sum of mu * cm), here relative to the unattenuated beam.
    beam = np.exp(-(anatomy.attenuation + np.float32(MU_SOFT) * added))
    beam = scipy.ndimage.gaussian_filter(beam, film.blur * size, mode="nearest")
    if noise is not None:
        photons = film.photons * float(np.exp(lung_level)) * (150 / size) ** 2
        # At least one photon: the logarithm below needs it, and detectors clip there as well.
        beam = np.maximum(noise.poisson(beam * photons), 1) / photons
    seen = -np.log(beam)

    black, white = film.black * lung_level, film.white * mediastinum
    level = np.clip((seen - black) / (white - black), 0, 1)
    shown = _characteristic(level, film)
    _lay_marker(shown, film)
    _close_shutters(shown, film)
    return np.rint(255 * shown).astype(np.uint8)


def _characteristic(level: Map, film: Film) -> Map:
    """The S-shaped curve of film, from 0 at level 0 to 1 at level 1."""

    def curve(at: Map) -> Map:
        value: Map = 1 / (1 + np.exp(-film.contrast * (at - film.brightness)))
        return value

    low, high = curve(np.zeros(1, np.float32)), curve(np.ones(1, np.float32))
    return (curve(level) - low) / (high - low)


def _lay_marker(shown: Map, film: Film) -> None:
    if not film.marker:
        return
    size = len(shown)
    glyph = np.array([[c == "1" for c in row] for row in _GLYPHS[film.marker]], dtype=np.float32)
    top, left = (round(place * size) for place in film.marker_place)
    zoom = max(film.marker_height * size / 7, 1)
    letter = scipy.ndimage.zoom(glyph, zoom, order=1, grid_mode=True, mode="grid-constant")
    spot = shown[top : top + letter.shape[0], left : left + letter.shape[1]]
    np.maximum(spot, 0.94 * letter[: spot.shape[0], : spot.shape[1]], out=spot)


def _close_shutters(shown: Map, film: Film) -> None:
    """Black out what the collimator kept from being exposed."""
    size = len(shown)
    left, top, right, bottom = (round(share * size) for share in film.shutters)
    shown[:top] = 0
    shown[size - bottom :] = 0
    shown[:, :left] = 0
    shown[:, size - right :] = 0
