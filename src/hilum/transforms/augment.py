"""Random changes to training images, on a whole batch, on the device that trains.

The change to a sample is a pure function of (seed, epoch, index of the sample): it does not
depend on the batch, on the number of workers, or on where a resumed run started. It acts on the
stored pixels, before the part of preprocessing that makes them a network's input, so that this
treats a changed image like any other.

What is random is drawn first, in numbers per image (`draw_changes`), and then applied
(`apply_changes`): a GPU that trains is given the numbers of a whole epoch at once.

Only sums and products that are rounded one by one are used, no fused ones: PyTorch's fused
kernels round the last few numbers of a block differently, and where blocks end depends on the
batch.
"""

import math
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.special import betaincinv
from torch.nn import functional

from hilum.labels import LabelTree
from hilum.recipe import Recipe
from hilum.records import FloatArray, IntArray, LazyPixels, PixelArray
from hilum.settings import Augmentation
from hilum.transforms.preprocess import Preprocessing

_AT_ONCE = 256  # images, where all of a data set are changed

MIRRORED = (
    "augmentation.mirror exchanges left and right in half of the training images, and with them "
    "the sides of the heart: the network will not tell a mirrored radiograph, or a heart on the "
    "right, from a usual one."
)
_NOISE_PLACES = 2**20  # where in the table of normal numbers an image's noise may begin
_GOLDEN, _FIRST, _SECOND = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
_WORD = 2**64


# ---- random numbers ------------------------------------------------------------------------


def uniform(seed: int, epoch: int, indices: IntArray, stream: str = "") -> FloatArray:
    """One number in [0, 1) per sample, a pure function of (seed, epoch, stream, index).

    indices: (B,) not negative. stream: names what the numbers are for; two streams of one sample
    are independent. Returns (B,).
    """
    state = seed % _WORD
    for part in (epoch, zlib.crc32(stream.encode())):
        state = _mix_one((state + _GOLDEN * (part + 1)) % _WORD)
    with np.errstate(over="ignore"):  # wrapping is what the mixer is made of
        numbers = np.uint64(_GOLDEN) * (indices.astype(np.uint64) + np.uint64(1))
        mixed = mix_bits(np.uint64(state) + numbers)
    return (mixed >> np.uint64(11)).astype(np.float64) / 2.0**53


