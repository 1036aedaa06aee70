"""Single sections: comparisons, networks, settings, meanings, imported weights."""

import json

import pytest

from hilum.classifier.importing import import_checkpoints
from hilum.errors import HilumError
from hilum.labels import LabelTree
from hilum.networks.registry import create_network
from hilum.reporting.report import write_report
from hilum.reporting.runs import read_runs
from hilum.reporting.sections.data import describe_reading
from hilum.reporting.sections.training import describe_networks, settings_table
from hilum.reporting.subject import Subject


def subject(*runs):
    return Subject(read_runs(runs))


# ---- comparison ----------------------------------------------------------------------------


def test_runs_are_compared_image_by_image(make_run):
    a, b = make_run("a", wrong=(0, 1, 8)), make_run("b", wrong=(0, 9, 10, 11))
    (pair,) = (subject(a, b).compared or {})["pairs"]
    # Both wrong: 0. Only a wrong: 1 and 8. Only b wrong: 9, 10 and 11.
    assert (pair.both, pair.neither) == (25 - 6, 1)
    assert (pair.mcnemar.only_a, pair.mcnemar.only_b) == (3, 2)
    assert pair.mcnemar.p == 1.0  # 2 of 5 coin tosses or fewer, two-sided
    rows = {d.name: d.difference for d in pair.differences}
    assert rows["Accuracy"].value == pytest.approx(21 / 25 - 22 / 25)
    assert rows["Recall of normal"].value == pytest.approx(7 / 8 - 6 / 8)
    assert rows["Recall of covid"].value == pytest.approx(6 / 9 - 8 / 9)
    # per class: 7/8 - 6/8, 6/9 - 8/9 and 0
    assert rows["Balanced accuracy"].value == pytest.approx((1 / 8 - 2 / 9) / 3)
    accuracy = rows["Accuracy"]
    assert -0.35 < accuracy.low < accuracy.value < accuracy.high < 0.25


def test_a_difference_that_never_varies_has_no_interval(make_run):
    (pair,) = (subject(make_run("a"), make_run("b")).compared or {})["pairs"]
    for found in pair.differences:
        assert found.difference.value == 0
        assert found.difference.low is None
        assert found.difference.reason


def test_other_radiographs_are_not_compared(make_run, tmp_path):
    a = make_run("a", name="first")
    b = make_run("b", name="second", counts=(8, 9, 9), wrong=(2,))
    found = subject(a, b).compared
    assert found == {"pairs": [], "different": ["first and second on val"]}
    with pytest.raises(HilumError, match="not evaluated on the same radiographs"):
        write_report([a, b], tmp_path / "r.html", compare=True)
    assert not (tmp_path / "r.html").exists()


def test_one_run_is_compared_with_nothing(make_run, tmp_path):
    run = make_run()
    assert subject(run).compared is None
    with pytest.raises(HilumError, match="at least two runs"):
        write_report([run], tmp_path / "r.html", compare=True)


# ---- networks and settings -----------------------------------------------------------------


def test_networks_are_listed_once_with_their_layers(make_run):
    found = describe_networks(subject(make_run()))
    (kind,) = found["kinds"]
    assert kind["users"] == ["root", "infected"]
    assert kind["summary"].total_parameters == 39_746  # as published
    assert (found["cascade"], found["trained"], found["imported"]) == (True, True, False)


def test_an_unknown_network_says_so(make_run):
    networks = {"root": {"name": "of-mine", "outputs": 2}}
    (kind,) = describe_networks(subject(make_run(networks=networks)))["kinds"]
    assert kind["summary"] is None
    assert "There is no network 'of-mine'" in kind["reason"]


@pytest.mark.parametrize(
    ("table", "text"),
    [
        ("[augmentation]\nmirror = true\nrotate = 10.0\nblur = 0.0", "mirror, rotate 10.0"),
        ("[augmentation]\nmirror = false\nrotate = 0.0", "none"),
        (
            '[preprocessing]\ncrop = "none"\ncontrast = "clahe"\ngamma = 0.5\nclip_limit = 2.0\n'
            'resize = "squash"\nstandardise = "none"',
            "contrast clahe, clip_limit 2.0, resize squash",
        ),
        (
            '[preprocessing]\ncontrast = "none"\ngamma = 0.5\nclip_limit = 2.0\nresize = "pad"',
            "resize pad",
        ),
    ],
)
def test_only_what_is_switched_on_is_shown(make_run, table, text):
    run = make_run(strategy="flat")
    with (run / "recipe.toml").open("a") as file:
        file.write(f"\n{table}\n")
    rows = {name: values for name, *values in settings_table(subject(run))["table"].rows}
    assert rows[table.split("]")[0].removeprefix("[")] == [text]


# ---- what labels mean ----------------------------------------------------------------------


def test_reference_figures_come_with_what_the_labels_mean(make_run, tmp_path):
    run = make_run()
    assert describe_reading(subject(run))["meanings"] == []
    info = json.loads((run / "run.json").read_text())
    info["data"]["source"] = "kaggle-pneumonia"
    (run / "run.json").write_text(json.dumps(info))
    (meaning,) = describe_reading(subject(run))["meanings"]
    assert "children" in meaning
    html = write_report([run], tmp_path / "r.html").read_text(encoding="utf-8")
    assert f"They say nothing about these data: {meaning.split(':')[0]}" in html
    assert "80.6\N{NARROW NO-BREAK SPACE}%" in html
    assert "28.5\N{NARROW NO-BREAK SPACE}%" in html


def test_every_figure_and_reading_has_a_source(make_run):
    content = describe_reading(subject(make_run()))
    for entry in (*content["reading"], *content["figure"]):
        assert entry["source"] in content["sources"]


# ---- weights from elsewhere ----------------------------------------------------------------


def test_imported_weights_are_reported_as_such(tmp_path):
    import torch

    file = tmp_path / "flat.pt"
    torch.save(create_network("covinet", outputs=2, image_size=(32, 32)).state_dict(), file)
    tree = LabelTree.from_text("normal, sick")
    folder = tmp_path / "theirs"
    import_checkpoints("covinet", tree, {"flat": file}, image_size=(32, 32)).save(folder)
    html = write_report([folder], tmp_path / "r.html").read_text(encoding="utf-8")
    assert "its weights were trained elsewhere and imported" in html
    assert "<td>flat.pt</td>" in html
    assert "may have seen the images" in html
    assert "hilum train" not in html
