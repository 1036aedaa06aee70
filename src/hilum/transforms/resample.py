"""Shifting, turning, stretching and cropping: one linear map per image, and one resampling.

Places are normalised: -1 and 1 are the outer edges of the first and last pixel, x to the right
and y down, as in torch.nn.functional.grid_sample with align_corners=False.
"""

import numpy as np
import torch
from torch.nn import functional

from hilum.records import FloatArray


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
