"""The layouts of public data sets in which an image has several findings, each in miniature."""

import gzip
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from hilum.errors import DataError
from hilum.radiographs.dataset import open_dataset
from hilum.radiographs.layouts import Box, read_boxes, read_layout
from hilum.records import ABSENT, MISSING, PRESENT, UNCERTAIN
from tests.radiographs.test_public_layouts import touch, write

# ---- CheXpert ----------------------------------------------------------------------------------


CHEXPERT_HEADER = (
    "Path,Sex,Age,Frontal/Lateral,AP/PA,No Finding,Cardiomegaly,Pleural Effusion,Support Devices"
)


def chexpert(root: Path, *more: str) -> Path:
    touch(
        root, "train/patient00001/study1/view1_frontal.jpg",
        "train/patient00002/study2/view1_frontal.jpg",
        "train/patient00003/study1/view1_frontal.jpg",
        "valid/patient64541/study1/view1_frontal.jpg",
    )  # fmt: skip
    at = "CheXpert-v1.0-small/train"
    write(
        root, "train.csv", CHEXPERT_HEADER,
        f"{at}/patient00001/study1/view1_frontal.jpg,Female,68,Frontal,AP,1.0,,,1.0",
        f"{at}/patient00002/study2/view1_frontal.jpg,Male,87,Frontal,PA,,-1.0,1.0,",
        f"{at}/patient00002/study2/view2_lateral.jpg,Male,87,Lateral,,,-1.0,1.0,",
        f"{at}/patient00003/study1/view1_frontal.jpg,Male,30,Frontal,PA,,,,", *more,
    )  # fmt: skip
    return write(
        root, "valid.csv", CHEXPERT_HEADER,
        "CheXpert-v1.0/valid/patient64541/study1/view1_frontal.jpg,Male,73,Frontal,AP,0.0,1.0,0.0,0",
    )  # fmt: skip


def test_chexpert(tmp_path: Path) -> None:
    listing = read_layout(chexpert(tmp_path))
    assert listing.layout == "chexpert"
    assert listing.findings == ("Cardiomegaly", "Pleural Effusion", "Support Devices")
    assert [(f.split, f.group, f.marks, f.attributes["view"]) for f in listing.found] == [
        ("train", "patient00001", (ABSENT, ABSENT, PRESENT), "AP"),
        ("train", "patient00002", (UNCERTAIN, PRESENT, MISSING), "PA"),
        ("val", "patient64541", (PRESENT, ABSENT, ABSENT), "AP"),
    ]
    assert [left.note for left in listing.left_out] == [
        "1 image of whose findings nothing is known left out.",
        "1 other view left out (1 Lateral): frontal ones are read.",
    ]


def test_damaged_chexpert(tmp_path: Path) -> None:
    at = "train/patient00001/study1/view1_frontal.jpg"
    chexpert(tmp_path, "view1.jpg,Male,1,Frontal,PA,,1,,", f"{at},Male,1,Frontal,PA,1,2,1,")
    with pytest.raises(DataError) as error:
        read_layout(tmp_path)
    assert [line for line in str(error.value).splitlines() if line.startswith("  ")] == [
        "  line 6: view1.jpg",
        "  lines 2 and 7: view1_frontal.jpg",
        "  line 7: 'Cardiomegaly' is '2'",
        "  line 7: view1_frontal.jpg: No Finding and Pleural Effusion",
    ]


# ---- MIMIC-CXR-JPG -----------------------------------------------------------------------------


def mimic(root: Path) -> Path:
    touch(root, "files/p10/p10000032/s50414267/02aa.jpg", "files/p11/p11000011/s50000002/04bb.jpg")
    write(
        root, "mimic-cxr-2.0.0-chexpert.csv",
        "subject_id,study_id,Cardiomegaly,Edema,No Finding,Support Devices",
        "10000032,50414267,,,1.0,", "11000011,50000002,1.0,-1.0,,1.0",
    )  # fmt: skip
    return write(
        root, "mimic-cxr-2.0.0-metadata.csv",
        "dicom_id,subject_id,study_id,ViewPosition,Rows,Columns",
        "02aa,10000032,50414267,PA,3056,2544", "174e,10000032,50414267,LATERAL,3056,2544",
        "2a2b,10000032,50414267,,3056,2544", "04bb,11000011,50000002,AP,2544,3056",
        "05cc,11000011,50000003,AP,2544,3056",
    )  # fmt: skip


