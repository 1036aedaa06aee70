"""What published work reports, as data, and whether its conclusions hold in a study's comparisons.

The figures lie in published.toml, whose head says what each of them is.
"""

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, Field

from hilum.errors import StudyError, nearest
from hilum.files import read_packaged
from hilum.records import Estimate
from hilum.statistics.intervals import wilson

if TYPE_CHECKING:
    from hilum.studies.compare import Comparison

#: 'not tested': the study has no comparison of the two, as where their runs failed.
Verdict = Literal["supported", "not distinguishable", "contradicted", "not tested"]


class _Figures(BaseModel, frozen=True, extra="forbid", allow_inf_nan=False):
    """What all of it is made of."""


class PublishedVariant(_Figures):
    """What was published of one variant; see the head of published.toml."""

    correct: dict[str, int] = Field(default_factory=dict)
    test_accuracy: float | None = None
    val: dict[str, dict[str, float]] = Field(default_factory=dict)

    def accuracy(self, of: int) -> Estimate | None:
        """Accuracy on val with its Wilson interval, where the numbers correct were published.

        of: how many images each class has in val.
        """
        if not self.correct:
            return None
        return wilson(sum(self.correct.values()), of * len(self.correct))


class Conclusion(_Figures):
    """A published conclusion: one variant was held to be better than another, on some basis."""

    statement: str
    better: str
    than: str
    basis: str


class Experiment(_Figures):
    """A published experiment: its question, figures by variant, and conclusions."""

    question: str
    variants: dict[str, PublishedVariant]
    conclusions: tuple[Conclusion, ...]


class LastEpoch(_Figures):
    """Losses and accuracies of the last epoch of a decision's training."""

    train_loss: float
    train_accuracy: float
    test_loss: float
    test_accuracy: float


class Final(_Figures):
    """The published cascade. recipe: the built-in one that trains it. last_epoch: by decision."""

    recipe: str
    confusion_matrix: tuple[tuple[int, ...], ...]
    last_epoch: dict[str, LastEpoch]


class Reported(_Figures):
    """The published variant that is like a built-in recipe."""

    experiment: str
    variant: str


class Published(_Figures):
    """All of it.

    source: where it comes from. data: on which data. of: images per class in val. folders: where
    these lie, by class. final: the cascade published in the end. reported: variants by recipe.
    """

    source: str
    data: str
    of: int
    folders: dict[str, str]
    final: Final
    reported: dict[str, Reported]
    experiments: dict[str, Experiment]

    def images(self) -> tuple[str, ...]:
        """The names below the data root of the images of val that the figures rest on."""
        return tuple(f"{at}/{i}.jpg" for at in self.folders.values() for i in range(self.of))


@cache
def read_published() -> Published:
    """The published figures."""
    return Published.model_validate(read_packaged("studies", "published.toml"))


def published_names() -> tuple[str, ...]:
    """The published experiments."""
    return tuple(read_published().experiments)


def read_experiment(name: str) -> Experiment:
    """One published experiment. Raises StudyError for another name."""
    if name not in published_names():
        raise StudyError(
            f"There are no published figures '{name}'.{nearest(name, published_names())}"
        )
    return read_published().experiments[name]


def judge(conclusion: Conclusion, comparisons: Sequence["Comparison"]) -> Verdict:
    """Whether a conclusion holds in a study.

    'supported' where the comparison of the two shows a difference in the direction concluded,
    'contradicted' where it shows the opposite, 'not distinguishable' where it shows none.
    """
    for comparison in comparisons:
        if {comparison.a, comparison.b} == {conclusion.better, conclusion.than}:
            if comparison.better is None:
                return "not distinguishable"
            return "supported" if comparison.better == conclusion.better else "contradicted"
    return "not tested"


def judge_all(name: str, comparisons: Sequence["Comparison"]) -> tuple[dict[str, Any], ...]:
    """Every conclusion of an experiment, with its verdict.

    Returns for each {"statement", "better", "than", "basis", "verdict"}.
    """
    return tuple(
        {**conclusion.model_dump(), "verdict": judge(conclusion, comparisons)}
        for conclusion in read_experiment(name).conclusions
    )
