"""Ways to fit temperatures, prediction sets and operating points, for bench_promises.py."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import softmax

from hilum.classifier.temperature import fit_temperature
from hilum.classifier.threshold import PRESETS, choose_threshold
from hilum.evaluation.label_errors import find_label_errors
from hilum.labels import LabelTree
from hilum.records import BoolArray, FloatArray, IntArray, Predictions
from hilum.statistics.targets import Target, findings
from hilum.statistics.two_by_two import TwoByTwo

COVERAGE = 0.9


@dataclass(frozen=True)
class Said:
    """Logits of one training's held-out images, and of those that it is measured on.

    given, true: (M,) classes by the folder and in truth (None where nobody knows). clean: (M, C).
    copies: by kind, (draws, M, C). sites: by name, their truth (N,) and logits (N, C).
    """

    folder: str
    run: str
    tree: LabelTree
    given: IntArray
    true: IntArray | None
    clean: FloatArray
    copies: dict[str, FloatArray]
    sites: dict[str, tuple[IntArray, FloatArray]]


# ---- what can be fitted ----------------------------------------------------------------------

#: By name, what takes a training's held-out images to a temperature, to (C,) least probabilities
#: of prediction sets, or to thresholds of operating points.
#: A threshold, and the ranges of sensitivity and specificity to reckon with: the intervals on the
#: images and on shifted copies of them, taken together.
Point = tuple[float, list[tuple[float, float]]]


def temperatures(said: Said) -> dict[str, float]:
    noise, sound = noise_of(said), ~suspects(said)
    found = {
        "none": 1.0,
        "as today": fitted(said.clean, said.given),
        "not suspect": fitted(said.clean[sound], said.given[sound]),
        "noise allowed for": fitted(said.clean, said.given, noise),
    }
    for kind, copies in shifts(said).items():
        flat, given = copies.reshape(-1, copies.shape[-1]), np.tile(said.given, len(copies))
        kept_ones = np.tile(sound, len(copies))
        found[f"{kind}"] = fitted(flat, given)
        found[f"{kind}, not suspect"] = fitted(flat[kept_ones], given[kept_ones])
        found[f"{kind}, noise allowed for"] = fitted(flat, given, noise)
    if said.true is not None:
        found["true labels"] = fitted(said.clean, said.true)
        for kind, copies in shifts(said).items():
            flat = copies.reshape(-1, copies.shape[-1])
            found[f"{kind}, true labels"] = fitted(flat, np.tile(said.true, len(copies)))
        truth, there = (np.concatenate(parts) for parts in zip(*said.sites.values(), strict=True))
        found["on the sites themselves"] = fitted(there, truth)
    return found


def sets(said: Said) -> dict[str, FloatArray]:
    clean, n = probs(said, said.clean), len(said.given)
    sound, mixing, classes = ~suspects(said), mixing_of(said), range(clean.shape[1])
    found = {
        "as today": least(clean[None], said.given),
        "not suspect": least(clean[None][:, sound], said.given[sound]),
        "noise allowed for": least_of_noisy(clean[None], said.given, mixing),
    }
    for kind, logits_of in shifts(said).items():
        copies = probs(said, logits_of)
        own = copies[:, np.arange(n), said.given]
        found[kind] = least(copies, said.given)
        found[f"{kind}, not suspect"] = least(copies[:, sound], said.given[sound])
        found[f"{kind}, noise allowed for"] = least_of_noisy(copies, said.given, mixing)
        if len(copies) == 1:
            continue
        worst = own.min(axis=0)
        found[f"{kind}, worst copy"] = _least([worst[said.given == k] for k in classes])
        each = np.stack([least(one[None], said.given) for one in copies])
        found[f"{kind}, worst draw"] = each.min(axis=0)
    if said.true is not None:
        found["true labels"] = least(clean[None], said.true)
        for kind, logits_of in shifts(said).items():
            found[f"{kind}, true labels"] = least(probs(said, logits_of), said.true)
    return found


def points(said: Said) -> dict[str, list[Point]]:
    """The wanted points, by what their thresholds are chosen on."""
    clean, shifted = probs(said, said.clean), probs(said, said.copies["both"][0])
    of = {"as today": clean[None]}
    of |= {kind: probs(said, copies) for kind, copies in shifts(said).items()}
    found: dict[str, list[Point]] = {}
    for members, demand in wanted(said):
        yes = positive(said.given, members)
        for name, copies in of.items():
            scores = copies[..., members].sum(axis=-1).clip(0, 1)
            ways = {name: (np.tile(yes, len(copies)), scores.ravel())}
            if len(copies) > 1:
                worst = np.where(yes, scores.min(axis=0), scores.max(axis=0))
                ways[f"{name}, worst copy"] = (yes, worst)
            for way, (truth, values) in ways.items():
                threshold = choose_threshold(truth, values, [demand], resamples=2).threshold
                assert threshold is not None
                ranges = _ranges(
                    yes, [one[:, members].sum(axis=1) for one in (clean, shifted)], threshold
                )
                found.setdefault(way, []).append((threshold, ranges))
    return found


def _ranges(
    yes: BoolArray, scores: Sequence[FloatArray], threshold: float
) -> list[tuple[float, float]]:
    counted = [TwoByTwo.count(yes, values >= threshold).measures() for values in scores]
    found = []
    for measure in ("sensitivity", "specificity"):
        each = [getattr(measures, measure) for measures in counted]
        found.append((min(one.low for one in each), max(one.high for one in each)))
    return found


def wanted(said: Said) -> list[tuple[list[int], Any]]:
    """Each finding's classes, with the demand of public-health and the first of clinic."""
    return [
        (list(target.members), PRESETS[preset][0])
        for preset in PRESETS
        for target in (Target.parse(name, said.tree) for name in findings(said.tree))
    ]


