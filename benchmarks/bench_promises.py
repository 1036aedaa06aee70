"""What keeps a classifier's promises at sites that training has not seen.

Of every training that bench_criteria.py left in --out, temperatures, prediction sets and operating
points are fitted in several ways on what its folder holds out (with the labels that grading gave),
and measured at the phantom sites that the folder does not have (with the true ones).

Intervals resample trainings and sites, each within their folder, both at once.
"""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from bench_criteria import FOLDERS
from promise_fits import Point, Said, points, positive, probs, sets, temperatures, wanted
from scipy.special import softmax

from hilum.classifier.classifier import Classifier
from hilum.evaluation.overlap import chosen_on, trained_on
from hilum.evaluation.shift import DRAWS, shift_run
from hilum.evaluation.stress import StressRun
from hilum.phantoms.phantom import LABELS
from hilum.phantoms.sites import SITES, render_film
from hilum.radiographs.dataset import open_dataset
from hilum.records import FloatArray, IntArray, Predictions
from hilum.statistics.calibration import calibration_errors, equal_mass_bins
from hilum.studies.folds import divide

#: Class shares at every site, as in the folders, for calibration hangs on them.
_PATTERN = (0, 1, 2, 2)
_RESAMPLES = 2000

#: How much of the mistakes of grading held-out labels keep. Networks are trained with all of them.
WORLDS = {"labels as graded": 1.0, "half of the mistakes": 0.5, "labels right": 0.0}


# ---- what networks say -----------------------------------------------------------------------


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="of bench_criteria.py")
    parser.add_argument("--test", type=int, default=240, help="films of each unseen site")
    parser.add_argument("--image-size", type=int, default=64)
    parser.add_argument("--draws", type=int, default=DRAWS, help="shifted copies of each kind")
    parser.add_argument("--classifier", type=Path, help="a check on real data, with --data")
    parser.add_argument("--data", type=Path, help="whose images trained and calibrated it")
    parser.add_argument("--json", type=Path, help="also write the result to this file")
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    runs = sorted(p.parent.parent for p in options.out.glob("runs/*/classifier/classifier.json"))
    every = [kept(options.out, run, options) for run in runs]
    report: dict[str, Any] = {
        "settings": {k: str(v) for k, v in vars(options).items() if k != "json"},
        "runs": [said.run for said in every],
        **{world: study([told(said, wrong) for said in every]) for world, wrong in WORLDS.items()},
    }
    if options.classifier:
        report["real"] = study([real(options)])
    for name, found in report.items():
        if name not in ("settings", "runs"):
            print(f"\n{name}", table(found), sep="\n")
    if options.json:
        text = json.dumps(rounded(report), separators=(",", ":"))
        options.json.write_text(text.replace('},"', '},\n"') + "\n", encoding="utf-8")
    return 0


def rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: rounded(one) for key, one in value.items()}
    if isinstance(value, list):
        return [rounded(one) for one in value]
    return round(value, 4) if isinstance(value, float) else value


def kept(out: Path, run: Path, options: argparse.Namespace) -> Said:
    """What one training says; remembered beside it."""
    folder, _, seed = run.name.rsplit("-", 2)
    root, file = out / folder, run / f"said-{options.draws}-{options.test}.npz"
    classifier = bare(Classifier.load(run, device="cpu"))
    if not file.is_file():
        part = divide(open_dataset(root), 5, 10).part(int(seed))
        rows = part.indices("val")
        truths = json.loads((root / "truth.json").read_text())
        index = part.tree.classes.index
        arrays = {"true": np.array([index(truths[part.records[r].name]) for r in rows])}
        arrays |= spoken(shift_run(classifier, part, rows, draws=options.draws))
        for site, (truth, pixels) in unseen(folder, options.test, options.image_size).items():
            ready = np.stack([classifier.preprocessing.to_pixels(film) for film in pixels])
            arrays[f"site {site}"] = logits(classifier.predict_pixels(ready))
            arrays[f"truth {site}"] = np.array([index(label) for label in truth])
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
        print(run.name, flush=True)
    found = dict(np.load(file))
    sites = [name.removeprefix("site ") for name in found if name.startswith("site ")]
    return Said(
        folder, run.name, classifier.tree, found["given"], found["true"], found["clean"],
        {name.removeprefix("copies "): v for name, v in found.items() if name.startswith("copies")},
        {site: (found[f"truth {site}"], found[f"site {site}"]) for site in sites},
    )  # fmt: skip


