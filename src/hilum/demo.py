"""The main job, start to end: train a cascade and a flat classifier, assess, explain, report."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hilum.auditing.audit import run_audit, write_audit
from hilum.evaluation.assess import assess
from hilum.evaluation.files import Evaluation
from hilum.explanation.split import explain_split
from hilum.labels import ROOT, LabelTree
from hilum.phantoms.phantom import write_phantoms
from hilum.radiographs.dataset import Dataset, open_dataset
from hilum.radiographs.image import image_source
from hilum.radiographs.pixels import Progress
from hilum.recipe import Recipe
from hilum.reporting.report import write_report
from hilum.training.checkpoint import Row
from hilum.training.run import train

#: Phantoms per split, and what makes both strategies learn on so few, within two minutes on two
#: cores: smaller images, and more epochs than the published ones.
PHANTOMS = {"train": 800, "val": 160, "test": 240}
PHANTOM_SETTINGS = {
    "covinet-cascade": ["decision.root.epochs=30", "decision.infected.epochs=16"],
    "covinet-flat": ["epochs=24"],
}


@dataclass(frozen=True)
class DemoResult:
    """What a demo left behind: its report, its runs and their evaluations by run and split."""

    report: Path
    runs: tuple[Path, ...]
    evaluations: dict[str, dict[str, Evaluation]]


def run_demo(
    out: Path,
    data: Path | None = None,
    *,
    progress: Progress | None = None,
    on_epoch: Callable[[Row], None] | None = None,
) -> DemoResult:
    """Audit the data; train, assess and explain a cascade and a flat COVINet; write one report.

    data: a folder of radiographs, or None for phantoms, which are made in out/phantoms. Runs that
    are already there and finished are used again; unfinished ones go on.
    """
    if data is None:
        data = out / "phantoms"
        write_phantoms(data, counts=PHANTOMS, progress=progress)
    dataset = open_dataset(data, progress=progress)
    audit = write_audit(run_audit(dataset, progress=progress), out / "audit")
    runs: list[Path] = []
    evaluations: dict[str, dict[str, Evaluation]] = {}
    for recipe in recipes_for(dataset):
        run = out / recipe.name
        resume = (run / "run.json").exists()
        classifier = train(
            dataset, recipe, run, resume=resume, progress=progress, on_epoch=on_epoch
        )
        evaluations[recipe.name] = {}
        held_out = [split for split in dataset.splits if split != "train"]
        for split in held_out:
            folder = run / "evaluation" / split
            evaluation, _ = assess(classifier, dataset, split, out=folder, progress=progress)
            evaluations[recipe.name][split] = evaluation
        for split in held_out[-1:]:  # the errors of test, where there is one, say the most
            folder = run / "evaluation" / split
            explain_split(classifier, dataset, split, folder, progress=progress)
        runs.append(run)
    report = write_report(runs, out / "report.html", images=image_source(dataset.root), audit=audit)
    return DemoResult(report, tuple(runs), evaluations)


def recipes_for(dataset: Dataset) -> tuple[Recipe, ...]:
    """The recipes of a demo: the published cascade where the labels are its own.

    Other labels get the same network with balanced class weights, as a cascade (where the tree
    has more than one decision) and flat. Phantoms get smaller images and more epochs. Data without
    a val split is monitored on blocks of train.
    """
    flat = Recipe.load("covinet-flat")
    published = Recipe.load("covinet-cascade")
    recipes = [flat]
    if dataset.tree == LabelTree.from_text("normal, infected(covid, non-covid)"):
        recipes = [published, flat]
    elif [d.name for d in dataset.tree.decisions] != [ROOT]:
        recipes = [flat.override(["strategy=cascade", "name=covinet-cascade-balanced"]), flat]
    if dataset.synthetic:
        recipes = [
            r.override(["image_size=96", f"name={r.name}-demo", *PHANTOM_SETTINGS.get(r.name, ())])
            for r in recipes
        ]
    if "val" not in dataset.splits:
        recipes = [r.override(["monitor=blocks"]) for r in recipes]
    return tuple(recipes)
