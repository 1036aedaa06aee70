"""Searching a recipe's settings: trials, one after the other or in many places at once.

OUT/ search.db or search.journal (unless the storage is elsewhere) · search.json · best.toml ·
runs/KEY/
"""

import time
from collections.abc import Callable
from pathlib import Path

import optuna

from hilum.auditing.splits import BLOCK_SIZE
from hilum.cluster import Cluster
from hilum.codec import write_plain
from hilum.errors import Interrupted, StudyError
from hilum.evaluation.evaluate import describe_data
from hilum.files import write_atomically
from hilum.radiographs.dataset import Dataset, describe_damage
from hilum.radiographs.pixels import Progress
from hilum.recipe import Recipe, differences
from hilum.search.results import (
    BEST_FILE,
    SEARCH_FILE,
    SearchResult,
    TrialResult,
    best_of,
    list_trials,
    measure_importance,
)
from hilum.search.space import Space
from hilum.search.storage import default_url, open_storage, quiet_optuna, shown
from hilum.search.trials import Search, Task, counts, open_study, work
from hilum.search.workers import work_alone, work_by
from hilum.studies.folds import Folds, divide
from hilum.studies.measures import Measure
from hilum.studies.on_ray import crew_of
from hilum.training.folder import changed_data, versions
from hilum.training.interrupt import StopRequest, stop_on_signal

#: Into how many parts train is cut: as many as in studies by default, whose runs are then shared.
FOLDS = 5

#: Under this name Optuna's study keeps the search's identity, by which a later start is refused
#: if it is another.
_IDENTITY = "hilum"

OnTrial = Callable[[TrialResult, int, int], None]


def plan_search(
    recipe: Recipe,
    dataset: Dataset,
    space: Space,
    *,
    measure: str | None = None,
    held_out: int = 1,
    block_size: int = BLOCK_SIZE,
    seed: int = 0,
    name: str | None = None,
) -> Search:
    """Check a search before anything is written.

    recipe: what the search begins with; keys outside the space stay as they are. measure: what
    decides, as in measures.py, None for what Measure.parse then takes. held_out: train is cut into
    5 folds as for a study; each trial trains without one and is scored on it, so many times. The
    test split and the data's own val are never looked at. block_size: neighbouring file numbers
    that stay in one fold. seed: of what is drawn. name: of the search in its storage; by default
    the recipe's.
    Raises RecipeError, StudyError or TrainingError where a bound or choice does not fit,
    EvaluationError for a measure that the labels do not have, DataError for data.
    """
    if not 1 <= held_out <= FOLDS:
        raise StudyError(f"A search holds out 1 to {FOLDS} folds, not {held_out}.")
    parts = divide(dataset, FOLDS, block_size)
    folds = Folds(parts.parts, None, parts.groups)
    found = Measure.parse(measure, folds.tree)
    space.check(recipe, folds.part(0))
    return Search(
        name or recipe.name, recipe, space, found, dataset, folds, block_size, held_out, seed
    )


def run_search(
    search: Search,
    out: Path | str,
    *,
    trials: int,
    storage: str | None = None,
    timeout: float | None = None,
    jobs: int = 1,
    cluster: Cluster | None = None,
    prune: bool = True,
    keep_pruned: bool = False,
    progress: Progress | None = None,
    on_trial: OnTrial | None = None,
) -> SearchResult:
    """Try settings until there are so many trials; write search.json and best.toml.

    out: the search's folder. trials: of all places together, those of earlier starts included;
    trials that were stopped or whose worker died are begun again. storage: a database URL, by
    default SQLite in out, or of a cluster of several machines a journal; other machines with the
    same URL work on the same search. timeout: seconds after which no trial begins. jobs: processes
    here. cluster: work on the machines of a Ray cluster instead, as of run_study. prune: end
    trials that fall behind the median; keep_pruned: keep their folders. on_trial: called with each
    trial that ends, of whatever place, how many did, and trials.
    A trial that fails is kept with its error and leaves the others going.
    Raises StudyError where the storage holds another search by this name or fails, or a worker
    sees other data, ClusterError where the cluster cannot be used, and Interrupted after Ctrl-C;
    the result so far is then written.
    """
    if trials < 1 or jobs < 1 or (timeout is not None and timeout <= 0):
        raise StudyError("A search needs at least 1 trial and 1 job, and a timeout above 0 s.")
    out = Path(out)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StudyError(f"{out}: cannot be made ({error.strerror}).") from None
    task = Task(
        **vars(search),
        trials=trials,
        runs=out.resolve() / "runs",
        url=storage or default_url(out, machines=bool(cluster and cluster.address)),
        prune=prune,
        keep_pruned=keep_pruned,
        deadline=None if timeout is None else time.time() + timeout,
    )
    with quiet_optuna(), open_storage(task.url) as opened:
        study = open_study(task, opened)
        _agree(study, task)
        account = _Account(study, search.space, trials, progress, on_trial)
        stop = _work(study, task, jobs, cluster, account.look, out)
        account.look()
        _agree(study, task)  # another may have begun at the same moment
        result = _collect(study, task, storage is None)
        _write(result, search, out)
    if stop.requested:
        raise Interrupted(
            f"{out}: stopped with {len(result.trials)} of {trials} trials; the one at work wrote a "
            "checkpoint. Go on with the same command."
        )
    return result


