"""Progressive resizing: the first epochs train on smaller images, which takes less time."""

import torch
from torch import nn
from torch.nn.functional import interpolate

from hilum.errors import RecipeError

#: The share of the epochs over which images grow; in the rest they have their full size.
GROWING = 0.75

_STEP = 8  # sides of smaller images are multiples of it: few sizes, for which kernels are prepared


def size_in(epoch: int, epochs: int, start: float, full: tuple[int, int]) -> tuple[int, int]:
    """Height and width of the images of an epoch, at most full.

    epoch: from 1. start: share of the sides in the first epoch, in (0, 1]; it grows evenly.
    Source: Howard and others, fastai; Tan and Le 2021, EfficientNetV2, arXiv:2104.00298, which
    also strengthens augmentation meanwhile: it stays the same here.
    """
    share = min(1.0, start + (1 - start) * (epoch - 1) / max(1.0, GROWING * epochs))
    if epoch == epochs or share == 1:
        return full
    height, width = (min(side, max(_STEP, round(side * share / _STEP) * _STEP)) for side in full)
    return height, width


def resize(images: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Images (B, 1, H, W), averaged down to a size of at most theirs."""
    if tuple(images.shape[2:]) == size:
        return images
    return interpolate(images, size=size, mode="area")


def check_resizable(network: nn.Module, kind: str, size: tuple[int, int]) -> None:
    """Refuse a network, on the device 'meta', that does not take images of another size.

    kind: its name in the recipe. Raises RecipeError.
    """
    try:
        network(torch.empty((2, 1, *size), device="meta"))
    except RuntimeError:
        raise RecipeError(
            f"start_size trains on smaller images first, here {size[0]} x {size[1]}, and the "
            f"network '{kind}' takes none of another size than image_size. Leave start_size out, "
            "or take a network that pools over the whole image, such as hilum-s."
        ) from None
