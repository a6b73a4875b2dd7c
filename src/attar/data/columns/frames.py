"""Tables of pandas, polars and pyarrow: their columns in Arrow's form, and the tables restored."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self, TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from attar.data.columns.arrow import (
    OPAQUE,
    TEXT,
    ArrowArray,
    Dtype,
    dtype_from_json,
    dtype_to_json,
    floats,
    foreign,
    from_arrow,
    index_from_json,
    index_to_json,
    joint,
    missing_of,
    places,
    plain_text,
    schema_from_json,
    schema_to_json,
    sort_of,
    texts,
    to_arrow,
)
from attar.data.kind import Json, Rows
from attar.data.stream import SupportsArrow
from attar.errors import DataError

Frame: TypeAlias = "pd.DataFrame | pa.Table"


def is_table(data: object) -> bool:
    """Return whether data are a table whose columns have names."""
    return isinstance(data, pd.DataFrame | SupportsArrow)


def frame_of(data: object) -> Frame:
    """Return a table of any library as one of pandas or pyarrow.

    Raises
    ------
    DataError
        If it is a single column, not a table.
    """
    if isinstance(data, pd.DataFrame | pa.Table):
        return data
    try:
        return pa.table(data)
    except pa.ArrowInvalid:
        raise DataError(
            "Expected a table or 2D array, got one column instead: make it a table, X.to_frame(), "
            "and if it is a row, X.to_frame().T."
        ) from None


def names_of(frame: Frame) -> list[str]:
    """Return the names of the columns as text.

    Raises
    ------
    DataError
        If there are none, or two are equal.
    """
    labels = frame.columns if isinstance(frame, pd.DataFrame) else frame.column_names
    names = [str(label) for label in labels]
    if not names:
        raise DataError("The table has no columns: there is nothing to learn.")
    again = pd.Index(names).duplicated()
    if again.any():
        raise DataError(
            f"The table has more than one column named {names[again.argmax()]!r}: rename them."
        )
    return names


def in_order(frame: Frame, names: Sequence[str]) -> Frame:
    """Return a table with its columns in the order of these names.

    Raises
    ------
    DataError
        If it has others.
    """
    given = {name: place for place, name in enumerate(names_of(frame))}
    absent = [name for name in names if name not in given]
    if absent:
        raise DataError(f"The table lacks the column {absent[0]!r} that the model was fitted on.")
    if len(given) > len(names):
        extra = next(name for name in given if name not in set(names))
        raise DataError(
            f"The table has a column {extra!r} that the model was not fitted on: drop it."
        )
    return frame if list(given) == list(names) else picked(frame, [given[name] for name in names])


def picked(frame: Frame, places: Sequence[int]) -> Frame:
    """Return the columns of a table at these places."""
    if isinstance(frame, pd.DataFrame):
        return frame.iloc[:, list(places)]
    return frame.select(list(places))


def opened(frame: Frame) -> pa.Table:
    """Return the columns of a table as Arrow arrays.

    Text is of one type; categories are dictionaries of text, whatever they are; a column whose
    values are all missing has the type null.

    Raises
    ------
    DataError
        If a column holds complex numbers.
    """
    names = names_of(frame)
    if isinstance(frame, pd.DataFrame):
        columns = [to_arrow(name, frame.iloc[:, i]) for i, name in enumerate(names)]
    else:
        columns = frame.columns
    return pa.table([_opened(column) for column in columns], names)


def _opened(column: ArrowArray) -> ArrowArray:
    type_ = column.type
    if not _has_values(column):
        return pa.nulls(len(column))
    if pa.types.is_string(type_) or pa.types.is_string_view(type_):
        return column.cast(TEXT)
    if pa.types.is_dictionary(type_) and type_.value_type != TEXT:
        try:
            return _with_text(column)
        except pa.ArrowException:
            return column
    return column


def _has_values(column: ArrowArray) -> bool:
    if column.type == OPAQUE:
        return True
    if column.null_count == len(column):
        return False
    if not pa.types.is_floating(column.type):
        return True
    first = column[0].as_py()
    if first is not None and first == first:
        return True
    return not pc.all(column.is_null(nan_is_null=True)).as_py()


def _with_text(column: ArrowArray) -> pa.Array:
    """Return a dictionary of anything as a dictionary of text."""
    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    array = pa.chunked_array(chunks).unify_dictionaries().combine_chunks()
    return pa.DictionaryArray.from_arrays(array.indices, array.dictionary.cast(TEXT))


def array_of(data: object) -> Rows:
    """Return an array, or a frame of numbers, as an array of numbers: None is NaN.

    Raises
    ------
    DataError, TypeError
        If it holds anything but real numbers.
    """
    array = _side_by_side(data) if is_table(data) else np.asarray(data)
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
    example = array.ravel().tolist()[0]
    raise DataError(
        f"The array holds {array.dtype} values such as {example!r} where numbers belong."
    )


def misfit(shape: tuple[int, ...], width: int) -> DataError:
    """Return the error for an array that has not the right number of columns."""
    # The wording of scikit-learn, which its checks require.
    given = shape[1] if len(shape) == 2 else shape
    return DataError(f"X has {given} features, but attar is expecting {width} features as input.")


def _side_by_side(data: object) -> Rows:
    table = opened(frame_of(data))
    for name in table.column_names:
        if sort_of(table[name].type) not in ("numbers", "booleans", "nothing"):
            raise foreign(name, table[name], "numbers")
    return np.column_stack([floats(column) for column in table.columns])


FORMATS: dict[str, type[FrameFormat]] = {}

# Arrow arrays by the name of their column.
Arrays = Mapping[str, ArrowArray]


class FrameFormat(ABC):
    """The library and the types of the user's own table: all but its values."""

    tag: ClassVar[str]

    def __init_subclass__(cls, tag: str = "") -> None:
        if tag:
            cls.tag = tag
            FORMATS[tag] = cls

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FrameFormat) and self.to_json() == other.to_json()

    @property
    @abstractmethod
    def names(self) -> tuple[Hashable, ...]:
        """The names of the columns."""

    @abstractmethod
    def merged(self, other: Self, void: Sequence[bool]) -> Self:
        """Return the format of two pieces together.

        Parameters
        ----------
        other : FrameFormat
            That of the second piece.
        void : sequence of bool
            Whether all values of a column were missing before the second piece.
        """

    @abstractmethod
    def close(self, arrays: Arrays, passthrough: pd.DataFrame | None) -> object:
        """Return the user's own table.

        Parameters
        ----------
        arrays : dict
            Arrow arrays by their column's name.
        passthrough : DataFrame or None
            The other columns, and the index. A column that cannot be cast to the type of the fit
            keeps its own.
        """

    @abstractmethod
    def joined(self, parts: Sequence[Any]) -> object:
        """Return tables as one, row after row."""

    @abstractmethod
    def to_json(self) -> Json:
        """Return the format as plain JSON data."""

    @staticmethod
    def from_json(data: Json) -> FrameFormat:
        """Return the format that :meth:`to_json` described."""
        return FORMATS[data["format"]].read(data)

    @classmethod
    @abstractmethod
    def read(cls, data: Json) -> Self:
        """Return the format of this class that :meth:`to_json` described."""


