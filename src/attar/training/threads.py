"""How many threads a step deserves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

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