def told(said: Said, wrong: float) -> Said:
    """The same with that share of its wrong labels."""
    assert said.true is not None
    corrected = np.random.default_rng(len(said.run)).random(len(said.given)) >= wrong
    return replace(said, given=np.where(corrected, said.true, said.given))


def bare(classifier: Classifier) -> Classifier:
    return replace(classifier, temperatures={}, gate=None)


def logits(predictions: Predictions) -> FloatArray:
    return np.log(np.maximum(predictions.probs, 1e-300))


def spoken(run: StressRun) -> dict[str, FloatArray | IntArray]:
    found: dict[str, list[FloatArray]] = {}
    for (kind, _), predictions in run.stressed.items():
        found.setdefault(f"copies {kind}", []).append(logits(predictions))
    return {
        "given": run.truth,
        "clean": logits(run.clean),
        **{kind: np.stack(copies) for kind, copies in found.items()},
    }


@cache
def unseen(folder: str, n: int, size: int) -> dict[str, tuple[list[str], list[Any]]]:
    """True labels and films of each site that the folder has none of."""
    seen = {site for sources in FOLDERS[folder].values() for site in sources}
    found = {}
    for number, site in enumerate(s for s in SITES.values() if s.name not in seen):
        truth = [LABELS[_PATTERN[i % len(_PATTERN)]] for i in range(n)]
        films = [
            render_film(site, label, seed=9000 + number, index=i, size=size * 3 // 2).pixels
            for i, label in enumerate(truth)
        ]
        found[site.name] = (truth, films)
    return found


def real(options: argparse.Namespace) -> Said:
    """A classifier of real radiographs: fitted on what calibrated it, measured on the rest.

    Of the same folders, as they are and in every kind of shifted copy (with other draws), by the
    labels that the folders give.
    """
    file = options.out / f"real-{options.draws}.npz"
    classifier = bare(Classifier.load(options.classifier, device="cpu"))
    if not file.is_file():
        data = open_dataset(options.data, tree=classifier.tree)
        chosen, trained = chosen_on(classifier, data), trained_on(classifier, data)
        there, rest = np.flatnonzero(chosen), np.flatnonzero(~chosen & ~trained)
        found = spoken(shift_run(classifier, data, there, draws=options.draws))
        other = spoken(shift_run(classifier, data, rest, draws=1, seed=options.draws))
        np.savez_compressed(file, **found, **{f"other {k}": v for k, v in other.items()})  # type: ignore[arg-type]
    said = dict(np.load(file))
    other = {k.removeprefix("other "): v for k, v in said.items() if k.startswith("other")}
    truth = other["given"]
    copies = {k.removeprefix("copies "): v for k, v in said.items() if k.startswith("copies")}
    return Said(
        "real", "real", classifier.tree, said["given"], None, said["clean"], copies,
        {
            "as they are": (truth, other["clean"]),
            **{kind: (truth, other[f"copies {kind}"][0]) for kind in copies},
        },
    )  # fmt: skip


# ---- what is kept of it ----------------------------------------------------------------------


Measure = Callable[[Said, Any, IntArray, FloatArray], dict[str, float]]


def study(every: Sequence[Said]) -> dict[str, Any]:
    tasks: dict[
        str, tuple[Callable[[Said], Mapping[str, Any]], Callable[..., dict[str, float]]]
    ] = {
        "temperatures": (temperatures, _of_temperature),
        "sets": (sets, _of_sets),
        "points": (points, _of_points),
    }
    found = {}
    for task, (fits, measure) in tasks.items():
        cells: dict[str, dict[str, dict[tuple[str, str, str], float]]] = {}
        for said in every:
            for name, fit in fits(said).items():
                for site, (truth, values) in said.sites.items():
                    for measured, value in measure(said, fit, truth, values).items():
                        where = cells.setdefault(name, {}).setdefault(measured, {})
                        where[(said.folder, said.run, site)] = value
        found[task] = summarise(cells)
    return found


def _of_temperature(said: Said, t: float, truth: IntArray, values: FloatArray) -> dict[str, float]:
    found = softmax(values / t, axis=-1)
    sure, right = found.max(axis=1), found.argmax(axis=1) == truth
    one = np.ones((1, len(truth)), dtype=np.int64)
    return {
        "T": t,
        "ece": float(calibration_errors(sure, right, equal_mass_bins(sure), one)[0]),
        "too sure by": float(sure.mean() - right.mean()),
        "log loss": -float(np.log(found[np.arange(len(truth)), truth]).mean()),
    }


def _of_sets(said: Said, fit: FloatArray, truth: IntArray, values: FloatArray) -> dict[str, float]:
    held = probs(said, values) >= fit
    hit = held[np.arange(len(truth)), truth]
    return {
        "covered": float(hit.mean()),
        "least covered class": float(min(hit[truth == k].mean() for k in set(truth))),
        "at least 0.88": float(hit.mean() >= 0.88),
        "size": float(held.sum(axis=1).mean()),
        "one class": float((held.sum(axis=1) == 1).mean()),
    }


def _of_points(
    said: Said, fit: Sequence[Point], truth: IntArray, values: FloatArray
) -> dict[str, float]:
    found: dict[str, list[float]] = {}
    there = probs(said, values)
    for (members, demand), (threshold, ranges) in zip(wanted(said), fit, strict=True):
        yes, called = positive(truth, members), there[:, members].sum(axis=1) >= threshold
        both = {"sensitivity": called[yes].mean(), "specificity": (~called[~yes]).mean()}
        for value, (low, high) in zip(both.values(), ranges, strict=True):
            found.setdefault("in range", []).append(low <= value <= high)
            found.setdefault("below it", []).append(value < low)
        found.setdefault(str(demand), []).append(both.pop(demand.measure))
        found.setdefault(f"other of {demand}", []).append(*both.values())
    return {name: float(np.mean(v)) for name, v in found.items()}


def summarise(cells: Mapping[str, Mapping[str, Mapping[Any, float]]]) -> dict[str, Any]:
    """Means with 95 % intervals, and differences from today's; of the same resamples all."""
    keys = list(next(iter(next(iter(cells.values())).values())))
    weights = _resamples(keys)
    found: dict[str, Any] = {}
    for name, measures in cells.items():
        found[name] = {}
        for measure, values in measures.items():
            all_of = weights @ np.array([values[key] for key in keys])
            today = weights @ np.array([cells["as today"][measure][key] for key in keys])
            less = all_of - today
            found[name][measure] = {
                "value": float(all_of[0]),
                "95": np.quantile(all_of[1:], [0.025, 0.975]).tolist(),
                "less today's": float(less[0]),
                "less today's 95": np.quantile(less[1:], [0.025, 0.975]).tolist(),
            }
    return found


def _resamples(keys: Sequence[tuple[str, str, str]]) -> FloatArray:
    """(1 + R, cells) weights that sum to 1; row 0 takes every cell once, every folder alike."""
    rng = np.random.default_rng(0)
    rows = np.zeros((1 + _RESAMPLES, len(keys)))
    folders = sorted({folder for folder, _, _ in keys})
    for folder in folders:
        mine = np.array([key[0] == folder for key in keys])
        runs, sites = (sorted({key[part] for key in keys if key[0] == folder}) for part in (1, 2))
        r = rng.multinomial(len(runs), [1 / len(runs)] * len(runs), _RESAMPLES)
        s = rng.multinomial(len(sites), [1 / len(sites)] * len(sites), _RESAMPLES)
        r, s = (np.vstack([np.ones((1, a.shape[1])), a]) for a in (r, s))
        at_r = [runs.index(k[1]) for k in keys if k[0] == folder]
        at_s = [sites.index(k[2]) for k in keys if k[0] == folder]
        product = r[:, at_r] * s[:, at_s]
        rows[:, mine] = product / product.sum(axis=1, keepdims=True) / len(folders)
    return rows


def table(found: Mapping[str, Mapping[str, Any]]) -> str:
    lines = []
    for task, candidates in found.items() if "temperatures" in found else [("", found)]:
        measures = list(next(iter(candidates.values())))
        lines.append(f"{task:34}" + "".join(f"{m:>26}" for m in measures))
        for name, measured in candidates.items():
            cells = (
                f"{one['value']:.3f} ({one['95'][0]:.3f} to {one['95'][1]:.3f})"
                for one in measured.values()
            )
            lines.append(f"{name:34}" + "".join(f"{cell:>26}" for cell in cells))
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