def test_mimic_cxr_jpg(tmp_path: Path) -> None:
    listing = read_layout(mimic(tmp_path))
    assert {f.split for f in listing.found} == {"train"}
    assert "There is no mimic-cxr-2.0.0-split.csv" in listing.notes[1]
    lines = ["dicom_id,study_id,subject_id,split", "02aa,50414267,10000032,train",
             "04bb,50000002,11000011,validate"]  # fmt: skip
    with gzip.open(tmp_path / "mimic-cxr-2.0.0-split.csv.gz", "wt") as file:
        file.write("\n".join(lines))
    listing = read_layout(tmp_path)
    assert listing.layout == "mimic-cxr-jpg"
    assert listing.findings == ("Cardiomegaly", "Edema", "Support Devices")
    assert [(f.path.name, f.split, f.group, f.marks) for f in listing.found] == [
        ("02aa.jpg", "train", "10000032", (ABSENT, ABSENT, MISSING)),
        ("04bb.jpg", "val", "11000011", (PRESENT, UNCERTAIN, PRESENT)),
    ]
    assert [left.note for left in listing.left_out] == [
        "2 other views left out (1 LATERAL, 1 not told): frontal ones are read.",
        "1 image of studies without labels left out.",
    ]


def test_damaged_mimic(tmp_path: Path) -> None:
    (mimic(tmp_path) / "mimic-cxr-2.0.0-split.csv.gz").write_bytes(b"no gzip")
    with pytest.raises(DataError, match=r"split.csv.gz: cannot be read \(Not a gzipped"):
        read_layout(tmp_path)
    (tmp_path / "mimic-cxr-2.0.0-split.csv.gz").unlink()
    write(tmp_path, "mimic-cxr-2.0.0-split.csv", "dicom_id,split", "02aa,train")
    with pytest.raises(DataError, match=r"not in mimic-cxr-2.0.0-split.csv; add it:\n  .*04bb"):
        read_layout(tmp_path)
    (tmp_path / "mimic-cxr-2.0.0-metadata.csv").unlink()
    with pytest.raises(DataError, match="metadata.csv is missing, packed or not; add it"):
        read_layout(tmp_path)


# ---- PadChest ----------------------------------------------------------------------------------


def test_padchest(tmp_path: Path) -> None:
    table = write(
        tmp_path, "PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv",
        ",ImageID,ImageDir,PatientID,PatientSex_DICOM,Projection,Labels",
        "0,a.png,0,p1,F,PA,\"['normal']\"", "1,b.png,0,p2,M,AP_horizontal,"
        "\"['pneumonia', 'pleural effusion', 'unchanged']\"",
        "2,c.png,0,p2,M,L,['pneumonia']", "3,d.png,0,p3,M,COSTAL,['rib fracture']",
        "4,e.png,0,p3,M,PA,\"['normal', 'scoliosis']\"", "5,f.png,0,p4,M,PA,['unchanged']",
        "6,g.png,0,p4,M,PA,\"['exclude', 'mass']\"", "7,h.png,0,p4,M,PA,",
    )  # fmt: skip
    listing = read_layout(touch(table, "0/a.png", "0/b.png", "0/e.png"))
    assert listing.layout == "padchest"
    assert listing.findings == ("pleural effusion", "pneumonia", "scoliosis")
    assert [(f.path.name, f.labels, f.group, f.marks) for f in listing.found] == [
        ("a.png", ("normal",), "p1", (0, 0, 0)),
        ("b.png", (), "p2", (1, 1, 0)),
        ("e.png", ("scoliosis",), "p3", (0, 0, 1)),
    ]
    assert listing.found[1].attributes == {"view": "AP_horizontal", "sex": "M"}
    assert listing.notes[2].startswith("1 image with findings beside 'normal'")
    assert [left.note.split(":")[0].split(" whose")[0] for left in listing.left_out] == [
        "1 row without a label left out.",
        "2 other views left out (1 L, 1 COSTAL)",
        "2 images left out",
    ]
    write(tmp_path, "PADCHEST_other.csv", "ImageID")
    with pytest.raises(DataError, match=r"expected one PADCHEST_\*.csv\*; found PADCHEST_chest"):
        read_layout(tmp_path)


