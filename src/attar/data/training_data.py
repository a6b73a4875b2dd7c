"""The rows of a fit: in memory or streamed, training and validation."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from math import prod
from queue import Full, Queue
from threading import Event, Thread
from typing import Self, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor

from attar import workers
from attar.data.batches import Batches, Conditioned, Selection, with_missing
from attar.data.kind import Kind, Rows
from attar.data.preparation import DensePreparation, Preparation
from attar.data.stream import Stream, pieces
from attar.data.summary import Summary
from attar.data.transfer import transferred
from attar.errors import DataError
from attar.records import Batch

T = TypeVar("T")

# The most rows and cells of the shuffling buffer.
BUFFER_ROWS, BUFFER_CELLS = 1 << 16, 1 << 24


@dataclass(frozen=True)
class Streamed(Batches):
    """The training rows of a stream, in batches of almost equal size.

    Parameters
    ----------
    stream : Stream
    preparation : DensePreparation
    validation : int array
        The indices of the validation rows, ascending.
    total : int
        How many rows the stream has.
    size : int
    device : torch.device
    missing : bool
        Whether cells are missing.
    shares : tuple of int
        How many rows each worker reads, one share after the other; empty where each reads all of
        them, and keeps its own.
    """

    stream: Stream
    preparation: DensePreparation
    validation: NDArray[np.intp]
    total: int
    size: int
    device: torch.device
    missing: bool
    shares: tuple[int, ...] = ()

    @property
    def rows(self) -> int:
        """How many rows there are in all."""
        return self.total - len(self.validation)

    @property
    def own(self) -> int:
        """How many of them this worker has."""
        if not self.shares:
            return -(-(self.rows - workers.rank()) // workers.count())
        ends = np.cumsum(self.shares)[[workers.rank()]]
        ends = np.append(ends - self.shares[workers.rank()], ends)
        return int(np.diff(ends - np.searchsorted(self.validation, ends))[0])

    def drawn(self) -> Iterator[Tensor]:
        """Yield the scaled cells of each batch, in a random order that one global draw decides.

        A row moves by about as many places as the buffer holds rows: a file whose rows are sorted
        should be shuffled before.
        """
        sizes = np.diff(np.linspace(0, self.own, len(self) + 1).astype(int)).tolist()
        generator = torch.Generator().manual_seed(int(torch.randint(1 << 62, ())))
        rows = _shuffled(read_ahead(self._scaled), generator)
        return transferred(_cut(rows, sizes), self.device)

    def batch(self, rows: Tensor) -> Batch:
        """Return scaled cells as a batch, prepared."""
        kind = self.preparation.kind
        if self.missing:
            return with_missing(rows, kind.expand, kind.hidden, kind.leaders)
        prepared = kind.expand(rows)
        return Batch(prepared, prepared)

    def _scaled(self) -> Iterator[Tensor]:
        share = self.stream.share() if self.shares else None
        start = sum(self.shares[: workers.rank()])
        for piece in share or self.stream:
            rows = self.preparation.kind.rows(piece)
            first, last = np.searchsorted(self.validation, [start, start + len(rows)])
            train = np.delete(rows, self.validation[first:last] - start, axis=0)
            if share is None:
                train = train[(workers.rank() - start + first) % workers.count() :: workers.count()]
            start += len(rows)
            yield self.preparation.scaled(train)


def _shuffled(pieces: Iterator[Tensor], generator: torch.Generator) -> Iterator[Tensor]:
    """Yield rows in pieces: each new row replaces a random one of the buffer."""
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
            places = torch.randperm(len(pool), generator=generator)[: len(part)]
            drawn = pool[places]
            pool[places] = part
            yield drawn
    rest = torch.cat([pool, *buffer]) if buffer else pool
    yield rest[torch.randperm(len(rest), generator=generator)]


def _cut(pieces: Iterator[Tensor], sizes: list[int]) -> Iterator[Tensor]:
    """Yield rows in batches of these sizes."""
    left = torch.empty(0)
    for size in sizes:
        parts = [left]
        while sum(map(len, parts)) < size:
            parts.append(next(pieces))
        rows = torch.cat([part for part in parts if len(part)])
        left = rows[size:]
        yield rows[:size]


def read_ahead(read: Callable[[], Iterator[T]], ahead: int = 2) -> Iterator[T]:
    """Yield what ``read()`` yields, from a background thread that reads a little ahead."""
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


# How many rows, and cells of them, are read at most where a part of the data is enough.
MOST_ROWS, MOST_CELLS = 16384, 1 << 24
FEWEST_ROWS = 128

# Training rows that a model is measured on.
MEASURED_ROWS = 2048

# A stream is read into memory where neither it nor its raw rows take more bytes.
HELD = 1 << 28


@dataclass(frozen=True)
class FittedRows:
    """The rows of a fit that its model is judged by, and how to know the data of the fit again.

    Attributes
    ----------
    total : int
        How many rows the data had.
    places : int array (m,)
        The indices of some of them: validation rows, or a few training rows where there were none.
    held_out : bool
        Whether they are validation rows.
    digest : str
        SHA-256 of their values.
    """

    total: int
    places: NDArray[np.intp]
    held_out: bool
    digest: str

    def found_in(self, preparation: Preparation, data: object) -> Rows | None:
        """Return these raw rows of data, where it is that of the fit; else None."""
        ascending, start = np.sort(self.places), 0
        found = []
        for piece in preparation.kind.pieces(data):
            rows = preparation.kind.rows(piece)
            first, last = np.searchsorted(ascending, [start, start + rows.shape[0]])
            found.append(rows[ascending[first:last] - start])
            start += rows.shape[0]
        if start != self.total:
            return None
        rows = preparation.stacked(found)[np.argsort(np.argsort(self.places))]
        return rows if _digest(rows) == self.digest else None


def _digest(rows: Rows) -> str:
    """Return a digest of the values of rows, whatever the precision of their type."""
    digest = hashlib.sha256(repr(rows.shape).encode())
    for array in (rows,) if isinstance(rows, np.ndarray) else parts_of(rows):
        dtype = np.float64 if array.dtype.kind == "f" else array.dtype
        digest.update(np.ascontiguousarray(array, dtype).data)
    return digest.hexdigest()


@dataclass(frozen=True)
class TrainingData(ABC):
    """The rows of a fit.

    Parameters
    ----------
    rows : rows (n, *cells)
        All raw rows, or a sample of them.
    train_index, validation_index : int array
        The indices among ``rows`` of those for training and for validation.
    condition : Tensor (n, c) or None
        The condition of each row.
    """

    rows: Rows
    train_index: NDArray[np.intp]
    validation_index: NDArray[np.intp]
    condition: Tensor | None

    @property
    def train(self) -> Rows:
        """Some of the raw training rows: (m, *cells)."""
        return self.rows[self._first(self.train_index)]

    @property
    def validation(self) -> Rows:
        """Some of the raw validation rows: (m, *cells)."""
        return self.rows[self._first(self.validation_index)]

    @property
    def train_condition(self) -> Tensor | None:
        """The conditions of the rows ``train``, where there are conditions."""
        return None if self.condition is None else self.condition[self._first(self.train_index)]

    @property
    def validation_condition(self) -> Tensor | None:
        """The conditions of the rows ``validation``, where there are conditions."""
        index = self._first(self.validation_index)
        return None if self.condition is None else self.condition[index]

    @property
    @abstractmethod
    def total(self) -> int:
        """How many rows the data have."""

    @property
    def train_places(self) -> NDArray[np.intp]:
        """Which rows of the data ``train`` are: (m,)."""
        return self._places(self._first(self.train_index))

    @property
    def measured(self) -> FittedRows:
        """What the model is judged by: ``validation``, or some of ``train`` where there is none."""
        places = self._places(self._measured_index)
        held_out = len(self.validation_index) > 0
        return FittedRows(self.total, places, held_out, _digest(self.measured_rows))

    @property
    def measured_rows(self) -> Rows:
        """The raw rows that the model is judged by: (m, *cells)."""
        return self.rows[self._measured_index]

    @property
    def measured_condition(self) -> Tensor | None:
        """The conditions of the rows ``measured_rows``, where there are conditions."""
        return None if self.condition is None else self.condition[self._measured_index]

    def nested(self, fraction: float, seed: int, overlap: int) -> Self:
        """Return the training rows alone, divided into training and validation rows again.

        Parameters
        ----------
        fraction : float
        seed : int
        overlap : int
            With how many of the following rows each one shares cells.
        """
        train, validation = _divided(self.rows.shape[0], fraction, seed, overlap)
        train, validation = (i[np.isin(i, self.train_index)] for i in (train, validation))
        return replace(self, train_index=train, validation_index=validation)

    @property
    def _measured_index(self) -> NDArray[np.intp]:
        validation = self._first(self.validation_index)
        return validation if len(validation) else self._first(self.train_index)[:MEASURED_ROWS]

    @abstractmethod
    def _places(self, index: NDArray[np.intp]) -> NDArray[np.intp]:
        """Return which rows of the data those at an index among ``rows`` are."""

    @abstractmethod
    def batches(self, preparation: Preparation, size: int, device: torch.device) -> Batches:
        """Return the training rows, in batches."""

    @abstractmethod
    def digest(self) -> bytes:
        """Return a digest that identifies these rows."""

    def _first(self, index: NDArray[np.intp]) -> NDArray[np.intp]:
        return index[: most_rows(self.rows)]


@dataclass(frozen=True)
class InMemory(TrainingData):
    """Rows held in memory."""

    @property
    def total(self) -> int:
        """How many rows there are."""
        rows: int = self.rows.shape[0]
        return rows

    def batches(self, preparation: Preparation, size: int, device: torch.device) -> Batches:
        """Return the training rows, held on the device."""
        held = preparation.hold(self.rows, device, preparation.kind.hidden)
        if self.condition is not None:
            held = Conditioned(held, self.condition.to(device))
        return Selection(held, torch.from_numpy(self.train_index).to(device), size)

    def _places(self, index: NDArray[np.intp]) -> NDArray[np.intp]:
        return index

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
    """Rows of a stream; ``rows`` is a sample of them, which contains the validation rows.

    Parameters
    ----------
    stream : Stream
    summary : Summary
    left_out : int array
        The indices among ``rows`` of those that are neither for training nor for validation.
    """

    stream: Stream
    summary: Summary
    left_out: NDArray[np.intp] = field(default_factory=lambda: np.zeros(0, np.intp))

    def nested(self, fraction: float, seed: int, overlap: int) -> Self:
        """Return the training rows alone, divided into training and validation rows again."""
        overlap = overlap if len(self.rows) == self.summary.rows else 0
        inner = super().nested(fraction, seed, overlap)
        return replace(inner, left_out=np.union1d(self.left_out, self.validation_index))

    @property
    def total(self) -> int:
        """How many rows the stream has."""
        return self.summary.rows

    def batches(self, preparation: Preparation, size: int, device: torch.device) -> Batches:
        """Return the training rows, read again for each epoch."""
        assert isinstance(preparation, DensePreparation)  # sparse matrices are in memory
        # Rows that share cells with validation rows are left out too.
        reach, last = preparation.kind.overlap, self.summary.rows - 1
        held_out = self.summary.places[np.union1d(self.validation_index, self.left_out)]
        near = held_out[:, None] + np.arange(-reach, reach + 1)
        return Streamed(
            self.stream,
            preparation,
            np.unique(near.clip(0, last)),
            self.summary.rows,
            size,
            device,
            self.summary.missing,
            self.summary.shares,
        )

    def _places(self, index: NDArray[np.intp]) -> NDArray[np.intp]:
        return self.summary.places[index]

    def digest(self) -> bytes:
        """Return a digest of the stream's place, size and time, and of the sample."""
        digest = hashlib.sha256(self.stream.fingerprint.encode())
        digest.update(np.ascontiguousarray(self.rows).data)
        return digest.digest()


