"""The command line, as a person and as a program uses it."""

import atexit
import json
import os
import pickle
import re
import shutil
import signal
import struct
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from hilum import __main__, cli
from hilum.classifier.calibrate import calibrate_on
from hilum.errors import HilumError
from hilum.exporting.runtime import run_by_onnx
from hilum.networks.registry import create_network
from hilum.radiographs.dataset import open_dataset
from tests.command import run_command
from tests.spots import write_spots
from tests.untrained import untrained

SMALL = ["--set", "image_size=32", "--set", "epochs=1", "--set", "batch_size=8", "--device", "cpu"]
QUICK = [*SMALL, "--no-report"]


@pytest.fixture
def run(monkeypatch, capsys):
    """Run `hilum …` through its real entry point; returns (exit code, stdout, stderr)."""

    return partial(run_command, monkeypatch, capsys)


@pytest.fixture
def data(tmp_path):
    return write_spots(tmp_path / "spots", {"train": 4, "val": 2})


@pytest.fixture
def trained(tmp_path, data, run):
    code, _, err = run("train", data, "--out", tmp_path / "run", *QUICK)
    assert code == 0, err
    return tmp_path / "run"


def test_train_evaluate_predict(tmp_path, data, trained, run):
    assert (trained / "classifier/classifier.json").exists()

    code, out, _ = run("evaluate", trained, data, "--split", "val", "--out", tmp_path / "e")
    assert code == 0
    assert "Confusion matrix" in out
    assert "\033[" not in out, "plain text in a pipe"
    written = json.loads((tmp_path / "e/evaluation.json").read_text())
    assert written["n"] == 6

    code, out, _ = run("evaluate", trained, data, "--json")
    assert json.loads(out)["confusion_matrix"] == written["confusion_matrix"]
    assert (trained / "evaluation/val/predictions.csv").exists()

    code, out, _ = run("predict", trained, data / "val", "--json")
    found = json.loads(out)["predictions"]
    assert len(found) == 6
    assert sum(found[0]["probs"].values()) == pytest.approx(1, abs=1e-5)
    assert set(found[0]["decisions"]) == {"root", "infected"}

    table = tmp_path / "p.csv"
    image = data / "val/normal/0.png"
    code, out, _ = run("predict", trained, image, "--out", table, "--runtime", "torch")
    assert (code, out) == (0, "")
    assert table.read_text().startswith('"path","predicted"')

    code, out, _ = run("predict", trained, data / "val/normal/0.png")
    assert "not a diagnosis" in out


def test_cache_shows_and_clears(cache, data, run):
    def files():
        code, out, _ = run("cache", "--json")
        assert code == 0
        return {kept["folder"]: kept["files"] for kept in json.loads(out)["contents"]}

    assert run("audit", data, "--out", cache.with_name("audit"))[0] == 0
    assert (files()["pixels"], files()["index"]) == (2, 1)  # as thumbnails, and to find copies
    code, out, err = run("cache")
    assert (code, "decoded radiographs" in out) == (0, True)
    assert "Limit: at most 20 GB" in err
    code, _, err = run("cache", "--salts")
    assert (code, "--clear" in err) == (2, True)
    assert run("cache", "--clear")[0] == 0
    assert set(files().values()) == {0}


def test_train_lists_the_keys_of_a_recipe(run):
    code, shown, _ = run("train", "--keys")

    assert code == 0

    assert "\nlearning_rate = 0.001\n    Step size; with `one-cycle` its peak.\n" in shown
    assert "\naugmentation.rotate = 0.0\n    Turn by up to so many degrees" in shown
    assert '\npreprocessing.crop = "none"\n' in shown


def test_train_json_and_resume(tmp_path, data, trained, run):
    code, out, _ = run("train", data, "--out", trained, "--resume", "--json")
    assert code == 0
    found = json.loads(out)
    assert len(found["history"]) == 1
    assert found["result"]["evaluations"]["run"]["n"] == 6
    code, _, err = run("train", data, "--resume")
    assert (code, "name its folder" in err) == (2, True)


