"""Has tests/warm.py fork a process, gives it its own files, and ends as it ends.

Usage: python -IS warm_start.py FOLDER ARGUMENT…, where FOLDER holds the socket.
"""

import json
import os
import signal
import socket
import sys


def opened() -> list[int]:
    """The numbers of the files that this process was given."""
    found = []
    for name in os.listdir("/dev/fd"):  # noqa: PTH208
        try:
            os.fstat(int(name))
            found.append(int(name))
        except OSError:  # what listed them
            pass
    return sorted(found)


def main() -> int:
    files, here = opened(), os.getcwd()  # noqa: PTH109 (pathlib takes long to import)
    connection = socket.socket(socket.AF_UNIX)
    os.chdir(sys.argv[1])
    connection.connect("socket")
    request = json.dumps(
        {"arguments": sys.argv[2:], "environment": dict(os.environ), "folder": here, "files": files}
    ).encode()
    socket.send_fds(connection, [f"{len(request):10}".encode()], files)
    connection.sendall(request)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for file in files:  # that they count as closed when the process ends
        os.dup2(nowhere, file) if file < 3 else os.close(file)
    answer = connection.makefile()
    pid = int(answer.readline())
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: os.kill(pid, number))
    return int(answer.readline())


if __name__ == "__main__":
    code = main()
    if code < 0:
        if -code != signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)
