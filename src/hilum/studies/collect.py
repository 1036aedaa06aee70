"""From finished runs to the result of a study."""

import os
import platform
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hilum.auditing.provenance import recognise
from hilum.evaluation.evaluate import describe_data, evaluate_predictions
from hilum.evaluation.files import (
    EVALUATION_FILE,
    PREDICTIONS_FILE,
    Evaluation,
    read_evaluation,
    write_evaluation,
)
from hilum.files import safe_name
from hilum.radiographs.dataset import describe_damage
from hilum.records import ABSENT, PRESENT, Estimate
from hilum.studies.compare import adjust, compare_variants, mean_of_runs
from hilum.studies.folds import Folds, HeldOut, pool
from hilum.studies.measures import OVER_FINDINGS
from hilum.studies.published import judge_all
from hilum.studies.results import Failure, RunResult, StudyResult, VariantResult
from hilum.studies.stressed import (
    STRESSED_FILE,
    StressedRun,
    compare_stressed,
    read_stressed,
    summarise_stressed,
)
from hilum.studies.study_run import HELD_OUT, OWN_VAL, RUNS, StudyPlan, StudyRun, read_held_out
from hilum.training.folder import read_facts, read_history, versions

ONE_SEED = "With one seed no interval can be given: add --seeds 5."


@dataclass(frozen=True)
class _Finished:
    """The finished runs of a variant, and by their numbers what was read of them."""

    runs: tuple[StudyRun, ...]
    held: dict[int, HeldOut]
    stressed: dict[int, StressedRun]


def collect(plan: StudyPlan, out: Path, failures: Sequence[Failure]) -> StudyResult:
    """Gather the runs of a study but for those in failures, pool and compare them.

    out: the folder for studies; each variant's pooled predictions are written to STUDY/VARIANT
    below it.
    """
    study, dataset, folds, measure = plan.study, plan.dataset, plan.folds, plan.measure
    failed = {failure.run for failure in failures}
    finished = {name: _read(plan, name, failed, out / RUNS) for name in study.variants}
    variants = {name: _variant(plan, name, runs, out) for name, runs in finished.items()}
    comparisons = []
    for a, b in study.pairs:
        one, other = finished[a].held, finished[b].held
        both = sorted(one.keys() & other.keys())  # paired: a failed run leaves both
        if both:
            sides = (a, [one[i] for i in both]), (b, [other[i] for i in both])
            comparisons.append(compare_variants(folds.tree, measure, *sides, groups=folds.groups))
    adjusted = adjust(comparisons)
    source = recognise(dataset.counts(), layout=dataset.layout, digests=dataset.digests)
    names = [run.name for run in folds.part(0).records]
    return StudyResult(
        study=study.settings.model_dump(mode="json"),
        measure=measure.facts,
        data={
            **describe_data(dataset),
            "counts": dataset.counts(),
            **({"findings": dataset.finding_counts()} if dataset.tree.findings else {}),
            "labels": folds.tree.to_json(),
            "source": {k: getattr(source, k) for k in ("name", "title", "meaning")}
            if source
            else None,
            "groups": len({folds.groups[name] for name in names}),
        },
        versions=versions("hilum", "torch", "numpy"),
        machine={
            "system": platform.system(),
            "architecture": platform.machine(),
            "cores": os.cpu_count(),
        },
        variants=variants,
        comparisons=adjusted,
        failures=tuple(failures),
        published=judge_all(study.settings.published, adjusted) if study.settings.published else (),
        notes=tuple(_notes(plan, variants)),
        stressed=compare_stressed(
            study.pairs,
            {name: runs.stressed for name, runs in finished.items()},
            _ratio([run for runs in finished.values() for run in runs.held.values()]),
        ),
    )


def _read(plan: StudyPlan, name: str, failed: set[str], runs: Path) -> _Finished:
    mine = tuple(run for run in plan.runs if run.variant == name and run.key not in failed)
    return _Finished(
        mine,
        {run.number: read_held_out(run, plan.folds, runs) for run in mine},
        {
            run.number: read_stressed(runs / run.key / "evaluation" / STRESSED_FILE)
            for run in mine
            if run.stress
        },
    )


