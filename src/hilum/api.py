"""What can be called from Python beside the classes: a verb of the command line each, and a run."""

import os
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from hilum.auditing.audit import Audit, run_audit, write_audit
from hilum.auditing.croissant import write_croissant
from hilum.auditing.duplicates import find_together
from hilum.auditing.split_table import write_split
from hilum.auditing.splits import Split, make_split, parse_shares
from hilum.classifier.calibrate import calibrate_on
from hilum.classifier.classifier import Classifier
from hilum.classifier.files import refuse_other_files
from hilum.display import Displayed, facts_table
from hilum.errors import ClassifierError, nearest
from hilum.evaluation.files import Evaluation
from hilum.evaluation.for_card import read_for_card
from hilum.evaluation.measures import OVERALL
from hilum.exporting.card import export_folder
from hilum.exporting.graph import parse_input
from hilum.exporting.huggingface import export_repository
from hilum.exporting.onnx import export_onnx, images_to_check
from hilum.given import Data, Place, Trained, as_classifier, as_dataset, as_recipe, as_text
from hilum.labels import LabelTree
from hilum.prediction.predict import Summary, predict_files
from hilum.radiographs.image import image_source
from hilum.recipe import Recipe
from hilum.records import Progress, several
from hilum.reporting.audit_page import write_audit_page
from hilum.reporting.runs import Epoch, read_runs
from hilum.reporting.watch_page import write_watch_page
from hilum.settings import Promises
from hilum.stores import on_disk
from hilum.table import Row, Table
from hilum.training.folder import RECIPE_FILE, as_pair
from hilum.watching.judging import LEVEL
from hilum.watching.labelling import LABELS
from hilum.watching.watch import Watch, watch_images

_ONNX, _FOLDER, _REPOSITORY = "onnx", "safetensors", "huggingface"


class Run(Displayed):
    """A training run, read from its folder.

    It stands for its folder wherever a run or a classifier is asked for.

    Args:
        folder: As training left it, or that of a classifier.

    Raises:
        HilumError: The folder is no run, or a file in it is damaged.
    """

    def __init__(self, folder: Place) -> None:
        self.folder = on_disk(folder)
        (self._read,) = read_runs([self.folder])

    def __fspath__(self) -> str:
        return os.fspath(self.folder)

    @property
    def name(self) -> str:
        """What the recipe, and so the run, is called."""
        return self._read.name

    @property
    def facts(self) -> Mapping[str, Any]:
        """What run.json says: data, labels, device, versions, notes, and more, as JSON values."""
        return self._read.info

    @property
    def tree(self) -> LabelTree:
        """Its labels."""
        return self._read.tree

    @property
    def history(self) -> Mapping[str, tuple[Epoch, ...]]:
        """The epochs of each decision, in order."""
        return self._read.history

    @property
    def evaluations(self) -> dict[str, Evaluation]:
        """The evaluations beside it: by split, and of other data by 'NAME, SPLIT'."""
        own = {result.split: result.evaluation for result in self._read.results}
        others = [result.evaluation for result in self._read.external]
        return own | {f"{e.data.get('name')}, {e.split}": e for e in others}

    @cached_property
    def recipe(self) -> Recipe:
        """What it was trained by. Raises RecipeError where there is none."""
        return as_recipe(self.folder / RECIPE_FILE)

    @cached_property
    def classifier(self) -> Classifier:
        """What it trained. Raises ClassifierError where it has not finished, or files are bad."""
        return as_classifier(self.folder)

    def _in_one_line(self) -> str:
        data = self._read.data.get("name", "unknown data")
        found = [f"{name} {e.accuracy.in_words()}" for name, e in self.evaluations.items()]
        finished = "" if self._read.classifier else ", not finished"
        evaluated = f"accuracy on {'; on '.join(found)}" if found else "not evaluated"
        return f"Run '{self.name}' on {data}{finished}: {self.tree}; {evaluated}"

    def _in_full(self) -> Iterator[str | Table]:
        facts = self.facts
        yield facts_table(
            [(key, facts.get(key)) for key in ("strategy", "rule", "finished", "device")]
            + [("folder", self.folder)]
        )
        rows: list[Row] = [
            [name, e.n, *(e.overall[key] for key in OVERALL)]
            for name, e in self.evaluations.items()
        ]
        if rows:
            names = [measure.name for measure in OVERALL.values()]
            yield Table("Evaluations", ["images of", "images", *names], rows)


