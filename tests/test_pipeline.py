"""The main job, start to end, on a few small phantoms and on data with other labels."""

from typing import Any

import pytest

from hilum import pipeline
from hilum.phantoms.phantom import write_phantoms
from hilum.pipeline import recipes_for, run_demo
from hilum.radiographs.dataset import open_dataset
from tests.spots import write_spots


def test_phantoms_to_report(tmp_path, monkeypatch):
    monkeypatch.setattr(pipeline, "PHANTOMS", {"train": 24, "val": 8, "test": 8})
    # occlusion and integrated gradients would take most of the time
    monkeypatch.setattr("hilum.explanation.split.METHOD", "gradcam")
    monkeypatch.setattr("hilum.explanation.split.METHODS", ("gradcam",))
    quick = ["image_size=32"]
    monkeypatch.setattr(
        pipeline,
        "PHANTOM_SETTINGS",
        {
            "covinet-cascade": [*quick, "decision.root.epochs=1", "decision.infected.epochs=1"],
            "covinet-flat": [*quick, "epochs=1"],
        },
    )
    seen: list[Any] = []
    told: list[Any] = []
    monkeypatch.setattr(pipeline, "track_report", lambda *told_of: told.append(told_of))
    result = run_demo(tmp_path / "demo", on_epoch=seen.append)
    assert [(run.name, report) for run, report, _ in told] == [
        (name, result.report) for name in result.evaluations
    ]
    accuracies = [e.accuracy.value for e in result.evaluations.values()]
    assert [figures["test/accuracy"] for _, _, figures in told] == accuracies
    assert [row["decision"] for row in seen] == ["root", "infected", "flat"]
    assert set(result.evaluations) == {"covinet-cascade-demo", "covinet-flat-demo"}
    assert result.split == "test"
    assert {e.n for e in result.evaluations.values()} == {8}
    page = result.report.read_text()
    assert "Synthetic phantoms" in page
    assert "Is the data sound?" in page
    assert "Localisation on test, where it is known where the findings are" in page

    again = run_demo(tmp_path / "demo", on_epoch=seen.append)
    assert len(seen) == 3, "finished runs are used again"
    assert again.evaluations == result.evaluations


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (("normal", "pneumonia"), ["covinet-flat", "default"]),
        (("normal", "sick/a-virus", "sick/b-cells"), ["covinet-cascade-balanced", "default"]),
        (("normal", "infected/covid", "infected/non-covid"), ["covinet-cascade", "default"]),
    ],
)
def test_recipes_fit_the_labels(tmp_path, monkeypatch, labels, names):
    monkeypatch.setattr("tests.spots.PLACES", dict.fromkeys(labels, (6, 6)))
    dataset = open_dataset(write_spots(tmp_path / "a", {"train": 3, "val": 2}))
    assert [r.name for r in recipes_for(dataset)] == names
    for recipe in recipes_for(dataset):
        recipe.networks(dataset.tree)  # raises where a recipe does not fit


def test_published_settings_are_untouched_on_real_data(tmp_path):
    real = open_dataset(write_spots(tmp_path / "spots", {"train": 3, "val": 2}))
    published = recipes_for(real)[0]
    assert published.settings("root").epochs == 5
    assert published.settings("infected").epochs == 10
    assert published.image_size == (150, 150)
    write_phantoms(tmp_path / "phantoms", counts={"train": 8, "val": 4})
    assert recipes_for(open_dataset(tmp_path / "phantoms"))[0].name == "covinet-cascade-demo"
