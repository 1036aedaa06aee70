"""Studies, searches and predictions on a Ray cluster: the same as here, whatever happens."""

import os
import signal
from functools import partial

import pyarrow.parquet
import pytest

from hilum.classifier.classifier import Classifier
from hilum.cli.options import cluster_of
from hilum.cluster import Cluster, Machines, Share
from hilum.errors import ClusterError, DataError, HilumError, Interrupted
from hilum.prediction import on_ray as predicting
from hilum.prediction import parts
from hilum.prediction.predict import predict_files
from hilum.search.search import run_search
from hilum.studies import on_ray
from hilum.studies.runner import run_study
from hilum.studies.study_run import plan_study
from tests.prediction.test_predict import repaint
from tests.ray_cluster import pids_of
from tests.ray_cluster import ray_address as ray_address
from tests.search.small import small_search
from tests.spots import write_spots
from tests.studies.small import small_data, small_study
from tests.studies.test_runner import facts
from tests.training.test_resume import outcome
from tests.untrained import untrained


@pytest.fixture
def data(tmp_path):
    return small_data(tmp_path / "spots")


def machines(*each):
    """Machines with so many CPUs and GPUs, and one that is gone."""
    resources = [{"CPU": float(cpus), "GPU": float(gpus)} for cpus, gpus in each]
    alive = [{"Alive": True, "Resources": r} for r in resources]
    return Machines([*alive, {"Alive": False, "Resources": {"CPU": 64.0, "GPU": 8.0}}])


def test_what_of_a_cluster_a_worker_gets():
    mixed = machines((16, 0), (8, 2), (8, 2), (0, 0))
    assert mixed.have_gpus
    assert mixed.one_each(None, gpu=False) == Share(32, 1, 0)
    assert mixed.one_each(None, gpu=True) == Share(4, 1, 1)
    assert mixed.divided(None, gpu=True) == Share(4, 4, 1)
    assert mixed.divided(None, gpu=False) == Share(3, 8, 0)
    assert mixed.divided(4, gpu=False) == Share(4, 8, 0)
    assert mixed.divided(5, gpu=False) == Share(5, 5, 0)
    assert mixed.divided(2, gpu=True) == Share(2, 8, 1)
    assert not machines((4, 0)).have_gpus
    with pytest.raises(ClusterError, match="room for 0 workers with a processor and a GPU each"):
        machines((4, 0)).divided(None, gpu=True)
    with pytest.raises(ClusterError, match=r"room for 4 workers .* of the 5 that --workers asks"):
        machines((4, 0)).divided(5, gpu=False)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"engine": "rai"}, "no engine 'rai'.*Did you mean 'ray'"),
        ({"engine": "local", "workers": 2}, "are of the engine ray"),
        ({"engine": "local", "address": "auto"}, "are of the engine ray"),
        ({"engine": "ray", "jobs": 2}, "name --workers instead"),
        ({"engine": "ray", "workers": 9999}, r"has \d+ processors?, fewer than the 9999 that"),
        ({"engine": "ray", "address": "10.0.0.1"}, "'10.0.0.1' is no address of a Ray cluster: ex"),
    ],
)
def test_options_that_do_not_go_together(options, said):
    with pytest.raises(ClusterError, match=said):
        cluster_of(**{"address": None, "workers": None, **options})


def test_a_study_is_the_same_though_workers_die_it_is_stopped_and_a_run_fails(
    tmp_path, data, ray_address, warm_workers
):
    variants = {"bad": {"epochs": 3}, "quick": {}, "slow": {"learning_rate": 1e-5}}
    study = small_study(tmp_path, variants=variants)
    bad = {run.key for run in plan_study(study, data).runs if run.variant == "bad"}
    for key in bad:
        for out in ("here", "there"):
            (tmp_path / out / "runs" / key).mkdir(parents=True)
            (tmp_path / out / "runs" / key / "stranger.txt").write_text("")
    here = run_study(study, data, tmp_path / "here", jobs=2)

    others = pids_of("ray::Host")
    killed: set[int] = set()
    later: set[int] = set()
    handler = signal.getsignal(signal.SIGTERM)

    def kill_then_stop(what, done, of):
        mine = pids_of("ray::Host") - others
        if not killed:
            killed.update(mine)
            for pid in killed:
                os.kill(pid, signal.SIGKILL)
        elif not later and mine - killed:
            later.update(mine - killed)
            signal.raise_signal(signal.SIGTERM)

    run = partial(run_study, study, data, tmp_path / "there", cluster=Cluster(ray_address))
    with pytest.raises(Interrupted, match=r"of 6 runs done.*the same command"):
        run(progress=kill_then_stop)
    assert killed
    assert later
    assert signal.getsignal(signal.SIGTERM) == handler
    there = run()
    assert [f.error for f in there.failures] == [
        f.error.replace("/here/", "/there/") for f in here.failures
    ]
    assert len(there.failures) == len(bad) == 2
    assert {**facts(there), "failures": []} == {**facts(here), "failures": []}
    for done in (run for variant in here.variants.values() for run in variant.runs):
        assert outcome(tmp_path / "here/runs" / done.run) == outcome(
            tmp_path / "there/runs" / done.run
        )
    assert sorted(p.name for p in (tmp_path / "there").iterdir()) == ["rates", "runs"]


