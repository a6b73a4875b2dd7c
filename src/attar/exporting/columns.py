"""How an exported program prepares and restores a table: one tensor for each column."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from attar.data.columns.arrow import TEXT, floats, plain_text, sort_of
from attar.data.columns.base import Column, ConstantColumn
from attar.data.columns.categorical import CategoricalColumn
from attar.data.columns.interpreted import InterpretedColumn
from attar.data.columns.notations import MISSING_WORDS
from attar.data.columns.numbers import BooleanColumn, IntegerColumn, NumberColumn
from attar.data.kind import Rows
from attar.data.table import MixedTable
from attar.errors import SettingError
from attar.exporting.forms import DenseForm, Possible
from attar.exporting.ports import MISSING, Array, Arrays, Block, Port, rounded
from attar.predictor import Predictor

# What a missing category is as a string.
ABSENT = ("", *MISSING_WORDS)


class ColumnForm(ABC):
    """A column as a tensor (B,).

    Attributes
    ----------
    column : Column
    taken, restored : Port
    unseen : float
        The raw cell of a category that the fit did not see.
    """

    taken: Port
    restored: Port
    unseen = torch.nan

    def __init__(self, column: Column) -> None:
        self.column = column

    @abstractmethod
    def array(self, values: pa.ChunkedArray) -> Array:
        """Return values of the column as those that a program takes."""

    @abstractmethod
    def decoded(self, cells: Rows) -> Array:
        """Return raw cells (n, 1) as attar restores them, but not rounded."""


class NumberForm(ColumnForm):
    """Numbers, integers and booleans: doubles, NaN where one is missing."""

    def __init__(self, column: NumberColumn | IntegerColumn | BooleanColumn) -> None:
        super().__init__(column)
        self.taken = Port(column.name, torch.float64)
        dtypes = {BooleanColumn: torch.bool, IntegerColumn: torch.int64}
        dtype = dtypes.get(type(column), torch.float64)
        self.restored = Port(f"reconstructed {column.name}", dtype)

    def array(self, values: pa.ChunkedArray) -> Array:
        """Return the numbers as doubles."""
        return floats(values)

    def decoded(self, cells: Rows) -> Array:
        """Return the numbers, integers not rounded; those of integer types within their range."""
        numbers: Array = cells[:, 0]
        if pa.types.is_integer(self.column.type):
            limits = np.iinfo(self.column.type.to_pandas_dtype())
            numbers = numbers.clip(limits.min, limits.max)
        return numbers


class CategoryForm(ColumnForm):
    """Categories: strings, or their indices where a format has no strings."""

    def __init__(self, column: Column, labels: tuple[str, ...], other: str | None = None) -> None:
        super().__init__(column)
        absent = tuple(word for word in ABSENT if word not in labels)
        self.unseen = -1.0 if other is None else float(len(labels))
        rest = other or ""
        self.taken = Port(column.name, torch.int64, (), labels, rest, absent)
        self.restored = Port(f"reconstructed {column.name}", torch.int64, (), labels, rest)

    def array(self, values: pa.ChunkedArray) -> Array:
        """Return the strings, empty where one is missing."""
        return np.array(plain_text(values).fill_null("").to_pylist(), object)

    def decoded(self, cells: Rows) -> Array:
        """Return the strings."""
        return np.array(plain_text(self.column.decode(cells)).to_pylist(), object)


def form_of_column(column: Column) -> ColumnForm:
    """Return the form of a column that is used.

    Raises
    ------
    SettingError
        If a program cannot prepare it.
    """
    match column:
        case NumberColumn() | IntegerColumn() | BooleanColumn():
            return NumberForm(column)
        case CategoricalColumn():
            return CategoryForm(column, column.categories, column.other)
        case ConstantColumn(type=type_, value=str(value)) if type_ == TEXT:
            return CategoryForm(column, (value,))
        case InterpretedColumn(inner=inner, pattern=None):
            return form_of_column(inner)
    raise SettingError(
        f"Column {column.name!r} holds {sort_of(column.type)} that attar takes for a "
        f"{column.kind}, and an exported program takes only numbers, booleans and categories: fit "
        "without it, or convert it."
    )


class ColumnsForm(DenseForm):
    """A table: a tensor for each column that the model uses, by its name."""

    count: Tensor
    unseen: Tensor
    whole: Tensor
    truth: Tensor

    def __init__(self, kind: MixedTable, predictor: Predictor) -> None:
        super().__init__(predictor, np.dtype(kind.precision))
        self.table = kind
        self.columns = [form_of_column(column) for column in kind.used]
        self.inputs = Block(tuple(column.taken for column in self.columns), columns=True)
        self.outputs = Block(tuple(column.restored for column in self.columns), columns=True)
        self.possible = Possible(predictor)
        sizes = (port.categories for port in self.inputs.ports)
        dtypes = [port.dtype for port in self.outputs.ports]
        counts = [torch.inf if names is None else float(len(names)) for names in sizes]
        unseen = [column.unseen for column in self.columns]
        self.register_buffer("count", torch.tensor(counts, dtype=torch.float64))
        self.register_buffer("unseen", torch.tensor(unseen, dtype=torch.float64))
        self.register_buffer("whole", torch.tensor([dtype == torch.int64 for dtype in dtypes]))
        self.register_buffer("truth", torch.tensor([dtype == torch.bool for dtype in dtypes]))

    def rows(self, x: Tensor) -> Tensor:
        """Return the cells of all columns."""
        absent = (x == MISSING) & self.count.isfinite()
        cells = torch.where(x == self.count, self.unseen, x)
        return torch.where(absent, torch.nan, cells)

    def values(self, rows: Tensor) -> Tensor:
        """Return the columns: integers rounded, booleans 0 or 1."""
        cells = self.possible(rows)
        cells = torch.where(self.whole, rounded(cells, torch.int64).double(), cells)
        return torch.where(self.truth, rounded(cells, torch.bool).double(), cells)

    def given(self, data: object) -> Arrays:
        """Return the columns of a table."""
        values = self.table.values(data)
        return [column.array(values[column.column.name]) for column in self.columns]

    def arrays(self, rows: Rows) -> Arrays:
        """Return the columns as attar restores them, numbers not rounded."""
        return [column.decoded(rows[:, [i]]) for i, column in enumerate(self.columns)]
