"""Streamed batches: shuffled by a buffer, and read ahead while the step runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from queue import Full, Queue
from threading import Event, Thread
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from attar.data.batches import HIDDEN, Batches, with_gaps
from attar.data.preparation import Preparation
from attar.data.stream import Stream
from attar.records import Batch

T = TypeVar("T")

# The buffer holds at most this many rows, and this many numbers.
BUFFER_ROWS, BUFFER_CELLS = 1 << 16, 1 << 24


@dataclass(frozen=True)
class Streamed(Batches):
    """The rows of a stream, but for those held out, in batches of almost equal size.

    Parameters
    ----------
    stream : Stream
    preparation : Preparation
    apart : int array
        The numbers of the rows that are held out, ascending.
    rows : int
        How many rows remain.
    size : int
    device : torch.device
    gaps : bool
        Whether cells are missing.
    """

    stream: Stream
    preparation: Preparation
    apart: NDArray[np.intp]
    rows: int
    size: int
    device: torch.device
    gaps: bool

    def shuffled(self) -> Iterator[Batch]:
        """Yield each row once, in an order drawn from torch's own generator.

        A row changes its place by as many rows as the buffer holds, more or less: a file whose
        rows are sorted should be shuffled once, before.
        """
        size, prepare = -(-self.rows // len(self)), self.preparation.kind.expand
        for values in _cut(_shuffled(read_ahead(self._scaled)), size):
            cells = values.to(self.device)
            if self.gaps:
                yield with_gaps(cells, prepare, HIDDEN)
            else:
                prepared = prepare(cells)
                yield Batch(prepared, prepared)

    def _scaled(self) -> Iterator[Tensor]:
        start = 0
        for piece in self.stream:
            rows = self.preparation.kind.rows(piece)
            first, last = np.searchsorted(self.apart, [start, start + len(rows)])
            learnt = np.delete(rows, self.apart[first:last] - start, axis=0)
            start += len(rows)
            yield self.preparation.scaled(learnt)


def _shuffled(pieces: Iterator[Tensor]) -> Iterator[Tensor]:
    """Yield rows in pieces: each row that comes takes the place of a random one in the buffer."""
    buffer: list[Tensor] = []
    pool = torch.empty(0)
    for piece in pieces:
        capacity = max(1, min(BUFFER_ROWS, BUFFER_CELLS // max(1, piece[0:1].numel())))
        if not len(pool):
            buffer.append(piece)
            if sum(map(len, buffer)) >= capacity:
                pool = torch.cat(buffer)
                buffer.clear()
            continue
        for part in torch.split(piece, len(pool)):
            places = torch.randperm(len(pool))[: len(part)]
            leaving = pool[places]
            pool[places] = part
            yield leaving
    rest = torch.cat([pool, *buffer]) if buffer else pool
    yield rest[torch.randperm(len(rest))]


def _cut(pieces: Iterator[Tensor], size: int) -> Iterator[Tensor]:
    """Yield rows in batches of one size; the last may be smaller."""
    left: list[Tensor] = []
    known = 0
    for piece in pieces:
        left.append(piece)
        known += len(piece)
        if known < size:
            continue
        *batches, rest = torch.split(torch.cat(left), size)
        if len(rest) == size:
            batches.append(rest)
            rest = rest[:0]
        yield from batches
        left, known = [rest], len(rest)
    if known:
        yield torch.cat(left)


def read_ahead(read: Callable[[], Iterator[T]], ahead: int = 2) -> Iterator[T]:
    """Yield what ``read()`` yields, made by a thread of its own a little ahead."""
    ready: Queue[tuple[T | None, BaseException | None]] = Queue(ahead)
    over = Event()

    def offer(item: tuple[T | None, BaseException | None]) -> None:
        while not over.is_set():
            with suppress(Full):
                ready.put(item, timeout=0.1)
                break

    def work() -> None:
        try:
            for item in read():
                offer((item, None))
                if over.is_set():
                    return
            offer((None, StopIteration()))
        except BaseException as error:
            offer((None, error))

    thread = Thread(target=work, daemon=True)
    thread.start()
    try:
        while True:
            item, error = ready.get()
            if isinstance(error, StopIteration):
                return
            if error is not None:
                raise error
            yield item  # type: ignore[misc]
    finally:
        over.set()
        thread.join()