def test_report(tmp_path, data, trained, run):
    run("evaluate", trained, data)
    code, out, _ = run("report", trained, "--out", tmp_path / "r.html")
    assert code == 0
    assert (tmp_path / "r.html").read_text().count("data:image") > 1
    code, _, err = run("export", trained, "--to", "safetensors", "--out", tmp_path / "shared")
    assert code == 0, err
    figures = json.loads((trained / "evaluation/val/evaluation.json").read_text())
    card = (tmp_path / "shared/README.md").read_text()
    assert "model-index:" in card
    assert f'"value": {round(figures["accuracy"]["value"], 6)}' in card


def test_audit_split_and_train_by_the_split(tmp_path, monkeypatch, run):
    data = write_spots(tmp_path / "spots", {"train": 30, "val": 2})
    code, out, err = run(
        "audit", data, "--show-preprocessing", "--show-augmentation", "--out", tmp_path / "audit",
        "--recipe", "quick",
    )  # fmt: skip
    assert code == 0, err
    assert "under quick" in out
    assert "The augmentation of 'quick' leaves" in out
    assert "PASSED: No image stands in two splits" in out
    page = (tmp_path / "audit/audit.html").read_text()
    assert "contrast: clahe" in page
    assert "all, epoch 6" in page
    written = json.loads((tmp_path / "audit/audit.json").read_text())
    assert written["left"]["recipe"] == "quick"
    code, out, _ = run("audit", data, "--out", tmp_path / "audit", "--json")
    assert json.loads(out)["left"] is None
    findings = [f for f in written["findings"] if f["code"] != "shortcut-left"]
    assert json.loads(out)["findings"] == findings

    table = tmp_path / "folds.csv"
    arguments = ["split", data, "--folds", 2, "--block-size", 2, "--out", table]
    code, out, err = run(*arguments)
    assert code == 0, err
    assert "fold 1" in out
    written = table.read_bytes()
    code, out, _ = run(*arguments, "--json")
    assert sum(sum(c.values()) for c in json.loads(out)["counts"].values()) == 96
    assert table.read_bytes() == written, "same seed, same split"

    code, _, err = run(
        "train", data, "--split", table, "--fold", 1, "--out", tmp_path / "run", *QUICK
    )
    assert code == 0, err
    code, out, _ = run("evaluate", tmp_path / "run", data, "--json")
    assert (
        json.loads(out)["n"]
        == json.loads((tmp_path / "run/run.json").read_text())["monitored"]["n"]
    )

    page = tmp_path / "r.html"
    monkeypatch.chdir(tmp_path)
    (tmp_path / "audit").rename(tmp_path / "audit-spots")
    code, _, err = run("report", tmp_path / "run", "--out", page)
    assert code == 0, err
    assert "Is the data sound?" in page.read_text()
    (tmp_path / "audit-spots").rename(tmp_path / "audit")
    code, _, err = run(
        "report", tmp_path / "run", "--audit", tmp_path / "audit/audit.json", "--out", page
    )
    assert code == 0, err
    text = page.read_text()
    assert "Is the data sound?" in text
    assert "not about the splits that they were trained in" in text
    code, _, err = run(
        "audit", data, "--split", table, "--fold", 1, "--out", tmp_path / "audit-spots"
    )
    assert code == 0, err
    code, _, err = run("report", tmp_path / "run", "--out", page)
    assert code == 0, err
    text = page.read_text()
    assert "not about the splits" not in text
    assert "made of other data than these runs" not in text

    (tmp_path / "audit-spots").rename(tmp_path / "run/audit")  # as hilum train leaves it
    code, _, err = run("report", tmp_path / "run", "--out", page)
    assert (code, "With the findings of" in err, "run/audit/audit.json" in err) == (0, True, True)


