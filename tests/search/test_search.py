"""Searching: what is trained, counted, pruned, gone on with, refused and reported."""

import datetime
import json
import logging
import os
import subprocess
import sys
import tomllib
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import optuna
import pytest
import sqlalchemy
from optuna.storages import RDBStorage
from sqlalchemy.engine import make_url

from hilum.codec import read_plain, to_plain
from hilum.errors import DataError, EvaluationError, Interrupted, Pruned, StudyError
from hilum.evaluation.files import read_evaluation
from hilum.evaluation.predictions_file import read_predictions
from hilum.predictions import Predictions
from hilum.radiographs.dataset import open_dataset
from hilum.recipe import Recipe, differences
from hilum.records import Estimate
from hilum.search.results import SearchResult, best_of, measure_importance
from hilum.search.search import plan_search, run_search
from hilum.search.space import Space
from hilum.search.storage import default_url, open_storage, refusal, shown
from hilum.search.trials import Objective, Surplus, Task, TrialSampler
from hilum.search.workers import work_by
from hilum.studies.folds import HeldOut
from hilum.training.interrupt import StopRequest
from tests.marked import write_marked
from tests.search.small import SPACE, small_search
from tests.studies.small import RECIPE

ROOT = Path(__file__).parents[2]


def read_search(folder):
    return read_plain(folder / "search.json", SearchResult, what="a search", error=StudyError)


@pytest.fixture
def search(tmp_path):
    return small_search(tmp_path)


@pytest.fixture(autouse=True)
def _sqlite_without_waiting_for_the_disk():
    def hurry(connection, record):
        connection.execute("PRAGMA synchronous=OFF")

    sqlalchemy.event.listen(sqlalchemy.Engine, "connect", hurry)
    yield
    sqlalchemy.event.remove(sqlalchemy.Engine, "connect", hurry)


@pytest.fixture
def toy(monkeypatch):
    """No training: a trial is right about more images the higher its learning rate.

    The list that it gives holds what each run is to do first: a function of the run and watch.
    """
    acts: list[Callable[..., object]] = []

    def do(self, run, watch):
        for act in acts:
            act(run, watch)
        part = self.task.folds.part(run.number)
        rows = part.indices("val")
        truth = part.labels[rows]
        right = round(len(truth) * (np.log10(run.recipe.learning_rate) + 4) / 3)
        said = np.where(np.arange(len(truth)) < right, truth, (truth + 1) % 3)
        probs = np.eye(3)[said]
        names = tuple(part.records[i].name for i in rows)
        return HeldOut(truth, Predictions(names, probs, {}, said), 10)

    monkeypatch.setattr(Objective, "_do", do)
    return acts


def test_a_search(tmp_path, search):
    told = []
    before = logging.getLogger("optuna").level
    result = run_search(
        search, tmp_path / "out", trials=2, on_trial=lambda t, n, w: told.append((t.number, n, w))
    )
    assert told == [(0, 1, 2), (1, 2, 2)]
    assert logging.getLogger("optuna").level == before
    assert [t.state for t in result.trials] == ["complete", "complete"]
    for trial in result.trials:
        (key,) = trial.runs
        table = tmp_path / "out/runs" / key / "evaluation/held-out/predictions.csv"
        truth, predictions = read_predictions(table)
        assert trial.value == pytest.approx(np.mean(truth == predictions.predicted))
        assert trial.epochs == 2
        assert len(truth) == result.n_images == trial.estimate.n
        # neither the test split nor the data's own val was looked at
        assert all(name.startswith("train/") for name in predictions.names)
        folders = [p.name for p in (tmp_path / "out/runs" / key / "evaluation").iterdir()]
        assert folders == ["held-out"]
        trained = Recipe.load(tmp_path / "out/runs" / key / "recipe.toml")
        assert trained.learning_rate == trial.values["learning_rate"]
        assert str(trained.batch_size) == json.dumps(trial.values["batch_size"])
    best = Recipe.load(tmp_path / "out/best.toml")
    assert best.name == "small-search"
    assert best.learning_rate == result.best_trial.values["learning_rate"]
    assert "winner's curse" in best.description
    changed = {line.split(":")[0] for line in differences(search.base, best)}
    assert changed <= {"name", "description", "learning_rate", "batch_size"}

    assert read_search(tmp_path / "out") == result
    written = json.loads((tmp_path / "out/search.json").read_text())
    assert to_plain(read_search(tmp_path / "out")) == written
    assert str(tmp_path) not in (tmp_path / "out/search.json").read_text()
    assert result.importance.shares == {}
    assert "at least 20 complete trials, found 2" in result.importance.reason

    runs = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "out/runs").glob("naive-*")}
    again = run_search(search, tmp_path / "out", trials=2)
    assert again == result
    assert {p.name: p.stat().st_mtime_ns for p in (tmp_path / "out/runs").glob("naive-*")} == runs


