"""Files are whole or they are not there."""

import hashlib
import os
import stat
from pathlib import Path

import filelock
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.files import locked, safe_name, sha256, write_atomically


def test_a_file_is_written_with_its_folders(tmp_path: Path) -> None:
    target = tmp_path / "a" / "b" / "c.json"
    write_atomically(target, b"new")
    assert target.read_bytes() == b"new"
    assert stat.S_IMODE(target.stat().st_mode) == 0o644
    assert [p.name for p in target.parent.iterdir()] == ["c.json"]


def test_a_file_is_replaced(tmp_path: Path) -> None:
    write_atomically(tmp_path / "a", b"old, and longer")
    write_atomically(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"new"


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, error: BaseException
) -> None:
    def fail(*args: object) -> None:
        raise error

    write_atomically(tmp_path / "a", b"old")
    monkeypatch.setattr(*((os, "fsync", fail) if step == "fsync" else (Path, "replace", fail)))
    with pytest.raises(type(error)):
        write_atomically(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_a_folder_that_cannot_be_made_is_an_os_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(
        NotADirectoryError, match="a file stands in the place of its folder: .*file"
    ):
        write_atomically(tmp_path / "file" / "a", b"")


def test_a_refusal_names_what_was_to_be_written(tmp_path: Path) -> None:
    target = tmp_path / ("n" * 250)  # what is written beside it has a longer name
    with pytest.raises(OSError, match=f"{target}'$"):
        write_atomically(target, b"")


def test_a_lock_that_is_held_is_told_from_one_that_cannot_be_made(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    with locked(lock), pytest.raises(filelock.Timeout), locked(lock, timeout=0):
        pass
    if Path("/proc/self").exists():  # a folder that takes no files, and says that there is none
        with pytest.raises(FileNotFoundError), locked(Path("/proc/hilum.lock"), timeout=0):
            pass


def test_sha256_of_the_standards_example() -> None:
    # FIPS 180-4
    assert sha256(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256(b"") == hashlib.sha256().hexdigest()


def test_plain_names_stay() -> None:
    assert safe_name("non-covid_2") == "non-covid_2"
    assert safe_name("root") == "root"


@given(st.text(min_size=1), st.text(min_size=1))
def test_names_are_plain_and_tell_labels_apart(one: str, other: str) -> None:
    for name in (one, other):
        assert set(safe_name(name)) <= set("abcdefghijklmnopqrstuvwxyz0123456789_-")
    # also where the file system ignores case
    assert (safe_name(one).casefold() == safe_name(other).casefold()) == (one == other)


def test_names_that_differ_in_case_only_stay_apart() -> None:
    assert len({safe_name(n).casefold() for n in ("covid", "Covid", "COVID", "../covid")}) == 4
