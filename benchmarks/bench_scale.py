"""How fast several processes train; what Ray costs; what memory many images take.

`hilum train --devices N` with a thread for each process, against one process with N threads, by
turns, round after round, on phantoms that are decoded before. Images per second are those that the
history tells, of all epochs but the first; the start of processes is in none of them.

With --predict N instead: `hilum predict` of N small files by the workers of a Ray cluster that it
starts, against the same here with as many threads, by turns. Seconds, and CPU seconds (user and
system) of the command and of every process that it started, which other work disturbs less.

With --memory N…, instead, what data sets of so many images take: opening them for the first time,
opening them again, decoding, and training for an epoch by one and by several processes. Memory is
the anonymous memory (RssAnon of /proc/PID/status, looked at 20 times a second) of the largest
process: not mapped files, which the system may drop and processes share. The images are 64 pixels
wide, each another one, and none like another.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from hilum.phantoms.phantom import write_phantoms
from hilum.training.folder import read_history


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="also write the result to this file")
    parser.add_argument("--rounds", type=int, default=3, help="how often each way runs")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--images", type=int, default=384, help="how many phantoms to train on")
    parser.add_argument("--network", default="covinet")
    parser.add_argument("--size", type=int, default=150, help="height and width of images")
    parser.add_argument("--predict", type=int, metavar="N", help="measure Ray, on so many files")
    parser.add_argument("--memory", type=int, nargs="+", help="measure data sets of so many images")
    options = parser.parse_args(argv)
    report: Any
    if options.memory:
        report = [row for n in options.memory for row in memory_of(n, options)]
        print(summary_of_memory(report))
    elif options.predict:
        report = measure_ray(options)
        print(summary_of_ray(report))
    else:
        report = measure_training(options)
        print(summary(report))
    if options.json:
        options.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return 0


def measure_training(options: argparse.Namespace) -> dict[str, Any]:
    """Trainings by one process and by several, by turns."""
    with tempfile.TemporaryDirectory(prefix="hilum-bench-") as scratch:
        data = Path(scratch) / "phantoms"
        write_phantoms(data, counts={"train": options.images, "val": 12})
        rounds = []
        for k in range(options.rounds):
            speeds = {}
            for processes in (1, options.processes):
                out = Path(scratch) / f"run-{k}-{processes}"
                speeds[str(processes)] = trained(data, out, processes, options)
            rounds.append(speeds)
    ratios = [of[str(options.processes)] / of["1"] for of in rounds]
    return {
        "settings": {"images": options.images, "network": options.network, "size": options.size},
        "processes": options.processes,
        "ratio": {"median": statistics.median(ratios), "min": min(ratios), "max": max(ratios)},
        "rounds": rounds,
    }


def measure_ray(options: argparse.Namespace) -> dict[str, Any]:
    """Predictions here and by Ray's workers, by turns."""
    with tempfile.TemporaryDirectory(prefix="hilum-bench-") as scratch:
        folder = Path(scratch)
        write_phantoms(folder / "phantoms", counts={"train": 24, "val": 12})
        keys = ("network=naive", "image_size=64", "epochs=1")
        run_hilum(
            ["train", folder / "phantoms", "--out", folder / "run", "--no-report"]
            + ["--recipe", "covinet-flat", "--device", "cpu"]
            + [part for key in keys for part in ("--set", key)],
            options.processes,
        )
        films = sorted((folder / "phantoms/train").glob("**/*.png"))
        (folder / "many").mkdir()
        for k in range(options.predict):
            (folder / f"many/{k}.png").symlink_to(films[k % len(films)])
        command = ["predict", folder / "run", folder / "many", "--device", "cpu", "--out"]
        rounds = []
        for k in range(options.rounds):
            here = run_hilum([*command, folder / f"{k}.parquet"], options.processes)
            engine = ["--engine", "ray", "--workers", options.processes]
            there = run_hilum([*command, folder / f"{k}-parts", *engine], options.processes)
            rounds.append({"local": here, "ray": there})
    return {
        "settings": {"files": options.predict, "network": "naive", "size": 64},
        "workers": options.processes,
        "rounds": rounds,
    }


