"""Contrast, and illumination normalisation, which drops what varies slowly across an image.

The methods of illumination normalisation come from face recognition, where Leszczynski compared
them ("Image preprocessing for illumination invariant face verification", Journal of
Telecommunications and Information Technology, 2010, pages 19-25). On a radiograph the slow part is
exposure, scatter and the thickness of the body, and also large findings: they remove some of the
evidence as well.

Each takes an image (H, W) uint8 and returns one of the same shape. All lengths are shares of the
shorter side, so that a radiograph gives the same picture at any resolution. Results without a
range of their own are stretched to 0 … 255 between their 0.5 % and 99.5 % quantiles. An image
without contrast becomes mid-grey.
"""

import cv2
import numpy as np
import numpy.typing as npt
import scipy

from hilum.records import PixelArray

FloatImage = npt.NDArray[np.float32]

#: CLAHE equalises in so many tiles down and across, as Zuiderveld proposes.
TILES = 8
#: What is added to the greys 0 … 255 before their logarithm or quotient is taken. The papers add
#: 1 or nothing; beside the black margins of radiographs that leaves little range for the body.
PEDESTAL = 16
#: Homomorphic filtering: the width of the low pass; the gains of what passes and of the rest.
HOMOMORPHIC_SIGMA, LOW_GAIN, HIGH_GAIN = 0.1, 0.5, 1.5
#: Retinex: the surround of 80 pixels, and the 15, 80 and 250 pixels of the multi-scale form, of
#: Jobson et al., as shares of an image of 512 pixels.
RETINEX_SIGMA = 80 / 512
RETINEX_SIGMAS = (15 / 512, 80 / 512, 250 / 512)
#: Self-quotient image: windows in pixels of a copy with at most so many pixels in all.
QUOTIENT_WINDOWS, QUOTIENT_PIXELS = (5, 9, 13), 96 * 96
#: DCT normalisation: coefficients (u, v) with u + v up to this are dropped: 20 of them.
DCT_DROPPED = 5
#: Tan and Triggs: gamma; the two Gaussians (1 and 2 pixels in faces of 120); alpha and tau.
DOG_GAMMA, DOG_SIGMAS, DOG_ALPHA, DOG_TAU = 0.2, (1 / 120, 2 / 120), 0.1, 10.0

#: Less than this is rounding, not contrast: one grey level makes at least 0.003 of the logarithm
#: and 0.0007 of the fifth root.
NO_CONTRAST = 1e-4


def equalise(image: PixelArray) -> PixelArray:
    """Histogram equalisation over the whole image: all greys become about equally frequent.

    image: (H, W) uint8; returns the same. Monotone: no two greys change their order. The darkest
    becomes 0 and the brightest 255; a constant image stays as it is.
    Source: Gonzalez, Woods, Digital Image Processing, section "Histogram equalization".
    """
    return as_pixels(cv2.equalizeHist(np.ascontiguousarray(image)))


def clahe(image: PixelArray, clip_limit: float) -> PixelArray:
    """Contrast-limited adaptive histogram equalisation, in 8 x 8 tiles.

    image: (H, W) uint8; returns the same. clip_limit: how many times as frequent as in a flat
    histogram a grey may be before its excess is spread over all greys; it bounds by how much
    contrast, and with it noise, is amplified. Not monotone: it depends on the place.
    Source: Pizer et al. 1987, doi:10.1016/S0734-189X(87)80186-X; Zuiderveld, "Contrast Limited
    Adaptive Histogram Equalization", Graphics Gems IV, 1994.
    """
    method = cv2.createCLAHE(clipLimit=clip_limit, tileGridSize=(TILES, TILES))
    return as_pixels(method.apply(np.ascontiguousarray(image)))


def correct_gamma(image: PixelArray, gamma: float) -> PixelArray:
    """Raise the greys, as shares of white, to a power: below 1 brightens, above 1 darkens.

    image: (H, W) uint8; returns the same. gamma: > 0. Monotone; 0 and 255 stay.
    """
    greys = np.arange(256) / 255
    table: PixelArray = np.rint(255 * greys**gamma).astype(np.uint8)
    return table[image]


def as_pixels(found: object) -> PixelArray:
    """What OpenCV gives, which it does not annotate."""
    return np.asarray(found, dtype=np.uint8)


def homomorphic(image: PixelArray) -> PixelArray:
    """Homomorphic filtering: damp slow and amplify fast variation of the logarithm.

    The filter rises from 0.5 to 1.5 as one minus a Gaussian.
    Source: Oppenheim, Schafer, Stockham 1968, doi:10.1109/PROC.1968.6570.
    """
    log = np.log(_raised(image))
    slow = blur(log, HOMOMORPHIC_SIGMA)
    return _stretch(np.exp(LOW_GAIN * slow + HIGH_GAIN * (log - slow)))


def retinex(image: PixelArray) -> PixelArray:
    """Single-scale retinex: the logarithm of each pixel over its Gaussian surround.

    Source: Jobson, Rahman, Woodell 1997, doi:10.1109/83.557356.
    """
    return _stretch(_retinex(_raised(image), RETINEX_SIGMA))


def multi_scale_retinex(image: PixelArray) -> PixelArray:
    """Multi-scale retinex: the mean of the single-scale retinex for three surrounds.

    Source: Jobson, Rahman, Woodell 1997, doi:10.1109/83.597272.
    """
    x = _raised(image)
    scales = [_retinex(x, sigma) for sigma in RETINEX_SIGMAS]
    return _stretch(np.mean(scales, axis=0, dtype=np.float32))


