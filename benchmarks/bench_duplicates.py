"""How long the search for near duplicates takes, and how much memory, by the number of images.

Rendering 100,000 phantoms would take longer than the search, so the small versions are drawn from
a normal distribution with the mean and the covariance of 1,000 phantoms, which look more alike
than radiographs of different people do. Among them are 200 phantoms and a copy of each: cropped
by 2 % at every edge, 20 % darker, and compressed as JPEG of quality 50; every second copy is
mirrored. Each number of images is measured in a process of its own, for copies and for mirrored
ones. Decoding is not timed: it is done once for all checks.
"""

import argparse
import io
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from hilum.auditing.likeness import SIDE, near_pairs
from hilum.phantoms.phantom import render_phantom
from hilum.records import PixelArray

SIZES = (5_000, 20_000, 100_000)
COPIES = 200
PHANTOMS = 1_000


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, nargs="+", default=SIZES, help="how many, each")
    parser.add_argument("--json", type=Path, help="also write the result to this file")
    parser.add_argument("--worker", type=Path, metavar="FILE", help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if min(options.images) < 2 * COPIES:
        parser.error(f"--images: at least {2 * COPIES}")
    if options.worker:
        print(json.dumps(search(options.worker, options.images[0])))
        return 0
    with tempfile.TemporaryDirectory(prefix="hilum-bench-") as scratch:
        file = make(max(options.images), Path(scratch))
        rounds = [measure(file, n) for n in options.images]
    report = {
        "rounds": rounds,
        "machine": {"cores": os.cpu_count(), "system": platform.platform()},
        "versions": {"python": platform.python_version(), "numpy": np.__version__},
    }
    for one in rounds:
        print(
            f"{one['images']:>7,} images: {one['near']['seconds']:.1f} s for copies, "
            f"{one['mirrored']['seconds']:.1f} s for mirrored ones, peak memory "
            f"{one['peak_mb']:.0f} MB; {one['near']['found']} and {one['mirrored']['found']} of "
            f"{COPIES // 2} found, {one['near']['false']} and {one['mirrored']['false']} false"
        )
    if options.json:
        options.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return 0


def make(n: int, scratch: Path) -> Path:
    """A file of n small versions: copies, their originals, then drawn ones."""
    pixels = np.empty((n, SIDE, SIDE), dtype=np.uint8)
    with ProcessPoolExecutor() as pool:
        for i, (original, copy) in enumerate(pool.map(copied, range(COPIES), chunksize=8)):
            pixels[i], pixels[COPIES + i] = copy, original
        indices = range(COPIES, COPIES + PHANTOMS)
        phantoms = np.stack(list(pool.map(plain, indices, chunksize=8))).astype(np.float32)
    mean = phantoms.mean(axis=0)
    spread = (phantoms - mean).reshape(PHANTOMS, -1) / np.float32(np.sqrt(PHANTOMS - 1))
    rng = np.random.default_rng(0)
    for i in range(2 * COPIES, n, 1000):
        block = pixels[i : i + 1000]
        drawn = rng.standard_normal((len(block), PHANTOMS), dtype=np.float32) @ spread
        block[:] = np.clip(np.rint(mean + drawn.reshape(block.shape)), 0, 255).astype(np.uint8)
    file = scratch / "small.npy"
    np.save(file, pixels)
    return file


def plain(index: int) -> PixelArray:
    return render_phantom("normal", seed=0, index=index, size=SIDE)[0]


def copied(index: int) -> tuple[PixelArray, PixelArray]:
    """The small versions of a phantom and of a changed copy, of which every second is mirrored."""
    original = render_phantom("normal", seed=0, index=index)[0]
    changed = Image.fromarray(np.rint(original[3:-3, 3:-3] * 0.8).astype(np.uint8))
    packed = io.BytesIO()
    changed.save(packed, "JPEG", quality=50)
    small = [
        np.asarray(image.convert("L").resize((SIDE, SIDE), Image.Resampling.BILINEAR))
        for image in (Image.fromarray(original), Image.open(packed))
    ]
    return small[0], small[1][:, ::-1] if index % 2 else small[1]


def measure(file: Path, n: int) -> dict[str, Any]:
    command = [sys.executable, __file__, "--worker", str(file), "--images", str(n)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def search(file: Path, n: int) -> dict[str, Any]:
    """Search the first n images, in this process."""
    small: PixelArray = np.load(file, mmap_mode="r")[:n]
    result: dict[str, Any] = {"images": n}
    for name in ("near", "mirrored"):
        began = time.perf_counter()
        pairs = {
            pair
            for found in near_pairs(small, mirrored=name == "mirrored")
            for pair in zip(found.first.tolist(), found.second.tolist(), strict=True)
        }
        seconds = time.perf_counter() - began
        planted = {(i, COPIES + i) for i in range(COPIES) if i % 2 == (name == "mirrored")}
        result[name] = {
            "seconds": seconds,
            "found": len(pairs & planted),
            "false": len(pairs - planted),
        }
    result["peak_mb"] = peak_memory_mb()
    return result


def peak_memory_mb() -> float:
    """Of this process; getrusage would give its parent's, where that was larger. Linux only."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


if __name__ == "__main__":
    sys.exit(main())
