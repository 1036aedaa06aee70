"""Data sets: the labels they span, what they refuse, and that they are opened at no cost twice."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hilum.errors import DataError, HilumError, LabelError
from hilum.labels import LabelTree
from hilum.radiographs import pixels as pixels_module
from hilum.radiographs.dataset import Dataset, open_dataset
from hilum.transforms.preprocess import Preprocessing

TREE = LabelTree.from_text("normal, infected(covid, non-covid)")


def fill(root: Path, **counts: int) -> Path:
    """Small images by folder, such as train__infected__covid=3; every image is different."""
    for name, n in counts.items():
        folder = root / name.replace("__", "/").replace("_", "-")
        folder.mkdir(parents=True, exist_ok=True)
        for i in range(n):
            noise = np.random.default_rng([len(str(folder)), i]).integers(0, 256, (8, 9))
            Image.fromarray(noise.astype(np.uint8)).save(folder / f"{i}.png")
    return root


def fill_labels(root: Path, *labels: str) -> Path:
    for label in labels:
        fill(root / "train" / label, **{".": 2})
    return root


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return fill(
        tmp_path / "data",
        train__normal=3, train__infected__covid=2, train__infected__non_covid=12,
        val__normal=1, val__infected__covid=1, val__infected__non_covid=1,
    )  # fmt: skip


# ---- what a data set is ----------------------------------------------------------------------


def test_the_folders_are_the_tree(data: Path) -> None:
    opened = open_dataset(data)
    assert opened.tree == TREE
    assert opened.splits == ("train", "val")
    assert opened.counts() == {
        "train": {"normal": 3, "covid": 2, "non-covid": 12},
        "val": {"normal": 1, "covid": 1, "non-covid": 1},
    }
    assert opened.name == "data"
    assert not opened.synthetic
    assert opened.labels.tolist() == [0] * 3 + [1] * 2 + [2] * 12 + [0, 1, 2]
    assert opened.labels.dtype == np.int64


def test_records_stand_in_order_of_split_label_and_number(data: Path) -> None:
    names = [record.name for record in open_dataset(data).records]
    assert names[0] == "train/normal/0.png"
    assert [name.split("/")[-1] for name in names[5:17]] == [f"{i}.png" for i in range(12)]
    assert names[-1] == "val/infected/non-covid/0.png"
    assert all((data / name).is_file() for name in names)


def test_indices_of_a_split(data: Path) -> None:
    opened = open_dataset(data)
    assert opened.indices("val").tolist() == [17, 18, 19]
    assert opened.indices("all").tolist() == list(range(20))
    with pytest.raises(DataError, match="there is no split 'test'; found train, val"):
        opened.indices("test")


def test_the_fingerprint_knows_content_split_and_label(data: Path, tmp_path: Path) -> None:
    first = open_dataset(data).fingerprint
    elsewhere = data.rename(tmp_path / "moved")
    assert open_dataset(elsewhere).fingerprint == first
    Image.new("L", (8, 9), 7).save(elsewhere / "train" / "normal" / "0.png")
    changed = open_dataset(elsewhere).fingerprint
    assert changed != first
    (elsewhere / "train" / "normal" / "0.png").rename(
        elsewhere / "train" / "infected" / "covid" / "99.png"
    )
    assert open_dataset(elsewhere).fingerprint not in (first, changed)


def test_a_flat_folder_is_train(tmp_path: Path) -> None:
    opened = open_dataset(fill(tmp_path, zebra=2, normal=2, apple=2))
    assert opened.tree.to_text() == "normal, apple, zebra"
    assert opened.splits == ("train",)


def test_the_given_tree_orders_the_labels(data: Path) -> None:
    given = LabelTree.from_text("infected(non-covid, covid), normal")
    opened = open_dataset(data, tree=given)
    assert opened.tree == given
    assert opened.counts()["train"] == {"non-covid": 12, "covid": 2, "normal": 3}
    assert opened.records[0].name.startswith("train/infected/non-covid/")


def test_flat_folders_are_matched_to_a_nested_tree_by_name(tmp_path: Path) -> None:
    opened = open_dataset(fill(tmp_path, normal=2, covid=3, non_covid=4), tree=TREE)
    assert opened.tree == TREE
    assert opened.counts() == {"train": {"normal": 2, "covid": 3, "non-covid": 4}}


def test_a_folder_that_the_given_tree_lacks_is_refused(data: Path) -> None:
    fill(data, train__infected__covit=2)
    with pytest.raises(DataError, match=r"'covit' is not a class of .* Did you mean 'covid'"):
        open_dataset(data, tree=TREE)


def test_labels_in_other_scripts(tmp_path: Path) -> None:
    opened = open_dataset(fill_labels(tmp_path, "normal", "肺炎", "neumonía vírica"))
    assert opened.tree.classes == ("normal", "neumonía vírica", "肺炎")


def test_excluded_images_are_left_out(data: Path) -> None:
    opened = open_dataset(data, exclude=["train/infected/non-covid/?.png", "*/normal/2.png"])
    assert opened.counts()["train"] == {"normal": 2, "covid": 2, "non-covid": 2}
    with pytest.raises(DataError, match=r"no image matches the exclude pattern 'val/x\.png'"):
        open_dataset(data, exclude=["val/x.png"])
    with pytest.raises(DataError, match="every image is excluded"):
        open_dataset(data, exclude=["*"])
    with pytest.raises(DataError, match="'val' has no image of the class 'normal'"):
        open_dataset(data, exclude=["val/normal/*"])


# ---- refusals --------------------------------------------------------------------------------


def test_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no labelled images found"):
        open_dataset(tmp_path)


def test_a_split_without_a_class(data: Path) -> None:
    (data / "val" / "infected" / "covid" / "0.png").unlink()
    message = r"split 'val' has no image of the class 'covid' .train has 2.\. Every split needs"
    with pytest.raises(DataError, match=message):
        open_dataset(data)


def test_a_class_of_the_tree_that_no_split_has(data: Path) -> None:
    tree = LabelTree.from_text("normal, infected(covid, non-covid), other")
    with pytest.raises(DataError, match="no image of the class 'other' .no split has any"):
        open_dataset(data, tree=tree)


def test_a_class_with_a_single_training_image(data: Path) -> None:
    (data / "train" / "infected" / "covid" / "0.png").unlink()
    with pytest.raises(DataError, match="class 'covid' has a single image in 'train'"):
        open_dataset(data)


def test_images_beside_the_labels_that_divide_theirs(data: Path) -> None:
    Image.new("L", (8, 9)).save(data / "train" / "infected" / "stray.png")
    with pytest.raises(LabelError, match="'infected' holds images of its own beside"):
        open_dataset(data)


@pytest.mark.parametrize(
    ("folders", "said"),
    [
        (["normal"], "needs at least two labels; found only 'normal'. Add images of another"),
        (["a b/c/normal", "a b/c/covid"], "If 'a b/c' is no label, give as the data: .*a b/c$"),
        (["normal/deep", "covid"], "found only 'deep'. Rename, move or remove"),
        (["normal (PA)", "covid"], r"'normal \(PA\)' may not hold .* Rename, move or remove"),
        (
            ["fit/normal", "fit/covid", "try/normal", "try/covid"],
            "It stands below fit and try: if these are splits, call them train, val and test",
        ),
    ],
)
def test_labels_that_form_no_tree_are_told_what_to_do(
    tmp_path: Path, folders: list[str], said: str
) -> None:
    with pytest.raises(LabelError, match=said):
        open_dataset(fill(tmp_path, **{f.replace("/", "__"): 3 for f in folders}))
    (tmp_path / "labels.xlsx").touch()  # which were to give them
    with pytest.raises(LabelError, match="labels.xlsx is not read: save it as CSV"):
        open_dataset(tmp_path)


@pytest.mark.parametrize("name", [" covid", "covid ", "covid(2)", "a,b", "root"])
def test_names_that_no_label_may_have(tmp_path: Path, name: str) -> None:
    with pytest.raises(HilumError, match=str(tmp_path)):
        open_dataset(fill_labels(tmp_path, "normal", name))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Pneumonia", "Pnuemonia"),  # swapped
        ("pneumonia", "pneumona"),  # a letter less
        ("pneumonia", "pneumoniia"),  # a letter more
        ("pneumonia", "pneumonja"),  # a letter changed
        ("pneumonia", "pneumonia_"),
        ("covid", "Covid"),
        ("covid 19", "covid-19"),
        ("covid19", "covid-19"),
        ("viral pneumonia", "viral_pnuemonia"),
        ("covid", "covid - Copy"),
        ("covid", "Copy of covid"),
        ("1", "1.0"),
        ("1", "01"),
    ],
)
def test_labels_a_typo_apart_are_refused(tmp_path: Path, one: str, other: str) -> None:
    fill_labels(tmp_path, "normal", one, other)
    with pytest.raises(DataError, match="look like one label with a typo") as error:
        open_dataset(tmp_path)
    assert f"'{one}'" in str(error.value)
    assert f"'{other}'" in str(error.value)
    classes = tuple(sorted(["normal", one, other]))
    given = LabelTree.from_text(", ".join(classes))  # listing the labels says that both are meant
    assert open_dataset(tmp_path, tree=given).tree.classes == classes


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("covid", "non-covid"),
        ("grade-1", "grade-2"),
        ("grade1", "grade2"),
        ("grade-i", "grade-ii"),
        ("type a", "type b"),
        ("left lung", "right lung"),
        ("bacterial", "viral"),
        ("normal", "abnormal"),
        ("typical", "atypical"),
        ("copd", "cope"),  # too short to tell
        ("stage 9", "stage 10"),
        ("micro", "microscopy"),
        ("0.5", "5"),
    ],
)
def test_labels_that_are_meant_are_kept(tmp_path: Path, one: str, other: str) -> None:
    opened = open_dataset(fill_labels(tmp_path, one, other, "something else"))
    assert {one, other} < set(opened.tree.classes)


def test_a_copy_of_a_folder_is_asked_about(tmp_path: Path) -> None:
    fill_labels(tmp_path, "normal", "covid", "covid (1)")
    with pytest.raises(DataError, match=r"'covid' and 'covid \(1\)' look like one label"):
        open_dataset(tmp_path)


def test_an_accent_is_written_in_two_ways(tmp_path: Path) -> None:
    composed, decomposed = "pneumoni\u00e9", "pneumonie\u0301"
    fill(tmp_path, **{"train__normal": 2, f"train__{composed}": 2, "val__normal": 1})
    fill(tmp_path, **{f"val__{decomposed}": 1})
    assert open_dataset(tmp_path).tree.classes == ("normal", composed)
    given = LabelTree.from_text(f"normal, {decomposed}")
    assert open_dataset(tmp_path, tree=given).tree.classes == ("normal", composed)


def test_damaged_files_are_left_out_if_that_is_asked(data: Path) -> None:
    (data / "train" / "normal" / "0.png").write_text("not an image")
    (data / "train" / "normal" / "9.png").symlink_to(data / "gone.png")
    opened = open_dataset(data, skip_damaged=True)
    assert {name: reason.split()[0] for name, reason in opened.damaged.items()} == {
        "train/normal/0.png": "not", "train/normal/9.png": "expected",
    }  # fmt: skip
    assert opened.notes == ("2 damaged files left out.",)
    assert (
        opened.left_out[0]
        .in_words()
        .startswith("2 damaged files left out: train/normal/0.png (not a PNG")
    )
    assert len(opened.pixels(Preprocessing(image_size=(16, 16)))) == 19
    for file in (data / "train" / "normal").glob("[12].png"):
        file.write_bytes(b"")
    with pytest.raises(DataError, match=r"no image of the class 'normal'.*4 damaged files left"):
        open_dataset(data, skip_damaged=True)


def test_a_typo_in_one_split_only(data: Path) -> None:
    (data / "val" / "normal").rename(data / "val" / "nromal")
    with pytest.raises(DataError, match="'normal' and 'nromal' look like one label with a typo"):
        open_dataset(data)


def test_a_typo_below_a_label(data: Path) -> None:
    fill(data, train__infected__covd=2)
    with pytest.raises(DataError, match="among infected, 'covd' and 'covid'"):
        open_dataset(data)


def test_files_that_cannot_be_read_are_named_together(data: Path) -> None:
    normal = data / "train" / "normal"
    (normal / "0.png").write_text("<html>404 Not Found</html>")
    (normal / "1.png").write_bytes((normal / "1.png").read_bytes()[:60])
    (data / "val" / "normal" / "0.png").write_bytes(b"")
    with pytest.raises(DataError, match="3 files cannot be used; repair or remove them") as error:
        open_dataset(data).pixels(Preprocessing(image_size=(16, 16)))
    assert len(str(error.value).splitlines()) == 4


def test_links_that_lead_nowhere_are_named_with_the_damaged_files(data: Path) -> None:
    (data / "train" / "normal" / "0.png").write_text("not an image")
    (data / "train" / "normal" / "9.png").symlink_to(data / "gone.png")
    with pytest.raises(DataError, match="2 files cannot be used"):
        open_dataset(data)


# ---- a second start --------------------------------------------------------------------------


def forbid_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(path: Path) -> object:
        raise AssertionError(f"{path} was read again")

    monkeypatch.setattr(pixels_module, "read_radiograph", forbidden)
    monkeypatch.setattr(pixels_module, "_digest", forbidden)


def test_a_second_start_reads_nothing(
    data: Path, cache: Path, settled: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    transform = Preprocessing(image_size=(16, 20))
    first = open_dataset(data)
    pixels = first.pixels(transform)
    assert pixels.shape == (20, 16, 20)
    forbid_reading(monkeypatch)
    second = open_dataset(data)
    assert second.fingerprint == first.fingerprint
    assert np.array_equal(second.pixels(transform), pixels)


def test_the_way_to_the_folder_does_not_matter(
    data: Path, cache: Path, settled: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_dataset(data)
    monkeypatch.chdir(data.parent)
    assert open_dataset("data").name == "data"
    assert open_dataset(os.path.join("data", "..", "data")).name == "data"  # noqa: PTH118


def test_pixels_stand_in_the_order_of_the_records(data: Path) -> None:
    transform = Preprocessing(image_size=(16, 16))
    opened = open_dataset(data)
    for record, row in zip(opened.records, opened.pixels(transform), strict=True):
        with Image.open(record.path) as image:
            expected = image.resize((16, 16), Image.Resampling.BILINEAR)
        assert np.array_equal(row, np.asarray(expected))


# ---- real radiographs ------------------------------------------------------------------------


@pytest.mark.shared
def test_the_real_radiographs(
    shared_data: Path, cache: Path, settled: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = open_dataset(shared_data / "chest-xray-150")
    assert first.tree.to_text() == "normal, infected(covid, non-covid)"
    assert first.counts() == {
        "train": {"normal": 1341, "covid": 1345, "non-covid": 2530},
        "val": {"normal": 8, "covid": 9, "non-covid": 8},
    }
    pixels = first.pixels(Preprocessing())
    assert pixels.shape == (5241, 150, 150)
    with Image.open(first.records[0].path) as image:
        assert np.array_equal(pixels[0], np.asarray(image.convert("L")))
    forbid_reading(monkeypatch)
    second = open_dataset(shared_data / "chest-xray-150")
    assert np.array_equal(second.pixels(Preprocessing())[::500], pixels[::500])


def test_a_dataset_is_immutable(data: Path) -> None:
    opened: Dataset = open_dataset(data)
    with pytest.raises(AttributeError):
        opened.root = data  # type: ignore[misc]


# ---- layouts ---------------------------------------------------------------------------------


def test_what_the_layout_says_reaches_the_data_set(tmp_path: Path) -> None:
    fill(tmp_path, img=4)
    rows = ["path,label,patient_id,source", "img/0.png,a,7,x", "img/1.png,a,7,", "img/2.png,b,8,y",
            "img/3.png,b,,"]  # fmt: skip
    (tmp_path / "pilot.csv").write_text("\n".join(rows), encoding="utf-8")
    opened = open_dataset(tmp_path / "pilot.csv")
    assert (opened.name, opened.layout, opened.root) == ("pilot.csv", "manifest", tmp_path)
    assert [r.group for r in opened.records] == ["7", "7", "8", None]
    assert [r.source for r in opened.records] == ["x", None, "y", None]
    assert opened.records[0].name == "img/0.png"


def test_a_layout_that_is_named(data: Path) -> None:
    assert open_dataset(data, layout="split-folders").layout == "split-folders"
    with pytest.raises(DataError, match="is not of the layout 'covidx'"):
        open_dataset(data, layout="covidx")


def test_a_coarser_tree_joins_what_is_divided_further(data: Path) -> None:
    opened = open_dataset(data, tree=LabelTree.from_text("normal, infected"))
    assert opened.counts() == {"train": {"normal": 3, "infected": 14},
                               "val": {"normal": 1, "infected": 2}}  # fmt: skip


def test_labels_of_a_table_that_the_given_tree_lacks(tmp_path: Path) -> None:
    fill(tmp_path, img=3)
    rows = "path,label\nimg/0.png,normal\nimg/1.png,infected/covid\nimg/2.png,infected/covit\n"
    (tmp_path / "manifest.csv").write_text(rows, encoding="utf-8")
    with pytest.raises(DataError, match="the label 'covit' is not a class of .* mean 'covid'"):
        open_dataset(tmp_path, tree=TREE)
