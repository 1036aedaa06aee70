"""Fixtures that several test files share."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from hilum import files
from tests.spots import recipe as recipe
from tests.spots import spots as spots

# One thread a process: the tests' networks are tiny, and workers (pytest -n) that each spin a
# thread per core slow each other down many times over. Set before torch is imported, and
# inherited by the processes that tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# How long an example takes says more about what else the machine does than about the code.
settings.register_profile("hilum", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("hilum")


@pytest.fixture(scope="session", autouse=True)
def _cache_of_the_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test reads or fills the user's own cache of decoded pixels."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HILUM_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder of the test's own."""
    folder = tmp_path / "own-cache"
    monkeypatch.setenv("HILUM_CACHE", str(folder))
    return folder


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that the test has just written count as written long ago: their marks settle."""
    monkeypatch.setattr(files, "_COARSE_NS", -1_000_000_000)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real radiographs and published figures; skips the test where it is absent.

    It is $HILUM_SHARED_DATA, or shared/data beside the checkout. Mark such tests `shared`.
    """
    given = os.environ.get("HILUM_SHARED_DATA")
    path = Path(given) if given else Path(__file__).parents[2] / "shared" / "data"
    if not path.is_dir():
        pytest.skip(f"no real radiographs at {path}; set HILUM_SHARED_DATA to their folder")
    return path
