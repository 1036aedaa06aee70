"""The embedded data set: what it draws, that nothing but the finding tells, how it is written."""

import json
import math

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage
from sklearn.metrics import roc_auc_score

from hilum.errors import DataError
from hilum.phantoms.anatomy import (
    LUNG_DENSITY,
    MU_SOFT,
    anatomy_of,
    chord,
    sample_patient,
    smooth_step,
)
from hilum.phantoms.film import develop, sample_film
from hilum.phantoms.findings import (
    BILATERAL,
    NOTICEABLE,
    THIN_LUNG,
    PhantomLabel,
    added_tissue,
    finding_mask,
)
from hilum.phantoms.phantom import is_phantom, render_phantom, write_phantoms

LABELS: tuple[PhantomLabel, ...] = ("normal", "covid", "non-covid")
COUNTS = {"train": 8, "val": 4}


def body(index, size=64):
    return anatomy_of(sample_patient(np.random.default_rng([9, index])), size)


# ---- what is drawn ---------------------------------------------------------------------------


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize("size", [32, 150, 201])
def test_shapes_and_values(label, size):
    image, mask = render_phantom(label, seed=0, index=3, size=size)
    assert image.shape == mask.shape == (size, size)
    assert image.dtype == mask.dtype == np.uint8
    assert set(np.unique(mask)) == ({0} if label == "normal" else {0, 255})
    assert image.min() == 0  # air around the body
    assert image.max() > 200  # spine and marker


@pytest.mark.parametrize("label", LABELS)
def test_a_pure_function_of_its_arguments(label):
    first = render_phantom(label, seed=4, index=7)
    again = render_phantom(label, seed=4, index=7)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    for other in ({"seed": 5, "index": 7}, {"seed": 4, "index": 8}):
        assert not np.array_equal(first[0], render_phantom(label, **other)[0])


def test_looks_like_a_radiograph():
    volumes = []
    for index in range(12):
        anatomy = body(index)
        film = sample_film(np.random.default_rng([1, index]))
        image = develop(anatomy, np.zeros_like(anatomy.x), film, None)
        aerated = anatomy.right.depth + anatomy.left.depth > 8
        spine = (np.abs(anatomy.x) < 1.5) & (np.abs(anatomy.y) < 8)
        assert image[aerated].mean() + 60 < image[spine].mean()
        # The patient's right is on the left of the image.
        right_columns = np.nonzero(anatomy.right.depth > 1)[1]
        left_columns = np.nonzero(anatomy.left.depth > 1)[1]
        assert right_columns.mean() < left_columns.mean()
        volumes.append([anatomy.right.depth.sum(), anatomy.left.depth.sum()])
    right, left = np.mean(volumes, axis=0)
    assert right > 1.03 * left  # the heart takes room on the left


def test_the_right_dome_stands_higher():
    for index in range(50):
        right, left = sample_patient(np.random.default_rng([9, index])).domes
        assert right > left


def test_lengths_along_a_ray():
    # A cylinder of radius 5: 10 cm through the middle, 8 cm at 3 cm (3-4-5), none beyond it.
    assert chord(np.array([0.0, 9.0, 36.0]), 5) == pytest.approx([10, 8, 0])
    assert smooth_step(np.array([-1.0, 0.5, 2.0])) == pytest.approx([0, 0.5, 1])


# ---- the findings ----------------------------------------------------------------------------


def test_the_threshold_of_the_mask():
    anatomy = body(0)
    # 1 - exp(-0.19 t) = 0.06 at t = 0.3257 cm.
    edge = -math.log(1 - NOTICEABLE) / MU_SOFT
    assert edge == pytest.approx(0.3257, abs=1e-4)
    lung = (anatomy.right.depth + anatomy.left.depth) >= THIN_LUNG
    assert not finding_mask(anatomy, np.full_like(anatomy.x, edge - 0.01)).any()
    assert np.array_equal(finding_mask(anatomy, np.full_like(anatomy.x, edge + 0.01)) > 0, lung)


@pytest.mark.parametrize("label", ["covid", "non-covid"])
def test_findings_lie_in_the_lungs_and_are_never_lost(label):
    for index in range(60):
        anatomy = body(index)
        added = added_tissue(label, anatomy, np.random.default_rng(index))
        lung = anatomy.right.depth + anatomy.left.depth
        assert (added >= 0).all()
        assert (added[lung == 0] == 0).all()
        assert (added <= (1 - LUNG_DENSITY) * lung + 1e-4).all()  # it can only replace air
        mask = finding_mask(anatomy, added) > 0
        assert mask.mean() > 0.005
        assert (lung[mask] >= THIN_LUNG).all()


