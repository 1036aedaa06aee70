"""Images as people hold them: files, folders, PIL images, arrays, and lists of all of these."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from hilum.errors import DataError
from hilum.radiographs.gather import gather_images, image_name
from hilum.radiographs.image import read_picture, read_radiograph
from tests.spots import write_spots

GREY = np.random.default_rng(1).integers(0, 256, (6, 5), dtype=np.uint8)
GREY[0, :2] = 0, 255
RGB = np.stack([GREY] * 3, axis=2)
OPAQUE = np.dstack([RGB, np.full_like(GREY, 255)])
TURNED = Image.Exif()
TURNED[0x0112] = 6  # to be turned by 90 degrees clockwise


@pytest.mark.parametrize(
    "image",
    [
        GREY,
        GREY.astype(np.int64),
        GREY.astype(np.uint16),
        GREY.astype(np.uint16) * 257,
        GREY / 255,
        (GREY / 255).astype(np.float32),
        GREY[:, :, None],
        np.asfortranarray(GREY),
        RGB,
        RGB / 255,
        OPAQUE,
        torch.from_numpy(GREY),
        torch.from_numpy(GREY / 255),
        Image.fromarray(GREY),
        Image.fromarray(RGB),
        Image.fromarray(OPAQUE),
        Image.fromarray(GREY.astype(np.uint16) * 257),
    ],
    ids=lambda image: (
        f"{type(image).__name__}-{getattr(image, 'dtype', getattr(image, 'mode', ''))}"
    ),
)
def test_one_radiograph_in_every_kind(image) -> None:
    (source,) = gather_images(image)

    assert read_radiograph(source).tolist() == GREY.tolist()
    assert read_radiograph(image).tolist() == GREY.tolist()
    assert image_name(source) == ""


@pytest.mark.parametrize("name", ["l.png", "rgb.jpg", "deep.tif", "palette.gif", "turned.jpg"])
def test_a_pil_image_is_read_as_its_file_is(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    made: dict[str, Any] = {"deep.tif": GREY.astype(np.uint16) * 16, "rgb.jpg": RGB}
    more: dict[str, Any] = {"exif": TURNED} if name == "turned.jpg" else {}
    Image.fromarray(made.get(name, GREY)).save(file, **more)
    with Image.open(file) as image:
        size = image.size

        assert (read_radiograph(image) == read_radiograph(file)).all()
        assert image.size == size, "it is left as it is"
        assert image_name(image) == str(file)


def test_colour_is_seen_in_arrays_too() -> None:
    red = RGB.copy()
    red[:, :, 1:] = 0

    assert read_picture(red, colour=True).coloured
    assert not read_picture(RGB, colour=True).coloured


def test_files_folders_and_pictures_in_one_list(tmp_path: Path) -> None:
    data = write_spots(tmp_path / "spots", {"train": 2})
    normal = data / "train/normal"

    mixed = gather_images([str(normal), normal / "1.png", GREY, Image.fromarray(GREY), RGB])
    named = gather_images(np.array([str(normal / "0.png"), str(normal / "1.png")]))

    assert [image_name(m) for m in mixed[:3]] == [str(normal / f"{i}.png") for i in (0, 1, 1)]
    assert len(mixed) == 6
    assert named == [normal / "0.png", normal / "1.png"]
    assert gather_images(path for path in [normal]) == named
    assert [len(gather_images(np.zeros(s))) for s in ((7, 4, 5), (7, 4, 5, 3))] == [7, 7]


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (GREY.astype(np.float32), r"from 0 to 255, and floats must lie in \[0, 1\].*array / 255"),
        (GREY / 255 - 0.5, r"floats must lie in"),
        (np.full((4, 4), np.nan), "floats must lie in"),
        (GREY.astype(np.int32) * 16, r"integers must lie in 0 to 255.*uint16"),
        (GREY.astype(np.int16) - 1, "integers must lie in 0 to 255"),
        (GREY > 9, "integers or floats, not bool"),
        ([np.zeros((3, 6, 5))], r"not \(3, 6, 5\).*array.transpose\(1, 2, 0\)"),
        (np.zeros((2, 3, 6, 5)), r"not \(2, 3, 6, 5\).*array.transpose\(0, 2, 3, 1\)"),
        ([np.zeros((2, 6, 5))], r"not \(2, 6, 5\)"),
        (np.zeros(4), r"not \(4,\)"),
        (np.zeros((0, 4)), r"not \(0, 4\)"),
        (torch.zeros(4, 4, requires_grad=True), "cannot be made an array"),
        (Image.fromarray(GREY.astype(np.float32)), "The PIL image: floating-point"),
        ([], "no images found"),
        ({"image": GREY}, "found a value of type dict"),
        (None, "found a value of type NoneType"),
        ([1, 2], "found a value of type int"),
        ("nowhere.png", "nowhere.png: there is no such file"),
    ],
)
def test_what_is_no_image_or_has_no_white_is_refused(image, said: str) -> None:
    with pytest.raises(DataError, match=said):
        [read_radiograph(source) for source in gather_images(image)]
