"""Manifests: tables that list images, what they may say, and everything that is refused."""

import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.errors import DataError
from hilum.radiographs.layouts import Listing, read_layout
from hilum.radiographs.layouts.tables import ListedImages

# Layouts look at names only, so these images are empty files.


def data(root: Path, *lines: str, name: str = "manifest.csv") -> Path:
    """A folder with the images a.png and b.png, in/c.png, and a table."""
    (root / "in").mkdir(parents=True, exist_ok=True)
    for image in ("a.png", "b.png", "in/c.png"):
        (root / image).touch()
    (root / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return root


def seen(listing: Listing) -> list[tuple[str, ...]]:
    return [
        (f.path.relative_to(listing.root).as_posix(), f.split, "/".join(f.labels),
         f.group or "-", f.source or "-")
        for f in listing.found
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["manifest.csv", "labels.csv"])
def test_every_column(tmp_path: Path, name: str) -> None:
    data(
        tmp_path, "path,label,split,patient_id,source,age",
        "a.png,normal,test,7,ricord,58", "in/c.png,infected/covid,train,8,,",
        "./b.png,infected / non-covid,,,rsna,", "", name=name,
    )  # fmt: skip
    listing = read_layout(tmp_path)
    assert listing.layout == "manifest"
    assert seen(listing) == [
        ("in/c.png", "train", "infected/covid", "8", "-"),
        ("b.png", "train", "infected/non-covid", "-", "rsna"),
        ("a.png", "test", "normal", "7", "ricord"),
    ]


@pytest.mark.parametrize(
    "header", ["filename,class", "Image,Label", "\ufeffpath , CLASS", "x,image"]
)
def test_other_names_of_the_columns(tmp_path: Path, header: str) -> None:
    header = f"{header},label" if header.startswith("x") else header
    row = "1,a.png,normal" if header.startswith("x") else "a.png,normal"
    assert seen(read_layout(data(tmp_path, header, row)))[0][:3] == ("a.png", "train", "normal")


def test_a_table_is_opened_itself(tmp_path: Path) -> None:
    data(tmp_path, "path,label", "a.png,normal", name="pilot.csv")
    listing = read_layout(tmp_path / "pilot.csv")
    assert listing.root == tmp_path
    assert seen(listing)[0][0] == "a.png"


def test_a_linked_image_inside_is_read(tmp_path: Path) -> None:
    root = data(tmp_path, "path,label", "link.png,normal", "folder/c.png,normal")
    (root / "link.png").symlink_to(root / "a.png")
    (root / "folder").symlink_to(root / "in")
    assert len(read_layout(root).found) == 2


# ---- refusals ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["path,age", "a.png,3"],
         r"no column for the label .found path, age.; expected label or class\."),
        (["label,ptah", "x,a.png"], "no column for the image .found label, ptah.*mean 'ptah'"),
        (["path,filename,label", "a.png,a.png,x"], "columns path and filename both give the image"),
        ([], r"no column for the image .found nothing."),
        (["path,label"], "lists no image"),
        (["path,label", "a.png,x,y"], "line 2: 3 cells; expected 2"),
        (["path,label", "a.png"], "line 2: 1 cells; expected 2"),
        (["path,label", ",normal"], "line 2: the cell 'path' is empty"),
        (["path,label", "a.png, "], "line 2: the cell 'label' is empty"),
        (["path,label", "a.png,infected/"], "line 2: the label 'infected/' has an empty part"),
        (["path,label", '"a.png,normal'], "not CSV"),
        (["path,label,split", "a.png,x,tran"], "line 2: there is no split 'tran'. Did you mean"),
        (["path,label", "a.png,x", "no.png,x", "in/no.png,y"],
         r"lists 2 images that are not below .*\n  line 3: no\.png\n  line 4: in/no\.png$"),
        (["path,label", "a.png,x", "b.png,x", "in/../a.png,x", "b.png,y"],
         r"lists images twice.*\n  lines 2 and 4: a\.png\n  lines 3 and 5: b\.png, as x and as y$"),
        (["path,label,split,patient_id", "a.png,x,train,7", "b.png,x,test,7", "in/c.png,x,val,8"],
         r"one patient are put into several splits.*\n  7: train .line 2., test .line 3.$"),
    ],
)  # fmt: skip
def test_what_a_manifest_may_not_say(tmp_path: Path, lines: list[str], message: str) -> None:
    with pytest.raises(DataError, match=rf"(?s)manifest\.csv.*{message}"):
        read_layout(data(tmp_path, *lines))


