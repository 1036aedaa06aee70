"""Manifests: tables that list images, what they may say, and everything that is refused."""

import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.errors import DataError, HilumError, Problems
from hilum.radiographs.dataset import open_dataset
from hilum.radiographs.layouts import Listing, read_layout, same_numbers
from hilum.radiographs.layouts.named import NamedImages

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


def test_images_beside_those_of_the_table_are_counted(tmp_path: Path) -> None:
    data(tmp_path, "image,label", "in\\c.png,normal", "a.png,sick", "b.png,")
    for name in ("d.png", "in/notes.txt", "in/e.JPG", "elsewhere.d"):
        (tmp_path / name).touch()
    assert [left.in_words() for left in read_layout(tmp_path).left_out] == [
        "1 row without a label left out: line 4 (b.png).",
        "2 images that manifest.csv does not list left out: d.png, in/e.JPG.",
    ]


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


@pytest.mark.parametrize("folder", ["films", "."])
@pytest.mark.parametrize("layout", [None, "manifest"])
def test_a_table_of_any_name_labels_a_folder(
    tmp_path: Path, folder: str, layout: str | None
) -> None:
    for name in ("a.png", "b.png"):  # in folders of patients, which are no labels
        (tmp_path / folder / f"P{name}").mkdir(parents=True)
        (tmp_path / folder / f"P{name}" / name).touch()
    (tmp_path / "patients.csv").write_text("patient,smoker\n7,no\n")  # names no image
    (tmp_path / "findings 2024.csv").write_text("image_id,finding\na,normal\nb,covid\n")

    listing = read_layout(tmp_path, layout)

    assert listing.root == tmp_path
    assert [(f.path.name, f.labels) for f in listing.found] == [
        ("a.png", ("normal",)), ("b.png", ("covid",))
    ]  # fmt: skip
    (tmp_path / "other.csv").write_text("path,label,class\na.png,normal,0\n")
    with pytest.raises(DataError, match=r"findings 2024\.csv and other\.csv all label images"):
        read_layout(tmp_path, layout)
    if folder == "films":
        note = read_layout(tmp_path / folder).notes[-1]
        assert "the names of its folders. If findings 2024.csv, which lies beside it" in note


@pytest.mark.parametrize("split", ["train", "test"])
def test_folders_of_splits_go_before_a_table_of_any_name(tmp_path: Path, split: str) -> None:
    (tmp_path / split / "normal").mkdir(parents=True)
    (tmp_path / split / "normal" / "a.png").touch()
    (tmp_path / "details.csv").write_text("path,label\na.png,covid\n")
    (found,) = read_layout(tmp_path).found
    assert (found.split, found.labels) == (split, ("normal",))


@pytest.mark.parametrize(
    ("header", "read"),
    [
        ("ImageIndex,finding,PatientID,dataset", "ImageIndex (image), finding (label), "
         "dataset (split), PatientID (patient); not read: none."),
        ("image_id,diagnosis,subject_id,set", "image_id (image), diagnosis (label), set (split), "
         "subject_id (patient); not read: none."),
        ("path,label,patient,subset", "path (image), label (label), subset (split), "
         "patient (patient); not read: none."),
        ("path,label,patient_id,split,patient,dataset,finding", "path (image), label (label), "
         "split (split), patient_id (patient), dataset (source); not read: patient, finding."),
    ],
)  # fmt: skip
def test_columns_are_taken_for_what_they_are(tmp_path: Path, header: str, read: str) -> None:
    extra = ",Ann,rsna,seen" if header.startswith("path,label,patient_id") else ""
    listing = read_layout(data(tmp_path, header, f"a.png,normal,7,test{extra}"))
    assert seen(listing)[0][:4] == ("a.png", "test", "normal", "7")
    assert listing.notes == (f"Columns read: {read}",)


