"""What `hilum watch` is worth: false alarms, delays and coverage, on phantoms.

One network is trained on phantoms. What is seen of a pool of others (as they are, corrupted, of
another site) is computed once; weeks are then drawn from it, and each is watched as the verb does.
To draw the validation images anew, too, every repetition has its own, from the same pool.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hilum.classifier.classifier import Classifier
from hilum.classifier.validation import Validation
from hilum.phantoms.phantom import LABELS, render_phantom
from hilum.phantoms.sites import SITES, render_film
from hilum.predictions import Predictions
from hilum.records import FloatArray, IntArray, PixelArray
from hilum.statistics.intervals import wilson
from hilum.statistics.label_shift import estimate_mix
from hilum.statistics.stratified import choose_to_label, stratified_share
from hilum.training.run import train
from hilum.transforms.corrupt import corrupt, select_corruptions
from hilum.watching.baseline import Baseline, Seen, Sums, read_baseline
from hilum.watching.judging import judge
from hilum.watching.watch import why_not

#: Shares of LABELS: of training, validation and weeks without change, and after the mix changes.
USUAL, CHANGED = (0.25, 0.25, 0.5), (0.5, 0.2, 0.3)

#: What is done to the pool of each kind of change; "mix" draws otherwise from what is unchanged.
POOLS = {
    "none": None,
    "exposure": ("gamma-dark", 2),
    "contrast": ("window-narrow", 3),
    "site": "portable",
}

DRIFTS = ("slow mix", "slow exposure", "small mix", "small exposure")


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="keeps classifier and pool")
    parser.add_argument("--json", type=Path, help="also write the result to this file")
    parser.add_argument("--train", type=int, default=600, help="phantoms that train the network")
    parser.add_argument("--pool", type=int, default=2400, help="phantoms that weeks are drawn from")
    parser.add_argument("--weeks", type=int, default=200, help="without change, in each history")
    parser.add_argument("--histories", type=int, default=5, help="each with its validation images")
    parser.add_argument("--starts", type=int, default=40, help="of each kind of change")
    parser.add_argument("--images", type=int, default=100, help="a week")
    parser.add_argument("--validation", type=int, default=300)
    parser.add_argument("--windows", type=int, nargs="+", default=[1, 4, 8, 16])
    parser.add_argument("--level", type=float, default=0.01)
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    classifier, pools = prepared(options)
    report: dict[str, Any] = {
        "settings": {k: str(v) for k, v in vars(options).items() if k != "json"},
        "accuracy": {
            name: float((pool.seen.predictions.predicted == pool.truth).mean())
            for name, pool in pools.items()
        },
        "false alarms": false_alarms(classifier, pools["none"], options),
        "delays": delays(classifier, pools, options),
        "coverage": coverage(classifier, pools, options),
    }
    print(json.dumps(report, indent=1))
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return 0


# ---- what is seen, once ----------------------------------------------------------------------


class Pool:
    """What is seen of N phantoms, and logits and truth of them."""

    def __init__(self, seen: Seen, logits: FloatArray, truth: IntArray) -> None:
        self.seen, self.logits, self.truth = seen, logits, truth
        self.of_class = [np.flatnonzero(truth == k) for k in range(len(LABELS))]

    def draw(self, rng: np.random.Generator, n: int, shares: Sequence[float]) -> IntArray:
        counts = rng.multinomial(n, shares)
        picked = [rng.choice(of, c) for of, c in zip(self.of_class, counts, strict=True)]
        return np.concatenate(picked).astype(np.int64)

    def take(self, rows: IntArray) -> Seen:
        assert self.seen.embedded is not None
        return Seen(self.seen.predictions.take(rows), self.seen.embedded[rows])


def prepared(options: argparse.Namespace) -> tuple[Classifier, dict[str, Pool]]:
    run = options.out / "run"
    if not (run / "classifier/classifier.json").is_file():
        from hilum.phantoms.phantom import write_phantoms
        from hilum.radiographs.dataset import open_dataset
        from hilum.recipe import Recipe

        data = options.out / "phantoms"
        write_phantoms(data, counts={"train": options.train, "val": options.train // 4}, size=96)
        recipe = Recipe.load("quick").override(["strategy=flat", "device=cpu", "image_size=64"])
        train(open_dataset(data), recipe, run)
    classifier = Classifier.load(run, device="cpu")
    return classifier, {name: pooled(classifier, name, options) for name in POOLS}


def pooled(classifier: Classifier, name: str, options: argparse.Namespace) -> Pool:
    file = options.out / f"pool-{name}-{options.pool}.npz"
    names = classifier.classes
    truth = np.array([names.index(LABELS[(0, 1, 2, 2)[i % 4]]) for i in range(options.pool)])
    if not file.is_file():
        pixels = np.stack(
            [
                classifier.preprocessing.to_pixels(film(name, names[k], i))
                for i, k in enumerate(truth)
            ]
        )
        logits, embedded = classifier.look(pixels)
        assert classifier.gate is not None
        p_values = classifier.gate.judge(pixels).p_values
        np.savez(file, logits=logits["flat"], embedded=embedded, p_values=p_values)
    kept = np.load(file)
    said = replace(classifier.decide({"flat": kept["logits"]}), gate_p_values=kept["p_values"])
    embedded = kept["embedded"].astype(np.float16).astype(np.float64)
    return Pool(Seen(said, embedded), kept["logits"], truth)


def film(name: str, label: str, index: int) -> PixelArray:
    kind: Any = POOLS[name]
    if isinstance(kind, str):
        return render_film(SITES[kind], label, seed=77, index=index, size=96).pixels  # type: ignore[arg-type]
    image, _ = render_phantom(label, seed=77, index=index, size=96)  # type: ignore[arg-type]
    if kind is None:
        return image
    corruption, strength = kind
    (chosen,) = select_corruptions([corruption])
    return corrupt(image, chosen, strength, seed=0, index=index)


def baseline_of(classifier: Classifier, pool: Pool, rows: IntArray) -> Baseline:
    """As if the classifier had been calibrated on these images."""
    seen = pool.take(rows)
    assert seen.embedded is not None
    assert seen.predictions.gate_p_values is not None
    kept = Validation(
        pool.truth[rows], {"flat": pool.logits[rows]}, {},
        embedded=seen.embedded.astype(np.float16),
        gate_p_values=seen.predictions.gate_p_values.astype(np.float32),
    )  # fmt: skip
    return read_baseline(replace(classifier, validation=kept))


# ---- what is asked ---------------------------------------------------------------------------


def alarms(
    baseline: Baseline, weeks: Sequence[Sums], window: int, level: float
) -> tuple[bool, set[str]]:
    """Of the last week, with so many weeks together (1: alone)."""
    periods: dict[Any, Sums] = {"run": weeks[-1]}
    if window > 1 and len(weeks) > 1:
        periods["pooled"] = reduce(add, weeks[-window:])
    tests, _ = judge(baseline, periods, level=level)
    raised = {test.key for test in tests if test.alarm}
    return bool(raised), raised


def share(count: int, n: int) -> list[float | None]:
    found = wilson(count, n)
    return [count, n, found.value, found.low, found.high]


def split_pool(pool: Pool, options: argparse.Namespace, rng: np.random.Generator) -> Any:
    """Validation rows, drawn without replacement, and a pool of the rest."""
    shares = np.array(USUAL)
    counts = np.round(shares * options.validation).astype(int)
    rows = np.concatenate(
        [rng.choice(of, c, replace=False) for of, c in zip(pool.of_class, counts, strict=True)]
    )
    return rows, np.setdiff1d(np.arange(len(pool.truth)), rows)


def only(pool: Pool, rows: IntArray) -> Pool:
    return Pool(pool.take(rows), pool.logits[rows], pool.truth[rows])


def false_alarms(classifier: Classifier, pool: Pool, options: argparse.Namespace) -> Any:
    """Alarms in weeks without change; by how many weeks are judged together."""
    counts = dict.fromkeys(options.windows, 0)
    each = {window: [] for window in options.windows}  # type: ignore[var-annotated]
    for history in range(options.histories):
        rng = np.random.default_rng([history, 1])
        rows, rest = split_pool(pool, options, rng)
        baseline, others = baseline_of(classifier, pool, rows), only(pool, rest)
        weeks = [
            baseline.sums(others.take(others.draw(rng, options.images, USUAL)))
            for _ in range(options.weeks)
        ]
        for window in options.windows:
            raised = [
                alarms(baseline, weeks[max(0, w - 15) : w + 1], window, options.level)[0]
                for w in range(options.weeks)
            ]
            counts[window] += sum(raised)
            each[window].append(sum(raised))
    n = options.histories * options.weeks
    return {w: {"share": share(c, n), "by history": each[w]} for w, c in counts.items()}


def delays(classifier: Classifier, pools: dict[str, Pool], options: argparse.Namespace) -> Any:
    """Weeks until the first alarm after a change, up to 12; in slow ones and small ones 26.

    slow: evenly more of the images are changed over 26 weeks. small: 15 in 100 from the first on.
    """
    found: dict[str, Any] = {}
    for kind in ("mix", "exposure", "contrast", "site", *DRIFTS):
        most = 26 if kind in DRIFTS else 12
        firsts: dict[int, list[int]] = {window: [] for window in options.windows}
        for start in range(options.starts):
            rng = np.random.default_rng([start, 2])
            rows, rest = split_pool(pools["none"], options, rng)
            baseline = baseline_of(classifier, pools["none"], rows)
            before = only(pools["none"], rest)
            after = before if "mix" in kind else only(pools[kind.split()[-1]], rest)
            draw = before.draw
            weeks = [
                baseline.sums(before.take(draw(rng, options.images, USUAL))) for _ in range(15)
            ]
            for week in range(most):
                part = {"slow": (week + 1) / most, "small": 0.15}.get(kind.split()[0], 1.0)
                changed = round(part * options.images)
                shares = CHANGED if "mix" in kind else USUAL
                picked = after.take(after.draw(rng, changed, shares))
                sums = baseline.sums(picked)
                if changed < options.images:
                    usual = before.draw(rng, options.images - changed, USUAL)
                    sums += baseline.sums(before.take(usual))
                weeks.append(sums)
            for window in options.windows:
                raised = (
                    week + 1
                    for week in range(most)
                    if alarms(baseline, weeks[week : week + 16], window, options.level)[0]
                )
                firsts[window].append(next(raised, most + 1))
        found[kind] = {
            window: {
                "median": float(np.median(of)),
                "quartiles": [float(q) for q in np.quantile(of, [0.25, 0.75])],
                "in the first week": share(sum(w == 1 for w in of), len(of)),
                "never": share(sum(w > most for w in of), len(of)),
                "weeks": most,
            }
            for window, of in firsts.items()
        }
    return found


def coverage(classifier: Classifier, pools: dict[str, Pool], options: argparse.Namespace) -> Any:
    """How often intervals hold the truth, and how often no accuracy is estimated."""
    found: dict[str, Any] = {}
    for kind in ("none", "mix", "exposure", "contrast", "site"):
        shares = CHANGED if kind == "mix" else USUAL
        tally: dict[str, list[float]] = {}
        for start in range(5 * options.starts):
            rng = np.random.default_rng([start, 3])
            rows, rest = split_pool(pools["none"], options, rng)
            baseline = baseline_of(classifier, pools["none"], rows)
            pool = only(pools[kind if kind in pools else "none"], rest)
            drawn = pool.draw(rng, options.images, shares)
            seen, truth = pool.take(drawn), pool.truth[drawn]
            (question,) = baseline.questions
            said: Predictions = seen.predictions
            mix = estimate_mix(question.known, said.probs, said.predicted, seed=start)
            for name, estimates in (("black box", mix.black_box), ("likely", mix.likely)):
                for k, e in enumerate(estimates):
                    held = e.low is not None and e.high is not None and e.low <= shares[k] <= e.high
                    tally.setdefault(f"shares by {name}", []).append(held)
            tests, _ = judge(baseline, {"run": baseline.sums(seen)}, level=options.level)
            refused = bool(why_not(question, mix, tests))
            right = (said.predicted == truth).astype(np.int64)
            accuracy = float(right.mean())
            tally.setdefault("no accuracy", []).append(refused)
            tally.setdefault("estimates agree", []).append(mix.agree)
            if not refused:
                assert mix.accuracy.low is not None
                assert mix.accuracy.high is not None
                tally.setdefault("accuracy, where estimated", []).append(
                    mix.accuracy.low <= accuracy <= mix.accuracy.high
                )
            chosen, strata = choose_to_label(mix.confidence, 40, seed=start)
            many = int(strata.max()) + 1
            labelled = np.bincount(strata[chosen], minlength=many)
            correct = np.bincount(strata[chosen], weights=right[chosen], minlength=many)
            e = stratified_share(correct.astype(np.int64), labelled, np.bincount(strata))
            assert e.low is not None
            assert e.high is not None
            tally.setdefault("accuracy by 40 labels", []).append(e.low <= accuracy <= e.high)
            tally.setdefault("width by 40 labels", []).append(e.high - e.low)
            at_random = wilson(int(right[rng.choice(len(right), 40, replace=False)].sum()), 40)
            assert at_random.low is not None
            assert at_random.high is not None
            tally.setdefault("width by 40 at random", []).append(at_random.high - at_random.low)
        found[kind] = {
            name: float(np.mean(of)) if name.startswith("width") else share(int(sum(of)), len(of))
            for name, of in tally.items()
        }
    return found


if __name__ == "__main__":
    raise SystemExit(main())
