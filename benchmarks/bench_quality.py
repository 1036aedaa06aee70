"""How good the built-in recipes are, and what they cost.

Every recipe is trained from scratch on train of a division by patients or blocks, calibrated on
its val, and judged on its test, as it is, under the corruptions of stress tests, and where several
things change at once. Nothing here chose a recipe (docs/default-recipe.md says what did).
"""

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from hilum.process import own_process

if __name__ == "__main__":
    own_process()  # before PyTorch is imported, as the command line does

import numpy as np
import torch

from hilum.auditing.splits import BLOCK_SIZE, apply_split, make_split
from hilum.classifier.classifier import Classifier
from hilum.codec import to_plain
from hilum.evaluation.assess import assess
from hilum.evaluation.shift import measure_shift
from hilum.evaluation.stress import measure_stress
from hilum.networks.summary import summarise
from hilum.radiographs.dataset import Dataset, open_dataset
from hilum.radiographs.image import read_radiograph
from hilum.recipe import Recipe
from hilum.records import Estimate, evenly_spaced
from hilum.training.run import train
from hilum.transforms.corrupt import QUICK_STRENGTHS

#: COVINet as the default trains it shows what of the difference is the network, what the training.
COVINET_AS_DEFAULT = "covinet-as-default"
RECIPES = ("quick", "default", "best", COVINET_AS_DEFAULT, "covinet-flat", "covinet-cascade")
_ESTIMATES = (
    "accuracy",
    "stressed_accuracy",
    "shifted_accuracy",
    "root_accuracy",
    "macro_auroc",
    "calibration_error",
)
_CALLS = 50  # of the latency
_BATCH = 32


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="a folder of radiographs")
    parser.add_argument("--recipes", nargs="+", default=RECIPES, help="names or files")
    parser.add_argument("--out", type=Path, required=True, help="where the runs go; done ones stay")
    parser.add_argument("--seed", type=int, default=0, help="of the training and the division")
    parser.add_argument("--block-size", type=int, default=BLOCK_SIZE, help="as of hilum split")
    parser.add_argument("--stress", type=int, default=200, help="test images under corruptions")
    parser.add_argument("--set", nargs="*", default=(), help="key=value, for every recipe")
    parser.add_argument("--json", type=Path, help="also write the result to this file")
    options = parser.parse_args(argv)
    whole = open_dataset(options.data)
    dataset = apply_split(
        whole, make_split(whole, seed=options.seed, block_size=options.block_size)
    )
    rows = []
    for name in options.recipes:
        recipe = load(name).override([*options.set, f"seed={options.seed}"])
        title = Path(name).stem
        rows.append(
            {"recipe": title, **judge(dataset, recipe, options.out / title, options.stress)}
        )
        print(table(rows[-1:]).splitlines()[-1], flush=True)
    report = {
        "rows": rows,
        "data": {"name": whole.name, "synthetic": whole.synthetic, "counts": dataset.counts()},
        "settings": {"seed": options.seed, "stress": options.stress, "set": list(options.set)},
        "machine": {
            "cores": os.cpu_count(),
            "threads": torch.get_num_threads(),
            "system": f"{platform.system()} {platform.machine()}",
        },
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("hilum", "torch")},
        },
    }
    print(table(rows))
    if options.json:
        options.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return 0


def load(name: str) -> Recipe:
    """A recipe by its name or file, or COVINet trained as the default is."""
    if name == COVINET_AS_DEFAULT:
        # Its linear layer takes images of one size, and without batch normalisation it does not
        # bear the default's learning rate.
        own = ["network=covinet", "learning_rate=0.001", "start_size=1.0"]
        return Recipe.load("default").override(own)
    return Recipe.load(name)


def judge(dataset: Dataset, recipe: Recipe, out: Path, stressed: int) -> dict[str, Any]:
    """Train a recipe, unless that is done, and measure everything about it."""
    train(dataset, recipe, out, resume=(out / "run.json").exists())
    facts = json.loads((out / "run.json").read_text(encoding="utf-8"))
    classifier = Classifier.load(out, device="cpu")
    evaluation, assessment = assess(classifier, dataset, "test")
    test = dataset.indices("test")
    some = test[evenly_spaced(len(test), stressed)]
    stress = measure_stress(classifier, dataset, some, strengths=QUICK_STRENGTHS)
    shift = measure_shift(classifier, dataset, some)
    root = evaluation.decisions[next(iter(evaluation.decisions))]
    passes = sum(
        row["seconds"] * row["images_per_second"] for row in _history(out / "history.jsonl")
    )
    cost = [summarise(n, classifier.preprocessing.image_size) for n in classifier.networks.values()]
    return {
        "accuracy": to_plain(evaluation.accuracy),
        "root_accuracy": to_plain(root.accuracy),
        "macro_auroc": to_plain(evaluation.overall["macro_auroc"]),
        "calibration_error": to_plain(assessment.calibration.classes.top_label.ece),
        "stressed_accuracy": to_plain(stress.stressed.measures.accuracy),
        "shifted_accuracy": to_plain(shift.kinds["both"].measures.accuracy),
        "shifted": {kind: to_plain(m.measures.accuracy) for kind, m in shift.kinds.items()},
        "stressed_images": stress.n,
        "parameters": sum(s.total_parameters for s in cost),
        "multiply_adds": sum(s.multiply_adds for s in cost),
        "training_seconds": facts["seconds"],
        "training_images_per_second": passes / facts["seconds"],
        "precision": facts["precision"],
        "device": facts["device"],
        **_speed(classifier, dataset),
    }


def _history(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def _speed(classifier: Classifier, dataset: Dataset) -> dict[str, float]:
    """Milliseconds for one image, and images a second in batches, without decoding."""
    records = [dataset.records[i] for i in dataset.indices("test")[:_BATCH]]
    ready = [classifier.preprocessing.to_pixels(read_radiograph(r.path)) for r in records]
    pixels, names = np.stack(ready), [record.name for record in records]
    calls = [_timed(classifier, pixels[:1], names[:1]) for _ in range(_CALLS)]
    batches = [_timed(classifier, pixels, names) for _ in range(5)]
    return {
        "latency_ms": 1000 * statistics.median(calls),
        "images_per_second": len(pixels) / statistics.median(batches),
    }


def _timed(classifier: Classifier, pixels: Any, names: Sequence[str]) -> float:
    began = time.perf_counter()
    classifier.predict_pixels(pixels, names)
    return time.perf_counter() - began


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The result in Markdown."""
    lines = [
        "| recipe | accuracy | under stress | several at once | first decision | AUROC "
        "| calibration error | parameters | multiply-adds | training | images/s | one image |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        cells = [
            f"`{row['recipe']}`",
            *(Estimate(**row[key]).in_words() for key in _ESTIMATES),
            f"{row['parameters'] / 1e6:.2f} M",
            f"{row['multiply_adds'] / 1e6:,.0f} M",
            f"{row['training_seconds'] / 60:.1f} min",
            f"{row['training_images_per_second']:.0f}",
            f"{row['latency_ms']:.1f} ms",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