def test_train_refuses_a_leak_and_allows_it_when_told(tmp_path, run):
    data = write_spots(tmp_path / "spots", {"train": 4, "val": 2})
    shutil.copy(data / "train/normal/0.png", data / "val/normal/9.png")
    code, _, err = run("train", data, "--out", tmp_path / "run", *QUICK)
    assert code == 2
    assert "train/normal/0.png = val/normal/9.png" in err
    code, _, err = run("train", data, "--out", tmp_path / "run", "--allow", "leakage", *QUICK)
    assert code == 0, err


def test_near_copies_across_splits_are_told_by_train_evaluate_and_report(tmp_path, run):
    data = write_spots(tmp_path / "spots", {"train": 4, "val": 2}, size=64)
    with Image.open(data / "train/normal/0.png") as image:
        image.save(data / "val/normal/9.jpg", quality=60)
    with Image.open(data / "train/infected/covid/1.png") as image:
        image.resize((56, 56)).save(data / "val/infected/covid/8.png")

    code, _, err = run("train", data, "--out", tmp_path / "run", *QUICK)

    assert code == 0, err
    pairs = ("train/normal/0.png = val/normal/9.jpg",
             "train/infected/covid/1.png = val/infected/covid/8.png")  # fmt: skip
    said = "2 images in training and in another part of the data, as copies or nearly so"
    assert said in err
    assert all(pair in err for pair in pairs)
    carried = (tmp_path / "run/classifier/classifier.json").read_text()
    assert said in carried
    assert "9.jpg" not in carried, "a classifier names no file"
    code, out, err = run("evaluate", tmp_path / "run", data)
    assert code == 0, err
    assert all(pair in out for pair in pairs)
    code, _, err = run("report", tmp_path / "run", "--out", tmp_path / "r.html")
    assert code == 0, err
    text = (tmp_path / "r.html").read_text()
    assert said in text
    assert all(pair in text for pair in pairs)


def test_models(run):
    code, out, _ = run("models", "--json")
    counts = {m["name"]: m["parameters"] for m in json.loads(out)}
    published = {"naive": 175_274, "resnet-block": 77_378, "covinet": 39_746}
    assert counts.items() >= published.items()
    code, out, _ = run("models")
    assert "covinet" in out
    assert "39,746" in out
    assert "torchvision:" in out
    code, out, _ = run("models", "covinet")
    assert "1 x 32 x 23 x 23" in out
    code, out, _ = run("models", "covinet", "--json")
    assert json.loads(out)["total_parameters"] == 39_746


def test_import(tmp_path, run):
    for name in ("root", "infected"):
        network = create_network("covinet", outputs=2, image_size=(32, 32))
        torch.save({"model_state_dict": network.state_dict()}, tmp_path / f"{name}.pt")
    arguments = [
        "import", "--network", "covinet", "--classes", "normal, infected(covid, non-covid)",
        "--decision", f"root={tmp_path / 'root.pt'}",
        "--decision", f"infected={tmp_path / 'infected.pt'}",
        "--image-size", "32", tmp_path / "made",
    ]  # fmt: skip
    assert run(*arguments)[0] == 0
    code, _, err = run(*arguments)
    assert code == 2
    assert "not empty" in err


@pytest.mark.parametrize("verb", [verb.rstrip("_") for verb in cli.VERBS])
def test_every_verb_has_help_with_an_example(verb):
    # a wide terminal, so that lines are not broken within a word
    result = CliRunner().invoke(cli.app, [verb, "--help"], env={"COLUMNS": "200"})
    assert result.exit_code == 0
    assert f"Example: hilum {verb}" in result.output
    assert "pip install 'hilum'" not in result.output  # Rich takes [ray] for a style


def test_help_wraps_as_wide_as_the_terminal():
    said = CliRunner().invoke(cli.app, ["export", "--help"], env={"COLUMNS": "120"}).output
    assert " probabilities and the predicted class; labels, " in said
    said = CliRunner().invoke(cli.app, ["capsule", "run", "--help"], env={"COLUMNS": "200"}).output
    assert "\n\n" in re.sub(" +", "", said.partition("╭")[0]).strip(), "paragraphs stay"


