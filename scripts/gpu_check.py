"""Check training on a CUDA GPU, and measure it: minutes, on one card.

    python scripts/gpu_check.py [--data FOLDER] [--out FOLDER]

- agreement: one epoch on the CPU and on the GPU, both in float32, ends with about the same losses;
- recording: training by recorded steps (CUDA graphs) gives the bits of the same steps unrecorded;
- resume: a training that is stopped within an epoch and resumed gives the bits of one that is not;
- speed: images per second of the built-in recipes, and the share of what the card's matrix units do
  on a large product of matrices (6 operations for each multiply-add of the forward pass);
- commands: how long a whole `hilum train` and `hilum evaluate` take.

A part that fails says so, and the next goes on; the exit code is then 1. Without --data it trains
on phantoms.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import torch

from hilum.errors import Interrupted
from hilum.given import as_recipe
from hilum.networks.registry import create_network
from hilum.networks.summary import summarise
from hilum.phantoms.multiple import write_findings
from hilum.phantoms.phantom import write_phantoms
from hilum.radiographs.dataset import open_dataset
from hilum.recipe import Recipe
from hilum.training.folder import read_history
from hilum.training.run import train

_SMALL = {
    "image_size": 48, "epochs": 3, "batch_size": 16, "monitor": "val", "promises": "alike",
}  # fmt: skip
_DOSES = {
    "mirror": True, "rotate": 20, "shift": 0.1, "scale": 0.2, "aspect": 0.2, "corner_crop": 0.1,
    "blur": 0.7, "gamma": 0.6, "contrast": 0.4, "brightness": 0.2, "noise": 0.03, "erase": 0.2,
}  # fmt: skip

#: Settings that between them take every way through a step.
CASES: dict[str, dict[str, Any]] = {
    "default, smaller": {"network": "hilum-xs", "strategy": "flat", "start_size": 0.5,
        "scheduler": "one-cycle", "class_weights": "balanced", "label_smoothing": 0.1,
        "mirror_test": True, "preprocessing": {"standardise": "z-score"},
        "augmentation": {k: v for k, v in _DOSES.items() if k not in ("blur", "noise", "erase")}},
    "cascade, every dose, mixup": {"network": "covinet", "strategy": "cascade",
        "augmentation": {**_DOSES, "mixup": 0.4}, "sampling": "balanced"},
    "sgd, average, clipped": {"network": "hilum-xs", "strategy": "flat", "optimizer": "sgd",
        "ema": 0.95, "clip_norm": 1.0, "scheduler": "cosine", "warmup": 0.1, "loss": "decisions"},
    "naive, float32": {"network": "naive", "strategy": "flat", "precision": "float32"},
}  # fmt: skip

#: What is timed: recipe, and keys that differ from it.
SPEEDS: dict[str, tuple[str, dict[str, Any]]] = {
    "covinet-cascade": ("covinet-cascade", {}),
    "quick": ("quick", {}),
    "default": ("default", {}),
    "hilum-s, 150 pixels": ("default", {"network": "hilum-s", "image_size": 150}),
    "compiled default": ("default", {"compile": True}),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder with train and val (default: phantoms)")
    parser.add_argument("--out", type=Path, help="keep what is trained, and result.json, here")
    parser.add_argument("--device", default="cuda", help="cpu tries the script itself")
    parser.add_argument("--only", default="", help="parts, by their first words, with commas")
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error("this needs a CUDA GPU")
    with tempfile.TemporaryDirectory() as scratch:
        out = options.out or Path(scratch)
        found, failed = check(options.data, out, options.only, options.device)
    print(json.dumps(found, indent=1))
    for name in failed:
        print(f"FAILED: {name}")
    return 1 if failed else 0


def check(data: Path | None, out: Path, only: str, device: str) -> tuple[dict[str, Any], list[str]]:
    """Run the parts; what was found, and the names of those that failed."""
    out.mkdir(parents=True, exist_ok=True)
    small = out / "small"
    write_phantoms(small, counts={"train": 90, "val": 30})
    write_findings(out / "findings", counts={"train": 90, "val": 30})
    if data is None:
        data = out / "phantoms"
        write_phantoms(data, counts={"train": 1500, "val": 150, "test": 150})
    found: dict[str, Any] = {"device": _name(device), "torch": torch.__version__}
    failed = []
    parts: dict[str, Callable[[], Any]] = {
        "peak": lambda: peak(device),
        **{
            f"same: {name}": lambda case=case: same(small, case, device)
            for name, case in CASES.items()
        },
        "same: findings": lambda: same(out / "findings", CASES["default, smaller"], device),
        "same: a network that waits": lambda: waiting(small, device),
        "same: not resident": lambda: not_resident(small, device),
        **{
            f"speed: {name}": lambda told=told: speed(data, *told, device, found.get("peak"))
            for name, told in SPEEDS.items()
        },
        "commands": lambda: commands(data, out, device),
    }
    wanted = tuple(filter(None, only.split(",")))
    for name, part in parts.items():
        if wanted and not name.startswith(wanted):
            continue
        began = time.perf_counter()
        try:
            found[name] = part()
        except Exception:
            failed.append(name)
            found[name] = traceback.format_exc().splitlines()[-8:]
        print(f"{name} ({time.perf_counter() - began:.1f} s): {found[name]}", flush=True)
        (out / "result.json").write_text(json.dumps(found, indent=1), encoding="utf-8")
    return found, failed


# ---- correctness --------------------------------------------------------------------------------


def same(data: Path, keys: dict[str, Any], device: str) -> dict[str, Any]:
    """Recorded, unrecorded, resumed and on the CPU: what is to be the same. Raises AssertionError.

    Returns the largest difference of a loss between CPU and GPU, and whether bits are the same.
    """
    recorded, losses = _trained(data, {**keys, "device": device})
    with mock.patch("hilum.training.step._sends", return_value=True):
        plain, _ = _trained(data, {**keys, "device": device})
    resumed, _ = _trained(data, {**keys, "device": device}, stop_at=4)
    exact = {"precision": "float32", "epochs": 1}
    _, on_cpu = _trained(data, {**keys, **exact, "device": "cpu"})
    _, on_gpu = _trained(data, {**keys, **exact, "device": device})
    apart = max(abs(a - b) for a, b in zip(on_cpu, on_gpu, strict=True))
    found = {
        "loss, CPU to GPU": apart,
        "recorded as unrecorded": _furthest(recorded, plain),
        "resumed as not": _furthest(recorded, resumed),
        "losses": losses,
    }
    assert apart < 5e-3, found
    assert found["recorded as unrecorded"] == found["resumed as not"] == 0, found
    return found


_OWN = """
import torch
from torch import nn