def test_a_column_of_collections_is_no_split(tmp_path: Path) -> None:
    listing = read_layout(data(tmp_path, "path,label,dataset,set", "a.png,x,rsna,A"))
    assert seen(listing) == [("a.png", "train", "x", "-", "rsna")]
    assert listing.notes[0].endswith("dataset (source); not read: set.")


@pytest.mark.parametrize(
    ("cells", "read"),
    [
        (["1", "1.0", "001", "1e0", "0.50", ".5", "7"], ["1", "1", "1", "1", "0.5", "0.5", "7"]),
        (["1", "1.0", "1.", "001", "01.0", "x"], ["1", "1", "1", "001", "01.0", "x"]),
        (["001", "002"], ["001", "002"]),  # names of their own, as long as nothing else is 1
        (["0.0", "1.0"], ["0", "1"]),
        (["12345678901234567890123456789012", "12345678901234567890123456789013.0"],
         ["12345678901234567890123456789012", "12345678901234567890123456789013"]),
        (["-0", "0", "+3", "3.0"], ["0", "0", "3", "3"]),
    ],
)  # fmt: skip
def test_equal_numbers_are_one(cells: list[str], read: list[str]) -> None:
    same = same_numbers(cells)
    assert [same.get(cell, cell) for cell in cells] == read


def test_equal_labels_are_one(tmp_path: Path) -> None:
    data(tmp_path, "path,label", "a.png,1", "b.png,1.0", "in/c.png,0.0")
    assert {labels for _, _, labels, *_ in seen(read_layout(tmp_path))} == {"0", "1"}
    data(tmp_path, "path,label", "a.png,pneumonie\u0301", "b.png,pneumoni\u00e9")
    assert {labels for _, _, labels, *_ in seen(read_layout(tmp_path))} == {"pneumoni\u00e9"}


def test_rows_that_say_nothing_or_too_much(tmp_path: Path) -> None:
    data(
        tmp_path, "path,label,split,patient_id", "a.png,none,N/A,NULL", "b.png,nan,train,1",
        "in/c.png,covid| effusion,train,2", "d.png,covid;,test,None", "d.png,covid;covid,NaN,",
    )  # fmt: skip
    (tmp_path / "d.png").touch()
    with pytest.raises(DataError, match=r"lines 5 and 6: d\.png$"):
        read_layout(tmp_path)
    table = (tmp_path / "manifest.csv").read_text().splitlines()[:-1]
    listing = read_layout(data(tmp_path, *table))
    assert seen(listing) == [("a.png", "train", "none", "-", "-"),
                             ("in/c.png", "train", "", "2", "-"),
                             ("d.png", "test", "covid", "-", "-")]  # fmt: skip
    assert listing.findings == ("covid", "effusion")
    assert [image.marks for image in listing.found] == [(0, 0), (1, 1), (1, 0)]
    assert listing.notes[1:] == ("1 image without a split read as train.",)
    assert [left.in_words() for left in listing.left_out] == [
        "1 row without a label left out: line 3 (b.png).",
    ]


