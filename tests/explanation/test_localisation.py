"""Maps against masks: by hand, and on phantoms."""

import numpy as np
import pytest
from PIL import Image

from hilum.errors import DataError, EvaluationError
from hilum.explanation.localisation import (
    compare_with_masks,
    mask_pixels,
    measure_localisation,
    score_localisation,
)
from hilum.phantoms.phantom import render_phantom, write_phantoms
from hilum.radiographs.dataset import open_dataset
from hilum.transforms.preprocess import Preprocessing
from tests.explanation.conftest import untrained
from tests.plain import again


def score(maps, masks):
    return compare_with_masks(
        np.array(maps, np.float32), np.array(masks, bool), method="ig", decision="root"
    )


def test_scores_by_hand():
    masks = [[[1, 0], [0, 0]]] * 4
    maps = [
        [[3, 1], [0, -9]],  # points at it; 3 of 4 inside; what speaks against does not count
        [[1, 3], [0, 0]],  # does not; 1 of 4
        [[2, 0], [0, 0]],  # does; all
        [[-1, 0], [0, -1]],  # nothing speaks for it
    ]
    found = score(maps, masks)
    assert (found.n, found.empty) == (4, 1)
    assert found.pointing.value == 2 / 4
    assert found.mass.value == pytest.approx((0.75 + 0.25 + 1) / 3)
    assert found.chance.value == 0.25
    assert found.lift.value == pytest.approx((0.5 + 0 + 0.75) / 3)
    assert found.mass.n == 3


def test_a_uniform_map_is_no_better_than_chance_and_the_mask_itself_is_inside():
    rng = np.random.default_rng(0)
    masks = rng.random((20, 8, 8)) < 0.2
    masks[:, 0, 0] = True
    flat = score(np.ones((20, 8, 8)), masks)
    assert flat.mass.value == pytest.approx(flat.chance.value)
    assert flat.verdict == "no better than chance"
    noisy = masks * rng.uniform(0.5, 1, masks.shape) + 0.01 * rng.random(masks.shape)
    assert score(noisy, masks).verdict == "mostly inside the finding"
    assert score(noisy, masks).pointing.value == 1
    assert score(1 - masks, masks).verdict == "no better than chance"


@pytest.mark.parametrize(("inside", "verdict"), [(1.3, "hardly above chance"), (4, "above chance")])
def test_brightness_alone_does_not_pass_for_finding(inside, verdict):
    # what an untrained network reaches: a little more than chance, because findings are bright
    masks = np.random.default_rng(1).random((20, 16, 16)) < 0.1
    assert score(np.where(masks, inside, 1), masks).verdict == verdict


def test_only_empty_maps_leave_the_mass_undefined():
    found = score(np.zeros((2, 2, 2)), [[[1, 0], [0, 0]]] * 2)
    assert found.pointing.value == 0
    assert found.mass.value is None
    assert found.verdict == "no better than chance"
    assert again(found) == found


@pytest.mark.parametrize(
    ("maps", "masks"), [((2, 3, 3), (2, 3, 4)), ((3, 3), (3, 3)), ((1, 2, 2), (1, 2, 2))]
)
def test_shapes_that_do_not_fit_and_empty_masks_are_refused(maps, masks):
    with pytest.raises(EvaluationError, match="must have one shape"):
        compare_with_masks(np.ones(maps, np.float32), np.zeros(masks, bool), method="ig",
                           decision="root")  # fmt: skip


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory):
    root = tmp_path_factory.mktemp("p") / "phantoms"
    write_phantoms(root, counts={"train": 8, "val": 8}, size=32)
    return open_dataset(root)


def test_phantoms_are_measured_at_every_decision(phantoms):
    scores = measure_localisation(untrained(), phantoms, "val", methods=["ig"], n=6)
    assert [(s.decision, s.n, s.measured) for s in scores] == [
        ("root", 6, True), ("infected", 6, True),
    ]  # fmt: skip
    masks = [
        np.asarray(Image.open(f)) >= 128
        for f in sorted((phantoms.root / "masks/val").rglob("*.png"))
    ]
    assert len(masks) == 6  # the eight less two normal ones, which have no finding
    assert scores[0].chance.value == pytest.approx(np.mean(masks))


@pytest.mark.parametrize("resize", ["squash", "pad", "centre-crop"])
@pytest.mark.parametrize("crop", ["none", "body", "lungs"])
def test_masks_go_where_preprocessing_takes_the_image(crop, resize):
    image, _ = render_phantom("non-covid", seed=1, index=0, size=96)
    how = Preprocessing(image_size=(40, 48), crop=crop, resize=resize)
    # the image as its own mask must end where its pixels do
    found = mask_pixels(how, image, image)
    np.testing.assert_array_equal(found, how.to_pixels(image) >= 128)


def test_real_radiographs_are_not_measured(spots):
    found = score_localisation(untrained(), spots, "occlusion")
    assert not found.measured
    assert found.verdict == "not measured"
    assert "known of phantoms only" in found.pointing.reason
    assert again(found) == found


def test_a_mask_of_another_size_and_other_labels_are_refused(phantoms, region):
    with pytest.raises(EvaluationError, match="decides between"):
        score_localisation(region, phantoms, "ig")
    file = next((phantoms.root / "masks/train").rglob("*.png"))
    Image.fromarray(np.full((9, 9), 255, np.uint8)).save(file)
    with pytest.raises(DataError, match="write the phantoms again"):
        score_localisation(untrained(), phantoms, "ig", split="train")
