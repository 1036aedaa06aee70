"""What the server answers, against what the classifier says itself."""

import base64
import io
import json
import re
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import hilum
from hilum.classifier.conformal import ODD
from hilum.prediction.predict import predict_each
from hilum.prediction.table import Table
from tests.radiographs.dicoms import as_bytes, dicom
from tests.serving.conftest import png, server_of
from tests.untrained import untrained


def test_answers_what_the_classifier_predicts(server, served, radiographs):
    expected = served.predict(radiographs)

    items = server.predict(*(p.read_bytes() for p in radiographs)).json()["predictions"]

    classes = served.tree.classes
    assert [i["predicted"] for i in items] == [classes[k] for k in expected.predicted]
    found = [[i["probs"][c] for c in classes] for i in items]
    assert found == expected.probs.tolist()  # the same batch, so the same to the bit
    assert [i["gate_p_value"] for i in items] == expected.gate_p_values.tolist()


def test_answers_the_rows_of_hilum_predict(server, served, radiographs):
    table = Table.of(served, coverage=0.6)
    names = list(table.columns)
    rows = [
        dict(zip(names, table.row(p), strict=True))
        for p in predict_each(served, [str(path) for path in radiographs], table)
    ]

    answer = server.predict(*(p.read_bytes() for p in radiographs), params={"coverage": 0.6})

    for item, row in zip(answer.json()["predictions"], rows, strict=True):
        assert "|".join(item["set"]) == row["set"]
        assert item["referred"] == bool(row["referred"])
        assert item["referred_because"] == row["referral"]
        for decision in item["decisions"]:
            for option, p in decision["options"].items():
                assert p == row[f"{decision['name']}/{option}"]


def test_tells_the_decisions_on_the_way_to_the_class(server, radiographs):
    items = server.predict(*(p.read_bytes() for p in radiographs)).json()["predictions"]

    for item in items:
        way = ["root"] if item["predicted"] == "normal" else ["root", "infected"]
        assert [d["name"] for d in item["decisions"]] == way


def test_a_file_that_cannot_be_read_does_not_stop_the_others(server):
    items = server.predict(png(), ("notes.txt", b"no image"), ("empty", b""), png(seed=1)).json()

    assert [i["status"] for i in items["predictions"]] == ["ok", "failed", "failed", "ok"]
    failed = items["predictions"][1]
    assert failed["name"] == "notes.txt"
    assert failed["reason"] == "not a PNG, JPEG, TIFF, BMP, GIF, WebP or DICOM image."
    assert failed["predicted"] is None
    assert failed["probs"] == {}


def test_only_unreadable_files(server):
    items = server.predict(b"no", b"none").json()["predictions"]

    assert [i["status"] for i in items] == ["failed", "failed"]


def test_a_dicom_file_is_read(server, served, tmp_path):
    from pydicom.data import get_testdata_file

    path = get_testdata_file("MR_small.dcm", download=False)
    assert isinstance(path, str)
    (found,) = predict_each(served, [path], Table.of(served))

    (item,) = server.predict(("a.dcm", Path(path).read_bytes())).json()["predictions"]

    assert (item["status"], item["reason"] or "") == (found.status, found.reason)


def test_of_a_dicom_file_only_what_is_asked_and_nobodys_name_is_told(server):
    both = {"ImagerPixelSpacing": [0.2, 0.1], "PixelSpacing": [0.18, 0.09]}
    told = {"view": "PA", "age": "034Y", "sex": "F", "spacing": [0.2, 0.1], "calibrated": False}
    for tags, more in (
        ({"ImagerPixelSpacing": [0.2, 0.1]}, {}),
        (both, {"spacing": [0.18, 0.09], "calibrated": True}),
        ({"PixelSpacing": [0, 99]}, {"spacing": None}),
        (
            {"ViewPosition": "Zzyzx^Jane", "PatientAge": "4711"},
            {"view": "", "age": "", "spacing": None},
        ),
    ):
        tags = {"ViewPosition": "PA", "PatientAge": "034Y", "PatientSex": "F"} | tags
        file = as_bytes(dicom(StudyInstanceUID="1.2.3.99", **tags))

        asked = server.predict(file, png(), params={"details": "true"})
        item, other = asked.json()["predictions"]
        assert item["dicom"] == told | more
        assert other["dicom"] is None
        assert not any(secret in asked.text for secret in ("Zzyzx", "4711", "1.2.3"))
        assert server.predict(file).json()["predictions"][0]["dicom"] is None


