"""Statistics from one pass over data: moments that merge."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, fields
from math import prod
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Rows = NDArray[Any]


def with_means(columns: Rows) -> Rows:
    """Return a matrix (n, d) with each missing value (NaN) replaced by its column's mean, or 0."""
    observed = ~np.isnan(columns)
    if observed.all():
        return columns
    sums = np.where(observed, columns, 0).sum(0, dtype=np.float64)
    means = sums / np.maximum(observed.sum(0), 1)
    return np.where(observed, columns, means.astype(columns.dtype))


def as_tensor(array: Rows) -> Tensor:
    """Return a tensor that shares an array's memory, read-only memory too: it is never written."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        return torch.from_numpy(np.ascontiguousarray(array))


Array = NDArray[np.float64]

CHUNK = 1 << 18


@dataclass(frozen=True)
class Moments:
    """Statistics of each of d columns, over the values that are not missing; two of them merge.

    Attributes
    ----------
    count, mean, squares, low, high : array (d,)
        How many values, their mean, their summed squared distances from it, and their extremes;
        a column without values has mean 0 and infinite extremes.
    """

    count: Array
    mean: Array
    squares: Array
    low: Array
    high: Array

    def at(self, places: list[int]) -> Self:
        """Return the moments of the columns at these places."""
        return type(self)(*(getattr(self, field.name)[places] for field in fields(self)))

    @classmethod
    def of(cls, columns: Rows) -> Self:
        """Return the moments of a matrix (n, d) of numbers, NaN where one is missing."""
        if columns.dtype == np.uint8 and columns.shape[1] == 1:
            return cls._of_bytes(columns)
        rows = max(1, CHUNK // max(1, columns.shape[1]))
        moments = cls.none(columns.shape[1])
        for start in range(0, len(columns), rows):
            moments = moments.merged(cls._of_chunk(columns[start : start + rows]))
        return moments

    @classmethod
    def none(cls, width: int) -> Self:
        """Return the moments of columns without a value."""
        zero = np.zeros(width)
        return cls(zero, zero, zero, np.full(width, np.inf), np.full(width, -np.inf))

    @classmethod
    def _of_bytes(cls, columns: Rows) -> Self:
        counts = torch.bincount(as_tensor(columns).view(-1), minlength=256).double().numpy()
        values = np.arange(256.0)
        present = values[counts > 0]
        if not len(present):
            return cls.none(1)
        total = counts.sum()
        mean = counts @ values / total
        squares = counts @ (values - mean) ** 2
        return cls(*np.array([[total], [mean], [squares], [present[0]], [present[-1]]]))

    @classmethod
    def _of_chunk(cls, columns: Rows) -> Self:
        values = columns.astype(np.float64, copy=False)
        low, high = values.min(0), values.max(0)
        count = np.full(len(low), float(len(values)))
        observed = None
        if np.isnan(low).any():
            observed = ~np.isnan(values)
            count = observed.sum(0).astype(np.float64)
            low = values.min(0, initial=np.inf, where=observed)
            high = values.max(0, initial=-np.inf, where=observed)
            values = np.where(observed, values, 0)
        with np.errstate(over="ignore", invalid="ignore"):
            mean = values.sum(0) / np.maximum(count, 1)
            centred = values - mean
            if observed is not None:
                centred = np.where(observed, centred, 0)
            return cls(count, mean, np.einsum("ij,ij->j", centred, centred), low, high)

    def merged(self, other: Moments) -> Self:
        """Return the moments of both sets of rows together (Chan, Golub and LeVeque, 1983)."""
        count = self.count + other.count
        fraction = other.count / np.maximum(count, 1)
        centred = other.mean - self.mean
        with np.errstate(over="ignore", invalid="ignore"):
            weight = fraction * self.count
            squares = self.squares + other.squares + np.where(weight > 0, weight * centred**2, 0)
        return type(self)(
            count,
            self.mean + fraction * centred,
            squares,
            np.minimum(self.low, other.low),
            np.maximum(self.high, other.high),
        )

    @classmethod
    def beside(cls, parts: list[Moments]) -> Self:
        """Return the moments of columns side by side."""
        names = [field.name for field in fields(cls)]
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))

    @property
    def deviation(self) -> Array:
        """The standard deviation of each column; 0 where there is no value."""
        deviation: Array = np.sqrt(self.squares / np.maximum(self.count, 1))
        return deviation


@dataclass(frozen=True)
class Summary:
    """Statistics of data and a sample of its rows, from one pass.

    Attributes
    ----------
    rows : int
        How many rows there are.
    moments : Moments
        Of the raw columns that are each scaled alike.
    sample : array (m, *cells)
        A uniform sample of the raw rows; all of them where they are few.
    places : int array (m,)
        Their indices among all rows, ascending.
    partial : bool
        Whether cells that a sparse sample does not store are missing.
    shares : tuple of int
        How many rows each worker reads, one share after the other; empty where each reads all.
    """

    rows: int
    moments: Moments
    sample: Rows
    places: NDArray[np.intp]
    partial: bool = False
    shares: tuple[int, ...] = ()

    @property
    def missing(self) -> bool:
        """Whether a cell of any row is missing."""
        if not isinstance(self.sample, np.ndarray):
            return self.partial
        return bool(self.moments.count.sum() < self.rows * prod(self.sample.shape[1:]))