def sides(label, n):
    """For n patients, whether the finding shows in the right and in the left lung: (n, 2)."""
    found = []
    for index in range(n):
        anatomy = body(index, size=48)
        mask = finding_mask(anatomy, added_tissue(label, anatomy, np.random.default_rng(index)))
        found.append([(mask[lung.depth > 0] > 0).any() for lung in (anatomy.right, anatomy.left)])
    return np.array(found)


def test_ground_glass_is_on_both_sides_as_often_as_published():
    n = 300
    found = sides("covid", n)
    assert found.any(axis=1).all()
    # Three standard deviations of a share of 300: 0.077.
    tolerance = 3 * math.sqrt(BILATERAL * (1 - BILATERAL) / n)
    assert found.all(axis=1).mean() == pytest.approx(BILATERAL, abs=tolerance)


def test_consolidation_is_in_one_lung_on_either_side():
    found = sides("non-covid", 150)
    assert (found.sum(axis=1) == 1).all()
    assert 0.35 < found[:, 0].mean() < 0.75


def test_ground_glass_is_peripheral_and_low():
    across, down = [], []
    for index in range(60):
        anatomy = body(index)
        added = added_tissue("covid", anatomy, np.random.default_rng(index))
        for lung in (anatomy.right, anatomy.left):
            inside = (added > 0.5) & (lung.depth > 1)
            across.append(lung.across[inside])
            down.append(lung.down[inside])
    assert np.median(np.concatenate(across)) > 0.6  # 0 is the midline, 1 the lateral wall
    assert np.median(np.concatenate(down)) > 0.5  # 0 is the apex, 1 the costophrenic angle


# ---- nothing but the finding tells the class -------------------------------------------------


def test_away_from_the_finding_nothing_changes():
    for index in range(8):
        anatomy = body(index, size=150)
        film = sample_film(np.random.default_rng([2, index]))
        normal = develop(anatomy, np.zeros_like(anatomy.x), film, None)
        for label in ("covid", "non-covid"):
            added = added_tissue(label, anatomy, np.random.default_rng(index))
            image = develop(anatomy, added, film, None)
            # The blur reaches at most 4 standard deviations: 4 * 0.0042 * 150 = 2.5 pixels.
            reached = ndimage.binary_dilation(added > 0, iterations=4, structure=np.ones((3, 3)))
            assert np.array_equal(image[~reached], normal[~reached])
            assert (image >= normal).all()
            mask = finding_mask(anatomy, added) > 0
            assert image[mask].mean() > normal[mask].mean() + 5


def test_mean_brightness_hardly_tells_the_class():
    n = 60
    brightness = {
        label: [render_phantom(label, seed=1, index=i, size=48)[0].mean() for i in range(n)]
        for label in LABELS
    }
    truth = np.repeat([0, 1, 1], n)
    assert roc_auc_score(truth, np.concatenate([brightness[label] for label in LABELS])) < 0.7


# ---- the data set on disk --------------------------------------------------------------------


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    root = tmp_path_factory.mktemp("phantoms") / "set"
    write_phantoms(root, counts=COUNTS, seed=3, size=32)
    return root


def test_layout(written):
    files = {p.relative_to(written).as_posix() for p in written.rglob("*") if p.is_file()}
    expected = {"PHANTOM.json"}
    for split, unit in (("train", 2), ("val", 1)):  # 1 : 1 : 2
        expected |= {f"{split}/normal/{i}.png" for i in range(unit)}
        for label, n in (("covid", unit), ("non-covid", 2 * unit)):
            expected |= {f"{split}/infected/{label}/{i}.png" for i in range(n)}
            expected |= {f"masks/{split}/infected/{label}/{i}.png" for i in range(n)}
    assert files == expected
    assert [p.name for p in written.parent.iterdir()] == ["set"]


def test_files_hold_what_is_rendered(written):
    image, mask = render_phantom("covid", seed=3, index=1, size=32)
    with Image.open(written / "train/infected/covid/1.png") as file:
        assert file.mode == "L"
        assert np.array_equal(np.asarray(file), image)
    with Image.open(written / "masks/train/infected/covid/1.png") as file:
        assert np.array_equal(np.asarray(file), mask)