def run_hilum(words: Sequence[object], threads: int) -> dict[str, float]:
    """Seconds, and CPU seconds, of a command with so many threads and of all that it starts."""
    command = [sys.executable, "-m", "hilum", *map(str, words)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    began, spent = time.monotonic(), {}
    for found in looks(command, environment, 0.25):  # Ray's processes are not waited for
        spent.update(found)
    return {"seconds": time.monotonic() - began, "cpu_seconds": sum(spent.values())}


def looks(
    command: list[str], environment: dict[str, str], seconds: float
) -> Iterator[dict[int, float]]:
    """Run a command, and give what cpu_seconds_below says of it, every so many seconds."""
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            yield cpu_seconds_below(process.pid)
            time.sleep(seconds)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with exit code {process.returncode}.")


def cpu_seconds_below(root: int) -> dict[int, float]:
    """By process id, the CPU seconds of a process and of all that descend from it; Linux alone."""
    parents, seconds = {}, {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        pid = int(stat.parent.name)
        parents[pid] = int(fields[1])
        seconds[pid] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    found = {root} & parents.keys()
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return {pid: seconds[pid] for pid in found}


def trained(data: Path, out: Path, processes: int, options: argparse.Namespace) -> float:
    """Images per second of a training by so many processes, with one thread each of all."""
    keys = [f"network={options.network}", f"image_size={options.size}", "epochs=4"]
    command = [
        *(sys.executable, "-m", "hilum", "train", str(data), "--out", str(out), "--no-report"),
        *("--recipe", "covinet-flat", "--device", "cpu", "--devices", str(processes)),
        *(part for key in keys for part in ("--set", key)),
    ]
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": str(options.processes),
        "HILUM_CACHE": str(data.parent / "cache"),
    }
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
    rows = read_history(out / "history.jsonl")
    return statistics.median(row["images_per_second"] for row in rows[1:])


# ---- memory ----------------------------------------------------------------------------------

_OPEN = "import sys, hilum; hilum.open_dataset(sys.argv[1])"
_DECODE = """import sys, hilum
from hilum.radiographs.pixels import Thumbnail
hilum.open_dataset(sys.argv[1]).pixels(Thumbnail(64))"""


def memory_of(n: int, options: argparse.Namespace) -> list[dict[str, Any]]:
    """What each step takes for a data set of n images."""
    with tempfile.TemporaryDirectory(prefix="hilum-bench-") as scratch:
        data, recipe = Path(scratch) / "images", Path(scratch) / "recipe.toml"
        write_images(data, n)
        recipe.write_text('image_size = 64\nepochs = 1\nnetwork = "covinet"\ndevice = "cpu"\n')
        python = [sys.executable, "-c"]
        train = [sys.executable, "-m", "hilum", "train", str(data), "--recipe", str(recipe)]
        train += ["--no-report", "--devices"]
        steps = [
            ("open, first", [*python, _OPEN, str(data)]),
            ("open, again", [*python, _OPEN, str(data)]),
            ("decode", [*python, _DECODE, str(data)]),
            *(
                (f"train, {k} processes", [*train, str(k), "--out", f"{scratch}/run-{k}"])
                for k in dict.fromkeys((1, options.processes))
            ),
        ]
        environment = {
            **os.environ, "OMP_NUM_THREADS": "1", "HILUM_CACHE": f"{scratch}/cache",
            "HILUM_CACHE_LIMIT": "none",
        }  # fmt: skip
        rows = []
        for what, command in steps:
            began = time.perf_counter()
            mib, processes = peak(command, environment)
            seconds = time.perf_counter() - began
            rows.append(
                {"images": n, "what": what, "seconds": seconds, "images_per_second": n / seconds,
                 "mib": mib, "processes": processes}
            )  # fmt: skip
        return rows


def write_images(folder: Path, n: int) -> None:
    """N smooth random images, a tenth of them in val: JPEG, of two classes."""
    rng = np.random.default_rng(0)
    for label in ("normal", "pneumonia"):
        for split in ("train", "val"):
            (folder / split / label).mkdir(parents=True)
    for i in range(n):
        coarse = Image.fromarray(rng.integers(0, 256, (9, 9), dtype=np.uint8))
        split, label = "val" if i % 10 == 0 else "train", ("normal", "pneumonia")[i // 10 % 2]
        image = coarse.resize((64, 64), Image.Resampling.BICUBIC)
        image.save(folder / split / label / f"{i}.jpg", quality=80)


def peak(command: list[str], environment: dict[str, str]) -> tuple[float, int]:
    """The most anonymous memory of a process of a command, in MiB, and how many there were."""
    highest: dict[int, float] = {}
    for found in looks(command, environment, 0.05):
        for pid in found:
            highest[pid] = max(highest.get(pid, 0.0), _anonymous(pid))
    return max(highest.values(), default=0.0), len(highest)


def _anonymous(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1024


def summary(report: dict[str, Any]) -> str:
    n, ratio = report["processes"], report["ratio"]
    return (
        f"{n} processes with one thread each train {ratio['median']:.2f} times as fast as one with "
        f"{n} threads ({ratio['min']:.2f} to {ratio['max']:.2f} over {len(report['rounds'])} "
        "rounds)."
    )


def summary_of_memory(rows: Sequence[dict[str, Any]]) -> str:
    return "\n".join(
        f"{row['images']:>9,} images  {row['what']:<24} {row['seconds']:>8.1f} s "
        f"{row['images_per_second']:>8,.0f} images/s {row['mib']:>7,.0f} MiB in the largest of "
        f"{row['processes']} processes"
        for row in rows
    )


def summary_of_ray(report: dict[str, Any]) -> str:
    def median(engine: str, key: str) -> float:
        return statistics.median(of[engine][key] for of in report["rounds"])

    local, ray = (
        f"{median(engine, 'seconds'):.0f} s, {median(engine, 'cpu_seconds'):.0f} CPU s"
        for engine in ("local", "ray")
    )
    return (
        f"{report['settings']['files']:,} files: here with {report['workers']} threads {local}; "
        f"by Ray's {report['workers']} workers {ray} (medians of {len(report['rounds'])} rounds)."
    )


if __name__ == "__main__":
    sys.exit(main())