def test_version_and_no_verb(run):
    assert run("--version")[1].startswith("hilum 0.")
    assert "audit" in run()[1]
    assert run("capsule")[2] == "hilum: Missing command. See: hilum capsule --help\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["train", "nowhere", "--out", "x"], "nowhere: there is no such folder"),
        (["train", ".", "--out", "x", "--recipe", "covinet-cascad"], "Did you mean"),
        (["train", ".", "--out", "x", "--set", "learning_rate=-1"], "learning_rate"),
        (["train", ".", "--out", "x", "--set", "lerning_rate=1"], "Did you mean 'learning_rate'"),
        (["train", ".", "--out", "x", "--monitor", "valid"], "monitor"),
        (["train", ".", "--out", "x", "--resume"], "no labelled images"),
        (["evaluate", ".", "."], "neither a classifier"),
        (["split", ".", "--out", "s.csv", "--parts", "train=x"], "no labelled images"),
        (["audit", "nowhere"], "there is no such"),
        (["get", "covidx-ray"], "get"),
        (["models", "covid"], "Did you mean 'covinet'|Known"),
        (["report", "."], "run"),
        (["train"], "Missing argument 'data'. See: hilum train --help"),
        (["capsule", "run", "x"], "Missing argument 'data'. See: hilum capsule run --help"),
        (["train", ".", "--nope"], "No such option: --nope. See: hilum train --help"),
        (["train", ""], "Invalid value for 'data': the path is empty; .* See: hilum train --help"),
        (["audit", ".", "--out="], "Invalid value for '--out': the path is empty"),
        (["report", ".", ""], "Invalid value for 'runs': the path is empty"),
        (["import", "x", "--network", "covinet", "--classes", "a, b", "--decision", "flat="],
         "--decision flat=: expected NAME=FILE"),
        (["train", ".", "--device", "gpu"], r"device: expected auto, .* mps \(found 'gpu'\)"),
        (["models", "--batch", "x"], "Invalid value for '--batch': .* See: hilum models --help"),
        (["trian"], r"No such command 'trian'\. Did you mean 'train'\? See: hilum --help"),
    ],
)  # fmt: skip
def test_bad_input_is_one_sentence_and_exit_code_2(tmp_path, monkeypatch, run, arguments, said):
    monkeypatch.chdir(tmp_path)
    code, out, err = run(*arguments)
    assert code == 2
    assert out == ""
    assert err.startswith("hilum: ")
    assert re.search(said, err)
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("tra", ["train"]),
        ("train --see", ["--seed"]),
        ("train DATA --recipe covinet-f", ["covinet-flat"]),
        ("search qui", ["quick"]),
        ("study batch", ["batch-size"]),
        ("get ker", ["kermany"]),
        ("capsule re", ["read"]),
        ("capsule run CAPSULE DATA --si", ["--site"]),
    ],
)
def test_a_shell_completes_verbs_options_and_names(monkeypatch, run, line, offered):
    monkeypatch.setenv("_HILUM_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", f"hilum {line}")
    monkeypatch.setenv("COMP_CWORD", str(len(line.split())))
    code, out, _ = run()
    assert (code, out.split()) == (0, offered)


def test_debug_shows_the_traceback(run):
    with pytest.raises(HilumError):
        run("evaluate", "nowhere", "nowhere", "--debug")


def hilum(*arguments, python=sys.executable, **options):
    command = [python, "-m", "hilum", *map(str, arguments)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, text=True, **{**pipes, **options})


def test_ctrl_c_ends_with_a_checkpoint_and_exit_code_130(tmp_path, data):
    out = tmp_path / "run"
    process = hilum("train", data, "--out", out, *QUICK, "--set", "epochs=5000")
    assert any(" 1/5000" in line for line in process.stderr), "it trains"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "--resume" in err
    assert "Traceback" not in err