def test_colour_is_told_and_referred(server):
    (item,) = server.predict(png(mode="RGB")).json()["predictions"]

    assert item["colour"] is True
    assert item["referred"] is True
    assert item["referred_because"] == "not such a radiograph"


def coded(*files):
    """Files as JSON holds them: (name, bytes)."""
    return {"files": [{"name": n, "content": base64.b64encode(f).decode()} for n, f in files]}


def test_files_in_json_are_answered_as_those_in_a_form(server, radiographs):
    """Short and long ones, in whatever pieces they arrive, and with slashes as PHP writes them."""
    files = [(p.name, p.read_bytes()) for p in radiographs] + [('no \\ "one".png', b"none")]
    whole = json.dumps(coded(*files, ("", b""))).replace("/", "\\/").encode()

    async def pieces():
        for start in range(0, len(whole), 997):
            yield whole[start : start + 997]

    kind = {"content-type": "application/json"}
    answer = server.post("/v1/predictions", content=pieces(), headers=kind)

    found = answer.json()["predictions"]
    assert [item.pop("name") for item in found] == [name for name, _ in files] + [""]
    expected = server.predict(*(content for _, content in files), b"").json()["predictions"]
    assert found == [{key: item[key] for key in item if key != "name"} for item in expected]
    assert server.app.state.service.uploads.held == 0


@pytest.mark.parametrize(
    "sent",
    [
        {"files": {"file": png()}},  # the name before there was one for both
        {"files": {"files": png()}},
        {"json": coded(("", png()))},
    ],
)
@pytest.mark.parametrize(
    ("route", "key"), [("predictions", "predictions"), ("explanations", "map")]
)
def test_both_routes_take_files_in_the_same_ways(server, route, key, sent):
    assert server.post(f"/v1/{route}", **sent).json()[key]


def test_previews_are_grey_pngs_of_a_bounded_size(server):
    (item,) = server.predict(png((1500, 300)), params={"preview": "true"}).json()["predictions"]

    with Image.open(io.BytesIO(base64.b64decode(item["preview"]))) as image:
        assert (image.format, image.mode, image.size) == ("PNG", "L", (1024, 205))
    assert (item["width"], item["height"]) == (1500, 300)


def test_no_previews_unless_asked(server):
    assert server.predict(png()).json()["predictions"][0]["preview"] is None


@pytest.mark.parametrize(
    "name",
    ["../../etc/passwd", "a\\b.png", "<script>.png", "=1+1.png", "ä\u202e.png", "x" * 300, ""],
)
def test_hostile_names_are_only_data(server, name):
    answer = server.predict((name or "empty", png()))

    (item,) = answer.json()["predictions"]
    assert item["status"] == "ok"
    assert item["name"] == (name or "empty")[:255]


def test_tells_the_classifier(server, served):
    told = server.get("/v1/classifier").json()

    assert told["name"] == "spots"
    assert told["labels"] == ["normal", {"infected": ["covid", "non-covid"]}]
    assert told["decisions"] == [
        {"name": "root", "options": ["normal", "infected"]},
        {"name": "infected", "options": ["covid", "non-covid"]},
    ]
    assert "covid is a bright spot." in told["notes"]
    assert told["validation"]["n"] == 36
    assert told["validation"]["shifted"]
    assert "hold elsewhere" in told["validation"]["holds"]
    assert (told["coverage"], told["gate"], told["neighbours"]) == (0.9, True, True)
    targets = [p["target"] for p in told["presets"]["clinic"]]
    assert targets == ["infected", "covid", "non-covid"]
    assert all(p["chosen"] for p in told["presets"]["public-health"])