class Ready(nn.Module):
    def __init__(self, *, outputs, image_size):
        super().__init__()
        self.conv, self.pool = nn.Conv2d(1, 8, 3), nn.AdaptiveAvgPool2d(1)
        self.linear = nn.Linear(8, outputs)

    def forward(self, images):
        return self.linear(self.pool(self.conv(images)).flatten(1))

class Waiting(Ready):
    def forward(self, images):
        assert images.mean().item() < 1e9
        return super().forward(images)
"""


def waiting(data: Path, device: str) -> dict[str, Any]:
    """A network that reads a number back in every step is trained unrecorded, and not refused."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "own_networks.py").write_text(_OWN, encoding="utf-8")
        sys.path.insert(0, folder)
        keys = {"strategy": "flat", "device": device}
        waited, _ = _trained(data, {**keys, "network": "own_networks:Waiting"})
        recorded, _ = _trained(data, {**keys, "network": "own_networks:Ready"})
    found = {"waiting as recorded": _furthest(waited, recorded)}
    assert found["waiting as recorded"] == 0, found
    return found


def not_resident(data: Path, device: str) -> dict[str, Any]:
    """Pixels that do not fit the card, sent step by step, train to the same bits."""
    keys = {**CASES["cascade, every dose, mixup"], "device": device}
    resident, _ = _trained(data, keys)
    with mock.patch("hilum.training.step._on_device", return_value=None):
        sent, _ = _trained(data, keys)
    found = {"sent as resident": _furthest(resident, sent)}
    assert found["sent as resident"] == 0, found
    return found


