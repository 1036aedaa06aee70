"""Finished studies whose every prediction a reader chooses, without any training."""

from functools import cache

import numpy as np

from hilum.evaluation.evaluate import evaluate_predictions
from hilum.labels import LabelTree
from hilum.records import Estimate
from hilum.statistics.intervals import wilson
from hilum.studies.collect import ONE_SEED
from hilum.studies.compare import adjust, compare_variants, mean_of_runs
from hilum.studies.folds import pool
from hilum.studies.measures import Measure
from hilum.studies.published import judge_all
from hilum.studies.results import RunResult, StudyResult, VariantResult
from hilum.studies.study import Study
from tests.studies.held_out import TREE, held_out

#: Held-out images of each class and run.
EACH = 20
#: On the data's own val; rows are the truth.
OWN_VAL = ((4, 0, 0), (1, 2, 1), (0, 2, 2))


def make_study(name, wrong, *, measure="accuracy", tree=TREE, study=None, own_val=True):
    """The result of a built-in study, or of another given as study.

    wrong: by variant and run, how many of the images are wrong, the first ones of each class in
    turn. Each class has EACH of them. tree: of the labels.
    """
    study = (study or Study.load(name)).with_settings(measure=measure)
    study = study.with_settings(seeds=max(1, *map(len, wrong.values())))
    parsed = Measure.parse(measure, tree)
    runs = {variant: _runs(counts, tree) for variant, counts in wrong.items()}
    pairs = [(a, b) for a, b in study.pairs if runs[a] and runs[b]]
    comparisons = adjust(
        [
            compare_variants(tree, parsed, *[(v, runs[v][: _both(runs, a, b)]) for v in (a, b)])
            for a, b in pairs
        ]
    )
    published = study.settings.published
    return StudyResult(
        study=study.settings.model_dump(mode="json"),
        measure={"name": parsed.name, "label": parsed.label, "higher_is_better": True},
        data={
            "name": "radiographs",
            "fingerprint": "5f2c",
            "synthetic": False,
            "counts": {"train": dict.fromkeys(tree.classes, 5 * EACH)},
            "labels": tree.to_json(),
            "source": {"name": "set", "title": "A set", "meaning": "Nothing is what it seems."},
            "groups": 30,
        },
        versions={"hilum": "0.1.0", "python": "3.11.0"},
        machine={"system": "Linux", "architecture": "x86_64", "cores": 2},
        variants={v: _variant(study, v, runs[v], parsed, tree, own_val) for v in wrong},
        comparisons=comparisons,
        failures=(),
        published=judge_all(published, comparisons) if published else (),
        notes=(ONE_SEED,) if study.settings.seeds == 1 else (),
    )


def _both(runs, a, b):
    return min(len(runs[a]), len(runs[b]))


def _runs(counts, tree):
    size = len(tree.classes)
    truth = np.repeat(np.arange(size), EACH)
    found = []
    for run, count in enumerate(counts):
        predicted = truth.copy()
        rows = np.argsort(np.arange(len(truth)) % EACH, kind="stable")[:count]
        predicted[rows] = (predicted[rows] + 1) % size
        found.append(held_out(truth, predicted, run=run, tree=tree))
    return found


def _variant(study, name, runs, measure, tree, own_val):
    recipe = study.variants[name]
    pooled = None
    mean = Estimate.undefined("no run of it finished")
    results = [_run(study, name, i, run, measure, tree, own_val) for i, run in enumerate(runs)]
    if runs:
        truth, predictions, _ = pool(tree, runs).once
        pooled = evaluate_predictions(
            tree, truth, predictions, rule=recipe.rule, strategy=recipe.strategy, split="held out"
        )
        mean = mean_of_runs(measure, [run.value for run in results], 0.25)
    return VariantResult(
        name=name,
        differences=tuple(study.differences(name)),
        recipe=recipe.to_dict(),
        runs=tuple(results),
        mean=mean,
        pooled=pooled,
        own_val_mean=Estimate(0.5, n=len(runs)) if own_val and runs else None,
        predictions=None,
    )


def _run(study, name, i, run, measure, tree, own_val):
    recipe = study.recipe_of(name, i)
    matrix = tuple(row[: len(tree.classes)] for row in OWN_VAL[: len(tree.classes)])
    right, n = sum(row[k] for k, row in enumerate(matrix)), sum(map(sum, matrix))
    history = []
    for decision in recipe.networks(tree):
        for epoch in (1, 2):
            history.append(
                {
                    "decision": decision.name, "epoch": epoch, "epochs": 2,
                    "train_loss": 1.0 / epoch, "train_accuracy": 0.5,
                    "monitor_loss": (1.0 + i) / epoch, "monitor_accuracy": 0.4 + 0.1 * epoch,
                    "learning_rate": 0.001, "seconds": 1.0, "images_per_second": 60.0,
                }
            )  # fmt: skip
    return RunResult(
        run=f"{name}-{i}",
        seed=recipe.seed,
        fold=i,
        n=len(run),
        n_train=run.n_train,
        value=measure.of(tree, run.truth, run.predictions),
        own_val=wilson(right, n) if own_val else None,
        own_val_matrix=matrix if own_val else None,
        seconds=60.0,
        device="cpu",
        precision="float32",
        history=tuple(history),
    )


@cache
def cascade_loses():
    """architecture-selection, in which flat is clearly better: the conclusion is contradicted."""
    return make_study(
        "architecture-selection", {"flat": [6, 6, 7, 6, 6], "cascade": [15, 17, 16, 15, 16]}
    )


@cache
def nothing_told():
    """batch-size, in which nothing can be told apart."""
    wrong = {"16": [6, 9, 6, 12, 6], "32": [9, 6, 9, 6, 9], "64": [6, 6, 12, 9, 9]}
    return make_study("batch-size", wrong)


@cache
def root_tuned():
    """root-tuning, whose labels are the options of one decision, and which has seven variants."""
    wrong = {name: [4, 5, 6, 5, 4] for name in Study.load("root-tuning").variants}
    wrong["lr-1e-5"] = [18, 19, 18, 20, 19]
    wrong["adamw"] = [5, 4, 7, 4, 5]
    return make_study("root-tuning", wrong, tree=LabelTree.from_text("normal, infected"))


@cache
def hostile(name):
    """A study of two variants, the second of which has this name."""
    data = {
        "name": "odd",
        "question": f"Is {name} better?",
        "recipe": "naive-flat",
        "variants": {"plain": {}, name: {"batch_size": 16}},
    }
    wrong = {"plain": [6, 7, 6], name: [9, 9, 12]}
    return make_study("odd", wrong, study=Study.from_dict(data))
