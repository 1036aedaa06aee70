"""Files that are made to take long or much: refused by their parts, or ended in their process."""

import io
import os
import struct
import subprocess
import sys
import threading
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000Lossless, JPEGBaseline8Bit, JPEGLSLossless, RLELossless

from hilum.errors import DataError
from hilum.radiographs import decoder, decoding
from hilum.radiographs.decoding import Decoders, DecodingLimits, read_guarded
from hilum.radiographs.image import Picture, read_picture
from tests.radiographs.dicoms import dicom, save

PNG_START = b"\x89PNG\r\n\x1a\n"


def same(picture: Picture) -> Picture:
    return picture


@pytest.fixture
def pool() -> Iterator[Callable[..., Decoders]]:
    made: list[Decoders] = []

    def make(**limits: object) -> Decoders:
        made.append(Decoders(DecodingLimits(**limits)))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "picture.png"
    pixels = np.random.default_rng(0).integers(0, 256, (40, 30, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def endless(tmp_path: Path) -> Path:
    """A file whose reading never ends: a pipe that nobody writes to."""
    os.mkfifo(tmp_path / "endless.png")
    return tmp_path / "endless.png"


def test_a_worker_gives_what_reading_gives(pool, picture, tmp_path):
    decoders, expected = pool(), read_picture(picture, colour=True)
    study = save(tmp_path / "a.dcm", dicom())

    sent = decoders.submit(Path("f"), same, content=io.BytesIO(picture.read_bytes()), colour=True)
    opened = decoders.submit(study, same, study=True).result()

    np.testing.assert_array_equal(sent.result().pixels, expected.pixels)
    assert sent.result().coloured is expected.coloured is True
    np.testing.assert_array_equal(opened.pixels, read_picture(study).pixels)
    assert opened.study == "1.2.3"


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"", "file: the file is empty"), (b"nonsense", "file: not a PNG"), (None, "no such file")],
)
def test_a_refusal_of_a_worker_is_the_same(pool, content, said):
    sent = None if content is None else io.BytesIO(content)

    with pytest.raises(DataError, match=said):
        pool().submit(Path("file"), same, content=sent).result()


def test_what_overruns_is_refused_and_its_worker_replaced(pool, endless, picture):
    decoders = pool(seconds=0.2, workers=1)

    with pytest.raises(DataError, match=r"endless.png: takes longer than 0.2 seconds to decode"):
        decoders.submit(endless, same).result()
    assert decoders.submit(picture, same).result().pixels.shape == (40, 30)


def test_others_are_read_meanwhile_and_closing_ends_what_is_decoded(pool, endless, picture):
    decoders = pool(seconds=600, workers=2)
    held = decoders.submit(endless, same)

    assert decoders.submit(picture, same).result().pixels.shape == (40, 30)
    assert not held.done()
    decoders.close()
    with pytest.raises(DataError, match="not decoded"):
        held.result()


@pytest.mark.skipif(not decoder.BOUNDED, reason="the kernel does not bound memory here")
def test_what_takes_too_much_memory_is_refused(pool, tmp_path):
    large = tmp_path / "large.png"
    Image.new("RGB", (4000, 4000)).save(large)
    decoders = pool(bytes=48 << 20, budget=96 << 20)

    with pytest.raises(DataError, match="takes more than 48 MiB to decode"):
        decoders.submit(large, same).result()


def test_nothing_is_begun_when_it_is_to_stop(picture):
    decoders = Decoders(DecodingLimits(), stopping=lambda: True)

    with pytest.raises(DataError, match="the server is stopping"):
        decoders.submit(picture, same).result()
    decoders.close()
    with pytest.raises(DataError, match="decoding has ended"):
        decoders.submit(picture, same).result()


def test_the_budget_is_never_exceeded():
    lane = decoding._Lane("test", 1, 0, budget=10)
    begun, ended = threading.Event(), []

    def second() -> None:
        begun.set()
        with lane._share(6):
            ended.append(lane._free)

    with lane._share(6):
        other = threading.Thread(target=second)
        other.start()
        assert begun.wait(20)
        assert ended == []
    other.join()
    lane.close()
    assert ended == [4]


