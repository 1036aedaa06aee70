"""The trials of a search: draw settings, train with them, and say how good they are.

A trial trains as a run of a study does, in OUT/runs/KEY, so one that was stopped goes on from its
checkpoint when it is tried again, and settings that were drawn before are not trained again.
Trials are done in this process or in several, here or on other machines, which meet in the
storage alone.
"""

import hashlib
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import filelock
import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, TPESampler
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from hilum.codec import to_plain
from hilum.errors import Interrupted, Pruned, StudyError
from hilum.files import locked
from hilum.labels import LabelTree
from hilum.radiographs.dataset import Dataset
from hilum.recipe import Recipe
from hilum.records import Estimate, FloatArray, IntArray
from hilum.search.space import Space
from hilum.search.storage import ATTEMPTS, revive_lost
from hilum.statistics.intervals import cluster_bootstrap
from hilum.studies.folds import Folds, HeldOut
from hilum.studies.measures import Measure
from hilum.studies.study_run import RunIsBusy, StudyRun, do_run, make_run, read_held_out
from hilum.studies.workers import BUSY_WAIT, describe_failure
from hilum.training.checkpoint import Row
from hilum.training.interrupt import StopRequest

#: Optuna numbers the reports of a trial: those of its k-th network begin at k times this, which is
#: more than any network has epochs.
_STRIDE = 100_000

#: Epochs of every network before it may be pruned: the first says little.
_WARM_UP = 1

POLL = 0.5  # seconds between looks at the storage


class Surplus(Exception):  # noqa: N818 - it is not an error
    """Another worker was first to begin the last trial."""


@dataclass(frozen=True)
class Search:
    """A search on its data, checked. Made by search.plan_search.

    base: the recipe that it begins with. folds: the parts of train, without the data's own val.
    held_out: how many of them each trial is scored on.
    """

    name: str
    base: Recipe
    space: Space
    measure: Measure
    dataset: Dataset
    folds: Folds
    block_size: int
    held_out: int
    seed: int

    def identity(self) -> dict[str, Any]:
        """What must be equal for a search to go on."""
        return {
            # without what may differ from machine to machine
            "recipe": self.base.model_copy(update={"description": "", "device": "auto"}).to_dict(),
            "space": self.space.tables(),
            "data": {
                "name": self.dataset.name,
                "fingerprint": self.dataset.fingerprint,
                "counts": self.dataset.counts(),
            },
            "labels": self.folds.tree.to_json(),
            "measure": self.measure.name,
            "held_out": self.held_out,
            "block_size": self.block_size,
            "seed": self.seed,
        }


@dataclass(frozen=True)
class Task(Search):
    """A search, and how its trials are done.

    trials: how many there are to be. runs: OUT/runs. url: of the storage; it may hold a password.
    deadline: by time.time(), when no further trial begins; None for never.
    """

    trials: int
    runs: Path
    url: str = field(repr=False)
    prune: bool
    keep_pruned: bool
    deadline: float | None


def counts(trial: FrozenTrial) -> bool:
    """Whether a trial counts as one of those asked for: not if it was stopped or its worker died.

    A trial that lost its worker again and again counts, as failed.
    """
    if trial.state == TrialState.FAIL:
        return "error" in trial.user_attrs or is_given_up(trial)
    return trial.state != TrialState.WAITING


def is_given_up(trial: FrozenTrial) -> bool:
    """Whether a trial's worker died as often as it was begun."""
    attrs = trial.user_attrs
    lost = trial.state == TrialState.FAIL and not attrs.keys() & {"error", "stopped", "surplus"}
    return lost and attrs.get("attempt", 1) >= ATTEMPTS


class Objective:
    """What Optuna calls for every trial. stopped: the trial that Ctrl-C ended, if one was."""

    def __init__(self, task: Task, study: optuna.Study, stop: StopRequest) -> None:
        self.task, self.study, self.stop = task, study, stop
        self.stopped: FrozenTrial | None = None

    def __call__(self, trial: optuna.Trial) -> float:
        """The measure of a trial; why it has none is kept with it.

        Raises optuna.TrialPruned, or whatever made it fail.
        """
        try:
            return self._score(trial)
        except Pruned as pruned:
            raise optuna.TrialPruned(str(pruned)) from None
        except Surplus:
            trial.set_user_attr("surplus", True)
            raise
        except Interrupted:
            trial.set_user_attr("stopped", True)
            self.stopped = self.study.trials[trial.number]
            raise
        except Exception as error:  # whatever it was, the other trials are none the worse
            trial.set_user_attr("error", describe_failure(error))
            raise

    def _score(self, trial: optuna.Trial) -> float:
        task = self.task
        # Workers that look at the same time begin too many; those with the lowest numbers count.
        earlier = self.study.get_trials(deepcopy=False)[: trial.number]
        if sum(map(counts, earlier)) >= task.trials:
            raise Surplus
        recipe = task.space.apply(task.base, task.space.suggest(trial))
        runs = make_runs(task, trial.number, recipe)
        trial.set_user_attr("runs", [run.key for run in runs])
        watch = _Watch(trial, task.folds.tree, runs, task.prune)
        held = []
        for run in runs:
            held.append(self._do(run, watch))
            watch.next_run()
        estimate = score(task.measure, task.folds, held)
        trial.set_user_attr("estimate", to_plain(estimate))
        if estimate.value is None:
            raise StudyError(
                f"{task.measure.label} is undefined on the held-out images ({estimate.reason})."
            )
        return estimate.value

    def _do(self, run: StudyRun, watch: "_Watch") -> HeldOut:
        task = self.task
        while True:
            try:
                do_run(run, task.folds, task.runs, watch.see)
            except RunIsBusy:  # another trial drew the same settings, and is at it
                if self.stop.requested:
                    raise Interrupted("stopped") from None
                time.sleep(BUSY_WAIT)
            except Pruned:
                if not task.keep_pruned:
                    _remove(task.runs, run.key)
                raise
            else:
                return read_held_out(run, task.folds, task.runs)


