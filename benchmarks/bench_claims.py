"""How often `hilum judge` shows a claim that does not hold, and how often one that does.

Tables are simulated whose truth is known. At the bound of a claim (the measure is exactly what it
is claimed to lie above) "shown" is an error, which may happen in at most 2.5 % of tables; beyond
it, the share that is shown is the power. Each claim alone: beside others Holm's correction shows
less.

    python benchmarks/bench_claims.py [--simulations 1000] [--json claims.json]
"""

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from scipy.stats import norm

from hilum.judging.cases import Cases
from hilum.judging.claims import parse_claim
from hilum.judging.weighing import judge_claims
from hilum.labels import LabelTree
from hilum.predictions import Predictions
from hilum.records import FloatArray, IntArray
from hilum.statistics.intervals import wilson

TWO = LabelTree.from_text("normal, covid")
Drawn = tuple[Cases, Cases | None]
Random = np.random.Generator


def cases_of(
    truth: IntArray,
    probs: FloatArray,
    predicted: IntArray | None = None,
    groups: IntArray | None = None,
    site: IntArray | None = None,
) -> Cases:
    """A table of two classes. probs: (N,) of the second."""
    both = np.column_stack([1 - probs, probs])
    called = both.argmax(axis=1) if predicted is None else predicted
    said = Predictions(
        tuple(map(str, range(len(truth)))), both, {"root": both}, called.astype(np.int64),
        classes=TWO.classes, options=TWO.options,
    )  # fmt: skip
    return Cases(
        "simulated", TWO, truth.astype(np.int64), said, np.empty((len(truth), 0), dtype=np.int64),
        "probabilities", None if groups is None else tuple(map(str, groups.tolist())),
        {} if site is None else {"site": [str(s) for s in site.tolist()]}, "", (),
    )  # fmt: skip


def right_or_wrong(right: np.ndarray, random: Random, **beside: IntArray) -> Cases:  # type: ignore[type-arg]
    """Cases of both classes alike, of which these are called rightly."""
    truth = random.permutation(np.arange(len(right)) % 2)
    called = np.where(right, truth, 1 - truth)
    return cases_of(truth, np.where(called == 1, 0.8, 0.2), called, **beside)


def accuracy(random: Random, n: int, beyond: float) -> Drawn:
    return right_or_wrong(random.random(n) < 0.8 + beyond, random), None


def of_patients(random: Random, n: int, beyond: float) -> Drawn:
    """Four images of a patient, alike with an intraclass correlation of 0.3."""
    groups, share = np.arange(n) // 4, 0.8 + beyond
    spread = 1 / 0.3 - 1
    own = random.beta(share * spread, (1 - share) * spread, groups.max() + 1)
    return right_or_wrong(random.random(n) < own[groups], random, groups=groups), None


def recall(random: Random, n: int, beyond: float) -> Drawn:
    truth = (np.arange(n) % 5 == 0).astype(np.int64)  # a fifth is positive
    called = np.where(random.random(n) < 0.9 + beyond, truth, 1 - truth)
    return cases_of(truth, np.where(called == 1, 0.8, 0.2), called), None


def area(random: Random, n: int, beyond: float) -> Drawn:
    truth = (np.arange(n) % 5 == 0).astype(np.int64)
    score = random.normal(size=n) + truth * norm.ppf(0.9 + beyond) * np.sqrt(2)
    return cases_of(truth, 1 / (1 + np.exp(-score))), None


def area_of_patients(random: Random, n: int, beyond: float) -> Drawn:
    groups = np.arange(n) // 4
    truth = (groups % 4 == 0).astype(np.int64)  # a patient is ill or not
    score = np.sqrt(0.5) * (random.normal(size=groups.max() + 1)[groups] + random.normal(size=n))
    score = score + truth * norm.ppf(0.85 + beyond) * np.sqrt(2)
    return cases_of(truth, 1 / (1 + np.exp(-score)), groups=groups), None


def balanced(random: Random, n: int, beyond: float) -> Drawn:
    truth = (np.arange(n) % 5 == 0).astype(np.int64)
    right = random.random(n) < np.where(truth == 1, 0.7, 0.9) + beyond
    called = np.where(right, truth, 1 - truth)
    return cases_of(truth, np.where(called == 1, 0.8, 0.2), called), None


def commonest(random: Random, n: int, beyond: float) -> Drawn:
    truth = (np.arange(n) % 10 >= 7).astype(np.int64)
    called = np.where(random.random(n) < 0.7 + beyond, truth, 1 - truth)
    return cases_of(truth, np.where(called == 1, 0.8, 0.2), called), None