def training_data_of(
    data: object,
    kind: Kind,
    summary: Summary,
    fraction: float,
    seed: int,
    condition: Tensor | None = None,
) -> TrainingData:
    """Return the rows of data of a kind, of which a fraction is for validation.

    Raises
    ------
    DataError
        If there are conditions for data that is too large for memory.
    """
    if isinstance(data, Stream) and _is_large(data, summary):
        if condition is not None:
            raise DataError(
                "A condition needs data that fits into memory, but this is read as a stream: give "
                "a part of it."
            )
        n = len(summary.sample)
        parts = _divided(n, fraction, seed, kind.overlap if n == summary.rows else 0)
        return FromStream(summary.sample, *parts, None, data, summary)
    rows = [kind.rows(piece) for piece in pieces(data)]
    joined = rows[0] if len(rows) == 1 else np.concatenate(rows)
    parts = _divided(joined.shape[0], fraction, seed, kind.overlap)
    return InMemory(joined, *parts, condition)


def _is_large(stream: Stream, summary: Summary) -> bool:
    rows = summary.rows * summary.sample[:1].nbytes
    return stream.bytes is None or max(stream.bytes, rows) > HELD


def _divided(
    n: int, fraction: float, seed: int, overlap: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the indices of n rows for training and for validation: runs where rows overlap."""
    return split_runs(n, fraction, seed, overlap) if overlap else split(n, fraction, seed)


def split(n: int, fraction: float, seed: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the indices of n rows, shuffled: those for training, and those for validation.

    None are for validation where they would be fewer than five: their loss is mostly noise.
    """
    order = np.random.default_rng(seed).permutation(n)
    validation = min(round(fraction * n), n - 2)
    return (order[validation:], order[:validation]) if validation >= 5 else (order, order[:0])


def split_runs(
    n: int, fraction: float, seed: int, overlap: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the indices of n rows, shuffled: those for training, and runs for validation.

    Each row overlaps with so many of the next ones; rows that overlap with validation rows are
    left out. Runs are ten times as long as rows overlap, so that few are; where that leaves too
    few for either, all are for training.
    """
    generator = np.random.default_rng(seed)
    runs = max(1, round(fraction * n / (10 * overlap)))
    length = round(fraction * n / runs)
    slots = n // max(1, length + 2 * overlap)
    validation = np.zeros(n, bool)
    for slot in generator.permutation(slots)[:runs]:
        start = slot * (length + 2 * overlap) + overlap
        validation[start : start + length] = True
    near = np.convolve(validation, np.ones(2 * overlap + 1))[overlap : overlap + n] > 0
    train = generator.permutation(np.flatnonzero(~near))
    held_out = generator.permutation(np.flatnonzero(validation))
    if len(train) < 2 or len(held_out) < 5:
        order = generator.permutation(n)
        return order, order[:0]
    return train, held_out


def most_rows(rows: Rows) -> int:
    """Return how many rows a part has: fewer where they are wide, or would become dense."""
    if not isinstance(rows, np.ndarray):
        return FEWEST_ROWS
    return min(MOST_ROWS, max(FEWEST_ROWS, MOST_CELLS // max(1, prod(rows.shape[1:]))))


def parts_of(rows: sparse.csr_array) -> tuple[Rows, ...]:
    """Return the arrays that a sparse matrix consists of."""
    return rows.data, rows.indices, rows.indptr
