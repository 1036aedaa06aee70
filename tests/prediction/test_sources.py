"""Which radiographs are meant, in which order."""

import os
from pathlib import Path

import pytest

from hilum.errors import DataError
from hilum.prediction.sources import check_sources, count_sources, list_sources


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("b/10.png", "b/2.png", "b/notes.txt", "a.png", "c[1].png", "@odd.png"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_bytes(b"x")
    Path("empty").mkdir()
    Path("list.txt").write_bytes(b"\xef\xbb\xbfb/2.png\r\n\n a blank.png\nmissing.png\n")


def listed(*inputs, stdin=()):
    return [path.as_posix() for path in list_sources(inputs, stdin)]


def test_inputs_keep_their_order_and_folders_theirs(here):
    assert listed("b", "a.png", "b/notes.txt", "a.png") == [
        "b/2.png", "b/10.png", "a.png", "b/notes.txt", "a.png"
    ]  # fmt: skip
    assert count_sources(["b", "a.png"]) == 3


def test_patterns_are_sorted_and_may_match_folders(here):
    assert listed("b/*.png") == ["b/2.png", "b/10.png"]
    assert listed("**/*.png")[:3] == ["@odd.png", "a.png", "b/2.png"]
    assert listed("?") == ["b/2.png", "b/10.png"]


def test_a_file_of_that_very_name_is_no_pattern_and_no_list(here):
    assert listed("c[1].png", "@odd.png") == ["c[1].png", "@odd.png"]


def test_lists_and_standard_input(here):
    assert listed("@list.txt", "a.png") == ["b/2.png", " a blank.png", "missing.png", "a.png"]
    assert listed("-", stdin=[b"a.png\n", b"\n", b"b/2.png"]) == ["a.png", "b/2.png"]
    assert count_sources(["-", "a.png"]) == 0


def test_names_that_are_not_utf_8(here):
    (path,) = list_sources(["-"], [b"\xff.png\n"])
    assert os.fsencode(path) == b"\xff.png"


def test_lists_are_read_line_by_line():
    """Otherwise memory would grow with them: the second line here is never made."""

    def lines():
        yield b"a.png\n"
        raise AssertionError("read ahead")

    assert next(list_sources(["-"], lines())) == Path("a.png")


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        (["a.png", "empty"], "empty: no images found"),
        (["x*.png"], r"x\*.png: matches no file"),
        (["@no.txt"], "no.txt: the list of paths cannot be read"),
        (["-", "a.png", "-"], "only once"),
    ],
)
def test_what_can_be_seen_to_be_nothing_is_refused_first(here, inputs, said):
    with pytest.raises(DataError, match=said):
        check_sources(inputs)


def test_a_missing_file_is_left_to_its_row(here):
    check_sources(["missing.png", "a.png"])
    assert listed("missing.png") == ["missing.png"]
