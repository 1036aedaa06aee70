"""How fast COVINet trains: the way notebooks do it, against Hilum.

Both train the first decision of the data (normal or infected) with batches of 32 and AdamW at
0.001, look at the val split after every epoch and end with a checkpoint on disk. Timed is all of
it, from an unopened folder of radiographs to the written files, without the start of Python and
its imports. Images per second count the training images only.

Three ways take turns, round after round, each in a process of its own, because Hilum's command
line changes how its process gets memory and lets its threads wait (hilum/process.py), and that
must not help the others:

- notebook: notebook_training.py, which says what it does;
- hilum, cold: hilum.train() with an empty cache, so that decoding every file is part of it;
- hilum, warm: the same once more, over the pixels that the cold one decoded.

`ratio` compares hilum warm with the notebook of the same round: decoding is done once per data
set, and an epoch is what training repeats. `ratio_cold` is that of a first epoch ever.
"""

import argparse
import json
import math
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

BATCH = 32
LEARNING_RATE = 1e-3
PHANTOMS = {"train": 1200, "val": 120}  # rendered where no data are given
FEATURES = ("avx2", "avx512_f", "avx512_bf16", "amx_bf16")


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder with train and val (default: phantoms)")
    parser.add_argument("--json", type=Path, help="also write the result to this file")
    parser.add_argument("--rounds", type=int, default=3, help="how often each way runs")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--limit", type=int, help="train on about N images only, for a quick look")
    parser.add_argument("--beside", type=int, default=0, help="other busy processes meanwhile")
    parser.add_argument("--worker", type=Path, metavar="OUT", help=argparse.SUPPRESS)
    parser.add_argument("--seed", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.worker:
        result = train_once(options.data, options.worker, epochs=options.epochs, seed=options.seed)
        (options.worker / "result.json").write_text(json.dumps(result), encoding="utf-8")
        return 0
    if min(options.rounds, options.epochs, options.limit or BATCH) < 1:
        parser.error("--rounds, --epochs and --limit must be at least 1")
    with tempfile.TemporaryDirectory(prefix="hilum-bench-") as scratch, busy(options.beside):
        report = compare(options, Path(scratch))
    print(summary(report))
    if options.json:
        options.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return 0


@contextmanager
def busy(processes: int) -> Iterator[None]:
    """Let so many processes compute meanwhile, each as a program that somebody else started."""
    code = "import os; parent = os.getppid()\nwhile os.getppid() == parent: pass"
    command = [sys.executable, "-c", code]
    others = [subprocess.Popen(command, start_new_session=True) for _ in range(processes)]
    try:
        yield
    finally:
        for other in others:
            other.terminate()
            other.wait()


# ---- the worker: one training with Hilum, in a process of its own ------------------------------


def train_once(data: Path, out: Path, *, epochs: int, seed: int) -> dict[str, Any]:
    """Train with the library's own train(), in the process that its command line makes."""
    from hilum.process import own_process

    own_process()  # before PyTorch is imported, as the command line does
    from hilum.radiographs.dataset import open_dataset
    from hilum.recipe import Recipe
    from hilum.training.folder import read_history
    from hilum.training.run import train

    recipe = Recipe(
        name="benchmark",
        strategy="cascade",
        network="covinet",
        epochs=epochs,
        batch_size=BATCH,
        optimizer="adamw",
        learning_rate=LEARNING_RATE,
        device="cpu",
        seed=seed,
    )
    run = out / "run"
    began = time.perf_counter()
    dataset = open_dataset(data)
    train(dataset, recipe, run)
    seconds = time.perf_counter() - began
    history = read_history(run / "history.jsonl")
    return {
        "seconds": seconds,
        "images": len(dataset.indices("train")) * epochs,
        "loss": [{"train": r["train_loss"], "val": r["monitor_loss"]} for r in history],
        "format": json.loads((run / "run.json").read_text(encoding="utf-8"))["precision"],
        "ru_maxrss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
    }


# ---- taking turns -------------------------------------------------------------------------------


def compare(options: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    """Run all rounds. scratch: an empty folder for data, caches and what is trained."""
    source = options.data or _phantoms(scratch / "phantoms", options.limit)
    data, counts = first_decision(source, scratch / "data", options.limit)

    def run(script: str, name: str) -> dict[str, Any]:
        out = scratch / f"{number}-{name}"
        out.mkdir()
        command = [sys.executable, str(Path(__file__).with_name(script)), "--worker", str(out)]
        command += ["--data", str(data), "--epochs", str(options.epochs), "--seed", str(number)]
        subprocess.run(command, check=True, env={**os.environ, "HILUM_CACHE": str(cache)})
        result: dict[str, Any] = json.loads((out / "result.json").read_text(encoding="utf-8"))
        result["images_per_second"] = result["images"] / result["seconds"]
        unit = 2**20 if sys.platform == "darwin" else 2**10  # bytes there, kilobytes elsewhere
        result["peak_memory_mb"] = round(result.pop("ru_maxrss") / unit)
        return result

    rounds: list[dict[str, Any]] = []
    for number in range(options.rounds):
        cache = scratch / f"cache-{number}"  # empty for the first of the two that use it
        rounds.append(
            {
                "notebook": run("notebook_training.py", "notebook"),
                "hilum_cold": run("bench_training.py", "cold"),
                "hilum": run("bench_training.py", "warm"),
            }
        )

    def speeds(way: str) -> list[float]:
        return [r[way]["images_per_second"] for r in rounds]

    def ratios(way: str) -> dict[str, float]:
        pairs = zip(speeds(way), speeds("notebook"), strict=True)
        return _spread([mine / theirs for mine, theirs in pairs])

    return {
        "machine": _machine(),
        "versions": {
            **{name: version(name) for name in ("hilum", "torch", "numpy", "pillow")},
            "python": platform.python_version(),
        },
        "data": {
            "name": options.data.resolve().name if options.data else "phantoms",
            "synthetic": options.data is None or (source / "PHANTOM.json").exists(),
            "images": counts,
            "limit": options.limit,
        },
        "settings": {
            "network": "covinet", "epochs": options.epochs, "batch_size": BATCH,
            "optimizer": "adamw", "learning_rate": LEARNING_RATE, "beside": options.beside,
        },
        "rounds": rounds,
        "notebook": {"images_per_second": _spread(speeds("notebook")), "format": "float32"},
        "hilum_cold": {
            "images_per_second": _spread(speeds("hilum_cold")),
            "format": rounds[0]["hilum_cold"]["format"],
        },
        "hilum": {
            "images_per_second": _spread(speeds("hilum")),
            "format": rounds[0]["hilum"]["format"],
        },
        "ratio": ratios("hilum"),
        "ratio_cold": ratios("hilum_cold"),
        "loss": {
            way: {
                part: _spread([r[way]["loss"][-1][part] for r in rounds])
                for part in ("train", "val")
            }
            for way in ("notebook", "hilum")
        },
    }  # fmt: skip


def first_decision(source: Path, target: Path, limit: int | None) -> tuple[Path, dict[str, int]]:
    """Copy train and val into SPLIT/LABEL/NUMBER, by their outermost label.

    limit: about how many training images to take, evenly from each label. Returns the folder and
    the images per split. Both ways then read the very same files.
    """
    from hilum.radiographs.layouts import read_layout

    groups: dict[tuple[str, str], list[Path]] = {}
    for found in read_layout(source).found:
        groups.setdefault((found.split, found.labels[0]), []).append(found.path)
    counts = {s: sum(len(g) for (of, _), g in groups.items() if of == s) for s in ("train", "val")}
    if not all(counts.values()):
        raise SystemExit(f"{source}: the benchmark needs the splits train and val.")
    every = max(1.0, counts["train"] / limit) if limit else 1.0
    copied = dict.fromkeys(counts, 0)
    for (split, label), paths in groups.items():
        if split not in counts:
            continue
        folder = target / split / label
        folder.mkdir(parents=True)
        step = every if split == "train" else 1.0
        n = min(len(paths), max(2, math.ceil(len(paths) / step)))
        for k in range(n):
            path = paths[k * len(paths) // n]
            shutil.copyfile(path, folder / f"{k}{path.suffix}")
        copied[split] += n
    return target, copied


def _phantoms(root: Path, limit: int | None) -> Path:
    from hilum.phantoms.phantom import write_phantoms

    write_phantoms(root, counts=PHANTOMS if limit is None else {**PHANTOMS, "train": limit})
    return root


# ---- the result ---------------------------------------------------------------------------------


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def _machine() -> dict[str, Any]:
    import torch

    capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpu": capabilities.get("cpu_name") or platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "features": {name: bool(capabilities.get(name)) for name in FEATURES},
        "memory_gb": round(memory / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}",
    }


def summary(report: dict[str, Any]) -> str:
    """The result as plain text."""
    machine, data, beside = report["machine"], report["data"], report["settings"]["beside"]
    features = [name for name, present in machine["features"].items() if present]
    lines = [
        f"{machine['cpu']}, {machine['cores']} cores ({', '.join(features) or 'no AVX'})",
        f"{data['name']}{' (synthetic)' if data['synthetic'] else ''}: "
        f"{data['images']['train']} images to train on, {data['images']['val']} to validate; "
        f"{report['settings']['epochs']} epoch(s), {len(report['rounds'])} round(s)"
        f"{f', beside {beside} busy process(es)' if beside else ''}",
        "",
        f"{'':<12}  {'images/s':>8}  {'min to max':>14}  {'train loss':>10}  {'val loss':>8}"
        f"  {'peak memory':>11}  format",
    ]
    for way in ("notebook", "hilum_cold", "hilum"):
        speed = report[way]["images_per_second"]
        last = [r[way]["loss"][-1] for r in report["rounds"]]
        spread = f"{speed['min']:.0f} to {speed['max']:.0f}"
        train, val = (statistics.median(x[part] for x in last) for part in ("train", "val"))
        memory = statistics.median(r[way]["peak_memory_mb"] for r in report["rounds"])
        lines.append(
            f"{way.replace('_', ', '):<12}  {speed['median']:>8.0f}  {spread:>14}  {train:>10.4f}"
            f"  {val:>8.4f}  {memory:>8.0f} MB  {report[way]['format']}"
        )
    for key, what in (("ratio", "hilum / notebook"), ("ratio_cold", "with an empty cache")):
        ratio = report[key]
        lines.append(f"{what}: {ratio['median']:.2f} x ({ratio['min']:.2f} to {ratio['max']:.2f})")
    lines.insert(-2, "")
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
