"""The rows of a fit: in memory or streamed, training and validation."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from math import prod
from queue import Full, Queue
from threading import Event, Thread
from typing import Any, Self, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from attar.data.batches import HIDDEN, Batches, Conditioned, Selection, with_missing
from attar.data.kind import Kind, Rows
from attar.data.preparation import Preparation
from attar.data.stream import Stream, pieces
from attar.data.summary import Summary
from attar.errors import DataError
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
    validation : int array
        The numbers of the rows that are held out, ascending.
    rows : int
        How many rows remain.
    size : int
    device : torch.device
    missing : bool
        Whether cells are missing.
    """

    stream: Stream
    preparation: Preparation
    validation: NDArray[np.intp]
    rows: int
    size: int
    device: torch.device
    missing: bool

    def shuffled(self) -> Iterator[Batch]:
        """Yield each row once, in an order drawn from torch's own generator.

        A row changes its place by as many rows as the buffer holds, more or less: a file whose
        rows are sorted should be shuffled once, before.
        """
        size, prepare = -(-self.rows // len(self)), self.preparation.kind.expand
        for values in _cut(_shuffled(read_ahead(self._scaled)), size):
            cells = values.to(self.device)
            if self.missing:
                yield with_missing(cells, prepare, HIDDEN)
            else:
                prepared = prepare(cells)
                yield Batch(prepared, prepared)

    def _scaled(self) -> Iterator[Tensor]:
        start = 0
        for piece in self.stream:
            rows = self.preparation.kind.rows(piece)
            first, last = np.searchsorted(self.validation, [start, start + len(rows)])
            train = np.delete(rows, self.validation[first:last] - start, axis=0)
            start += len(rows)
            yield self.preparation.scaled(train)


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


# How many rows, and cells of them, a look at the data takes at most.
MOST_ROWS, MOST_CELLS = 16384, 1 << 24
FEWEST_ROWS = 128

# A stream of fewer bytes is read into memory.
HELD = 1 << 28


class TrainingData(ABC):
    """The rows of a fit."""

    @property
    @abstractmethod
    def train(self) -> Rows:
        """Some of the raw rows that are learnt from: (m, *cells)."""

    @property
    @abstractmethod
    def validation(self) -> Rows:
        """Some of the raw rows that are held out: (m, *cells)."""

    @property
    @abstractmethod
    def numbers(self) -> NDArray[np.intp]:
        """Which rows of the data ``train`` are: (m,)."""

    @property
    def train_condition(self) -> Tensor | None:
        """The conditions of the rows ``train``, where there are conditions."""
        return None

    @property
    def validation_condition(self) -> Tensor | None:
        """The conditions of the rows ``validation``, where there are conditions."""
        return None

    @abstractmethod
    def batches(self, preparation: Preparation, size: int, device: torch.device) -> Batches:
        """Return the rows to learn from, in batches."""

    @abstractmethod
    def digest(self) -> bytes:
        """Return what tells these rows from others."""


@dataclass(frozen=True)
class InMemory(TrainingData):
    """Rows held in memory.

    Parameters
    ----------
    rows : rows (n, *cells)
    train_index, validation_index : int array
        The numbers of the rows to learn from, and of those to hold out.
    condition : Tensor (n, c) or None
        What is told of each row besides.
    """

    rows: Rows
    train_index: NDArray[np.intp]
    validation_index: NDArray[np.intp]
    condition: Tensor | None = None

    @classmethod
    def of(
        cls,
        rows: Rows,
        fraction: float,
        seed: int,
        overlap: int = 0,
        condition: Tensor | None = None,
    ) -> Self:
        """Return rows of which a share, drawn by chance, is held out.

        Where each row overlaps with the next ones, whole runs of rows are held out, and what
        overlaps with them is not learnt from.
        """
        numbers = np.arange(rows.shape[0])
        if overlap:
            return cls(rows, *split_runs(numbers, fraction, seed, overlap), condition)
        return cls(rows, *split(numbers, fraction, seed), condition)

    @property
    def train(self) -> Rows:
        """Some rows that are learnt from."""
        return self.rows[self.train_index[: most_rows(self.rows)]]

    @property
    def numbers(self) -> NDArray[np.intp]:
        """Which rows of the data ``train`` are."""
        return self.train_index[: most_rows(self.rows)]

    @property
    def validation(self) -> Rows:
        """Some rows that are held out."""
        return self.rows[self.validation_index[: most_rows(self.rows)]]

    @property
    def train_condition(self) -> Tensor | None:
        """The conditions of the rows ``train``."""
        return (
            None
            if self.condition is None
            else self.condition[self.train_index[: most_rows(self.rows)]]
        )

    @property
    def validation_condition(self) -> Tensor | None:
        """The conditions of the rows ``validation``."""
        return (
            None
            if self.condition is None
            else self.condition[self.validation_index[: most_rows(self.rows)]]
        )

    def batches(self, preparation: Preparation, size: int, device: torch.device) -> Batches:
        """Return the rows to learn from, held on the device."""
        held = preparation.hold(self.rows, device, HIDDEN)
        if self.condition is not None:
            held = Conditioned(held, self.condition.to(device))
        return Selection(held, torch.from_numpy(self.train_index).to(device), size)

    def digest(self) -> bytes:
        """Return a digest of all values."""
        arrays = (self.rows,) if isinstance(self.rows, np.ndarray) else parts_of(self.rows)
        digest = hashlib.sha256()
        for array in arrays:
            digest.update(np.ascontiguousarray(array).data)
        if self.condition is not None:
            digest.update(self.condition.numpy().data)
        return digest.digest()


@dataclass(frozen=True)
class FromStream(TrainingData):
    """Rows that come by in a stream; those held out are of the summary's sample.

    Parameters
    ----------
    stream : Stream
    summary : Summary
    train_index, validation_index : int array
        The places in the sample of rows to learn from, and of those to hold out.
    """

    stream: Stream
    summary: Summary
    train_index: NDArray[np.intp]
    validation_index: NDArray[np.intp]

    @classmethod
    def of(cls, stream: Stream, summary: Summary, fraction: float, seed: int) -> Self:
        """Return a stream of which a share of the sampled rows is held out."""
        places = np.arange(len(summary.places))
        return cls(stream, summary, *split(places, fraction, seed))

    @property
    def train(self) -> Rows:
        """Some rows that are learnt from."""
        return self.summary.sample[self.train_index[: most_rows(self.summary.sample)]]

    @property
    def numbers(self) -> NDArray[np.intp]:
        """Which rows of the data ``train`` are."""
        return self.summary.places[self.train_index[: most_rows(self.summary.sample)]]

    @property
    def validation(self) -> Rows:
        """Some rows that are held out."""
        return self.summary.sample[self.validation_index[: most_rows(self.summary.sample)]]

    def batches(self, preparation: Preparation, size: int, device: torch.device) -> Batches:
        """Return the rows to learn from, read again for each epoch."""
        return Streamed(
            self.stream,
            preparation,
            np.sort(self.summary.places[self.validation_index]),
            self.summary.rows - len(self.validation_index),
            size,
            device,
            self.summary.missing,
        )

    def digest(self) -> bytes:
        """Return a digest of the stream's place, size and time, and of the sample."""
        digest = hashlib.sha256(self.stream.fingerprint.encode())
        digest.update(np.ascontiguousarray(self.summary.sample).data)
        return digest.digest()


def training_data_of(
    data: Any,
    kind: Kind,
    summary: Summary,
    fraction: float,
    seed: int,
    condition: Tensor | None = None,
) -> TrainingData:
    """Return the rows of data of a kind, of which a share is held out.

    Raises
    ------
    DataError
        If there are conditions for data that is too large for memory.
    """
    if isinstance(data, Stream) and (data.bytes is None or data.bytes > HELD):
        if condition is not None:
            raise DataError(
                "A condition needs data that fits into memory, but this is read as a stream: give "
                "a part of it."
            )
        return FromStream.of(data, summary, fraction, seed)
    rows = [kind.rows(piece) for piece in pieces(data)]
    whole = rows[0] if len(rows) == 1 else np.concatenate(rows)
    return InMemory.of(whole, fraction, seed, kind.overlap, condition)


def split(
    rows: NDArray[np.intp], fraction: float, seed: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return row numbers, shuffled: those to learn from, and those to hold out.

    None are held out where they would be fewer than five: so few say nothing.
    """
    n = len(rows)
    order = rows[np.random.default_rng(seed).permutation(n)]
    validation = min(round(fraction * n), n - 2)
    return (order[validation:], order[:validation]) if validation >= 5 else (order, order[:0])


def split_runs(
    rows: NDArray[np.intp], fraction: float, seed: int, overlap: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return row numbers, shuffled: those to learn from, and runs of them to hold out.

    Runs are ten times as long as rows overlap, so that little is lost between the two; where that
    leaves nothing to learn from or nothing to hold out, all are learnt from.
    """
    generator = np.random.default_rng(seed)
    runs = max(1, round(fraction * len(rows) / (10 * overlap)))
    length = round(fraction * len(rows) / runs)
    slots = len(rows) // max(1, length + 2 * overlap)
    validation = np.zeros(len(rows), bool)
    for slot in generator.permutation(slots)[:runs]:
        start = slot * (length + 2 * overlap) + overlap
        validation[start : start + length] = True
    near = np.convolve(validation, np.ones(2 * overlap + 1))[overlap : overlap + len(rows)] > 0
    train_index, validation_index = (
        generator.permutation(rows[~near]),
        generator.permutation(rows[validation]),
    )
    if len(train_index) < 2 or len(validation_index) < 5:
        return generator.permutation(rows), rows[:0]
    return train_index, validation_index


def most_rows(rows: Rows) -> int:
    """Return how many rows a look takes: fewer where they are wide, or would become dense."""
    if not isinstance(rows, np.ndarray):
        return FEWEST_ROWS
    return min(MOST_ROWS, max(FEWEST_ROWS, MOST_CELLS // max(1, prod(rows.shape[1:]))))


def parts_of(rows: Any) -> tuple[Rows, ...]:
    """Return the arrays that a sparse matrix consists of."""
    return rows.data, rows.indices, rows.indptr
