"""Files as streams of rows."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from attar.data.stream import Stream
from attar.errors import AttarError, DataError, FileError, first_line

# A piece has about this many bytes, and no more than so many rows, or fewer.
BYTES, MOST, FEWEST = 10 << 20, 1 << 16, 1 << 10


class FileStream(Stream):
    """The rows of one file, in pieces.

    Parameters
    ----------
    path : str or Path
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    @property
    def fingerprint(self) -> str:
        """The file's place, size and time of change."""
        with readable(self.path):
            facts = self.path.stat()
        return f"{self.path.resolve()} {facts.st_size} {facts.st_mtime_ns}"

    @property
    @abstractmethod
    def rows(self) -> int | None:
        """How many rows there are, if the file says so; None where they must be counted."""

    @abstractmethod
    def read(self) -> Any:
        """Return all pieces as one: what is read whole and what is streamed are the same."""


@contextmanager
def readable(path: str | Path) -> Iterator[None]:
    """Tell in one sentence what keeps a file from being read.

    Raises
    ------
    FileError
        In place of whatever a reader raises.
    """
    try:
        yield
    except AttarError:
        raise
    except PermissionError:
        raise FileError(f"{path} may not be read: change its permissions.") from None
    except FileNotFoundError:
        raise FileError(f"There is no file {path}.") from None
    except Exception as error:  # on damaged files readers raise whatever they like
        raise FileError(f"{path} cannot be read: {first_line(error)}.") from None


def rows_of_a_piece(width: int) -> int:
    """Return how many rows a piece has where a row takes so many bytes."""
    return max(FEWEST, min(MOST, BYTES // max(1, width)))


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
        levels = column.dictionary.cast(type_.value_type)
        return pa.DictionaryArray.from_arrays(column.indices, levels, ordered=type_.ordered)
    return column.cast(type_)


MASKED: dict[pa.DataType, Any] = {
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
    """What the frames of one table have in common.

    - Whole numbers and booleans of which any is missing are of pandas' masked dtypes (``Int64``,
      ``boolean``): they stay exact, and remain whole numbers and booleans when they are written.
    - Dates are ``datetime64[s]``, a unit that points in time in files do not have.
    - Categories have the levels of the whole table, in the order in which they come.
    - All else is as :func:`pandas.read_parquet` has it, the index included.

    Attributes
    ----------
    schema : pyarrow.Schema
    masked : set of str
        The columns of whole numbers or booleans of which any is missing.
    levels : dict of pyarrow.Array
        The levels of each column of categories.
    index : RangeIndex
        The numbers of the rows, for a table without an index of its own.
    """

    schema: pa.Schema
    masked: set[str]
    levels: dict[str, pa.Array]
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
                frame[name] = MASKED[column.type].__from_arrow__(column)
        if isinstance(frame.index, pd.RangeIndex):
            frame.index = self.index[start : start + len(frame)]
        return frame

    def _plain(self, name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
        if pa.types.is_date(column.type):
            return column.cast(pa.timestamp("s"))
        if name in self.levels:
            chunks = [_recoded(chunk, self.levels[name]) for chunk in column.chunks]
            coded = pa.dictionary(pa.int32(), self.levels[name].type, column.type.ordered)
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
        When read, if two columns have one name.
    """

    def __iter__(self) -> Iterator[pd.DataFrame]:
        """Yield frames with the same columns, dtypes and levels."""
        with readable(self.path):
            start = 0
            for batches in evenly(self._batches()):
                frame = self._form.frame(batches, start)
                start += len(frame)
                yield frame
            if not start:
                yield self._form.frame([], 0)

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
            self._levels([f.name for f in schema if pa.types.is_dictionary(f.type)]),
            _numbers(schema, self.rows),
        )

    def _require_unique(self, names: list[str]) -> None:
        index = pd.Index(names)
        if not index.is_unique:
            twice = index[index.duplicated()][0]
            raise DataError(f"{self.path} has more than one column named {twice!r}: rename them.")

    def _with_missing(self, names: list[str]) -> set[str]:
        """Return those of these columns of which any value is missing."""
        found: set[str] = set()
        for batch in self._batches(names) if names else ():
            found |= {name for name in names if batch.column(name).null_count}
        return found

    def _levels(self, names: list[str]) -> dict[str, pa.Array]:
        levels: dict[str, pa.Array] = {}
        for batch in self._batches(names) if names else ():
            for name in names:
                own = batch.column(name).dictionary.drop_null().unique()
                known = levels.get(name, own[:0])
                new = own.filter(pc.invert(pc.is_in(own, value_set=known)))
                levels[name] = pa.concat_arrays([known, new])
        return levels


def evenly(batches: Iterable[pa.RecordBatch]) -> Iterator[list[pa.RecordBatch]]:
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


def _recoded(column: pa.DictionaryArray, levels: pa.Array) -> pa.DictionaryArray:
    places = pc.index_in(column.dictionary, value_set=levels)
    return pa.DictionaryArray.from_arrays(
        places.take(column.indices), levels, ordered=column.type.ordered
    )


def _numbers(schema: pa.Schema, rows: int | None) -> pd.RangeIndex:
    facts: dict[str, Any] = schema.pandas_metadata or {}
    for entry in facts.get("index_columns", ()):
        if isinstance(entry, dict) and entry.get("kind") == "range":
            numbers = pd.RangeIndex(entry["start"], entry["stop"], entry["step"])
            if len(numbers) == rows:
                return numbers.rename(entry["name"])
    return pd.RangeIndex(1 << 62)