def test_names_that_mean_one_file(tmp_path: Path) -> None:
    data(tmp_path, "path,label", "in\\c.png,x", "a,x", "c2,x", "e\u0301.png,x", "sub/f,x")
    for name in ("in/c2.png", "\u00e9.png", "deep/sub/f.png", "deep/f.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    names = [name for name, *_ in seen(read_layout(tmp_path))]
    assert names == ["in/c.png", "a.png", "in/c2.png", "\u00e9.png", "deep/sub/f.png"]
    data(tmp_path, "path,label", "f,x")
    with pytest.raises(
        DataError, match=r"1 row with a name that several files have.*\n  line 2: f"
    ):
        read_layout(tmp_path)


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
        (["ptah,age", "a.png,3"],
         r"no column for the image and the label .found ptah, age.; expected path or filename or "
         r"image, and label or class\. Did you mean 'ptah'\?$"),
        (["path,filename,label", "a.png,a.png,x"],
         "columns path and filename both give the image; keep one of them, or call .* 'path'"),
        (["path,finding,diagnosis", "a.png,x,y"], "finding and diagnosis both give the label"),
        (["path,label,subject,patient", "a.png,x,1,2"], "both give the patient; .* 'patient_id'"),
        ([], r"no column for the image and the label .found nothing."),
        (["path,label"], "lists no image"),
        (["path,label", "a.png, "], r"lists no image. 1 row without a label left out\.$"),
        (["path,label", "a.png,x,y", "b.png"],
         r"2 rows with another number of cells than the header's 2; put cells .*:"
         r"\n  line 2: 3 cells; expected 2\n  line 3: 1 cells; expected 2$"),
        (["path,label", ",normal"], r"1 row where the cell 'path' is empty; fill it:\n  line 2$"),
        (["path,label", "a.png,infected/"], "a part is empty; .*\n  line 2: 'infected/'"),
        (["path,label", '"a.png,normal'], "not CSV"),
        (["path,label,split", "a.png,x,tran"], "line 2: there is no split 'tran'. Did you mean"),
        (["path,label", "a.png,x", "no.png,x", "in/no.png,y"],
         r"2 rows whose image is not below .*\n  line 3: no\.png\n  line 4: in/no\.png$"),
        (["path,label", "a.png,x", "b.png,x", "in/../a.png,x", "b.png,y"],
         r"2 rows with an image that an earlier one lists; keep .*"
         r"\n  lines 2 and 4: a\.png\n  lines 3 and 5: b\.png, as x and as y$"),
        (["path,label,split,patient_id", "a.png,x,train,7", "b.png,x,test,7", "in/c.png,x,val,8"],
         r"1 patient with images in several splits; .*\n  7: train .line 2., test .line 3.$"),
        (["path,label,split,patient_id", "a.png,x,train,1", "b.png,x,val,1.0"],
         r"several splits; .*\n  1: train .line 2., val .line 3.$"),
        (["path,label,split,patient_id", "a.png,x,tran,1", "no.png,x,val,1", "b.png,/,val,"],
         r"1 row with a split .*\n1 row whose image .*\n1 row with a label of which"),
        (["path,label", "a.png,covid|No Finding"],
         "1 row with a finding beside a name for 'nothing found'; keep one of them:\n"
         "  line 2: a.png: No Finding and covid"),
        (["path,label", 'a.png,"effusion, left|mass"'],
         r"1 row where a comma stands inside the name of a finding; .*\n  line 2: effusion, left"),
        (["path,effusion,mass,nothing", "a.png,1,0,", "b.png,0,2,", "d.png,1,1,"],
         r"1 row with another value in the column of a finding than 1, 0, -1 or nothing; "
         r".*:\n  line 3: 'mass' is '2'"),
        (["path,effusion,mass", "a.png,,", "b.png,,"], "no column for the label"),
    ],
)  # fmt: skip
def test_what_a_manifest_may_not_say(tmp_path: Path, lines: list[str], message: str) -> None:
    with pytest.raises(DataError, match=rf"(?s)manifest\.csv.*{message}"):
        read_layout(data(tmp_path, *lines))


@pytest.mark.parametrize("path", ["../secret.png", "in/../../secret.png", "/etc/a.png", "..", ".",
                                  "a\0.png", "..\\secret.png", "C:\\a.png"])  # fmt: skip
def test_paths_that_leave_the_folder(tmp_path: Path, path: str) -> None:
    (tmp_path / "secret.png").touch()
    root = data(tmp_path / "data", "path,label", f"{path},normal")
    with pytest.raises(DataError, match=r"path that leaves the data folder .*\n  line 2: "):
        read_layout(root)