@pytest.mark.parametrize("turned", [KeyboardInterrupt, ImportError, RecursionError])
def test_ctrl_c_anywhere_else_is_a_sentence_and_exit_code_130(tmp_path, monkeypatch, run, turned):
    def interrupt(*_, **__):
        raise turned

    monkeypatch.setattr("hilum.classifier.classifier.Classifier.load", interrupt)
    monkeypatch.setattr(cli, "main", partial(cli.main, lambda: True))
    said = (130, "", "hilum: Interrupted.\n")
    assert run("export", tmp_path, "--to", "onnx") == said


@pytest.mark.parametrize("ending", [KeyboardInterrupt(), SystemExit(130)])
def test_an_interrupted_process_ends_without_what_python_does_last(monkeypatch, capsys, ending):
    def begin(interrupted):
        assert not interrupted()
        with pytest.raises(KeyboardInterrupt):
            handlers[signal.SIGINT](signal.SIGINT, None)
        assert interrupted()
        raise ending

    handlers: dict[int, Callable[..., None]] = {}
    ended: list[object] = []
    monkeypatch.setattr(cli, "main", begin)
    monkeypatch.setattr(signal, "signal", handlers.__setitem__)
    monkeypatch.setattr(signal, "getsignal", lambda number: signal.default_int_handler)
    monkeypatch.setattr(atexit, "register", lambda *_: None)
    monkeypatch.setattr(atexit, "_run_exitfuncs", lambda: ended.append("cleaned"))
    monkeypatch.setattr(os, "_exit", ended.append)
    with pytest.raises(SystemExit):  # because this _exit comes back
        __main__.main()
    assert ended == ["cleaned", 130]
    handlers[signal.SIGINT]()
    assert ended[2:] == [130]
    assert capsys.readouterr().err in ("", "hilum: Interrupted.\n")


def test_a_reader_that_goes_away_is_no_error():
    process = hilum("models")
    process.stdout.close()
    with process.stderr:
        assert process.stderr.read() == ""
    process.wait(timeout=60)


def test_a_terminal_of_80_columns_gets_one_live_table_and_nothing_wraps(tmp_path, data, python):
    import fcntl
    import pty
    import termios

    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    process = hilum(
        "train", data, "--out", tmp_path / "run", *QUICK,
        python=python, stdout=follower, stderr=follower,
        env={**os.environ, "TERM": "xterm-256color"},
    )  # fmt: skip
    os.close(follower)
    shown = b""
    while True:
        try:
            part = os.read(leader, 65536)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        shown += part
    assert process.wait() == 0
    text = shown.decode()
    assert "\033[1m" in text
    assert "flat: epoch 1 of 1" in text
    lines = re.split(r"[\r\n]+", re.sub(r"\033\[[\d;?]*[A-Za-z]", "", text))
    assert any(line.split() == ["train", "train", "monitored", "monitored"] for line in lines)
    assert any(line.startswith("flat") and " 1/1 " in line for line in lines)
    commands = [line for line in lines if "hilum train " in line]  # to be copied, never broken
    long = [line for line in lines if line not in commands and len(line) > 80]
    assert [line for line in long if " " in line] == [], "only a path, which is not cut"
    assert commands[0].endswith("--resume")
    assert Path(tmp_path / "run/classifier").exists()


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (PermissionError(13, "Permission denied", "a/b"), "a/b: cannot be read or written (Perm"),
        (OSError(28, "No space left on device"), "{}: cannot be read or written (No space left"),
        (RecursionError("maximum"), "{}: is nested too deep"),
        (MemoryError(), "{}: needs more memory than there is"),
        (pickle.UnpicklingError("x"), "{}: is refused: reading it would run code"),
    ],
)
def test_what_nobody_foresaw_is_a_sentence_too(tmp_path, monkeypatch, run, error, said):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr("hilum.classifier.classifier.Classifier.load", fail)
    arguments = "export", tmp_path, "--to", "onnx"

    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith(f"hilum: {said.format(tmp_path)}")
    with pytest.raises(type(error)):
        run(*arguments, "--debug")


