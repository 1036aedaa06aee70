"""The layouts of public data sets, each built in miniature: what is read, and what is refused."""

from pathlib import Path

import pytest

from hilum.errors import DataError
from hilum.radiographs.dataset import open_dataset
from hilum.radiographs.layouts import LAYOUTS, Box, Listing, read_boxes, read_layout
from tests.radiographs.dicoms import dicom, save

# Layouts look at names only, so these images are empty files.


def touch(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def write(root: Path, name: str, *lines: str) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    (root / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return root


def seen(listing: Listing) -> list[tuple[str, str, str, str | None]]:
    """(name below root, split, labels, group) of every image, sorted."""
    return sorted(
        (f.path.relative_to(listing.root).as_posix(), f.split, "/".join(f.labels), f.group)
        for f in listing.found
    )


# ---- Kaggle pneumonia --------------------------------------------------------------------------


def kaggle(root: Path) -> Path:
    return touch(
        root,
        "train/NORMAL/IM-0115-0001.jpeg", "train/NORMAL/NORMAL2-IM-0123-0001-0002.jpeg",
        "train/PNEUMONIA/person1_bacteria_2.jpeg", "train/PNEUMONIA/person1_virus_6.jpeg",
        "train/.DS_Store",
        "val/NORMAL/NORMAL2-IM-1427-0001.jpeg", "val/PNEUMONIA/person1946_bacteria_4874.jpeg",
        "test/NORMAL/IM-0001-0001.jpeg", "test/PNEUMONIA/person100_bacteria_475.jpeg",
        "test/PNEUMONIA/person12_virus_34.jpeg",
    )  # fmt: skip


@pytest.mark.parametrize("folder", ["", "chest_xray"])
def test_kaggle_pneumonia(tmp_path: Path, folder: str) -> None:
    kaggle(tmp_path / folder)
    listing = read_layout(tmp_path)
    assert listing.layout == "kaggle-pneumonia"
    at = f"{folder}/" if folder else ""
    assert seen(listing) == [
        (f"{at}test/NORMAL/IM-0001-0001.jpeg", "test", "NORMAL", "IM-0001"),
        (f"{at}test/PNEUMONIA/person100_bacteria_475.jpeg", "test", "PNEUMONIA/bacteria",
         "person100_bacteria"),
        (f"{at}test/PNEUMONIA/person12_virus_34.jpeg", "test", "PNEUMONIA/virus",
         "person12_virus"),
        (f"{at}train/NORMAL/IM-0115-0001.jpeg", "train", "NORMAL", "IM-0115"),
        (f"{at}train/NORMAL/NORMAL2-IM-0123-0001-0002.jpeg", "train", "NORMAL",
         "NORMAL2-IM-0123"),
        (f"{at}train/PNEUMONIA/person1_bacteria_2.jpeg", "train", "PNEUMONIA/bacteria",
         "person1_bacteria"),
        (f"{at}train/PNEUMONIA/person1_virus_6.jpeg", "train", "PNEUMONIA/virus",
         "person1_virus"),
        # val holds no viral pneumonia, as in the published set
        (f"{at}val/NORMAL/NORMAL2-IM-1427-0001.jpeg", "train", "NORMAL", "NORMAL2-IM-1427"),
        (f"{at}val/PNEUMONIA/person1946_bacteria_4874.jpeg", "train", "PNEUMONIA/bacteria",
         "person1946_bacteria"),
    ]  # fmt: skip
    (note,) = listing.notes
    assert note.startswith("val holds 2 images and none of PNEUMONIA/virus, so nothing can be")


def test_kaggle_pneumonia_with_a_usable_val(tmp_path: Path) -> None:
    touch(kaggle(tmp_path), "val/PNEUMONIA/person1947_virus_1.jpeg")
    listing = read_layout(tmp_path)
    assert [f.split for f in listing.found].count("val") == 3
    assert listing.notes == ()


def test_kaggles_second_copy_of_itself_is_passed_over(tmp_path: Path) -> None:
    kaggle(kaggle(tmp_path) / "chest_xray")
    assert len(read_layout(tmp_path).found) == 9


def test_the_names_of_the_mendeley_archive(tmp_path: Path) -> None:
    touch(
        tmp_path,
        "chest_xray/train/NORMAL/NORMAL-115218-0001.jpeg",
        "chest_xray/train/PNEUMONIA/BACTERIA-7422-0001.jpeg",
        "chest_xray/train/PNEUMONIA/VIRUS-1980593-0002.jpeg",
    )
    assert [(label, group) for _, _, label, group in seen(read_layout(tmp_path))] == [
        ("NORMAL", "NORMAL-115218"),
        ("PNEUMONIA/bacteria", "BACTERIA-7422"),
        ("PNEUMONIA/virus", "VIRUS-1980593"),
    ]


def test_other_images_below_normal_and_pneumonia_are_a_folder_tree(tmp_path: Path) -> None:
    touch(tmp_path, "train/NORMAL/1.png", "train/PNEUMONIA/1.png")
    listing = read_layout(tmp_path)
    assert listing.layout == "split-folders"
    assert {f.labels for f in listing.found} == {("NORMAL",), ("PNEUMONIA",)}


def test_a_foreign_image_in_the_kaggle_set(tmp_path: Path) -> None:
    touch(kaggle(tmp_path), "train/PNEUMONIA/x1.jpeg", "test/COVID/1.jpeg")
    with pytest.raises(DataError, match="not named or placed as in the Kaggle") as error:
        read_layout(tmp_path)
    assert str(error.value).splitlines()[1:] == [
        "  train/PNEUMONIA/x1.jpeg", "  test/COVID/1.jpeg",
    ]  # fmt: skip
    touch(tmp_path, "tset/NORMAL/1.jpeg")
    with pytest.raises(DataError, match="'tset' stands beside the splits"):
        read_layout(tmp_path)


# ---- COVID-19 Radiography Database -------------------------------------------------------------


def radiography(root: Path) -> Path:
    for name in ("COVID", "Lung_Opacity", "Normal", "Viral Pneumonia"):
        touch(root, *(f"{name}/{kind}/{name}-{i}.png" for kind in ("images", "masks")
                      for i in (1, 10, 2)), f"{name}.metadata.xlsx")  # fmt: skip
    return root


@pytest.mark.parametrize("folder", ["", "COVID-19_Radiography_Dataset"])
def test_covid19_radiography(tmp_path: Path, folder: str) -> None:
    radiography(tmp_path / folder)
    listing = read_layout(tmp_path)
    assert listing.layout == "covid19-radiography"
    assert {f.split for f in listing.found} == {"train"}
    assert [f.path.parent.name for f in listing.found] == ["images"] * 12  # never masks
    assert [f.path.name for f in listing.found][:3] == ["COVID-1.png", "COVID-2.png",
                                                        "COVID-10.png"]  # fmt: skip
    assert list(dict.fromkeys(f.labels for f in listing.found)) == [
        ("COVID",), ("Lung_Opacity",), ("Normal",), ("Viral Pneumonia",),
    ]  # fmt: skip


def test_a_damaged_radiography_database(tmp_path: Path) -> None:
    radiography(tmp_path)
    (tmp_path / "Lung_Opacity" / "images").rename(tmp_path / "Lung_Opacity" / "pictures")
    with pytest.raises(DataError, match=r"Lung_Opacity: expected radiographs in Lung_Opacity/imag"):
        read_layout(tmp_path)
    touch(tmp_path, "Tuberculosis/images/1.png")
    with pytest.raises(DataError, match="the folder 'Tuberculosis' is none of COVID, Lung_Opac"):
        read_layout(tmp_path)


def test_image_folders_without_their_table_are_no_labels(tmp_path: Path) -> None:
    touch(tmp_path, "images_001/images/1.png", "images_002/images/2.png")
    with pytest.raises(DataError, match="'images' is no label, so the labels .* stand elsewhere"):
        read_layout(tmp_path)


# ---- COVIDx ------------------------------------------------------------------------------------


def covidx(root: Path) -> Path:
    touch(root, "train/a.png", "train/b.png", "train/c.jpg", "test/a.png")
    write(
        root, "train_COVIDx9A.txt",
        "3 a.png COVID-19 cohen", "3 b.png normal ricord", "", "p-7 c.jpg pneumonia rsna",
    )  # fmt: skip
    return write(root, "test_COVIDx9A.txt", "9 a.png normal")


def test_covidx(tmp_path: Path) -> None:
    listing = read_layout(covidx(tmp_path))
    assert listing.layout == "covidx"
    assert seen(listing) == [
        ("test/a.png", "test", "normal", "9"),
        ("train/a.png", "train", "COVID-19", "cohen/3"),
        ("train/b.png", "train", "normal", "ricord/3"),
        ("train/c.jpg", "train", "pneumonia", "rsna/p-7"),
    ]
    assert [f.source for f in listing.found] == ["cohen", "ricord", "rsna", None]
    assert listing.notes == ()


def test_a_covidx_folder_without_a_list_is_told(tmp_path: Path) -> None:
    touch(covidx(tmp_path), "val/x.png")
    assert read_layout(tmp_path).notes == (
        "There is no list of the split 'val' for the folder val, which is not read.",
    )


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "1 gone.png normal rsna",
            r"1 row whose image is not below .*\n  line 5: train/gone\.png",
        ),
        (
            "1 a.png normal",
            r"1 row with an image that an earlier one lists.*\n  lines 1 and 5: a\.png, as COV",
        ),
        ("1 a.png", r"1 line of another number of fields.*\n  line 5: 2 fields .1 a.png.$"),
        ("1 a b c.png normal", r".*\n  line 5: 5 fields"),
        (
            "1 ../../x.png normal",
            r"1 row with a path that leaves .*\n  line 5: '\.\./\.\./x\.png'$",
        ),
    ],
)
def test_damaged_covidx_lists(tmp_path: Path, line: str, message: str) -> None:
    covidx(tmp_path)
    with (tmp_path / "train_COVIDx9A.txt").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(DataError, match=rf"train_COVIDx9A\.txt: {message}"):
        read_layout(tmp_path)


