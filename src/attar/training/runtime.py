"""Precision and memory of a training."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

# glibc's parameters of mallopt (malloc.h), and the largest block that its heap may serve.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
LARGEST_BLOCK = 2**25


@contextmanager
def memory_kept() -> Iterator[None]:
    """Let the process keep freed memory, and return it to the system at the end (glibc only).

    By default glibc returns each large block to the system, which clears its pages when they are
    allocated again: half of the time of a step with many samples of each code.
    """
    if sys.platform != "linux" or not hasattr(libc := ctypes.CDLL(None), "mallopt"):
        yield
        return
    libc.mallopt(M_MMAP_THRESHOLD, LARGEST_BLOCK)
    libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
    try:
        yield
    finally:
        # glibc's own choice once a block of this size has been freed.
        libc.mallopt(M_TRIM_THRESHOLD, 2 * LARGEST_BLOCK)
        libc.malloc_trim(0)


# Multiplications of a step's forward pass, from which bfloat16 is faster on a CPU in spite of the
# conversions.
HALF_PRECISION_FROM = 2**24


def half_precision_pays(device: torch.device, work: Callable[[], int]) -> tuple[bool, str]:
    """Return whether networks train faster in bfloat16 on a device, and why.

    On a GPU always; on a CPU with instructions for bfloat16, where steps are large.

    Parameters
    ----------
    device : torch.device
    work : callable
        Returns the multiplications of a step's forward pass.
    """
    if device.type == "cuda":
        return True, "faster on a GPU"
    if device.type != "cpu" or not cpu_multiplies_bfloat16():
        return False, "bfloat16 is not faster on this device"
    large = work() >= HALF_PRECISION_FROM
    return large, "faster in large steps" if large else "faster in small steps"


def cpu_multiplies_bfloat16() -> bool:
    """Return whether this CPU has instructions for products of bfloat16."""
    if not hasattr(torch.cpu, "get_capabilities"):  # of later versions of torch
        return False
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name, False) for name in ("avx512_bf16", "amx_bf16"))
