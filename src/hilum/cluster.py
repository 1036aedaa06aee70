"""A Ray cluster, or one that is started here: how it is reached, and what of it a worker gets.

What goes between machines are paths and small messages: workers see files under the same paths as
the command, on a file system that all share.
"""

import importlib
import os
import re
import signal
import socket
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from typing import Any, Final

from hilum.errors import ClusterError, plural

#: So often work is begun whose worker died; what kills its workers must not go on for ever.
TRIES: Final = 3
_ADDRESS: Final = re.compile(r"(\w+://)?[^\s/]+:\d+")
_SECONDS: Final = 5.0  # that an address has to answer in


@dataclass(frozen=True)
class Cluster:
    """Where to work: in a Ray cluster.

    address: HOST:PORT, ray://HOST:PORT or auto; None starts a cluster on this machine. workers: how
    many; None leaves it to what works there.
    """

    address: str | None = None
    workers: int | None = None

    def check(self) -> None:
        """Raise ClusterError for what is no address, and for more workers than processors here."""
        if self.address not in (None, "auto") and not _ADDRESS.fullmatch(self.address):
            raise ClusterError(
                f"'{self.address}' is no address of a Ray cluster: expected HOST:PORT, "
                "ray://HOST:PORT or auto."
            )
        processors = os.cpu_count() or 1
        if self.address is None and (self.workers or 0) > processors:
            raise ClusterError(
                f"This machine has {plural(processors, 'processor')}, fewer than the "
                f"{self.workers} that --workers asks for; name fewer, or a cluster with --address."
            )

    @contextmanager
    def open(self, cpus: int | None = None) -> Iterator[Any]:
        """Ray, connected. cpus: of a cluster that is started here; None: this machine's.

        Meanwhile what is printed goes to stderr, because Ray prints on stdout when workers die.
        Raises ClusterError where Ray is not installed, and where the cluster cannot be reached or
        is of another version of Ray or Python.
        """
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        try:
            ray = importlib.import_module("ray")
        except ImportError:
            raise ClusterError(
                "The engine 'ray' needs Ray, which is not installed: pip install 'hilum[ray]'."
            ) from None
        self.check()
        _check_reachable(self.address)
        before = signal.getsignal(signal.SIGTERM)  # Ray sets a handler of its own
        own = {} if self.address else {"num_cpus": cpus, "include_dashboard": False}
        try:
            # 'local', because None would take a cluster that somebody else runs on this machine
            ray.init(
                address=self.address or "local", log_to_driver=False, logging_level="ERROR", **own
            )
        except (ConnectionError, RuntimeError, TimeoutError, ValueError, ImportError) as error:
            said = str(error).strip().partition("\n")[0]
            raise ClusterError(f"{self.address or 'Ray'}: cannot be used ({said}).") from error
        try:
            with redirect_stdout(sys.stderr):
                yield ray
        finally:
            ray.shutdown()
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGTERM, before or signal.SIG_DFL)


@dataclass(frozen=True)
class Share:
    """What workers get: how many there are, and the CPUs and GPUs of each."""

    workers: int
    cpus: int
    gpus: int

    @property
    def resources(self) -> dict[str, float]:
        """The same as options of a Ray actor."""
        return {"num_cpus": self.cpus, "num_gpus": self.gpus}


class Machines:
    """The machines of a cluster, as Ray tells of them."""

    def __init__(self, nodes: Sequence[Mapping[str, Any]]) -> None:
        found = [node["Resources"] for node in nodes if node["Alive"]]
        self._each = [(int(r.get("CPU", 0)), int(r.get("GPU", 0))) for r in found]

    @property
    def have_gpus(self) -> bool:
        """Whether a worker with a GPU fits on one of them."""
        return self._room(1, 1) > 0

    def one_each(self, workers: int | None, *, gpu: bool) -> Share:
        """A processor, or a processor and a GPU, for each worker; None: as many as there are.

        Raises ClusterError where there is no room.
        """
        return self._checked(Share(workers or self._room(1, gpu), 1, int(gpu)))

    def divided(self, workers: int | None, *, gpu: bool) -> Share:
        """All processors for so many workers, each with as many; None: one on each GPU or machine.

        Raises ClusterError where there is no room.
        """
        alone = self._room(1, 1) if gpu else sum(cpus > 0 for cpus, _ in self._each)
        number = workers or alone
        most = max((cpus for cpus, _ in self._each), default=0)
        fitting = [c for c in range(1, most + 1) if self._room(c, gpu) >= number]
        return self._checked(Share(number, max(fitting, default=1), int(gpu)))

    def _room(self, cpus: int, gpus: int) -> int:
        """How many workers fit that have so many each."""
        return sum(min(c // cpus, g // gpus if gpus else c) for c, g in self._each)

    def _checked(self, share: Share) -> Share:
        room = self._room(share.cpus, share.gpus)
        if room < max(1, share.workers):
            what = "a processor and a GPU" if share.gpus else "a processor"
            wanted = f" of the {share.workers} that --workers asks for" if room else ""
            raise ClusterError(
                f"The cluster has room for {plural(room, 'worker')} with {what} each{wanted}."
            )
        return share


def refuse_other_versions(said: str, here: Mapping[str, str], there: Mapping[str, str]) -> None:
    """Raise ClusterError, saying this, where versions differ from those here."""
    different = [f"{k} {there.get(k)}, here {v}" for k, v in here.items() if there.get(k) != v]
    if different:
        raise ClusterError(f"{said}: it has {'; '.join(different)}.")


def _check_reachable(address: str | None) -> None:
    """Refuse an address at which nothing answers; Ray would try for minutes."""
    host, colon, port = (address or "").rpartition("://")[2].rpartition(":")
    if not (colon and port.isdecimal()):
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise ClusterError(
            f"{address}: no cluster answers there ({error}). Is it the address that `ray start "
            "--head` printed?"
        ) from None
