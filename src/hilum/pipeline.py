"""The main job, from radiographs to a report: train, evaluate what was held out, audit, explain."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hilum.auditing.audit import Audit, run_audit, write_audit
from hilum.classifier.classifier import Classifier
from hilum.decisions import ROOT
from hilum.evaluation.assess import ASSESSMENT_FILE, Assessment, read_assessment
from hilum.evaluation.files import EVALUATION_FILE, Evaluation, most_telling, read_evaluation
from hilum.evaluation.run import evaluate_run
from hilum.explanation.split import explain_split, missing_explanations
from hilum.labels import LabelTree
from hilum.phantoms.multiple import write_findings
from hilum.phantoms.phantom import write_phantoms
from hilum.radiographs.dataset import Dataset, open_dataset
from hilum.radiographs.image import image_source
from hilum.radiographs.pixels import Progress
from hilum.recipe import Recipe
from hilum.reporting.report import write_report
from hilum.training.checkpoint import Row
from hilum.training.folder import RECIPE_FILE, as_divided
from hilum.training.run import train
from hilum.training.tracking import track_report
from hilum.transforms.augment import training_view

#: Phantoms per split, and what makes both strategies learn on so few, within two minutes on two
#: cores: smaller images, and more epochs than the published ones.
PHANTOMS = {"train": 800, "val": 160, "test": 240}
PHANTOM_SETTINGS = {
    "covinet-cascade": ["decision.root.epochs=30", "decision.infected.epochs=16"],
    "covinet-flat": ["epochs=24"],
}


@dataclass(frozen=True)
class WriteUp:
    """A report on runs of one data set, and what it says first.

    report: the file. runs: their folders. split: what was held out and evaluated, test or else
    val; None where the data hold neither. evaluations: of each run, by its folder's name; empty
    where nothing was held out. warnings: sentences, those that matter most first.
    """

    report: Path
    runs: tuple[Path, ...]
    split: str | None
    evaluations: dict[str, Evaluation]
    warnings: tuple[str, ...]


def write_up(
    runs: Sequence[Path],
    dataset: Dataset,
    out: Path,
    *,
    device: str = "auto",
    progress: Progress | None = None,
) -> WriteUp:
    """Evaluate runs on what was held out from them, audit the data, explain errors; report on all.

    runs: finished ones, all of this data set and divided alike. out: the report's folder, which
    gets report.html and audit/. The held-out part is test where there is one, and otherwise val. A
    run that is evaluated on it already is not evaluated again: that would be a further look.
    Raises EvaluationError, DataError.
    """
    dataset = as_divided(dataset, runs[0])
    split = most_telling(s for s in dataset.splits if s != "train")
    found = {run.name: _held_out(run, dataset, split, device, progress) for run in runs if split}
    recipe = Recipe.load(runs[0] / RECIPE_FILE)
    audit = run_audit(dataset, trained=training_view(recipe, dataset.tree), progress=progress)
    report = write_report(
        runs,
        out / "report.html",
        images=image_source(dataset.root),
        audit=write_audit(audit, out / "audit"),
    )
    evaluations = {name: evaluation for name, (evaluation, _) in found.items()}
    for run in runs:
        own = evaluations[run.name].overall if run.name in evaluations else {}
        figures = {f"{split}/{k}": e.value for k, e in own.items() if e.value is not None}
        track_report(run, report, figures)
    warnings = _warnings(dataset, audit, *next(iter(found.values()), (None, None)))
    return WriteUp(report, tuple(runs), split, evaluations, warnings)


def _held_out(
    run: Path, dataset: Dataset, split: str, device: str, progress: Progress | None
) -> tuple[Evaluation, Assessment]:
    """What a run's evaluation of a split says, made and explained where it is not there yet."""
    classifier = Classifier.load(run, device=device)
    folder = run / "evaluation" / split
    if not (folder / EVALUATION_FILE).is_file():
        evaluate_run(run, classifier, dataset, split, progress=progress)
    if folder in missing_explanations(run):
        explain_split(classifier, dataset, split, folder, progress=progress)
    return read_evaluation(folder / EVALUATION_FILE), read_assessment(folder / ASSESSMENT_FILE)


def _warnings(
    dataset: Dataset, audit: Audit, evaluation: Evaluation | None, assessment: Assessment | None
) -> tuple[str, ...]:
    """What a reader of the figures must know, most important first; each once."""
    arrivals = assessment.arrivals.warning if assessment and assessment.arrivals else None
    said = [note for note in (evaluation.notes if evaluation else ()) if note not in dataset.notes]
    found = [f for f in audit.findings if f.severity in ("critical", "warning")]
    told = [f"{f.title}." for f in found if f.meaning not in said]
    critical = sum(f.severity == "critical" and f.meaning not in said for f in found)
    ordered = [*([arrivals] if arrivals else []), *told[:critical], *said, *told[critical:]]
    return tuple(dict.fromkeys(ordered))


def run_demo(
    out: Path,
    data: Path | None = None,
    *,
    findings: bool = False,
    progress: Progress | None = None,
    on_epoch: Callable[[Row], None] | None = None,
) -> WriteUp:
    """Train the published cascade and another classifier, evaluate both, and write one report.

    data: radiographs, or None for phantoms, which are made in out/phantoms. findings: phantoms
    with independent findings instead of three classes; one classifier then finds them. Runs that
    are already there and finished are used again; unfinished ones go on.
    """
    if data is None:
        data = out / "phantoms"
        write = write_findings if findings else write_phantoms
        write(data, counts=PHANTOMS, progress=progress)
    dataset = open_dataset(data, progress=progress)
    runs = []
    for recipe in recipes_for(dataset):
        run = out / recipe.name
        resume = (run / "run.json").exists()
        train(dataset, recipe, run, resume=resume, progress=progress, on_epoch=on_epoch)
        runs.append(run)
    return write_up(runs, dataset, out, progress=progress)


def recipes_for(dataset: Dataset) -> tuple[Recipe, ...]:
    """The recipes of a demo: the published cascade where the labels are its own, and the default.

    Other labels get the same network with balanced class weights, as a cascade where the tree has
    more than one decision. Phantoms, on which everything is to be seen within two minutes, get
    smaller images, more epochs than the published ones, and a flat COVINet as the second.
    """
    flat = Recipe.load("covinet-flat")
    if dataset.tree == LabelTree.from_text("normal, infected(covid, non-covid)"):
        first = Recipe.load("covinet-cascade")
    elif [d.name for d in dataset.tree.networks("cascade")] != [ROOT]:
        first = flat.override(["strategy=cascade", "name=covinet-cascade-balanced"])
    else:
        first = flat
    if not dataset.synthetic:
        return first, Recipe.load("default")
    return tuple(
        r.override(["image_size=96", f"name={r.name}-demo", *PHANTOM_SETTINGS.get(r.name, ())])
        for r in ([flat] if first is flat else [first, flat])
    )
