"""The gallery of errors."""

import numpy as np
import pytest

from hilum.errors import EvaluationError
from hilum.explanation.errors import collect_errors, parting
from hilum.labels import LabelTree
from tests.explanation.conftest import untrained
from tests.plain import again

TREE = LabelTree.from_text("a, b(c, d(e, f))")


@pytest.mark.parametrize(
    ("truth", "predicted", "decision"),
    [("a", "f", "root"), ("c", "e", "b"), ("f", "e", "d"), ("e", "c", "b")],
)
def test_a_decision_erred_where_the_paths_part(truth, predicted, decision):
    found = parting(TREE, TREE.class_index(truth), TREE.class_index(predicted))
    assert found.name == decision


@pytest.mark.parametrize("strategy", ["cascade", "flat"])
def test_every_error_is_listed_and_the_first_have_pictures(spots, strategy):
    classifier = untrained(strategy)
    gallery = collect_errors(classifier, spots, method="gradcam", pictured=2)
    pixels = spots.pixels(classifier.preprocessing)
    rows = spots.indices("val")
    said = classifier.predict_pixels(pixels[rows])
    wrong = np.flatnonzero(said.predicted != spots.labels[rows])
    assert len(gallery.cases) == len(wrong) > 2
    assert {c.name for c in gallery.cases} == {spots.records[rows[i]].name for i in wrong}
    sure = [c.probs[c.predicted] for c in gallery.cases]
    assert sure == sorted(sure, reverse=True)
    assert [c.pictures is not None for c in gallery.cases[:3]] == [True, True, False]
    first = gallery.cases[0]
    assert [n.name.split("/")[0] for n in first.neighbours] == ["train"] * 3
    assert len(first.pictures.neighbours) == 3
    assert first.pictures.overlay.startswith(b"\x89PNG")
    assert f"'{first.chosen_option if strategy == 'cascade' else first.predicted}'" in (
        first.pictures.alt
    )
    assert sum(first.decision_probs[first.decision].values()) == pytest.approx(1)
    assert gallery.notes[0].startswith(f"Of {len(wrong)} errors the 2")
    assert again(gallery) == gallery


def test_training_images_are_not_their_own_neighbours(spots):
    gallery = collect_errors(untrained(), spots, "train", method="gradcam", pictured=3)
    assert all(c.name not in {n.name for n in c.neighbours} for c in gallery.cases)
    assert gallery.cases[0].neighbours


def test_predictions_of_other_images_are_refused(spots):
    classifier = untrained()
    said = classifier.predict_pixels(spots.pixels(classifier.preprocessing)[:3])
    with pytest.raises(EvaluationError, match="3 predictions for the 12"):
        collect_errors(classifier, spots, predictions=said)