def _trained(
    data: Path, keys: dict[str, Any], stop_at: int | None = None
) -> tuple[list[torch.Tensor], list[float]]:
    """Weights and losses of a training. stop_at: after so many steps it is stopped and resumed."""
    recipe = as_recipe({**_SMALL, **keys})
    dataset = open_dataset(data)
    with tempfile.TemporaryDirectory() as scratch:
        run = Path(scratch) / "run"
        if stop_at is not None:
            _stop(dataset, recipe, run, stop_at)
        classifier = train(dataset, recipe, run, resume=stop_at is not None)
        losses = [row["train_loss"] for row in read_history(run / "history.jsonl")]
    weights = [
        value.detach().float().cpu()
        for network in classifier.networks.values()
        for value in network.state_dict().values()
    ]
    return weights, losses


def _stop(dataset: Any, recipe: Recipe, run: Path, after: int) -> None:
    """Train, and interrupt it after so many steps, as Ctrl-C does."""
    steps = 0

    def count(what: str, done: int, of: int) -> None:
        nonlocal steps
        steps += ": epoch " in what
        if steps == after:
            os.kill(os.getpid(), signal.SIGINT)

    try:
        train(dataset, recipe, run, progress=count)
    except Interrupted:
        return
    raise AssertionError("it was to be stopped")


def _furthest(ones: list[torch.Tensor], others: list[torch.Tensor]) -> float:
    return max((a - b).abs().max().item() for a, b in zip(ones, others, strict=True))


# ---- speed --------------------------------------------------------------------------------------


def peak(device: str) -> float:
    """Operations per second of a large product of bfloat16 matrices, median of 20."""
    n = 8192 if device == "cuda" else 512
    a, b = (torch.randn(n, n, device=device, dtype=torch.bfloat16) for _ in range(2))
    times = []
    for _ in range(23):
        _wait(device)
        began = time.perf_counter()
        a @ b
        _wait(device)
        times.append(time.perf_counter() - began)
    return float(2 * n**3 / sorted(times[3:])[10])


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def _name(device: str) -> str:
    return torch.cuda.get_device_name() if device == "cuda" else device


def speed(
    data: Path, name: str, keys: dict[str, Any], device: str, most: float | None
) -> dict[str, Any]:
    """Train a recipe twice, in this process; the second training is what is told."""
    recipe = as_recipe({**as_recipe(name).to_dict(), **keys, "device": device})
    dataset = open_dataset(data)
    whole = []
    for _ in range(2):
        with tempfile.TemporaryDirectory() as scratch:
            began = time.perf_counter()
            train(dataset, recipe, Path(scratch) / "run", allow=("leakage", "label-conflicts"))
            whole.append(round(time.perf_counter() - began, 2))
            rows = read_history(Path(scratch) / "run/history.jsonl")
    seconds = sum(row["seconds"] for row in rows)
    images = sum(row["seconds"] * row["images_per_second"] for row in rows)
    last = rows[-1]
    settings = recipe.settings(recipe.networks(dataset.tree)[0].name)
    network = create_network(settings.network, outputs=3, image_size=recipe.image_size)
    operations = 6 * summarise(network, recipe.image_size).multiply_adds
    found = {
        "images/s": round(images / seconds),
        "images/s, last epoch": round(last["images_per_second"]),
        "training, s": round(seconds, 2),
        "train(), s, first and second": whole,
        "accuracy": last["monitor_accuracy"],
    }
    if most:
        found["share of peak, last epoch"] = operations * last["images_per_second"] / most
    return found


def commands(data: Path, out: Path, device: str) -> dict[str, float]:
    """Seconds of whole commands, the second time."""
    found = {}
    told = {
        "train": ["train", str(data), "--out", str(out / "run"), "--device", device],
        "evaluate": ["evaluate", str(out / "run"), str(data), "--split", "val"],
        "predict": ["predict", str(out / "run"), str(next(data.rglob("*.[jp][pn]*g")))],
    }
    for name, arguments in told.items():
        began = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "hilum", *arguments],
            capture_output=True, text=True, env={**os.environ, "NO_COLOR": "1"}, check=False,
        )  # fmt: skip
        found[name] = round(time.perf_counter() - began, 1)
        if done.returncode:
            raise RuntimeError((done.stdout + done.stderr)[-600:])
    return found


if __name__ == "__main__":
    raise SystemExit(main())
