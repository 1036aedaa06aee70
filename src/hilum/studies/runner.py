"""Running a study: what there is to train, doing it, and gathering what came out.

OUT/ runs/KEY/ (shared by all studies below OUT) · STUDY/ plan.json, study.json,
VARIANT/predictions.csv, VARIANT/evaluation.json
"""

import json
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hilum.errors import Interrupted, StudyError
from hilum.files import write_atomically
from hilum.labels import LabelTree
from hilum.radiographs.dataset import Dataset
from hilum.radiographs.pixels import Progress
from hilum.settings import Settings
from hilum.studies.collect import collect
from hilum.studies.folds import Folds, divide
from hilum.studies.measures import Measure
from hilum.studies.results import STUDY_FILE, Failure, StudyResult
from hilum.studies.runs import Run, is_finished, make_run
from hilum.studies.study import Study
from hilum.studies.workers import Outcome, do_runs, do_runs_in_processes
from hilum.training.checkpoint import Row
from hilum.training.folder import read_facts
from hilum.training.interrupt import StopRequest, stop_on_signal
from hilum.training.plan import make_plan

PLAN_FILE = "plan.json"
RUNS = "runs"


@dataclass(frozen=True)
class StudyPlan:
    """A study on its data, checked: every run that it takes.

    Variants that compute the same share their runs; trainings are the runs with each key once.
    """

    study: Study
    dataset: Dataset
    folds: Folds
    measure: Measure
    runs: tuple[Run, ...]

    @property
    def trainings(self) -> tuple[Run, ...]:
        first: dict[str, Run] = {}
        for run in self.runs:
            first.setdefault(run.key, run)
        return tuple(first.values())


@dataclass(frozen=True)
class RunReport:
    """Told after every run: why it failed ('' if it did not), and how far the study is.

    seconds_left: an estimate, None until a run has been timed.
    """

    run: Run
    error: str
    done: int
    total: int
    seconds_left: float | None


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
    first: dict[str, Run] = {}
    for run in runs:
        twin = first.setdefault(run.key, run)
        if twin is not run and _settings(twin, folds.tree) == _settings(run, folds.tree):
            raise StudyError(
                f"{study.name}: the variants '{twin.variant}' and '{run.variant}' train the same "
                "on these labels: what they differ in is overridden for every decision."
            )
    return StudyPlan(study, dataset, folds, measure, runs)


def _settings(run: Run, tree: LabelTree) -> list[Settings]:
    return [run.recipe.settings(decision.name) for decision in run.recipe.networks(tree)]


def run_study(
    study: Study,
    dataset: Dataset,
    out: Path | str,
    *,
    jobs: int = 1,
    restart: bool = False,
    progress: Progress | None = None,
    on_run: Callable[[RunReport], None] | None = None,
) -> StudyResult:
    """Train and evaluate every variant with every seed, compare them, and write the result.

    out: a folder for studies; runs in it that are finished are used again, also those of other
    studies, and interrupted ones go on. jobs: processes that train at once; with more than one,
    the cores are shared evenly. restart: go on although the data changed since the study's runs.
    A run that fails leaves the others going and is reported in the result.
    Raises what plan_study does; StudyError where the data changed; Interrupted after Ctrl-C.
    """
    if jobs < 1:
        raise StudyError(f"A study needs at least 1 job, not {jobs}.")
    out = Path(out)
    plan = plan_study(study, dataset)
    home = out / study.name
    _refuse_changed_data(plan, out, restart)
    _write_plan(plan, home)
    if restart:
        (home / STUDY_FILE).unlink(missing_ok=True)
    account = _Account(plan, out / RUNS, jobs, progress)
    failures: list[Failure] = []
    try:
        with (
            stop_on_signal() as stop,
            closing(_outcomes(plan, out / RUNS, jobs, stop, account.add_epoch)) as outcomes,
        ):
            for outcome in outcomes:
                run, error = outcome.run, outcome.error
                if error:
                    fold = plan.folds.number(run.number)
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
    result = collect(plan.study, plan.dataset, plan.folds, plan.measure, plan.runs, out, failures)
    write_atomically(home / STUDY_FILE, _json(result.to_json()))
    return result


