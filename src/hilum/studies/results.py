"""What a study found, as values and as study.json."""

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, ClassVar

from hilum.codec import read_plain
from hilum.errors import StudyError
from hilum.evaluation.files import HEADLINES, Evaluation, Matrix
from hilum.labels import LabelTree
from hilum.records import Estimate
from hilum.statistics.power import ALPHA
from hilum.studies.compare import Comparison
from hilum.studies.stressed import StressedComparison, StressedVariant
from hilum.training.checkpoint import Row
from hilum.wording import POINTS, Style, p_value

STUDY_FILE = "study.json"

#: Beyond this many, the number itself would claim too much.
_MANY = 1_000_000


def say(comparison: Comparison) -> str:
    """One sentence: which variant is better, or that the data cannot tell.

    Shares are in points (hundredths); areas and F1 in their own unit. A difference that the data
    do not show is given as a minus b, and never as a ranking.
    """
    c = comparison
    if c.difference.value is None:
        return f"`{c.a}` and `{c.b}` cannot be compared by {c.label}: {c.difference.reason}."
    if c.shown:
        worse = c.b if c.better == c.a else c.a
        return f"`{c.better}` is better than `{worse}` by {_amount(c, flip=c.better == c.b)}."
    if len(c.runs_a) < 2:
        return (
            f"Between `{c.a}` and `{c.b}` no interval can be given: it takes at least 2 runs of "
            f"each, and there is {len(c.runs_a)}."
        )
    cannot = f"The data cannot tell `{c.a}` from `{c.b}`"
    if c.difference.low is None:
        if c.difference.value == 0:
            return f"{cannot}: their {c.label} is the same in every run."
        return (
            f"{cannot}: the difference, `{c.a}` minus `{c.b}`, is {_amount(c)} in every run, so "
            "that no interval can be given."
        )
    return f"{cannot}: the difference, `{c.a}` minus `{c.b}`, is {_amount(c)}{_why(c)}{_needed(c)}."


def unit_of(label: str) -> Style:
    """How differences of a measure are written: shares in points, all others as they are.

    label: of the measure, as in Measure.label.
    """
    others = ("AUROC", "F1", "correlation", "average precision")
    return Style(minus=POINTS.minus) if any(other in label for other in others) else POINTS


def _amount(c: Comparison, *, flip: bool = False) -> str:
    """4.1 points of accuracy (1.2 to 7.0)."""
    unit = unit_of(c.label)
    return replace(unit, unit=f"{unit.unit} of {c.label}".strip()).words(c.difference, flip=flip)


def _why(c: Comparison) -> str:
    """Why an interval that leaves 0 out is not enough; '' where it holds 0."""
    assert c.difference.low is not None
    assert c.difference.high is not None
    if c.difference.low <= 0 <= c.difference.high:
        return ""
    if c.p_adjusted is not None and c.p_adjusted >= ALPHA:
        p = p_value(c.p_adjusted, "adjusted p")
        return f", which is not enough among the comparisons made ({p})"
    return ", which may lie in the images: all runs were tested on the same few"


def _needed(c: Comparison) -> str:
    """What it would take; '' where that cannot be said.

    The number of images speaks of these trained networks, so that seeds may ask for more: "at
    least". Where the images are enough for that, it is the runs that differ too much.
    """
    if c.images_needed is None:
        return ""
    if c.images_needed > c.n_images:
        many = _about(c.images_needed)
        return f"; at least {many} images would be needed to show it (there are {c.n_images:,})"
    text = "; these images might do, but one training differs from the next too much"
    if c.runs_needed is not None and c.runs_needed > len(c.runs_a):
        text += f": {_about(c.runs_needed)} runs would be needed to show it"
    return text


def _about(number: int) -> str:
    """A count to two significant digits, upward: it comes from an uncertain difference."""
    if number > _MANY:
        return f"{_MANY:,}"
    unit = 10 ** max(0, len(str(number)) - 2)
    return f"about {-(-number // unit) * unit:,}"


@dataclass(frozen=True, slots=True)
class Failure:
    """A run that failed, and why."""

    variant: str
    seed: int
    fold: int
    run: str
    error: str


