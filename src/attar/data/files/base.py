"""Files as streams of rows, and what all files of tables have in common."""

from __future__ import annotations

import os
import re
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pandas.api.extensions import ExtensionDtype

from attar import workers
from attar.data.kind import Rows
from attar.data.stream import Share, Stream
from attar.errors import AttarError, DataError, FileError, first_line
from attar.remote import file_at, identity

# A piece has about this many bytes, and a number of rows between these two.
BYTES, MAX_ROWS, MIN_ROWS = 10 << 20, 1 << 16, 1 << 10


class FileStream(Stream):
    """The rows of one file, in pieces.

    Parameters
    ----------
    path : str or Path
    """

    def __init__(self, path: str | Path) -> None:
        self.path = file_at(path)

    @property
    def size(self) -> int:
        """How many bytes the file has."""
        with readable(self.path):
            return self.path.stat().st_size

    @property
    def fingerprint(self) -> str:
        """The file's path, size and modification time."""
        with readable(self.path):
            return identity(self.path)

    @property
    @abstractmethod
    def rows(self) -> int | None:
        """The number of rows, if the file's metadata has it; None where rows must be counted."""

    @abstractmethod
    def read(self) -> pd.DataFrame | Rows | list[str]:
        """Return all pieces as one."""


@contextmanager
def readable(path: str | Path) -> Iterator[None]:
    """Turn whatever a reader raises into one sentence.

    Raises
    ------
    FileError
        In place of any error that is not attar's own.
    """
    try:
        yield
    except AttarError:
        raise
    except PermissionError:
        raise FileError(f"{path} may not be read: change its permissions.") from None
    except FileNotFoundError:
        raise FileError(f"There is no file {path}.") from None
    except Exception as error:  # on damaged files readers raise errors of any type
        raise FileError(f"{path} cannot be read: {first_line(error)}.") from None


def files_in(folder: str, suffixes: tuple[str, ...], above: tuple[str, ...] = ()) -> Iterator[str]:
    """Yield the files with some suffixes in a folder and its subfolders, in their natural order.

    Hidden ones are left out.
    """
    real = os.path.realpath(folder)
    if real in above:  # a link to a parent
        return
    with readable(folder), os.scandir(folder) as scan:
        entries = sorted(scan, key=lambda entry: _natural(entry.name))
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            yield from files_in(entry.path, suffixes, (*above, real))
        elif entry.name.lower().endswith(suffixes):
            yield entry.path


def _natural(name: str) -> tuple[list[str | int], str]:
    parts = re.split("([0-9]+)", name.casefold())
    return [int(part) if i % 2 else part for i, part in enumerate(parts)], name


