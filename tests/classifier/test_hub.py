"""Classifiers of a model hub, which here is a server on this machine."""

import shutil
import sys
import threading
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import numpy as np
import pytest

from hilum.api import calibrate, export
from hilum.classifier.classifier import Classifier
from hilum.errors import ClassifierError, HilumError
from hilum.evaluation.run import evaluate_run
from hilum.radiographs.dataset import open_dataset
from tests.command import run_command
from tests.spots import write_spots
from tests.untrained import untrained

COMMIT = "a" * 40


class HubServer(ThreadingHTTPServer):
    """folder: the repository's. asked: the paths that were asked for. away: it gives no answer."""

    folder: Path
    asked: list[str]
    away: bool = False


class Hub(BaseHTTPRequestHandler):
    """The part of the hub's protocol that files are fetched by."""

    server: HubServer

    def do_HEAD(self):
        self.answer(with_body=False)

    def do_GET(self):
        self.answer(with_body=True)

    def answer(self, with_body):
        self.server.asked.append(self.path)
        if self.server.away:
            self.close_connection = True
            return None
        parts = unquote(urlsplit(self.path).path).strip("/").split("/")
        if parts[0] == "api" or "resolve" not in parts:
            return self.refuse("RepoNotFound")
        owner, name, _, revision, file = parts[0], parts[1], parts[2], parts[3], "/".join(parts[4:])
        if (owner, name) != ("ward", "chests"):
            return self.refuse("RepoNotFound", status=401)
        if revision not in ("main", "v1", COMMIT):
            return self.refuse("RevisionNotFound")
        path = self.server.folder / file
        if not path.is_file():
            return self.refuse("EntryNotFound")
        data = path.read_bytes()
        self.send_response(200)
        self.send_header("ETag", f'"{sha256(data).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if with_body:
            self.wfile.write(data)
        return None

    def refuse(self, code, status=404):
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_): ...


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = write_spots(tmp_path_factory.mktemp("hub") / "spots", {"train": 4, "val": 12})
    return open_dataset(root)


@pytest.fixture(scope="module")
def classifier(data):
    return calibrate(untrained(data), data, "val", promises="alike")


@pytest.fixture
def hub(tmp_path, classifier, monkeypatch):
    """A hub with the repository ward/chests, and an empty cache."""
    constants = pytest.importorskip("huggingface_hub.constants")
    with HubServer(("127.0.0.1", 0), Hub) as server:
        address = f"http://127.0.0.1:{server.server_address[1]}"
        # what $HF_ENDPOINT and $HF_HUB_CACHE set where they are there before the first import
        monkeypatch.setattr(constants, "ENDPOINT", address)
        template = f"{address}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub-cache"))
        server.folder = export(classifier, tmp_path / "repository")
        server.asked = []
        for name in ("modeling.py", "model.onnx", "other/adapter.safetensors"):
            (tmp_path / "repository" / name).parent.mkdir(exist_ok=True)
            (tmp_path / "repository" / name).write_text("raise SystemExit('it was run')")
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_the_round_trip(hub, classifier, data, tmp_path, monkeypatch, capsys):
    pixels = data.pixels(classifier.preprocessing)

    found = Classifier.load("hf://ward/chests", device="cpu")

    assert np.array_equal(
        found.predict_pixels(pixels).probs, classifier.predict_pixels(pixels).probs
    )
    assert found.weights_sha256() == classifier.weights_sha256()
    assert found.validation is not None
    fetched = {path.rpartition("/")[2] for path in hub.asked if "/resolve/" in path}
    unread = {"modeling.py", "README.md", "model.onnx", "adapter.safetensors"}
    assert unread.isdisjoint(fetched)
    assert all(f"/resolve/{COMMIT}/" in p for p in hub.asked if p.endswith(".safetensors"))

    image = data.records[0].path
    for address in ("hf://ward/chests@v1", f"hf://ward/chests@{COMMIT}"):
        code, out, err = run_command(
            monkeypatch, capsys, "predict", address, image, "--runtime", "torch"
        )
        assert (code, err.count("hf://")) == (0, 0), err
        assert found.predict(image)[0].predicted in out

    run_command(monkeypatch, capsys, "evaluate", "hf://ward/chests", data.root, "--split", "val",
                "--out", tmp_path / "evaluation")  # fmt: skip
    assert (tmp_path / "evaluation/evaluation.json").is_file()
    with pytest.raises(ClassifierError, match=r"hf://ward/chests: nothing is written there.*--out"):
        evaluate_run(Path("hf://ward/chests"), found, data)


def test_what_was_fetched_is_read_without_a_network(hub, classifier, monkeypatch):
    constants = sys.modules["huggingface_hub.constants"]
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ClassifierError, match="cannot be reached, and classifier.json was not"):
        Classifier.load("hf://ward/chests")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    Classifier.load("hf://ward/chests")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    asked = len(hub.asked)

    found = Classifier.load("hf://ward/chests")

    assert len(hub.asked) == asked
    assert found.weights_sha256() == classifier.weights_sha256()


def test_a_hub_that_does_not_answer_is_asked_once(hub, classifier):
    hub.away = True
    with pytest.raises(ClassifierError, match="cannot be reached, and classifier.json was not"):
        Classifier.load("hf://ward/chests")
    assert len([path for path in hub.asked if "/resolve/" in path]) == 1
    hub.away = False
    Classifier.load("hf://ward/chests")
    hub.away = True

    found = Classifier.load("hf://ward/chests")

    assert found.weights_sha256() == classifier.weights_sha256()


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("hf://ward/heads", r"^hf://ward/heads: there is no such repository, or it is private"),
        ("hf://ward/chests@v9", "there is no revision 'v9' of it"),
        ("hf://chests", "expected hf://OWNER/NAME"),
        ("hf://ward/ch..ests", "hf://ward/ch..ests: "),
    ],
)
def test_what_is_not_there_is_refused_in_a_sentence(hub, address, said):
    with pytest.raises(ClassifierError, match=said) as refused:
        Classifier.load(address)
    assert str(refused.value).count("\n") == 0


def test_a_repository_of_something_else_is_refused(hub):
    (hub.folder / "classifier.json").unlink()
    with pytest.raises(ClassifierError, match="no classifier.json, so it is no classifier of"):
        Classifier.load("hf://ward/chests")


def test_files_that_are_not_those_of_classifier_json_are_refused(hub):
    shutil.copy(hub.folder / "root.safetensors", hub.folder / "infected.safetensors")
    with pytest.raises(ClassifierError, match="SHA-256 is not the one in classifier.json"):
        Classifier.load("hf://ward/chests")


@pytest.mark.parametrize("file", ["../../secret.safetensors", "modeling.py"])
def test_a_hostile_classifier_json_fetches_nothing_else(hub, file):
    path = hub.folder / "classifier.json"
    path.write_text(path.read_text().replace('"root.safetensors"', f'"{file}"'))
    with pytest.raises(ClassifierError, match="damaged, or not Hilum's"):
        Classifier.load("hf://ward/chests")
    assert not any("modeling" in asked or "secret" in asked for asked in hub.asked)


def test_a_network_of_somebodys_code_is_not_run(hub):
    path = hub.folder / "classifier.json"
    path.write_text(path.read_text().replace('"naive"', '"modeling:Net"'))
    with pytest.raises(HilumError, match="'modeling:Net' is not part of Hilum"):
        Classifier.load("hf://ward/chests")


def test_without_huggingface_hub_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ClassifierError, match=r"pip install 'hilum\[hub\]'"):
        Classifier.load("hf://ward/chests")
