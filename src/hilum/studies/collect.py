"""From finished runs to the result of a study."""

import os
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from hilum.audit.provenance import recognise
from hilum.evaluation.evaluate import describe_data, evaluate_predictions
from hilum.evaluation.files import (
    EVALUATION_FILE,
    PREDICTIONS_FILE,
    read_evaluation,
    read_predictions,
    write_evaluation,
)
from hilum.evaluation.results import Evaluation
from hilum.files import safe_name
from hilum.radiographs.dataset import Dataset
from hilum.records import Estimate
from hilum.studies.compare import adjust, compare_variants, mean_of_runs
from hilum.studies.folds import Folds, HeldOut, pool
from hilum.studies.measures import Measure
from hilum.studies.published import judge_all
from hilum.studies.results import Failure, RunResult, StudyResult, VariantResult
from hilum.studies.stressed import (
    STRESSED_FILE,
    StressedRun,
    compare_stressed,
    read_stressed,
    summarise_stressed,
)
from hilum.studies.study import Study
from hilum.studies.study_run import HELD_OUT, OWN_VAL, StudyRun
from hilum.training.folder import read_facts, read_history

ONE_SEED = "With one seed no interval can be given: add --seeds 5."


def collect(
    study: Study,
    dataset: Dataset,
    folds: Folds,
    measure: Measure,
    runs: Sequence[StudyRun],
    out: Path,
    failures: Sequence[Failure],
) -> StudyResult:
    """Gather the runs of a study, pool and compare them.

    runs: all of the study; those in failures are left out. out: the folder for studies; each
    variant's pooled predictions are written to STUDY/VARIANT below it.
    """
    failed = {failure.run for failure in failures}
    held: dict[str, dict[int, HeldOut]] = {name: {} for name in study.variants}
    stressed: dict[str, dict[int, StressedRun]] = {name: {} for name in study.variants}
    variants: dict[str, VariantResult] = {}
    for name in study.variants:
        mine = [run for run in runs if run.variant == name and run.key not in failed]
        held[name] = {run.number: _held_out(run, folds, out / "runs") for run in mine}
        stressed[name] = {r.number: _stressed(r, out / "runs") for r in mine if r.stress}
        variants[name] = _variant(
            study, name, mine, held[name], stressed[name], folds, measure, out
        )
    comparisons = []
    for a, b in study.pairs:
        both = sorted(held[a].keys() & held[b].keys())  # paired: a failed run leaves both
        if both:
            sides = [(name, [held[name][i] for i in both]) for name in (a, b)]
            comparisons.append(
                compare_variants(folds.tree, measure, sides[0], sides[1], groups=folds.groups)
            )
    adjusted = adjust(comparisons)
    source = recognise(dataset.counts(), layout=dataset.layout, digests=dataset.digests)
    names = [run.name for run in folds.part(0).records]
    return StudyResult(
        study=study.settings.model_dump(mode="json"),
        measure={"name": measure.name, "label": measure.label, "higher_is_better": True},
        data={
            **describe_data(dataset),
            "counts": dataset.counts(),
            "labels": folds.tree.to_json(),
            "source": {k: getattr(source, k) for k in ("name", "title", "meaning")}
            if source
            else None,
            "groups": len({folds.groups[name] for name in names}),
        },
        versions={
            **{name: version(name) for name in ("hilum", "torch", "numpy")},
            "python": platform.python_version(),
        },
        machine={
            "system": platform.system(),
            "architecture": platform.machine(),
            "cores": os.cpu_count(),
        },
        variants=variants,
        comparisons=adjusted,
        failures=tuple(failures),
        published=judge_all(study.settings.published, adjusted) if study.settings.published else (),
        notes=tuple(_notes(study, folds, variants)),
        stressed=compare_stressed(study.pairs, stressed, _ratio(held)),
    )


def _held_out(run: StudyRun, folds: Folds, runs: Path) -> HeldOut:
    truth, predictions = read_predictions(
        runs / run.key / "evaluation" / HELD_OUT / PREDICTIONS_FILE
    )
    return HeldOut(truth, predictions, len(folds.part(run.number).indices("train")))


def _stressed(run: StudyRun, runs: Path) -> StressedRun:
    return read_stressed(runs / run.key / "evaluation" / STRESSED_FILE)


def _ratio(held: Mapping[str, Mapping[int, HeldOut]]) -> float:
    """Images held out per image trained on, over all runs."""
    ratios = [run.test_train_ratio for runs in held.values() for run in runs.values()]
    return sum(ratios) / len(ratios) if ratios else 0.0


