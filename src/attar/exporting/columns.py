"""How an exported program prepares and restores a table: one tensor for each column."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor, nn

from attar.data.columns.arrow import TEXT, floats, plain_text, sort_of
from attar.data.columns.base import Column, ConstantColumn
from attar.data.columns.categorical import CategoricalColumn
from attar.data.columns.interpreted import InterpretedColumn
from attar.data.columns.notations import MISSING_WORDS
from attar.data.columns.numbers import BooleanColumn, IntegerColumn, NumberColumn
from attar.data.condition_encoder import ConditionEncoder
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


class Columns(nn.Module):
    """The columns of a table that are used, as a matrix, and as its cells.

    Parameters
    ----------
    kind : MixedTable
    """

    count: Tensor
    unseen: Tensor

    def __init__(self, kind: MixedTable) -> None:
        super().__init__()
        self.table = kind
        self.forms = [form_of_column(column) for column in kind.used]
        sizes = (form.taken.categories for form in self.forms)
        counts = [torch.inf if names is None else float(len(names)) for names in sizes]
        unseen = [form.unseen for form in self.forms]
        self.register_buffer("count", torch.tensor(counts, dtype=torch.float64))
        self.register_buffer("unseen", torch.tensor(unseen, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        """Return the cells of all columns."""
        absent = (x == MISSING) & self.count.isfinite()
        cells = torch.where(x == self.count, self.unseen, x)
        return torch.where(absent, torch.nan, cells)

    def given(self, data: object) -> Arrays:
        """Return the columns of a table."""
        values = self.table.values(data)
        return [form.array(values[form.column.name]) for form in self.forms]


class ColumnsForm(DenseForm):
    """A table: a tensor for each column that the model uses, by its name."""

    whole: Tensor
    truth: Tensor

    def __init__(self, kind: MixedTable, predictor: Predictor) -> None:
        super().__init__(predictor, np.dtype(kind.precision))
        self.columns, self.possible = Columns(kind), Possible(predictor)
        forms = self.columns.forms
        self.inputs = Block(tuple(form.taken for form in forms), columns=True)
        self.outputs = Block(tuple(form.restored for form in forms), columns=True)
        dtypes = [port.dtype for port in self.outputs.ports]
        self.register_buffer("whole", torch.tensor([dtype == torch.int64 for dtype in dtypes]))
        self.register_buffer("truth", torch.tensor([dtype == torch.bool for dtype in dtypes]))

    def rows(self, x: Tensor) -> Tensor:
        """Return the cells of all columns."""
        cells: Tensor = self.columns(x)
        return cells

    def values(self, rows: Tensor) -> Tensor:
        """Return the columns: integers rounded, booleans 0 or 1."""
        cells = self.possible(rows)
        cells = torch.where(self.whole, rounded(cells, torch.int64).double(), cells)
        return torch.where(self.truth, rounded(cells, torch.bool).double(), cells)

    def given(self, data: object) -> Arrays:
        """Return the columns of a table."""
        return self.columns.given(data)

    def arrays(self, rows: Rows) -> Arrays:
        """Return the columns as attar restores them, numbers not rounded."""
        return [form.decoded(rows[:, [i]]) for i, form in enumerate(self.columns.forms)]


class ConditionForm(nn.Module):
    """A condition: a tensor for each of its columns, called condition, or condition and its name.

    Parameters
    ----------
    encoder : ConditionEncoder

    Attributes
    ----------
    inputs : Block
    """

    def __init__(self, encoder: ConditionEncoder) -> None:
        super().__init__()
        kind = encoder.preparation.kind
        assert isinstance(kind, MixedTable)  # a condition is a frame
        self.encoder, self.columns = encoder, Columns(kind)
        self.kind, self.scaler = kind, encoder.preparation.scaler
        ports = [form.taken for form in self.columns.forms]
        names = ["condition" if p.name == "condition" else f"condition {p.name}" for p in ports]
        pairs = zip(ports, names, strict=True)
        self.inputs = Block(tuple(replace(port, name=name) for port, name in pairs), columns=True)

    def forward(self, x: Tensor) -> Tensor:
        """Return the condition as numbers (B, size), zero where it is missing."""
        single = np.can_cast(self.kind.precision, np.float32)
        scaled = self.scaler(self.columns(x).to(torch.float32 if single else torch.float64))
        prepared = self.kind.expand(self.scaler.cut(scaled).float())
        return prepared.flatten(1).nan_to_num(0.0)

    def given(self, condition: object, rows: int) -> Arrays:
        """Return the columns of the condition of so many rows."""
        return self.columns.given(self.encoder.table(condition, rows))

    def drawn(self, rows: int) -> object:
        """Return a random condition of so many rows, whatever is likely."""
        noise = torch.randn(rows, *self.kind.shape, generator=torch.Generator().manual_seed(0))
        return self.kind.restore(self.encoder.preparation.raw(noise))
