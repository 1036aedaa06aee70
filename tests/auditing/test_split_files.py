"""A split's table: written, read back, and refused where it does not fit the data."""

from pathlib import Path

import pytest

from hilum.auditing.split_table import read_split, write_split
from hilum.auditing.splits import Split, make_split
from hilum.errors import DataError
from tests.auditing.test_splits import dataset, numbered

SIX = dataset(*numbered(2, 2, 2))
ROWS = [
    "train/normal/0.png,train,a", "train/normal/1.png,val,b",
    "train/covid/0.png,train,c", "train/covid/1.png,val,d",
    "train/other/0.png,train,e", "train/other/1.png,val,f",
]  # fmt: skip


def table(tmp_path: Path, *rows: str, header: str = "path,part,group") -> Path:
    path = tmp_path / "split.csv"
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("folds", [None, 3])
@pytest.mark.parametrize("keep_test", [False, True])
def test_what_is_written_is_read(tmp_path: Path, folds: int | None, keep_test: bool) -> None:
    data = dataset(*numbered(300, 300, 300), *numbered(20, 20, 20, split="test"))
    split = make_split(data, folds=folds, block_size=10, keep_test=keep_test)

    write_split(split, tmp_path / "new" / "split.csv")

    assert read_split(tmp_path / "new" / "split.csv", data) == split


def test_the_table_is_plain(tmp_path: Path) -> None:
    names = [name for name, _ in numbered(11, 0, 0)[9:]]
    split = Split(dict.fromkeys(names, "1"), dict.fromkeys(names, "=g"), folds=2)

    write_split(split, tmp_path / "s.csv")

    assert (tmp_path / "s.csv").read_text(encoding="utf-8") == (
        '"path","fold","group"\n"train/normal/9.png",1,"\'=g"\n"train/normal/10.png",1,"\'=g"\n'
    )


def test_another_table_is_not_replaced(tmp_path: Path) -> None:
    split, labels = make_split(SIX, block_size=1, folds=2), tmp_path / "labels.csv"
    labels.write_text("path,label\n0.png,covid\n", encoding="utf-8")

    with pytest.raises(DataError, match="labels.csv: is there already, and no table of"):
        write_split(split, labels)

    assert labels.read_text(encoding="utf-8") == "path,label\n0.png,covid\n"
    labels.write_bytes(b"")
    write_split(split, labels)
    write_split(split, labels)  # such a table is made anew


@pytest.mark.parametrize(
    "odd", ["=1+1/2.png", 'a,b"c\r\n.png', "'quoted.png", "caf\udce9/ü.png", "＝1.png"]
)
def test_odd_names_survive(tmp_path: Path, odd: str) -> None:
    images = [(odd, 0), ("b.png", 1), ("c.png", 2)]
    names = [name for name, _ in images]
    split = Split(dict.fromkeys(names, "train"), {n: n for n in names})

    write_split(split, tmp_path / "s.csv")

    assert read_split(tmp_path / "s.csv", dataset(*images)) == split
    assert "\n=" not in (tmp_path / "s.csv").read_text(encoding="utf-8", errors="replace")


def test_a_table_from_a_spreadsheet_with_more_columns(tmp_path: Path) -> None:
    rows = [f"x,{row}" for row in ROWS]
    path = table(tmp_path, *rows, "", header="\ufeffnote,path,part,group")

    assert read_split(path, SIX).parts["train/covid/1.png"] == "val"


@pytest.mark.parametrize(
    ("header", "rows", "message"),
    [
        ("path,part", ROWS, "expected the columns path, part .* and group; found path, part"),
        ("path,part,fold,group", [], "fold, not both"),
        ("", [], "found none"),
        ("path,part,group", [*ROWS, "train/normal/0.png,train,a"], "1 image listed more than once"),
        ("path,part,group", ["train/normal/0.png,vall,a"], "row 2: there is no part 'vall'. Did"),
        ("path,part,group", ["train/normal/0.png,train"], "row 2: expected 3 cells .* found 2"),
        ("path,part,group", [*ROWS, "../x.png,train,g"], "1 image that /data does not hold"),
        ("path,part,group", [*ROWS, f"{'9' * 5000},train,g"], "1 image that /data does not hold"),
        ("path,part,group", ROWS[:-1], "does not list 1 image of /data(.|\n)*other/1.png"),
        ("path,part,group", [r[:-1] + "a" for r in ROWS], "the group 'a' stands in two parts"),
        ("path,part,group", [*ROWS[:-1], "train/other/1.png,train,f"],
         "the part 'val' has no image of the class 'other' .train: 2, val: 0."),
        ("path,part,group", ['"train'], "not a table of comma-separated values"),
        ("path,fold,group", ["train/normal/0.png,-1,a"], "there is no fold '-1'. Expected 0, 1"),
        ("path,fold,group", ["train/normal/0.png,01,a"], "there is no fold '01'"),
        ("path,fold,group", [r.replace(",train,", ",0,").replace(",val,", ",2,") for r in ROWS],
         "the folds 0 and 1, without gaps; found 0, 2"),
        ("path,fold,group", [r.replace(",train,", ",0,").replace(",val,", ",test,") for r in ROWS],
         "without gaps; found 0"),
    ],
)  # fmt: skip
def test_tables_that_do_not_fit(tmp_path: Path, header: str, rows: list[str], message: str) -> None:
    path = table(tmp_path, *rows, header=header)
    with pytest.raises(DataError, match=message) as error:
        read_split(path, SIX)
    assert str(path) in str(error.value)


def test_files_that_cannot_be_read_or_written(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="Cannot read .*No such file"):
        read_split(tmp_path / "none.csv", SIX)
    with pytest.raises(DataError, match="Cannot write"):
        write_split(Split({}, {}), tmp_path)


def test_all_that_is_absent_is_named(tmp_path: Path) -> None:
    extra = [f"train/normal/{i}.png,train,x" for i in range(100, 130)]
    with pytest.raises(DataError) as error:
        read_split(table(tmp_path, *ROWS, *extra), SIX)
    text = str(error.value)
    assert "30 images" in text
    assert text.count("\n") == 21
    assert "… and 10 more" in text
