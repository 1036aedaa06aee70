"""From a run to a capsule, through other hospitals, and back."""

import json
import re
import shutil
import socket
import stat
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hilum.capsule.aggregate import Cases, aggregate, choose_cases, in_vocabulary
from hilum.capsule.archive import opened
from hilum.capsule.make import make_capsule
from hilum.capsule.read import Read, compare
from hilum.capsule.result import Figure, Signed, SiteResult
from hilum.capsule.run import as_text, recalibrate, run_capsule, write_result
from hilum.capsule.signing import key_path, sign
from hilum.classifier.classifier import Classifier
from hilum.codec import to_plain
from hilum.errors import EvaluationError
from hilum.evaluation.bands import Bands, cut_tertiles
from hilum.evaluation.files import read_evaluation
from hilum.labels import LabelTree
from hilum.networks.registry import create_network
from hilum.radiographs.dataset import open_dataset
from hilum.reporting.capsule_page import result_tables, write_capsule_page
from hilum.transforms.preprocess import Preprocessing
from tests.browser import browser as browser
from tests.browser import chromium as chromium
from tests.capsule.conftest import PLANTED, write_hospital


@pytest.fixture
def offline(monkeypatch):
    def refuse(*_, **__):
        pytest.fail("a capsule asks for no network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


# ---- the capsule --------------------------------------------------------------------------------


def test_a_capsule_holds_what_is_needed_and_nothing_of_patients(home, capsule):
    before = Classifier.load(home, device="cpu")
    names = [d.name for d in before.tree.networks("cascade")]
    assert sorted(capsule.files) == sorted(
        ["home.json", "classifier/classifier.json", "classifier/gate.pictures.safetensors",
         *(f"classifier/{name}.safetensors" for name in names)]
    )  # fmt: skip
    with zipfile.ZipFile(capsule.path) as archive:
        content = b"".join(archive.read(name) for name in archive.namelist())
    for word in (b".png", b"spots.csv", str(home.parent).encode(), b"/home/", b"versions"):
        assert word not in content
    with opened(capsule.path) as inside:
        after = inside.classifier
    assert inside.hash == capsule.hash
    assert after.weights_sha256() == before.weights_sha256()
    assert after.temperatures == before.temperatures
    assert (after.validation, after.reference, after.thumbnails) == (None, None, None)
    assert after.gate.scores.tolist() == before.gate.scores.tolist()


def test_home_is_told_as_its_evaluation_tells_it(home, capsule):
    told = capsule.home.aggregates
    found = read_evaluation(home / "evaluation/test/evaluation.json")
    assert told.n == found.n == 90
    assert told.macro_auroc.value == pytest.approx(found.overall["macro_auroc"].value, abs=5e-4)
    for row, (name, own) in zip(found.confusion_matrix, told.classes.items(), strict=True):
        assert all(c.low <= n <= c.high for c, n in zip(own.called.values(), row, strict=True))
        recall = found.per_class[name].recall
        assert own.recall.low <= recall.value + 5e-4
        assert own.recall.high >= recall.value - 5e-4


def test_the_same_run_gives_the_same_capsule(home, capsule, tmp_path):
    assert make_capsule(home, tmp_path / "again.zip").hash == capsule.hash


@pytest.mark.parametrize("strategy", ["findings", "code", "nothing evaluated", "another training"])
def test_what_cannot_travel_is_refused(home, tmp_path, monkeypatch, strategy):
    source = tmp_path / "run"
    shutil.copytree(home, source)
    said = {
        "findings": "has findings, which cannot travel",
        "code": "so it cannot hold the network 'mine:Net'",
        "nothing evaluated": "no evaluation of test or val",
        "another training": "another training",
    }
    if strategy == "nothing evaluated":
        shutil.rmtree(source / "evaluation")
    else:
        model = Classifier.load(source, device="cpu")
        if strategy == "findings":
            model.tree = LabelTree.from_text("{effusion, mass}")
        elif strategy == "code":
            model.network_names = dict.fromkeys(model.network_names, "mine:Net")
        else:
            model.provenance["finished"] = "another day"
        monkeypatch.setattr(Classifier, "load", lambda *_, **__: model)
    with pytest.raises(EvaluationError, match=said[strategy]):
        make_capsule(source, tmp_path / "c.zip")
    assert not (tmp_path / "c.zip").exists()


# ---- what leaves --------------------------------------------------------------------------------


def numbers(value):
    """All numbers in a JSON value."""
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from numbers(item)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield value


def test_no_value_of_a_single_case_is_in_what_leaves(
    capsule, hospital, tmp_path, run, monkeypatch, offline
):
    said = []
    classify = Classifier.predict_pixels

    def listen(self, *arguments, **named):
        said.append(classify(self, *arguments, **named))
        return said[-1]

    monkeypatch.setattr(Classifier, "predict_pixels", listen)

    code, out, err = run(
        "capsule", "run", capsule.path, hospital, "--site", "B", "--out", tmp_path / "out"
    )

    assert code == 0, err
    result = (tmp_path / "out/result-b.json").read_text()
    page = (tmp_path / "out/result-b.html").read_text()
    assert sorted(f.name for f in (tmp_path / "out").iterdir()) == [
        "result-b.html", "result-b.json"
    ]  # fmt: skip
    assert said
    probs = np.concatenate(
        [np.concatenate([p.probs, *p.decision_probs.values()], axis=1).ravel() for p in said]
        + [p.gate_p_values for p in said]
    )
    unusual = {f"{p:.{d}f}" for p in probs for d in (4, 5, 6) if 0.001 < p < 0.999}
    unusual = {text for text in unusual if not text.endswith("0")}
    assert len(unusual) > 100
    for text in (result, page, out):
        assert [word for word in PLANTED if word.lower() in text.lower()] == []
        decimals = re.findall(r"\d+\.\d+", text)
        assert {number[:length] for number in decimals for length in (6, 7, 8)} & unusual == set()
        assert ".png" not in text
        assert str(tmp_path / "Zebra") not in text
    plain = json.loads(result)
    there = plain["result"]["there"]
    assert all(round(n, 3) == n for n in numbers(there))
    assert there["n"] == 120
    assert there["patients"] == 60
    assert list(there["attributes"]) == ["brightness", "contrast", "age", "sex"]
    # what the page shows in full is the file
    shown = page.partition("<pre")[2].partition(">")[2].partition("</pre>")[0]
    assert json.loads(shown.replace("&#34;", '"').replace("&#39;", "'")) == plain


def test_all_of_it_prints_on_few_sheets(browser, result, tmp_path):
    page = write_capsule_page(result[0], tmp_path / "result.html", "result.json")
    shown = browser.open(page).page
    shown.pdf(path=tmp_path / "result.pdf", prefer_css_page_size=True)
    sheets = re.findall(rb"/Type\s*/Page\b(?!s)", (tmp_path / "result.pdf").read_bytes())
    assert 2 <= len(sheets) <= 5
    shown.emulate_media(media="print")
    written = as_text(result[0]).decode()
    assert shown.locator("pre").inner_text().split() == written.split()


def test_what_is_told_does_not_change_with_a_single_wrong_image(capsule, hospital, monkeypatch):
    """Of 1 to 9 wrong images of a class it is told that they are few, and not how many."""
    with opened(capsule.path) as inside:
        data = open_dataset(hospital, tree=inside.classifier.tree)
        predicted = {}
        for wrong in (1, 6, 9):

            def classify(pixels, names, progress, wrong=wrong):
                truth = data.labels[data.indices("all")]
                called = truth.copy()
                called[np.flatnonzero(truth == 0)[:wrong]] = 1
                probs = np.eye(3)[called] * 0.7 + 0.1
                return inside.classifier.decide(
                    {"root": np.log(np.stack([probs[:, 0], probs[:, 1:].sum(1)], 1)),
                     "infected": np.log(probs[:, 1:])}
                )  # fmt: skip

            monkeypatch.setattr(inside.classifier, "predict_pixels", classify)
            inside.classifier.gate = None
            found = run_capsule(inside, data)
            there = to_plain(found.there)
            predicted[wrong] = (
                there["accuracy"], there["balanced_accuracy"],
                [(c["called"], c["recall"], c["specificity"], c["precision"])
                 for c in there["classes"].values()],
            )  # fmt: skip
    assert predicted[1] == predicted[6] == predicted[9]
    assert predicted[1][2][0][0] == {
        "normal": {"low": 31, "high": 39},
        "covid": {"low": 0, "high": 9},
        "non-covid": {"low": 0, "high": 9},
    }


def test_few_images_and_few_patients_are_not_told_of(capsule, tmp_path):
    with opened(capsule.path) as inside:
        few = open_dataset(write_hospital(tmp_path / "few", 9), tree=inside.classifier.tree)
        with pytest.raises(EvaluationError, match="0 images .* are too few .* 30 are needed"):
            run_capsule(inside, few)
    tree = LabelTree.from_text("a, b, c")
    truth = np.repeat([0, 1, 2], [30, 30, 19])
    predictions = flat(tree).decide({"flat": np.eye(3)[truth]})
    cases = choose_cases(tree, truth, predictions)
    assert (len(cases.truth), cases.left_out) == (60, ("c",))
    patients = [f"{k}" for k in range(30)] + [f"{k % 9}" for k in range(49)]
    cases = choose_cases(tree, truth, predictions, patients)
    assert (len(cases.truth), cases.left_out) == (30, ("b", "c"))


def flat(tree, **facts):
    """A classifier of one network that learnt nothing."""
    network = create_network("naive", outputs=len(tree.classes), image_size=(32, 32))
    return Classifier(
        tree=tree, strategy="flat", rule="argmax", preprocessing=Preprocessing(image_size=(32, 32)),
        networks={"flat": network}, network_names={"flat": "naive"}, **facts,
    )  # fmt: skip


@pytest.mark.parametrize("sizes", [(60, 45), (40, 30, 4), (60, 2, 3), (25, 30, 0, 25)])
def test_any_number_of_classes_is_told_of_without_those_that_are_few(sizes):
    tree = LabelTree.from_text(
        ["normal, ill", "normal, infected(covid, other)", "a, b, c(d, e)"][len(sizes) - 2]
    )
    truth = np.repeat(np.arange(len(sizes)), sizes)
    logits = np.random.default_rng(0).normal(size=(len(truth), len(sizes)))
    predictions = flat(tree).decide({"flat": logits + 2 * np.eye(len(sizes))[truth]})

    cases = choose_cases(tree, truth, predictions)
    found = aggregate(tree, cases, (), rule="argmax", strategy="flat")

    enough = {name: n for name, n in zip(tree.classes, sizes, strict=True) if n >= 20}
    assert {name: own.n for name, own in found.classes.items()} == enough
    assert found.left_out == tuple(name for name in tree.classes if name not in enough)
    assert found.n == sum(enough.values())
    alone = len(enough) == 1
    assert [own.auroc.value is None for own in found.classes.values()] == [alone] * len(enough)
    signed = Signed(SiteResult("0" * 64, "", "", "", found, found, None), "AAAA", "")
    assert len(result_tables(signed)) >= 7
    assert len(compare([Read(Path("r.json"), "", signed.result)])) >= 8


def test_names_of_subgroups_are_from_a_closed_list():
    values = cut_tertiles(np.arange(60.0) + 0.7301, ("dark", "medium", "bright"))
    cells = Bands.of(["F", "m", "Female", "Kranichfeld"] * 15)
    told = in_vocabulary({"brightness": values, "sex": cells, "site": cells, "source": cells})
    assert {name: bands.names for name, bands in told.items()} == {
        "brightness": ("dark", "medium", "bright"), "sex": ("female", "male")
    }  # fmt: skip
    assert told["sex"].index.tolist()[:4] == [0, 1, 0, -1]


def test_temperatures_are_fitted_anew_and_judged_on_the_other_half():
    tree = LabelTree.from_text("a, b")
    model = flat(tree, temperatures={"flat": 0.5})
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, 600)
    logits = rng.normal(size=(600, 2)) + 1.5 * np.eye(2)[truth]
    cases = Cases(np.arange(600), truth, model.decide({"flat": 4 * logits}), None, ())

    found = recalibrate(model, cases)

    assert found.home == {"flat": 0.5}
    # of two normals 1.5 apart in both logits the true temperature is 1 / 1.5, of logits times 4
    assert found.local["flat"] == pytest.approx(4 / 1.5, rel=0.15)
    assert found.log_loss.difference.high < 0
    assert found.ece.after.value < found.ece.before.value
    right = Cases(np.arange(600), truth, model.decide({"flat": 9 * np.eye(2)[truth]}), None, ())
    assert recalibrate(model, right) is None