def test_a_search_over_findings(tmp_path):
    folder = write_marked(tmp_path / "marked", {"train": 40, "val": 8})
    recipe = Recipe.from_dict(tomllib.loads(RECIPE)).override(epochs=1)
    data = open_dataset(folder, tree="{bar, dot}")
    search = plan_search(recipe, data, Space.from_dict(SPACE), held_out=2)
    result = run_search(search, tmp_path / "out", trials=1)
    (trial,) = result.trials
    assert result.measure["label"] == "mean AUROC over findings"
    runs = [tmp_path / "out/runs" / key / "evaluation/held-out" for key in trial.runs]
    areas = [read_evaluation(run / "evaluation.json").over_findings["macro_auroc"] for run in runs]
    assert trial.value == pytest.approx(np.mean([area.value for area in areas]))
    with pytest.raises(EvaluationError, match="'accuracy' is over all classes, and the labels"):
        plan_search(recipe, data, Space.from_dict(SPACE), measure="accuracy")


def test_going_on_draws_what_an_uninterrupted_search_draws(tmp_path, search, toy):
    whole = run_search(search, tmp_path / "whole", trials=12)
    for n in (4, 11, 12):
        parts = run_search(search, tmp_path / "parts", trials=n)
        assert len(parts.trials) == n
    assert [t.values for t in parts.trials] == [t.values for t in whole.trials]
    rates = [t.values["learning_rate"] for t in whole.trials]
    assert len(set(rates)) == 12
    # TPE, which begins after ten random trials, looks where it was best
    assert min(rates[10:]) > np.median(rates[:10])
    assert whole.best == max(whole.trials, key=lambda t: (t.value, -t.number)).number
    other = run_search(small_search(tmp_path, seed=1), tmp_path / "other", trials=1)
    assert other.trials[0].values != whole.trials[0].values


def test_the_mean_over_folds(tmp_path, toy):
    search = small_search(tmp_path, held_out=2)
    (trial,) = run_search(search, tmp_path / "out", trials=1).trials
    share = (np.log10(trial.values["learning_rate"]) + 4) / 3
    sizes = [len(search.folds.part(i).indices("val")) for i in (0, 1)]
    assert trial.value == pytest.approx(np.mean([round(n * share) / n for n in sizes]))
    assert len(trial.runs) == 2
    assert trial.runs[0] != trial.runs[1]
    assert trial.estimate.n == sum(sizes)


def test_a_failed_trial_leaves_the_others_going(tmp_path, search, toy):
    def fail(run, watch):
        if run.variant == "trial 1":
            raise ZeroDivisionError("no luck")

    toy.append(fail)
    result = run_search(search, tmp_path / "out", trials=3)
    assert [t.state for t in result.trials] == ["complete", "failed", "complete"]
    assert result.trials[1].error.startswith("ZeroDivisionError: no luck (test_search.py, line")
    assert result.trials[1].value is None
    assert run_search(search, tmp_path / "out", trials=3) == result  # it is not tried again


def test_all_failed(tmp_path, search, toy):
    def fail(run, watch):
        raise StudyError("always")

    toy.append(fail)
    result = run_search(search, tmp_path / "out", trials=2)
    assert [t.error for t in result.trials] == ["always", "always"]
    assert result.best is None
    assert "No trial is complete" in result.sentences[1]
    assert not (tmp_path / "out/best.toml").exists()


