"""How fast a COVINet cascade classifies: the way the test notebook does it, against Hilum.

Three ways, each in a process of its own that waits while another one works:

- plain: notebook_inference.py, which says what it does; also with 32 images at a time, which shows
  what batches alone would give it;
- torch, onnx: Hilum with PyTorch and with ONNX Runtime, in a process that keeps freed memory, as
  its command line does.

Calls of 1, 32 and 256 images are timed from files (decoding included: `files`) and from what was
decoded before (`decoded`). For whole folders, predict_files() writes the table of a folder, as
`hilum predict FOLDER --out x.csv` does, and is compared with the plain loop over a sample of the
same files, since its images cost the same each. Ratios are of the same round.
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from bench_training import _machine, _spread
from inference_ways import work

BATCHES = {"plain": (1, 32), "torch": (1, 32, 256), "onnx": (1, 32, 256)}
FROM = ("files", "decoded")
DEMANDED = {"ratio_batch_1": 3, "ratio_folder": 8}
_DISTINCT = 64  # phantoms that are rendered; their copies fill the folder
_LARGEST = 1e-4  # by which probabilities of the ways may differ


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="a folder of radiographs (default: phantoms)")
    parser.add_argument("--json", type=Path, help="also write the result to this file")
    parser.add_argument("--classifier", type=Path, help="default: an untrained COVINet cascade")
    parser.add_argument("--images", type=int, default=256, help="of each way's calls, per round")
    parser.add_argument("--rounds", type=int, default=3, help="how often each way runs")
    parser.add_argument("--files", type=int, default=5000, help="in the folder that is classified")
    parser.add_argument("--worker", choices=BATCHES, help=argparse.SUPPRESS)
    parser.add_argument("--scratch", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.worker:
        work(options.worker, options.classifier, options.scratch, options.images)
        return 0
    if min(options.images, options.rounds, options.files) < 1:
        parser.error("--images, --rounds and --files must be at least 1")
    with tempfile.TemporaryDirectory(prefix="hilum-bench-") as scratch:
        report = compare(options, Path(scratch))
    print(summary(report))
    if options.json:
        options.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return 0


# ---- taking turns -------------------------------------------------------------------------------


def compare(options: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    """Run all rounds. scratch: an empty folder for the files and what is written."""
    classifier = options.classifier or _untrained(scratch / "classifier")
    _check_covinet(classifier)
    synthetic = fill(scratch / "files", options.data, options.files)
    workers = {
        way: subprocess.Popen(
            [sys.executable, __file__, "--worker", way, "--classifier", str(classifier),
             "--scratch", str(scratch), "--images", str(options.images)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for way in BATCHES
    }  # fmt: skip

    def ask(way: str, what: str, **more: Any) -> Any:
        worker = workers[way]
        assert worker.stdin
        assert worker.stdout
        worker.stdin.write(json.dumps({"what": what, **more}) + "\n")
        worker.stdin.flush()
        line = worker.stdout.readline()
        if not line:
            raise SystemExit(f"The way '{way}' failed; what it said stands above.")
        return json.loads(line)

    try:
        told = [ask(way, "say") for way in BATCHES]
        largest = max(_difference(told[0], other) for other in told[1:])
        if not largest < _LARGEST:
            raise SystemExit(f"The ways say different things: probabilities differ by {largest}.")
        for way, batches in BATCHES.items():  # warm
            for batch in batches:
                ask(way, "decoded", batch=batch)
        rounds = []
        for number in range(options.rounds):
            print(f"round {number + 1} of {options.rounds}", file=sys.stderr, flush=True)
            rounds.append(measure(ask, options.images, f"{number}"))
    finally:
        for worker in workers.values():
            worker.communicate()  # its orders end, and so does it
    return {
        "machine": _machine(),
        "versions": {
            **{name: version(name) for name in ("hilum", "torch", "onnxruntime", "pillow")},
            "python": platform.python_version(),
        },
        "data": {
            "name": "phantoms" if options.data is None else options.data.resolve().name,
            "synthetic": synthetic,
            "files": options.files,
        },
        "settings": {
            "classifier": "given" if options.classifier else "untrained COVINet cascade",
            "images": options.images,
            "format": "float32",
        },
        "largest_difference": largest,
        "demanded": DEMANDED,
        **summarise(rounds),
        "rounds": rounds,
    }


def measure(ask: Callable[..., Any], images: int, name: str) -> dict[str, Any]:
    """One round: seconds of every call by way, batch and what it began from; and the folders."""
    found: dict[str, Any] = {"calls": {}, "folder": {}}
    for way, batches in BATCHES.items():
        found["calls"][way] = {
            str(batch): {
                what: {"images": images, "seconds": ask(way, what, batch=batch)} for what in FROM
            }
            for batch in batches
        }
    for way in ("torch", "onnx"):
        found["folder"][way] = ask(way, "folder", out=f"{way}-{name}.csv")
    return found


def summarise(rounds: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Images per second, latencies over the calls of all rounds, and ratios within a round."""

    def speed(one: dict[str, Any], way: str, batch: int, what: str) -> float:
        calls = one["calls"][way][str(batch)][what]
        return float(calls["images"] / sum(calls["seconds"]))

    def folder_speed(one: dict[str, Any], way: str) -> float:
        return float(one["folder"][way]["images"] / one["folder"][way]["seconds"])

    def told(way: str, batch: int, what: str) -> dict[str, Any]:
        calls = np.concatenate([r["calls"][way][str(batch)][what]["seconds"] for r in rounds])
        return {
            "images_per_second": _spread([speed(r, way, batch, what) for r in rounds]),
            "calls": len(calls),
            "median_ms": 1000 * float(np.median(calls)),
            "p99_ms": 1000 * float(np.quantile(calls, 0.99)),
        }

    def against_plain(fast: Callable[[dict[str, Any]], float], what: str) -> dict[str, float]:
        return _spread([fast(r) / speed(r, "plain", 1, what) for r in rounds])

    return {
        "calls": {
            way: {str(batch): {what: told(way, batch, what) for what in FROM} for batch in batches}
            for way, batches in BATCHES.items()
        },
        "folder": {
            way: {"images_per_second": _spread([folder_speed(r, way) for r in rounds])}
            for way in ("torch", "onnx")
        },
        "ratio_batch_1": {
            way: {
                what: against_plain(lambda r, w=way, d=what: speed(r, w, 1, d), what)  # type: ignore[misc]
                for what in FROM
            }
            for way in ("torch", "onnx")
        },
        "ratio_folder": {
            way: against_plain(lambda r, w=way: folder_speed(r, w), "files")  # type: ignore[misc]
            for way in ("torch", "onnx")
        },
    }


