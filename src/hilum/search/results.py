"""What came out of a search: every trial, the best, and which keys mattered."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import optuna
from optuna.importance import FanovaImportanceEvaluator, get_param_importances
from optuna.trial import FrozenTrial, TrialState

from hilum.codec import from_plain
from hilum.errors import StudyError
from hilum.records import Estimate
from hilum.search.space import Space
from hilum.search.storage import ATTEMPTS
from hilum.search.trials import counts, is_given_up

SEARCH_FILE = "search.json"
BEST_FILE = "best.toml"

#: With fewer finished trials a random forest tells chance from importance badly.
ENOUGH_FOR_IMPORTANCE = 20

OPTIMISTIC = (
    "The best of many trials is better on the images that chose it than it will be on others "
    "(the winner's curse): take its figure as a promise, not as a result, and confirm it with a "
    "study against the recipe that the search began with."
)


@dataclass(frozen=True)
class TrialResult:
    """A trial. state: 'complete', 'pruned', 'failed' or 'running'.

    value: the measure, None unless complete; estimate: the same with its interval over images.
    values: the recipe's values of the keys searched. epochs: how many were monitored, over all
    networks. seconds: from begin to end, evaluation included; None while running. runs: names of
    its folders below OUT/runs. error: why it failed.
    """

    number: int
    state: str
    value: float | None
    estimate: Estimate
    values: Mapping[str, Any]
    epochs: int
    seconds: float | None
    runs: tuple[str, ...]
    error: str = ""


@dataclass(frozen=True)
class Importance:
    """How much of the measure's variance over the space each key explains; shares of 1.

    shares: by key, the largest first; empty where there is a reason. n: complete trials. Pruned
    trials are left out. method: how it was computed.
    Source: Hutter, Hoos and Leyton-Brown 2014 (fANOVA), https://proceedings.mlr.press/v32/hutter14
    """

    shares: Mapping[str, float]
    n: int
    method: str = "fANOVA"
    reason: str = ""


@dataclass(frozen=True)
class SearchResult:
    """A search as search.json holds it.

    recipe: the one that it began with, in full; space: the table of each key; log_keys: those
    drawn over powers. measure: {"name", "label", "higher_is_better"}. data: {"name",
    "fingerprint", "synthetic", "counts", "labels"}. folds, held_out: into how many parts train
    was cut, and on how many of them each trial was scored. n_images: how many images those hold.
    wanted: how many trials were asked for. storage: without password. best: the number of the
    best trial, the first of equals; None if no trial is complete.
    """

    DERIVED: ClassVar = ("sentences",)

    name: str
    recipe: Mapping[str, Any]
    space: Mapping[str, Any]
    log_keys: tuple[str, ...]
    measure: Mapping[str, Any]
    data: Mapping[str, Any]
    folds: int
    held_out: int
    n_images: int
    seed: int
    wanted: int
    storage: str
    versions: Mapping[str, str]
    trials: tuple[TrialResult, ...]
    best: int | None
    importance: Importance
    notes: tuple[str, ...]

    @property
    def best_trial(self) -> TrialResult | None:
        """The best trial, if one is complete."""
        return next((t for t in self.trials if t.number == self.best), None)

    def with_state(self, state: str) -> list[TrialResult]:
        """The trials in a state."""
        return [t for t in self.trials if t.state == state]

    @property
    def sentences(self) -> list[str]:
        """What came out, in plain words."""
        states = ("complete", "pruned", "failed", "running")
        number = {s: len(self.with_state(s)) for s in states}
        counted = ", ".join(f"{n} {state}" for state, n in number.items() if n)
        found = [f"{len(self.trials)} of {self.wanted} trials: {counted or 'none begun'}."]
        best = self.best_trial
        if best is None or best.value is None:
            return [*found, "No trial is complete, so there is no best one."]
        low, high = best.estimate.low, best.estimate.high
        interval = ""
        if low is not None and high is not None:
            interval = f" (95 % interval over images {low:.3f} to {high:.3f})"
        found.append(
            f"Trial {best.number} has the highest {self.measure['label']}, {best.value:.3f}"
            f"{interval}, on {self.n_images} images of train that it did not train on."
        )
        others = [t for t in self.with_state("complete") if t.number != best.number]
        if low is not None and others:
            inside = sum(t.value is not None and t.value >= low for t in others)
            found.append(
                f"Of the {len(others)} other complete trials, {inside} lie within that interval."
            )
        return [*found, OPTIMISTIC]


def list_trials(study: optuna.Study, space: Space) -> tuple[TrialResult, ...]:
    """The trials that count, in the order of their numbers."""
    return tuple(_result(t, space) for t in study.get_trials(deepcopy=False) if counts(t))


def best_of(trials: Sequence[TrialResult]) -> int | None:
    """The number of the trial with the highest value, the first of equals."""
    complete = [t for t in trials if t.value is not None]
    return max(complete, key=lambda t: (t.value, -t.number)).number if complete else None


def measure_importance(study: optuna.Study, seed: int) -> Importance:
    """How much each key mattered, by fANOVA, where there are enough complete trials."""
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    n = len(complete)
    if n < ENOUGH_FOR_IMPORTANCE:
        reason = f"needs at least {ENOUGH_FOR_IMPORTANCE} complete trials, found {n}"
    elif len({t.value for t in complete}) == 1:
        reason = "every complete trial has the same value"
    else:
        shares = get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=seed))
        return Importance({name: float(share) for name, share in shares.items()}, n)
    return Importance({}, n, reason=reason)


def _result(trial: FrozenTrial, space: Space) -> TrialResult:
    attrs, complete = trial.user_attrs, trial.state == TrialState.COMPLETE
    states = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned"}
    error = str(attrs.get("error", ""))
    if is_given_up(trial):
        error = f"its process died {ATTEMPTS} times; often there is too little memory"
    return TrialResult(
        number=trial.number,
        state=states.get(trial.state, "failed" if trial.state == TrialState.FAIL else "running"),
        value=trial.value if complete else None,
        estimate=from_plain(Estimate, attrs["estimate"], what="an estimate", error=StudyError)
        if complete
        else Estimate.undefined("the trial is not complete"),
        values=space.values(trial.params),
        epochs=len(trial.intermediate_values),
        seconds=round(trial.duration.total_seconds(), 3) if trial.duration else None,
        runs=tuple(attrs.get("runs", ())),
        error=error,
    )
