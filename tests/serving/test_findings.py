"""The API and the page on trees of classes, of findings, and of both."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from hilum.classifier.calibrate import calibrate_on
from hilum.classifier.classifier import Classifier
from hilum.radiographs.dataset import open_dataset
from tests.browser import Visit
from tests.browser import browser as browser
from tests.browser import chromium as chromium
from tests.marked import TREES, write_marked
from tests.serving.conftest import server_of
from tests.serving.pages import choose, running, shown
from tests.serving.pages import visit as visit
from tests.untrained import untrained


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_marked(tmp_path_factory.mktemp("served") / "data", {"train": 60, "val": 32})


def calibrated(data: Path, tree: str) -> Classifier:
    dataset = open_dataset(data, tree=tree)
    return calibrate_on(untrained(dataset), dataset, "val")


@pytest.fixture(params=TREES)
def classifier(data: Path, request: pytest.FixtureRequest) -> Classifier:
    return calibrated(data, request.param)


def test_the_api_tells_of_what_the_tree_has(data: Path, classifier: Classifier) -> None:
    tree, file = classifier.tree, data / "val0.png"
    classes = list(tree.classes) if tree.decisions else []
    names = [finding.name for finding in tree.findings]
    expected = classifier.predict(file)[0]
    with server_of(classifier) as server:
        told = server.get("/v1/classifier").json()
        (item,) = server.predict(file.read_bytes()).json()["predictions"]
        maps = [
            server.post(
                "/v1/explanations",
                files={"file": file.read_bytes()},
                params={"method": "gradcam", **asked},
            ).json()
            for asked in ({}, *({"decision": name} for name in names))
        ]

    assert (told["classes"], [f["name"] for f in told["findings"]]) == (classes, names)
    labels = [o for d in tree.decisions for o in d.options]
    assert list(told["operating_curve"]) == [*labels, *names]
    targets = {point["target"] for points in told["presets"].values() for point in points}
    assert targets == {*labels, *names} - {"normal"}
    assert (told["coverage"] is None) == (not classes)

    assert item["predicted"] == (expected.predicted or None)
    assert list(item["probs"]) == classes
    assert (item["set"] is None) == (not classes)
    assert item["findings"] == [
        {
            "name": name,
            "probability": pytest.approx(expected.findings[name]),
            "present": name in expected.present,
            "threshold": classifier.thresholds[name],
        }
        for name in names
    ]
    first, *others = (one["option"] for one in maps)
    assert first in (classes or names)
    assert others == names


def test_the_nearest_are_told_with_their_findings(data: Path, classifier: Classifier) -> None:
    film = {"files": (data / "train1.png").read_bytes()}
    own = "abnormal: bar" if "abnormal" in classifier.tree.classes else "bar"
    assert classifier.reference is not None
    earlier = replace(classifier, reference=replace(classifier.reference, marks=None))
    with server_of(classifier) as server, server_of(earlier) as before:
        told, lacking = (s.post("/v1/neighbours", files=film).json() for s in (server, before))
        offered = before.get("/v1/classifier").json()["neighbours"]
    assert told[0]["label"] == own  # it is itself among the training images
    assert told[0]["distance"] < 0.01
    # without what it remembers of findings there are classes alone, if any
    assert offered == bool(classifier.tree.decisions)
    assert (lacking[0]["label"] if offered else lacking) == (own.split(":")[0] if offered else None)


def test_the_page_shows_each_finding_with_its_threshold(
    visit: Callable[..., Visit], data: Path
) -> None:
    classifier = calibrated(data, "{bar, dot}")
    files = sorted(data.glob("val*.png"))[:3]
    with running(classifier) as address:
        page = visit(address).page
        choose(page, *files)
        said = classifier.predict(files)
        words = ", ".join(said[0].present)
        verdict = f"Present: {words}" if words else "No finding called present"
        assert page.inner_text("#answer .verdict") == verdict
        assert page.locator("#answer", has_text="Down the label tree").count() == 0
        assert page.locator("#answer .findings li").all_inner_texts() == [
            f"{name}\n{shown(p)}\nfrom {shown(classifier.thresholds[name])}\n: "
            + ("present" if name in said[0].present else "absent")
            for name, p in said[0].findings.items()
        ]
        page.select_option("#sort", "finding dot")
        order = sorted(said, key=lambda one: -one.findings["dot"])
        assert page.locator("#list .file-name").all_inner_texts() == [
            Path(one.path).name for one in order
        ]
        page.select_option("#filter", "finding bar")
        shown_now = [Path(one.path).name for one in order if "bar" in one.present]
        assert page.locator("#list .file-name").all_inner_texts() == shown_now
        page.select_option("#method", "gradcam")
        page.select_option("#option", '["root","dot"]')
        page.click("#draw")
        page.locator("#overlay-tools").wait_for()
        assert "what speaks for 'dot'" in page.inner_text("#explain-status")
