"""Data in pieces, and a sample of its rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

Piece = TypeVar("Piece")


@dataclass(frozen=True)
class Share(Iterable[Any]):
    """The pieces of a stream that one of several workers reads: rows one after the other.

    Attributes
    ----------
    read : callable
        Returns an iterator over the pieces.
    start : int or None
        The index of the first row among those of all shares, where it is known beforehand.
    """

    read: Callable[[], Iterator[Any]]
    start: int | None

    def __iter__(self) -> Iterator[Any]:
        return self.read()


class Stream(ABC):
    """Data in pieces that can be iterated over repeatedly, always in the same order."""

    @property
    def bytes(self) -> int | None:
        """How many bytes of memory all of it takes, where that is known beforehand."""
        return None

    @abstractmethod
    def __iter__(self) -> Iterator[Any]:
        """Yield the pieces: frames, or arrays, of some thousand rows each."""

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """What identifies this data: its place, size and time of change."""

    def share(self) -> Share | None:
        """Return what this worker reads of the data; None where it reads all of them."""
        return None


# Where the start of a worker's share is not known, its rows are numbered from this times its rank.
ROWS_OF_A_SHARE = 1 << 40


class SupportsArray(Protocol):
    """What NumPy converts to an array: arrays, tensors, frames of pandas."""

    def __array__(self) -> NDArray[Any]:
        """Return the values as an array."""


@runtime_checkable
class SupportsArrow(Protocol):
    """What pyarrow converts to a table: frames of polars, pyarrow and pandas."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Return the values as an Arrow stream."""


class SupportsCsr(Protocol):
    """A sparse matrix of SciPy."""

    def tocsr(self) -> sparse.csr_matrix | sparse.csr_array:
        """Return the matrix in CSR format."""


# Rows that have no order in time: an object in memory, a path, or the name of a data set.
Tabular = (
    SupportsArray
    | SupportsArrow
    | SupportsCsr
    | Stream
    | Sequence[object]
    | pd.DataFrame
    | pd.Series
    | str
    | Path
)


def pieces(data: object) -> Iterable[Any]:
    """Return the pieces of a stream, or data in memory as the one piece that it is."""
    return data if isinstance(data, Stream) else [data]


SIZE = 20_000


class Sample(Generic[Piece]):
    """A uniform sample of rows: those whose indices have the smallest hashes.

    Parameters
    ----------
    take : callable
        ``(piece, places) -> the rows of a piece at these places``, a copy.
    size : int
        How many rows to keep at most.
    first : int
        The index of the first row.

    Attributes
    ----------
    seen : int
        How many rows there were.
    """

    def __init__(
        self,
        take: Callable[[Piece, NDArray[np.intp]], Piece],
        size: int = SIZE,
        first: int = 0,
    ) -> None:
        self.take, self.size, self.first = take, size, first
        self.seen = 0
        self._limit = np.iinfo(np.uint64).max
        self._kept: list[Piece] = []
        self._rows: list[NDArray[np.intp]] = []

    def add(self, piece: Piece, n: int) -> None:
        """Add the next ``n`` rows, those of a piece."""
        rows = np.arange(n) + (self.first + self.seen)
        self.seen += n
        places = np.flatnonzero(hashed(rows) <= self._limit)
        if len(places) > self.size:
            places = np.sort(places[np.argpartition(hashed(rows[places]), self.size)[: self.size]])
        if len(places) or not self._kept:
            self._kept.append(self.take(piece, places))
            self._rows.append(rows[places])
        if sum(map(len, self._rows)) > 2 * self.size:
            self._limit = np.partition(hashed(np.concatenate(self._rows)), self.size)[self.size]
            self._drop()

    def thin(self, total: int) -> None:
        """Drop rows that can hardly be among those kept of so many in all."""
        if total > 2 * self.size:
            limit = int(2 * self.size / total * np.iinfo(np.uint64).max)
            self._limit = min(int(self._limit), limit)
            self._drop()

    def merge(self, other: Sample[Piece]) -> None:
        """Add the sample of other rows, whose indices are larger."""
        self.seen += other.seen
        self._kept += other._kept
        self._rows += other._rows

    def _drop(self) -> None:
        """Drop the rows that can no longer be among those kept."""
        for i, rows in enumerate(self._rows):
            places = np.flatnonzero(hashed(rows) <= self._limit)
            if len(places) < len(rows):
                self._kept[i] = self.take(self._kept[i], places)
                self._rows[i] = rows[places]

    def result(self, joined: Callable[[list[Piece]], Piece]) -> tuple[Piece, NDArray[np.intp]]:
        """Return the rows kept, in their order, and their indices among all rows.

        Parameters
        ----------
        joined : callable
            From a list of pieces to one.
        """
        rows = np.concatenate(self._rows)
        kept = joined(self._kept)
        if len(rows) <= self.size:
            return kept, rows
        places = np.sort(np.argpartition(hashed(rows), self.size)[: self.size])
        return self.take(kept, places), rows[places]


def places_of(rows: NDArray[np.intp], shares: tuple[int, ...]) -> NDArray[np.intp]:
    """Return the indices among all rows of rows that are numbered share by share."""
    starts = np.cumsum([0, *shares[:-1]])
    worker, row = np.divmod(rows, ROWS_OF_A_SHARE)
    return starts[worker] + row


def evenly_spaced(n: int, most: int) -> NDArray[np.intp]:
    """Return at most ``most`` of 0, ..., n - 1, evenly spread, the first and the last included."""
    return np.linspace(0, n - 1, min(n, most)).round().astype(np.intp)


def hashed(rows: NDArray[np.intp]) -> NDArray[np.uint64]:
    """Return a hash of each row index (the finalizer of SplitMix64)."""
    x = rows.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
