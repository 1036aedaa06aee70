"""How this process gets its memory; must be decided before PyTorch first allocates."""

import ctypes
import os
import sys


def keep_freed_memory() -> None:
    """Let this process keep the memory it frees, instead of handing it back at every step.

    Convolution layers allocate and free tens of megabytes per layer and step. By default glibc
    takes each from the kernel anew, and clearing the pages costs more than the arithmetic (see
    benchmarks/bench_training.py). For the process that owns itself: the command line calls it,
    the library never does. No effect where the C library is not glibc.
    """
    # read by PyTorch at its first allocation: ask for 2 MB pages
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        m_trim_threshold, m_mmap_max = -1, -4  # from malloc.h
        mallopt(m_mmap_max, 0)
        mallopt(m_trim_threshold, 2**31 - 1)