def two_models(margin: float) -> Callable[[Random, int, float], Drawn]:
    def draw(random: Random, n: int, beyond: float) -> Drawn:
        truth = random.permutation(np.arange(n) % 2)
        hard = random.random(n)  # what is hard is so for both
        better = margin + beyond
        right = [
            random.random(n) < np.clip(share + 0.4 * (hard - 0.5), 0, 1)
            for share in (0.78 + better, 0.78)
        ]
        first, second = (np.where(r, truth, 1 - truth) for r in right)
        return tuple(  # type: ignore[return-value]
            cases_of(truth, np.where(called == 1, 0.8, 0.2), called) for called in (first, second)
        )

    return draw


def two_areas(random: Random, n: int, beyond: float) -> Drawn:
    truth = (np.arange(n) % 5 == 0).astype(np.int64)
    both, found = random.normal(size=n), []
    for share in (0.85 + beyond, 0.85):
        score = np.sqrt(0.5) * (both + random.normal(size=n))
        score = score + truth * norm.ppf(share) * np.sqrt(2)
        found.append(cases_of(truth, 1 / (1 + np.exp(-score))))
    return found[0], found[1]


def calibration(random: Random, n: int, beyond: float) -> Drawn:
    """Probabilities that are off by exactly 0.05 (less what is beyond)."""
    sure = random.uniform(0.55, 0.9, n)
    right = random.random(n) < sure + random.choice([-1, 1]) * (0.05 - beyond)
    truth = random.permutation(np.arange(n) % 2)
    called = np.where(right, truth, 1 - truth)
    return cases_of(truth, np.where(called == 1, sure, 1 - sure), called), None


def sites(random: Random, n: int, beyond: float) -> Drawn:
    site = np.arange(n) % 2
    right = random.random(n) < np.where(site == 1, 0.8 + 0.05 - beyond, 0.8)
    return right_or_wrong(right, random, site=site), None


#: The claim, how tables are drawn, and how far beyond the bound the power is measured.
CLAIMS: dict[str, tuple[str, Callable[[Random, int, float], Drawn], float]] = {
    "accuracy": ("accuracy > 0.8", accuracy, 0.05),
    "accuracy, four images a patient": ("accuracy > 0.8", of_patients, 0.05),
    "recall": ("recall of covid >= 0.9", recall, 0.05),
    "AUROC": ("AUROC > 0.9", area, 0.05),
    "AUROC, four images a patient": ("AUROC > 0.85", area_of_patients, 0.07),
    "balanced accuracy": ("balanced accuracy > 0.8", balanced, 0.05),
    "better than the commonest class": ("accuracy > commonest class", commonest, 0.1),
    "better than another": ("accuracy > OTHER", two_models(0.0), 0.05),
    "better by 0.02": ("accuracy > OTHER + 0.02", two_models(0.02), 0.05),
    "AUROC above another's": ("AUROC > OTHER", two_areas, 0.05),
    "calibration error below 0.05": ("calibration error <= 0.05", calibration, 0.05),
    "alike across sites": ("accuracy alike across site within 0.05", sites, 0.05),
}
SIZES = (50, 200, 1000)


def share_shown(name: str, n: int, beyond: float, simulations: int, seed: int) -> int:
    """In how many tables the claim is shown."""
    text, draw, _ = CLAIMS[name]
    claim, shown = parse_claim(text, TWO), 0
    for k in range(simulations):
        first, second = draw(np.random.default_rng((seed, n, k)), n, beyond)
        shown += judge_claims([claim], first, second)[0].status == "shown"
    return shown


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--simulations", type=int, default=1000)
    parser.add_argument("--claim", action="append", choices=sorted(CLAIMS))
    parser.add_argument("--json", type=Path)
    args = parser.parse_args(argv)
    found = {}
    print("| claim | cases | false “shown” | power |\n| --- | --- | --- | --- |")
    for seed, name in enumerate(args.claim or CLAIMS):
        for n in SIZES:
            false = share_shown(name, n, 0.0, args.simulations, seed)
            true = share_shown(name, n, CLAIMS[name][2], args.simulations, seed + 100)
            of = wilson(false, args.simulations)
            print(
                f"| {name} | {n} | {false / args.simulations:.1%} ({of.low:.1%} to {of.high:.1%}) "
                f"| {true / args.simulations:.0%} |",
                flush=True,
            )
            found[f"{name}, {n}"] = {"false": false, "true": true, "of": args.simulations}
            if args.json:
                args.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
