"""Pillow's bilinear resize as tensor operations that ONNX has: equal to it bit for bit.

transforms/resizing.py resizes by Pillow, which weighs the pixels of a row or column by a triangle
as wide as the step between output pixels, in whole numbers of 22 binary digits, and rounds to
8 bits after each of the two passes. Here a pass is a product with a matrix of those whole numbers,
in float64, which holds every sum exactly.
Source: Pillow 13, src/libImaging/Resample.c (precompute_coeffs, normalize_coeffs_8bpc).
"""

from typing import NamedTuple

import torch
from torch import nn

from hilum.image_settings import Resize

_UNIT = float(1 << 22)


class _Side(NamedTuple):
    """How one side is resized: 0-d tensors, but for length and out.

    length: pixels of the input. out: of the output. begin, end: the part of the input that is
    taken, float32 as Pillow has it. first, inner: where in the output it goes, and how many
    pixels it becomes there; the others become black.
    """

    length: int
    out: int
    begin: torch.Tensor
    end: torch.Tensor
    first: torch.Tensor
    inner: torch.Tensor


class ResizeImages(nn.Module):
    """Images (N, H, W) uint8 of one size, any, to (N, height, width) uint8.

    Equal to resize_image(image, size, how) for each.
    """

    def __init__(self, size: tuple[int, int], how: Resize) -> None:
        super().__init__()
        self.size = size
        self.how = how

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """images: (N, H, W) uint8. Returns (N, height, width) uint8."""
        down, across = self._sides(images.shape[1], images.shape[2])
        rows, columns = _weights(down), _weights(across).T
        # Pillow takes the order that is less work, and rounding between makes it matter.
        shorter = down.length - down.inner
        narrower = (across.length - across.inner).clamp(min=0)
        rows_first = (shorter > 2 * narrower).reshape(())
        parts = (images.to(torch.float64), rows, columns)
        if torch.compiler.is_exporting():
            pixels: torch.Tensor = torch.cond(rows_first, _rows_first, _columns_first, parts)
        else:  # where torch.cond would compile both for every new shape
            pixels = _rows_first(*parts) if bool(rows_first) else _columns_first(*parts)
        return pixels.to(torch.uint8)

    def _sides(self, length: int, breadth: int) -> tuple[_Side, _Side]:
        """Of the rows and of the columns, as resize_image lays them out."""
        height, width = self.size
        lengths = (_number(length), _number(breadth))
        outs = (_number(height), _number(width))
        ratios = torch.stack([out / n for out, n in zip(outs, lengths, strict=True)])
        sides = []
        for n, out, whole, wanted in zip((length, breadth), self.size, lengths, outs, strict=True):
            margin, inner = torch.zeros_like(whole), wanted
            if self.how == "pad":
                inner = (whole * ratios.min()).round().clamp(min=1).minimum(wanted)
            elif self.how == "centre-crop":
                margin = (whole - wanted / ratios.max()).clamp(min=0) / 2
            sides.append(
                _Side(
                    n,
                    out,
                    margin.to(torch.float32),
                    (whole - margin).to(torch.float32),
                    ((wanted - inner) / 2).floor(),
                    inner,
                )
            )
        return sides[0], sides[1]


def _number(value: int) -> torch.Tensor:
    return torch.full((), value, dtype=torch.float64)


def _weights(side: _Side) -> torch.Tensor:
    """(out, length) whole numbers as float64; a row sums to 2**22, or to 0 where it is black."""
    scale = (side.end - side.begin).to(torch.float64) / side.inner
    reach = scale.clamp(min=1)
    position = torch.arange(side.out, dtype=torch.float64) - side.first
    centre = (side.begin.to(torch.float64) + (position + 0.5) * scale)[:, None]
    pixel = torch.arange(side.length, dtype=torch.float64)
    taken = (pixel >= (centre - reach + 0.5).floor()) & (pixel < (centre + reach + 0.5).floor())
    taken &= ((position >= 0) & (position < side.inner))[:, None]
    triangle = (1 - ((pixel - centre + 0.5) * (1 / reach)).abs()).clamp(min=0)
    triangle = torch.where(taken, triangle, 0.0)
    total = triangle.sum(dim=1, keepdim=True)
    share = triangle / torch.where(total > 0, total, 1.0)
    return (share * _UNIT + 0.5).floor()


def _rows_first(x: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
    return _rounded(_rounded(rows @ x) @ columns)


def _columns_first(x: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
    return _rounded(rows @ _rounded(x @ columns))


def _rounded(sums: torch.Tensor) -> torch.Tensor:
    return ((sums + _UNIT / 2) / _UNIT).floor().clamp(0, 255)
