"""Columns that are not learnt: they come back from what was put aside, or from little."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from attar.data.cells import Cell
from attar.data.columns.arrow import TEXT, from_floats, scalar
from attar.data.columns.column import Array, Column


@dataclass(frozen=True)
class Dropped(Column, tag="dropped"):
    """A column that nothing can be learnt from.

    New rows have running numbers from 0 in it, empty text, or nothing, as fits its type.

    Parameters
    ----------
    why : str
    """

    why: str

    @property
    def cells(self) -> tuple[Cell, ...]:
        """None."""
        return ()

    @property
    def remark(self) -> str | None:
        """Why it is not learnt."""
        return self.why

    @property
    def single(self) -> bool:
        """True: there are no cells."""
        return True

    def encode(self, array: pa.ChunkedArray) -> Array:
        """Return no cells."""
        return np.empty((len(array), 0))

    def decode(self, rows: Array) -> pa.Array:
        """Return running numbers, empty text, or missing values."""
        if pa.types.is_integer(self.type):
            return from_floats(np.arange(float(len(rows))), self.type)
        if self.type == TEXT:
            return pa.repeat(pa.scalar("", TEXT), len(rows))
        return pa.nulls(len(rows), self.type)


@dataclass(frozen=True)
class Constant(Dropped, tag="constant"):
    """A column with one value, which new rows have too.

    Parameters
    ----------
    value : number, bool or str
        Ticks of the type's own unit for a time.
    """

    value: float | str

    def decode(self, rows: Array) -> pa.Array:
        """Return the one value."""
        return pa.repeat(scalar(self.value, self.type), len(rows))