def positive(truth: IntArray, members: Sequence[int]) -> BoolArray:
    return np.isin(truth, members)


def shifts(said: Said) -> dict[str, FloatArray]:
    """(copies, M, C) of each kind, of all with the image itself, and of both changes only one."""
    every = np.concatenate([said.clean[None], *said.copies.values()])
    return {**said.copies, "every": every, "both, one copy": said.copies["both"][:1]}


def fitted(values: FloatArray, given: IntArray, noise: FloatArray | None = None) -> float:
    """The temperature of least loss; noise: (C, C) P(given | true), which labels went through."""
    if noise is None:
        return fit_temperature(values, given).value
    rows = np.arange(len(given))

    def loss(log_t: float) -> float:
        return -float(
            np.log((softmax(values / np.exp(log_t), axis=-1) @ noise)[rows, given]).mean()
        )

    return float(np.exp(minimize_scalar(loss, bounds=(-2.3, 3.0), method="bounded").x))


def probs(said: Said, values: FloatArray) -> FloatArray:
    """Under the temperature of today."""
    return np.asarray(softmax(values / fit_temperature(said.clean, said.given).value, axis=-1))


def _learnt(said: Said) -> Any:
    found = probs(said, said.clean)
    names = tuple(str(i) for i in range(len(found)))
    decisions = said.tree.decision_probs(found)
    whole = Predictions(names, found, decisions, found.argmax(axis=1), classes=said.tree.classes)
    return find_label_errors(said.tree, said.given, whole)


def suspects(said: Said) -> BoolArray:
    return np.isin(np.arange(len(said.given)), [int(e.name) for e in _learnt(said).errors])


def joint_of(said: Said) -> FloatArray:
    """(given, true) joint shares by confident learning."""
    joint = np.array(_learnt(said).confident_joint, dtype=float)
    counts = np.bincount(said.given, minlength=len(joint))
    joint *= (counts / np.maximum(joint.sum(axis=1), 1))[:, None]
    return joint / joint.sum()


def noise_of(said: Said) -> FloatArray:
    """(true, given) P(given | true)."""
    joint = joint_of(said)
    return (joint / joint.sum(axis=0)).T


def mixing_of(said: Said) -> FloatArray:
    """(given, true) P(true | given)."""
    joint = joint_of(said)
    return joint / joint.sum(axis=1, keepdims=True)


def least(copies: FloatArray, given: IntArray) -> FloatArray:
    """The conformal threshold of each class over pooled copies, of n images all the same."""
    return _least([copies[:, given == k, k] for k in range(copies.shape[-1])])


def _least(own: Sequence[FloatArray]) -> FloatArray:
    found = []
    for values in own:
        n, pooled = values.shape[-1], np.sort(values.ravel())[::-1]
        rank = int(np.ceil((n + 1) / n * COVERAGE * len(pooled) - 1e-9))
        found.append(pooled[rank - 1] if rank <= len(pooled) else 0.0)
    return np.array(found)


def least_of_noisy(copies: FloatArray, given: IntArray, mixing: FloatArray) -> FloatArray:
    """The same for true labels, by the mixture that given ones are (Sesia et al. 2024)."""
    inverse, classes = np.linalg.inv(mixing), range(copies.shape[-1])
    found = []
    for k in classes:
        grid = np.sort(np.append(copies[..., k].ravel(), 0.0))
        below = np.stack(
            [
                np.searchsorted(np.sort(copies[:, given == j, k].ravel()), grid)
                / copies[:, given == j, k].size
                for j in classes
            ]
        )
        n = (given == k).sum()
        missed = np.maximum.accumulate(inverse[k] @ below)
        found.append(grid[max(int((missed <= 1 - (n + 1) / n * COVERAGE).sum()) - 1, 0)])
    return np.array(found)
