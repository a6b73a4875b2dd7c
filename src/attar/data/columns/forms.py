"""Forms of tables: what the user's own table is, and how it is made of columns again."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import pandas as pd
import pyarrow as pa

from attar.data.columns.arrow import (
    TEXT,
    dtype_from_json,
    dtype_to_json,
    from_arrow,
    index_from_json,
    index_to_json,
    joint,
    missing_of,
    places,
    plain_text,
    schema_from_json,
    schema_to_json,
    texts,
)

FORMS: dict[str, type[FrameFormat]] = {}


class FrameFormat(ABC):
    """What kind of table the user has, with everything but the values."""

    tag: ClassVar[str]

    def __init_subclass__(cls, tag: str = "") -> None:
        cls.tag = tag
        FORMS[tag] = cls

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FrameFormat) and self.to_json() == other.to_json()

    @property
    @abstractmethod
    def names(self) -> tuple[Any, ...]:
        """The names of the columns."""

    @abstractmethod
    def merged(self, other: Any, void: Sequence[bool]) -> Self:
        """Return the form of two pieces together.

        Parameters
        ----------
        other : Form
            That of the second piece.
        void : sequence of bool
            Whether a column had no value before the second piece.
        """

    @abstractmethod
    def close(self, arrays: dict[str, Any], passthrough: pd.DataFrame | None) -> Any:
        """Return the user's own table.

        Parameters
        ----------
        arrays : dict
            Arrow arrays by their column's name.
        passthrough : DataFrame or None
            The other columns, and the index. A column that does not fit the type that was fitted
            keeps its own.
        """

    @abstractmethod
    def joined(self, parts: Sequence[Any]) -> Any:
        """Return tables under each other."""

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """Return the form as plain JSON data."""

    @staticmethod
    def from_json(data: dict[str, Any]) -> FrameFormat:
        """Return the form that :meth:`to_json` wrote down."""
        return FORMS[data["form"]].read(data)

    @classmethod
    @abstractmethod
    def read(cls, data: dict[str, Any]) -> Self:
        """Return the form of this class that :meth:`to_json` wrote down."""


@dataclass(frozen=True, eq=False)
class Pandas(FrameFormat, tag="pandas"):
    """A DataFrame of pandas.

    Parameters
    ----------
    labels : Index
        The names of the columns.
    dtypes : tuple of dtype
    missing : tuple of str
        What a column of objects has for missing values: the first that occurs.
    """

    labels: pd.Index[Any]
    dtypes: tuple[Any, ...]
    missing: tuple[str | None, ...]

    @classmethod
    def of(cls, frame: pd.DataFrame) -> Self:
        """Return the form of a DataFrame."""
        columns = [frame.iloc[:, i] for i in range(frame.shape[1])]
        return cls(frame.columns, tuple(frame.dtypes), tuple(map(missing_of, columns)))

    @property
    def names(self) -> tuple[Any, ...]:
        """The names of the columns."""
        return tuple(self.labels)

    def merged(self, other: Pandas, void: Sequence[bool]) -> Self:
        """Return the form of two pieces together: with dtypes that hold the values of both."""
        dtypes = [
            second if empty else joint(first, second)
            for first, second, empty in zip(self.dtypes, other.dtypes, void, strict=True)
        ]
        missing = [a or b for a, b in zip(self.missing, other.missing, strict=True)]
        return type(self)(self.labels, tuple(dtypes), tuple(missing))

    def close(self, arrays: dict[str, Any], passthrough: pd.DataFrame | None) -> pd.DataFrame:
        """Return a DataFrame."""
        index = None if passthrough is None else passthrough.index
        columns = {}
        for i, (name, dtype) in enumerate(zip(texts(self.labels), self.dtypes, strict=True)):
            if name in arrays:
                values = from_arrow(arrays[name], dtype, self.missing[i])
                # The dtype again, for pandas takes objects that are text for text.
                columns[i] = pd.Series(values, index, dtype, copy=False)
            elif passthrough is not None:
                columns[i] = _as(passthrough[name], dtype)
        frame = pd.DataFrame(columns, index=index)
        return frame.set_axis(self.labels, axis=1)

    def joined(self, parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
        """Return DataFrames under each other; where each begins at 0, rows are numbered anew."""
        anew = all(part.index.identical(pd.RangeIndex(len(part))) for part in parts)
        return pd.concat(parts, ignore_index=anew)

    def to_json(self) -> dict[str, Any]:
        """Return names, dtypes and missing values."""
        return {
            "form": self.tag,
            "labels": index_to_json(self.labels),
            "dtypes": [dtype_to_json(dtype) for dtype in self.dtypes],
            "missing": list(self.missing),
        }

    @classmethod
    def read(cls, data: dict[str, Any]) -> Self:
        """Return the form that :meth:`to_json` wrote down."""
        dtypes = tuple(dtype_from_json(dtype) for dtype in data["dtypes"])
        return cls(index_from_json(data["labels"]), dtypes, tuple(data["missing"]))


@dataclass(frozen=True, eq=False)
class Arrow(FrameFormat, tag="arrow"):
    """A Table of pyarrow.

    Parameters
    ----------
    schema : pyarrow.Schema
    categories : tuple of (tuple of str or None)
        The texts of the columns that are dictionaries.
    """

    schema: pa.Schema
    categories: tuple[tuple[str, ...] | None, ...]

    @classmethod
    def of(cls, schema: pa.Schema, columns: Sequence[pa.ChunkedArray]) -> Self:
        """Return the form of a table with this schema, whose columns were opened."""
        return cls(schema, tuple(map(_categories, columns)))

    @property
    def names(self) -> tuple[Any, ...]:
        """The names of the columns."""
        return tuple(self.schema.names)

    def merged(self, other: Arrow, void: Sequence[bool]) -> Self:
        """Return the form of two pieces together: with types that hold the values of both."""
        fields = [
            second if empty or first == second else _promoted(first, second)
            for first, second, empty in zip(self.schema, other.schema, void, strict=True)
        ]
        both = zip(self.categories, other.categories, strict=True)
        categories = [tuple(dict.fromkeys((a or ()) + (b or ()))) or None for a, b in both]
        return type(self)(pa.schema(fields, self.schema.metadata), tuple(categories))

    def close(self, arrays: dict[str, Any], passthrough: pd.DataFrame | None) -> Any:
        """Return a Table."""
        columns = []
        for field, labels in zip(self.schema, self.categories, strict=True):
            if field.name in arrays:
                columns.append(_typed(arrays[field.name], field.type, labels or ()))
            elif passthrough is not None:
                columns.append(_cast(pa.array(passthrough[field.name]), field.type))
        pairs = zip(self.schema, columns, strict=True)
        fields = [field.with_type(column.type) for field, column in pairs]
        return pa.table(columns, schema=pa.schema(fields, self.schema.metadata))

    def joined(self, parts: Sequence[Any]) -> Any:
        """Return tables under each other."""
        return pa.concat_tables(parts)

    def to_json(self) -> dict[str, Any]:
        """Return schema and categories."""
        return {
            "form": self.tag,
            "schema": schema_to_json(self.schema),
            "categories": [labels and list(labels) for labels in self.categories],
        }

    @classmethod
    def read(cls, data: dict[str, Any]) -> Self:
        """Return the form that :meth:`to_json` wrote down."""
        categories = (labels and tuple(labels) for labels in data["categories"])
        return cls(schema_from_json(data["schema"]), tuple(categories))


class ArrowBatch(Arrow, tag="record batch"):
    """A RecordBatch of pyarrow."""

    def close(self, arrays: dict[str, Any], passthrough: pd.DataFrame | None) -> pa.RecordBatch:
        """Return a RecordBatch."""
        return _batch(super().close(arrays, passthrough))

    def joined(self, parts: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
        """Return batches under each other."""
        return _batch(pa.Table.from_batches(parts))


class Polars(Arrow, tag="polars"):
    """A DataFrame of polars."""

    def close(self, arrays: dict[str, Any], passthrough: pd.DataFrame | None) -> Any:
        """Return a DataFrame of polars."""
        import polars

        return polars.from_arrow(super().close(arrays, passthrough))

    def joined(self, parts: Sequence[Any]) -> Any:
        """Return frames under each other."""
        import polars

        return polars.concat(parts)


def form_of(data: Any, frame: Any, opened: pa.Table) -> FrameFormat:
    """Return the form of a table.

    Parameters
    ----------
    data : table of pandas, pyarrow, polars, or anything with ``__arrow_c_stream__``
        Others than the three come back as a Table of pyarrow.
    frame : DataFrame or pyarrow.Table
        The same table, of pandas or pyarrow.
    opened : pyarrow.Table
        Its columns as Arrow arrays.
    """
    if isinstance(frame, pd.DataFrame):
        return Pandas.of(frame)
    form = Arrow
    if isinstance(data, pa.RecordBatch):
        form = ArrowBatch
    elif type(data).__module__.partition(".")[0] == "polars":
        form = Polars
    return form.of(frame.schema, opened.columns)


def _categories(column: pa.ChunkedArray) -> tuple[str, ...] | None:
    if not pa.types.is_dictionary(column.type):
        return None
    return tuple(column.unify_dictionaries().chunk(0).dictionary.to_pylist())


def _promoted(first: pa.Field, second: pa.Field) -> pa.Field:
    both = [pa.schema([field]) for field in (first, second)]
    return pa.unify_schemas(both, promote_options="permissive").field(0)


def _typed(array: Any, type_: pa.DataType, labels: Sequence[str]) -> pa.Array:
    """Return an array in the type that it had."""
    if not pa.types.is_dictionary(type_):
        return plain_text(array).cast(type_)
    known = pa.array(labels, TEXT)
    numbers = places(pa.chunked_array([array]), known)
    indices = pa.array(numbers, mask=numbers < 0).cast(type_.index_type)
    values = known.cast(type_.value_type)
    return pa.DictionaryArray.from_arrays(indices, values, ordered=type_.ordered)


def _as(values: pd.Series[Any], dtype: Any) -> pd.Series[Any]:
    try:
        return values.astype(dtype)
    except (TypeError, ValueError):
        return values


def _cast(array: Any, type_: pa.DataType) -> Any:
    try:
        return array.cast(type_)
    except pa.ArrowException:
        return array


def _batch(table: pa.Table) -> pa.RecordBatch:
    whole = table.combine_chunks().to_batches()
    return whole[0] if whole else pa.RecordBatch.from_pylist([], table.schema)