@pytest.mark.parametrize("keep", [False, True])
def test_pruning(tmp_path, monkeypatch, keep):
    """Trial 5, the first that may be pruned, is the worst after its second epoch."""
    ended = []

    def train(run, folds, runs, on_epoch):
        (runs / run.key).mkdir(parents=True)
        number = int(run.variant.split()[1])
        for epoch in (1, 2, 3):
            accuracy = 0.3 if number == 5 else 0.5 + number / 100
            row = {"decision": "flat", "epoch": epoch, "epochs": 3, "monitor_accuracy": accuracy}
            try:
                on_epoch(row)
            except Pruned:  # by which trackers tell it from a failure
                ended.append(number)
                raise
        raise EvaluationError(f"{run.variant} was trained to its end")

    monkeypatch.setattr("hilum.search.trials.do_run", train)
    search = small_search(tmp_path, assignments=["epochs=3"])
    monkeypatch.setattr("hilum.search.trials.Objective", _Completing)
    result = run_search(search, tmp_path / "out", trials=6, keep_pruned=keep)
    assert [t.state for t in result.trials] == ["complete"] * 5 + ["pruned"]
    assert [t.epochs for t in result.trials] == [3, 3, 3, 3, 3, 2]
    assert ended == [5]
    assert (tmp_path / "out/runs" / result.trials[5].runs[0]).exists() is keep
    assert all((tmp_path / "out/runs" / t.runs[0]).exists() for t in result.trials[:5])
    if not keep:
        free = run_search(search, tmp_path / "free", trials=6, prune=False)
        assert [t.state for t in free.trials] == ["complete"] * 6


class _Completing(Objective):
    """As the objective, with what test_pruning's training raises at its end taken for a score."""

    def __call__(self, trial):
        try:
            return super().__call__(trial)
        except EvaluationError:
            trial.set_user_attr("estimate", {"value": 0.5})
            return 0.5


def test_a_second_network_is_compared_with_second_networks(tmp_path, monkeypatch):
    """The first of a cascade is easy: its accuracy must not save a bad second one."""

    def train(run, folds, runs, on_epoch):
        (runs / run.key).mkdir(parents=True)
        number = int(run.variant.split()[1])
        for name, accuracy in (("root", 0.95), ("infected", 0.5 if number == 5 else 0.7)):
            for epoch in (1, 2):
                row = {"decision": name, "epoch": epoch, "epochs": 2}
                on_epoch({**row, "monitor_accuracy": accuracy})
                assert (number, name, epoch) != (5, "infected", 2) or epoch == row["epochs"]
        raise EvaluationError("done")

    monkeypatch.setattr("hilum.search.trials.do_run", train)
    monkeypatch.setattr("hilum.search.trials._WARM_UP", 0)
    monkeypatch.setattr("hilum.search.trials.Objective", _Completing)
    search = small_search(tmp_path, assignments=["strategy=cascade"])
    result = run_search(search, tmp_path / "out", trials=6)
    assert [t.state for t in result.trials] == ["complete"] * 5 + ["pruned"]
    assert result.trials[5].epochs == 3


def test_ctrl_c(tmp_path, search, toy):
    def stop(run, watch):
        if run.variant == "trial 1":
            raise Interrupted("stopped")

    toy.append(stop)
    with pytest.raises(Interrupted, match="stopped with 1 of 3 trials"):
        run_search(search, tmp_path / "out", trials=3)
    stopped = read_search(tmp_path / "out")
    assert [t.number for t in stopped.trials] == [0]
    with open_storage(default_url(tmp_path / "out")) as storage:
        drawn = optuna.load_study(study_name="small", storage=storage).trials[1].params
    toy.clear()
    result = run_search(search, tmp_path / "out", trials=3)
    assert [t.number for t in result.trials] == [0, 2, 3]
    # the stopped one was begun again with its own settings, so from its own checkpoint
    assert search.space.drawn(result.trials[1].values) == drawn


