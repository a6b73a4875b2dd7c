"""Data in pieces, and a sample of its rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Stream(ABC):
    """Data in pieces that can be gone through again and again, always in the same order."""

    @property
    def bytes(self) -> int | None:
        """How much memory all of it takes, where that is known beforehand."""
        return None

    @abstractmethod
    def __iter__(self) -> Iterator[Any]:
        """Yield the pieces: frames, or arrays, of some thousand rows each."""

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """What tells this data from other data: its place, size and time of change."""


def pieces(data: Any) -> Iterable[Any]:
    """Return the pieces of a stream, or data in memory as the one piece that it is."""
    return data if isinstance(data, Stream) else [data]


SIZE = 20_000


class Sample:
    """The rows whose numbers have the smallest hashes: uniform, and mergeable.

    Parameters
    ----------
    size : int
        How many rows to keep at most.
    take : callable
        ``(piece, places) -> the rows of a piece at these places``, a copy.
    """

    def __init__(self, take: Callable[[Any, NDArray[np.intp]], Any], size: int = SIZE) -> None:
        self.take, self.size = take, size
        self.seen = 0
        self._limit = np.iinfo(np.uint64).max
        self._kept: list[Any] = []
        self._rows: list[NDArray[np.intp]] = []

    def add(self, piece: Any, n: int) -> None:
        """Look at the next ``n`` rows, those of a piece."""
        rows = np.arange(self.seen, self.seen + n)
        self.seen += n
        chosen = np.flatnonzero(hashed(rows) <= self._limit)
        if len(chosen) > self.size:
            chosen = np.sort(chosen[np.argpartition(hashed(rows[chosen]), self.size)[: self.size]])
        if len(chosen) or not self._kept:
            self._kept.append(self.take(piece, chosen))
            self._rows.append(rows[chosen])
        if sum(map(len, self._rows)) > 2 * self.size:
            self._limit = np.partition(hashed(np.concatenate(self._rows)), self.size)[self.size]
            self._drop()

    def _drop(self) -> None:
        """Forget the rows that can no longer be among those kept."""
        for i, rows in enumerate(self._rows):
            places = np.flatnonzero(hashed(rows) <= self._limit)
            if len(places) < len(rows):
                self._kept[i] = self.take(self._kept[i], places)
                self._rows[i] = rows[places]

    def result(self, joined: Callable[[list[Any]], Any]) -> tuple[Any, NDArray[np.intp]]:
        """Return the rows kept, in their order, and their numbers among all rows.

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


def evenly_spaced(n: int, most: int) -> NDArray[np.intp]:
    """Return at most ``most`` of 0, ..., n - 1, evenly spread, the first and the last included."""
    return np.linspace(0, n - 1, min(n, most)).round().astype(np.intp)


def hashed(rows: NDArray[np.intp]) -> NDArray[np.uint64]:
    """Return a well-mixed number for each row number (the finalizer of SplitMix64)."""
    x = rows.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
