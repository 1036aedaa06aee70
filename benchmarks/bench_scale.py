"""How fast several processes train, against one with as many threads.

`hilum train --devices N` with a thread for each process, against one process with N threads, by
turns, round after round, on phantoms that are decoded before. Images per second are those that the
history tells, of all epochs but the first; the start of processes is in none of them.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

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
    options = parser.parse_args(argv)
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
    report = {
        "settings": {"images": options.images, "network": options.network, "size": options.size},
        "processes": options.processes,
        "ratio": {"median": statistics.median(ratios), "min": min(ratios), "max": max(ratios)},
        "rounds": rounds,
    }
    print(summary(report))
    if options.json:
        options.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return 0


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


def summary(report: dict[str, Any]) -> str:
    n, ratio = report["processes"], report["ratio"]
    return (
        f"{n} processes with one thread each train {ratio['median']:.2f} times as fast as one with "
        f"{n} threads ({ratio['min']:.2f} to {ratio['max']:.2f} over {len(report['rounds'])} "
        "rounds)."
    )


if __name__ == "__main__":
    sys.exit(main())
