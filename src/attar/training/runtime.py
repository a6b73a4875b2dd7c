"""Precision, threads and memory of a training."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch

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


# Multiplications in a step's forward pass, from which a processor gains more than it loses by
# changing numbers from one precision to the other.
LARGE = 2**24


def half_pays(device: torch.device, batch_size: int, weights: int) -> bool:
    """Return whether networks of so many weights learn faster in bfloat16 on this device.

    A GPU's always do; a processor's, where it multiplies such numbers itself and steps are large.
    """
    if device.type == "cuda":
        return True
    return device.type == "cpu" and batch_size * weights >= LARGE and processor_halves()


def processor_halves() -> bool:
    """Return whether this processor multiplies bfloat16 faster than single precision."""
    if not hasattr(torch.cpu, "get_capabilities"):  # of later versions of torch
        return False
    capable = torch.cpu.get_capabilities()
    return any(capable.get(unit, False) for unit in ("avx512_bf16", "amx_bf16"))


# Multiplications in a step's forward pass, below which a second thread brings nothing.
ALONE = 2**22


@contextmanager
def threads_for(batch_size: int, weights: int) -> Iterator[None]:
    """Let one thread do steps that are too small to share, and give the others back at the end.

    Threads that wait for each other at every small product are no faster on a quiet machine, and
    many times slower on a busy one.
    """
    before = torch.get_num_threads()
    if batch_size * weights < ALONE:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
