"""What is told of a data set as Croissant, as the library of its makers reads it."""

import json
from dataclasses import replace
from hashlib import sha256

import pytest

from hilum.api import audit as audit_data
from hilum.auditing.croissant import write_croissant
from hilum.auditing.provenance import Match, known_sources
from hilum.errors import DataError
from hilum.radiographs.dataset import open_dataset
from tests.radiographs.test_npz import save
from tests.spots import write_marked_spots, write_spots

WRITE = {"labels": write_spots, "findings": write_marked_spots}


@pytest.fixture(scope="module")
def audited(tmp_path_factory):
    """Of data with labels and of data with findings: folder, data set, audit and Croissant."""
    made = {}
    for kind, write in WRITE.items():
        root = write(tmp_path_factory.mktemp("croissant") / kind, {"train": 6, "val": 3})
        found = audit_data(root, croissant=root / "croissant.json")
        made[kind] = root, open_dataset(root), found
    return made


def read(file):
    return json.loads(file.read_text())


def sets(plain):
    return {of["@id"]: of for of in plain["recordSet"]}


@pytest.mark.filterwarnings("default:ConjunctiveGraph is deprecated")  # of rdflib, which it uses
@pytest.mark.parametrize("kind", WRITE)
def test_the_makers_library_reads_data_and_images(audited, kind):
    mlcroissant = pytest.importorskip("mlcroissant")
    root, dataset, _ = audited[kind]

    found = mlcroissant.Dataset(str(root / "croissant.json"))

    assert not found.metadata.issues.errors
    assert str(found.metadata.ctx.conforms_to.value).endswith("croissant/1.1")
    rows = {row["images/path"]: row for row in found.records("images")}
    assert list(rows) == [record.name for record in dataset.records]
    for row in found.records("pictures"):
        path = row["pictures/path"].decode()
        assert row["pictures/image"].size == (32, 32)
        assert rows[path]["images/sha256"] == sha256((root / path).read_bytes()).hexdigest()


@pytest.mark.parametrize("kind", WRITE)
def test_every_image_is_named_with_its_digest_and_no_place(audited, kind):
    root, dataset, _ = audited[kind]
    text = (root / "croissant.json").read_text()
    plain = json.loads(text)
    first = dataset.records[0]

    assert str(root.parent) not in text
    assert "http://mlcommons.org/croissant/1.1" in plain["conformsTo"]
    assert (plain["name"], plain["license"]) == (kind, "unknown")
    own = {
        "labels": {"images/label": "normal"},
        "findings": {"images/finding/effusion": "present", "images/finding/mass": "absent"},
    }
    assert sets(plain)["images"]["data"][0] == {
        "images/path": first.name,
        "images/sha256": sha256(first.path.read_bytes()).hexdigest(),
        "images/split": "train",
        **own[kind],
    }
    assert len(sets(plain)["images"]["data"]) == len(dataset.records)
    (files,) = plain["distribution"]
    assert (files["includes"], files["encodingFormat"]) == (["*.png"], ["image/png"])


def test_what_the_audit_found_stands_in_the_terms_for_it(audited):
    plain = read(audited["findings"][0] / "croissant.json")

    (people,) = plain["rai:personalSensitiveInformation"]
    assert people.endswith("They name 27 patients.")
    assert any("without the lungs" in bias for bias in plain["rai:dataBiases"])
    assert any("'val' holds 18 images" in limit for limit in plain["rai:dataLimitations"])
    assert plain["rai:dataCollectionMissingData"].startswith("Of 18 findings of images it is not")
    assert "rai:dataAnnotationProtocol" not in plain, "nobody said how they were labelled"


def test_licence_and_meaning_of_known_data(audited, tmp_path):
    _, dataset, found = audited["labels"]
    source = next(s for s in known_sources() if s.name == "chest-xray-150")
    sure, unsure = (Match(source, "2021", how, "counts") for how in ("certain", "possible"))

    write_croissant(dataset, replace(found, provenance=(sure,)), tmp_path / "sure.json")
    write_croissant(dataset, replace(found, provenance=(unsure,)), tmp_path / "unsure.json")

    assert read(tmp_path / "sure.json")["license"] == source.licence
    assert read(tmp_path / "sure.json")["rai:dataAnnotationProtocol"] == [source.meaning]
    assert read(tmp_path / "unsure.json")["license"] == "unknown"
    with pytest.raises(DataError, match="nowhere"):
        write_croissant(dataset, found, tmp_path / "sure.json/nowhere.json")
    with pytest.raises(DataError, match="labels.csv: .* ends in .json or .jsonld"):
        write_croissant(dataset, found, tmp_path / "labels.csv")


def test_an_npz_file_is_one_file(audited, tmp_path):
    file = save(tmp_path)
    dataset = open_dataset(file)

    write_croissant(dataset, audited["labels"][2], tmp_path / "croissant.json")

    plain = read(tmp_path / "croissant.json")
    (one,) = plain["distribution"]
    assert (one["contentUrl"], one["sha256"]) == (
        file.name, sha256(file.read_bytes()).hexdigest()
    )  # fmt: skip
    assert "pictures" not in sets(plain)
    assert len(sets(plain)["images"]["data"]) == len(dataset.records)
