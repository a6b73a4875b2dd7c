"""The rows of a fit: those to learn from, and those held out; in memory or streamed."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from dataclasses import dataclass
from math import prod
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from attar.data.batches import HIDDEN, Batches, Selection, Told
from attar.data.kind import Kind, Rows
from attar.data.preparation import Preparation
from attar.data.stream import Stream, pieces
from attar.data.streamed import Streamed
from attar.data.summary import Summary
from attar.errors import DataError

# How many rows, and cells of them, a look at the data takes at most.
MOST_ROWS, MOST_CELLS = 16384, 1 << 24
FEWEST_ROWS = 128

# A stream of fewer bytes is read into memory.
HELD = 1 << 28


class Corpus(ABC):
    """The rows of a fit."""

    @property
    @abstractmethod
    def learnt(self) -> Rows:
        """Some of the raw rows that are learnt from: (m, *cells)."""

    @property
    @abstractmethod
    def apart(self) -> Rows:
        """Some of the raw rows that are held out: (m, *cells)."""

    @property
    @abstractmethod
    def numbers(self) -> NDArray[np.intp]:
        """Which rows of the data ``learnt`` are: (m,)."""

    @property
    def told_learnt(self) -> Tensor | None:
        """The conditions of the rows ``learnt``, where there are conditions."""
        return None

    @property
    def told_apart(self) -> Tensor | None:
        """The conditions of the rows ``apart``, where there are conditions."""
        return None

    @abstractmethod
    def batches(self, preparation: Preparation, size: int, device: torch.device) -> Batches:
        """Return the rows to learn from, in batches."""

    @abstractmethod
    def digest(self) -> bytes:
        """Return what tells these rows from others."""


@dataclass(frozen=True)
class InMemory(Corpus):
    """Rows held in memory.

    Parameters
    ----------
    rows : rows (n, *cells)
    learning, holding : int array
        The numbers of the rows to learn from, and of those to hold out.
    told : Tensor (n, c) or None
        What is told of each row besides.
    """

    rows: Rows
    learning: NDArray[np.intp]
    holding: NDArray[np.intp]
    told: Tensor | None = None

    @classmethod
    def of(
        cls, rows: Rows, fraction: float, seed: int, overlap: int = 0, told: Tensor | None = None
    ) -> Self:
        """Return rows of which a share, drawn by chance, is held out.

        Where each row overlaps with the next ones, whole runs of rows are held out, and what
        overlaps with them is not learnt from.
        """
        numbers = np.arange(rows.shape[0])
        if overlap:
            return cls(rows, *split_runs(numbers, fraction, seed, overlap), told)
        return cls(rows, *split(numbers, fraction, seed), told)

    @property
    def learnt(self) -> Rows:
        """Some rows that are learnt from."""
        return self.rows[self.learning[: most_rows(self.rows)]]

    @property
    def numbers(self) -> NDArray[np.intp]:
        """Which rows of the data ``learnt`` are."""
        return self.learning[: most_rows(self.rows)]

    @property
    def apart(self) -> Rows:
        """Some rows that are held out."""
        return self.rows[self.holding[: most_rows(self.rows)]]

    @property
    def told_learnt(self) -> Tensor | None:
        """The conditions of the rows ``learnt``."""
        return None if self.told is None else self.told[self.learning[: most_rows(self.rows)]]

    @property
    def told_apart(self) -> Tensor | None:
        """The conditions of the rows ``apart``."""
        return None if self.told is None else self.told[self.holding[: most_rows(self.rows)]]

    def batches(self, preparation: Preparation, size: int, device: torch.device) -> Batches:
        """Return the rows to learn from, held on the device."""
        held = preparation.hold(self.rows, device, HIDDEN)
        if self.told is not None:
            held = Told(held, self.told.to(device))
        return Selection(held, torch.from_numpy(self.learning).to(device), size)

    def digest(self) -> bytes:
        """Return a digest of all values."""
        arrays = (self.rows,) if isinstance(self.rows, np.ndarray) else parts_of(self.rows)
        digest = hashlib.sha256()
        for array in arrays:
            digest.update(np.ascontiguousarray(array).data)
        if self.told is not None:
            digest.update(self.told.numpy().data)
        return digest.digest()


@dataclass(frozen=True)
class FromStream(Corpus):
    """Rows that come by in a stream; those held out are of the summary's sample.

    Parameters
    ----------
    stream : Stream
    summary : Summary
    learning, holding : int array
        The places in the sample of rows to learn from, and of those to hold out.
    """

    stream: Stream
    summary: Summary
    learning: NDArray[np.intp]
    holding: NDArray[np.intp]

    @classmethod
    def of(cls, stream: Stream, summary: Summary, fraction: float, seed: int) -> Self:
        """Return a stream of which a share of the sampled rows is held out."""
        places = np.arange(len(summary.places))
        return cls(stream, summary, *split(places, fraction, seed))

    @property
    def learnt(self) -> Rows:
        """Some rows that are learnt from."""
        return self.summary.sample[self.learning[: most_rows(self.summary.sample)]]

    @property
    def numbers(self) -> NDArray[np.intp]:
        """Which rows of the data ``learnt`` are."""
        return self.summary.places[self.learning[: most_rows(self.summary.sample)]]

    @property
    def apart(self) -> Rows:
        """Some rows that are held out."""
        return self.summary.sample[self.holding[: most_rows(self.summary.sample)]]

    def batches(self, preparation: Preparation, size: int, device: torch.device) -> Batches:
        """Return the rows to learn from, read again for each epoch."""
        return Streamed(
            self.stream,
            preparation,
            np.sort(self.summary.places[self.holding]),
            self.summary.rows - len(self.holding),
            size,
            device,
            self.summary.missing,
        )

    def digest(self) -> bytes:
        """Return a digest of the stream's place, size and time, and of the sample."""
        digest = hashlib.sha256(self.stream.fingerprint.encode())
        digest.update(np.ascontiguousarray(self.summary.sample).data)
        return digest.digest()