def test_two_versions_of_covidx(tmp_path: Path) -> None:
    write(covidx(tmp_path), "train_COVIDx9B.txt", "3 a.png positive cohen")
    with pytest.raises(DataError, match=r"the split 'train' .train_COVIDx9A.txt, train_COVIDx9B"):
        read_layout(tmp_path)


def test_covidx_without_its_images(tmp_path: Path) -> None:
    write(tmp_path, "test_split.txt", "9 a.png normal")
    with pytest.raises(DataError, match="expected in the folder 'test' beside it, which is miss"):
        read_layout(tmp_path)


def test_other_text_files_are_no_covidx_lists(tmp_path: Path) -> None:
    write(touch(tmp_path, "train/normal/1.png"), "train.txt", "made in 2024")
    (tmp_path / "test.txt").write_bytes(b"\xff\xfe\x00")
    assert read_layout(tmp_path).layout == "split-folders"


# ---- NIH ChestX-ray14 --------------------------------------------------------------------------

#: As published: the names with a comma are not quoted, and every line ends in one.
NIH_HEADER = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],"
)


def nih_row(name: str, findings: str) -> str:
    return f"{name},{findings},0,{int(name[:8])},058Y,M,PA,2682,2749,0.143,0.143,"


def nih(root: Path, *more: str) -> Path:
    touch(
        root, "images_001/images/00000001_000.png", "images_001/images/00000001_001.png",
        "images_002/images/00000002_000.png",
    )  # fmt: skip
    return write(
        root, "Data_Entry_2017.csv", NIH_HEADER,
        nih_row("00000001_000.png", "Cardiomegaly"),
        nih_row("00000001_001.png", "Cardiomegaly|Emphysema"),
        nih_row("00000002_000.png", "No Finding"), *more,
    )  # fmt: skip