@pytest.mark.parametrize("path", ["link.png", "folder/secret.png"])
def test_links_that_leave_the_folder(tmp_path: Path, path: str) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret.png").touch()
    root = data(tmp_path / "data", "path,label", f"{path},normal")
    (root / "link.png").symlink_to(tmp_path / "outside" / "secret.png")
    (root / "folder").symlink_to(tmp_path / "outside")
    with pytest.raises(DataError, match=r"link that leaves the data folder .*\n  line 2: "):
        read_layout(root)


@given(st.lists(st.sampled_from(["..", ".", "a", "in", "", "/", "…", "C:"]), max_size=6))
def test_no_path_leads_outside(parts: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder).resolve() / "data"
        root.mkdir()
        (root / "a").touch()
        path = NamedImages(root, Problems("m.csv")).path("/".join(parts), 2)
        assert path is None or root in path.resolve().parents


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
    assert "1,500 rows whose image is not below" in lines[0]
    assert len(lines) == 7
    assert lines[-1] == "  … and 1,495 more"


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
    table = {"path": ["a.png", "b.png", "in/c.png"], "label": [1.0, float("nan"), None]}
    parquet.write_table(pyarrow.table(table), tmp_path / "floats.parquet")
    assert seen(read_layout(tmp_path / "floats.parquet")) == [("a.png", "train", "1", "-", "-")]
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        read_layout(tmp_path / "broken.parquet")


def test_findings_in_columns(tmp_path: Path) -> None:
    data(
        tmp_path, "path,effusion,mass,No Finding,doctor", "a.png,1.0,yes,0,1x", "b.png,,,1,2",
        "in/c.png,-1,0,,3", "e.png,,,,4",
    )  # fmt: skip
    (tmp_path / "e.png").touch()
    listing = read_layout(tmp_path)
    assert listing.findings == ("effusion", "mass")
    assert [image.marks for image in listing.found] == [(1, 1), (0, 0), (-1, 0)]
    assert listing.notes[0] == (
        "Columns read: path (image); of a finding each: effusion, mass, No Finding; not read: "
        "doctor."
    )
    (left,) = listing.left_out
    assert left.in_words() == "1 image of whose findings nothing is known left out: e.png."
    data(tmp_path, "path,effusion,mass", "a.png,1,NaN", "b.png,nan,0")
    assert [image.marks for image in read_layout(tmp_path).found] == [(1, -2), (-2, 0)]


@pytest.mark.parametrize(
    ("lines", "tree", "message"),
    [
        (["path,label", "a.png,x", "b.png,y"], "{x, y}",
         "each of its images has one label, which excludes the others, but '{x, y}' asks for"),
        (["path,label", "a.png,x;y", "b.png,x;y"], "x, y",
         "none of its images has one label alone, .*: ask for findings, such as '{x, y}'"),
        (["path,label", "a.png,x;y", "b.png,x;y"], None,
         "'x' is absent in no image of 'train', so it cannot be learned; leave it out of the"),
        (["path,label", "a.png,x;y", "b.png,x;y"], "{x, z}",
         "its findings are x, y; there is no z"),
        (['path,"effusion, left",mass', "a.png,1,0", "b.png,0,1"], None,
         r"The label 'effusion, left' may not hold \( \) { } , / or"),
        (['path,mass,x,none', "a.png,1,-1,", "b.png,0,-1,"], None,
         "'x' is present in no image of 'train'"),
        (["path,label,split", "a.png,x;y,train", "b.png,none,train", "in/c.png,none,test"], None,
         "The split 'test' does not have images with and without x, y"),
    ],
)  # fmt: skip
def test_findings_and_classes_that_do_not_fit(
    tmp_path: Path, lines: list[str], tree: str | None, message: str
) -> None:
    data(tmp_path, *lines)
    if message.startswith("The split"):
        assert any(note.startswith(message) for note in open_dataset(tmp_path, tree=tree).notes)
        return
    with pytest.raises(HilumError, match=message):
        open_dataset(tmp_path, tree=tree)