def _work(
    study: optuna.Study,
    task: Task,
    jobs: int,
    cluster: Cluster | None,
    look: Callable[[], None],
    out: Path,
) -> StopRequest:
    """Do the trials; whether a stop was requested."""
    ended = sum(counts(t) and t.state.is_finished() for t in study.get_trials(deepcopy=False))
    if (jobs == 1 and cluster is None) or ended >= task.trials:
        with stop_on_signal() as stop:
            work(task, study, stop, look)
        return stop
    devices = [task.base.device]
    with (
        crew_of(
            jobs, cluster, (work_alone, task), out=out, folds=task.folds, devices=devices
        ) as crew,
        stop_on_signal() as stop,
    ):
        work_by(crew, task, stop, look)
    return stop


def _agree(study: optuna.Study, task: Task) -> None:
    """Keep what the search is with its trials, or refuse where the trials there are of another."""
    if _IDENTITY not in study.user_attrs:
        study.set_user_attr(_IDENTITY, task.identity())
    then, now = study.user_attrs[_IDENTITY], task.identity()
    if then == now:
        return
    found = differences(Recipe.from_dict(then["recipe"]), Recipe.from_dict(now["recipe"]))
    for key in sorted(then["space"].keys() | now["space"].keys()):
        old, new = (side["space"].get(key, "not searched") for side in (then, now))
        if old != new:
            found.append(f"space: {key}: {old} → {new}")
    found += changed_data(then, now)
    found += [
        f"{what}: {then[key]} → {now[key]}"
        for key, what in (
            ("measure", "measure"),
            ("held_out", "folds"),
            ("block_size", "block size"),
            ("seed", "seed"),
        )
        if then[key] != now[key]
    ]
    if not found:  # the same data under another name
        return
    raise StudyError(
        f"{shown(task.url)}: cannot go on, because the search '{task.name}' there is another:\n"
        + "\n".join(f"  {line}" for line in found)
        + "\nUndo the change, or begin a new search with another --name or --out."
    )


class _Account:
    """Tells of every trial that ended since it last looked, wherever that was."""

    def __init__(
        self,
        study: optuna.Study,
        space: Space,
        wanted: int,
        progress: Progress | None,
        on_trial: OnTrial | None,
    ) -> None:
        self.study, self.space, self.wanted = study, space, wanted
        self.progress, self.on_trial = progress, on_trial
        self.seen = {t.number for t in self._ended()}

    def _ended(self) -> list[TrialResult]:
        return [t for t in list_trials(self.study, self.space) if t.state != "running"]

    def look(self) -> None:
        ended = self._ended()
        for done, trial in enumerate(ended, start=1):
            if trial.number not in self.seen and self.on_trial:
                self.on_trial(trial, done, self.wanted)
            self.seen.add(trial.number)
        if self.progress:
            self.progress("Trials", len(ended), max(self.wanted, len(ended)))


def _collect(study: optuna.Study, task: Task, own: bool) -> SearchResult:
    trials = list_trials(study, task.space)
    val = [part.indices("val") for part in task.folds.parts[: task.held_out]]
    notes = [describe_damage(task.dataset.damaged)] if task.dataset.damaged else []
    if task.dataset.synthetic:
        notes.append(
            "The images are synthetic phantoms: nothing found on them says anything about patients."
        )
    if task.prune:
        notes.append(
            "A trial was pruned when its monitored accuracy fell below the median of the others "
            "at the same epoch."
        )
    return SearchResult(
        name=task.name,
        recipe=task.base.to_dict(),
        space=task.space.tables(),
        log_keys=tuple(p.name for p in task.space.parameters if p.is_log),
        measure=task.measure.facts,
        data={
            **describe_data(task.dataset),
            "counts": task.dataset.counts(),
            "labels": task.folds.tree.to_json(),
        },
        folds=FOLDS,
        held_out=task.held_out,
        n_images=sum(map(len, val)),
        seed=task.seed,
        wanted=task.trials,
        storage=Path(shown(task.url)).name if own else shown(task.url),
        versions=versions("hilum", "optuna", "torch", "numpy"),
        trials=trials,
        best=best_of(trials),
        importance=measure_importance(study, task.seed),
        notes=tuple(notes),
    )


def _write(result: SearchResult, search: Search, out: Path) -> None:
    write_plain(out / SEARCH_FILE, result, error=StudyError, indent=2)
    try:
        if best := best_recipe(result, search):
            write_atomically(out / BEST_FILE, best.to_toml().encode())
    except OSError as error:
        raise StudyError(f"{out}: cannot be written ({error.strerror}).") from None


def best_recipe(result: SearchResult, search: Search) -> Recipe | None:
    """The recipe of the best trial, which says how it was found; None if no trial is complete."""
    best = result.best_trial
    if best is None:
        return None
    recipe = search.space.apply(search.base, search.space.drawn(best.values))
    complete = len(result.with_state("complete"))
    return recipe.model_copy(
        update={
            "name": f"{search.base.name}-search",
            "description": (
                f"Found by a search from {search.base.name} over {', '.join(result.space)}: trial "
                f"{best.number}, the best of {complete} complete trials by "
                f"{result.measure['label']} on {result.n_images} held-out images of "
                f"{search.dataset.name}, {best.value:.3f}. That figure chose it, so it is "
                "optimistic (the winner's curse); a study confirms it."
            ),
        }
    )