# ---- VinDr-CXR ---------------------------------------------------------------------------------


def test_vindr_cxr(tmp_path: Path) -> None:
    touch(tmp_path, "train/a1.png", "train/b2.png", "test/c3.png")
    write(
        tmp_path / "annotations", "image_labels_train.csv",
        "image_id,rad_id,Cardiomegaly,Nodule/Mass,Other diseases,No finding",
        "a1,R1,1,0,0,0", "a1,R2,1,1,0,0", "a1,R3,0,0,0,1",
        "b2,R1,0,0,0,1", "b2,R2,0,0,0,1", "b2,R4,0,0,0,1",
    )  # fmt: skip
    write(
        tmp_path / "annotations", "image_labels_test.csv",
        "image_id,Cardiomegaly,Nodule/Mass,Other disease,No finding", "c3,0,1,1,0",
    )  # fmt: skip
    listing = read_layout(tmp_path)
    assert listing.layout == "vindr-cxr"
    assert listing.findings == ("Cardiomegaly", "Nodule or Mass", "Other diseases")
    assert [(f.path.name, f.split, f.labels, f.marks) for f in listing.found] == [
        ("a1.png", "train", ("Cardiomegaly",), (PRESENT, UNCERTAIN, ABSENT)),
        ("b2.png", "train", ("No finding",), (0, 0, 0)),
        ("c3.png", "test", (), (0, 1, 1)),
    ]
    assert (
        "2 images read by several people, who agree on all findings of 1 (50 %)"
        in (listing.notes[0])
    )
    write(
        tmp_path / "annotations", "annotations_test.csv",
        "image_id,class_name,x_min,y_min,x_max,y_max", "c3,Nodule/Mass,10,20,30,45",
        "d4,No finding,,,,",
    )  # fmt: skip
    assert read_boxes(tmp_path) == {"c3": {"Nodule or Mass": [Box(10, 20, 20, 25)]}}


def test_vindr_cxr_as_on_kaggle(tmp_path: Path) -> None:
    touch(tmp_path, "train/a1.png", "train/b2.png")
    write(
        tmp_path, "train.csv", "image_id,class_name,class_id,rad_id,x_min,y_min,x_max,y_max",
        "a1,Cardiomegaly,3,R1,1,2,3,4", "a1,Cardiomegaly,3,R2,1,2,3,4", "a1,ILD,5,R2,1,2,3,4",
        "a1,ILD,5,R2,5,6,7,8", "b2,No finding,14,R1,,,,", "b2,No finding,14,R2,,,,",
    )  # fmt: skip
    listing = read_layout(tmp_path)
    assert listing.findings == ("Cardiomegaly", "ILD")
    assert [f.marks for f in listing.found] == [(PRESENT, UNCERTAIN), (ABSENT, ABSENT)]
    assert len(read_boxes(tmp_path)["a1"]["ILD"]) == 2


# ---- covid-chestxray-dataset -------------------------------------------------------------------


def covid_rows(*rows: str) -> list[str]:
    return ["patientid,offset,sex,age,finding,view,modality,folder,filename", *rows]


