"""How well each criterion ranks recipes by what they do at sites that training has not seen.

Phantom sites make the truth known. Recipes of different robustness are trained on folders whose
classes come from different sites and whose labels have the mistakes of grading; each is judged on
what the folder holds out, by every criterion, and at the sites that the folder does not have.
What counts is the rank correlation (Spearman's) over recipes between criterion and accuracy
there, and what is lost by taking the recipe that a criterion takes for the best.

Runs are written to --out as they end, and are not repeated.
"""

import argparse
import json
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import spearmanr

from hilum.classifier.classifier import Classifier
from hilum.evaluation.shift import DRAWS, shift_run
from hilum.evaluation.stress import stress_run
from hilum.phantoms.phantom import LABELS
from hilum.phantoms.sites import SITES, Grading, render_film, write_folder
from hilum.radiographs.dataset import Dataset, open_dataset
from hilum.recipe import Recipe
from hilum.records import FloatArray, IntArray, evenly_spaced
from hilum.statistics.intervals import wilson
from hilum.studies.folds import divide
from hilum.training.run import train
from hilum.transforms.corrupt import QUICK_STRENGTHS
from hilum.transforms.shift import SHIFTS

TREE = "normal, infected(covid, non-covid)"
GRADING = Grading(confused=0.12, missed=0.5, imagined=0.02)

#: From which sites the classes of each folder come. All other sites are unseen.
FOLDERS: dict[str, dict[str, dict[str, float]]] = {
    # two sources, one for most of the normal films, one for most of the others
    "two-sources": {
        "normal": {"north": 0.9, "children": 0.1},
        "covid": {"north": 0.1, "children": 0.9},
        "non-covid": {"north": 0.1, "children": 0.9},
    },
    # one kind of infection from a ward, the rest as they were found
    "ward": {
        "normal": {"screening": 0.6, "archive": 0.4},
        "covid": {"portable": 0.7, "archive": 0.3},
        "non-covid": {"archive": 0.8, "portable": 0.2},
    },
    # one hospital and its neighbour; class and site have nothing to do with each other
    "even": {label: {"harbour": 0.6, "digital": 0.4} for label in LABELS},
}

_DOSES = {
    "rotate": 10, "shift": 0.05, "scale": 0.1, "aspect": 0.1,
    "gamma": 0.3, "contrast": 0.2, "brightness": 0.1,
}  # fmt: skip
_EXPOSURE = ("gamma", "contrast", "brightness")


def _dosed(factor: float, keys: Sequence[str] = tuple(_DOSES)) -> dict[str, Any]:
    doses = {f"augmentation.{key}": round(_DOSES[key] * factor, 3) for key in keys}
    return {f"augmentation.{key}": 0 for key in _DOSES} | doses


