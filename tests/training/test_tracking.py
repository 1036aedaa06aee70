"""What TensorBoard and MLflow are told of a training. MLflow's server runs on this machine."""

import base64
import logging
import os
import signal
import subprocess
import sys
import types
import warnings

import pytest

from hilum.errors import HilumError, Interrupted, Pruned, TrainingError
from hilum.parsing import read_json
from hilum.training import fit, mlflow_run
from hilum.training.folder import read_history
from hilum.training.run import train
from hilum.training.tracking import track_report

# MLflow's own modules warn
pytestmark = [
    pytest.mark.filterwarnings("default:Any type hint:UserWarning"),
    pytest.mark.filterwarnings("default:The ``noload`` loader strategy"),
    pytest.mark.filterwarnings("default:Operation with range is deprecated"),
]

SERVER = """
import sys
from mlflow.server import app
from werkzeug.serving import make_server
server = make_server("127.0.0.1", 0, app, threaded=True)
print(server.port, flush=True)
server.serve_forever()
"""


@pytest.fixture(autouse=True)
def _no_tracking(monkeypatch):
    for name in mlflow_run.SWITCHES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The address of MLflow's server, and the database that it keeps."""
    folder = tmp_path_factory.mktemp("mlflow")
    database = f"sqlite:///{folder}/mlflow.db"
    environment = {
        **os.environ,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "_MLFLOW_SERVER_FILE_STORE": database,
        "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
        "_MLFLOW_SERVER_ARTIFACT_DESTINATION": str(folder / "artifacts"),
        "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
    }
    with (
        (folder / "server.log").open("w") as log,
        subprocess.Popen(
            [sys.executable, "-c", SERVER],
            stdout=subprocess.PIPE, stderr=log, text=True, env=environment,
        ) as process,
    ):  # fmt: skip
        port = process.stdout.readline().strip()
        assert port, (folder / "server.log").read_text()
        yield f"http://127.0.0.1:{port}", database
        process.kill()


@pytest.fixture
def tracked(server, monkeypatch):
    """MLflow's client, set up as its users do."""
    with warnings.catch_warnings():  # of MLflow's own modules
        warnings.simplefilter("ignore")
        import mlflow.pyfunc

    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server[0])
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "chests")
    return mlflow.MlflowClient(server[0])


def id_of(run):
    return read_json(run / "run.json", TrainingError)["tracking"]["mlflow"]


def run_of(client, run):
    return client.get_run(id_of(run))


def steps(client, run, key):
    return [m.step for m in client.get_metric_history(run_of(client, run).info.run_id, key)]


def test_tensorboard_gets_every_number_where_it_is_installed(tmp_path, spots, recipe, monkeypatch):
    written, closed = [], []

    class SummaryWriter:
        def __init__(self, log_dir):
            assert log_dir == str(tmp_path / "run/tensorboard")

        def add_scalar(self, tag, value, step):
            written.append((tag, value, step))

        def flush(self): ...

        def close(self):
            closed.append(True)

    module = types.ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = SummaryWriter  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    train(spots, recipe("epochs=2", "strategy=flat", "members=2"), tmp_path / "run")
    rows = read_history(tmp_path / "run/history.jsonl")
    for row in rows:
        name = "flat" if row["member"] == 1 else "flat.2"
        assert (f"{name}/train_loss", row["train_loss"], row["epoch"]) in written
        assert (f"{name}/monitor_accuracy", row["monitor_accuracy"], row["epoch"]) in written
    assert len({(tag, step) for tag, _, step in written}) == len(written)
    assert closed == [True]


def test_mlflow_gets_recipe_data_epochs_report_and_a_model_that_answers_alike(
    tmp_path, spots, recipe, tracked, capsys
):
    import mlflow
    import pandas
    from fastapi.testclient import TestClient
    from mlflow.pyfunc import scoring_server

    run = tmp_path / "run"
    classifier = train(spots, recipe("decision.root.epochs=2"), run)
    (run / "report.html").write_text("<p>said</p>")
    track_report(run, run / "report.html", {"val/accuracy": 0.75})

    assert capsys.readouterr().out == "", "it may hold the JSON of `hilum train --json`"
    found = run_of(tracked, run)
    assert tracked.get_experiment(found.info.experiment_id).name == "chests"
    assert (found.info.status, found.info.run_name) == ("FINISHED", "run")
    assert found.data.params["learning_rate"] == "0.001"
    assert found.data.params["decision.root.epochs"] == "2"
    assert found.data.tags["hilum.data.fingerprint"] == spots.fingerprint
    (data,) = found.inputs.dataset_inputs
    assert (data.dataset.name, data.dataset.digest) == (spots.name, spots.fingerprint[:36])
    rows = read_history(run / "history.jsonl")
    assert steps(tracked, run, "root/train_loss") == [1, 2]
    assert steps(tracked, run, "infected/train_loss") == [1, 2, 3]
    assert found.data.metrics["infected/monitor_loss"] == rows[-1]["monitor_loss"]
    assert found.data.metrics["val/accuracy"] == 0.75
    assert "report.html" in [file.path for file in tracked.list_artifacts(found.info.run_id)]
    assert str(tmp_path) not in str(found.to_dictionary()["data"])
    assert "tracking" not in classifier.provenance

    (model,) = tracked.search_logged_models([found.info.experiment_id], max_results=1)
    served = mlflow.pyfunc.load_model(model.model_uri)
    files = [record.path.read_bytes() for record in spots.records[:3]]
    expected = classifier.predict([record.path for record in spots.records[:3]])
    said = served.predict(pandas.DataFrame({"image": files}))
    assert list(said["predicted"]) == list(expected.labels)
    assert said[[f"p({c})" for c in expected.classes]].to_numpy() == pytest.approx(
        expected.probs, abs=1e-6
    )
    asked = {"dataframe_records": [{"image": base64.b64encode(f).decode()} for f in files]}
    with TestClient(scoring_server.init(served)) as client:
        answer = client.post("/invocations", json=asked)
        refused = client.post("/invocations", json={"dataframe_records": [{"image": "bm8="}]})
    assert [row["predicted"] for row in answer.json()["predictions"]] == list(expected.labels)
    assert (refused.status_code, "row 1: not a PNG" in refused.text) == (400, True)


