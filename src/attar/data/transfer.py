"""From memory to a device, while the device computes."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import torch
from torch import Tensor

# Batches on their way to a GPU, or in use there.
IN_FLIGHT = 4


def transferred(tensors: Iterator[Tensor], device: torch.device) -> Iterator[Tensor]:
    """Yield tensors on a device; a GPU receives the next ones while it uses the last.

    They are copied from page-locked memory by a stream of their own. No more than a few are on the
    GPU, however far its work is behind.

    Examples
    --------
    >>> [x.tolist() for x in transferred(iter(torch.eye(2)), torch.device("cpu"))]
    [[1.0, 0.0], [0.0, 1.0]]
    """
    if device.type != "cuda":
        yield from (tensor.to(device) for tensor in tensors)
        return
    stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    copied = deque[tuple[Tensor, torch.cuda.Event]]()
    used = deque[torch.cuda.Event]()
    for tensor in tensors:
        with torch.cuda.stream(stream):
            copied.append(
                (tensor.pin_memory().to(device, non_blocking=True), stream.record_event())
            )
        if len(copied) < IN_FLIGHT:
            continue
        yield from _received(copied, used, device)
        if len(used) == IN_FLIGHT:
            used.popleft().synchronize()
    while copied:
        yield from _received(copied, used, device)


def _received(
    copied: deque[tuple[Tensor, torch.cuda.Event]],
    used: deque[torch.cuda.Event],
    device: torch.device,
) -> Iterator[Tensor]:
    """Yield the first tensor once it is there, and note when it has been used."""
    tensor, there = copied.popleft()
    computing = torch.cuda.current_stream(device)
    computing.wait_event(there)
    yield tensor
    tensor.record_stream(computing)  # its memory is not given to a copy before
    used.append(computing.record_event())
