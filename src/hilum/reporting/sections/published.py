"""The report's section that sets published figures beside a run's own, where that makes sense.

It does where the data are those of the published work, the networks and the strategy are among
the published ones, and the run was evaluated on the same images. Otherwise there is no section.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from hilum.auditing.provenance import known_sources
from hilum.errors import HilumError
from hilum.evaluation.evaluate import evaluate_predictions
from hilum.evaluation.files import PREDICTIONS_FILE, Evaluation
from hilum.evaluation.predictions_file import read_predictions
from hilum.recipe import Recipe, differences
from hilum.records import Estimate
from hilum.reporting.runs import Run, SplitResult
from hilum.reporting.sections.results import confusion_table
from hilum.reporting.subject import Subject
from hilum.studies.published import LastEpoch, Published, read_published
from hilum.table import Column, Columns, Row, Table
from hilum.wording import Cell, Style

#: The split that the published figures are of.
_SPLIT: Final = "val"

#: Keys of a recipe that make no other training in the published sense.
_FREE: Final = (
    "name", "description", "seed", "device", "precision", "keep_checkpoints", "keep_thumbnails",
    "monitor",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Figure:
    """A published figure beside the run's own on the same images.

    verdict: 'the same', 'in the interval', 'outside the interval', or why it cannot be said.
    """

    what: str
    published: float | None
    here: Estimate

    @property
    def verdict(self) -> str:
        """How the two compare."""
        if self.published is None or self.here.value is None:
            return "undefined there" if self.published is None else "undefined here"
        if abs(self.published - self.here.value) < 1e-9:
            return "the same"
        if self.here.low is None or self.here.high is None:
            return "differs; no interval"
        inside = self.here.low <= self.published <= self.here.high
        return "in the interval" if inside else "outside the interval"


def compare_published(subject: Subject) -> dict[str, Any] | None:
    """Published figures beside those of each run that they can be compared with; None for none."""
    published = read_published()
    found = [compared for run in subject.runs if (compared := _compare(run, published))]
    if not found:
        return None
    return {"runs": found, "source": published.source, "meaning": _meaning(published)}


def _compare(run: Run, published: Published) -> dict[str, Any] | None:
    recipe = _recipe_like(run, published)
    result = run.result(_SPLIT)
    if recipe is None or result is None or not _same_data(run, result, published):
        return None
    if set(run.tree.classes) != set(published.folders):
        return None
    names = published.images()
    if not set(names) <= set(result.verdicts):
        return None
    evaluation = _evaluate(run, result, names)
    correct = _correct(published, recipe)
    final = recipe == published.final.recipe
    matrix = _matrix(run, published) if final else None
    figures = _figures(run, evaluation, correct, matrix, published.of)
    columns: Columns = [
        Column(f"on the {len(names)} images", wrap=True), "published", "this run",
        Column("published figure", "text"),
    ]  # fmt: skip
    pairs = {"published": matrix, "this run": evaluation.confusion_matrix} if matrix else {}
    return {
        "run": run.name,
        "recipe": recipe,
        "n": len(names),
        "all": len(result.verdicts),
        "imported": run.imported,
        "differences": _other_settings(run, recipe),
        "table": Table(
            f"Published figures and those of {run.name}",
            columns,
            [[figure.what, figure.published, figure.here, figure.verdict] for figure in figures],
        ),
        "matrices": {
            whose: confusion_table(
                f"Confusion matrix, {whose}, {run.name}", run.tree.classes, found
            )
            for whose, found in pairs.items()
        },
        "right": (sum(correct.values()), evaluation.n - evaluation.errors),
        "losses": _losses(run, published.final.last_epoch) if final else None,
    }


def _recipe_like(run: Run, published: Published) -> str | None:
    """The built-in recipe with the run's networks and strategy, of those that were published."""
    networks = {str(n.get("name")) for n in (run.info.get("networks") or {}).values()}
    for name in (published.final.recipe, *published.reported):
        recipe = Recipe.load(name)
        if networks == {recipe.network} and run.strategy == recipe.strategy:
            return name
    return None