def mix_bits(z: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """SplitMix64's output function (Steele, Lea, Flood 2014, doi:10.1145/2660193.2660195)."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(_FIRST)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(_SECOND)
    return z ^ (z >> np.uint64(31))


def _mix_one(z: int) -> int:
    """The mixer on a Python integer: for what a whole batch shares."""
    z = (z ^ (z >> 30)) * _FIRST % _WORD
    z = (z ^ (z >> 27)) * _SECOND % _WORD
    return z ^ (z >> 31)


@dataclass(frozen=True)
class Draws:
    """The numbers of a batch in one epoch: (B,) float64 for every named stream.

    indices: (B,) positions of the samples in the data set.
    """

    seed: int
    epoch: int
    indices: IntArray

    def unit(self, stream: str) -> FloatArray:
        """Evenly in [0, 1)."""
        return uniform(self.seed, self.epoch, self.indices, stream)

    def either_way(self, stream: str, dose: float) -> FloatArray:
        """Evenly in [-dose, dose)."""
        return (2 * self.unit(stream) - 1) * dose

    def factor(self, stream: str, dose: float) -> FloatArray:
        """From 1 / (1 + dose) to 1 + dose, evenly on a logarithmic scale: 1 in the middle."""
        factors: FloatArray = (1 + dose) ** (2 * self.unit(stream) - 1)
        return factors


# ---- what is done to a batch -----------------------------------------------------------------

#: By name what is random about images, as arrays (B, …) or the same as tensors.
Changes = dict[str, npt.NDArray[Any]]
ChangesOnDevice = Mapping[str, torch.Tensor]


def augment(
    pixels: torch.Tensor, doses: Augmentation, *, seed: int, epoch: int, indices: IntArray
) -> torch.Tensor:
    """Return the batch with the random changes of this epoch, all but mixup.

    pixels: (B, H, W) uint8, or float32 in [0, 255]; not changed. indices: (B,) positions of the
    samples in the data set. Returns as apply_changes does.
    """
    size = (pixels.shape[1], pixels.shape[2])
    changes = draw_changes(doses, size, seed=seed, epoch=epoch, indices=indices)
    there = {name: torch.from_numpy(found).to(pixels.device) for name, found in changes.items()}
    return apply_changes(pixels, doses, there)


def draw_changes(
    doses: Augmentation, size: tuple[int, int], *, seed: int, epoch: int, indices: IntArray
) -> Changes:
    """The random numbers behind the changes of an epoch, for apply_changes.

    size: height and width of the images. indices: (B,) positions of the samples in the data set.
    """
    draws = Draws(seed, epoch, indices)
    changes: Changes = {}
    if doses.mirror:
        changes["mirror"] = draws.unit("mirror") < 0.5
    if doses.moves:
        maps = sampling_maps(
            size,
            degrees=draws.either_way("rotate", doses.rotate),
            shift_x=draws.either_way("shift x", doses.shift),
            shift_y=draws.either_way("shift y", doses.shift),
            zoom=draws.factor("scale", doses.scale),
            aspect=draws.factor("aspect", doses.aspect),
            corner=np.floor(4 * draws.unit("corner")),
            crop_side=1 - doses.corner_crop * draws.unit("crop side"),
        )
        changes["maps"] = maps.astype(np.float32)
    if doses.blur:
        sigma = np.maximum(doses.blur * draws.unit("blur"), 1e-3)  # so little is no blur
        taps = np.exp(-0.5 * (np.arange(_reach(doses.blur) + 1)[:, None] / sigma) ** 2)
        taps = taps / (taps[0] + 2 * taps[1:].sum(axis=0))
        changes["taps"] = np.ascontiguousarray(taps.T.astype(np.float32))
    if doses.gamma:  # 255 · (x/255)^γ
        gamma = draws.factor("gamma", doses.gamma)
        changes["gamma"] = gamma.astype(np.float32)
        changes["gamma scale"] = ((1 - gamma) * math.log(255)).astype(np.float32)
    if doses.shades:
        contrast = draws.factor("contrast", doses.contrast)
        brightness = draws.either_way("brightness", doses.brightness)
        changes["contrast"] = contrast.astype(np.float32)
        changes["level"] = (127.5 * (1 - contrast) + 255 * brightness).astype(np.float32)
    if doses.noise:
        changes["noise place"] = (draws.unit("noise place") * _NOISE_PLACES).astype(np.int64)
        changes["noise"] = (draws.unit("noise") * doses.noise * 255).astype(np.float32)
    if doses.erase:
        changes["erase"] = _rectangles(size, doses.erase, draws)
        changes["erase grey"] = np.floor(256 * draws.unit("erase grey")).astype(np.float32)
    return changes


def apply_changes(
    pixels: torch.Tensor, doses: Augmentation, changes: ChangesOnDevice
) -> torch.Tensor:
    """The batch under the changes that were drawn by these doses for its images, in their order.

    pixels: (B, H, W) uint8, or float32 in [0, 255]; not changed. Returns (B, H, W): uint8 as it
    came where nothing but mirroring is switched on, float32 in [0, 255] otherwise; with every dose
    0, pixels itself. It waits for nothing and reads no numbers back, so that it can be recorded.

    In this order: mirror (which exchanges left and right, and with them the sides of the heart),
    corner crop and affine map, blur, gamma, contrast and brightness, noise, erasing.
    """
    if doses.mirror:
        pixels = torch.where(changes["mirror"][:, None, None], pixels.flip(-1), pixels)
    if doses.moves:
        pixels = resample(pixels.float(), changes["maps"])
    if doses.blur:
        pixels = _blur(pixels.float(), changes["taps"])
    if doses.shades:
        pixels = _shade(pixels.float(), changes)
    if doses.noise:
        pixels = _add_noise(pixels.float(), changes["noise place"], changes["noise"])
    if doses.moves or doses.blur or doses.shades or doses.noise:
        pixels = pixels.clamp_(0, 255)  # a copy by now; even a mean may leave the range by rounding
    if doses.erase:
        pixels = _erase(pixels.float(), changes["erase"], changes["erase grey"])
    return pixels


def mixup_partners(
    alpha: float, n: int, *, seed: int, epoch: int, indices: IntArray
) -> tuple[IntArray, FloatArray]:
    """With which other sample each sample is mixed in this epoch, and its own share in the mix.

    alpha: of the Beta(alpha, alpha) distribution of the share, which is then the larger of the
    two: the mix is still mainly the sample itself. n: how many samples there are to choose from.
    indices: (B,). Returns positions (B,) in [0, n) and shares (B,) in [1/2, 1].
    A partner comes from all samples, not from the batch, so that the mix does not depend on it.
    Source: Zhang, Cisse, Dauphin, Lopez-Paz 2018, mixup: beyond empirical risk minimization,
    doi:10.48550/arXiv.1710.09412.
    """
    draws = Draws(seed, epoch, indices)
    share = betaincinv(alpha, alpha, draws.unit("mixup share"))
    partners = (draws.unit("mixup partner") * n).astype(np.int64)
    return partners, np.maximum(share, 1 - share)


def mix(one: torch.Tensor, other: torch.Tensor, share: torch.Tensor) -> torch.Tensor:
    """The weighted mean of two batches, float32; share: (B,) float32, the weight of the first."""
    weight = share.view(-1, *[1] * (one.ndim - 1))
    return one.float() * weight + other.float() * (1 - weight)


def augmentation_grid(
    image: PixelArray, doses: Augmentation, seed: int = 0, n: int = 12
) -> list[PixelArray]:
    """What training would make of one radiograph in epochs 1 to n, to look at.

    image: (H, W) uint8. Returns n such images. Mixup, which takes a second radiograph, is not
    shown.
    """
    batch = torch.from_numpy(image[None].copy())
    index = np.zeros(1, dtype=np.int64)
    changed = [augment(batch, doses, seed=seed, epoch=e, indices=index) for e in range(1, n + 1)]
    return [x[0].round().to(torch.uint8).numpy() for x in changed]


def training_view(
    recipe: Recipe, tree: LabelTree
) -> tuple[str, Callable[[PixelArray], LazyPixels]]:
    """The name of a recipe, and what makes images look as its first network is trained on them.

    That takes (N, H, W) uint8 and gives as many, each augmented when it is read, as in an epoch
    (all but mixup), and standardised: z-scores from -2.7 to 2.6 become 0 to 255.
    """
    doses = recipe.settings(recipe.networks(tree)[0].name).augmentation
    preprocessing = Preprocessing.from_recipe(recipe)
    return recipe.name, lambda pixels: _as_trained(pixels, doses, preprocessing)


def _as_trained(
    pixels: PixelArray, doses: Augmentation, preprocessing: Preprocessing
) -> LazyPixels:
    def read(rows: IntArray) -> PixelArray:
        seen = np.empty((len(rows), *pixels.shape[1:]), dtype=np.uint8)
        for start in range(0, len(rows), _AT_ONCE):
            at = rows[start : start + _AT_ONCE]
            x = augment(torch.from_numpy(pixels[at]), doses, seed=0, epoch=1, indices=at).float()
            if preprocessing.standardise == "z-score":
                x = preprocessing.to_input(x).squeeze(1) * 48 + 128
            seen[start : start + len(at)] = x.clamp(0, 255).round().to(torch.uint8).numpy()
        return seen

    return LazyPixels(pixels.shape, read)


# ---- the parts -----------------------------------------------------------------------------


def _column(values: torch.Tensor) -> torch.Tensor:
    """(B,) numbers as (B, 1, 1)."""
    return values.view(-1, 1, 1)


def _reach(dose: float) -> int:
    """So many pixels away the taps of a blur end: more would not change an 8-bit image."""
    return math.floor(dose * math.sqrt(2 * math.log(255)))


def _blur(x: torch.Tensor, taps: torch.Tensor) -> torch.Tensor:
    """Convolve with a Gaussian, down and then across; the border pixels are continued.

    taps: (B, 1 + reach), from the central one outwards.
    """
    reach = taps.shape[1] - 1
    weights = [_column(tap) for tap in taps.unbind(1)]
    for axis, margin in ((1, (0, 0, reach, reach)), (2, (reach, reach, 0, 0))):
        wide, n = functional.pad(x[:, None], margin, mode="replicate")[:, 0], x.shape[axis]
        x = x * weights[0]
        for k in range(1, reach + 1):
            pair = wide.narrow(axis, reach - k, n) + wide.narrow(axis, reach + k, n)
            x += pair.mul_(weights[k])
    return x


def _shade(x: torch.Tensor, changes: ChangesOnDevice) -> torch.Tensor:
    """Gamma, then contrast about middle grey, then brightness; may leave [0, 255]."""
    if "gamma" in changes:  # two logarithms are four times as fast as a power
        gamma, scale = _column(changes["gamma"]), _column(changes["gamma scale"])
        x = x.log().mul_(gamma).add_(scale).exp_()
    return x.mul(_column(changes["contrast"])).add_(_column(changes["level"]))


def _add_noise(x: torch.Tensor, places: torch.Tensor, strength: torch.Tensor) -> torch.Tensor:
    """Add white Gaussian noise.

    Each image takes its own stretch of one long table of normal numbers: drawing new ones would
    cost more than everything else here, and would differ between devices.
    """
    n = x[0].numel()
    table = _normal_numbers(n + _NOISE_PLACES, x.device)
    noise = table.unfold(0, n, 1)[places].view(x.shape)
    return noise.mul_(_column(strength)).add_(x)


@lru_cache(maxsize=4)
def _normal_numbers(n: int, device: torch.device) -> torch.Tensor:
    numbers = np.random.default_rng(0).standard_normal(n, dtype=np.float32)
    return torch.from_numpy(numbers).to(device)


def _rectangles(size: tuple[int, int], dose: float, draws: Draws) -> npt.NDArray[np.float32]:
    """Where erasing begins and ends, down and across: (B, 2, 2), whole numbers.

    A rectangle's share of the image is drawn from [0, dose), its sides' ratio (relative to the
    image's) from 1/2 to 2.
    """
    share, ratio = draws.unit("erase") * dose, np.sqrt(draws.factor("erase ratio", 1.0))
    ends = []
    for axis, side in ((1, np.sqrt(share) * ratio), (2, np.sqrt(share) / ratio)):
        n = size[axis - 1]
        length = np.rint(side * n)
        start = np.floor(draws.unit(f"erase from {axis}") * (n - length + 1))
        ends.append(np.stack([start, start + length], axis=1))
    return np.stack(ends, axis=1).astype(np.float32)


def _erase(x: torch.Tensor, rectangles: torch.Tensor, grey: torch.Tensor) -> torch.Tensor:
    """Paint a rectangle with one grey level, after Zhong et al. 2020 (Random erasing).

    doi:10.1609/aaai.v34i07.7000.
    """
    inside = []
    for axis in (1, 2):
        steps = torch.arange(x.shape[axis], device=x.device)
        start, end = rectangles[:, axis - 1, :, None].unbind(1)
        inside.append((steps >= start) & (steps < end))
    return torch.where(inside[0][:, :, None] & inside[1][:, None, :], _column(grey), x)


def sampling_maps(
    size: tuple[int, int],
    *,
    degrees: FloatArray,
    shift_x: FloatArray,
    shift_y: FloatArray,
    zoom: FloatArray,
    aspect: FloatArray,
    corner: FloatArray,
    crop_side: FloatArray,
) -> FloatArray:
    """Where each place of the new images is taken from in the old: (B, 2, 3), float64.

    size: (height, width) in pixels. All others (B,). The image is cropped to the share crop_side
    of both sides in one of its corners (corner: 0 upper left, 1 upper right, 2 lower left,
    3 lower right) and the crop enlarged to the whole; then zoomed, with the width stretched by
    √aspect and the height by its inverse; then turned clockwise by degrees; then shifted to the
    right and down by shares of the width and height.
    """
    half = np.array([size[1], size[0]]) / 2  # in pixels, in which a turn keeps right angles
    angle = np.deg2rad(degrees)
    cos, sin = np.cos(angle), np.sin(angle)
    back = np.stack([np.stack([cos, sin], -1), np.stack([-sin, cos], -1)], -2)
    stretch = np.stack([zoom * np.sqrt(aspect), zoom / np.sqrt(aspect)], -1)
    linear = back * half / (stretch * half)[:, :, None]
    shift = 2 * np.stack([shift_x, shift_y], -1)  # a share of the side, which is 2 long
    offset = -(linear @ shift[:, :, None])
    towards = np.stack([corner % 2, corner // 2], -1) * 2 - 1
    crop = crop_side[:, None, None]
    offset = crop * offset + ((1 - crop_side)[:, None] * towards)[:, :, None]
    return np.concatenate([crop * linear, offset], axis=2)


def resample(images: torch.Tensor, maps: torch.Tensor) -> torch.Tensor:
    """Take each pixel of the new images from its place in the old, bilinearly.

    images: (B, H, W) float32. maps: (B, 2, 3) float32, of `sampling_maps`. What lies outside of
    an image is black, like what lies outside of a collimated beam.
    """
    _, height, width = images.shape
    x, y = (
        (2 * torch.arange(n, device=images.device) + 1).float() / n - 1 for n in (width, height)
    )
    grid = images.new_empty((*images.shape, 2))
    for axis in (0, 1):  # a sum of a row and a column: far cheaper than affine_grid's product
        along_x, along_y, offset = maps[:, axis].unbind(1)
        row = along_x[:, None] * x
        column = along_y[:, None] * y + offset[:, None]
        torch.add(row[:, None, :], column[:, :, None], out=grid[..., axis])
    return functional.grid_sample(images[:, None], grid, align_corners=False)[:, 0]