def test_the_operating_curve_counts_validation_images(server, served):
    truth, known = served.promised_predictions()
    scores, positive = known.probs[:, 1], truth == 1

    curve = server.get("/v1/classifier").json()["operating_curve"]["covid"]

    assert curve["thresholds"][:3] == [0.0, 0.01, 0.02]
    assert len(curve["thresholds"]) == 101
    assert curve["sensitivity"][0]["value"] == 1.0
    for i in (20, 33, 50):
        called = scores >= i / 100
        assert curve["sensitivity"][i]["value"] == pytest.approx(called[positive].mean())
        assert curve["specificity"][i]["value"] == pytest.approx((~called[~positive]).mean())
        assert curve["specificity"][i]["n"] == 24


def test_without_calibration_nothing_is_made_up(spots):
    with server_of(untrained(spots)) as plain:
        told = plain.get("/v1/classifier").json()
        (item,) = plain.predict(png()).json()["predictions"]
        refused = plain.predict(png(), params={"coverage": 0.9})
        assert plain.post("/v1/neighbours", files={"files": png()}).json() is None

    assert (told["validation"], told["coverage"], told["operating_curve"]) == (None, None, {})
    assert told["presets"] == {"public-health": [], "clinic": []}
    assert item["set"] is None
    assert item["gate_p_value"] is None
    assert refused.status_code == 422
    assert "hilum calibrate" in refused.json()["detail"]


def test_explains(server):
    answer = server.post(
        "/v1/explanations",
        files={"file": ("a.png", png())},
        params={"method": "occlusion", "decision": "infected", "option": "covid"},
    )

    told = answer.json()
    assert (told["method"], told["decision"], told["option"]) == ("occlusion", "infected", "covid")
    with Image.open(io.BytesIO(base64.b64decode(told["map"]["png"]))) as image:
        assert (image.mode, image.size) == ("RGBA", (32, 32))
    assert "covid" in told["alt"]
    alone = server.post("/v1/neighbours", files={"files": png()}).json()
    assert told["neighbours"] == alone


@pytest.mark.parametrize("thumbnails", [True, False])
def test_tells_and_by_consent_shows_the_nearest_training_radiographs(served, thumbnails):
    row = 50
    kept = served if thumbnails else replace(served, thumbnails=None)
    buffer = io.BytesIO()
    Image.fromarray(served.thumbnails.pictures[row]).save(buffer, "PNG")

    with server_of(kept) as asked:
        assert asked.get("/v1/classifier").json()["thumbnails"] is thumbnails
        found = asked.post("/v1/neighbours", files={"files": buffer.getvalue()}).json()

    assert len(found) == 5
    distances = [n["distance"] for n in found]
    assert distances == sorted(distances)
    assert distances[0] < 0.05 < distances[1]  # a training image is its own nearest
    assert found[0]["label"] == served.classes[served.reference.labels[row]]
    if not thumbnails:
        assert [n["thumbnail"] for n in found] == [None] * 5
        return
    with Image.open(io.BytesIO(base64.b64decode(found[0]["thumbnail"]))) as image:
        assert (np.asarray(image) == served.thumbnails.pictures[row]).all()


def test_explains_the_most_probable_option_unless_told(server):
    (item,) = server.predict(png()).json()["predictions"]
    options = item["decisions"][0]["options"]

    told = server.post("/v1/explanations", files={"file": png()}, params={"method": "ig"}).json()

    assert told["decision"] == "root"
    assert told["option"] == max(options, key=options.get)