@pytest.mark.parametrize("found", [False, True])
def test_a_full_disk_leaves_no_half_made_classifier(tmp_path, monkeypatch, run, found):
    network = create_network("covinet", outputs=2, image_size=(32, 32))
    torch.save(network.state_dict(), tmp_path / "all.pt")
    if found:
        (tmp_path / "made").mkdir()
    sync, files = os.fsync, []

    def full(handle):
        files.append(handle)
        if len(files) == 2:
            raise OSError(28, "No space left on device")
        sync(handle)

    monkeypatch.setattr("hilum.files.os.fsync", full)
    arguments = (
        "import", "--network", "covinet", "--classes", "normal, covid", "--image-size", "32",
        "--decision", f"flat={tmp_path / 'all.pt'}", tmp_path / "made",
    )  # fmt: skip

    code, _, err = run(*arguments)

    assert code == 2
    assert err == f"hilum: {tmp_path / 'made'}: cannot be written (No space left on device).\n"
    assert (tmp_path / "made").exists() == found
    assert not found or not any((tmp_path / "made").iterdir())
    monkeypatch.undo()


#: What starting takes long for, and most verbs do not use.
_HEAVY = {
    "captum", "fastapi", "huggingface_hub", "matplotlib", "mlflow", "onnx", "onnxscript", "optuna",
    "pandas", "sklearn",
    "scipy.ndimage", "scipy.optimize", "scipy.spatial", "scipy.stats", "torch", "torch._dynamo",
    "torch._inductor", "torch.onnx",
}  # fmt: skip


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """A classifier that was calibrated, translated to ONNX, the data, and images of a week."""
    root = tmp_path_factory.mktemp("imports")
    data = open_dataset(write_spots(root / "data", {"train": 4, "val": 12}))
    classifier = calibrate_on(untrained(data), data, "val", promises="alike")
    run_by_onnx(classifier)  # translates its networks
    classifier.save(root / "run")
    week = write_spots(root / "week", {"week": 12}, seed=5)
    return {"run": root / "run", "image": data.records[0].path, "data": data.root, "week": week}


@pytest.mark.parametrize(
    ("verb", "may"),
    [
        (("--help",), set()),
        (("train", "--help"), set()),
        (("evaluate", "{run}", "{data}/no-such"), set()),  # refused
        (("predict", "{run}", "{image}"), set()),  # by ONNX Runtime
        (("predict", "{run}", "{image}", "--runtime", "torch"), {"torch"}),
        (
            ("evaluate", "{run}", "{data}", "--out", "{out}"),
            # the intervals of calibration are found by scipy.optimize, which takes these along
            {"torch", "scipy.optimize", "scipy.spatial"},
        ),
        (("watch", "{run}", "{week}"), {"torch"}),
    ],
    ids=lambda given: given[0] if isinstance(given, tuple) else "",
)
def test_a_verb_imports_no_heavy_library_that_it_does_not_use(places, tmp_path, verb, may):
    words = [word.format(out=tmp_path / "out", **places) for word in verb]
    program = (
        "import atexit, sys; from hilum.cli import main\n"
        f"atexit.register(lambda: print('imported', *({_HEAVY!r} & set(sys.modules))))\n"
        f"sys.argv = {['hilum', *words]!r}; main()"
    )

    told = {**os.environ, "OMP_DISPLAY_ENV": "verbose"}

    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=told
    )

    assert found.returncode == 2 * ("{data}/no-such" in verb), found.stderr
    assert set(found.stdout.splitlines()[-1].split()[1:]) <= may
    if "torch" in may and sys.platform == "linux":  # threads that wait soon leave processors alone
        assert "GOMP_SPINCOUNT = '10000'" in found.stderr