def test_nih_chestxray14(tmp_path: Path) -> None:
    nih(tmp_path)
    write(tmp_path, "train_val_list.txt", "00000001_000.png", "00000001_001.png")
    write(tmp_path, "test_list.txt", "00000002_000.png")
    listing = read_layout(tmp_path)
    assert listing.layout == "nih-chestxray14"
    assert seen(listing) == [
        ("images_001/images/00000001_000.png", "train", "Cardiomegaly", "1"),
        ("images_001/images/00000001_001.png", "train", "", "1"),
        ("images_002/images/00000002_000.png", "test", "No Finding", "2"),
    ]
    assert listing.findings == ("Cardiomegaly", "Emphysema")
    assert [f.marks for f in listing.found] == [(1, 0), (1, 1), (0, 0)]
    (columns,) = listing.sentences
    assert "Patient ID (patient), View Position (view)" in columns
    assert "not read: Follow-up #, OriginalImage" in columns
    several = open_dataset(tmp_path, every_class=False)
    assert str(several.tree) == "{Cardiomegaly, Emphysema}"
    alone = open_dataset(tmp_path, tree="No Finding, Cardiomegaly", every_class=False)
    assert len(alone.records) == 2
    assert any(note.startswith("1 image of 3 without one label") for note in alone.notes)


