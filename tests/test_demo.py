"""The main job, start to end, on a few small phantoms and on data with other labels."""

from typing import Any

import pytest

from hilum import demo
from hilum.demo import recipes_for, run_demo
from hilum.phantoms.phantom import write_phantoms
from hilum.radiographs.dataset import open_dataset
from tests.spots import write_spots


def test_phantoms_to_report(tmp_path, monkeypatch):
    monkeypatch.setattr(demo, "PHANTOMS", {"train": 24, "val": 8, "test": 8})
    # occlusion and integrated gradients would take most of the time
    monkeypatch.setattr("hilum.explanation.split.METHOD", "gradcam")
    monkeypatch.setattr("hilum.explanation.split.METHODS", ("gradcam",))
    quick = ["image_size=32"]
    monkeypatch.setattr(
        demo,
        "PHANTOM_SETTINGS",
        {
            "covinet-cascade": [*quick, "decision.root.epochs=1", "decision.infected.epochs=1"],
            "covinet-flat": [*quick, "epochs=1"],
        },
    )
    seen: list[Any] = []
    result = run_demo(tmp_path / "demo", on_epoch=seen.append)
    assert [row["decision"] for row in seen] == ["root", "infected", "flat"]
    assert set(result.evaluations) == {"covinet-cascade-demo", "covinet-flat-demo"}
    assert all(set(found) == {"val", "test"} for found in result.evaluations.values())
    page = result.report.read_text()
    assert "Synthetic phantoms" in page
    assert "Is the data sound?" in page
    assert "Localisation on test, where it is known where the findings are" in page
    # explained is the last split; the page says so of the other
    assert "covinet-cascade-demo on val and covinet-flat-demo on val" in page

    again = run_demo(tmp_path / "demo", on_epoch=seen.append)
    assert len(seen) == 3, "finished runs are used again"
    assert again.evaluations == result.evaluations


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (("normal", "pneumonia"), ["covinet-flat"]),
        (("normal", "sick/a-virus", "sick/b-cells"), ["covinet-cascade-balanced", "covinet-flat"]),
        (("normal", "infected/covid", "infected/non-covid"), ["covinet-cascade", "covinet-flat"]),
    ],
)
def test_recipes_fit_the_labels(tmp_path, monkeypatch, labels, names):
    monkeypatch.setattr("tests.spots.PLACES", dict.fromkeys(labels, (6, 6)))
    with_val = open_dataset(write_spots(tmp_path / "a", {"train": 3, "val": 2}))
    assert [r.name for r in recipes_for(with_val)] == names
    for recipe in recipes_for(with_val):
        recipe.networks(with_val.tree)  # raises where a recipe does not fit
    without = open_dataset(write_spots(tmp_path / "b", {"train": 3}))
    assert {r.monitor for r in recipes_for(without)} == {"blocks"}


def test_published_settings_are_untouched_on_real_data(tmp_path):
    real = open_dataset(write_spots(tmp_path / "spots", {"train": 3, "val": 2}))
    published = recipes_for(real)[0]
    assert published.settings("root").epochs == 5
    assert published.settings("infected").epochs == 10
    assert published.image_size == (150, 150)
    write_phantoms(tmp_path / "phantoms", counts={"train": 8, "val": 4})
    assert recipes_for(open_dataset(tmp_path / "phantoms"))[0].name == "covinet-cascade-demo"