def _variant(
    study: Study,
    name: str,
    runs: Sequence[StudyRun],
    held: Mapping[int, HeldOut],
    stressed: Mapping[int, StressedRun],
    folds: Folds,
    measure: Measure,
    out: Path,
) -> VariantResult:
    results = [_run(run, held[run.number], folds, measure, out / "runs") for run in runs]
    recipe = study.variants[name]
    own_val = [r.own_val.value for r in results if r.own_val and r.own_val.value is not None]
    pooled = predictions = under_stress = None
    mean = Estimate.undefined("no run of it finished")
    if held:
        folder = out / study.name / safe_name(name)
        pooled = _pool(name, runs, held, folds, out, folder)
        predictions = f"{folder.name}/{PREDICTIONS_FILE}"
        ratio = _ratio({name: held})
        mean = mean_of_runs(measure, [r.value for r in results], ratio)
        if stressed:
            under_stress = summarise_stressed(list(stressed.values()), ratio)
    return VariantResult(
        name=name,
        differences=tuple(study.differences(name)),
        recipe=recipe.to_dict(),
        runs=tuple(results),
        mean=mean,
        pooled=pooled,
        own_val_mean=Estimate(
            sum(own_val) / len(own_val),
            n=len(own_val),
            method="mean over runs",
            reason="no interval: all runs were evaluated on the same images",
        )
        if own_val
        else None,
        predictions=predictions,
        stressed=under_stress,
    )


def _run(run: StudyRun, held: HeldOut, folds: Folds, measure: Measure, runs: Path) -> RunResult:
    folder = runs / run.key
    facts: dict[str, Any] = read_facts(folder) or {}
    own_val = None
    if folds.own_val:
        own_val = read_evaluation(folder / "evaluation" / OWN_VAL / EVALUATION_FILE)
    return RunResult(
        run=run.key,
        seed=run.recipe.seed,
        fold=folds.number(run.number),
        n=len(held),
        n_train=held.n_train,
        value=measure.of(folds.tree, held.truth, held.predictions),
        own_val=own_val.accuracy if own_val else None,
        own_val_matrix=own_val.confusion_matrix if own_val else None,
        seconds=facts["seconds"],
        device=facts["device"],
        precision=facts["precision"],
        history=tuple(read_history(folder / "history.jsonl")),
    )


def _pool(
    name: str,
    runs: Sequence[StudyRun],
    held: Mapping[int, HeldOut],
    folds: Folds,
    out: Path,
    folder: Path,
) -> Evaluation:
    """Evaluate what all runs of a variant held out, each image once, and write it down."""
    truth, predictions = pool(folds.tree, list(held.values()), folds.groups).once
    notes: dict[str, None] = {}
    for run in runs:
        file = out / "runs" / run.key / "evaluation" / HELD_OUT / EVALUATION_FILE
        notes |= dict.fromkeys(read_evaluation(file).notes)
    part = folds.part(0)
    evaluation = evaluate_predictions(
        folds.tree,
        truth,
        predictions,
        rule=runs[0].recipe.rule,
        strategy=runs[0].recipe.strategy,
        split="held out",
        notes=list(notes),
        data=describe_data(part),
        classifier={"name": name},
    )
    write_evaluation(evaluation, predictions.names, truth, predictions, folds.tree, folder)
    return evaluation


def _notes(study: Study, folds: Folds, variants: Mapping[str, VariantResult]) -> list[str]:
    """What a reader of the result must know."""
    notes = []
    if study.settings.seeds < 2:
        notes.append(ONE_SEED)
    if study.settings.folds == 0:
        notes.append(
            "Every run held out the same images, the data's own val: intervals over runs speak of "
            "the seeds, not of other images."
        )
    elif study.settings.seeds < len(folds.parts):
        notes.append(
            f"With {study.settings.seeds} seeds only {study.settings.seeds} of {len(folds.parts)} "
            "folds were held out."
        )
    if folds.own_val:
        copies = len(set(folds.own_val.digests) & set(folds.part(0).digests))
        if copies:
            notes.append(
                f"{copies} of the {len(folds.own_val.records)} images of the data's own val are "
                "also in train: figures on it are too good."
            )
    trained: dict[tuple[str, ...], str] = {}
    for name, variant in variants.items():
        keys = tuple(run.run for run in variant.runs)
        twin = trained.setdefault(keys, name)
        if keys and twin != name:
            notes.append(
                f"'{twin}' and '{name}' are one training, done once: AdamW differs from Adam in "
                "its weight decay alone, and here there is none."
            )
    machines = {(r.device, r.precision) for v in variants.values() for r in v.runs}
    if len(machines) > 1:
        names = ", ".join(sorted(f"{device} in {precision}" for device, precision in machines))
        notes.append(f"The runs were computed on different machines: {names}.")
    return notes
