"""The bases of columns and of their profiles, and the columns that are not used."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from torch import Tensor

from attar.data.cells import Category, Cell
from attar.data.columns.arrow import (
    TEXT,
    Plain,
    converted,
    foreign,
    from_floats,
    labelled,
    plain_text,
    scalar,
    sort_of,
)
from attar.data.kind import Json
from attar.data.summary import Moments
from attar.errors import DataError

Array = NDArray[np.float64]

# Only in tables of more rows than this are columns recognized as identifiers.
FEW = 10

COLUMNS: dict[str, type[Column]] = {}


@dataclass(frozen=True)
class Column(ABC):
    """A column of a table, and the cells that encode it.

    Parameters
    ----------
    name : str
    type : pyarrow.DataType
        That of the values that are restored.
    """

    name: str
    type: pa.DataType

    tag: ClassVar[str]

    def __init_subclass__(cls, tag: str = "") -> None:
        if tag:
            cls.tag = tag
            COLUMNS[tag] = cls

    @property
    @abstractmethod
    def cells(self) -> tuple[Cell, ...]:
        """The raw cells; none where the column is not used."""

    @property
    def kind(self) -> str:
        """What the column is called."""
        return self.tag

    @property
    def remark(self) -> str | None:
        """Why the column is not used as it is; None where it is."""
        return None

    @property
    def advice(self) -> str:
        """What to do where the column is not used; empty where it is."""
        return ""

    @property
    def single(self) -> bool:
        """Whether single precision holds the cells exactly."""
        return False

    @abstractmethod
    def encode(self, array: pa.ChunkedArray) -> Array:
        """Return values as raw cells (n, cells), NaN where one is missing."""

    @abstractmethod
    def decode(self, rows: Array) -> pa.Array:
        """Return raw cells (n, cells) as values."""

    def fitting(self, array: pa.ChunkedArray) -> pa.ChunkedArray:
        """Return new values as values of the sort of the fit.

        Raises
        ------
        DataError
            If they are of another, and something would be lost.
        """
        expected = sort_of(self.type)
        if sort_of(array.type) in (expected, "nothing"):
            return array
        cell = self.cells[0]
        if expected == "text" and isinstance(cell, Category):
            values = labelled(array, cell.categories)
        else:
            values = converted(array, self.type)
        if values is None:
            raise foreign(self.name, array, expected)
        return values

    def to_json(self) -> Json:
        """Return the column but for its type as plain JSON data."""
        settings = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "type"}
        return {"column": self.tag, **settings}

    def tensors(self) -> dict[str, Tensor]:
        """Return what is too large for JSON, by name."""
        return {}

    def with_tensors(self, tensors: Mapping[str, Tensor]) -> Self:
        """Return the column of JSON with what :meth:`tensors` returned."""
        return self

    @staticmethod
    def from_json(data: Json, type_: pa.DataType) -> Column:
        """Return the column that :meth:`to_json` described."""
        settings: Json = {
            key: tuple(value) if isinstance(value, list) else value for key, value in data.items()
        }
        return COLUMNS[settings.pop("column")].read(type_, settings)

    @classmethod
    def read(cls, type_: pa.DataType, settings: Json) -> Self:
        """Return the column of this class that :meth:`to_json` described."""
        return cls(type=type_, **settings)


class ColumnProfile(ABC):
    """Statistics of a column, updated piece by piece in little memory.

    Parameters
    ----------
    name : str

    Attributes
    ----------
    observed : int
        How many values are not missing.
    low, high : number
        The smallest and the largest value, times as ticks; None before the first.
    chosen : bool
        Whether the user chose the kind of the column: it is then used, whatever its values are.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.chosen = False
        self.observed = 0
        self.low: Any = None
        self.high: Any = None

    def widen(self, low: float, high: float) -> None:
        """Update the extremes with those of a piece."""
        self.low = low if self.low is None else min(self.low, low)
        self.high = high if self.high is None else max(self.high, high)

    @property
    def only(self) -> Plain | None:
        """The one value, where all are equal."""
        only: Plain | None = self.low if self.low == self.high else None
        return only

    @abstractmethod
    def add(self, array: pa.ChunkedArray) -> None:
        """Add the next piece, in which some value is not missing."""

    def merge(self, other: Self) -> None:
        """Add the statistics of further rows."""
        self.observed += other.observed
        if other.low is not None:
            self.widen(other.low, other.high)

    @abstractmethod
    def column(self, type_: pa.DataType, n: int, sample: pa.ChunkedArray) -> Column:
        """Return the column that suits the values.

        Parameters
        ----------
        type_ : pyarrow.DataType
        n : int
            How many rows there are.
        sample : ChunkedArray
            The values of some rows, which don't depend on how the rows were cut into pieces.
        """

    @abstractmethod
    def moments(self, column: Any) -> Moments:
        """Return the moments of the cells of the column that :meth:`column` returned.

        The counts are exact. Of cells that are not scaled no other statistic means anything.
        """