def self_quotient(image: PixelArray) -> PixelArray:
    """Self-quotient image: each pixel over a smoothed image that keeps edges, at three scales.

    Around each pixel a Gaussian window is averaged over the larger of its two parts, above and
    below the window's mean, so that light does not spill over edges. The quotients are
    compressed by the arctangent and averaged. The smoothed image is made on a copy of at most
    96 x 96 pixels: it varies slowly.
    Source: Wang, Li, Wang, "Face recognition under varying lighting conditions using self
    quotient image", IEEE International Conference on Automatic Face and Gesture Recognition, 2004.
    """
    x = _raised(image)
    height, width = x.shape
    shrink = min(1.0, float(np.sqrt(QUOTIENT_PIXELS / x.size)))
    size = (max(1, int(width * shrink)), max(1, int(height * shrink)))
    copy: FloatImage = np.asarray(cv2.resize(x, size, interpolation=cv2.INTER_AREA), np.float32)
    quotients = np.zeros_like(x)
    for window in QUOTIENT_WINDOWS:
        smooth = cv2.resize(_smooth_with_edges(copy, window), (width, height))
        quotients += np.arctan(x / smooth)
    return _stretch(quotients / np.float32(len(QUOTIENT_WINDOWS)))


def dct_normalise(image: PixelArray) -> PixelArray:
    """Drop the slowest cosines from the logarithm of the image, its mean excepted.

    Source: Chen, Er, Wu, "Illumination compensation and normalization for robust face
    recognition using discrete cosine transform in logarithm domain", IEEE Transactions on
    Systems, Man, and Cybernetics, Part B 36(2), 2006.
    """
    coefficients = scipy.fft.dctn(np.log(_raised(image)), norm="ortho")
    mean = coefficients[0, 0]
    u, v = np.ogrid[: image.shape[0], : image.shape[1]]
    coefficients[u + v <= DCT_DROPPED] = 0
    coefficients[0, 0] = mean
    return _stretch(scipy.fft.idctn(coefficients, norm="ortho"))


def difference_of_gaussians(image: PixelArray) -> PixelArray:
    """Gamma, a band pass by two Gaussians, and contrast equalisation.

    The band is divided by a mean of its strength in which large values count little, twice, and
    what is still large is compressed by the hyperbolic tangent. The means are over what has any
    contrast, so that empty margins do not count.
    Source: Tan, Triggs 2010, doi:10.1109/TIP.2010.2042645.
    """
    x: FloatImage = np.power(image / np.float32(255), np.float32(DOG_GAMMA))
    band: FloatImage = blur(x, DOG_SIGMAS[0]) - blur(x, DOG_SIGMAS[1])
    seen = np.abs(band) > NO_CONTRAST
    if not seen.any():
        return _stretch(np.zeros_like(band))
    for limit in (np.inf, DOG_TAU):
        strength = np.minimum(np.abs(band[seen]), limit) ** DOG_ALPHA
        band = band / np.float32(strength.mean(dtype=np.float64) ** (1 / DOG_ALPHA))
    return _stretch(np.float32(DOG_TAU) * np.tanh(band / np.float32(DOG_TAU)))


def blur(x: FloatImage, sigma: float) -> FloatImage:
    """A Gaussian blur, the image mirrored at its borders.

    x: (H, W). sigma: standard deviation as a share of the shorter side. Computed by the discrete
    cosine transform, where it is a product: its time does not depend on sigma.
    """
    pixels = sigma * min(x.shape)
    down, across = (np.pi * np.arange(n, dtype=np.float32) / n * pixels for n in x.shape)
    response = np.exp(-np.square(down) / 2)[:, None] * np.exp(-np.square(across) / 2)
    found = scipy.fft.idctn(scipy.fft.dctn(x, norm="ortho") * response, norm="ortho")
    # A mean lies between the extremes; the transform's ripples need not.
    bounded: FloatImage = np.clip(found, x.min(), x.max())
    return bounded


def _raised(image: PixelArray) -> FloatImage:
    """The greys on a pedestal, so that each has a logarithm and noise on black does not rule it."""
    return image.astype(np.float32) + np.float32(PEDESTAL)


def _retinex(x: FloatImage, sigma: float) -> FloatImage:
    difference: FloatImage = np.log(x) - np.log(blur(x, sigma))
    return difference


def _smooth_with_edges(x: FloatImage, window: int) -> FloatImage:
    """Gaussian means over the larger part of each window: x of any (H, W), window odd."""
    reach = window // 2
    padded = np.pad(x, reach, mode="symmetric")
    around = np.lib.stride_tricks.sliding_window_view(padded, (window, window))
    bright = around > around.mean(axis=(2, 3), keepdims=True)
    mostly_bright = 2 * bright.sum(axis=(2, 3), keepdims=True) > window * window
    line = np.exp(-np.square(np.arange(-reach, reach + 1) / (reach / 2)) / 2)
    weights = (bright == mostly_bright) * np.outer(line, line).astype(np.float32)
    total = np.einsum("hwij,hwij->hw", weights, around)
    smooth: FloatImage = total / weights.sum(axis=(2, 3))
    return smooth


def _stretch(x: FloatImage) -> PixelArray:
    """The greys 0 … 255 between the 0.5 % and 99.5 % quantiles; mid-grey without contrast."""
    low, high = np.quantile(x, (0.005, 0.995))
    if high - low < NO_CONTRAST * max(1.0, abs(float(high))):
        return np.full(x.shape, 128, dtype=np.uint8)
    scaled = (x - np.float32(low)) * np.float32(255 / (high - low))
    pixels: PixelArray = np.rint(np.clip(scaled, 0, 255)).astype(np.uint8)
    return pixels
