"""Maps against masks and boxes: by hand, on phantoms, and on a miniature of a public data set."""

import numpy as np
import pytest
from PIL import Image

from hilum.classifier.classifier import Classifier
from hilum.errors import DataError, EvaluationError
from hilum.explanation.localisation import (
    compare_with_masks,
    localisation_table,
    measure_localisation,
    say_unmeasured,
)
from hilum.explanation.places import draw_boxes, mask_pixels
from hilum.phantoms.multiple import write_findings
from hilum.phantoms.phantom import render_phantom, write_phantoms
from hilum.radiographs.dataset import open_dataset
from hilum.radiographs.layouts import Box
from hilum.transforms.preprocess import Preprocessing
from tests.explanation.conftest import COLUMNS, ROWS, SIDE, Region, untrained
from tests.plain import again
from tests.untrained import untrained as untrained_on


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


def test_boxes_are_drawn_at_the_size_of_the_file():
    # the published image is twice as wide as the file, and four times as high
    drawn = draw_boxes([Box(2, 4, 3, 8, (12, 16)), Box(0, 0, 2, 4, (12, 16))], (4, 6))
    expected = np.zeros((4, 6), np.uint8)
    expected[1:3, 1:3] = expected[0, 0] = 255  # columns 1 to 2.5: what a box touches is inside
    np.testing.assert_array_equal(drawn, expected)
    rounded = draw_boxes([Box(4.5, 0, 2, 2)], (2, 6))  # half a pixel beyond
    assert rounded is not None
    assert (rounded / 255).tolist() == [[0, 0, 0, 0, 1, 1]] * 2
    assert draw_boxes([Box(0, 0, 1, 1), Box(5, 0, 3, 1)], (4, 6)) is None


#: Of a film of 32 rows and 64 columns the left half is black. Where the square that Region looks at
#: comes from, as (left, top, width, height) in pixels of the film.
SQUARES = {
    ("none", "squash"): (40, 8, 16, 8),
    ("none", "pad"): (40, 0, 16, 16),
    ("none", "centre-crop"): (36, 8, 8, 8),
    ("body", "squash"): (52, 8, 8, 8),
}


@pytest.mark.parametrize(("crop", "resize"), SQUARES)
def test_boxes_go_where_preprocessing_takes_the_image(tmp_path, crop, resize):
    rng = np.random.default_rng(0)
    labels = ["Mass", "Mass|Hernia", "No Finding", "Hernia"]
    for i in range(4):
        film = rng.integers(100, 256, (32, 64)).astype(np.uint8)
        film[:, :32] = 0
        Image.fromarray(film).save(tmp_path / f"{i}.png")
    rows = [f"{i}.png,{label},{i}" for i, label in enumerate(labels)]
    header = "Image Index,Finding Labels,Patient ID"
    (tmp_path / "Data_Entry_2017.csv").write_text("\n".join([header, *rows]) + "\n")
    left, top, width, height = SQUARES[crop, resize]
    square = f"{left * 16},{top * 32},{width * 16},{height * 32}"  # published with 1024 x 1024
    boxes = [
        *(f"{i}.png,Mass,{square}" for i in (0, 1, 3)),  # the last of them is no mass
        "1.png,Hernia,700,700,500,20",  # beyond the image
    ]
    header = "Image Index,Finding Label,Bbox [x,y,w,h]"
    (tmp_path / "BBox_List_2017.csv").write_text("\n".join([header, *boxes]) + "\n")
    dataset = open_dataset(tmp_path, tree="{Hernia, mass}", rename={"Mass": "mass"})
    classifier = Classifier(
        tree=dataset.tree, strategy="flat", rule="route", networks={"flat": Region()},
        preprocessing=Preprocessing(image_size=(SIDE, SIDE), crop=crop, resize=resize),
        network_names={"flat": "region"},
    )  # fmt: skip
    scores = measure_localisation(classifier, dataset, "train", methods=["ig"])
    hernia, mass = scores
    assert (mass.finding, mass.decision, mass.n) == ("mass", "flat", 2)
    assert mass.pointing.value == mass.mass.value == 1
    area = (ROWS.stop - ROWS.start) * (COLUMNS.stop - COLUMNS.start)
    assert mass.chance.value == area / SIDE**2
    assert "not those that were published" in hernia.pointing.reason
    assert len(localisation_table("", scores).rows) == 1
    (why,) = say_unmeasured(scores)
    assert why.startswith("Whether the maps find Hernia: not measured: boxes reach beyond")


def test_every_finding_of_phantoms_is_measured_by_its_own_masks(tmp_path):
    write_findings(tmp_path / "p", counts={"train": 30}, size=32, seed=1)
    dataset = open_dataset(tmp_path / "p", tree="{effusion, cardiomegaly}")
    scores = measure_localisation(untrained_on(dataset), dataset, "train", methods=["gradcam"])
    for score, finding in zip(scores, dataset.tree.findings, strict=True):
        shown = [r.name for r in dataset.records if r.marks[finding.index] == 1]
        masks = [
            np.asarray(Image.open(dataset.root / "masks" / finding.name / name[len("images/") :]))
            for name in shown
        ]
        assert (score.finding, score.n) == (finding.name, len(shown))
        assert score.chance.value == pytest.approx(np.mean([mask >= 128 for mask in masks]))


def test_real_radiographs_are_not_measured(spots):
    found = measure_localisation(untrained(), spots, methods=["occlusion"])
    assert {score.verdict for score in found} == {"not measured"}
    (why,) = say_unmeasured(found)
    assert why.startswith("Whether the maps find the findings: not measured: where they lie is not")
    assert again(found[0]) == found[0]


def test_a_mask_of_another_size_and_other_labels_are_refused(phantoms, region):
    with pytest.raises(EvaluationError, match="decides between"):
        measure_localisation(region, phantoms, methods=["ig"])
    file = next((phantoms.root / "masks/train").rglob("*.png"))
    Image.fromarray(np.full((9, 9), 255, np.uint8)).save(file)
    with pytest.raises(DataError, match="write the phantoms again"):
        measure_localisation(untrained(), phantoms, "train", methods=["ig"])
