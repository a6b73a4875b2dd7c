"""Columns of numbers: real ones, whole ones, and booleans."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from attar.data.cells import Boolean, Cell, Integer, Number
from attar.data.columns.arrow import floats, from_floats
from attar.data.columns.base import Array, Column, ColumnProfile, Dropped, unscaled
from attar.data.kind import require_finite
from attar.data.summary import Moments

# Beyond this an integer's neighbours have no double of their own after the least arithmetic.
EXACT = 2**52

# So many numbers in a row must run before they are taken for the rows' own.
RUNNING = 100

SINGLE = {pa.float16(), pa.float32(), pa.int8(), pa.int16(), pa.uint8(), pa.uint16()}


@dataclass(frozen=True)
class NumberColumn(Column, tag="number"):
    """Real numbers: a cell each."""

    @property
    def cells(self) -> tuple[Cell, ...]:
        """One number."""
        return (Number(self.name),)

    @property
    def single(self) -> bool:
        """Whether the type is a short one."""
        return self.type in SINGLE

    def encode(self, array: pa.ChunkedArray) -> Array:
        """Return the numbers."""
        return floats(array)[:, None]

    def decode(self, rows: Array) -> pa.Array:
        """Return the numbers in the column's type."""
        return from_floats(rows[:, 0], self.type)


@dataclass(frozen=True)
class IntegerColumn(NumberColumn, tag="whole"):
    """Integers, also those that became floating point numbers because some are missing."""

    @property
    def cells(self) -> tuple[Cell, ...]:
        """One whole number."""
        return (Integer(self.name),)

    def decode(self, rows: Array) -> pa.Array:
        """Return the nearest integers."""
        return from_floats(np.rint(rows[:, 0]), self.type)


@dataclass(frozen=True)
class BooleanColumn(Column, tag="flag"):
    """Booleans: a cell each, 0 or 1."""

    @property
    def cells(self) -> tuple[Cell, ...]:
        """One flag."""
        return (Boolean(self.name),)

    @property
    def single(self) -> bool:
        """True: 0 and 1 are exact."""
        return True

    def encode(self, array: pa.ChunkedArray) -> Array:
        """Return 1 for true and 0 for false."""
        return floats(array)[:, None]

    def decode(self, rows: Array) -> pa.Array:
        """Return true from 0.5."""
        return pa.array(rows[:, 0] >= 0.5, mask=np.isnan(rows[:, 0]))


class NumberProfile(ColumnProfile):
    """Extremes, moments, and whether numbers are whole, or just number the rows."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.seen = Moments.none(1)
        self.whole = self.running = True
        self._last: int | None = None

    def add(self, array: pa.ChunkedArray) -> None:
        """Look at the next piece, in which some value is known.

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
            self.running = self.running and self._runs_on(values)
        else:
            self.widen(low, high)
            self.running = False
            self.whole = self.whole and _all_whole(values)

    def column(self, type_: pa.DataType, n: int, sample: pa.ChunkedArray) -> Column:
        """Return a column of whole or of real numbers, or why it is not learnt."""
        integers = pa.types.is_integer(type_)
        if integers and max(-self.low, self.high) > EXACT:
            return Dropped(self.name, type_, "its integers are too large for exact arithmetic")
        if integers and self.running and n > RUNNING and self.observed == n:
            return Dropped(self.name, type_, "it numbers the rows")
        missing = self.observed < n and pa.types.is_floating(type_)
        if integers or (missing and self.whole):
            return IntegerColumn(self.name, type_)
        return NumberColumn(self.name, type_)

    def moments(self, column: Column) -> Moments:
        """Return the moments of the numbers."""
        return self.seen

    def _runs_on(self, values: Array) -> bool:
        first = values[0] if self._last is None else self._last + 1
        self._last = values[-1]
        if values[0] != first or values[-1] != first + len(values) - 1:
            return False
        return bool((np.diff(values) == 1).all())


class BooleanProfile(ColumnProfile):
    """How many booleans are known, and whether they differ."""

    def add(self, array: pa.ChunkedArray) -> None:
        """Look at the next piece."""
        self.observed += len(array) - array.null_count
        extremes = pc.min_max(array).as_py()
        self.widen(extremes["min"], extremes["max"])

    def column(self, type_: pa.DataType, n: int, sample: pa.ChunkedArray) -> Column:
        """Return a column of flags."""
        return BooleanColumn(self.name, type_)

    def moments(self, column: Column) -> Moments:
        """Return how many there are."""
        return unscaled(self.observed, 1)


def _all_whole(values: Array) -> bool:
    """Return whether all numbers but NaN are whole; a first look saves most of the work."""
    few = values[:100]
    if not (np.isnan(few) | (np.rint(few) == few)).all():
        return False
    return bool((np.isnan(values) | (np.rint(values) == values)).all())
