"""RUN folders with deterministic numbers, as training and evaluation leave them."""

import functools
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hilum.evaluation.evaluate import evaluate_predictions
from hilum.evaluation.files import Evaluation, write_evaluation
from hilum.labels import LabelTree
from hilum.predictions import Predictions
from hilum.records import IntArray

LABELS = "normal, infected(covid, non-covid)"
CASCADE = """\
name = "covinet-cascade"
strategy = "cascade"
rule = "argmax"
image_size = [150, 150]
seed = 0
monitor = "val"
network = "covinet"
batch_size = 32
epochs = 5
optimizer = "adamw"
momentum = 0.9
learning_rate = 0.001
weight_decay = 0.0
scheduler = "none"
select = "last"

[decision.root]
class_weights = [2.83, 1.0]

[decision.infected]
epochs = 10
weight_decay = 1e-5
class_weights = [1.9, 1.0]
"""
FLAT = CASCADE.split("\n[decision", maxsplit=1)[0].replace("cascade", "flat").replace("= 5", "= 8")


def make_run(
    folder: Path,
    /,
    *,
    strategy: str = "cascade",
    labels: str = LABELS,
    counts: Sequence[int] = (8, 9, 8),
    wrong: Sequence[int] = (2, 11, 18, 20, 24),
    split: str | None = "val",
    names: Sequence[str] | None = None,
    **changes: Any,
) -> Path:
    """Write a RUN folder.

    counts: evaluated images per class. wrong: indices of images that get the next class.
    split: what was evaluated, or None. changes: replace keys of run.json.
    """
    tree = LabelTree.from_text(labels)
    decisions = (tree.flat,) if strategy == "flat" else tree.decisions
    rng = np.random.default_rng(5)
    folder.mkdir(parents=True)
    (folder / "recipe.toml").write_text(FLAT if strategy == "flat" else CASCADE)
    train = dict(zip(tree.classes, (1341, 1345, 2530), strict=False))
    networks = {
        d.name: {"name": "covinet", "parameters": 39_746, "outputs": len(d.options)}
        for d in decisions
    }
    info = {
        "format": 1,
        "name": f"covinet-{strategy}",
        "data": {
            "root": "/home/someone/radiographs",
            "name": "radiographs",
            "fingerprint": "sha256:5f2c",
            "synthetic": False,
            "counts": {
                "train": train,
                "val": dict(zip(tree.classes, map(int, counts), strict=True)),
            },
        },
        "labels": tree.to_json(),
        "strategy": strategy,
        "rule": "argmax",
        "monitor": "val",
        "monitored": {"split": "val", "n": 25},
        "notes": [],
        "device": "cpu",
        "precision": "float32",
        "versions": {"hilum": "0.1.0", "torch": "2.13.0", "python": "3.11.7"},
        "started": "2026-11-23T01:00:00Z",
        "finished": "2026-11-23T01:02:03Z",
        "seconds": 123.4,
        "networks": networks,
        **changes,
    }
    (folder / "run.json").write_text(json.dumps(info))
    lines = []
    for decision in decisions:
        epochs = {"root": 5, "infected": 10}.get(decision.name, 8)
        for epoch in range(1, epochs + 1):
            fall = float(np.exp(-epoch / 3))
            lines.append(
                {
                    "decision": decision.name,
                    "epoch": epoch,
                    "epochs": epochs,
                    "train_loss": 0.2 + 0.5 * fall,
                    "train_accuracy": 0.93 - 0.4 * fall,
                    "monitor_loss": 0.3 + 0.45 * fall + float(rng.normal(0, 0.03)),
                    "monitor_accuracy": 0.85 - 0.3 * fall + float(rng.normal(0, 0.03)),
                    "learning_rate": 0.001,
                    "seconds": 12.3,
                    "images_per_second": 410.0,
                }
            )
    (folder / "history.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    if split is not None:
        given = None if names is None else tuple(names)
        parts = _evaluate(labels, strategy, tuple(counts), tuple(wrong), split, given)
        out = folder / "evaluation" / split
        write_evaluation(*parts, tree, out)
    return folder


@functools.cache  # the bootstrap takes most of the time, and many tests want the same run
def _evaluate(
    labels: str,
    strategy: str,
    counts: tuple[int, ...],
    wrong: tuple[int, ...],
    split: str,
    names: tuple[str, ...] | None,
) -> tuple[Evaluation, IntArray, Predictions]:
    tree = LabelTree.from_text(labels)
    rng = np.random.default_rng(7)
    truth = np.repeat(np.arange(len(counts)), counts).astype(np.int64)
    chosen = truth.copy()
    chosen[list(wrong)] = (truth[list(wrong)] + 1) % len(counts)
    probs = rng.dirichlet(np.full(len(counts), 0.4), size=len(truth))
    probs[np.arange(len(truth)), chosen] += 1.5  # the chosen class is the most probable
    probs /= probs.sum(axis=1, keepdims=True)
    conditional = tree.decision_probs(probs)
    predicted = tree.choose(conditional, "argmax")
    if names is None:
        paths = ("/".join(tree.paths[t]) for t in truth)
        names = tuple(f"{split}/{path}/{i}.jpg" for i, path in enumerate(paths))
    predictions = Predictions(names, probs, conditional, predicted)
    evaluation = evaluate_predictions(
        tree,
        truth,
        predictions,
        rule="argmax",
        strategy="flat" if strategy == "flat" else "cascade",
        split=split,
    )
    return evaluation, truth, predictions


@pytest.fixture(name="make_run")
def make_run_fixture(tmp_path: Path) -> Callable[..., Path]:
    def make(folder: str = "run", /, **settings: Any) -> Path:
        return make_run(tmp_path / folder, **settings)

    return make