@pytest.mark.parametrize("machines", [False, True])
def test_a_trial_whose_worker_was_killed_is_begun_again_at_most_twice(
    tmp_path, search, toy, machines
):
    (tmp_path / "out").mkdir()
    default = default_url(tmp_path / "out", machines=machines)
    assert run_search(search, tmp_path / "out", trials=1, storage=default).trials
    if not machines:
        with pytest.raises(StudyError, match=r"search.db: the search was begun on one machine"):
            default_url(tmp_path / "out", machines=True)
    url = default_url(tmp_path / "out")
    # a trial that began, and gave its last sign of life long ago
    with open_storage(url) as storage:
        study = load(storage, sampler=TrialSampler(0))
        lost = study.ask()
        drawn = search.space.suggest(lost)
        beat(url, lost)
    age(url)
    result = run_search(search, tmp_path / "out", trials=2)
    assert [t.number for t in result.trials] == [0, 2]
    assert search.space.drawn(result.trials[1].values) == drawn

    with open_storage(url) as storage:
        study = load(storage)
        study.enqueue_trial(drawn, user_attrs={"attempt": 3})
        third = study.ask()
        search.space.suggest(third)
        beat(url, third)
    age(url)
    result = run_search(search, tmp_path / "out", trials=4)
    assert [t.state for t in result.trials] == ["complete", "complete", "failed", "complete"]
    assert "its process died 3 times" in result.trials[2].error


def load(storage, **options):
    if isinstance(storage, RDBStorage):
        storage.heartbeat_interval = None  # Optuna warns where trials are begun by hand
    else:
        storage.interval = None
    return optuna.load_study(study_name="small", storage=storage, **options)


def beat(url, trial):
    with open_storage(url) as storage:
        storage.record_heartbeat(trial._trial_id)


def age(url):
    if url.startswith("journal"):
        for beat in Path(f"{make_url(url).database}.beats").iterdir():
            os.utime(beat, (0, 1))
        return
    engine = sqlalchemy.create_engine(url)
    long_ago = datetime.datetime(2020, 1, 1)
    with engine.begin() as connection:
        connection.execute(
            sqlalchemy.text("UPDATE trial_heartbeats SET heartbeat = :then"), {"then": long_ago}
        )
    engine.dispose()


def test_workers_that_begin_too_many_count_the_first(tmp_path, search, toy, monkeypatch):
    tasks, surplus = [], []
    real = Objective.__init__

    def remember(self, task, study, stop):
        real(self, task, study, stop)
        tasks.append(task)

    def begin_another(run, watch):
        """While trial 1, the last of two, is at work, another worker begins one."""
        if run.variant == "trial 1":
            with open_storage(tasks[0].url) as storage:
                study = load(storage)
                trial = study.ask()
                with pytest.raises(Surplus):
                    Objective(tasks[0], study, None)(trial)  # type: ignore[arg-type]
                study.tell(trial, state=optuna.trial.TrialState.FAIL)
                surplus.append(study.trials[trial.number].user_attrs)

    toy.append(begin_another)
    monkeypatch.setattr(Objective, "__init__", remember)
    result = run_search(search, tmp_path / "out", trials=2)
    assert surplus == [{"surplus": True}]
    assert [(t.number, t.state) for t in result.trials] == [(0, "complete"), (1, "complete")]


def test_two_processes_on_one_storage(tmp_path, search, python):
    url = default_url(tmp_path / "both")
    (tmp_path / "both").mkdir()
    workers = [
        subprocess.Popen(
            [
                python, "-W", "error", "-m", "tests.search.search_worker",
                str(tmp_path), str(tmp_path / name), url, "4",
            ],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
        )
        for name in ("one", "two")
    ]  # fmt: skip
    told = [worker.communicate() for worker in workers]
    assert [w.returncode for w in workers] == [0, 0], told
    assert told == [("", ""), ("", "")]
    one, two = read_search(tmp_path / "one"), read_search(tmp_path / "two")
    assert len(one.trials) == 4
    assert {t.state for t in one.trials} == {"complete"}
    assert one.trials == two.trials
    assert (tmp_path / "one/best.toml").read_text() == (tmp_path / "two/best.toml").read_text()
    # each trained in its own folder, and no settings were drawn twice
    keys = [key for t in one.trials for key in t.runs]
    assert len(set(keys)) == 4
    trained = [p.name for o in ("one", "two") for p in (tmp_path / o).glob("runs/naive-*")]
    assert sorted(trained) == sorted(keys)


