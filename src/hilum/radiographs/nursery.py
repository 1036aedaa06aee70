"""The process that forks the workers of ``decoding``, seen from the process that uses them."""

import atexit
import os
import socket
import struct
import subprocess
import sys
from contextlib import suppress
from multiprocessing.connection import Connection
from threading import Lock
from typing import Final

from hilum.radiographs import decoder

#: For a process to import what decodes, on the slowest machine.
_START_SECONDS: Final = 120.0
#: The most memory of a worker where the kernel bounds none, and it is watched instead.
_WATCHED_MIB: Final = 2048


class Nursery:
    """The process that forks workers, and waits for them, so that no number is reused."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._asked, theirs = socket.socketpair()
        self._asked.settimeout(_START_SECONDS)
        watched = 0 if decoder.BOUNDED else _WATCHED_MIB
        command = [sys.executable, "-m", decoder.__name__, str(theirs.fileno()), str(watched)]
        own = {
            "PYTHONPATH": os.pathsep.join(p for p in sys.path if p),
            # a thread more would make forking unsafe; one file is decoded by one thread
            "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1",
        }  # fmt: skip
        with theirs:
            self.process = subprocess.Popen(
                command, pass_fds=[theirs.fileno()], env=os.environ | own, start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            )  # fmt: skip
        atexit.register(self.close)

    def fork(self, nice: int, patience: float) -> tuple[int, Connection]:
        """A new worker: its number, and a channel that fails where it does not move for so long."""
        ours, theirs = socket.socketpair()
        with theirs:
            pid = self._ask(decoder.FORK + b"%d" % nice, theirs)
        timeout = struct.pack("ll", int(patience) + 1, 0)
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            ours.setsockopt(socket.SOL_SOCKET, option, timeout)
        return pid, Connection(ours.detach())

    def end(self, pid: int) -> int | None:
        """End a worker. Its exit status, which tells whether it had ended before, and of what."""
        with suppress(OSError):  # otherwise this process has ended, and all workers with it
            return self._ask(decoder.END + b"%d" % pid)
        return None

    def close(self) -> None:
        """End it, and so all workers."""
        self._asked.close()
        self.process.wait()

    def _ask(self, message: bytes, channel: socket.socket | None = None) -> int:
        with self._lock:
            socket.send_fds(self._asked, [message], [] if channel is None else [channel.fileno()])
            said = self._asked.recv(32)
        if not said:
            raise ConnectionError("The process that starts decoders has ended.")
        return int(said)


_nurseries: dict[int, Nursery] = {}
_starting = Lock()


def nursery() -> Nursery:
    """The nursery of this process, which all pools share."""
    with _starting:
        found = _nurseries.get(os.getpid())
        if found is None or found.process.poll() is not None:
            found = _nurseries[os.getpid()] = Nursery()
        return found
