"""The subgroups that a data set's files, pixels and tables make."""

from hilum.evaluation.subgroups import collect_attributes
from hilum.radiographs.dataset import open_dataset
from tests.spots import write_spots


def test_files_and_pixels(tmp_path):
    root = write_spots(tmp_path / "data", {"train": 3, "val": 2})
    dark = write_spots(tmp_path / "dark", {"train": 1}, size=48) / "train/normal/0.png"
    (root / "val/normal/0.png").write_bytes(dark.read_bytes())
    (root / "val/normal/1.png").write_bytes((root / "train/normal/0.png").read_bytes())
    (root / "val/infected/covid/0.png").write_bytes(
        (root / "val/infected/covid/1.png").read_bytes()
    )
    dataset = open_dataset(root)
    rows = dataset.indices("val")
    names = [dataset.records[row].name for row in rows]
    found = collect_attributes(dataset, rows)
    assert list(found) == ["image size", "brightness", "contrast", "copies"]
    assert all(len(bands.index) == 6 for bands in found.values())

    def of(attribute, name):
        bands = found[attribute]
        return bands.names[bands.index[names.index(name)]]

    assert of("image size", "val/normal/0.png") == "large (above 32 px)"
    assert of("image size", "val/normal/1.png") == "small (up to 32 px)"
    assert of("copies", "val/normal/0.png") == "no copy"
    assert of("copies", "val/normal/1.png") == "copy in another split"
    assert of("copies", "val/infected/covid/0.png") == "copy in this split"
    # the same bright spot is a smaller part of the larger image
    assert of("brightness", "val/normal/0.png").startswith("dark (up to ")
    assert of("contrast", "val/normal/0.png").startswith("low (up to ")


def test_columns_of_a_table(tmp_path):
    root = write_spots(tmp_path / "data", {"train": 2})
    rows = ["path,label,source,view,age"] + [
        f"train/normal/{i}.png,normal,{source},PA,{age}"
        for i, source, age in ((0, "ricord", "12"), (1, "", "070Y"))
    ] + [f"train/infected/covid/{i}.png,covid,rsna,,30" for i in range(2)]  # fmt: skip
    (root / "manifest.csv").write_text("\n".join(rows) + "\n")
    dataset = open_dataset(root / "manifest.csv")
    found = collect_attributes(dataset, dataset.indices("train"))
    assert list(found)[4:] == ["source", "age", "view"]
    assert found["age"].names == ("under 18", "18 to 39", "65 and over")
    assert found["age"].index.tolist() == [0, 2, 1, 1]
    assert found["view"].index.tolist() == [0, 0, -1, -1]
    assert found["source"].index.tolist() == [0, -1, 0, 0]  # few of each: joined as others