def _same_data(run: Run, result: SplitResult, published: Published) -> bool:
    """Whether the data are recognised as the published ones, when trained on or evaluated."""
    return run.data.get("source") == published.data or (
        _meaning(published) in result.evaluation.notes
    )


def _meaning(published: Published) -> str:
    """What the labels of the published data mean."""
    return next(source.meaning for source in known_sources() if source.name == published.data)


def _evaluate(run: Run, result: SplitResult, names: tuple[str, ...]) -> Evaluation:
    """The run's evaluation on the published images alone."""
    truth, said = read_predictions(run.folder / "evaluation" / _SPLIT / PREDICTIONS_FILE)
    place = {name: i for i, name in enumerate(said.names)}
    rows = np.array([place[name] for name in names])
    rule, strategy = result.evaluation.rule, result.evaluation.strategy
    return evaluate_predictions(
        run.tree, truth[rows], said.take(rows), rule=rule, strategy=strategy, split=_SPLIT
    )


def _correct(published: Published, recipe: str) -> dict[str, int]:
    """How many images of each class were classified rightly in the published work."""
    if recipe == published.final.recipe:
        matrix = published.final.confusion_matrix
        return {name: matrix[i][i] for i, name in enumerate(published.folders)}
    like = published.reported[recipe]
    return published.experiments[like.experiment].variants[like.variant].correct


def _matrix(run: Run, published: Published) -> list[list[int]]:
    """The published confusion matrix in the order of the run's classes."""
    order = [list(published.folders).index(name) for name in run.tree.classes]
    return [[published.final.confusion_matrix[i][j] for j in order] for i in order]


def _figures(
    run: Run,
    evaluation: Evaluation,
    correct: Mapping[str, int],
    matrix: list[list[int]] | None,
    of: int,
) -> list[Figure]:
    """Accuracy and recall, and where the confusion matrix was published, precision and F1."""
    found = [Figure("Accuracy", sum(correct.values()) / evaluation.n, evaluation.accuracy)]
    for k, name in enumerate(run.tree.classes):
        here = evaluation.per_class[name]
        right = correct[name]
        found.append(Figure(f"Recall of {name}", right / of, here.recall))
        if matrix is not None:
            called = sum(row[k] for row in matrix)
            precision = right / called if called else None
            found.append(Figure(f"Precision of {name}", precision, here.precision))
            found.append(Figure(f"F1 of {name}", 2 * right / (of + called), here.f1))
    return found


def _other_settings(run: Run, recipe: str) -> list[str] | None:
    """The settings in which a run's recipe is another than the published one; None: not known."""
    try:
        own = Recipe.load(run.folder / "recipe.toml")
    except HilumError:
        return None  # imported weights have none
    found = differences(Recipe.load(recipe), own)
    return [line for line in found if line.split(":")[0] not in _FREE]


def _losses(run: Run, published: Mapping[str, LastEpoch]) -> Table:
    """The last epoch's losses and accuracies; those on test only where a checkpoint tells them."""
    rows: list[Row] = []
    for decision, there in published.items():
        facts = (run.info.get("imported") or {}).get(decision) or {}
        last = (run.history.get(decision) or (None,))[-1]
        own = {
            "train loss": facts.get("train_loss", last and last.train_loss),
            "train accuracy": facts.get("training_accuracy", last and last.train_accuracy),
            "test loss": facts.get("test_loss"),
            "test accuracy": facts.get("test_accuracy"),
        }
        said = (there.train_loss, there.train_accuracy, there.test_loss, there.test_accuracy)
        for (what, here), value in zip(own.items(), said, strict=True):
            missing = Cell(None, small="not recorded")
            rows.append([decision, what, value, missing if here is None else here])
    columns: Columns = [
        "decision", Column("measure", "text"), Column("published", style=Style(4)),
        Column("this run", style=Style(4)),
    ]  # fmt: skip
    return Table(f"Published last epoch and that of {run.name}", columns, rows)
