"""Headers: what a file says of itself."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hilum.errors import DataError
from hilum.radiographs.image import Header, read_header

GREY = np.random.default_rng(0).integers(0, 256, (30, 40), dtype=np.uint8)


@pytest.mark.parametrize(
    ("name", "image", "format_", "mode", "bits"),
    [
        ("a.png", Image.fromarray(GREY), "PNG", "L", 8),
        ("a.png", Image.fromarray(GREY.astype(np.uint16) * 16), "PNG", "I;16", 16),
        ("a.png", Image.fromarray(GREY > 99), "PNG", "1", 1),
        ("a.bmp", Image.fromarray(GREY).convert("RGB"), "BMP", "RGB", 8),
        ("a.tif", Image.fromarray(GREY), "TIFF", "L", 8),
    ],
)
def test_what_a_header_tells(tmp_path: Path, name, image, format_, mode, bits):
    image.save(tmp_path / name)

    size = (tmp_path / name).stat().st_size
    assert read_header(tmp_path / name) == Header(format_, mode, bits, 40, 30, size, 0.0)


def test_a_stronger_compression_shows_in_the_quantisation(tmp_path: Path):
    for quality in (30, 90):
        Image.fromarray(GREY).save(tmp_path / f"{quality}.jpg", quality=quality)

    weak, strong = (read_header(tmp_path / f"{q}.jpg") for q in (90, 30))

    assert strong.quantisation > 3 * weak.quantisation > 0


def test_an_image_inside_an_npz_file(tmp_path: Path):
    np.savez(tmp_path / "set.npz", train_images=GREY[None])

    header = read_header(tmp_path / "set.npz" / "train_images" / "0")

    assert header == Header("NPZ", "L", 8, 40, 30, 1200, 0.0)


@pytest.mark.parametrize("content", [b"", b"not an image", b"\x89PNG\r\n\x1a\nbroken"])
def test_what_has_no_header_is_refused_by_name(tmp_path: Path, content):
    (tmp_path / "bad.png").write_bytes(content)

    with pytest.raises(DataError, match="bad.png"):
        read_header(tmp_path / "bad.png")
    with pytest.raises(DataError, match="absent.png"):
        read_header(tmp_path / "absent.png")
