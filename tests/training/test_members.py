"""Ensembles over seeds, and mirror images at the time of use, through the whole of a training."""

import signal

import numpy as np
import pytest
import torch
from scipy.special import softmax

from hilum.classifier.classifier import Classifier
from hilum.classifier.inference import compute_features, compute_logits
from hilum.errors import Interrupted
from hilum.explanation.network import open_network
from hilum.networks.ensemble import split_network
from hilum.training.folder import read_history
from hilum.training.run import train
from tests.training.test_resume import outcome


def logits_of(classifier, network, pixels):
    return compute_logits(network, pixels, classifier.preprocessing, classifier.device)


def test_members_answer_together(tmp_path, spots, recipe):
    single = train(spots, recipe("epochs=2"), tmp_path / "single")
    quick = recipe("epochs=2", "decision.root.members=3", "decision.root.select=best")
    made = train(spots, quick, tmp_path / "run")
    members, mirror = split_network(made.networks["root"])
    assert (len(members), mirror) == (3, False)
    assert len(made.provenance["selected_epochs"]["root"]) == 3
    assert made.provenance["selected_epochs"]["infected"] == 2
    assert len(split_network(made.networks["infected"])[0]) == 1
    for one, other in zip(
        single.networks["infected"].parameters(), made.networks["infected"].parameters(),
        strict=True,
    ):  # fmt: skip
        assert torch.equal(one, other)
    folders = sorted(p.name for p in (tmp_path / "run/checkpoints").iterdir())
    assert folders == ["infected", "root", "root.2", "root.3"]
    rows = read_history(tmp_path / "run/history.jsonl")
    told = [(row["decision"], row.get("member"), row["epoch"]) for row in rows]
    assert told == [("root", m, e) for m in (1, 2, 3) for e in (1, 2)] + [
        ("infected", None, e) for e in (1, 2)
    ]

    pixels = spots.pixels(made.preprocessing)[spots.indices("val")]
    loaded = Classifier.load(tmp_path / "run", device="cpu")
    found = loaded.predict_pixels(pixels).decision_probs["root"]
    t = loaded.temperatures["root"]
    mean = np.mean([softmax(logits_of(made, m, pixels), axis=1) for m in members], axis=0)
    np.testing.assert_allclose(found, softmax(np.log(mean) / t, axis=1), atol=1e-6)
    features = [
        compute_features(network, pixels, made.preprocessing, made.device)
        for network in (loaded.networks["root"], members[0])
    ]
    np.testing.assert_array_equal(features[0], features[1])
    opened = open_network(loaded, "root")
    assert opened.find_layer()[0] == open_network(single, "root").find_layer()[0]


def test_the_first_member_is_the_network_of_the_same_seed(tmp_path, spots, recipe):
    single = train(spots, recipe("epochs=1", "strategy=flat", "seed=4"), tmp_path / "single")
    quick = recipe("epochs=1", "strategy=flat", "seed=4", "members=2")
    (first, second), _ = split_network(train(spots, quick, tmp_path / "run").networks["flat"])
    alone = single.networks["flat"].state_dict()
    assert all(torch.equal(alone[key], value) for key, value in first.state_dict().items())
    assert not torch.equal(alone["fc1.weight"], second.state_dict()["fc1.weight"])


def test_mirror_images_travel_with_the_classifier(tmp_path, spots, recipe):
    plain = train(spots, recipe("epochs=1", "strategy=flat"), tmp_path / "plain")
    train(spots, recipe("epochs=1", "strategy=flat", "mirror_test=true"), tmp_path / "run")
    loaded = Classifier.load(tmp_path / "run", device="cpu")
    pixels = spots.pixels(loaded.preprocessing)[spots.indices("val")]
    flipped = np.ascontiguousarray(pixels[:, :, ::-1])
    network = plain.networks["flat"]
    mean = np.mean(
        [softmax(logits_of(plain, network, x), axis=1) for x in (pixels, flipped)], axis=0
    )
    found = logits_of(loaded, loaded.networks["flat"], pixels)
    np.testing.assert_allclose(np.exp(found), mean, atol=1e-6)
    np.testing.assert_allclose(
        loaded.predict_pixels(pixels).probs, loaded.predict_pixels(flipped).probs, atol=1e-6
    )
    truth = spots.labels[spots.indices("val")]
    (row,) = read_history(tmp_path / "run/history.jsonl")  # what is monitored is what is used
    assert row["monitor_loss"] == pytest.approx(-found[np.arange(12), truth].mean(), abs=1e-6)


def test_stopped_and_resumed_equals_uninterrupted_with_every_ingredient(tmp_path, spots, recipe):
    quick = recipe(
        "passes=108", "members=2", "ema=0.7", "sampling=balanced", "augmentation=full",
        "mirror_test=true", "scheduler=cosine", "warmup=0.3", "clip_norm=0.5", "optimizer=sgd",
        "nesterov=true", "learning_rate=0.01", "strategy=flat",
    )  # fmt: skip
    train(spots, quick, tmp_path / "whole")
    epochs = wanted = 0

    def interrupt(what: str, done: int, total: int) -> None:
        nonlocal epochs  # of either member, that were second
        if what == "flat: epoch 2 of 3" and done == 16:
            epochs += 1
            if epochs == wanted:
                signal.raise_signal(signal.SIGINT)

    for wanted in (1, 2):
        epochs = wanted - 1
        with pytest.raises(Interrupted):
            train(spots, quick, tmp_path / "stopped", resume=wanted > 1, progress=interrupt)
    train(spots, quick, tmp_path / "stopped", resume=True)
    assert outcome(tmp_path / "stopped") == outcome(tmp_path / "whole")