@pytest.mark.parametrize("path", ["../secret.png", "in/../../secret.png", "/etc/a.png", "..", ".",
                                  "a\0.png"])  # fmt: skip
def test_paths_that_leave_the_folder(tmp_path: Path, path: str) -> None:
    (tmp_path / "secret.png").touch()
    root = data(tmp_path / "data", "path,label", f"{path},normal")
    with pytest.raises(DataError, match="line 2: the path .* leaves the data folder"):
        read_layout(root)


@pytest.mark.parametrize("path", ["link.png", "folder/secret.png"])
def test_links_that_leave_the_folder(tmp_path: Path, path: str) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret.png").touch()
    root = data(tmp_path / "data", "path,label", f"{path},normal")
    (root / "link.png").symlink_to(tmp_path / "outside" / "secret.png")
    (root / "folder").symlink_to(tmp_path / "outside")
    with pytest.raises(DataError, match="line 2: .* is a link that leaves the data folder"):
        read_layout(root)


@given(st.lists(st.sampled_from(["..", ".", "a", "in", "", "/", "…", "C:"]), max_size=6))
def test_no_path_leads_outside(parts: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder).resolve() / "data"
        root.mkdir()
        try:
            path = ListedImages(root, root / "m.csv").path("/".join(parts), 2)
        except DataError:
            return
        assert root in path.resolve().parents


def test_a_table_in_another_encoding(tmp_path: Path) -> None:
    data(tmp_path)
    (tmp_path / "manifest.csv").write_bytes("path,label\na.png,Lungenentzündung\n".encode("utf-16"))
    with pytest.raises(DataError, match="not UTF-8 text"):
        read_layout(tmp_path)


def test_two_tables(tmp_path: Path) -> None:
    data(tmp_path, "path,label", "a.png,x")
    data(tmp_path, "path,label", "a.png,y", name="labels.csv")
    with pytest.raises(DataError, match=r"expected one of .*; found manifest\.csv and labels\.csv"):
        read_layout(tmp_path)


def test_many_absent_images_are_shortened(tmp_path: Path) -> None:
    data(tmp_path, "path,label", *(f"x{i}.png,normal" for i in range(1500)))
    with pytest.raises(DataError) as error:
        read_layout(tmp_path)
    lines = str(error.value).splitlines()
    assert "lists 1,500 images that are not below" in lines[0]
    assert len(lines) == 1002
    assert lines[-1] == "  … and 500 more"


# ---- Parquet -----------------------------------------------------------------------------------


def test_parquet_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data(tmp_path, name="manifest.parquet")
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(DataError, match=r"Parquet needs pyarrow.*pip install 'hilum\[parquet\]'"):
        read_layout(tmp_path)


def test_parquet(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    data(tmp_path)
    (tmp_path / "manifest.csv").unlink()
    table = {"age": [3, None], "Path": ["a.png", "in/c.png"], "label": ["x", "y/z"],
             "patient_id": [7, None], "split": ["test", None]}  # fmt: skip
    parquet.write_table(pyarrow.table(table), tmp_path / "manifest.parquet")
    assert seen(read_layout(tmp_path)) == [
        ("in/c.png", "train", "y/z", "-", "-"), ("a.png", "test", "x", "7", "-"),
    ]  # fmt: skip
    parquet.write_table(pyarrow.table({"path": ["a.png"], "age": [1]}), tmp_path / "other.parquet")
    with pytest.raises(DataError, match="no column for the label .found path, age"):
        read_layout(tmp_path / "other.parquet")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        read_layout(tmp_path / "broken.parquet")