def _ratio(held: Collection[HeldOut]) -> float:
    """Images held out per image trained on, mean over runs."""
    return sum(run.test_train_ratio for run in held) / len(held) if held else 0.0


def _variant(plan: StudyPlan, name: str, finished: _Finished, out: Path) -> VariantResult:
    held, stressed = finished.held, finished.stressed
    results = [_run(plan, run, held[run.number], out / RUNS) for run in finished.runs]
    own_val = [r.own_val.value for r in results if r.own_val and r.own_val.value is not None]
    pooled = predictions = under_stress = None
    mean = Estimate.undefined("no run of it finished")
    if held:
        folder = out / plan.study.name / safe_name(name)
        pooled = _pool(plan.folds, name, finished, out / RUNS, folder)
        predictions = f"{folder.name}/{PREDICTIONS_FILE}"
        ratio = _ratio(held.values())
        mean = mean_of_runs(plan.measure, [r.value for r in results], ratio)
        if stressed:
            under_stress = summarise_stressed(list(stressed.values()), ratio)
    return VariantResult(
        name=name,
        differences=tuple(plan.study.differences(name)),
        recipe=plan.study.variants[name].to_dict(),
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


def _run(plan: StudyPlan, run: StudyRun, held: HeldOut, runs: Path) -> RunResult:
    folder = runs / run.key
    facts: dict[str, Any] = read_facts(folder) or {}
    own_val = None
    if plan.folds.own_val:
        own_val = read_evaluation(folder / "evaluation" / OWN_VAL / EVALUATION_FILE)
    return RunResult(
        run=run.key,
        seed=run.recipe.seed,
        fold=plan.folds.number(run.number),
        n=len(held),
        n_train=held.n_train,
        value=plan.measure.of(plan.folds.tree, held.truth, held.predictions, held.marks),
        own_val=own_val.headline[1] if own_val else None,
        own_val_matrix=own_val.confusion_matrix if own_val and own_val.chooses else None,
        seconds=facts["seconds"],
        device=facts["device"],
        precision=facts["precision"],
        history=tuple(read_history(folder / "history.jsonl")),
    )


def _pool(folds: Folds, name: str, finished: _Finished, runs: Path, folder: Path) -> Evaluation:
    """Evaluate what all runs of a variant held out, each image once, and write it down."""
    pooled = pool(folds.tree, list(finished.held.values()), folds.groups)
    truth, predictions, marks = pooled.once
    notes: dict[str, None] = {}
    for run in finished.runs:
        file = runs / run.key / "evaluation" / HELD_OUT / EVALUATION_FILE
        notes |= dict.fromkeys(read_evaluation(file).notes)
    recipe = finished.runs[0].recipe
    evaluation = evaluate_predictions(
        folds.tree,
        truth,
        predictions,
        rule=recipe.rule,
        strategy=recipe.strategy,
        split="held out",
        notes=list(notes),
        data=describe_data(folds.part(0)),
        classifier={"name": name},
        marks=marks,
    )
    write_evaluation(evaluation, truth, predictions, folds.tree, folder, marks)
    return evaluation


def _left_out(folds: Folds, runs: int) -> Iterator[str]:
    """Which findings the mean over findings leaves out, and in which runs."""
    for finding in folds.tree.findings:
        without = []
        for run in range(min(runs, len(folds.parts))):
            part = folds.part(run)
            rows = part.indices("val")
            own = finding.truth(part.labels[rows], part.marks[rows])
            if not {ABSENT, PRESENT} <= set(own.tolist()):
                without.append(str(run + 1))
        if without:
            yield (
                f"Means over findings are without {finding.name} on fold {', '.join(without)}: of "
                "no image there is it known to be present, or of none to be absent."
            )


def _notes(plan: StudyPlan, variants: Mapping[str, VariantResult]) -> list[str]:
    """What a reader of the result must know."""
    study, folds, damaged = plan.study, plan.folds, plan.dataset.damaged
    notes = [describe_damage(damaged)] if damaged else []
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
    if plan.measure.kind in OVER_FINDINGS:
        notes += _left_out(folds, study.settings.seeds)
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
