"""Whether the other processes of a training are still there, and what they have to say.

What waits for a dead process would wait for long. So every process holds a connection to the first
one, which the system closes when a process dies, however it does: the first then tells all the
others. The same connections carry what is said outside the steps: that a process failed and why,
that it is to stop, and the epochs of what it trains by itself.
"""

import json
import logging
import os
import selectors
import signal
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from queue import SimpleQueue
from types import FrameType
from typing import Any

from hilum.errors import HilumError, Interrupted, TrainingError, in_short
from hilum.training.interrupt import StopRequest

#: Seconds that a process has to end by itself after another one has died.
GRACE = 20.0
#: Seconds that a process which fails like all the others has to say so itself.
_ITS_OWN = 2.0
#: Seconds that the others have to end after a stop, with a checkpoint each.
STOPPING = 120.0
_UNHARMED = "The checkpoints written before are unharmed; go on with --resume."
#: After so many seconds of silence the system asks whether the other end is there: every so many,
#: so many times.
_ALIVE = {"TCP_KEEPIDLE": 5, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}


class PeerLost(TrainingError):  # noqa: N818 - it names what happened, as Interrupted does
    """Another process of the training is gone, or failed."""


class Peers:
    """The connections of one process: the first one's to all others, or that to the first.

    links: by rank. messages: what others sent by `send`, but for what is acted on here.
    """

    def __init__(self, rank: int, size: int, links: Mapping[int, socket.socket]) -> None:
        self.rank, self.size = rank, size
        self.messages: SimpleQueue[dict[str, Any]] = SimpleQueue()
        self._stop: StopRequest | None = None
        self._lost: PeerLost | None = None
        self._known, self._left, self._alone = (threading.Event() for _ in range(3))
        self._links, self._sending = dict(links), threading.Lock()
        self._said_goodbye: set[int] = set()
        for link in self._links.values():
            link.settimeout(None)
            _keep_alive(link)
        threading.Thread(target=self._listen, daemon=True).start()

    def reason(self, error: Exception) -> TrainingError:
        """Why something that all processes do together failed, in a sentence."""
        if self._known.wait(GRACE / 4) and self._lost:
            return self._lost
        return PeerLost(f"The processes lost each other ({in_short(error)}). {_UNHARMED}")

    def send(self, **message: Any) -> None:
        """Send plain values to the others that this process is connected with."""
        for rank in list(self._links):
            self._send(rank, message)

    @contextmanager
    def stopping(self, stop: StopRequest) -> Iterator[None]:
        """Let others set this request, too."""
        self._stop = stop
        try:
            yield
        finally:
            self._stop = None

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Interrupt what runs within when another process is gone, and tell others how it ended.

        Raises PeerLost. Of an error that another process says in full, `told` is set.
        """
        main = threading.current_thread() is threading.main_thread()
        before = None
        if main and hasattr(signal, "SIGUSR1"):
            before = signal.signal(signal.SIGUSR1, self._interrupted)
        try:
            yield
        except BaseException as error:
            self._leave(error)
            raise
        else:
            self._leave(None)
        finally:
            if before is not None:
                signal.signal(signal.SIGUSR1, before)

    def _leave(self, error: BaseException | None) -> None:
        self._left.set()
        if isinstance(error, PeerLost):
            pass  # whoever told it has told all
        elif error is None or isinstance(error, Interrupted):
            if error:
                self.send(kind="stop")
            self.send(kind="bye")
            if self.rank == 0:
                self._alone.wait(STOPPING)
        else:
            self.send(kind="failed", said=_in_words(error))
        for link in list(self._links.values()):
            with suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)
        if isinstance(error, HilumError) and not isinstance(error, PeerLost):
            error.told = self.rank > 0

    def _listen(self) -> None:
        """What the thread does: read what comes, until no connection is left."""
        waiting, buffers = selectors.DefaultSelector(), dict.fromkeys(self._links, b"")
        for rank, link in self._links.items():
            waiting.register(link, selectors.EVENT_READ, rank)
        while self._links:
            for key, _ in waiting.select():
                rank = key.data
                try:
                    data = self._links[rank].recv(1 << 16)
                except OSError:
                    data = b""
                *lines, buffers[rank] = (buffers[rank] + data).split(b"\n")
                for line in lines:
                    self._take(rank, json.loads(line))
                if data:
                    continue
                waiting.unregister(self._links[rank])
                self._links.pop(rank).close()
                if rank not in self._said_goodbye:
                    who = "first process" if rank == 0 else f"process of rank {rank}"
                    self._lose(f"The {who} of {self.size} is gone. {_UNHARMED}", told=False)
        self._alone.set()

    def _take(self, rank: int, message: dict[str, Any]) -> None:
        """Act on a message."""
        kind = message.get("kind")
        if kind == "bye":
            self._said_goodbye.add(rank)
        elif kind == "stop":
            if self._stop:
                self._stop.requested = True
        elif kind == "failed":
            if self.rank == 0:
                self._left.wait(_ITS_OWN)  # where all fail alike, each says it by itself
            said = message["said"] if rank == 0 else f"Rank {rank}: {message['said']}"
            self._lose(said, told=self.rank > 0)
        else:
            self.messages.put({**message, "rank": rank})

    def _lose(self, said: str, *, told: bool) -> None:
        """Note that a process is gone, pass it on, and end what this one does."""
        if self._lost or self._left.is_set():
            return
        self._lost = PeerLost(said)
        self._lost.told = told
        self._known.set()
        if self.rank == 0:
            self.send(kind="failed", said=said)
        if hasattr(signal, "SIGUSR1"):
            with suppress(ProcessLookupError, ValueError):
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)
        threading.Thread(target=self._end, daemon=True).start()

    def _interrupted(self, number: int, frame: FrameType | None) -> None:
        if self._lost and not self._left.is_set():
            raise self._lost

    def _end(self) -> None:
        """End this process where it waits for a dead one below Python, and nothing reaches it."""
        if self._left.wait(GRACE):
            return
        if self._lost and not self._lost.told:
            logging.getLogger(__name__).error("%s", self._lost)
        os._exit(2)

    def _send(self, rank: int, message: Mapping[str, Any]) -> None:
        with self._sending, suppress(OSError, KeyError):  # gone: the thread will see it
            self._links[rank].sendall(json.dumps(message).encode() + b"\n")


def _keep_alive(link: socket.socket) -> None:
    """Have the system notice within seconds that a machine at the other end is gone."""
    link.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _ALIVE.items():
        if hasattr(socket, name):
            link.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _in_words(error: BaseException) -> str:
    if isinstance(error, HilumError):
        return str(error)
    return f"{in_short(error) if isinstance(error, Exception) else type(error).__name__}."
