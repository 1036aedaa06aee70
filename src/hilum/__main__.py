"""``hilum`` and ``python -m hilum``: the command line as a process of its own."""

import atexit
import contextlib
import os
import signal
import sys
from types import FrameType

__all__ = ["main"]  # what is installed as `hilum`

_INTERRUPTED = 130


def main() -> None:
    """Run the command line, and end the process, however often Ctrl-C is pressed.

    Python would show a traceback where it is interrupted while it loads. While it ends, it would
    die without an exit code, or wait for threads whose work nobody wants any more.
    """
    code = _INTERRUPTED
    pressed = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        pressed.append(number)
        raise KeyboardInterrupt

    heard = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # not with nohup, or &
    if heard:
        signal.signal(signal.SIGINT, interrupt)
        atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)  # first, so it runs last
    try:
        from hilum.cli import main as begin

        begin(lambda: bool(pressed))
    except SystemExit as end:
        code = int(end.code or 0)
    except KeyboardInterrupt:
        from hilum import console

        console.refuse("Interrupted.")
    if heard:
        signal.signal(signal.SIGINT, lambda *_: os._exit(code))
    if code == _INTERRUPTED:
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError):
                stream.flush()
        os._exit(code)
    sys.exit(code)


if __name__ == "__main__":
    main()