@dataclass(frozen=True, eq=False)
class PandasFormat(FrameFormat, tag="pandas"):
    """A DataFrame of pandas.

    Parameters
    ----------
    labels : Index
        The names of the columns.
    dtypes : tuple of dtype
    missing : tuple of str
        What stands for missing values in each column of objects: the first that occurs.
    """

    labels: pd.Index
    dtypes: tuple[Dtype, ...]
    missing: tuple[str | None, ...]

    @classmethod
    def of(cls, frame: pd.DataFrame) -> Self:
        """Return the format of a DataFrame."""
        columns = [frame.iloc[:, i] for i in range(frame.shape[1])]
        return cls(frame.columns, tuple(frame.dtypes), tuple(map(missing_of, columns)))

    @property
    def names(self) -> tuple[Hashable, ...]:
        """The names of the columns."""
        return tuple(self.labels)

    def merged(self, other: Self, void: Sequence[bool]) -> Self:
        """Return the format of two pieces together: with dtypes that hold the values of both."""
        dtypes = [
            second if empty else joint(first, second)
            for first, second, empty in zip(self.dtypes, other.dtypes, void, strict=True)
        ]
        missing = [a or b for a, b in zip(self.missing, other.missing, strict=True)]
        return type(self)(self.labels, tuple(dtypes), tuple(missing))

    def close(self, arrays: Arrays, passthrough: pd.DataFrame | None) -> pd.DataFrame:
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
        """Return DataFrames as one; where the index of each starts at 0, so does that of all."""
        plain = all(part.index.identical(pd.RangeIndex(len(part))) for part in parts)
        return pd.concat(parts, ignore_index=plain)

    def to_json(self) -> Json:
        """Return names, dtypes and missing values."""
        return {
            "format": self.tag,
            "labels": index_to_json(self.labels),
            "dtypes": [dtype_to_json(dtype) for dtype in self.dtypes],
            "missing": list(self.missing),
        }

    @classmethod
    def read(cls, data: Json) -> Self:
        """Return the format that :meth:`to_json` described."""
        dtypes = tuple(dtype_from_json(dtype) for dtype in data["dtypes"])
        return cls(index_from_json(data["labels"]), dtypes, tuple(data["missing"]))