def test_an_explanation_says_what_the_gate_does(server, radiographs):
    for sent in (radiographs[0].read_bytes(), png(mode="RGB")):
        (item,) = server.predict(sent).json()["predictions"]
        told = server.post("/v1/explanations", files={"file": sent}).json()
        assert told["referred_because"] == item["referred_because"]
    assert told["referred_because"] == ODD


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"method": "gradcan"}, "Did you mean 'gradcam'?"),
        ({"decision": "infect"}, "Did you mean 'infected'?"),
        ({"option": "covid"}, "no option 'covid'"),
    ],
)
def test_refuses_explanations_of_what_is_not_there(server, params, words):
    answer = server.post("/v1/explanations", files={"file": png()}, params=params)

    assert answer.status_code == 422
    assert words in answer.json()["detail"]


def test_the_page_has_the_faces_of_the_report(server):
    """A title that names none of its own falls back to a face like Times."""
    report = (Path(hilum.__file__).parent / "reporting/templates/report.css").read_text()
    page = server.get("/static/style.css").text

    stacks = [re.findall(r"--sans: (.*);", css) for css in (report, page)]
    assert stacks[0] == stacks[1] != []
    assert not re.search(r"(?<!-)\bserif", page.replace("sans-serif", ""))


def test_nothing_that_is_sent_reaches_the_disk(server, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a temporary file")

    for name in ("SpooledTemporaryFile", "NamedTemporaryFile", "TemporaryFile", "mkstemp"):
        monkeypatch.setattr(tempfile, name, refuse)
    monkeypatch.setattr("starlette.formparsers.SpooledTemporaryFile", refuse)

    answer = server.predict(png((2000, 1500)), png())  # 3 MB, beyond what is spooled

    assert [i["status"] for i in answer.json()["predictions"]] == ["ok", "ok"]


def test_counts_without_names(server):
    server.predict(("Mrs Example.png", png()))

    figures = server.get("/metrics").text

    assert 'hilum_radiographs_total{status="ok"}' in figures
    assert 'route="/v1/predictions",status="200"' in figures
    assert "Example" not in figures


def test_ten_files_are_judged_together(server, make, radiographs):
    """In one request, or in several whose numbers are added; and flagged ones are counted."""

    def flagged():
        (line,) = re.findall(
            r"^hilum_flagged_radiographs_total (.*)$", server.get("/metrics").text, re.M
        )
        return float(line)

    noise = [png(seed=i) for i in range(10)]
    before = flagged()

    told = server.predict(*noise).json()

    assert told["arrivals"]["flagged"] == 10
    assert told["arrivals"]["warning"].startswith("100.0")
    assert flagged() == before + 10
    p_values = [item["gate_p_value"] for item in told["predictions"]]
    figures = {"n": 10, "flagged": 10, "mean_p_value": sum(p_values) / 10}
    assert server.get("/v1/arrivals", params=figures).json() == told["arrivals"]
    usual = [file.read_bytes() for file in radiographs]
    assert server.predict(*usual, usual[0]).json()["arrivals"]["warning"] == ""
    assert server.predict(*noise[:9]).json()["arrivals"] is None
    bare = make()
    assert bare.predict(*noise).json()["arrivals"] is None
    assert bare.get("/v1/arrivals", params=figures).json() is None
    impossible = server.get("/v1/arrivals", params={**figures, "flagged": 11})
    assert impossible.status_code == 422
    assert "impossible" in impossible.json()["detail"]


def test_onnx_runtime_runs_the_networks_where_it_is_asked_for(make, bare, monkeypatch):
    asked = []

    def instead(classifier):
        asked.append(classifier)
        return replace(classifier, temperatures={"root": 1e9})  # so that its answers show

    monkeypatch.setattr("hilum.exporting.runtime.run_by_onnx", instead)

    (item,) = make(runtime="onnx").predict(png()).json()["predictions"]

    assert asked == [bare]
    assert item["probs"]["normal"] == pytest.approx(0.5, abs=1e-6)
