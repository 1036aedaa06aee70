"""What augmentation costs in the training loop.

COVINet trains on phantoms of 150 x 150 pixels with batches of 32, without augmentation and with
the set 'full', in turns within one process (what an image shows changes nothing of the cost).
Images per second are those of each training's last epoch, as its history has them: reading,
augmenting, forward, backward and optimizer step, without decoding and validation. `cost` is the
share of images per second that augmentation takes, of the two trainings of one round. `parts`
times every part of the set alone, on one batch.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench_training import BATCH, LEARNING_RATE, _machine, _spread

WAYS = ("none", "full")
IMAGES = 640  # to train on: an epoch of a few seconds, so that turns are short


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="also write the result to this file")
    parser.add_argument("--rounds", type=int, default=5, help="how often each way runs")
    parser.add_argument("--epochs", type=int, default=2, help="of each training; the last is timed")
    parser.add_argument("--images", type=int, default=IMAGES, help="how many to train on")
    options = parser.parse_args(argv)
    if min(options.rounds, options.epochs, options.images) < 1:
        parser.error("--rounds, --epochs and --images must be at least 1")
    from hilum.process import own_process

    own_process()  # before PyTorch is imported, as the command line does
    with tempfile.TemporaryDirectory(prefix="hilum-bench-") as scratch:
        os.environ["HILUM_CACHE"] = str(Path(scratch) / "cache")
        report = compare(options, Path(scratch))
    print(summary(report))
    if options.json:
        options.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return 0


def compare(options: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    """Run all rounds. scratch: an empty folder for data, caches and what is trained."""
    from hilum.phantoms.phantom import write_phantoms
    from hilum.radiographs.dataset import open_dataset

    write_phantoms(scratch / "phantoms", counts={"train": options.images, "val": BATCH})
    dataset = open_dataset(scratch / "phantoms")
    rounds = []
    for number in range(options.rounds):
        # who goes first changes, so that a machine that slows down favours neither
        order = WAYS if number % 2 == 0 else WAYS[::-1]
        speeds = {
            way: train_once(dataset, way, scratch / f"{number}-{way}", options.epochs)
            for way in order
        }
        rounds.append({way: speeds[way] for way in WAYS})
    return {
        "machine": _machine(),
        "settings": {
            "network": "covinet", "batch_size": BATCH, "epochs": options.epochs,
            "images": options.images,
        },
        "rounds": rounds,
        **{way: {"images_per_second": _spread([r[way] for r in rounds])} for way in WAYS},
        "cost": _spread([1 - r["full"] / r["none"] for r in rounds]),
        "parts": parts(),
    }  # fmt: skip


def train_once(dataset: Any, augmentation: str, out: Path, epochs: int) -> float:
    """Images per second of the last epoch of a training."""
    from hilum.recipe import Recipe
    from hilum.training.folder import read_history
    from hilum.training.run import train

    recipe = Recipe.from_dict(
        {
            "name": "benchmark", "network": "covinet", "strategy": "flat", "device": "cpu",
            "batch_size": BATCH, "optimizer": "adamw", "learning_rate": LEARNING_RATE,
            "epochs": epochs, "augmentation": augmentation,
        }
    )  # fmt: skip
    train(dataset, recipe, out)
    speed: float = read_history(out / "history.jsonl")[-1]["images_per_second"]
    return speed


def parts(repeats: int = 20) -> dict[str, float]:
    """Milliseconds that each part takes for one batch of 150 x 150 pixels: the median."""
    import numpy as np
    import torch

    from hilum.settings import AUGMENTATIONS, Augmentation
    from hilum.transforms.augment import augment, mix, mixup_partners

    full, rng = AUGMENTATIONS["full"], np.random.default_rng(0)
    pixels = torch.from_numpy(rng.integers(0, 256, (BATCH, 150, 150), dtype=np.uint8))
    indices = np.arange(BATCH)
    doses = {key: Augmentation(**{key: dose}) for key, dose in full if key != "mixup"}
    doses["all but mixup"] = full

    def once(key: str) -> None:
        if key == "mixup":
            partners, share = mixup_partners(full.mixup, BATCH, seed=0, epoch=1, indices=indices)
            own = torch.from_numpy(share.astype(np.float32))
            mix(pixels, pixels[torch.from_numpy(partners)], own)
        else:
            augment(pixels, doses[key], seed=0, epoch=1, indices=indices)

    found = {}
    for key in [*doses, "mixup"]:
        once(key)  # the table of noise is made once, and threads wake up
        times = []
        for _ in range(repeats):
            began = time.perf_counter()
            once(key)
            times.append(time.perf_counter() - began)
        found[key] = round(1000 * statistics.median(times), 3)
    return found


def summary(report: dict[str, Any]) -> str:
    """The result as plain text."""
    machine, cost = report["machine"], report["cost"]
    lines = [
        f"{machine['cpu']}, {machine['cores']} cores, {machine['threads']} threads",
        f"{report['settings']['images']} phantoms to train on, {len(report['rounds'])} round(s)",
        "",
    ]
    for way in WAYS:
        speed = report[way]["images_per_second"]
        lines.append(
            f"{way:<5} {speed['median']:>6.0f} images/s ({speed['min']:.0f} to {speed['max']:.0f})"
        )
    lines += [
        f"cost of the full set: {cost['median']:.1%} ({cost['min']:.1%} to {cost['max']:.1%})",
        "",
        f"milliseconds for a batch of {BATCH}:",
        *(f"  {key:<14} {value:>7.2f}" for key, value in report["parts"].items()),
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