def test_nih_boxes(tmp_path: Path) -> None:
    assert read_boxes(nih(tmp_path)) == {}
    write(
        tmp_path, "BBox_List_2017.csv", "Image Index,Finding Label,Bbox [x,y,w,h],,,",
        "00000001_001.png,Cardiomegaly,225.5,547,86.75,79,,,",
        "00000001_001.png,Infiltrate,1,2,3,4,,,", "00000001_001.png,Infiltrate,5,6,7,8",
    )  # fmt: skip
    assert read_boxes(tmp_path)["00000001_001"] == {
        "Cardiomegaly": [Box(225.5, 547, 86.75, 79, (1024, 1024))],
        "Infiltration": [Box(1, 2, 3, 4, (1024, 1024)), Box(5, 6, 7, 8, (1024, 1024))],
    }
    write(tmp_path, "BBox_List_2017.csv", "Image Index,Finding Label,Bbox [x,y,w,h]", "a,M,1,2,3")
    with pytest.raises(DataError, match="box has no place or size.*\n  line 2: 1, 2, 3, $"):
        read_boxes(tmp_path)


def test_nih_without_its_lists(tmp_path: Path) -> None:
    listing = read_layout(nih(tmp_path))
    assert {f.split for f in listing.found} == {"train"}
    assert "every image is read as train" in listing.notes[1]


def test_damaged_nih(tmp_path: Path) -> None:
    nih(tmp_path, nih_row("00000003_000.png", "Mass"), nih_row("00000004_000.png", "Mass"))
    with pytest.raises(DataError, match="2 rows whose image is not below") as error:
        read_layout(tmp_path)
    assert str(error.value).splitlines()[1:] == [
        "  line 5: 00000003_000.png", "  line 6: 00000004_000.png",
    ]  # fmt: skip
    touch(tmp_path, "images_002/00000003_000.png", "images_002/00000004_000.png")
    write(tmp_path, "test_list.txt", "00000003_000.png")
    with pytest.raises(DataError, match="train_val_list.txt is missing beside test_list.txt"):
        read_layout(tmp_path)
    write(
        tmp_path, "train_val_list.txt",
        "00000001_000.png", "00000001_001.png", "00000002_000.png",
    )  # fmt: skip
    with pytest.raises(DataError, match=r"neither in .*\n  line 6: 00000004_000\.png"):
        read_layout(tmp_path)
    write(tmp_path, "train_val_list.txt", "00000003_000.png")
    with pytest.raises(DataError, match=r"1 image in .* and in .*:\n  00000003_000\.png"):
        read_layout(tmp_path)
    touch(tmp_path, "00000001_000.png")
    (tmp_path / "train_val_list.txt").unlink()
    (tmp_path / "test_list.txt").unlink()
    with pytest.raises(
        DataError,
        match=r"a name that several files have.*\n  line 2: .*: 00000001_000\.png, images_001/",
    ):
        read_layout(tmp_path)
    write(tmp_path, "Data_Entry_2017_v2020.csv", NIH_HEADER)
    with pytest.raises(DataError, match="Data_Entry_2017.csv and Data_Entry_2017_v2020.csv both"):
        read_layout(tmp_path)


def test_nih_with_a_missing_column(tmp_path: Path) -> None:
    write(tmp_path, "Data_Entry_2017.csv", "Image Index,Finding Label,Patient ID", "a.png,Mass,1")
    message = (
        "no column for the label .found Image Index, Finding Label, Patient ID.; expected Finding "
        "Labels. Did you mean 'Finding Label'"
    )
    with pytest.raises(DataError, match=message):
        read_layout(tmp_path)


# ---- RSNA --------------------------------------------------------------------------------------


def rsna_classes(root: Path, *more: str) -> Path:
    return write(
        root, "stage_2_detailed_class_info.csv", "patientId,class",
        "a1,No Lung Opacity / Not Normal", "b2,Lung Opacity", "b2,Lung Opacity", "c3,Normal", *more,
    )  # fmt: skip


def test_rsna_classes(tmp_path: Path) -> None:
    rsna_classes(touch(tmp_path, *(f"stage_2_train_images/{n}.png" for n in ("a1", "b2", "c3"))))
    listing = read_layout(tmp_path)
    assert listing.layout == "rsna-pneumonia"
    assert seen(listing) == [
        ("stage_2_train_images/a1.png", "train", "Not Normal/No Lung Opacity", None),
        ("stage_2_train_images/b2.png", "train", "Not Normal/Lung Opacity", None),
        ("stage_2_train_images/c3.png", "train", "Normal", None),
    ]
    assert "which images are of one patient is not known" in listing.notes[1]


