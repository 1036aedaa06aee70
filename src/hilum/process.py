"""How a process of our own gets memory and lets its threads wait: before PyTorch is imported."""

import ctypes
import os
import sys


def own_process() -> None:
    """Settle for this process what is faster where it does nothing but Hilum's work.

    For the process that owns itself: the command line calls it, the library never does. What the
    environment says of it already stays.

    Freed memory is kept instead of handed back at every step. Convolution layers allocate and free
    tens of megabytes per layer and step; by default glibc takes each from the kernel anew, and
    clearing the pages costs more than the arithmetic (see benchmarks/bench_training.py). No effect
    where the C library is not glibc.

    Threads that have to wait for each other sleep after fractions of a millisecond. GNU's OpenMP
    has them ask on and on for thirty times as long; where much else runs on the machine, they take
    the processor from the very thread that they wait for (docs/performance.md).
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "10000")  # read as PyTorch is imported
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")  # 2 MB pages; read at its first allocation
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        m_trim_threshold, m_mmap_max = -1, -4  # from malloc.h
        mallopt(m_mmap_max, 0)
        mallopt(m_trim_threshold, 2**31 - 1)
