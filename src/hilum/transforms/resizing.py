"""To the size of a network's input: squash, pad or cut."""

import numpy as np
from PIL import Image

from hilum.image_settings import Resize
from hilum.records import PixelArray


def resize_image(image: PixelArray, size: tuple[int, int], how: Resize) -> PixelArray:
    """Bring an image to a size; bilinear, antialiased when shrinking.

    image: (H, W) uint8. size: (height, width). how: 'squash' scales both sides to fit, which
    changes the aspect ratio; 'pad' keeps it and fills with black, the image in the middle;
    'centre-crop' keeps it and cuts what stands over, equally on both sides.
    """
    height, width = size
    if image.shape == size:
        return image
    picture = Image.fromarray(image)
    if how == "squash":
        return _resized(picture, height, width)
    down, across = height / picture.height, width / picture.width
    if how == "pad":
        scale = min(down, across)
        inner_height = min(height, max(1, round(picture.height * scale)))
        inner_width = min(width, max(1, round(picture.width * scale)))
        padded = np.zeros(size, dtype=np.uint8)
        top, left = (height - inner_height) // 2, (width - inner_width) // 2
        inner = _resized(picture, inner_height, inner_width)
        padded[top : top + inner_height, left : left + inner_width] = inner
        return padded
    scale = max(down, across)
    # Rounding may put an edge a hair outside of the image, which Pillow refuses.
    beside = max(0.0, picture.width - width / scale) / 2
    above = max(0.0, picture.height - height / scale) / 2
    box = (beside, above, picture.width - beside, picture.height - above)
    return _resized(picture, height, width, box)


def _resized(
    picture: Image.Image,
    height: int,
    width: int,
    box: tuple[float, float, float, float] | None = None,
) -> PixelArray:
    resized = picture.resize((width, height), Image.Resampling.BILINEAR, box=box)
    return np.asarray(resized, dtype=np.uint8)
