"""Memory stays with the process from step to step, and goes back at the end."""

import ctypes
import resource
import sys

import numpy as np
import pytest

from attar.training.runtime import memory_kept

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "mallopt"), reason="glibc only"
)

SIZE = 2**24


def page_faults(times):
    """Return how many pages the system had to hand out for so many large arrays, one by one."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(times):
        np.ones(SIZE, np.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def resident():
    """Return the bytes that the process holds."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def test_what_was_freed_is_used_again():
    with memory_kept():
        page_faults(1)
        assert page_faults(20) < SIZE / resource.getpagesize()


def test_it_goes_back_at_the_end_and_after_an_error():
    held = []

    def broken():
        with memory_kept():
            page_faults(1)
            held.append(resident())
            raise KeyError

    with pytest.raises(KeyError):
        broken()
    assert resident() < held[0] - SIZE / 2
