"""The runs of a study: which it takes, where they lie, how they are known again, and doing one.

Runs lie in OUT/runs/KEY and are shared by all studies below OUT. The key is a digest of all that
decides the training: the recipe's effective settings, the labels and the data as divided. So a
variant that several studies have in common is trained once.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import filelock

from hilum.errors import EvaluationError, HilumError, StudyError
from hilum.evaluation.evaluate import evaluate
from hilum.evaluation.files import EVALUATION_FILE, PREDICTIONS_FILE, read_evaluation
from hilum.evaluation.predictions_file import read_told
from hilum.files import locked, sha256
from hilum.labels import LabelTree
from hilum.radiographs.dataset import Dataset
from hilum.recipe import Recipe
from hilum.settings import Settings
from hilum.studies.folds import Folds, HeldOut, divide
from hilum.studies.measures import Measure
from hilum.studies.stressed import measure_under_stress, uncalibrated
from hilum.studies.study import Study
from hilum.training.checkpoint import Row
from hilum.training.folder import read_facts
from hilum.training.plan import make_plan, samples_of
from hilum.training.run import train

#: Below OUT: the folder of all runs.
RUNS = "runs"

#: Below RUN/evaluation: the fold that the run held out, and the data's own val.
HELD_OUT, OWN_VAL = "held-out", "val"


class RunIsBusy(Exception):  # noqa: N818 - it is not an error
    """Another process holds this run at the moment."""


@dataclass(frozen=True)
class StudyRun:
    """A run of a variant; variants that compute the same share the training behind it.

    number: from 0. key: the name of its folder below OUT/runs. epochs: over all its networks, for
    progress; blocks that its recipe holds out of train are not taken off first. stress: how many
    held-out images it is tested on under corruptions.
    """

    variant: str
    number: int
    key: str
    recipe: Recipe
    epochs: int
    stress: int = 0


def make_run(
    variant: str, number: int, recipe: Recipe, data: Dataset, *, stress: int = 0
) -> StudyRun:
    """A run on a data set as divided."""
    rows = data.indices("train")
    epochs = 0
    for decision in recipe.networks(data.tree):
        settings = recipe.settings(decision.name)
        n = len(samples_of(decision, data, rows, recipe.doubt)[0])
        epochs += settings.epochs_for(n) * settings.members
    key = run_key(recipe, data.tree, data.fingerprint)
    return StudyRun(variant, number, key, recipe, epochs, stress)


@dataclass(frozen=True)
class StudyPlan:
    """A study on its data, checked: every run that it takes.

    Variants that compute the same share their runs; trainings are the runs with each key once.
    """

    study: Study
    dataset: Dataset
    folds: Folds
    measure: Measure
    runs: tuple[StudyRun, ...]

    @property
    def trainings(self) -> tuple[StudyRun, ...]:
        first: dict[str, StudyRun] = {}
        for run in self.runs:
            first.setdefault(run.key, run)
        return tuple(first.values())


def plan_study(study: Study, dataset: Dataset) -> StudyPlan:
    """Check a study against its data before anything is written.

    Raises StudyError for two variants that train the same on these labels, EvaluationError for a
    measure that the labels do not have, DataError where the data cannot be divided or are not
    sound, and RecipeError or TrainingError where a variant does not fit the labels.
    """
    settings = study.settings
    folds = divide(dataset, settings.folds, settings.block_size, settings.decision)
    measure = Measure.parse(settings.measure, folds.tree)
    for variant in study.variants:
        make_plan(folds.part(0), study.recipe_of(variant, 0))
    runs = tuple(
        make_run(variant, i, study.recipe_of(variant, i), folds.part(i), stress=settings.stress)
        for i in range(settings.seeds)
        for variant in study.variants
    )
    first: dict[str, StudyRun] = {}
    for run in runs:
        twin = first.setdefault(run.key, run)
        if twin is not run and _settings(twin, folds.tree) == _settings(run, folds.tree):
            raise StudyError(
                f"{study.name}: the variants '{twin.variant}' and '{run.variant}' train the same "
                "on these labels: what they differ in is overridden for every decision."
            )
    return StudyPlan(study, dataset, folds, measure, runs)


def _settings(run: StudyRun, tree: LabelTree) -> list[Settings]:
    return [run.recipe.settings(decision.name) for decision in run.recipe.networks(tree)]


def run_key(recipe: Recipe, tree: LabelTree, fingerprint: str) -> str:
    """The folder name of a training, such as ``covinet-cascade-0-1f2e3d4c5b6a7988``.

    Equal for recipes that differ only in name, description, device, kept checkpoints, or in
    settings that every decision overrides; and for Adam and AdamW without weight decay, which
    compute the same. fingerprint: of the data set as divided.
    """
    # Keys with their default are left out, so that a key that is added later changes nothing.
    whole = recipe.model_dump(mode="json", exclude_defaults=True)
    aside = {"name", "description", "device", "keep_checkpoints", "decision"}
    networks = {
        d.name: _as_computed(recipe.settings(d.name)).model_dump(mode="json", exclude_defaults=True)
        for d in recipe.networks(tree)
    }
    content = {
        "recipe": {k: v for k, v in whole.items() if k not in {*aside, *Settings.model_fields}},
        "networks": networks,
        "labels": tree.to_json(),
        "data": fingerprint,
    }
    digest = sha256(json.dumps(content, sort_keys=True).encode())
    return f"{recipe.network}-{recipe.strategy}-{recipe.seed}-{digest[:16]}"


def _as_computed(settings: Settings) -> Settings:
    """AdamW is Adam with a weight decay of another kind: without any, Adam is AdamW."""
    if settings.optimizer == "adam" and settings.weight_decay == 0:
        return settings.model_copy(update={"optimizer": "adamw"})
    return settings


def is_finished(run: Path) -> bool:
    """Whether a run has its classifier."""
    facts = read_facts(run)
    return bool(facts and facts.get("finished")) and (run / "classifier/classifier.json").is_file()


def read_held_out(run: StudyRun, folds: Folds, runs: Path) -> HeldOut:
    """What a finished run made of the fold that it held out. Raises EvaluationError."""
    table = runs / run.key / "evaluation" / HELD_OUT / PREDICTIONS_FILE
    truth, predictions, marks = read_told(table, folds.tree)
    n_train = len(folds.part(run.number).indices("train"))
    return HeldOut(truth, predictions, n_train, marks)


def do_run(run: StudyRun, folds: Folds, runs: Path, on_epoch: Callable[[Row], None] | None) -> None:
    """Train a run unless it is finished, and evaluate it unless that is done.

    Raises RunIsBusy where another process is at it, Interrupted after a stop, and what training
    and evaluation raise.
    """
    folder, part = runs / run.key, folds.part(run.number)
    runs.mkdir(parents=True, exist_ok=True)
    try:
        with locked(runs / f".{run.key}.lock", timeout=0):
            if is_finished(folder):
                if _own_key(folder) != run.key:
                    raise StudyError(
                        f"{folder}: holds another training than its name says; remove it."
                    )
            else:
                recipe, resume = run.recipe, (folder / "run.json").exists()
                if not resume:
                    _clear_unbegun(folder)
                elif _own_key(folder) == run.key:  # begun by a recipe that computes the same
                    begun = Recipe.load(folder / "recipe.toml")
                    recipe = begun.model_copy(update={"device": recipe.device})
                train(part, recipe, folder, resume=resume, on_epoch=on_epoch)
            _evaluate(folder, HELD_OUT, part, run.recipe.device)
            if folds.own_val:
                _evaluate(folder, OWN_VAL, folds.own_val, run.recipe.device)
            if run.stress:
                measure_under_stress(folder, part, run.stress, run.recipe.device)
    except filelock.Timeout:
        raise RunIsBusy(run.key) from None


def _clear_unbegun(folder: Path) -> None:
    """Remove what a kill left of a run before its run.json, without which it cannot go on."""
    for left in (*folder.glob("recipe.toml"), *folder.glob(".*.partial")):
        left.unlink()


def _evaluate(folder: Path, name: str, dataset: Dataset, device: str) -> None:
    out = folder / "evaluation" / name
    if (out / EVALUATION_FILE).is_file():
        try:
            if read_evaluation(out / EVALUATION_FILE).data["fingerprint"] == dataset.fingerprint:
                return
        except (EvaluationError, KeyError):
            pass  # a damaged one is made anew
    classifier = uncalibrated(folder, device)
    evaluate(classifier, dataset, "val", out=out)


def _own_key(folder: Path) -> str:
    """The key that a run's own files give it."""
    facts = read_facts(folder)
    try:
        assert facts is not None
        tree = LabelTree.from_json(facts["labels"])
        return run_key(Recipe.load(folder / "recipe.toml"), tree, facts["data"]["fingerprint"])
    except (HilumError, KeyError, TypeError) as error:
        raise StudyError(f"{folder}: not a run of this version ({error}).") from None
