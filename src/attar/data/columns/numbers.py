"""Columns of real numbers, integers and booleans."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from attar.data.cells import Boolean, Cell, Number
from attar.data.columns.arrow import floats, from_floats
from attar.data.columns.base import FEW, Array, Column, ColumnProfile, DroppedColumn, unscaled
from attar.data.kind import require_finite
from attar.data.summary import Moments

# Beyond this an integer's neighbours have no double of their own after the least arithmetic.
EXACT = 2**52

# Types whose values single precision holds exactly.
SHORT = {pa.bool_(), pa.float16(), pa.float32(), pa.int8(), pa.int16(), pa.uint8(), pa.uint16()}


@dataclass(frozen=True)
class NumericColumn(Column):
    """A column of one cell that holds the value itself."""

    @property
    def single(self) -> bool:
        """Whether the type is a short one."""
        return self.type in SHORT

    def encode(self, array: pa.ChunkedArray) -> Array:
        """Return the numbers; 1 for true and 0 for false."""
        return floats(array)[:, None]


@dataclass(frozen=True)
class NumberColumn(NumericColumn, tag="number"):
    """Real numbers."""

    @property
    def cells(self) -> tuple[Cell, ...]:
        """One number."""
        return (Number(self.name),)

    def decode(self, rows: Array) -> pa.Array:
        """Return the numbers in the column's type."""
        return from_floats(rows[:, 0], self.type)


@dataclass(frozen=True)
class IntegerColumn(NumericColumn, tag="integer"):
    """Integers, also those that became floating point numbers because some are missing."""

    @property
    def cells(self) -> tuple[Cell, ...]:
        """One integer."""
        return (Number(self.name, integer=True),)

    def decode(self, rows: Array) -> pa.Array:
        """Return the nearest integers."""
        return from_floats(np.rint(rows[:, 0]), self.type)


@dataclass(frozen=True)
class BooleanColumn(NumericColumn, tag="boolean"):
    """Booleans."""

    @property
    def cells(self) -> tuple[Cell, ...]:
        """One boolean."""
        return (Boolean(self.name),)

    def decode(self, rows: Array) -> pa.Array:
        """Return true from 0.5."""
        return pa.array(rows[:, 0] >= 0.5, mask=np.isnan(rows[:, 0]))


class NumberProfile(ColumnProfile):
    """Extremes, moments, and whether numbers are integers, or only count the rows."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.seen = Moments.none(1)
        self.integers = self.counting = True
        self._first: float | None = None
        self._last: float | None = None

    def add(self, array: pa.ChunkedArray) -> None:
        """Add the next piece, in which some value is not missing.

        Raises
        ------
        DataError
            If a number is infinite.
        """
        values = floats(array)
        moments = Moments.of(values[:, None])
        low, high = float(moments.low[0]), float(moments.high[0])
        if np.isinf([low, high]).any():
            require_finite(values[:, None], lambda place: f"Column {self.name!r}")
        self.seen = self.seen.merged(moments)
        self.observed = int(self.seen.count[0])
        if pa.types.is_integer(array.type):
            extremes = pc.min_max(array).as_py()
            self.widen(extremes["min"], extremes["max"])
            self.counting = self.counting and self._counts_on(values)
        else:
            self.widen(low, high)
            self.counting = False
            self.integers = self.integers and _are_integers(values)

    def column(self, type_: pa.DataType, n: int, sample: pa.ChunkedArray) -> Column:
        """Return a column of integers or of real numbers, or why it is dropped."""
        integers = pa.types.is_integer(type_)
        if integers and max(-self.low, self.high) > EXACT:
            why = "its integers are too large for exact arithmetic"
            advice = "drop it, or make it text if it has few different values"
            return DroppedColumn(self.name, type_, why, advice)
        counts = self.counting and n > FEW and self.observed == n
        if integers and counts and not self.chosen:
            advice = "drop it, or make it floating point if it is a quantity"
            return DroppedColumn(self.name, type_, "it is a row number", advice)
        missing = self.observed < n and pa.types.is_floating(type_)
        if integers or (missing and self.integers):
            return IntegerColumn(self.name, type_)
        return NumberColumn(self.name, type_)

    def moments(self, column: Column) -> Moments:
        """Return the moments of the numbers."""
        return self.seen

    def merge(self, other: Self) -> None:
        """Add the statistics of further rows."""
        super().merge(other)
        self.seen = self.seen.merged(other.seen)
        self.integers = self.integers and other.integers
        self.counting = self.counting and other.counting
        if self._last is not None and other._first is not None:
            self.counting = self.counting and self._last + 1 == other._first
        self._first = other._first if self._first is None else self._first
        self._last = self._last if other._last is None else other._last

    def _counts_on(self, values: Array) -> bool:
        first = values[0] if self._last is None else self._last + 1
        self._first = values[0] if self._first is None else self._first
        self._last = values[-1]
        if values[0] != first or values[-1] != first + len(values) - 1:
            return False
        return bool((np.diff(values) == 1).all())


class BooleanProfile(ColumnProfile):
    """How many booleans are not missing, and whether they differ."""

    def add(self, array: pa.ChunkedArray) -> None:
        """Add the next piece, in which some value is not missing."""
        self.observed += len(array) - array.null_count
        extremes = pc.min_max(array).as_py()
        self.widen(extremes["min"], extremes["max"])

    def column(self, type_: pa.DataType, n: int, sample: pa.ChunkedArray) -> Column:
        """Return a column of booleans."""
        return BooleanColumn(self.name, type_)

    def moments(self, column: Column) -> Moments:
        """Return how many there are."""
        return unscaled(self.observed, 1)


def _are_integers(values: Array) -> bool:
    """Return whether all numbers but NaN are integers; the first few save most of the work."""
    return all((np.isnan(x) | (np.rint(x) == x)).all() for x in (values[:100], values))