def test_covid_chestxray(tmp_path: Path) -> None:
    touch(tmp_path, *(f"images/{name}.png" for name in "abcdef"))
    write(
        tmp_path, "metadata.csv",
        *covid_rows(
            "2,0,M,65,Pneumonia/Viral/COVID-19,PA,X-ray,images,a.png",
            "3,0,F,70,Pneumonia/Viral/SARS,AP Supine,X-ray,images,b.png",
            "3,4,F,70,Pneumonia,PA,X-ray,images,c.png",
            "4,0,F,,Pneumonia/Fungal/Pneumocystis,PA,X-ray,images,d.png",
            "5,0,,,No Finding,PA,X-ray,images,e.png",
            "6,0,,,Pneumonia/Viral/COVID-19,L,X-ray,images,f.png",
            "6,0,,,Pneumonia/Viral/COVID-19,Axial,CT,volumes,g.nii.gz",
            "7,0,,,todo,PA,X-ray,images,h.png", "8,0,,,,PA,X-ray,images,i.png",
        ),
    )  # fmt: skip
    listing = read_layout(tmp_path)
    assert listing.layout == "covid-chestxray"
    assert [(f.path.name, "/".join(f.labels), f.group) for f in listing.found] == [
        ("a.png", "Pneumonia/Viral/COVID-19", "2"),
        ("b.png", "Pneumonia/Viral/SARS", "3"),
        ("c.png", "Pneumonia/unspecified Pneumonia", "3"),
        ("d.png", "Pneumonia/Pneumocystis", "4"),
        ("e.png", "No Finding", "5"),
    ]
    assert [left.note for left in listing.left_out] == [
        "1 row without a label left out.",
        "1 other view left out (1 L): frontal ones are read.",
        "1 image of computed tomography left out.",
        "1 image whose finding is not told left out.",
    ]
    opened = open_dataset(tmp_path, tree="No Finding, Pneumonia", every_class=False)
    assert opened.counts() == {"train": {"No Finding": 1, "Pneumonia": 4}}


def test_a_fork_of_covid_chestxray_without_file_names(tmp_path: Path) -> None:
    touch(tmp_path, "images/COVID-00001.jpg", "images/COVID-00002.png", "images/COVID-00003.png")
    write(
        tmp_path, "metadata.csv", "patientid,offset,sex,age,finding,survival,view,modality",
        "COVID-00001,0,M,,Pneumonia/COVID-19,,PA,X-ray",
        "COVID-00002,0,M,,Pneumonia/SARS,,,", "COVID-00003,0,M,,Pneumonia/SARS,,PA,",
    )  # fmt: skip
    # all have pneumonia, so that it divides nothing
    assert [(f.path.name, f.labels) for f in read_layout(tmp_path).found] == [
        ("COVID-00001.jpg", ("COVID-19",)),
        ("COVID-00002.png", ("SARS",)),
        ("COVID-00003.png", ("SARS",)),
    ]


# ---- ChestMNIST --------------------------------------------------------------------------------


def test_chestmnist(tmp_path: Path) -> None:
    labels = np.zeros((3, 14), dtype=np.uint8)
    labels[0, 2] = labels[1, 2] = labels[1, 12] = 1
    images = np.zeros((3, 28, 28), dtype=np.uint8)

    def save_labels(labels: npt.NDArray[np.uint8]) -> None:
        np.savez_compressed(tmp_path / "chestmnist.npz", train_images=images, train_labels=labels)

    save_labels(labels)
    listing = read_layout(tmp_path)
    assert listing.findings[2::10] == ("effusion", "pleural")
    assert [(f.labels, sum(f.marks)) for f in listing.found] == [
        (("effusion",), 1), ((), 2), (("normal",), 0),
    ]  # fmt: skip
    two = open_dataset(tmp_path, tree="normal, effusion", every_class=False)
    assert two.counts() == {"train": {"normal": 1, "effusion": 1}}
    save_labels(labels + 1)
    with pytest.raises(DataError, match="'train_labels' holds 2; expected 1 where a finding is"):
        read_layout(tmp_path)
    save_labels(labels[:, :5])
    with pytest.raises(DataError, match=r"shape \(3, 5\).*expected 14 whole numbers for each"):
        read_layout(tmp_path)