def test_jobs(tmp_path, search, warm_workers):
    told = []
    result = run_search(
        search, tmp_path / "out", trials=2, jobs=2, on_trial=lambda t, n, w: told.append(t.number)
    )
    assert [t.state for t in result.trials] == ["complete"] * 2
    assert sorted(told) == [0, 1]
    assert len(list((tmp_path / "out/runs").glob("naive-*"))) == 2


class _Told:
    """A crew of two whose workers say what is written for them, one after the other."""

    size, ready = 2, True

    def __init__(self, *said):
        self.said, self.ended = list(said), None

    def start(self):
        worker = _Told()
        worker.said = self.said.pop(0)
        return worker

    def messages(self):
        while self.said:
            yield self.said.pop(0)

    def wait(self, workers, seconds):
        assert workers

    def end(self, workers):
        self.ended = len(workers)


BEGUN, DIED, DONE = ("begun", None), ("over", "its process died (signal 9)"), ("over", "")


@pytest.mark.parametrize(
    ("said", "message", "left"),
    [
        ([[BEGUN, DIED], [BEGUN, DONE], [BEGUN, DONE]], None, 0),  # another takes its place
        ([[BEGUN, DONE], [DIED]], None, 0),  # but not of one that could not begin
        ([[DIED], [DIED]], r"workers of the search are gone, .*\(signal 9\)\. Go on", 0),
        ([[BEGUN, DIED]] * 7, "workers of the search are gone", 0),  # three times over each
        ([[BEGUN], [("refused", "no such folder"), DONE]], "no such folder", 2),
        ([[BEGUN, ("refused", "no database"), DONE], [BEGUN, DONE]], "no database", 0),
    ],
)
def test_workers_that_die_or_refuse(tmp_path, search, said, message, left):
    task = Task(
        **vars(search), trials=2, runs=tmp_path, url="", prune=True, keep_pruned=False,
        deadline=None,
    )  # fmt: skip
    crew = _Told(*(list(lines) for lines in said))
    refused = pytest.raises(StudyError, match=message) if message else nullcontext()
    with refused:
        work_by(crew, task, StopRequest(), lambda: None)
    assert crew.ended == left
    assert (message == "no such folder") or not crew.said


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"assignments": ["epochs=3"]}, "epochs: 2 → 3"),
        (
            {"space": {**SPACE, "batch_size": {"choices": [4, 16]}}},
            r"space: batch_size: {'choices': \[4, 8\]} → {'choices': \[4, 16\]}",
        ),
        ({"space": {"batch_size": SPACE["batch_size"]}}, "learning_rate: .* → not searched"),
        ({"measure": "recall of covid"}, "measure: accuracy → recall of covid"),
        ({"held_out": 2}, "folds: 1 → 2"),
        ({"block_size": 2}, "block size: 1 → 2"),
        ({"seed": 5}, "seed: 0 → 5"),
    ],
)
def test_another_search_in_the_same_storage_is_refused(tmp_path, search, toy, changes, message):
    run_search(search, tmp_path / "out", trials=1)
    with pytest.raises(StudyError, match=message):
        run_search(small_search(tmp_path, **changes), tmp_path / "out", trials=1)
    assert len(run_search(search, tmp_path / "out", trials=1).trials) == 1
    other = small_search(tmp_path, **changes, name="other")
    assert len(run_search(other, tmp_path / "out", trials=1).trials) == 1


def test_another_search_that_began_at_the_same_moment_is_refused(tmp_path, search, toy):
    other = small_search(tmp_path, seed=5)

    def begin_the_other(run, watch):
        with open_storage(default_url(tmp_path / "out")) as storage:
            load(storage).set_user_attr("hilum", other.identity())

    toy.append(begin_the_other)
    with pytest.raises(StudyError, match="seed: 5 → 0"):
        run_search(search, tmp_path / "out", trials=1)
    assert not (tmp_path / "out/search.json").exists()


def test_other_data_are_refused(tmp_path, search, toy):
    run_search(search, tmp_path / "out", trials=1)
    (tmp_path / "spots/train/normal/7.png").write_bytes(
        (tmp_path / "spots/train/normal/6.png").read_bytes()
    )
    with pytest.raises(StudyError, match="same counts, other contents"):
        run_search(small_search(tmp_path), tmp_path / "out", trials=1)
    assert run_search(small_search(tmp_path), tmp_path / "new", trials=1).best == 0