_MORE = {"augmentation.blur": 0.7, "augmentation.noise": 0.03, "augmentation.erase": 0.2}
RECIPES: dict[str, dict[str, Any]] = {
    "plain": {**_dosed(0), "augmentation.mirror": "false", "preprocessing.standardise": "none"},
    "plain, z-score": {**_dosed(0), "augmentation.mirror": "false"},
    "mirror": _dosed(0),
    "doses": _dosed(1),
    "doses, not z-score": {**_dosed(1), "preprocessing.standardise": "none"},
    "doses x 2": _dosed(2),
    "doses x 2, not z-score": {**_dosed(2), "preprocessing.standardise": "none"},
    "doses x 3": _dosed(3),
    "exposure x 2": _dosed(2, _EXPOSURE),
    "geometry x 2": _dosed(2, [key for key in _DOSES if key not in _EXPOSURE]),
    "doses x 2 and more": {**_dosed(2), **_MORE},
    "doses x 3 and more": {**_dosed(3), **_MORE},
}


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="where runs go; done ones stay")
    parser.add_argument("--folders", nargs="+", default=list(FOLDERS), choices=FOLDERS)
    parser.add_argument("--recipes", nargs="+", default=list(RECIPES), choices=RECIPES)
    parser.add_argument("--seeds", type=int, default=2, help="trainings of each recipe and folder")
    parser.add_argument("--films", type=int, default=1500, help="of a folder; a fifth is held out")
    parser.add_argument("--test", type=int, default=240, help="films of each unseen site")
    parser.add_argument("--network", default="hilum-xs", help="a registered name")
    parser.add_argument("--passes", type=int, default=36000)
    parser.add_argument("--image-size", type=int, default=64)
    parser.add_argument(
        "--draws", type=int, default=DRAWS, help="shifted copies of a held-out film"
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--json", type=Path, help="also write the result to this file")
    options = parser.parse_args(argv)
    options.out.mkdir(parents=True, exist_ok=True)
    tasks = [
        (folder, recipe, seed)
        for seed in range(options.seeds)
        for folder in options.folders
        for recipe in options.recipes
    ]
    for folder in options.folders:
        prepared(options.out, folder, options.films, options.image_size)
    do = partial(run, options)
    with ProcessPoolExecutor(options.jobs, get_context("spawn")) as pool:
        for done in as_completed([pool.submit(do, *task) for task in tasks]):
            one = done.result()
            print(one["folder"], one["recipe"], one["seed"], _line(one), flush=True)
    rows = [run(options, *task) for task in tasks]
    report = {
        "settings": {key: str(value) for key, value in vars(options).items() if key != "json"},
        "grading": vars_of(GRADING),
        "folders": FOLDERS,
        "recipes": RECIPES,
        "rows": [{k: v for k, v in row.items() if k != "said"} for row in rows],
        "criteria": summarise(rows),
        "range": held(rows),
    }
    print(table(report["criteria"]))
    print("the range of hilum evaluate --shift at unseen sites:", report["range"])
    if options.json:
        options.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return 0


def vars_of(grading: Grading) -> dict[str, float]:
    return {name: getattr(grading, name) for name in Grading.__slots__}


def prepared(out: Path, folder: str, films: int, size: int) -> Path:
    """The folder of films, written once. Rays are traced at one and a half times the image size."""
    root = out / folder
    if not (root / "truth.json").is_file():
        truths = write_folder(
            root, FOLDERS[folder], films, seed=sum(folder.encode()), grading=GRADING,
            size=size * 3 // 2,
        )  # fmt: skip
        (root / "truth.json").write_text(json.dumps(truths), encoding="utf-8")
    return root


def run(options: argparse.Namespace, folder: str, recipe: str, seed: int) -> dict[str, Any]:
    """One training and all its figures."""
    file = options.out / "runs" / f"{folder}-{list(RECIPES).index(recipe)}-{seed}.json"
    if file.is_file():
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return found
    torch.set_num_threads(1)
    root = options.out / folder
    part = divide(open_dataset(root), 5, 10).part(seed)
    settings = {
        "network": options.network, "image_size": options.image_size, "passes": options.passes,
        "seed": seed, "device": "cpu", **RECIPES[recipe],
    }  # fmt: skip
    made = Recipe.load("default").override([f"{key}={value}" for key, value in settings.items()])
    run_folder = file.with_suffix("")
    resume = (run_folder / "run.json").is_file()
    classifier = train(part, made, run_folder, resume=resume, allow=["leakage", "label-conflicts"])
    one = {
        "folder": folder, "recipe": recipe, "seed": seed,
        **held_out(classifier, part, json.loads((root / "truth.json").read_text()), options),
        "unseen": unseen(classifier, folder, options.test, options.image_size * 3 // 2),
    }  # fmt: skip
    file.write_text(json.dumps(one), encoding="utf-8")
    return one


def held_out(
    classifier: Classifier, part: Dataset, truths: Mapping[str, str], options: argparse.Namespace
) -> dict[str, Any]:
    """Balanced accuracies on the held-out films: as they are, under stress, and shifted.

    By the labels that the folder gives; 'true' by what the films truly show. said: the predicted
    class of each film as it is and in every shifted copy, from which those are made.
    """
    rows = part.indices("val")
    names = [part.records[r].name for r in rows]
    truth = np.array([part.tree.classes.index(truths[name]) for name in names])
    run = shift_run(classifier, part, rows, draws=options.draws)
    found: dict[str, list[list[int]]] = {"clean": [run.clean.predicted.tolist()]}
    for (kind, _), predictions in run.stressed.items():
        found.setdefault(kind, []).append(predictions.predicted.tolist())
    some = rows[evenly_spaced(len(rows), 100)]
    stressed = stress_run(classifier, part, some, strengths=QUICK_STRENGTHS)
    return {
        "blocks": balanced(run.truth, found["clean"]),
        "true": balanced(truth, found["clean"]),
        "stress": balanced(stressed.truth, [p.predicted for p in stressed.stressed.values()]),
        **{kind: balanced(run.truth, found[kind]) for kind in SHIFTS},
        "said": {**found, "labels": run.truth.tolist(), "names": names},
    }


def unseen(classifier: Classifier, folder: str, n: int, size: int) -> dict[str, float]:
    """Balanced accuracy at each site that the folder has no film of, on n films of it."""
    seen = {site for sources in FOLDERS[folder].values() for site in sources}
    found = {}
    for number, site in enumerate(s for s in SITES.values() if s.name not in seen):
        truth = np.arange(n) % len(LABELS)
        films = [
            render_film(site, LABELS[k], seed=9000 + number, index=i, size=size).pixels
            for i, k in enumerate(truth)
        ]
        ready = np.stack([classifier.preprocessing.to_pixels(film) for film in films])
        predicted = classifier.predict_pixels(ready).predicted
        order = np.array([classifier.tree.classes.index(label) for label in LABELS])
        found[site.name] = balanced(order[truth], [predicted])
    return found


def balanced(truth: IntArray, copies: Sequence[Any]) -> float:
    """Mean recall of the classes, over the copies."""
    truth = np.asarray(truth)
    return float(
        np.mean([[(np.asarray(c)[truth == k] == k).mean() for k in set(truth)] for c in copies])
    )


# ---- criteria against what they are for ------------------------------------------------------


def scored(rows: Sequence[Mapping[str, Any]]) -> dict[str, FloatArray]:
    """(rows,) of each criterion, and of 'unseen', the mean over unseen sites.

    agreed: on the held-out films on whose label most recipes of the same folder and seed agree.
    """
    values = {name: np.array([row[name] for row in rows]) for name in ("blocks", "stress", *SHIFTS)}
    values["true labels"] = np.array([row["true"] for row in rows])
    for kind in ("clean", *SHIFTS):
        agreed = []
        for row in rows:
            peers = [r for r in rows if (r["folder"], r["seed"]) == (row["folder"], row["seed"])]
            votes = np.array([peer["said"]["clean"][0] for peer in peers])
            labels = np.array(row["said"]["labels"])
            kept = (votes == labels).mean(axis=0) > 0.5
            agreed.append(
                balanced(labels[kept], [np.array(copy)[kept] for copy in row["said"][kind]])
            )
        name = "blocks" if kind == "clean" else kind
        values[f"{name}, agreed"] = np.array(agreed)
    for name in ("composite", "exchange", "both"):
        values[f"blocks + {name}"] = (values["blocks"] + values[name]) / 2
    values["unseen"] = np.array([np.mean(list(row["unseen"].values())) for row in rows])
    return values


def summarise(rows: Sequence[Mapping[str, Any]], resamples: int = 2000) -> list[dict[str, Any]]:
    """Of each criterion the rank correlation and the loss, with 95 % intervals over recipes.

    Both are of the means over seeds, within each folder, and then the mean over folders. Resampled
    are the recipes, the same ones in all folders.
    """
    values = scored(rows)
    folders = list(dict.fromkeys(row["folder"] for row in rows))
    recipes = list(dict.fromkeys(row["recipe"] for row in rows))
    means = {
        name: np.array(
            [
                [
                    np.mean([v for v, row in zip(found, rows, strict=True)
                             if (row["folder"], row["recipe"]) == (folder, recipe)])
                    for recipe in recipes
                ]
                for folder in folders
            ]
        )
        for name, found in values.items()
    }  # fmt: skip
    truth = means.pop("unseen")
    rng = np.random.default_rng(0)
    draws = rng.integers(len(recipes), size=(resamples, len(recipes)))
    return [{"criterion": name, **_figures(found, truth, draws)} for name, found in means.items()]


def _figures(found: FloatArray, truth: FloatArray, draws: IntArray) -> dict[str, Any]:
    def correlation(pick: Any) -> float:
        each = [spearmanr(f[pick], t[pick]).statistic for f, t in zip(found, truth, strict=True)]
        return float(np.nanmean(each))

    def loss(pick: Any) -> float:
        pairs = zip(found, truth, strict=True)
        return float(np.mean([t[pick].max() - t[pick][f[pick].argmax()] for f, t in pairs]))

    every = np.arange(found.shape[1])
    spread = {
        "correlation": [correlation(pick) for pick in draws],
        "loss": [loss(pick) for pick in draws],
    }
    return {
        "correlation": correlation(every),
        "loss": loss(every),
        **{f"{k}_95": np.quantile(v, [0.025, 0.975]).tolist() for k, v in spread.items()},
        "by_folder": [float(spearmanr(f, t).statistic) for f, t in zip(found, truth, strict=True)],
    }


def held(rows: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """How often the range of the report's section "How it may do elsewhere" held at unseen sites.

    From the lower bound where a classifier does worst under shifts to the upper bound on the
    held-out films as they are; bounds of proportions, of balanced accuracies here. runs: whose mean
    over unseen sites lies in the range. sites: single ones that do, of all; below, above: the rest.
    """
    found = dict.fromkeys(("runs", "of_runs", "sites", "of_sites", "below", "above"), 0)
    for row in rows:
        n, worst = len(row["said"]["labels"]), min(row[kind] for kind in SHIFTS)
        low = wilson(round(worst * n), n).low or 0.0
        high = wilson(round(row["blocks"] * n), n).high or 1.0
        sites = np.array(list(row["unseen"].values()))
        found["runs"] += bool(low <= sites.mean() <= high)
        found["below"] += int((sites < low).sum())
        found["above"] += int((sites > high).sum())
        found["of_runs"] += 1
        found["of_sites"] += len(sites)
    found["sites"] = found["of_sites"] - found["below"] - found["above"]
    return found


def table(criteria: Sequence[Mapping[str, Any]]) -> str:
    lines = [f"{'criterion':24}{'rank correlation':>28}{'points lost':>26}"]
    for one in sorted(criteria, key=lambda c: -c["correlation"]):
        low, high = one["correlation_95"]
        least, most = (100 * v for v in one["loss_95"])
        lines.append(
            f"{one['criterion']:24}{one['correlation']:10.2f} ({low:5.2f} to {high:5.2f})"
            f"{100 * one['loss']:12.1f} ({least:4.1f} to {most:4.1f})"
        )
    return "\n".join(lines)


def _line(one: Mapping[str, Any]) -> str:
    names = ("blocks", "true", "stress", *SHIFTS)
    said = " ".join(f"{name} {one[name]:.3f}" for name in names)
    return f"{said} unseen {np.mean(list(one['unseen'].values())):.3f}"


if __name__ == "__main__":
    raise SystemExit(main())
