"""Tables of numbers: arrays (n, columns) and pandas DataFrames."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attar.data.kind import Kind, Rows, back_to, require_numbers
from attar.data.scaling import MinMax, Scaling, Standard
from attar.errors import DataError


@dataclass(frozen=True)
class Table(Kind):
    """The form of a numeric table.

    Parameters
    ----------
    dtypes : tuple of str
        The dtype of each column.
    names : tuple of (str or int) or None
        The columns of a DataFrame; None for an array.
    """

    dtypes: tuple[str, ...]
    names: tuple[str | int, ...] | None = None

    name = "table"

    @property
    def shape(self) -> tuple[int, ...]:  # type: ignore[override]
        """The number of columns, as the shape of a row."""
        return (len(self.dtypes),)

    @classmethod
    def of(cls, data: Any) -> Self:
        """Return the form of an array (n, columns) or a DataFrame."""
        if isinstance(data, pd.DataFrame):
            names = data.columns.map(str)
            repeated = names[names.duplicated()]
            if len(repeated):
                raise DataError(
                    f"The table has more than one column named {repeated[0]!r}: rename them."
                )
            numbers = _frame_numbers(data)
            return cls(tuple(str(c.dtype) for c in numbers), tuple(_named(data)))
        array = _array_numbers(data)
        return cls((str(array.dtype),) * array.shape[1])

    def rows(self, data: Any) -> Rows:
        """Return the table as one array of numbers: (n, columns)."""
        if isinstance(data, pd.DataFrame):
            columns = _frame_numbers(self._in_order(data))
            if not columns:
                return np.empty((len(data), 0))
            rows = np.column_stack([c.to_numpy() for c in columns])
        else:
            rows = _array_numbers(data)
        if rows.ndim != 2 or rows.shape[1] != len(self.dtypes):
            raise DataError(
                f"X has {rows.shape[1] if rows.ndim == 2 else rows.shape} features, but "
                f"Autoencoder is expecting {len(self.dtypes)} features as input."
            )
        return require_numbers(rows, lambda place: self._describe(place[0]))

    def restore(self, rows: Rows) -> Any:
        """Return numbers as an array or DataFrame with the table's own dtypes."""
        if self.names is None:
            return back_to(np.dtype(self.dtypes[0]), rows)
        columns = {
            name: back_to(np.dtype(dtype), rows[:, i])
            for i, (name, dtype) in enumerate(zip(self.names, self.dtypes, strict=True))
        }
        return pd.DataFrame(columns)

    def scaling(self, rows: Rows) -> Scaling:
        """Return min-max for columns that all lie between 0 and 1, else standardization."""
        return MinMax() if rows.min() >= 0 and rows.max() <= 1 else Standard()

    def columns(self, rows: Rows) -> Rows:
        """Return the rows: each column has its own scale."""
        return rows

    def spread(self, per_column: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the values as they are."""
        return per_column

    def feature_names(self) -> list[str]:
        """Return the columns' names; x0, x1, ... for an array."""
        return [str(name) for name in self.names or (f"x{i}" for i in range(len(self.dtypes)))]

    def to_json(self) -> dict[str, Any]:
        """Return dtypes and names."""
        return {"dtypes": list(self.dtypes), "names": self.names and list(self.names)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Return the form that :meth:`to_json` wrote down."""
        names = data["names"]
        return cls(tuple(data["dtypes"]), None if names is None else tuple(names))

    def _describe(self, column: int) -> str:
        return f"Column {self.names[column]!r}" if self.names else f"Column {column} of X"

    def _in_order(self, frame: pd.DataFrame) -> pd.DataFrame:
        if self.names is None:
            return frame
        given = _named(frame)
        absent = [name for name in self.names if name not in given]
        if absent:
            raise DataError(
                f"The table lacks the column {absent[0]!r} that the model was fitted on."
            )
        extra = [name for name in given if name not in self.names]
        if extra:
            raise DataError(
                f"The table has a column {extra[0]!r} that the model was not fitted on: drop it."
            )
        return frame.set_axis(given, axis=1)[list(self.names)]


def _named(frame: pd.DataFrame) -> list[str | int]:
    return [int(c) if isinstance(c, int | np.integer) else str(c) for c in frame.columns]


def _frame_numbers(frame: pd.DataFrame) -> list[pd.Series[Any]]:
    columns = []
    for name in frame.columns:
        column = frame[name]
        if column.dtype == object:
            column = column.infer_objects()
        if not pd.api.types.is_numeric_dtype(column) or column.dtype.kind == "c":
            first = column.dropna().iloc[0] if column.notna().any() else None
            raise DataError(
                f"Column {name!r} holds {column.dtype} values such as {first!r} where numbers "
                "belong: encode it or leave it out."
            )
        if pd.api.types.is_extension_array_dtype(column.dtype):
            kind = column.dtype.kind if not column.isna().any() else "f"
            column = column.astype(float if kind == "f" else column.to_numpy().dtype)
        columns.append(column)
    return columns


def _array_numbers(data: Any) -> Rows:
    array = np.asarray(data)
    if array.dtype.kind in "biuf":
        return array
    if array.dtype.kind == "c":
        raise DataError("Complex data not supported: give real numbers.")
    if array.dtype.kind == "O":
        try:
            return array.astype(np.float64)
        except TypeError as error:
            raise TypeError(f"argument must be a string or a real number: {error}.") from None
        except ValueError:
            pass
    raise DataError(
        f"The array holds {array.dtype} values such as {array.flat[0]!r} where numbers belong."
    )
