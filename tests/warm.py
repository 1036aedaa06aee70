"""Python processes that need not import: forked from one that has what takes long to import.

A process that trains imports for several seconds of computing before its first step. Where a test
is about what a process does, and not about how it starts, it runs the program that the fixture
``python`` names: it takes what Python takes (-m, -c or a script, and their arguments) and is to its
parent as Python is, with its files, signals and exit code, because tests/warm_start.py, which it
runs, hands them on.

Usage of this module: python -m tests.warm FD, a listening socket; it ends when its stdin does.
"""

import atexit
import fcntl
import gc
import importlib
import json
import multiprocessing
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
import traceback
import types
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


@contextmanager
def warm_python(folder: Path) -> Iterator[Path]:
    """A program in an empty folder that stands for Python, while the context lasts."""
    with socket.socket(socket.AF_UNIX) as listening:
        here = Path.cwd()
        os.chdir(folder)  # a socket's path may take some hundred bytes only
        listening.bind("socket")
        os.chdir(here)
        listening.listen()
        program = folder / "python"
        start = Path(__file__).with_name("warm_start.py")
        program.write_text(f"#!/bin/sh\nexec '{sys.executable}' -IS '{start}' '{folder}' \"$@\"\n")
        program.chmod(0o755)
        server = subprocess.Popen(
            [sys.executable, "-m", __name__, str(listening.fileno()), str(program)],
            stdin=subprocess.PIPE, cwd=ROOT, pass_fds=[listening.fileno()],
        )  # fmt: skip
    yield program
    assert server.stdin
    server.stdin.close()
    assert server.wait() == 0


#: What most of the processes need, but for what starts threads, which a fork would lose.
_USUAL = (
    "captum.attr", "fastapi", "hilum.evaluation.evaluate", "hilum.studies.runner",
    "hilum.training.run", "matplotlib.figure", "optuna", "scipy.stats", "uvicorn",
)  # fmt: skip


def _import() -> None:
    import torch

    gc.disable()
    for name in _USUAL:
        importlib.import_module(name)
    torch.optim.SGD([torch.zeros(1)], lr=0.1)  # the first optimiser imports PyTorch's compiler
    gc.freeze()  # a collection in a fork would copy every page
    gc.enable()
    threads = Path("/proc/self/task")
    assert not threads.is_dir() or len(list(threads.iterdir())) == 1


def _await_request(listening: socket.socket) -> dict[str, Any]:
    """Fork a process for every request; returns in these only, with the request."""
    children: dict[int, socket.socket] = {}
    wake, woken = socket.socketpair()
    woken.setblocking(False)
    signal.set_wakeup_fd(woken.fileno())
    signal.signal(signal.SIGCHLD, lambda *_: None)
    while True:
        waited: list[Any] = [0, listening, wake, *children.values()]
        ready, _, _ = select.select(waited, [], [])
        if wake in ready:
            wake.recv(1024)
            _tell_ends(children)
        for pid, client in list(children.items()):
            if client in ready:  # who waited was killed
                os.kill(pid, signal.SIGKILL)
                del children[pid]
        if listening in ready:
            client, _ = listening.accept()
            request = _read(client)
            pid = os.fork()
            if pid == 0:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                for own in (listening, wake, woken, client, *children.values()):
                    own.close()
                return request
            for file in request["given"]:
                os.close(file)
            client.sendall(f"{pid}\n".encode())
            children[pid] = client
        if 0 in ready:
            for pid in children:
                os.kill(pid, signal.SIGKILL)
            sys.exit()


def _tell_ends(children: dict[int, socket.socket]) -> None:
    """Reap what has ended, and tell those who wait for it the exit code."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        if client := children.pop(pid, None):
            client.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
            client.close()


def _read(client: socket.socket) -> dict[str, Any]:
    head, given, _, _ = socket.recv_fds(client, 10, 100)
    text = b""
    while len(text) < int(head):
        text += client.recv(int(head) - len(text))
    return {**json.loads(text), "given": given}


def _become(request: dict[str, Any]) -> None:
    """Take over files, folder and environment."""
    high = [fcntl.fcntl(file, fcntl.F_DUPFD, 500) for file in request["given"]]
    for file in request["given"]:
        os.close(file)
    for file, number in zip(high, request["files"], strict=True):
        os.dup2(file, number)
        os.close(file)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    lines = -1 if not os.isatty(1) else 1
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", lines, closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", 1, errors="backslashreplace", closefd=False)  # noqa: SIM115


def _live(arguments: list[str]) -> int:
    """Do what Python does with these arguments, to its end; returns the exit code."""
    try:
        _run(arguments)
        code: Any = 0
    except SystemExit as stop:
        code = stop.code or 0
        if not isinstance(code, int):
            sys.stderr.write(f"{code}\n")
            code = 1
    except BaseException as error:
        traceback.print_exception(error)
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for file in (sys.stdout, sys.stderr):
        with suppress(OSError):  # nobody reads it any more
            file.flush()
    return int(code)


def _run(arguments: list[str]) -> None:
    while (option := arguments.pop(0)).startswith("-") and option not in ("-c", "-m"):
        if option == "-W":
            assert arguments.pop(0) == "error", "no other filter was needed so far"
            warnings.simplefilter("error")
    if option == "-c":
        sys.argv = [option, *arguments[1:]]
        sys.path[0] = ""
        main = sys.modules["__main__"] = types.ModuleType("__main__")
        exec(compile(arguments[0], "<string>", "exec"), main.__dict__)
    elif option == "-m":
        sys.argv = arguments
        sys.path[0] = str(Path.cwd())
        runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
    else:
        sys.argv = [option, *arguments]
        sys.path[0] = str(Path(option).parent)
        runpy.run_path(option, run_name="__main__")


if __name__ == "__main__":
    multiprocessing.set_executable(sys.argv[2])  # of the processes that processes start
    _import()
    with socket.socket(fileno=int(sys.argv[1])) as listening:
        request = _await_request(listening)
    _become(request)
    os._exit(_live(request["arguments"]))  # taking so many objects apart would take seconds
