"""Files in the cache: checked, in bounds, and never taken from a process that uses them."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hilum.errors import DataError
from hilum.radiographs.cache import salt_of
from hilum.radiographs.kept import (
    LIMIT,
    cache_contents,
    cache_limit,
    clear_cache,
    map_kept,
    new_kept,
    prune,
    read_kept,
)

SIZE = 1000


def keep(target: Path, *, used: int = 0) -> Path:
    """A file of SIZE bytes and their checksums, last used so many seconds after 2001."""
    with new_kept(target) as file:
        file.write(bytes(SIZE))
    os.utime(target, (978307200 + used,) * 2)
    return target


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize("size", [0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 3 << 20])
def test_content_of_any_size_comes_back(cache: Path, size: int) -> None:
    content = np.random.default_rng(size).bytes(size)
    with new_kept(cache / "onnx/a") as file:
        file.write(content)
    assert read_kept(cache / "onnx/a") == content


@pytest.mark.parametrize("at", [0, (1 << 20) - 1, 1 << 20, (2 << 20) + 5, -1, -10, -20, -24])
def test_one_changed_bit_is_seen_anywhere(cache: Path, at: int) -> None:
    with new_kept(cache / "onnx/a") as file:
        file.write(bytes((2 << 20) + 6))
    data = bytearray((cache / "onnx/a").read_bytes())
    data[at] ^= 4
    (cache / "onnx/a").write_bytes(data)
    assert read_kept(cache / "onnx/a") is None


@pytest.mark.parametrize("shape", [(3, 4), (0, 4), (5,)])
def test_arrays_come_back(cache: Path, shape: tuple[int, ...]) -> None:
    array = np.arange(np.prod(shape), dtype=np.int16).reshape(shape)
    with new_kept(cache / "arrays/a.npy") as file:
        np.save(file, array)
    found = map_kept(cache / "arrays/a.npy")
    assert found is not None
    assert (found.dtype, found.shape) == (array.dtype, shape)
    assert np.array_equal(found, array)


def test_the_oldest_unused_goes_first(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for used, name in enumerate(("pixels/old", "onnx/middle", "arrays/young")):
        keep(cache / name, used=used)
    salt_of(cache)
    assert read_kept(cache / "pixels/old")  # by which it is no longer the oldest
    monkeypatch.setenv("HILUM_CACHE_LIMIT", f"{3 * SIZE + 200}")
    keep(cache / "pixels/new")
    assert names(cache / "pixels") == {"old", "new"}
    assert (names(cache / "onnx"), names(cache / "arrays")) == (set(), {"young"})
    monkeypatch.setenv("HILUM_CACHE_LIMIT", "0")
    keep(cache / "pixels/newest")
    assert names(cache / "pixels") == {"newest"}, "what was just made is spared"
    assert len(names(cache / "salts")) >= 1


def test_what_is_mapped_stays(cache: Path) -> None:
    with new_kept(cache / "pixels/a.npy") as file:
        np.save(file, np.arange(10))
    found = map_kept(cache / "pixels/a.npy")
    assert found is not None
    part = np.asarray(found[3:5])
    del found
    prune(0)
    assert clear_cache() == [cache / "pixels/a.npy"]
    assert part.tolist() == [3, 4]
    del part
    prune(0)
    assert names(cache / "pixels") == set()


KILLED = """
import os, signal
from pathlib import Path
from hilum.radiographs.kept import new_kept
with new_kept(Path(os.environ["HILUM_CACHE"], "pixels/a")) as file:
    file.write(bytes(100_000))
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_kill_left_is_removed_and_what_is_being_written_is_not(cache: Path) -> None:
    assert subprocess.run([sys.executable, "-c", KILLED], check=False).returncode == -9
    (left,) = names(cache / "pixels")
    assert left.endswith(".partial")
    with new_kept(cache / "pixels/b") as file:
        file.write(bytes(100_000))
        keep(cache / "onnx/c")
        assert left not in names(cache / "pixels")
        assert len(names(cache / "pixels")) == 1
    assert read_kept(cache / "pixels/b") == bytes(100_000)


@pytest.mark.parametrize(
    ("given", "expected"),
    [("", LIMIT), ("none", None), ("500MB", 5 * 10**8), ("1.5 tb", 15 * 10**11), ("20g", LIMIT),
     ("0", 0), ("12", 12)],
)  # fmt: skip
def test_limits(monkeypatch: pytest.MonkeyPatch, given: str, expected: int | None) -> None:
    monkeypatch.setenv("HILUM_CACHE_LIMIT", given)
    assert cache_limit() == expected


@pytest.mark.parametrize("given", ["much", "-1", "5 pages", "1e9"])
def test_what_is_no_limit_is_refused_before_anything_is_written(
    cache: Path, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    monkeypatch.setenv("HILUM_CACHE_LIMIT", given)
    with pytest.raises(DataError, match=f"HILUM_CACHE_LIMIT is '{given}'; expected a size such"):
        keep(cache / "pixels/a")
    assert not cache.exists()


def test_clearing_leaves_the_salts_unless_asked(cache: Path) -> None:
    keep(cache / "pixels/a")
    salt = salt_of(cache)
    assert {k.folder: (k.files, k.bytes) for k in cache_contents()}["pixels"] == (1, SIZE + 24)
    assert clear_cache() == []
    assert names(cache / "pixels") == set()
    assert salt_of(cache) == salt
    clear_cache(salts=True)
    assert salt_of(cache) != salt
