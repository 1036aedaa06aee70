"""Images that are no chest radiographs: what a classifier must not answer, drawn or made.

They are for testing whether one notices. Nothing in them was photographed: textures and scenes
have the statistics of natural images, and body parts are simple drawings of their bones, so that
missing one of these is a failure, while finding them all does not yet show that real photographs
and other radiographs would be found.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Literal, get_args

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from hilum.errors import DataError, nearest
from hilum.records import FloatArray, PixelArray

DrawnKind = Literal["photograph", "blank", "noise", "text page", "hand", "knee", "skull", "abdomen"]
ChangedKind = Literal["inverted", "upside down", "turned"]

DRAWN_KINDS: tuple[DrawnKind, ...] = get_args(DrawnKind)
CHANGED_KINDS: tuple[ChangedKind, ...] = get_args(ChangedKind)

SMALLEST = 32

_CANVAS = 256  # bones are drawn on this grid and then resized
Draw = ImageDraw.ImageDraw
Point = tuple[float, float]


def draw_negative(kind: DrawnKind, *, seed: int, index: int, size: int = 150) -> PixelArray:
    """Draw an image that is no chest radiograph.

    kind: 'photograph' (grey: a texture whose amplitude falls with frequency as 1/f, or a scene of
    shapes with such textures), 'blank' (one tone, with or without sensor noise or a gradient),
    'noise' (white), 'text page', or the radiograph of a 'hand', 'knee', 'skull' or 'abdomen', as a
    drawing of its bones in soft tissue. seed, index: at least 0; each pair is another image.
    size: pixels along the edge, at least 32. Returns (size, size) uint8, a pure function of the
    arguments. Raises DataError for another kind or a number out of range.
    Source of the statistics of photographs: Field 1987, doi:10.1364/JOSAA.4.002379
    """
    _check(kind, DRAWN_KINDS)
    if size < SMALLEST or seed < 0 or index < 0:
        raise DataError(
            f"Negatives need size >= {SMALLEST}, seed >= 0 and index >= 0; found size {size}, "
            f"seed {seed}, index {index}."
        )
    rng = np.random.default_rng([seed, DRAWN_KINDS.index(kind), index])
    if kind in _BONES:
        return _expose(_BONES[kind], rng, size)
    return _to_pixels(_PICTURES[kind](rng, size))


def draw_colour_photograph(*, seed: int, index: int, size: int = 150) -> PixelArray:
    """A photograph in colour, (size, size, 3) uint8 RGB; arguments as in draw_negative."""
    rng = np.random.default_rng([seed, len(DRAWN_KINDS), index])
    light = _scene(rng, size)
    tint = 1 + rng.uniform(-0.6, 0.6, 3)
    shifts = [40 * _texture(rng, size, 1.2) for _ in range(3)]
    channels = [light * t + s for t, s in zip(tint, shifts, strict=True)]
    return _to_pixels(np.stack(channels, axis=2))


def change_radiograph(
    kind: ChangedKind, image: PixelArray, *, clockwise: bool = True
) -> PixelArray:
    """Make a chest radiograph into one that a reader would put right first.

    kind: 'inverted' (bone black), 'upside down' (turned by 180 degrees) or 'turned' (by 90
    degrees, clockwise or not). image: (H, W) uint8. Returns (H, W) uint8, of a turned one (W, H).
    Raises DataError for another kind.
    """
    _check(kind, CHANGED_KINDS)
    if kind == "inverted":
        changed = 255 - image
    else:
        quarters = 2 if kind == "upside down" else (3 if clockwise else 1)
        changed = np.rot90(image, quarters)
    return np.ascontiguousarray(changed, dtype=np.uint8)


def _check(kind: str, known: tuple[str, ...]) -> None:
    if kind not in known:
        raise DataError(f"There is no negative '{kind}'.{nearest(str(kind), known)}")


# ---- pictures: (size, size) grey values, 0 to 255 -----------------------------------------------


def _photograph(rng: np.random.Generator, size: int) -> FloatArray:
    if rng.random() < 0.5:
        return 128 + rng.uniform(35, 60) * _texture(rng, size, rng.uniform(0.8, 1.4))
    return _scene(rng, size)


def _texture(rng: np.random.Generator, size: int, exponent: float) -> FloatArray:
    """Mean 0, standard deviation 1; its amplitude spectrum falls as 1 / frequency ** exponent."""
    spectrum = np.fft.rfft2(rng.standard_normal((size, size))) / _falling(size, exponent)
    spectrum[0, 0] = 0
    texture = np.fft.irfft2(spectrum, (size, size))
    return np.asarray(texture / texture.std(), dtype=np.float64)


@lru_cache(maxsize=8)  # nearly all textures have one of a few exponents
def _falling(size: int, exponent: float) -> FloatArray:
    """Powers of the frequencies of rfft2 of (size, size); 1 at frequency 0."""
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None])
    frequency[0, 0] = 1
    return np.asarray(frequency**exponent, dtype=np.float64)


def _scene(rng: np.random.Generator, size: int) -> FloatArray:
    """Overlapping shapes of any tone, each with a texture: dead leaves (Lee et al. 2001)."""
    ground = np.linspace(rng.uniform(0, 255), rng.uniform(0, 255), size)[:, None]
    scene = np.broadcast_to(ground, (size, size)) + 8 * _texture(rng, size, 1.0)
    for _ in range(int(rng.integers(6, 25))):
        mask = Image.new("L", (size, size))
        x, y = rng.uniform(0, size, 2)
        w, h = rng.uniform(0.05, 0.35, 2) * size
        box = (x - w, y - h, x + w, y + h)
        if rng.random() < 0.5:
            ImageDraw.Draw(mask).ellipse(box, fill=255)
        else:
            ImageDraw.Draw(mask).rectangle(box, fill=255)
        share = np.asarray(mask.rotate(rng.uniform(0, 90), center=(x, y)), dtype=np.float64) / 255
        leaf = rng.uniform(0, 255) + rng.uniform(2, 20) * _texture(rng, size, 1.0)
        scene = scene * (1 - share) + leaf * share
    return scene


def _blank(rng: np.random.Generator, size: int) -> FloatArray:
    tone = rng.choice([0.0, 255.0, rng.uniform(0, 255)])
    noise = rng.choice([0.0, 2.0, 5.0]) * rng.standard_normal((size, size))
    gradient = rng.choice([0.0, 20.0]) * np.linspace(-1, 1, size)[:, None]
    return np.asarray(tone + noise + gradient, dtype=np.float64)


def _noise(rng: np.random.Generator, size: int) -> FloatArray:
    if rng.random() < 0.5:
        return rng.uniform(0, 256, (size, size))
    return rng.normal(rng.uniform(80, 170), rng.uniform(20, 60), (size, size))


def _text_page(rng: np.random.Generator, size: int) -> FloatArray:
    """Lines of words of letter-sized strokes, dark on light or, on a screen, light on dark."""
    page = Image.new("L", (size, size), 255)
    draw = ImageDraw.Draw(page)
    margin, line = size // 12, max(4, int(size * rng.uniform(0.03, 0.06)))
    for top in range(margin, size - margin, int(line * 1.6)):
        x = margin
        end = size - margin - (int(rng.integers(0, size // 2)) if rng.random() < 0.2 else 0)
        while x < end:
            for _ in range(int(rng.integers(2, 9))):  # letters: a stem and a bar or a bow each
                if x >= end:
                    break
                draw.line((x, top, x, top + line - 2), fill=0)
                bar = top + int(rng.integers(0, line - 1))
                draw.line((x, bar, x + line // 3, bar), fill=0)
                x += line // 2 + 1
            x += line // 2
    text = np.asarray(page, dtype=np.float64)
    text = rng.uniform(0.6, 0.95) * text + 10
    return 255 - text if rng.random() < 0.3 else text


_PICTURES: dict[str, Callable[[np.random.Generator, int], FloatArray]] = {
    "photograph": _photograph,
    "blank": _blank,
    "noise": _noise,
    "text page": _text_page,
}


# ---- other body parts: soft tissue and bones on a canvas of 256 x 256 ---------------------------


def _hand(rng: np.random.Generator, tissue: Draw, bone: Draw) -> None:
    """A palm, five rays of four bones (the thumb three), and the ends of radius and ulna."""
    tissue.rounded_rectangle((84, 130, 172, 215), 25, fill=255)
    tissue.rectangle((100, 200, 158, 256), fill=255)
    for x, y in (
        (108, 190),
        (122, 184),
        (136, 184),
        (148, 190),
        (115, 203),
        (130, 200),
        (144, 204),
    ):
        bone.ellipse((x - 8, y - 8, x + 8, y + 8), fill=200)
    _bone(bone, (115, 216), (113, 262), 11)
    _bone(bone, (143, 216), (145, 262), 9)
    rays = ((94, 176, -48, 26), (102, 174, -14, 40), (120, 170, -3, 44), (136, 170, 8, 41),
            (150, 176, 19, 34))  # fmt: skip
    for finger, (x, y, degrees, length) in enumerate(rays):
        angle = np.deg2rad(degrees + rng.uniform(-4, 4))
        step = np.array([np.sin(angle), -np.cos(angle)])
        start = np.array([x, y], dtype=np.float64)
        parts = (1.0, 0.75, 0.55) if finger == 0 else (1.0, 0.8, 0.5, 0.35)
        tip = start + step * length * sum(parts) * 1.1
        _limb(tissue, (start[0], start[1]), (tip[0], tip[1]), 22)
        for part in parts:
            end = start + step * length * part
            _bone(bone, (start[0], start[1]), (end[0], end[1]), 8)
            start = end + step * 4


def _knee(rng: np.random.Generator, tissue: Draw, bone: Draw) -> None:
    """Femur above, tibia and fibula below, a joint space between, the patella over the femur."""
    wide = rng.uniform(0.85, 1.15)
    _limb(tissue, (128, -10), (128, 120), 130 * wide)
    _limb(tissue, (128, 120), (128, 266), 112 * wide)
    _bone(bone, (128, -10), (128, 90), 40 * wide)
    bone.ellipse((128 - 48 * wide, 78, 130, 130), fill=220)
    bone.ellipse((126, 78, 128 + 48 * wide, 130), fill=220)
    bone.rounded_rectangle((128 - 46 * wide, 136, 128 + 46 * wide, 166), 10, fill=220)
    _bone(bone, (126, 150), (124, 266), 34 * wide)
    _bone(bone, (128 + 40 * wide, 168), (128 + 36 * wide, 266), 12)
    bone.ellipse((108, 62, 148, 106), fill=255)


def _skull(rng: np.random.Generator, tissue: Draw, bone: Draw) -> None:
    """From the front: vault, orbits, nose, maxilla with teeth, mandible."""
    wide = rng.uniform(0.92, 1.08)
    left, right = 128 - 82 * wide, 128 + 82 * wide
    tissue.ellipse((left - 6, 8, right + 6, 206), fill=255)
    tissue.rounded_rectangle((78, 150, 178, 262), 30, fill=255)
    bone.ellipse((left, 14, right, 198), fill=230)
    bone.ellipse((left + 10, 24, right - 10, 188), fill=120)
    bone.polygon([(76, 176), (180, 176), (166, 240), (90, 240)], fill=210)
    for x in (94, 162):
        bone.ellipse((x - 24, 98, x + 24, 140), fill=170)
        bone.ellipse((x - 19, 103, x + 19, 136), fill=40)
    bone.polygon([(128, 132), (114, 172), (142, 172)], fill=20)
    for x in range(98, 162, 8):
        bone.rectangle((x, 186, x + 5, 212), fill=255)


def _abdomen(rng: np.random.Generator, tissue: Draw, bone: Draw) -> None:
    """Lumbar spine, iliac wings, sacrum, femoral heads, lowest ribs; gas in the bowel."""
    tissue.rounded_rectangle((14, -20, 242, 280), 40, fill=255)
    for level in range(5):
        y = 6 + 30 * level
        bone.rounded_rectangle((108, y, 148, y + 24), 5, fill=230)
        bone.line((84, y + 12, 172, y + 12), fill=190, width=6)
    for side in (-1, 1):
        x = 128 + side * 64
        bone.ellipse((x - 44, 138, x + 44, 226), fill=190)
        bone.ellipse((x - 32, 150, x + 32, 214), fill=140)
        bone.ellipse((128 + side * 78 - 20, 222, 128 + side * 78 + 20, 260), fill=240)
        bone.arc((128 - 112, -70, 128 + 112, 60), *((0, 70) if side > 0 else (110, 180)), 170, 8)
    bone.polygon([(100, 158), (156, 158), (134, 226), (122, 226)], fill=220)
    for _ in range(int(rng.integers(4, 10))):
        left, top = rng.uniform(30, 190), rng.uniform(10, 150)
        wide, high = rng.uniform(16, 48, 2)
        tissue.ellipse((left, top, left + wide, top + high), fill=120)


_BONES: dict[str, Callable[[np.random.Generator, Draw, Draw], None]] = {
    "hand": _hand,
    "knee": _knee,
    "skull": _skull,
    "abdomen": _abdomen,
}


def _bone(draw: Draw, start: Point, end: Point, width: float) -> None:
    """A long bone: a shaft with wider ends."""
    draw.line((*start, *end), fill=200, width=round(width))
    for x, y in (start, end):
        r = width * 0.66
        draw.ellipse((x - r, y - r, x + r, y + r), fill=220)


def _limb(draw: Draw, start: Point, end: Point, width: float) -> None:
    draw.line((*start, *end), fill=255, width=round(width))
    for x, y in (start, end):
        draw.ellipse((x - width / 2, y - width / 2, x + width / 2, y + width / 2), fill=255)


def _expose(
    part: Callable[[np.random.Generator, Draw, Draw], None], rng: np.random.Generator, size: int
) -> PixelArray:
    """Draw a body part, move it a little, and develop it: tissue grey, bone bright, some noise."""
    layers = [Image.new("L", (_CANVAS, _CANVAS)) for _ in range(2)]
    part(rng, ImageDraw.Draw(layers[0]), ImageDraw.Draw(layers[1]))
    angle, dx, dy = rng.uniform(-10, 10), *rng.uniform(-12, 12, 2)
    flipped = rng.random() < 0.5
    moved = []
    for layer in layers:
        turned = layer.rotate(angle, Image.Resampling.BILINEAR, translate=(round(dx), round(dy)))
        turned = turned.filter(ImageFilter.GaussianBlur(2)).resize((size, size))
        amount = np.asarray(turned, dtype=np.float64) / 255
        moved.append(amount[:, ::-1] if flipped else amount)
    tissue, bone = moved
    uneven = 1 + 0.12 * _texture(rng, size, 1.5)
    brightness = rng.uniform(70, 110) * tissue * uneven + rng.uniform(80, 120) * bone * uneven
    grain = rng.uniform(1, 4) * rng.standard_normal((size, size))
    return _to_pixels(rng.uniform(5, 25) + brightness + grain)


def _to_pixels(values: FloatArray) -> PixelArray:
    return np.asarray(np.clip(np.rint(values), 0, 255), dtype=np.uint8)