def unscaled(count: int, *high: float) -> Moments:
    """Return moments for cells that are not scaled, from 0 to the highest value of each."""
    zero = np.zeros(len(high))
    return Moments(zero + count, zero, zero, zero, np.array(high, float))


@dataclass(frozen=True)
class UnusedColumn(Column):
    """A column without cells: no network sees it."""

    @property
    def cells(self) -> tuple[Cell, ...]:
        """None."""
        return ()

    @property
    def single(self) -> bool:
        """True: there are no cells."""
        return True

    def encode(self, array: pa.ChunkedArray) -> Array:
        """Return no cells."""
        return np.empty((len(array), 0))


@dataclass(frozen=True)
class DroppedColumn(UnusedColumn, tag="dropped"):
    """A column that cannot be modelled.

    In new rows it has running numbers from 0, empty text, or missing values, as fits its type.

    Parameters
    ----------
    why, advice : str
        The reason, and what the user may do.
    identifier : bool
        Whether the user named it as an identifier of rows: it is written beside their codes.
    """

    why: str
    advice: str = "drop it"
    identifier: bool = False

    @property
    def remark(self) -> str:
        """Why it is not used."""
        return self.why

    def decode(self, rows: Array) -> pa.Array:
        """Return running numbers, empty text, or missing values."""
        if pa.types.is_integer(self.type):
            return from_floats(np.arange(float(len(rows))), self.type)
        if self.type == TEXT:
            return pa.repeat(pa.scalar("", TEXT), len(rows))
        return pa.nulls(len(rows), self.type)


@dataclass(frozen=True)
class ConstantColumn(UnusedColumn, tag="constant"):
    """A column with one value, which new rows have too.

    Where values are missing, which ones they are may say something: the column is then a category,
    and other values are categories that the fit did not see.

    Parameters
    ----------
    value : number, bool or str
        Ticks of the type's own unit for a time.
    gaps : bool
        Whether values are missing.
    """

    value: Plain
    gaps: bool = False

    @property
    def cells(self) -> tuple[Cell, ...]:
        """One category, or none where no value is missing."""
        return (Category(self.name, (str(self._scalar.as_py()),)),) if self.gaps else ()

    @property
    def remark(self) -> str | None:
        """That it is constant, where no value is missing."""
        return None if self.gaps else "it is constant"

    @property
    def advice(self) -> str:
        """To drop it, where no value is missing."""
        return "" if self.gaps else "drop it"

    def encode(self, array: pa.ChunkedArray) -> Array:
        """Return 0 for the value, -1 for any other, and NaN where one is missing."""
        if not self.gaps:
            return super().encode(array)
        values, value = plain_text(array), self._scalar
        if pa.types.is_floating(self.type):
            # Arrow does not compare half floats.
            values = values.cast(self.type, safe=False).cast(pa.float64())
            value = value.cast(pa.float64())
        missing = array.is_null(nan_is_null=True).to_numpy()
        equal = pc.equal(values, value).fill_null(False).to_numpy()
        return np.where(missing, np.nan, np.where(equal, 0.0, -1.0))[:, None]

    def differs(self, array: pa.ChunkedArray) -> NDArray[np.bool_]:
        """Return which values are known, and are not the one value."""
        column = replace(self, gaps=True)
        try:
            return column.encode(column.fitting(array))[:, 0] < 0
        except DataError:
            known: NDArray[np.bool_] = array.is_valid().to_numpy()
            return known

    def decode(self, rows: Array) -> pa.Array:
        """Return the one value, and missing where its cell is."""
        values = pa.repeat(self._scalar, len(rows))
        return pc.if_else(pa.array(rows[:, 0] >= 0), values, None) if self.gaps else values

    @property
    def _scalar(self) -> pa.Scalar:
        return scalar(self.value, self.type)
