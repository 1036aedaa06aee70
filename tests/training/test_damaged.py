"""Files that cannot be decoded: refused, or left out and recorded everywhere."""

import json

import pytest

from hilum.auditing.split_table import read_split
from hilum.radiographs.dataset import open_dataset
from tests.command import run_command
from tests.spots import quick_recipe, write_spots


@pytest.fixture
def damaged(tmp_path):
    root = write_spots(tmp_path / "spots", {"train": 6, "val": 3})
    (root / "train/normal/2.png").write_text("<html>404</html>")
    (root / "val/infected/covid/0.png").write_bytes(b"")
    return root


def test_damaged_files_are_refused_or_recorded(damaged, tmp_path, monkeypatch, capsys):
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(quick_recipe("epochs=1").to_toml())
    out = tmp_path / "run"

    def run(*arguments):
        return run_command(monkeypatch, capsys, *arguments)

    train = ("train", damaged, "--recipe", recipe, "--out", out, "--no-report")
    code, _, err = run(*train)
    assert code == 2
    assert "2 files cannot be used" in err
    assert "--skip-damaged" in err

    code, said, err = run("split", damaged, "--out", tmp_path / "split.csv", "--block-size", 1,
                       "--parts", "train=0.5, val=0.5", "--skip-damaged")  # fmt: skip
    assert code == 0, err
    table = tmp_path / "split.csv"
    assert f"hilum train {damaged} --skip-damaged --split {table} --out RUN" in said

    code, said, err = run(*train, "--skip-damaged", "--json")
    assert code == 0, err
    reasons = {
        "train/normal/2.png": "not a PNG, JPEG, TIFF, BMP, GIF, WebP or DICOM image",
        "val/infected/covid/0.png": "the file is empty",
    }
    (left_out,) = json.loads(said)["reading"]["left_out"]
    assert left_out["names"] == [f"{name} ({why})" for name, why in reasons.items()]
    assert json.loads((out / "run.json").read_text())["data"]["damaged"] == reasons
    provenance = json.loads((out / "classifier/classifier.json").read_text())["provenance"]
    assert provenance["data"]["damaged"] == 2
    assert provenance["notes"] == ["2 damaged files left out."]
    assert ".png" not in json.dumps(provenance)  # it may travel

    code, _, err = run("evaluate", out, damaged)
    assert code == 2
    assert "2 files cannot be used" in err
    code, said, err = run("evaluate", out, damaged, "--skip-damaged", "--json")
    assert code == 0, err
    assert json.loads(said)["n"] == 8
    assert "2 damaged files left out." in json.loads(said)["notes"][0]

    assert run("report", out)[0] == 0
    (page,) = out.glob("*.html")
    assert "2 damaged files left out." in page.read_text()
    assert (out / "evaluation/val/explanations.json").is_file()


def test_a_split_of_the_whole_files_serves_the_rest(damaged, tmp_path):
    table = tmp_path / "split.csv"
    names = [p.relative_to(damaged).as_posix() for p in sorted(damaged.rglob("*.png"))]
    rows = [f"{name},{'val' if i % 2 else 'train'},{i}" for i, name in enumerate(names)]
    table.write_text("\n".join(["path,part,group", *rows]))

    dataset = open_dataset(damaged, skip_damaged=True)

    assert set(read_split(table, dataset).parts) == set(names)
    assert set(dataset.damaged) == {"train/normal/2.png", "val/infected/covid/0.png"}
