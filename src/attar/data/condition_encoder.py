"""The condition: labels, or a table with a row for each row of the data, as numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
from scipy.sparse import issparse
from torch import Tensor

from attar.data.arrays import native
from attar.data.cells import Number
from attar.data.kind import Json
from attar.data.kinds import (
    kind_from_json,
    kind_of,
    kind_to_json,
    preparation,
    restored,
)
from attar.data.preparation import Preparation
from attar.data.scaling import Scaler
from attar.data.table import Table
from attar.errors import DataError
from attar.storage import nested, unnested


@dataclass(frozen=True)
class ConditionEncoder:
    """A condition's preparation, fitted.

    Attributes
    ----------
    preparation : Preparation
        Of the condition as a table.
    """

    preparation: Preparation

    @classmethod
    def fit(cls, condition: object, rows: int) -> Self:
        """Return the encoder fitted to a condition of so many rows: labels (n,) or a table.

        Raises
        ------
        DataError
            If the condition has another number of rows, or cannot be a table.
        """
        table = _table(condition)
        _check_rows(table, rows)
        with _in_the_condition():
            kind, summary = kind_of(table).of([table])
        return cls(preparation(kind, kind.scaling(summary), summary))

    @property
    def size(self) -> int:
        """How many numbers encode a condition."""
        return int(np.prod(self.preparation.kind.shape))

    def prepare(self, condition: object, rows: int) -> Tensor:
        """Return the condition of so many rows as numbers (rows, size), zero where it is missing.

        Raises
        ------
        DataError
            If it is of another form than in the fit, or of another number of rows.
        """
        table = self.table(condition, rows)
        with _in_the_condition():
            cells = self.preparation.kind.rows(table)
        return self.preparation.prepare(cells).flatten(1).nan_to_num(0.0)

    def table(self, condition: object, rows: int) -> pd.DataFrame:
        """Return the condition of so many rows as a table of the form of the fit.

        A single condition applies to all rows.

        Raises
        ------
        DataError
            If it is of another form than in the fit, or of another number of rows.
        """
        kind = self.preparation.kind
        numbers = isinstance(kind, Table) and isinstance(kind.cells[0], Number)
        table = _table(condition, numbers)
        names = kind.names if isinstance(kind, Table) else None
        if names is not None and len(names) == 1 and list(table.columns) == ["condition"]:
            table = table.set_axis(list(names), axis=1)  # a label of a table with one column
        if len(table) == 1 < rows:
            table = table.loc[table.index.repeat(rows)].reset_index(drop=True)
        _check_rows(table, rows)
        if not kind.accepts(kind_of(table)):
            raise DataError("The condition is not of the form that the model was fitted with.")
        return table

    def tensors(self) -> dict[str, Tensor]:
        """Return all arrays by name."""
        scaler = dict(self.preparation.scaler.state_dict())
        return scaler | nested("kind", self.preparation.kind.tensors())

    def to_json(self) -> Json:
        """Return the rest as plain JSON data."""
        return kind_to_json(self.preparation.kind)

    @classmethod
    def restored(cls, description: Json, tensors: dict[str, Tensor]) -> Self:
        """Return the encoder that :meth:`to_json` and :meth:`tensors` described."""
        kind = kind_from_json(description, unnested("kind", tensors))
        scaler = {name: x for name, x in tensors.items() if not name.startswith("kind.")}
        return cls(restored(kind, Scaler.restored(scaler)))


def _table(condition: Any, numbers: bool = False) -> pd.DataFrame:
    """Return a condition as a table; labels are categories unless they are fractions.

    Where the fit had numbers, integers and text are taken for numbers.
    """
    condition = native(condition)
    if isinstance(condition, pd.DataFrame):
        return condition
    if hasattr(condition, "to_pandas"):  # of Arrow or polars
        return _table(condition.to_pandas(), numbers)
    if isinstance(condition, Mapping):
        single = all(np.ndim(column) < 1 for column in condition.values())
        return pd.DataFrame(condition, index=[0] if single else None)
    if issparse(condition) or np.ndim(condition) > 2:
        raise DataError("A condition is labels (n,) or a dense table (n, columns).")
    if np.ndim(condition) == 2 and np.shape(condition)[1] != 1:
        return pd.DataFrame(condition)
    if np.ndim(condition) == 2:
        condition = np.ravel(condition)
    values = pd.Series(np.atleast_1d(condition) if np.ndim(condition) < 1 else condition)
    if numbers:
        with suppress(ValueError, TypeError):
            values = pd.to_numeric(values).astype(float)
    if values.dtype.kind != "f":
        values = values.astype(str).where(values.notna()).astype("category")
    return values.to_frame("condition")


@contextmanager
def _in_the_condition() -> Iterator[None]:
    """Begin the message of each data error with "In the condition"."""
    try:
        yield
    except DataError as error:
        raise DataError(f"In the condition: {error}") from None


def _check_rows(table: pd.DataFrame, rows: int) -> None:
    if len(table) != rows:
        raise DataError(
            f"The condition has {len(table):,} row{'s' * (len(table) != 1)}, but the data has "
            f"{rows:,}: give one for each row, in their order."
        )
