"""Memory that one step frees and the next one wants."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# Names of the C library's settings (malloc.h), and the largest block that it lets its heap serve.
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
LARGEST = 2**25


@contextmanager
def memory_kept() -> Iterator[None]:
    """Let the process keep what steps free, and give it back at the end, where glibc is in use.

    By itself glibc returns every large tensor to the system, which clears it page by page when it
    is asked for again: half of the time of a step with many draws of each code.
    """
    if sys.platform != "linux" or not hasattr(libc := ctypes.CDLL(None), "mallopt"):
        yield
        return
    libc.mallopt(MMAP_THRESHOLD, LARGEST)
    libc.mallopt(TRIM_THRESHOLD, 2**31 - 1)
    try:
        yield
    finally:
        # What glibc comes to by itself, once a block of that size has been freed.
        libc.mallopt(TRIM_THRESHOLD, 2 * LARGEST)
        libc.malloc_trim(0)
