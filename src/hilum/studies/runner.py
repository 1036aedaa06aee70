"""Running a study: what there is to train, doing it, and gathering what came out.

OUT/ runs/KEY/ (shared by all studies below OUT) · STUDY/ plan.json, study.json,
VARIANT/predictions.csv, VARIANT/evaluation.json
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from hilum.cluster import Cluster
from hilum.codec import read_plain, write_plain
from hilum.errors import Interrupted, StudyError
from hilum.radiographs.dataset import Dataset
from hilum.radiographs.pixels import Progress
from hilum.studies.collect import collect
from hilum.studies.on_ray import crew_of
from hilum.studies.results import STUDY_FILE, Failure, StudyResult
from hilum.studies.study import Study
from hilum.studies.study_run import RUNS, StudyPlan, StudyRun, is_finished, plan_study
from hilum.studies.workers import Outcome, do_runs, do_runs_by, work_on_runs
from hilum.training.checkpoint import Row
from hilum.training.folder import changed_data, read_facts
from hilum.training.interrupt import stop_on_signal

PLAN_FILE = "plan.json"


@dataclass(frozen=True)
class RunReport:
    """Told after every run: why it failed ('' if it did not), and how far the study is.

    seconds_left: an estimate, None until a run has been timed.
    """

    run: StudyRun
    error: str
    done: int
    total: int
    seconds_left: float | None


def run_study(
    study: Study,
    dataset: Dataset,
    out: Path | str,
    *,
    jobs: int = 1,
    cluster: Cluster | None = None,
    restart: bool = False,
    progress: Progress | None = None,
    on_run: Callable[[RunReport], None] | None = None,
) -> StudyResult:
    """Train and evaluate every variant with every seed, compare them, and write the result.

    out: a folder for studies; runs in it that are finished are used again, also those of other
    studies, and interrupted ones go on. jobs: processes that train at once; with more than one,
    the cores are shared evenly. cluster: train on the machines of a Ray cluster instead, which see
    out and the data under the same paths; without a number of workers, one on each of its GPUs, or
    on each machine. restart: go on although the data changed since the study's runs.
    A run that fails leaves the others going and is reported in the result.
    Raises what plan_study does; StudyError where the data changed or a worker sees others;
    ClusterError where the cluster cannot be used; Interrupted after Ctrl-C.
    """
    if jobs < 1:
        raise StudyError(f"A study needs at least 1 job, not {jobs}.")
    out = Path(out)
    plan = plan_study(study, dataset)
    home, folds = out / study.name, plan.folds
    _refuse_changed_data(plan, out, restart)
    settings, keys = study.settings.model_dump(mode="json"), tuple(r.key for r in plan.trainings)
    planned = _PlanFile(settings, _PlannedData.of(dataset), keys)
    write_plain(home / PLAN_FILE, planned, error=StudyError, indent=2)
    if restart:
        (home / STUDY_FILE).unlink(missing_ok=True)
    account = _Account(plan, out / RUNS, progress)
    failures: list[Failure] = []
    try:
        with _at_work(plan, out, jobs, cluster, account) as outcomes:
            for run, error in outcomes:
                if error:
                    fold = folds.number(run.number)
                    failures += [
                        Failure(twin.variant, twin.recipe.seed, fold, twin.key, error)
                        for twin in plan.runs
                        if twin.key == run.key
                    ]
                account.finish(run, failed=bool(error))
                if on_run:
                    on_run(account.report(run, error))
    except Interrupted:
        done = sum(is_finished(out / RUNS / run.key) for run in plan.trainings)
        raise Interrupted(
            f"{home}: stopped with {done} of {len(plan.trainings)} runs done; checkpoints of the "
            "others were written. Go on with the same command."
        ) from None
    result = collect(plan, out, failures)
    write_plain(home / STUDY_FILE, result, error=StudyError, indent=2)
    return result


@contextmanager
def _at_work(
    plan: StudyPlan, out: Path, jobs: int, cluster: Cluster | None, account: "_Account"
) -> Iterator[Iterator[Outcome]]:
    """What comes of the runs while they are done: in this process, or by a crew if any is new."""
    runs, folder = plan.trainings, (out.resolve() if cluster else out) / RUNS
    new = sum(not is_finished(folder / run.key) for run in runs)
    with ExitStack() as until_then:
        work = partial(do_runs, runs, plan.folds, folder)
        if (new > 1 and jobs > 1) or (new and cluster):
            to_do = (work_on_runs, plan.folds, folder)
            devices = {run.recipe.device for run in runs}
            crew = until_then.enter_context(
                crew_of(jobs, cluster, to_do, out=out, folds=plan.folds, devices=devices)
            )
            work = partial(do_runs_by, crew, runs)
            account.at_once = crew.size
        stop = until_then.enter_context(stop_on_signal())
        yield until_then.enter_context(closing(work(stop, account.add_epoch)))


@dataclass(frozen=True)
class _PlannedData:
    name: str
    fingerprint: str
    counts: dict[str, dict[str, int]]

    @classmethod
    def of(cls, dataset: Dataset) -> "_PlannedData":
        return cls(dataset.name, dataset.fingerprint, dataset.counts())


@dataclass(frozen=True)
class _PlanFile:
    """What a study is about to do; by it a later start knows whether the data changed."""

    FORMAT: ClassVar = 1

    study: dict[str, Any]
    data: _PlannedData
    runs: tuple[str, ...]


def _refuse_changed_data(plan: StudyPlan, out: Path, restart: bool) -> None:
    file = out / plan.study.name / PLAN_FILE
    if restart or not file.is_file():
        return
    try:
        before = read_plain(file, _PlanFile, what="a study's plan", error=StudyError)
    except StudyError as error:
        raise StudyError(f"{error} Remove it, or add --restart.") from None
    changed = changed_data(
        {"data": vars(before.data)}, {"data": vars(_PlannedData.of(plan.dataset))}
    )
    finished = sum(is_finished(out / RUNS / key) for key in before.runs)
    if changed and finished:
        raise StudyError(
            f"{file.parent}: the data changed since {finished} of its runs were made: "
            f"{changed[0].removeprefix('data: ')}. Put the data back, "
            "name another folder with --out, or begin anew on the new data with --restart."
        )


class _Account:
    """How far a study is, in runs, epochs and seconds."""

    at_once = 1  # how many runs are at work at a time

    def __init__(self, plan: StudyPlan, runs: Path, progress: Progress | None) -> None:
        self.runs, self.progress = runs, progress
        self.waiting = {run.key: run for run in plan.trainings}
        self.total, self.done = len(self.waiting), 0
        self.epochs_total = sum(run.epochs for run in plan.trainings)
        self.epochs = dict.fromkeys(self.waiting, 0)
        self.seconds: dict[str, tuple[float, int]] = {}  # by variant: of how many epochs
        for run in plan.trainings:
            if is_finished(runs / run.key):
                self._time(run)

    def add_epoch(self, run: StudyRun, row: Row) -> None:
        self.epochs[run.key] += 1
        self._show_progress()

    def finish(self, run: StudyRun, *, failed: bool) -> None:
        was_new = self.epochs[run.key] > 0
        self.epochs[run.key] = run.epochs  # also those before an interruption
        del self.waiting[run.key]
        self.done += 1
        if was_new and not failed:
            self._time(run)
        self._show_progress()

    def report(self, run: StudyRun, error: str) -> RunReport:
        return RunReport(run, error, self.done, self.total, self._seconds_left())

    def _time(self, run: StudyRun) -> None:
        facts = read_facts(self.runs / run.key) or {}
        seconds, epochs = self.seconds.get(run.variant, (0.0, 0))
        seconds += facts.get("seconds") or 0.0
        self.seconds[run.variant] = (seconds, epochs + run.epochs)

    def _seconds_left(self) -> float | None:
        """By the seconds an epoch takes: of the same variant where one was timed, else of all."""
        if not self.seconds:
            return None
        timed = [sum(column) for column in zip(*self.seconds.values(), strict=True)]
        left = 0.0
        for run in self.waiting.values():
            if is_finished(self.runs / run.key):
                continue
            seconds, epochs = self.seconds.get(run.variant, timed)
            left += run.epochs * seconds / epochs
        return left / self.at_once

    def _show_progress(self) -> None:
        if self.progress:
            self.progress("Training, in epochs", sum(self.epochs.values()), self.epochs_total)