def test_a_worker_imports_neither_torch_nor_the_framework_of_the_web():
    program = (
        "import sys, hilum.radiographs.decoder; print({'torch', 'fastapi', 'scipy', 'matplotlib',"
        " 'pydantic'} & set(sys.modules))"
    )

    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout

    assert said.strip() == "set()"


def test_of_a_users_own_files_the_unusual_ones_go_to_a_worker(monkeypatch, picture, tmp_path):
    empty = tmp_path / "empty.png"
    Image.new("L", (2000, 2000)).save(empty)  # 4 megapixels in 4 kB
    asked: list[Path] = []
    submit = Decoders.submit

    def noted(pool: Decoders, path: Path, *given: Any, **more: Any) -> Any:
        asked.append(path)
        return submit(pool, path, *given, **more)

    monkeypatch.setattr(Decoders, "submit", noted)

    assert read_guarded(picture).pixels.shape == (40, 30)
    assert read_guarded(empty).pixels.shape == (2000, 2000)
    assert asked == [empty]


# ---- what is refused by its parts ------------------------------------------------------------


def png(*chunks: tuple[bytes, bytes]) -> bytes:
    header = struct.pack(">LLBBBBB", 8, 8, 8, 0, 0, 0, 0)
    parts = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(bytes(72))), (b"IEND", b"")]
    return PNG_START + b"".join(
        struct.pack(">L", len(data)) + kind + data + struct.pack(">L", zlib.crc32(kind + data))
        for kind, data in parts
    )


def tiff(entries: dict[int, int], directories: int = 1) -> bytes:
    """Directories of the same entries, all of them single 32-bit numbers."""
    size = 2 + 12 * len(entries) + 4
    body = b"".join(struct.pack("<HHLL", tag, 4, 1, n) for tag, n in sorted(entries.items()))
    found = b"II*\0" + struct.pack("<L", 8)
    for i in range(1, directories + 1):
        following = 8 + i * size if i < directories else 0
        found += struct.pack("<H", len(entries)) + body + struct.pack("<L", following)
    return found


def segment(kind: int, data: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, kind, len(data) + 2) + data


def jpeg(scans: int, before: bytes = b"") -> bytes:
    """A progressive JPEG of 64 x 64 grey pixels; all scans but the first hold nothing.

    before: stands after the first scan.
    """
    quantisation = segment(0xDB, bytes([0, *[1] * 64]))
    frame = segment(0xC2, struct.pack(">BHHB", 8, 64, 64, 1) + b"\1\x11\0")
    codes = 0x00, 0xE0  # no difference; a run of blocks without values
    tables = [segment(0xC4, bytes([i << 4, 1, *[0] * 15, code])) for i, code in enumerate(codes)]
    first = segment(0xDA, bytes([1, 1, 0, 0, 0, 0])) + bytes(8)
    others = segment(0xDA, bytes([1, 1, 0, 1, 63, 0])) + bytes(2)
    parts = (quantisation, frame, *tables, first, before, *[others] * (scans - 1))
    return b"\xff\xd8" + b"".join(parts) + b"\xff\xd9"