def rows_of_a_piece(width: int) -> int:
    """Return how many rows a piece has where a row takes so many bytes."""
    return max(MIN_ROWS, min(MAX_ROWS, BYTES // max(1, width)))


PLAIN = {pa.string_view(): pa.large_string(), pa.binary_view(): pa.large_binary()}


def plain_type(type_: pa.DataType) -> pa.DataType:
    """Return a type without views."""
    if pa.types.is_dictionary(type_):
        return pa.dictionary(type_.index_type, plain_type(type_.value_type), type_.ordered)
    return PLAIN.get(type_, type_)


def plain(column: pa.Array) -> pa.Array:
    """Return a column without views."""
    type_ = plain_type(column.type)
    if type_ == column.type:
        return column
    if pa.types.is_dictionary(type_):
        categories = column.dictionary.cast(type_.value_type)
        return pa.DictionaryArray.from_arrays(column.indices, categories, ordered=type_.ordered)
    return column.cast(type_)


MASKED: dict[pa.DataType, ExtensionDtype] = {
    pa.bool_(): pd.BooleanDtype(),
    pa.int8(): pd.Int8Dtype(),
    pa.int16(): pd.Int16Dtype(),
    pa.int32(): pd.Int32Dtype(),
    pa.int64(): pd.Int64Dtype(),
    pa.uint8(): pd.UInt8Dtype(),
    pa.uint16(): pd.UInt16Dtype(),
    pa.uint32(): pd.UInt32Dtype(),
    pa.uint64(): pd.UInt64Dtype(),
}


@dataclass(frozen=True)
class FrameForm:
    """The dtypes, categories and index that all frames of one table share.

    - Integers and booleans with missing values are of pandas' masked dtypes (``Int64``,
      ``boolean``): they stay exact, and are written as integers and booleans again.
    - Dates are ``datetime64[s]``, a unit that datetimes in files do not have.
    - Categories are those of the whole table, in order of appearance.
    - All else is as :func:`pandas.read_parquet` has it, the index included.

    Attributes
    ----------
    schema : pyarrow.Schema
    masked : set of str
        The columns of integers or booleans with missing values.
    categories : dict of pyarrow.Array
        The categories of each categorical column.
    index : RangeIndex
        The row numbers, for a table without an index of its own.
    """

    schema: pa.Schema
    masked: set[str]
    categories: dict[str, pa.Array]
    index: pd.RangeIndex

    def frame(self, batches: list[pa.RecordBatch], start: int) -> pd.DataFrame:
        """Return the rows from ``start`` on, which are these batches."""
        table = pa.Table.from_batches(batches, self.schema)
        columns = [self._plain(name, table.column(i)) for i, name in enumerate(self.schema.names)]
        table = pa.Table.from_arrays(columns, self.schema.names, metadata=self.schema.metadata)
        frame: pd.DataFrame = table.to_pandas()
        for name in frame.columns:
            if str(name) in self.masked:
                column = table.column(str(name))
                frame[name] = column.to_pandas(types_mapper=MASKED.get).array
        if isinstance(frame.index, pd.RangeIndex):
            frame.index = self.index[start : start + len(frame)]
        return frame

    def frames(self, batches: Iterable[pa.RecordBatch], start: int) -> Iterator[pd.DataFrame]:
        """Yield the rows from ``start`` on in pieces, at least an empty one."""
        row = start
        for piece in rebatched(batches):
            frame = self.frame(piece, row)
            row += len(frame)
            yield frame
        if row == start:
            yield self.frame([], start)

    def _plain(self, name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
        if pa.types.is_date(column.type):
            return column.cast(pa.timestamp("s"))
        if name in self.categories:
            chunks = [_recoded(chunk, self.categories[name]) for chunk in column.chunks]
            coded = pa.dictionary(pa.int32(), self.categories[name].type, column.type.ordered)
            return pa.chunked_array(chunks, coded)
        return column


class TableStream(FileStream):
    """The rows of a table in a file, as frames.

    Parameters
    ----------
    path : str or Path

    Raises
    ------
    FileError
        When read, if the file is damaged.
    DataError
        When read, if two columns have the same name.
    """

    def __iter__(self) -> Iterator[pd.DataFrame]:
        """Yield frames with the same columns, dtypes and categories."""
        with readable(self.path):
            yield from self._form.frames(self._batches(), 0)

    @property
    def units(self) -> list[TableStream]:
        """Parts that can be read by themselves, one after the other; at least itself."""
        return [self]

    def share(self) -> Share | None:
        """Return the units that this worker reads; None where there are too few for all.

        Workers get almost equal numbers of rows, or bytes where rows must be counted.
        """
        if workers.count() == 1:
            return None
        units = self.units
        counted = [unit.rows for unit in units]
        rows = [n for n in counted if n is not None]
        known = len(rows) == len(units)
        sizes = np.array(rows if known else [unit.size for unit in units], float)
        middles = (sizes.cumsum() - sizes / 2) / max(sizes.sum(), 1)
        owners = (middles * workers.count()).astype(int)
        if len(np.unique(owners)) < workers.count():
            return None
        own = np.flatnonzero(owners == workers.rank())
        start = sum(rows[: own[0]]) if known else None
        return Share(partial(self.part, units[own[0] : own[-1] + 1], start or 0), start)

    def part(self, units: Sequence[TableStream], start: int = 0) -> Iterator[pd.DataFrame]:
        """Yield the rows of some units in pieces, in the form of the whole.

        Parameters
        ----------
        units : sequence of TableStream
            One after the other.
        start : int
            The number of their first row.
        """
        with readable(self.path):
            schema = self._form.schema
            batches = (of_schema(batch, schema) for unit in units for batch in unit._batches())
            yield from self._form.frames(batches, start)

    def read(self) -> pd.DataFrame:
        """Return the whole table."""
        return pd.concat(self)

    @abstractmethod
    def _schema(self) -> pa.Schema:
        """Return the columns' names and types."""

    @abstractmethod
    def _batches(self, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Yield all rows: of all columns, or of some."""

    @cached_property
    def _form(self) -> FrameForm:
        schema = self._schema()
        self._require_unique(schema.names)
        return FrameForm(
            schema,
            self._with_missing([f.name for f in schema if f.type in MASKED and f.nullable]),
            self._categories([f.name for f in schema if pa.types.is_dictionary(f.type)]),
            _row_numbers(schema, self.rows),
        )

    def _require_unique(self, names: list[str]) -> None:
        index = pd.Index(names)
        if not index.is_unique:
            repeated = index[index.duplicated()][0]
            raise DataError(
                f"{self.path} has more than one column named {repeated!r}: rename them."
            )

    def _with_missing(self, names: list[str]) -> set[str]:
        """Return those of these columns that have missing values."""
        found: set[str] = set()
        for batch in self._batches(names) if names else ():
            found |= {name for name in names if batch.column(name).null_count}
        return found

    def _categories(self, names: list[str]) -> dict[str, pa.Array]:
        categories: dict[str, pa.Array] = {}
        for batch in self._batches(names) if names else ():
            for name in names:
                own = batch.column(name).dictionary.drop_null().unique()
                known = categories.get(name, own[:0])
                new = own.filter(pc.invert(pc.is_in(own, value_set=known)))
                categories[name] = pa.concat_arrays([known, new])
        return categories


def of_schema(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """Return a batch with the columns and types of a schema."""
    if batch.schema.equals(schema):
        return batch
    arrays = [batch.column(field.name).cast(field.type) for field in schema]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def rebatched(batches: Iterable[pa.RecordBatch]) -> Iterator[list[pa.RecordBatch]]:
    """Yield the rows of batches of any lengths in pieces of one length, fit for the first batch."""
    piece: list[pa.RecordBatch] = []
    length = size = 0
    for batch in batches:
        length = length or rows_of_a_piece(batch.nbytes // max(1, len(batch)))
        while len(batch):
            piece.append(batch.slice(0, length - size))
            batch = batch.slice(length - size)
            size += len(piece[-1])
            if size == length:
                yield piece
                piece, size = [], 0
    if piece:
        yield piece


def _recoded(column: pa.DictionaryArray, categories: pa.Array) -> pa.DictionaryArray:
    places = pc.index_in(column.dictionary, value_set=categories)
    return pa.DictionaryArray.from_arrays(
        places.take(column.indices), categories, ordered=column.type.ordered
    )


def _row_numbers(schema: pa.Schema, rows: int | None) -> pd.RangeIndex:
    """Return the range that pandas noted as the index, if it fits; else 0, 1, ..."""
    metadata = schema.pandas_metadata or {}
    for entry in metadata.get("index_columns", ()):
        if isinstance(entry, dict) and entry.get("kind") == "range":
            numbers = pd.RangeIndex(entry["start"], entry["stop"], entry["step"])
            if len(numbers) == rows:
                return numbers.rename(entry["name"])
    return pd.RangeIndex(1 << 62)
