"""Phantoms of several sites: who is photographed, how, and what it is called."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from hilum.errors import DataError
from hilum.phantoms.phantom import LABELS
from hilum.phantoms.sites import SITES, Grading, render_film, write_folder
from hilum.radiographs.dataset import open_dataset

SIZE = 48


def film(site="north", truth="covid", index=0, **more):
    return render_film(SITES[site], truth, seed=4, index=index, size=SIZE, **more)


def test_a_film_is_settled_by_its_arguments():
    one, same, other = film(), film(), film(index=1)
    assert np.array_equal(one.pixels, same.pixels)
    assert one.pixels.shape != other.pixels.shape or not np.array_equal(one.pixels, other.pixels)


@pytest.mark.parametrize("name", SITES)
def test_every_site_is_told_from_the_rest_and_gives_films_of_all_classes(name):
    site = SITES[name]
    assert site.name == name
    assert sum(site.prevalence) == pytest.approx(1)
    for truth in LABELS:
        shown = film(name, truth).pixels
        assert shown.dtype == np.uint8
        assert max(shown.shape) == pytest.approx(
            np.mean(site.side) * SIZE / 150, abs=1 + np.ptp(site.side) * SIZE / 300
        )
        assert np.ptp(shown) > 100
    others = [film(other).pixels.mean() for other in SITES if other != name]
    assert all(abs(film(name).pixels.mean() - mean) > 0.01 for mean in others)


def test_an_aspect_shows_more_along_the_longer_side():
    wide = replace(SITES["north"], aspect=(1.4, 1.4))
    shown = render_film(wide, "normal", seed=0, index=0, size=SIZE).pixels
    assert shown.shape[1] / shown.shape[0] == pytest.approx(1.4, abs=0.06)


def test_grading_errs_as_often_as_it_says_and_more_where_little_is_seen():
    always = Grading(confused=1.0, missed=0.0, imagined=1.0)
    assert film(truth="covid", grading=always).label == "non-covid"
    assert film(truth="non-covid", grading=always).label == "covid"
    assert film(truth="normal", grading=always).label in ("covid", "non-covid")
    films = [film(truth="covid", index=i, grading=Grading(missed=1.0)) for i in range(40)]
    called = Counter(one.label for one in films)
    assert 0 < called["normal"] < 40
    assert all(one.truth == "covid" for one in films)


def test_a_folder_mixes_sites_by_class_and_tells_the_truth_apart(tmp_path):
    sources = {"normal": {"north": 1.0}, "covid": {"children": 1.0}, "non-covid": {"archive": 1.0}}
    truths = write_folder(
        tmp_path / "data", sources, 60, seed=1, grading=Grading(confused=0.5), size=SIZE,
        prevalence=(0.2, 0.4, 0.4),
    )  # fmt: skip

    found = open_dataset(tmp_path / "data")

    assert {record.name for record in found.records} == set(truths)
    called = [found.tree.classes[record.label] for record in found.records]
    really = [truths[record.name] for record in found.records]
    assert all(a == b for a, b in zip(called, really, strict=True) if b == "normal")
    assert any(a != b for a, b in zip(called, really, strict=True))


def test_a_film_out_of_range_is_refused():
    with pytest.raises(DataError, match="a size from 32"):
        render_film(SITES["north"], "normal", seed=0, index=0, size=8)