def test_no_phantom_stands_twice(written):
    images = [p.read_bytes() for p in written.rglob("*.png") if "masks" not in p.parts]
    assert len(images) == len(set(images)) == 12


def test_the_marker_says_synthetic(written, tmp_path):
    marker = json.loads((written / "PHANTOM.json").read_text(encoding="utf-8"))
    assert marker["synthetic"] is True
    assert (marker["generator"], marker["version"]) == ("hilum phantom", 1)
    assert (marker["seed"], marker["size"], marker["counts"]) == (3, 32, COUNTS)
    assert is_phantom(written)
    assert not is_phantom(tmp_path)
    assert not is_phantom(tmp_path / "absent")
    (tmp_path / "PHANTOM.json").write_text('{"generator": "another"}')
    with pytest.raises(DataError, match="not written by Hilum"):
        is_phantom(tmp_path)
    (tmp_path / "PHANTOM.json").write_text("{")
    with pytest.raises(DataError, match="not valid JSON"):
        is_phantom(tmp_path)


def test_ratios_and_progress(tmp_path):
    calls = []
    root = tmp_path / "deep" / "set"
    write_phantoms(
        root, counts={"test": 7}, size=32, ratio=(1, 1, 1), progress=lambda *c: calls.append(c)
    )
    folders = ("normal", "infected/covid", "infected/non-covid")
    found = [len(list((root / "test" / f).iterdir())) for f in folders]
    assert found == [3, 2, 2]  # 7 / 3 each, the odd one to the first
    assert calls == [("Rendering phantoms", i + 1, 7) for i in range(7)]


def test_the_same_set_is_not_written_again(written):
    before = {p: p.stat().st_mtime_ns for p in written.rglob("*")}

    def never(*_):
        raise AssertionError("rendered again")

    write_phantoms(written, counts=COUNTS, seed=3, size=32, progress=never)
    assert before == {p: p.stat().st_mtime_ns for p in written.rglob("*")}


def test_other_content_is_refused_and_kept(written, tmp_path):
    with pytest.raises(DataError, match=r"other phantoms \(seed is 3, wanted 4\)"):
        write_phantoms(written, counts=COUNTS, seed=4, size=32)
    foreign = tmp_path / "thesis"
    foreign.mkdir()
    (foreign / "thesis.txt").write_text("years of work")
    with pytest.raises(DataError, match="holds something else"):
        write_phantoms(foreign, counts=COUNTS)
    with pytest.raises(DataError, match="is a file"):
        write_phantoms(foreign / "thesis.txt", counts=COUNTS)
    assert (foreign / "thesis.txt").read_text() == "years of work"


def test_a_set_that_lost_images_is_noticed(tmp_path):
    root = tmp_path / "set"
    root.mkdir()  # an empty folder is welcome
    write_phantoms(root, counts={"val": 4}, size=32)
    (root / "val/normal/0.png").unlink()
    with pytest.raises(DataError, match="holds 0 images where PHANTOM.json says 1"):
        write_phantoms(root, counts={"val": 4}, size=32)


def test_an_interrupted_writing_leaves_nothing(tmp_path):
    def interrupt(what, done, total):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_phantoms(tmp_path / "set", counts=COUNTS, size=32, progress=interrupt)
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="could not be written"):
        write_phantoms(tmp_path / "file" / "set", counts={"val": 4}, size=32)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"label": "covdi"}, "Did you mean 'covid'"),
        ({"size": 31}, "size >= 32"),
        ({"seed": -1}, "seed -1"),
        ({"index": -1}, "index -1"),
    ],
)
def test_a_phantom_that_cannot_be(changed, message):
    arguments = {"label": "covid", "seed": 0, "index": 0, "size": 32} | changed
    with pytest.raises(DataError, match=message):
        render_phantom(arguments.pop("label"), **arguments)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"counts": {"train": -4}}, "-4 images in 'train' are too few"),
        ({"counts": {"train": 2}}, "too few for one of every class"),
        ({"counts": {}}, "No split"),
        ({"counts": {"tarin": 4}}, "Did you mean 'train'"),
        ({"ratio": (1, 0, 2)}, "three numbers above 0"),
        ({"size": 31}, "size 31"),
        ({"seed": -1}, "seed -1"),
    ],
)
def test_a_set_that_cannot_be(tmp_path, changed, message):
    with pytest.raises(DataError, match=message):
        write_phantoms(tmp_path / "set", **({"counts": {"val": 4}} | changed))
    assert list(tmp_path.iterdir()) == []
