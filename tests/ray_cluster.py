"""A Ray cluster of two machines with a processor each, which are both this one."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def ray_address(python: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the cluster is reached; its workers' processes start at once (tests/warm.py)."""
    utils = pytest.importorskip("ray.cluster_utils")
    folder = tmp_path_factory.mktemp("cluster")
    (folder / "sitecustomize.py").write_text(
        f"import multiprocessing\nmultiprocessing.set_executable({python!r})\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        head = {"num_cpus": 1, "include_dashboard": False}
        cluster = utils.Cluster(initialize_head=True, head_node_args=head)
        cluster.add_node(num_cpus=1)
    yield cluster.address
    cluster.shutdown()


def pids_of(title: str) -> set[int]:
    """Processes of this machine that have such a title, as Ray gives its actors."""
    found = set()
    for folder in Path("/proc").iterdir():
        try:
            words = (folder / "cmdline").read_bytes() if folder.name.isdigit() else b""
        except OSError:  # it ended meanwhile
            continue
        if words.startswith(title.encode()):
            found.add(int(folder.name))
    return found