def test_rsna_targets(tmp_path: Path) -> None:
    touch(tmp_path, "jpg/a1.jpg", "jpg/b2.jpg")
    write(
        tmp_path, "stage_2_train_labels.csv", "patientId,x,y,width,height,Target",
        "a1,,,,,0", "b2,264.0,152.0,213.0,379.0,1", "b2,562.0,152.0,256.0,453.0,1",
    )  # fmt: skip
    assert [(name, label) for name, _, label, _ in seen(read_layout(tmp_path))] == [
        ("jpg/a1.jpg", "No Lung Opacity"), ("jpg/b2.jpg", "Lung Opacity"),
    ]  # fmt: skip
    boxes = [Box(264, 152, 213, 379, (1024, 1024)), Box(562, 152, 256, 453, (1024, 1024))]
    assert read_boxes(tmp_path) == {"b2": {"Lung Opacity": boxes}}


def test_damaged_rsna(tmp_path: Path) -> None:
    rsna_classes(touch(tmp_path, "a1.png"))
    with pytest.raises(DataError, match=r"2 rows whose image .*\n  line 3: b2\n  line 5: c3"):
        read_layout(tmp_path)
    rsna_classes(tmp_path, "c3,Lung Opacity")
    with pytest.raises(
        DataError, match=r"another label than .*\n  lines 5 and 6: c3, as Normal and as Lung"
    ):
        read_layout(tmp_path)
    rsna_classes(tmp_path, "d4,Opacity")
    with pytest.raises(
        DataError, match=r"whose class is none of Normal, Lung .*\n  line 6: 'Opacity'"
    ):
        read_layout(tmp_path)


def test_rsna_as_dicom(tmp_path: Path) -> None:
    for name in ("a1", "b2", "c3"):
        ds = dicom(PatientID=name, PatientSex="F", ViewPosition="PA")
        save(tmp_path / "stage_2_train_images" / f"{name}.dcm", ds)
    listing = read_layout(rsna_classes(tmp_path))
    assert seen(listing)[2] == ("stage_2_train_images/c3.dcm", "train", "Normal", None)
    assert listing.found[0].attributes == {"view": "PA", "sex": "F"}


# ---- which layout ------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_empty_folder_is_of_no_layout(tmp_path: Path, layout: str) -> None:
    with pytest.raises(DataError, match="is not of the layout|no labelled images found"):
        read_layout(tmp_path, layout)


def test_two_layouts_that_fit(tmp_path: Path) -> None:
    rsna_classes(nih(tmp_path))
    touch(tmp_path, "a1.png", "b2.png", "c3.png")
    with pytest.raises(
        DataError, match=r"could be nih-chestxray14 .* or rsna-pneumonia .* name th"
    ):
        read_layout(tmp_path)
    assert len(read_layout(tmp_path, "nih-chestxray14").found) == 3
    assert len(read_layout(tmp_path, "rsna-pneumonia").found) == 3


def test_a_layout_that_is_named(tmp_path: Path) -> None:
    kaggle(tmp_path)
    assert {f.labels for f in read_layout(tmp_path, "split-folders").found} == {
        ("NORMAL",), ("PNEUMONIA",),
    }  # fmt: skip
    with pytest.raises(DataError, match="is not of the layout 'covidx': saw test, train, val; exp"):
        read_layout(tmp_path, "covidx")
    with pytest.raises(DataError, match="no layout 'covidX-'. Did you mean 'covidx'"):
        read_layout(tmp_path, "covidX-")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no labelled images found; expected a folder for each"):
        read_layout(tmp_path / "empty", "label-folders")


def test_the_nearest_layouts_are_named(tmp_path: Path) -> None:
    write(tmp_path, "train_val_list.txt", "00000001_000.png")
    write(tmp_path, "test_list.txt", "00000002_000.png")
    with pytest.raises(
        DataError, match=r"saw test_list.txt, train_val_list.txt.*Nearest: "
    ) as error:
        read_layout(tmp_path)
    assert "nih-chestxray14 (Data_Entry_2017.csv, train_val_list.txt" in str(error.value)


def test_every_layout_is_documented() -> None:
    page = (Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf-8")
    for name in LAYOUTS:
        assert f"`{name}`" in page