def _outcomes(
    plan: StudyPlan,
    runs: Path,
    jobs: int,
    stop: StopRequest,
    on_epoch: Callable[[Run, Row], None],
) -> Generator[Outcome, None, None]:
    trainings = plan.trainings
    unfinished = sum(not is_finished(runs / run.key) for run in trainings)
    if jobs == 1 or unfinished < 2:
        yield from do_runs(trainings, plan.folds, runs, stop, on_epoch)
    else:
        yield from do_runs_in_processes(trainings, plan.folds, runs, stop, on_epoch, jobs=jobs)


def _refuse_changed_data(plan: StudyPlan, out: Path, restart: bool) -> None:
    file = out / plan.study.name / PLAN_FILE
    if restart or not file.is_file():
        return
    try:
        before = json.loads(file.read_text(encoding="utf-8"))
        data, runs = before["data"], before["runs"]
        fingerprint, counts = data["fingerprint"], data["counts"]
        finished = sum(is_finished(out / RUNS / key) for key in runs)
    except (ValueError, KeyError, TypeError) as error:
        raise StudyError(f"{file}: damaged ({error}); remove it, or add --restart.") from None
    if fingerprint != plan.dataset.fingerprint and finished:
        now = plan.dataset.counts()
        same = " (same counts, other contents)" if counts == now else ""
        raise StudyError(
            f"{file.parent}: the data changed since {finished} of its runs were made: "
            f"{data['name']} {counts} → {plan.dataset.name} {now}{same}. Put the data back, name "
            "another folder with --out, or begin anew on the new data with --restart."
        )


def _write_plan(plan: StudyPlan, home: Path) -> None:
    """What the study is about to do; by it a later start knows whether the data changed."""
    facts = {
        "format": 1,
        "study": plan.study.settings.model_dump(mode="json"),
        "data": {
            "name": plan.dataset.name,
            "fingerprint": plan.dataset.fingerprint,
            "counts": plan.dataset.counts(),
        },
        "runs": [run.key for run in plan.trainings],
    }
    try:
        write_atomically(home / PLAN_FILE, _json(facts))
    except OSError as error:
        raise StudyError(f"{home}: cannot be written ({error.strerror}).") from None


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


class _Account:
    """How far a study is, in runs, epochs and seconds."""

    def __init__(self, plan: StudyPlan, runs: Path, jobs: int, progress: Progress | None) -> None:
        self.runs, self.jobs, self.progress = runs, jobs, progress
        self.waiting = {run.key: run for run in plan.trainings}
        self.total, self.done = len(self.waiting), 0
        self.epochs_total = sum(run.epochs for run in plan.trainings)
        self.epochs = dict.fromkeys(self.waiting, 0)
        self.seconds: dict[str, tuple[float, int]] = {}  # by variant: of how many epochs
        for run in plan.trainings:
            if is_finished(runs / run.key):
                self._time(run)

    def add_epoch(self, run: Run, row: Row) -> None:
        self.epochs[run.key] += 1
        self._tell()

    def finish(self, run: Run, *, failed: bool) -> None:
        was_new = self.epochs[run.key] > 0
        self.epochs[run.key] = run.epochs  # also those before an interruption
        del self.waiting[run.key]
        self.done += 1
        if was_new and not failed:
            self._time(run)
        self._tell()

    def report(self, run: Run, error: str) -> RunReport:
        return RunReport(run, error, self.done, self.total, self._seconds_left())

    def _time(self, run: Run) -> None:
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
        return left / self.jobs

    def _tell(self) -> None:
        if self.progress:
            self.progress("Training, in epochs", sum(self.epochs.values()), self.epochs_total)
