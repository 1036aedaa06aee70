"""Colour images are told from grey ones that are stored as colour."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile

from hilum.errors import DataError
from hilum.phantoms.negatives import draw_colour_photograph
from hilum.phantoms.phantom import render_phantom
from hilum.radiographs.image import has_colour, read_picture, read_radiograph
from hilum.records import PixelArray


def file_has_colour(path: Path) -> bool:
    return read_picture(path, colour=True).coloured


@pytest.fixture
def grey() -> PixelArray:
    return render_phantom("normal", seed=0, index=0, size=128)[0]


def test_the_share_of_coloured_pixels_decides() -> None:
    image = np.full((10, 10, 3), 100, dtype=np.uint8)
    image[0, :4, 0] = 131  # 31 apart: coloured
    assert not has_colour(image)  # 4 of 100
    image[0, 4, 0] = 131
    assert has_colour(image)  # 5 of 100
    image[image == 131] = 130  # 30 apart is what compression may do
    assert not has_colour(image)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "CMYK", "I;16", "1", "LA"])
def test_grey_radiographs_are_grey_however_they_are_stored(
    mode: str, grey: PixelArray, tmp_path: Path
) -> None:
    image = Image.fromarray(grey)
    deep = Image.fromarray(grey.astype(np.uint16) * 257)
    image = deep if mode == "I;16" else image.convert(mode)
    path = tmp_path / ("a.tif" if mode in ("CMYK", "I;16") else "a.png")
    image.save(path)

    assert not file_has_colour(path)


@pytest.mark.parametrize("quality", [30, 90])
def test_compression_and_a_marker_do_not_make_colour(
    quality: int, grey: PixelArray, tmp_path: Path
) -> None:
    colours = np.repeat(grey[:, :, None], 3, axis=2)
    colours[4:20, 4:20] = (255, 255, 0)  # a yellow R in the corner: 1.6 % of the film
    Image.fromarray(colours).save(tmp_path / "a.jpg", quality=quality)

    assert not file_has_colour(tmp_path / "a.jpg")


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "bmp"])
def test_photographs_in_colour_are_in_colour(suffix: str, tmp_path: Path) -> None:
    for index in range(3):
        path = tmp_path / f"{index}.{suffix}"
        Image.fromarray(draw_colour_photograph(seed=0, index=index, size=300)).save(path)

        assert file_has_colour(path)


def test_images_in_an_npz_file_are_grey(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", images=np.zeros((2, 8, 8), dtype=np.uint8))

    assert not file_has_colour(tmp_path / "a.npz" / "images" / "0")


def test_what_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"b\.png: there is no such file"):
        file_has_colour(tmp_path / "b.png")
    Image.fromarray(draw_colour_photograph(seed=0, index=0)).save(tmp_path / "c.png")
    data = (tmp_path / "c.png").read_bytes()
    (tmp_path / "c.png").write_bytes(data[: len(data) // 2])
    with pytest.raises(DataError, match=r"c\.png: cannot be read"):
        file_has_colour(tmp_path / "c.png")


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "bmp"])
def test_looking_for_colours_decodes_nothing_twice_and_changes_no_pixel(
    suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"a.{suffix}"
    exif = Image.Exif()
    exif[0x0112] = 6  # on its side
    more = {} if suffix == "bmp" else {"exif": exif}
    photograph = draw_colour_photograph(seed=0, index=0, size=300)
    Image.fromarray(photograph[:200]).save(path, **more)
    expected = read_radiograph(path)
    decoded = []
    real = ImageFile.ImageFile.load_prepare

    def load_prepare(image: ImageFile.ImageFile) -> None:  # called before an image is decoded
        decoded.append(image)
        real(image)

    monkeypatch.setattr(ImageFile.ImageFile, "load_prepare", load_prepare)
    found = read_picture(path, colour=True)

    assert found.coloured
    assert found.pixels.shape == ((200, 300) if suffix == "bmp" else (300, 200))
    np.testing.assert_array_equal(found.pixels, expected)
    assert len(decoded) == 1