@pytest.mark.parametrize("what", ["version", "folder", "data", "room"])
def test_a_cluster_that_would_do_otherwise_is_refused(
    tmp_path, data, ray_address, monkeypatch, what
):
    workers = 1
    if what == "version":
        monkeypatch.setattr(on_ray, "versions", lambda: {"hilum": "another"})
        said = r"machine .* would train otherwise: it has hilum .*, here another"
    elif what == "folder":
        (tmp_path / "elsewhere").mkdir()
        marked = on_ray._marked
        monkeypatch.setattr(on_ray, "_marked", lambda out: marked(tmp_path / "elsewhere"))
        said = "does not see or cannot write .*/out of this command"
    elif what == "data":
        repaint(data.root / "train/normal/3.png")
        said = r"train/normal/3.png: the machine .* reads another content"
    else:
        workers, said = 3, "room for 2 workers with a processor each of the 3"
    with pytest.raises(HilumError, match=said):
        run_study(
            small_study(tmp_path), data, tmp_path / "out", cluster=Cluster(ray_address, workers)
        )
    assert not list((tmp_path / "out").glob("runs/*/*"))


def test_a_search_on_a_cluster(tmp_path, ray_address):
    told = []
    result = run_search(
        small_search(tmp_path), tmp_path / "out", trials=3, cluster=Cluster(ray_address),
        on_trial=lambda t, n, w: told.append(t.number),
    )  # fmt: skip
    assert [t.state for t in result.trials] == ["complete"] * 3
    assert sorted(told) == [0, 1, 2]
    assert result.storage == "search.journal"
    assert not (tmp_path / "out/search.db").exists()
    assert len(list((tmp_path / "out/runs").glob("naive-*"))) == 3
    # where all is done no cluster is asked
    done = Cluster("127.0.0.1:1")
    assert run_search(small_search(tmp_path), tmp_path / "out", trials=3, cluster=done) == result
    with pytest.raises(ClusterError, match="127.0.0.1:1: no cluster answers there"):
        run_search(small_search(tmp_path), tmp_path / "out", trials=4, cluster=done)


def test_predictions_of_a_cluster_of_its_own_are_the_same_though_a_worker_is_killed(
    tmp_path, spots, ray_address
):
    untrained(spots).save(tmp_path / "classifier")
    loaded = Classifier.load(tmp_path / "classifier")
    many = write_spots(tmp_path / "folder", {"new": 50}, seed=7) / "new"
    inputs = [str(many), str(tmp_path / "nowhere.png")]
    predict_files(loaded, inputs, tmp_path / "p.parquet", keep_identifiers=True)
    others = pids_of("ray::Worker")
    killed: list[int] = []

    def kill_one(what, done, of):
        if not killed:
            killed.append(min(pids_of("ray::Worker") - others))
            os.kill(killed[0], signal.SIGKILL)

    done = predicting.predict_on_ray(
        tmp_path / "classifier", inputs, tmp_path / "parts", runtime="torch", device="cpu",
        keep_identifiers=True, size=64, cluster=Cluster(workers=2), progress=kill_one,
    )  # fmt: skip
    assert killed
    assert (done.images, done.failed) == (151, 1)
    made = [str(p) for p in sorted((tmp_path / "parts").glob("part-*.parquet"))]
    whole = pyarrow.parquet.read_table(tmp_path / "p.parquet")
    assert pyarrow.parquet.read_table(made).equals(whole)


def test_a_worker_that_would_classify_otherwise_refuses(tmp_path, spots):
    untrained(spots).save(tmp_path / "classifier")
    made = {"hilum": "another"}
    job = predicting.Job(
        tmp_path / "classifier", "torch", "cpu", (), None, tmp_path, True, None, made
    )
    with pytest.raises(DataError, match=r"(?s)A worker would classify otherwise.*hilum: another"):
        predicting.Worker(job, 1).make(parts.Chunk(0, ()))