def test_another_device_is_the_same_search(tmp_path, search, toy):
    run_search(search, tmp_path / "out", trials=1)
    elsewhere = small_search(tmp_path, assignments=["device=auto", "description=other"])
    assert len(run_search(elsewhere, tmp_path / "out", trials=2).trials) == 2


def test_time(tmp_path, search, toy, monkeypatch):
    clock = [100.0]
    monkeypatch.setattr("hilum.search.trials.time.time", lambda: clock[0])

    def tick(run, watch):
        clock[0] += 25

    toy.append(tick)
    result = run_search(search, tmp_path / "out", trials=50, timeout=60)
    assert len(result.trials) == 3  # begun at 0, 25 and 50 seconds
    assert {t.state for t in result.trials} == {"complete"}


def test_bad_input(tmp_path, search):
    with pytest.raises(EvaluationError, match="no measure"):
        small_search(tmp_path, measure="acuracy")
    with pytest.raises(StudyError, match="1 to 5 folds, not 6"):
        small_search(tmp_path, held_out=6)
    with pytest.raises(DataError):
        small_search(tmp_path, block_size=50)
    with pytest.raises(StudyError, match="at least 1 trial"):
        run_search(search, tmp_path / "out", trials=0)
    (blocked := tmp_path / "file").write_text("no folder")
    with pytest.raises(StudyError, match="cannot be made"):
        run_search(search, blocked, trials=1)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("postgresql+psycopg2://me:hush-hush@host/db", "driver of this database, psycopg2, .*pip"),
        ("mysql://me:hush-hush@host/db", "driver of this database, MySQLdb"),
        ("oracle+nonsense://me:hush-hush@host/db", "no database that a search can use"),
        ("me:hush-hush@host", "is no database URL"),
        ("sqlite:////no/such/folder/hush.db", "unable to open database file"),
        ("journal:////no/such/folder/it", "/no/such/folder/it: cannot be used as the journal"),
    ],
)
def test_storages_that_cannot_be_used(tmp_path, search, url, message, monkeypatch):
    for module in ("psycopg2", "MySQLdb"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(StudyError, match=message) as refused:
        run_search(search, tmp_path / "out", trials=1, storage=url)
    assert "hush-hush" not in str(refused.value)
    assert refused.value.__suppress_context__


def test_a_password_is_never_shown(tmp_path, search):
    url = "postgresql://me:s%40fe@host/db?password=s%40fe&sslmode=require"
    assert shown(url) == "postgresql://me:***@host/db"
    told = str(refusal(url, RuntimeError(f"cannot use {url}: s@fe is wrong")))
    assert "s@fe" not in told
    assert "s%40fe" not in told


def test_a_shared_database_is_named_without_its_secrets(tmp_path, search, toy):
    url = f"sqlite:///{tmp_path / 'shared.db'}?timeout=30"
    result = run_search(search, tmp_path / "out", trials=1, storage=url)
    assert result.storage == f"sqlite:///{tmp_path / 'shared.db'}"
    assert not (tmp_path / "out/search.db").exists()


def test_importance():
    """The measure is that of x alone, so x has all of it."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    study.optimize(
        lambda t: t.suggest_float("x", 0, 1) + 0 * t.suggest_float("y", 0, 1), n_trials=30
    )
    found = measure_importance(study, seed=0)
    assert found.n == 30
    assert list(found.shares) == ["x", "y"]
    assert found.shares["x"] > 0.95
    assert sum(found.shares.values()) == pytest.approx(1)

    flat = optuna.create_study()
    flat.optimize(lambda t: 0 * t.suggest_float("x", 0, 1), n_trials=20)
    assert "the same value" in measure_importance(flat, seed=0).reason


def test_the_best_is_the_first_of_equals(tmp_path, search, toy):
    result = run_search(search, tmp_path / "out", trials=3)
    a, b, c = (t for t in result.trials)
    assert best_of([]) is None
    values = [(a, 0.5), (b, 0.7), (c, 0.7)]
    equals = [replace(t, value=v, estimate=Estimate(v)) for t, v in values]
    assert best_of(equals) == b.number