SMALL = {256: 100, 257: 100, 258: 8, 259: 1, 262: 1, 277: 1}
EXCESSIVE = {
    "texts": (png(*[(b"tEXt", b"a\0b")] * 1_001), "more chunks"),
    "unknown chunks": (png(*[(b"xxXx", b"")] * 1_001), "more chunks"),
    "a large chunk": (png((b"zTXt", bytes(17 << 20))), "more chunks"),
    "pieces": (png(*[(b"IDAT", b"")] * 65_536), "more chunks"),
    "scans": (jpeg(101), "more scans"),
    "scans behind what is passed over": (jpeg(101, b"\xff\xff\0\xff\xd0x" * 99_999), "more scans"),
    "segments": (jpeg(2, segment(0xFE, b"\xff\xda") * 10_001), "more scans or segments"),
    "a large tile": (tiff({**SMALL, 322: 45_056, 323: 45_056, 324: 8}), "tiles of 45,056 x 45,056"),
    "directories": (tiff({**SMALL, 273: 8}, 1_001), "more than 1,000 images"),
    "a ring of directories": (tiff(SMALL)[:-4] + struct.pack("<L", 8), "more than 1,000 images"),
    "entries": (tiff(dict.fromkeys(range(1_001), 1)), "directory of 1,001 entries"),
    "strips": (
        tiff(SMALL)[:8] + struct.pack("<HHHLLL", 1, 273, 1, 70_000, 8, 0) + bytes(70_000),
        "70,000 strips",
    ),
    "a value without end": (
        tiff(SMALL)[:8] + struct.pack("<HHHLLL", 1, 270, 2, 1 << 31, 8, 0),
        "longer than the file",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", EXCESSIVE)
def test_parts_that_no_picture_has_are_refused(tmp_path, name):
    content, said = EXCESSIVE[name]
    (tmp_path / "x").write_bytes(content)

    with pytest.raises(DataError, match=said):
        read_picture(tmp_path / "x")


def test_usual_parts_are_no_reason(tmp_path):
    (tmp_path / "x.png").write_bytes(png(*[(b"tEXt", b"a\0b")] * 100))

    assert read_picture(tmp_path / "x.png").pixels.shape == (8, 8)
    # what looks like a scan within a text, and what stands behind the end, are none
    usual = jpeg(100, segment(0xFE, b"\xff\xda" * 200) + b"\xff\xff\0\xff\xd0x") + jpeg(2)
    (tmp_path / "x.jpg").write_bytes(usual)
    assert read_picture(tmp_path / "x.jpg").pixels.shape == (64, 64)


def test_a_jpeg_of_very_many_scans_in_a_dicom_file_is_refused(tmp_path):
    data = encapsulate([jpeg(101)])
    pixels = np.zeros((64, 64), np.uint8)
    path = save(tmp_path / "a.dcm", dicom(pixels, bits=8, syntax=JPEGBaseline8Bit, data=data))

    with pytest.raises(DataError, match="more scans"):
        read_picture(path)


def jpeg_ls(rows: int, columns: int) -> bytes:
    frame = struct.pack(">HHBHHB3B", 0xFFF7, 11, 8, rows, columns, 1, 1, 0x11, 0)
    scan = struct.pack(">HHB2B3B", 0xFFDA, 8, 1, 1, 0, 0, 0, 0)
    return b"\xff\xd8" + frame + scan + bytes(64) + b"\xff\xd9"


def test_a_codestream_of_too_few_bytes_is_refused(tmp_path):
    pixels = np.zeros((2048, 2048), np.uint8)
    data = encapsulate([jpeg_ls(2048, 2048)])
    path = save(tmp_path / "a.dcm", dicom(pixels, bits=8, syntax=JPEGLSLossless, data=data))

    with pytest.raises(DataError, match="bytes of JPEG-LS data, too few for 2048 rows"):
        read_picture(path)


def test_boxes_around_a_codestream_are_not_believed(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16)).astype(np.uint8)
    small, large = io.BytesIO(), io.BytesIO()
    Image.fromarray(pixels).save(small, "JPEG2000", irreversible=False)
    Image.new("L", (64, 64)).save(large, "JPEG2000")
    boxed = small.getvalue()
    # a box of the writer's own that quotes another image's codestream, before the image's own
    start = large.getvalue().index(b"\xff\x4f\xff\x51")
    decoy = struct.pack(">L4s", 108, b"uuid") + large.getvalue()[start : start + 100]
    at = boxed.index(b"jp2h") - 4
    for frame, sound in ((boxed, True), (boxed[:at] + decoy + boxed[at:], True), (large, False)):
        data = encapsulate([frame.getvalue() if isinstance(frame, io.BytesIO) else frame])
        path = save(tmp_path / "a.dcm", dicom(pixels, bits=8, syntax=JPEG2000Lossless, data=data))
        if sound:
            np.testing.assert_array_equal(read_picture(path).pixels, pixels)
        else:
            with pytest.raises(DataError, match="JPEG 2000 data of 64 rows"):
                read_picture(path)


def test_run_lengths_of_nothing_are_refused(tmp_path):
    pixels = np.zeros((64, 64), np.uint8)
    frame = struct.pack("<16L", 1, 64, *[0] * 14) + b"\x80" * 4_000 + b"\x81\0" * 32
    data = encapsulate([frame])
    path = save(tmp_path / "a.dcm", dicom(pixels, bits=8, syntax=RLELossless, data=data))

    with pytest.raises(DataError, match="RLE data are damaged"):
        read_picture(path)
