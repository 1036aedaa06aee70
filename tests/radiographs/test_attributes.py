"""What tables say of an image besides its label, on its way to the records."""

import copy
import pickle

import pytest

from hilum.radiographs.dataset import open_dataset
from hilum.radiographs.layouts import read_layout
from hilum.records import Attributes
from tests.spots import write_spots


def manifest(root, header, *cells):
    """A manifest of four images, two to a class, with further columns."""
    write_spots(root, {"train": 2})
    images = [f"train/{label}/{i}.png" for label in ("normal", "infected/covid") for i in range(2)]
    rows = [
        f"{image},{image.split('/')[-2]},{cell}" for image, cell in zip(images, cells, strict=True)
    ]
    (root / "manifest.csv").write_text("\n".join([f"path,label,{header}", *rows]) + "\n")
    return root / "manifest.csv"


def test_a_manifest_gives_attributes_and_nothing_that_identifies(tmp_path):
    table = manifest(
        tmp_path / "data", "View Position,Patient Age,Gender,hospital,patient_name,birth_date,note",
        "PA,61,F,A,Mrs Smith,1965-01-01,x", "AP,,M,,Mr Jones,1970-01-01,",
        "PA,058Y,,B,,,", ",,,,,,",
    )  # fmt: skip
    records = {r.name: r for r in open_dataset(table).records}
    first = records["train/normal/0.png"]
    assert first.attributes == {"view": "PA", "age": "61", "sex": "F", "site": "A"}
    assert records["train/normal/1.png"].attributes == {"view": "AP", "sex": "M"}
    assert records["train/infected/covid/1.png"].attributes == {}
    assert "Smith" not in repr(records)
    assert "1965" not in repr(records)


def test_chestxray14_gives_view_age_and_sex(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "00000001_000.png").touch()  # layouts look at names only
    (tmp_path / "Data_Entry_2017.csv").write_text(
        "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,"
        "View Position,OriginalImage[Width,Height]\n"
        "00000001_000.png,Mass,0,1,058Y,M,PA,2682,2749\n"
    )
    (found,) = read_layout(tmp_path).found
    assert found.attributes == {"view": "PA", "age": "058Y", "sex": "M"}


def test_records_can_still_be_hashed_pickled_and_not_changed(tmp_path):
    table = manifest(tmp_path / "data", "view", "PA", "AP", "PA", "AP")
    records = open_dataset(table).records
    assert len(set(records)) == 4
    assert pickle.loads(pickle.dumps(records)) == records
    assert copy.deepcopy(records) == records
    with pytest.raises(TypeError):
        records[0].attributes["view"] = "AP"  # type: ignore[index]
    assert hash(Attributes({"a": "1", "b": "2"})) == hash(Attributes({"b": "2", "a": "1"}))
    assert Attributes({"a": "1"}) != Attributes({"a": "2"})
    assert repr(Attributes({"a": "1"})) == "Attributes({'a': '1'})"