# ---- what comes back ----------------------------------------------------------------------------


def test_results_are_read_beside_home_and_pooled(capsule, result, signed, tmp_path, run, offline):
    with opened(capsule.path) as inside:
        place = write_hospital(tmp_path / "other", 60, seed=5, faint=0.3)
        other = run_capsule(
            inside, open_dataset(place, tree=inside.classifier.tree), site="Ünder the hill"
        )
    worse = replace(other.there, macro_auroc=Figure(0.8, 0.7, 0.9))
    results = [signed]
    for site, there in (("Ünder the hill", other.there), ("C", worse)):
        results.append(tmp_path / f"{site}.json")
        write_result(sign(replace(other, site=site, there=there)), results[-1])

    code, out, err = run("capsule", "read", *results, "--capsule", capsule.path, "--json")
    assert code == 0, err
    found = json.loads(out)
    code, text, err = run("capsule", "read", *results, "--capsule", capsule.path)
    assert code == 0, err

    assert found["capsule"] == capsule.hash
    assert [site["result"]["there"]["n"] for site in found["sites"]] == [120, 180, 180]
    assert len({site["signer"] for site in found["sites"]}) == 2
    rows = {row["name"]: row for row in found["compared"]}
    area = rows["macro AUROC"]
    assert area["differences"][0]["value"] == pytest.approx(
        area["sites"][0]["value"] - area["home"]["value"]
    )
    pooled = {row["name"]: row for row in found["together"]}
    assert list(pooled) == [
        "macro AUROC", *(f"{what} of {label}" for what in ("AUROC", "recall")
                         for label in ("normal", "covid", "non-covid"))
    ]  # fmt: skip
    sensitivity = pooled["recall of covid"]
    shares = [one["value"] for one in rows["recall of covid"]["sites"]]
    assert min(shares) - 0.01 <= sensitivity["estimate"]["value"] <= max(shares)
    assert sensitivity["prediction"][0] <= sensitivity["estimate"]["low"]
    assert "Sites pooled, without home" in text
    assert f"which is that of {capsule.path}" in text
    code, text, err = run("capsule", "read", results[0])
    assert code == 0, err
    assert "was not compared" in text
    assert "pooled" not in text
    code, _, err = run("capsule", "read", results[0], results[0])
    assert (code, "give each result once" in err) == (2, True)


def test_the_key_is_the_users_alone(result):
    found = result[0].result
    first = sign(found)
    assert stat.S_IMODE(key_path().stat().st_mode) == 0o600
    key = key_path().read_bytes()
    assert sign(found) == first, "one key, and one signature of the same"
    assert key_path().read_bytes() == key
    assert first.key != result[0].key, "of another user"
    key_path().chmod(0o644)
    with pytest.raises(EvaluationError, match="others may read this key"):
        sign(found)
    key_path().write_bytes(b"nonsense")
    key_path().chmod(0o600)
    with pytest.raises(EvaluationError, match="is no key"):
        sign(found)


def test_without_cryptography_it_is_a_sentence(signed, run, monkeypatch):
    for name in ("exceptions", "hazmat.primitives.asymmetric.ed25519"):
        monkeypatch.setitem(sys.modules, f"cryptography.{name}", None)
    code, _, err = run("capsule", "read", signed)
    assert (code, "pip install 'hilum[capsule]'" in err) == (2, True)