def audit(
    dataset: Data,
    out: Place | None = None,
    *,
    croissant: Place | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Audit:
    """Run every check on a data set: is it sound?

    Args:
        dataset: Of open_dataset, or its path; damaged files are then left out, and told of.
        out: A folder for audit.json and audit.html; None writes nothing.
        croissant: A file for the same as Croissant (JSON-LD); None writes none.
        seed: Of the resampling behind the intervals.
        progress: Called with what is done, how much of it, and of how much.

    Returns:
        The findings, the gravest first, and what they rest on.

    Raises:
        DataError: Files cannot be read or written.
    """
    out = on_disk(out)
    data = as_dataset(dataset, skip_damaged=True, progress=progress)
    found = run_audit(data, seed=seed, progress=progress)
    if out is not None:
        write_audit(found, out)
        write_audit_page(found, out / "audit.html", images=image_source(data.root))
    if croissant is not None:
        write_croissant(data, found, on_disk(croissant))
    return found


def split(
    dataset: Data,
    out: Place | None = None,
    *,
    parts: str | Mapping[str, float] | None = None,
    folds: int | None = None,
    seed: int = 0,
    group_by: str = "auto",
    block_size: int | None = None,
    keep_test: bool = False,
    progress: Progress | None = None,
) -> Split:
    """Divide a data set by patients or blocks of file numbers; copies stay together.

    Args:
        dataset: Of open_dataset, or its path.
        out: The table to write, which train takes as split_file; None writes nothing.
        parts: Shares, as ``train=0.7, val=0.15, test=0.15`` (the default) or a mapping of them.
        folds: Make so many folds instead.
        seed: Another seed gives another division.
        group_by: 'auto' (patients where they are known), 'patient' or 'blocks'.
        block_size: File numbers in a block; None leaves the choice to make_split.
        keep_test: Leave the images of the split 'test' where they are.
        progress: Called with what is done, how much of it, and of how much.

    Returns:
        Which part each image belongs to.

    Raises:
        DataError: The settings make no sense, a part lacks a class, or files cannot be read or
            written.
    """
    out = on_disk(out)
    data = as_dataset(dataset, progress=progress)
    made = make_split(
        data,
        proportions=parse_shares(parts) if isinstance(parts, str) else parts,
        folds=folds,
        seed=seed,
        group_by=group_by,
        block_size=block_size,
        keep_together=find_together(data, progress=progress),
        keep_test=keep_test,
    )
    if out is not None:
        write_split(made, out)
    return made


def calibrate(
    classifier: Trained,
    dataset: Data,
    split: str = "val",
    *,
    remembered: str | None = "train",
    promises: Promises = "elsewhere",
    out: Place | None = None,
    progress: Progress | None = None,
) -> Classifier:
    """Fit temperatures on images that trained nothing, and keep what thresholds are chosen by.

    train does this by itself with the images that it monitors.

    Args:
        classifier: What is calibrated, or the folder of it or of its run; it stays as it is.
        dataset: With the classifier's labels, or its path.
        split: Images that trained none of the networks.
        remembered: The split whose images it is to remember, to find neighbours and to know what
            is no such radiograph; None leaves that as it is.
        promises: For which films temperatures, thresholds and prediction sets are to hold:
            'elsewhere', such as differ from these as shifted copies of them do, or 'alike', films
            taken as these were.
        out: A folder for the calibrated classifier; None writes nothing.
        progress: Called with what is done, how much of it, and of how much.

    Returns:
        The calibrated classifier.

    Raises:
        ClassifierError: The split trained the classifier, the labels differ, or out holds other
            files than a classifier's.
        DataError: There is no such split, or files cannot be read.
    """
    out = on_disk(out)
    if out is not None:
        refuse_other_files(out)
    model, data = as_pair(classifier, dataset, progress)
    calibrated = calibrate_on(
        model, data, split, remembered=remembered, promises=promises, progress=progress
    )
    if out is not None:
        calibrated.save(out)
    return calibrated


def export(
    classifier: Trained,
    out: Place,
    *,
    to: str | None = None,
    takes: str = "images",
    operate: str | Sequence[str] | None = None,
    check: Place | None = None,
) -> Path:
    """Write a classifier as one ONNX file, or as one folder to give away.

    Args:
        classifier: What is exported, or the folder of it or of its run, whose evaluations then
            stand on the model card.
        out: The file, or the folder, which is new or empty.
        to: 'onnx', 'safetensors' (the folder) or 'huggingface' (a model repository's, with both);
            None goes by the ending .onnx of out.
        takes: What the ONNX graph takes: 'images' (decoded, of any size) or 'pixels'.
        operate: Operating points for the ONNX file; None takes the presets.
        check: Radiographs to compare the ONNX file with the classifier on; None takes phantoms.

    Returns:
        What was written.

    Raises:
        ClassifierError: The format does not exist or does not fit, the folder holds something, or
            ONNX Runtime and the classifier disagree.
    """
    written = on_disk(out)
    to = to or (_ONNX if written.suffix.casefold() == ".onnx" else _FOLDER)
    formats = (_ONNX, _FOLDER, _REPOSITORY)
    if to not in formats:
        raise ClassifierError(f"There is no format '{to}'.{nearest(to, formats)}")
    model = as_classifier(classifier, device="cpu")
    beside = [] if isinstance(classifier, Classifier) else [Path(classifier)]
    evaluated = [] if to == _ONNX else [e for f in beside for e in read_for_card(f, model)]
    if to == _FOLDER:
        export_folder(model, written, evaluated)
        return written
    points = None if operate is None else several(operate)
    shown = images_to_check(on_disk(check))
    kind = parse_input(takes)
    if to == _ONNX:
        export_onnx(model, written, takes=kind, operate=points, radiographs=shown)
    else:
        export_repository(model, written, evaluated, takes=kind, operate=points, radiographs=shown)
    return written


def watch(
    classifier: Trained,
    images: Place | Sequence[Place],
    out: Place | None = None,
    *,
    level: float = LEVEL,
    expect: str = "",
    label: int = LABELS,
    labels: Place | None = None,
    progress: Progress | None = None,
) -> Watch:
    """Is it still the same? Images without labels against the validation images.

    Args:
        classifier: What is watched, or the folder of it or of its run.
        images: A folder, a file, a pattern such as 'week-12/**/*.png', or a list of such; at least
            30 radiographs.
        out: A folder for watch.html, watch.json, label-these.csv and the history, by which slow
            changes are found; None writes nothing.
        level: The chance of an alarm in a run in which nothing has changed, in (0, 0.5].
        expect: The mix that is expected, such as 'normal=0.9, covid=0.1'; '' takes that of the
            validation images.
        label: How many images to choose for labelling, 0 for none.
        labels: A label-these.csv of the same images, filled in.
        progress: Called with what is done, how many are done, and of how many.

    Returns:
        Whether an alarm is raised and why, the estimated mix and accuracy, and what to label.

    Raises:
        ClassifierError: The classifier keeps too few validation images, or none.
        DataError: There are too few images, or files cannot be read or written.
        EvaluationError: The level or the expected mix makes no sense.
    """
    out = on_disk(out)
    found = watch_images(
        as_classifier(classifier),
        [as_text(image) for image in several(images)],
        out=out,
        level=level,
        expect=expect,
        label=label,
        labels=on_disk(labels),
        progress=progress,
    )
    if out is not None:
        write_watch_page(found, out / "watch.html")
    return found


def predict_folder(
    classifier: Trained,
    images: Place | Sequence[Place],
    out: Place,
    *,
    operate: str | Sequence[str] = (),
    coverage: float | None = None,
    restart: bool = False,
    progress: Progress | None = None,
) -> Summary:
    """Classify any number of radiographs into a table, which goes on where it was interrupted.

    Unlike Classifier.predict it holds a few at a time, and gives a row to what cannot be read.

    Args:
        classifier: What classifies, or the folder of it or of its run.
        images: A folder, a file, a pattern such as 'scans/**/*.png', or a list of such.
        out: The table: .csv, .jsonl or .parquet.
        operate: Operating points, a column each.
        coverage: Of the prediction sets, in (0, 1); None takes 0.9, if it was calibrated.
        restart: Begin the table anew, whatever it holds.
        progress: Called with what is done, how many are done, and of how many.

    Returns:
        How many images there were, and how many could not be read.

    Raises:
        DataError: There is no image, or the table is of other images, of another classifier, or
            cannot be written.
    """
    return predict_files(
        as_classifier(classifier),
        [as_text(image) for image in several(images)],
        on_disk(out),
        operate=several(operate),
        coverage=coverage,
        restart=restart,
        progress=progress,
    )
