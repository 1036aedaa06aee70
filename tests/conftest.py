"""Fixtures that several test files share."""

import gc
import multiprocessing
import os
import pickle
import sys
from collections.abc import Callable, Iterator
from hashlib import sha256
from multiprocessing import resource_tracker
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from hilum import files
from tests.spots import recipe as recipe
from tests.spots import spots as spots
from tests.warm import warm_python

# One thread a process: the tests' networks are tiny, and workers (pytest -n) that each spin a
# thread per core slow each other down many times over. Set before torch is imported, and
# inherited by the processes that tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Importing and collecting make millions of objects that live to the end, which Python's default
# would look through for garbage again and again, for a quarter of the time that collecting takes.
gc.set_threshold(20_000, 20, 20)

# How long an example takes says more about what else the machine does than about the code.
settings.register_profile("hilum", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("hilum")


def pytest_collection_finish() -> None:
    gc.freeze()  # from here on, only what tests make is looked through


@pytest.fixture(scope="session", autouse=True)
def _cache_of_the_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test reads or fills the user's own cache of decoded pixels."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HILUM_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def of_this_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all workers (pytest -n) of this run of the tests share."""
    base = tmp_path_factory.getbasetemp()
    found = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    (found / "shared").mkdir(exist_ok=True)
    return found / "shared"


@pytest.fixture(scope="session", autouse=True)
def _charts_are_drawn_once(of_this_run: Path) -> Iterator[None]:
    """A chart of the very same data, of which many reports have some, is drawn by one test only."""
    svg = sys.modules.get("hilum.reporting.svg")  # where no test imports it, few reports are made
    if svg is None:
        yield
        return
    really = svg._drawn

    def drawn(draw: Callable[..., None], size: tuple[float, float]) -> str:
        code = draw.__code__
        data = [cell.cell_contents for cell in draw.__closure__ or ()]
        what = pickle.dumps((code.co_filename, code.co_firstlineno, data, draw.__defaults__, size))
        file = of_this_run / f"{sha256(what).hexdigest()}.svg"
        if not file.exists():
            partial = file.with_suffix(f".{os.getpid()}")
            partial.write_text(really(draw, size), encoding="utf-8")
            partial.replace(file)
        return file.read_text(encoding="utf-8")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(svg, "_drawn", drawn)
        yield


@pytest.fixture(scope="session")
def python(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A program that is like Python and starts at once; see tests/warm.py."""
    with warm_python(tmp_path_factory.mktemp("python")) as found:
        yield str(found)


@pytest.fixture
def warm_workers(python: str) -> Iterator[None]:
    """Processes that multiprocessing spawns start at once, too."""
    resource_tracker.ensure_running()  # itself not one of them
    multiprocessing.set_executable(python)
    yield
    multiprocessing.set_executable(sys.executable)


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


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files whose content was read for its digest."""
    from hilum.radiographs import pixels

    calls: list[Path] = []
    original = pixels._digest

    def counting(path: Path) -> pixels.Entry:
        calls.append(path)
        return original(path)

    monkeypatch.setattr(pixels, "_digest", counting)
    return calls


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