@dataclass(frozen=True, eq=False)
class SchemaFormat(FrameFormat):
    """A table of Arrow columns.

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
        """Return the format of a table with this schema, whose columns were opened."""
        return cls(schema, tuple(map(_categories, columns)))

    @property
    def names(self) -> tuple[Hashable, ...]:
        """The names of the columns."""
        return tuple(self.schema.names)

    def merged(self, other: Self, void: Sequence[bool]) -> Self:
        """Return the format of two pieces together: with types that hold the values of both."""
        fields = [
            second if empty or first == second else _promoted(first, second)
            for first, second, empty in zip(self.schema, other.schema, void, strict=True)
        ]
        both = zip(self.categories, other.categories, strict=True)
        categories = [tuple(dict.fromkeys((a or ()) + (b or ()))) or None for a, b in both]
        return type(self)(pa.schema(fields, self.schema.metadata), tuple(categories))

    def close(self, arrays: Arrays, passthrough: pd.DataFrame | None) -> object:
        """Return the user's own table."""
        columns = []
        for field, labels in zip(self.schema, self.categories, strict=True):
            if field.name in arrays:
                columns.append(_typed(arrays[field.name], field.type, labels or ()))
            elif passthrough is not None:
                columns.append(_cast(pa.array(passthrough[field.name]), field.type))
        pairs = zip(self.schema, columns, strict=True)
        fields = [field.with_type(column.type) for field, column in pairs]
        return self.of_table(pa.table(columns, schema=pa.schema(fields, self.schema.metadata)))

    @abstractmethod
    def of_table(self, table: pa.Table) -> object:
        """Return a Table of pyarrow as the user's own table."""

    def to_json(self) -> Json:
        """Return schema and categories."""
        return {
            "format": self.tag,
            "schema": schema_to_json(self.schema),
            "categories": [labels and list(labels) for labels in self.categories],
        }

    @classmethod
    def read(cls, data: Json) -> Self:
        """Return the format that :meth:`to_json` described."""
        categories = (labels and tuple(labels) for labels in data["categories"])
        return cls(schema_from_json(data["schema"]), tuple(categories))


class TableFormat(SchemaFormat, tag="arrow"):
    """A Table of pyarrow."""

    def of_table(self, table: pa.Table) -> pa.Table:
        """Return the table."""
        return table

    def joined(self, parts: Sequence[pa.Table]) -> pa.Table:
        """Return tables as one."""
        return pa.concat_tables(parts)


class BatchFormat(SchemaFormat, tag="record batch"):
    """A RecordBatch of pyarrow."""

    def of_table(self, table: pa.Table) -> pa.RecordBatch:
        """Return a RecordBatch."""
        batches = table.combine_chunks().to_batches()
        return batches[0] if batches else pa.RecordBatch.from_pylist([], table.schema)

    def joined(self, parts: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
        """Return batches as one."""
        return self.of_table(pa.Table.from_batches(parts))


class PolarsFormat(SchemaFormat, tag="polars"):
    """A DataFrame of polars."""

    def of_table(self, table: pa.Table) -> object:
        """Return a DataFrame of polars."""
        import polars

        return polars.from_arrow(table)

    def joined(self, parts: Sequence[Any]) -> object:
        """Return frames as one."""
        import polars

        return polars.concat(parts)


def format_of(data: object, frame: Frame, opened: pa.Table) -> FrameFormat:
    """Return the format of a table.

    Parameters
    ----------
    data : table of pandas, pyarrow, polars, or anything with ``__arrow_c_stream__``
        Others than the three are restored as a Table of pyarrow.
    frame : DataFrame or pyarrow.Table
        The same table, of pandas or pyarrow.
    opened : pyarrow.Table
        Its columns as Arrow arrays.
    """
    if isinstance(frame, pd.DataFrame):
        return PandasFormat.of(frame)
    format_: type[SchemaFormat] = TableFormat
    if isinstance(data, pa.RecordBatch):
        format_ = BatchFormat
    elif type(data).__module__.partition(".")[0] == "polars":
        format_ = PolarsFormat
    return format_.of(frame.schema, opened.columns)


def _categories(column: pa.ChunkedArray) -> tuple[str, ...] | None:
    if not pa.types.is_dictionary(column.type):
        return None
    return tuple(column.unify_dictionaries().chunk(0).dictionary.to_pylist())


def _promoted(first: pa.Field, second: pa.Field) -> pa.Field:
    both = [pa.schema([field]) for field in (first, second)]
    return pa.unify_schemas(both, promote_options="permissive").field(0)


def _typed(array: ArrowArray, type_: pa.DataType, labels: Sequence[str]) -> ArrowArray:
    """Return an array in the type that it had."""
    if not pa.types.is_dictionary(type_):
        return plain_text(array).cast(type_)
    dictionary = pa.array(labels, TEXT)
    found = places(pa.chunked_array([array]), dictionary)
    indices = pa.array(found, mask=found < 0).cast(type_.index_type)
    values = dictionary.cast(type_.value_type)
    return pa.DictionaryArray.from_arrays(indices, values, ordered=type_.ordered)


def _as(values: pd.Series, dtype: Dtype) -> pd.Series:
    try:
        return values.astype(dtype)
    except (TypeError, ValueError):
        return values


def _cast(array: ArrowArray, type_: pa.DataType) -> ArrowArray:
    try:
        return array.cast(type_)
    except pa.ArrowException:
        return array