@dataclass(frozen=True, slots=True)
class RunResult:
    """A finished run: how it did on what it held out, and how it got there.

    run: its folder below OUT/runs. value: the study's measure on the n held-out images, None
    where it is undefined on them. own_val: accuracy on the data's own val (of findings alone their
    mean AUROC), and own_val_matrix the confusion matrix there (rows are the truth); None without
    one. seconds: of training.
    history: a row per epoch and decision (history.jsonl).
    """

    run: str
    seed: int
    fold: int
    n: int
    n_train: int
    value: float | None
    own_val: Estimate | None
    own_val_matrix: Matrix | None
    seconds: float
    device: str
    precision: str
    history: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class VariantResult:
    """One variant over its runs.

    differences: of its recipe from the base. recipe: all of it. mean: of the measure over runs,
    with the corrected resampled t interval. pooled: every measure on the held-out images of all
    runs together, each image once, by the first run that held it out; None without a finished
    run. own_val_mean: mean accuracy over runs on the data's own val, whose n is the number of
    runs (the interval of each run, in own_val, speaks of its few images). predictions: the table
    of the pooled predictions, below the folder of the study. stressed: its runs under stress, None
    where the study asks for no stress test.
    """

    name: str
    differences: tuple[str, ...]
    recipe: dict[str, Any]
    runs: tuple[RunResult, ...]
    mean: Estimate
    pooled: Evaluation | None
    own_val_mean: Estimate | None
    predictions: str | None
    stressed: StressedVariant | None = None

    @property
    def seconds(self) -> float:
        """Training time of all runs."""
        return round(sum(run.seconds for run in self.runs), 3)

    def to_plain(self) -> dict[str, Any]:
        """As it stands in study.json, under its name."""
        keys = [field.name for field in fields(self) if field.name != "name"]
        return {key: getattr(self, key) for key in (*keys, "seconds")}


@dataclass(frozen=True, slots=True)
class StudyResult:
    """A whole study.

    study: the settings as in its file. measure: {"name", "label", "higher_is_better"}. data:
    {"name", "fingerprint", "synthetic", "counts", "labels", "source", "groups"}: counts of the data
    as opened, and where they have findings those of "findings" too; labels of what was compared;
    source: {"name", "title", "meaning"} of a data set that is known, else null; groups: how many
    patients or blocks were divided.
    versions, machine: with what and on what it was gathered; each run names its own device.
    published: the conclusions of published work beside these (published.py), empty without.
    stressed: the comparisons under stress (stressed.py), empty without.
    """

    FORMAT: ClassVar = 1
    DERIVED: ClassVar = ("sentences", "compute_seconds")

    study: dict[str, Any]
    measure: dict[str, Any]
    data: dict[str, Any]
    versions: dict[str, str]
    machine: dict[str, Any]
    variants: dict[str, VariantResult]
    comparisons: tuple[Comparison, ...]
    failures: tuple[Failure, ...]
    published: tuple[dict[str, Any], ...]
    notes: tuple[str, ...]
    stressed: tuple[StressedComparison, ...] = ()

    @property
    def name(self) -> str:
        return str(self.study["name"])

    @property
    def question(self) -> str:
        return str(self.study["question"])

    @property
    def headline(self) -> str:
        """What stands for all on the data's own val and under stress, as of Evaluation.headline."""
        return HEADLINES[bool(LabelTree.from_json(self.data["labels"]).decisions)]

    @property
    def trainings(self) -> dict[str, RunResult]:
        """The finished runs by their folders: variants that compute the same share theirs."""
        return {run.run: run for variant in self.variants.values() for run in variant.runs}

    @property
    def compute_seconds(self) -> float:
        """Training time of all runs of all variants."""
        return round(sum(run.seconds for run in self.trainings.values()), 3)

    @property
    def sentences(self) -> tuple[str, ...]:
        """What each comparison says, in plain words."""
        return tuple(say(comparison) for comparison in self.comparisons)

    @classmethod
    def from_plain(cls, data: dict[str, Any]) -> dict[str, Any]:
        """The fields: a variant's name is its key."""
        if "variants" not in data:
            return data  # which the codec then refuses
        variants = {name: {**variant, "name": name} for name, variant in data["variants"].items()}
        return {**data, "variants": variants}


def read_study(path: Path | str) -> StudyResult:
    """Read a study.json, given it or the folder of the study. Raises StudyError."""
    file = Path(path)
    file = file / STUDY_FILE if file.is_dir() else file
    return read_plain(file, StudyResult, what="a study's result", error=StudyError)
