"""Training that starts from weights in a file: what is loaded of them, told and remembered."""

import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from hilum.classifier.classifier import Classifier
from hilum.errors import HilumError, Interrupted, RecipeError, TrainingError
from hilum.evaluation.evaluate import evaluate
from hilum.networks.registry import create_network, read_start
from hilum.training.folder import read_facts
from hilum.training.run import train
from tests.networks import fake_packages as fake
from tests.spots import quick_recipe

SIZE = (40, 40)


def network(outputs=2, name="hilum-xs", seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return create_network(name, outputs=outputs, image_size=SIZE)


def write(path, state):
    save_file({k: v.contiguous() for k, v in state.items()}, path)
    return str(path)


def start(path, made):
    return read_start("hilum-xs", made, path)


def test_what_fits_is_loaded_and_the_rest_is_named(tmp_path):
    theirs = network(outputs=5).state_dict()
    first = next(key for key, value in theirs.items() if value.ndim == 4)
    grey = theirs[first].clone()
    theirs[first] = torch.cat([0.2 * grey, 0.3 * grey, 0.5 * grey], dim=1)
    last = [key for key in theirs if theirs[key].shape[:1] == (5,)]
    made = network(seed=1)
    with_prefix = {f"backbone.{key}": value for key, value in theirs.items()}
    found = start(write(tmp_path / "w.safetensors", with_prefix | {"step": torch.ones(1)}), made)
    assert found.adapted == (first,)
    assert list(found.at_random) == last
    assert set(found.unused) == {"step", *(f"backbone.{key}" for key in last)}
    torch.testing.assert_close(found.state[first], grey)  # a grey image has three equal channels
    same = found.state.keys() - {first}
    assert len(same) == len(theirs) - 3
    assert all(torch.equal(found.state[key], theirs[key]) for key in same)
    said = found.sentence("root")
    assert f"{len(theirs) - 2} of {len(theirs)} tensors loaded; colour channels added up" in said
    assert "at random: " + ", ".join(last) in said


def test_pytorchs_files_and_their_old_names_are_read(tmp_path):
    made = torch.nn.Module()
    made.denselayer1 = torch.nn.Module()
    made.denselayer1.norm1 = torch.nn.BatchNorm2d(2)
    made.last = torch.nn.Linear(2, 2)
    old = {f"module.{k.replace('norm1', 'norm.1')}": v + 1 for k, v in made.state_dict().items()}
    torch.save({"state_dict": old, "epoch": 3}, tmp_path / "old.pt")
    found = start(tmp_path / "old.pt", made)
    assert found.at_random == found.unused == ()
    assert found.state["denselayer1.norm1.weight"].tolist() == [2, 2]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: {"other": torch.ones(2)}, "do not fit the network 'hilum-xs': none of them"),
        (lambda s: dict(list(s.items())[9:]), r"of its \d+ tensors \d+ fit; .* and is not there"),
        (
            lambda s: {k: v[:1] if v.ndim == 4 else v for k, v in s.items()},
            r"should be \(\d+, .*\) and is \(1, ",
        ),
    ],
)
def test_what_does_not_fit_is_refused_in_one_sentence(tmp_path, change, message):
    path = write(tmp_path / "w.safetensors", change(network().state_dict()))
    with pytest.raises(RecipeError, match=message) as refusal:
        start(path, network())
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        (None, "gone.pt", "there is no such file"),
        (b"x", "w.safetensors", "damaged, or not safetensors"),
        (b"c os.system", "w.pt", "not a PyTorch checkpoint: neither a ZIP archive nor a pickle"),
        (b"<html>", "w.pt", "not a PyTorch checkpoint: neither a ZIP archive nor a pickle"),
        (b"\x80\x02cos\nsystem\n.", "w.pt", "refused: reading it would run code"),
    ],
)
def test_files_that_hold_no_weights_are_refused(tmp_path, content, name, message):
    if content:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(RecipeError, match=f"{name}: {message}"):
        start(tmp_path / name, network())


def test_every_decision_starts_from_the_file_and_the_run_says_so(tmp_path, spots):
    source = network(outputs=3, name="hilum-xs")
    weights = write(tmp_path / "source.safetensors", source.state_dict())
    # steps too small to be seen
    chosen = quick_recipe(
        "network=hilum-xs", f"weights={weights}", "epochs=1", "learning_rate=1e-12",
        "optimizer=sgd",
    )  # fmt: skip
    said: list[str] = []
    out = tmp_path / "run"
    classifier = train(spots, chosen, out, on_start=said.append)
    assert [line.split()[0] for line in said] == ["'root'", "'infected'"]
    facts = read_facts(out) or {}
    assert set(said) <= set(facts["notes"])
    assert facts["starts"]["root"]["file"] == "source.safetensors"
    assert facts["starts"] == Classifier.load(out).provenance["starts"]
    assert str(tmp_path) not in json.dumps(classifier.provenance["recipe"])
    theirs = dict(source.named_parameters())
    for trained in classifier.networks.values():
        for name, value in list(trained.named_parameters())[:-2]:
            torch.testing.assert_close(value, theirs[name], msg=name)


def test_a_run_goes_on_from_the_same_file_alone(tmp_path, spots, monkeypatch):
    path = tmp_path / "source.safetensors"
    write(path, network(seed=0).state_dict())
    chosen = quick_recipe("network=hilum-xs", f"weights={path}", "epochs=2")

    def stop(row):
        raise Interrupted("now")

    with pytest.raises(HilumError):
        train(spots, chosen, tmp_path / "run", on_epoch=stop)
    write(path, network(seed=1).state_dict())
    with pytest.raises(TrainingError, match="weights of 'root': SHA-256 [0-9a-f]{16} → "):
        train(spots, chosen, tmp_path / "run", resume=True)
    write(path, network(seed=0).state_dict())
    assert train(spots, chosen, tmp_path / "run", resume=True).provenance["finished"]


def test_data_that_the_weights_were_trained_on_are_no_test_of_them(tmp_path, spots, monkeypatch):
    fake.install(monkeypatch, ["torchxrayvision.models"])
    weights = write(tmp_path / "w.safetensors", fake.DenseNet().state_dict())
    chosen = quick_recipe(
        "network=xrv:densenet121-res224-all", f"weights={weights}", "epochs=1", "strategy=flat"
    )
    said: list[str] = []
    chest = replace(spots, layout="chexpert")
    classifier = train(chest, chosen, tmp_path / "run", on_start=said.append)
    general, particular = said[1:]
    assert "were trained on ChestX-ray14 of the NIH" in general
    assert "The radiographs of spots may be among those of CheXpert" in particular

    def notes(layout):
        return evaluate(classifier, replace(spots, layout=layout), "val").notes

    assert sum("may be among those of CheXpert" in note for note in notes("chexpert")) == 1
    (found,) = set(notes("padchest")) - set(notes(None))
    assert "may be among those of PadChest" in found
    at_random = chosen.override(["weights=none"])
    assert train(chest, at_random, tmp_path / "random").provenance["notes"] == list(chest.notes)
