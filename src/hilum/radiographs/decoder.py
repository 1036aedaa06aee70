"""The processes that decode what others send. Started by ``decoding``, which says why.

A nursery imports the readers once and forks workers, each of which decodes one file after the
other. It has a single thread, so forking it is safe, and takes some milliseconds. What is sent
back is JSON and raw pixels, so that nothing that a file made of a worker is unpickled.
"""

import io
import json
import os
import resource
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path
from select import select
from typing import IO, Any, Final, NoReturn

from hilum.errors import DataError
from hilum.radiographs.image import Picture, open_size, read_open_picture, typed_errors

FORK: Final = b"f"
END: Final = b"e"
#: What is used only once a file needs it, and then costs every new worker half a second.
_READERS: Final = ("pydicom.encaps", "pydicom.pixels.decoders.base", "PIL.Jpeg2KImagePlugin")
#: Where the kernel bounds the address space of a process. Elsewhere its memory is watched.
BOUNDED: Final = sys.platform == "linux"
_WATCH_SECONDS: Final = 0.1


def main(number: int, watched: int) -> None:
    """The nursery. number: of the socket over which it is asked. watched: MiB, 0 for no watch."""
    with suppress(OSError):  # where memory ends, a decoder is what to end, not the server
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    for name in _READERS:
        import_module(name)
    # No picture gets into a core or any other file, and nothing that a library prints into a log.
    for kind in (resource.RLIMIT_CORE, resource.RLIMIT_FSIZE):
        resource.setrlimit(kind, (0, 0))
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in range(3):
        os.dup2(nothing, standard)
    with socket.socket(fileno=number) as asked:
        _tend(asked, watched << 10)


def _tend(asked: socket.socket, watched_kib: int) -> None:
    """Fork and end workers as asked, until nobody asks any more; then end them all."""
    living: set[int] = set()
    try:
        while True:
            if watched_kib and not select([asked], [], [], _WATCH_SECONDS)[0]:
                _end_large(living, watched_kib)
                continue
            message, channels, *_ = socket.recv_fds(asked, 64, 1)
            if not message:
                return
            value = int(message[1:])
            if message[:1] == FORK:
                pid = os.fork()
                if pid == 0:
                    asked.close()
                    _work(channels[0], value)
                os.close(channels[0])
                living.add(pid)
                asked.sendall(b"%d\n" % pid)
            else:
                # Only here is it waited for, so its number is not another process's yet.
                os.kill(value, signal.SIGKILL)
                status = os.waitpid(value, 0)[1]
                living.discard(value)
                asked.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))
    finally:
        for pid in living:
            os.kill(pid, signal.SIGKILL)


def _end_large(pids: set[int], most_kib: int) -> None:
    if not pids:
        return
    command = ["ps", "-o", "pid=,rss=", "-p", ",".join(map(str, pids))]
    listed = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    for line in listed.splitlines():
        pid, kib = map(int, line.split())
        if kib > most_kib:
            os.kill(pid, signal.SIGKILL)


def _work(number: int, nice: int) -> NoReturn:
    """A worker: answers until its channel is closed."""
    with suppress(EOFError, ConnectionError), Connection(number) as channel:
        os.nice(nice)
        own = _address_space()
        while True:
            _answer(channel, json.loads(channel.recv_bytes()), own)
    os._exit(0)


def _answer(channel: Connection, asked: dict[str, Any], own: int) -> None:
    """Decode one file: say what it takes, wait to be told how much it gets, and send pixels.

    The kernel ends the process when its time is over, whatever a decoder does: by the clock, and
    in the quick lane by what it computes.
    """
    path = Path(asked["path"])
    picture: Picture | None = None
    _let_grow(own, asked["header_bytes"] + asked["size"])
    data = channel.recv_bytes()
    _arm(asked["seconds"], asked["patience"])
    try:
        with typed_errors(path), _opened(path, data if asked["sent"] else None) as file:
            try:
                pixels = _pixels(file, path, asked["pixels"])
                left = _arm(0, 0)  # others may have to finish first
                channel.send_bytes(json.dumps({"pixels": pixels}).encode())
                if not (granted := int(channel.recv_bytes())):
                    return
                _let_grow(own, granted + asked["size"])
                _arm(*left)
                file.seek(0)
                picture = read_open_picture(
                    file, path, colour=asked["colour"], study=asked["study"]
                )
                said: dict[str, Any] = {
                    "shape": picture.pixels.shape,
                    "coloured": picture.coloured,
                    "study": picture.study,
                    "facts": asdict(picture.facts) if picture.facts else None,
                }
            except MemoryError:
                said = {"memory": True}
    except DataError as error:
        said = {"refusal": str(error)}
    _arm(0, 0)
    channel.send_bytes(json.dumps(said).encode())
    if picture is not None:
        channel.send_bytes(
            picture.pixels.reshape(-1).data
        )  # of one dimension: it sends len() bytes


def _arm(seconds: float, computing: float) -> tuple[float, float]:
    """Let the kernel end this process after so long; 0 never. What was left before."""
    return (
        signal.setitimer(signal.ITIMER_REAL, seconds)[0],
        signal.setitimer(signal.ITIMER_PROF, computing)[0],
    )


def _pixels(file: IO[bytes], path: Path, most: int) -> int:
    """How many there are. Raises DataError for more than there may be."""
    width, height = open_size(file, path)
    if width * height > most:
        raise DataError(f"{path}: {width} x {height} pixels are too many (at most {most:,}).")
    return width * height


def _opened(path: Path, data: bytes | None) -> IO[bytes]:
    return path.open("rb") if data is None else io.BytesIO(data)


def _let_grow(own: int, more: int) -> None:
    if BOUNDED:
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        resource.setrlimit(resource.RLIMIT_AS, (own + more, hard))


def _address_space() -> int:
    """Bytes of this process's address space; 0 where that is not bounded."""
    if not BOUNDED:
        return 0
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[0]
    return int(pages) * resource.getpagesize()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