def test_resuming_goes_on_with_the_same_mlflow_run(
    tmp_path, spots, recipe, tracked, server, monkeypatch
):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server[1])  # the database itself, without a server
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "here")
    monkeypatch.chdir(tmp_path)  # where MLflow then keeps artefacts
    run = tmp_path / "run"

    def stop(row):
        if row["decision"] == "infected":
            os.kill(os.getpid(), signal.SIGTERM)

    def lose(self, row):
        raise RuntimeError("a kill between the checkpoint and MLflow")

    with pytest.raises(Interrupted):
        train(spots, recipe(), run, on_epoch=stop)
    begun = run_of(tracked, run)
    assert begun.info.status == "KILLED"
    with monkeypatch.context() as patch:
        patch.setattr(mlflow_run.MlflowRun, "record", lose)
        with pytest.raises(RuntimeError, match="a kill"):
            train(spots, recipe(), run, resume=True)
    assert run_of(tracked, run).info.status == "FAILED"
    assert steps(tracked, run, "infected/train_loss") == [1]

    train(spots, recipe(), run, resume=True)

    ended = run_of(tracked, run)
    assert (ended.info.run_id, ended.info.status) == (begun.info.run_id, "FINISHED")
    assert steps(tracked, run, "root/train_loss") == [1, 2, 3]
    assert steps(tracked, run, "infected/train_loss") == [1, 2, 3]


def test_a_pruned_run_was_ended_on_purpose(tmp_path, spots, recipe, tracked):
    run = tmp_path / "run"

    def prune(row):
        if row["epoch"] == 2:
            raise Pruned("it fell behind")

    with pytest.raises(Pruned):
        train(spots, recipe(), run, on_epoch=prune)

    ended = run_of(tracked, run)
    assert (ended.info.status, ended.data.tags["hilum.ending"]) == ("KILLED", "pruned")
    assert steps(tracked, run, "root/train_loss") == [1, 2]


def test_a_run_that_mlflow_does_not_have_is_refused(tmp_path, spots, recipe, tracked, monkeypatch):
    run = tmp_path / "run"
    monkeypatch.setattr(fit._Loop, "_train_step", _fail)
    with pytest.raises(RuntimeError, match="it failed"):
        train(spots, recipe(), run)
    assert run_of(tracked, run).info.status == "FAILED"
    facts = run / "run.json"
    facts.write_text(facts.read_text().replace(id_of(run), "0" * 32))
    with pytest.raises(TrainingError, match=f"has no run {'0' * 32}, which .*/run began"):
        train(spots, recipe(), run, resume=True)


def _fail(*_):
    raise RuntimeError("it failed")


@pytest.mark.parametrize(
    ("setup", "said"),
    [
        ({"MLFLOW_TRACKING_URI": "http://me:secret@127.0.0.1:9"},
         r"^MLflow at http://127.0.0.1:9 cannot be reached \(Connection refused\); name another"),
        ({"MLFLOW_TRACKING_URI": "nonsense://x"}, "MLflow at nonsense://x cannot be reached"),
    ],
)  # fmt: skip
def test_what_cannot_be_reached_is_refused_before_training(
    tmp_path, spots, recipe, tracked, monkeypatch, setup, said
):
    for name, value in setup.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("hilum.training.run._train", _fail)
    before = dict(os.environ)

    with pytest.raises(TrainingError, match=said) as refused:
        train(spots, recipe(), tmp_path / "run")

    assert "\n" not in str(refused.value)
    assert dict(os.environ) == before
    assert not (tmp_path / "run/run.json").exists(), "it can begin anew"


def test_without_mlflow_what_asks_for_it_is_refused(tmp_path, spots, recipe, monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "chests")
    with pytest.raises(HilumError, match=r"MLFLOW_EXPERIMENT_NAME is set.*hilum\[mlflow\]"):
        train(spots, recipe(), tmp_path / "run")


def test_a_server_that_dies_on_the_way_loses_no_training(
    tmp_path, spots, recipe, tracked, monkeypatch, caplog
):
    """It is told once, asked no more until the end, and then told what it missed."""
    import mlflow

    run, asked = tmp_path / "run", []
    log_batch = mlflow.MlflowClient.log_batch

    def die(row):
        if (row["decision"], row["epoch"]) == ("root", 1):
            monkeypatch.setattr(mlflow.MlflowClient, "log_batch", refuse)
        elif row["decision"] == "infected" and row["epoch"] == 2:
            monkeypatch.setattr(mlflow.MlflowClient, "log_batch", log_batch)

    def refuse(*_, **__):
        asked.append(True)
        raise ConnectionRefusedError(111, "Connection refused")

    with caplog.at_level(logging.WARNING):
        train(spots, recipe(), run, on_epoch=die)

    assert len(asked) == 1
    assert [r.message for r in caplog.records if r.name == mlflow_run.__name__] == [
        f"MLflow at {os.environ['MLFLOW_TRACKING_URI']} cannot be told any more (Connection "
        f"refused); {run} has everything."
    ]
    assert "cannot be told any more" in (run / "log.txt").read_text()
    assert run_of(tracked, run).info.status == "FINISHED"
    assert steps(tracked, run, "infected/train_loss") == [1, 2, 3]