def corpus_of(
    data: Any,
    kind: Kind,
    summary: Summary,
    fraction: float,
    seed: int,
    told: Tensor | None = None,
) -> Corpus:
    """Return the rows of data of a kind, of which a share is held out.

    Raises
    ------
    DataError
        If there are conditions for data that is too large for memory.
    """
    if isinstance(data, Stream) and (data.bytes is None or data.bytes > HELD):
        if told is not None:
            raise DataError(
                "A condition needs data that fits into memory, but this is read as a stream: give "
                "a part of it."
            )
        return FromStream.of(data, summary, fraction, seed)
    rows = [kind.rows(piece) for piece in pieces(data)]
    whole = rows[0] if len(rows) == 1 else np.concatenate(rows)
    return InMemory.of(whole, fraction, seed, kind.overlap, told)


def split(
    rows: NDArray[np.intp], fraction: float, seed: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return row numbers, shuffled: those to learn from, and those to hold out.

    None are held out where they would be fewer than five: so few say nothing.
    """
    n = len(rows)
    order = rows[np.random.default_rng(seed).permutation(n)]
    apart = min(round(fraction * n), n - 2)
    return (order[apart:], order[:apart]) if apart >= 5 else (order, order[:0])


def split_runs(
    rows: NDArray[np.intp], fraction: float, seed: int, overlap: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return row numbers, shuffled: those to learn from, and runs of them to hold out.

    Runs are ten times as long as rows overlap, so that little is lost between the two; where that
    leaves nothing to learn from or nothing to hold out, all are learnt from.
    """
    chance = np.random.default_rng(seed)
    runs = max(1, round(fraction * len(rows) / (10 * overlap)))
    length = round(fraction * len(rows) / runs)
    slots = len(rows) // max(1, length + 2 * overlap)
    apart = np.zeros(len(rows), bool)
    for slot in chance.permutation(slots)[:runs]:
        start = slot * (length + 2 * overlap) + overlap
        apart[start : start + length] = True
    near = np.convolve(apart, np.ones(2 * overlap + 1))[overlap : overlap + len(rows)] > 0
    learning, holding = chance.permutation(rows[~near]), chance.permutation(rows[apart])
    if len(learning) < 2 or len(holding) < 5:
        return chance.permutation(rows), rows[:0]
    return learning, holding


def most_rows(rows: Rows) -> int:
    """Return how many rows a look takes: fewer where they are wide, or would become dense."""
    if not isinstance(rows, np.ndarray):
        return FEWEST_ROWS
    return min(MOST_ROWS, max(FEWEST_ROWS, MOST_CELLS // max(1, prod(rows.shape[1:]))))


def parts_of(rows: Any) -> tuple[Rows, ...]:
    """Return the arrays that a sparse matrix consists of."""
    return rows.data, rows.indices, rows.indptr