# ---- what is classified -------------------------------------------------------------------------


def fill(folder: Path, data: Path | None, count: int) -> bool:
    """Put so many JPEGs into a folder, under different names. Returns whether they are synthetic.

    JPEGs are copied, other files turned to JPEG; fewer than count are taken more than once.
    """
    from cascade import phantoms
    from PIL import Image

    from hilum.radiographs.image import read_radiograph
    from hilum.radiographs.layouts import list_images

    folder.mkdir()
    if data is None:
        for number, image in enumerate(phantoms(min(count, _DISTINCT))):
            image.save(folder / f"{number:06}.jpg", quality=90)
        sources = sorted(folder.iterdir())
    else:
        sources = list_images(data)
        if not sources:
            raise SystemExit(f"{data}: no radiographs found.")
    for number in range(count):
        target = folder / f"{number:06}.jpg"
        # evenly over the labels, which come one after the other
        source = sources[number * len(sources) // count if data else number % len(sources)]
        if source.suffix.lower() in (".jpg", ".jpeg"):
            if source != target:
                shutil.copyfile(source, target)
        else:
            Image.fromarray(read_radiograph(source)).save(target, quality=90)
    return data is None or (data / "PHANTOM.json").exists()


def _untrained(folder: Path) -> Path:
    from cascade import untrained

    return untrained(folder)


def _check_covinet(folder: Path) -> None:
    from hilum.classifier.classifier import Classifier

    found = Classifier.load(folder, device="cpu")
    kinds = set(found.network_names.values())
    if kinds != {"covinet"} or found.preprocessing.storage_key != "squash-150x150":
        raise SystemExit(f"{folder}: the plain loop knows COVINet at 150 x 150 pixels only.")


def _difference(one: list[Any], other: list[Any]) -> float:
    pairs = zip(one, other, strict=True)
    return max(float(np.abs(np.array(a) - np.array(b)).max()) for a, b in pairs)


# ---- the result ---------------------------------------------------------------------------------


def summary(report: dict[str, Any]) -> str:
    """The result as plain text."""
    machine, data = report["machine"], report["data"]
    lines = [
        f"{machine['cpu']}, {os.cpu_count()} cores; {report['settings']['classifier']}, float32; "
        f"{data['name']}{' (synthetic)' if data['synthetic'] else ''}; "
        f"{len(report['rounds'])} round(s)",
        "",
        f"{'':<28}  {'images/s':>8}  {'min to max':>14}  {'median':>9}  {'99th perc.':>10}",
    ]
    for way, batches in report["calls"].items():
        for batch, by_start in batches.items():
            for what, one in by_start.items():
                speed = one["images_per_second"]
                spread = f"{speed['min']:.0f} to {speed['max']:.0f}"
                name = f"{way}, {batch} at a time, {what}"
                lines.append(
                    f"{name:<28}  {speed['median']:>8.0f}  {spread:>14}  "
                    f"{one['median_ms']:>6.1f} ms  {one['p99_ms']:>7.1f} ms"
                )
    for way, one in report["folder"].items():
        speed = one["images_per_second"]
        spread = f"{speed['min']:.0f} to {speed['max']:.0f}"
        name = f"{way}, folder of {data['files']}"
        lines.append(f"{name:<28}  {speed['median']:>8.0f}  {spread:>14}")
    lines.append("")
    for way in ("torch", "onnx"):
        for name, ratio, key in (
            ("one at a time", report["ratio_batch_1"][way]["files"], "ratio_batch_1"),
            ("the folder", report["ratio_folder"][way], "ratio_folder"),
        ):
            lines.append(
                f"{name}, {way} / plain: {ratio['median']:.2f} x ({ratio['min']:.2f} to "
                f"{ratio['max']:.2f}); goal: {report['demanded'][key]}"
            )
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