class _Watch:
    """Looks at every epoch of a trial, and ends it where it falls behind the others.

    It compares monitored accuracy, since losses under different class weights are not alike. Of
    the k-th network it reports k plus the accuracy, so that a pruner that looks at the best value
    so far, as Optuna's do, compares this network and not one that was trained before it.
    """

    def __init__(
        self, trial: optuna.Trial, tree: LabelTree, runs: Sequence[StudyRun], prune: bool
    ) -> None:
        self.trial, self.prune, self.run = trial, prune, 0
        self.names = [d.name for d in runs[0].recipe.networks(tree)]
        self.last = len(runs) * len(self.names) - 1

    def next_run(self) -> None:
        self.run += 1

    def see(self, row: Row) -> None:
        accuracy = row["monitor_accuracy"]
        if accuracy is None or row.get("member", 1) > 1:  # members follow the first one's course
            return
        network = self.run * len(self.names) + self.names.index(row["decision"])
        self.trial.report(network + accuracy, network * _STRIDE + row["epoch"])
        finished = network == self.last and row["epoch"] == row["epochs"]
        if self.prune and not finished and row["epoch"] > _WARM_UP and self.trial.should_prune():
            raise Pruned(
                f"pruned: after epoch {row['epoch']} of '{row['decision']}' its monitored accuracy "
                "was below the median of the other trials"
            )


def make_runs(task: Task, number: int, recipe: Recipe) -> list[StudyRun]:
    """The runs of a trial: as those of a study, run i has the seed plus i and holds out fold i."""
    return [
        make_run(
            f"trial {number}",
            i,
            recipe.model_copy(update={"seed": (task.base.seed + i) % 2**32}),
            task.folds.part(i),
        )
        for i in range(task.held_out)
    ]


def score(measure: Measure, folds: Folds, held: Sequence[HeldOut]) -> Estimate:
    """The mean of a measure over runs that held out different images.

    Its interval is the cluster bootstrap's: it speaks of other images, not of other seeds.
    Undefined where the measure is in a run.
    """
    ends = np.cumsum([len(h) for h in held])

    def mean(draws: IntArray) -> FloatArray:
        parts = np.split(draws, ends[:-1], axis=1)
        pairs = zip(held, parts, strict=True)
        found = [
            measure.replicates(folds.tree, h.truth, h.predictions, d, h.marks) for h, d in pairs
        ]
        return np.asarray(np.mean(found, axis=0), dtype=np.float64)

    size = len(folds.tree.classes)
    return cluster_bootstrap(
        mean,
        [folds.groups[name] for h in held for name in h.predictions.names],
        strata=np.concatenate([h.truth + i * size for i, h in enumerate(held)]),
    )


class TrialSampler(BaseSampler):
    """Optuna's TPE with a seed for every trial, from that of the search and the trial's number.

    So a search draws the same whether it was interrupted or not, and workers do not draw alike.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._samplers: dict[int, TPESampler] = {}

    def _of(self, trial: FrozenTrial) -> TPESampler:
        if trial.number not in self._samplers:
            digest = hashlib.sha256(f"{self.seed} {trial.number}".encode()).digest()
            self._samplers = {trial.number: TPESampler(seed=int.from_bytes(digest[:4], "big"))}
        return self._samplers[trial.number]

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """As TPE."""
        return self._of(trial).infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """As TPE."""
        return self._of(trial).sample_relative(study, trial, search_space)

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """As TPE."""
        return self._of(trial).sample_independent(study, trial, param_name, param_distribution)


def _remove(runs: Path, key: str) -> None:
    """Remove the folder of a pruned run, unless another trial has taken it up meanwhile."""
    try:
        with locked(runs / f".{key}.lock", timeout=0):
            shutil.rmtree(runs / key)
    except filelock.Timeout:
        pass


def open_study(task: Task, storage: BaseStorage) -> optuna.Study:
    """Optuna's study of a search: TPE draws, the median of five or more trials prunes."""
    return optuna.create_study(
        storage=storage,
        study_name=task.name,
        direction="maximize",
        load_if_exists=True,
        sampler=TrialSampler(task.seed),
        pruner=optuna.pruners.MedianPruner(),
    )


def work(task: Task, study: optuna.Study, stop: StopRequest, look: Callable[[], None]) -> None:
    """Do trials until there are enough, the time is over, or a stop is requested.

    The last ones may be at work elsewhere; it waits for them, and takes over one whose worker
    died. look: called after every trial, and while waiting.
    """
    objective = Objective(task, study, stop)
    while not stop.requested:
        late = task.deadline is not None and time.time() >= task.deadline
        begun = [t for t in study.get_trials(deepcopy=False) if counts(t)]
        if late:
            return
        if len(begun) < task.trials:
            study.optimize(objective, n_trials=1, catch=(Exception,))
            if objective.stopped:
                # its training has swallowed the signal; the next start goes on with it
                stop.requested = True
                attempt = objective.stopped.user_attrs.get("attempt", 1)
                again = {"attempt": attempt, "again": objective.stopped.number}
                study.enqueue_trial(objective.stopped.params, user_attrs=again)
        elif any(t.state == TrialState.RUNNING for t in begun):
            time.sleep(POLL)
            revive_lost(study)
        else:
            return
        look()
