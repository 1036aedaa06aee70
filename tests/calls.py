"""Counting calls: how far a program is, or how much it does, without looking at a clock."""

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any


def on_calls(act: Callable[[], object], of: str = "") -> Callable[[], None]:
    """Act before every call that this thread makes from now on; gives back how to stop it.

    Calls of Python and of C functions count, where the file that holds the callee's code, or for
    C functions the caller's, has ``of`` in its path.
    """
    before = sys.getprofile()

    def watch(frame: FrameType, event: str, _: Any) -> None:
        if event in ("call", "c_call") and of in frame.f_code.co_filename:
            act()

    sys.setprofile(watch)
    return lambda: sys.setprofile(before)


def count_calls(run: Callable[[], object], of: str = "") -> int:
    """How many calls ``run()`` makes in this thread; see ``on_calls``."""
    calls = 0

    def count() -> None:
        nonlocal calls
        calls += 1

    stop = on_calls(count, of)
    try:
        run()
    finally:
        stop()
    return calls
