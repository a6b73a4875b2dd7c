"""Tables to files, piece by piece: CSV, Parquet, Arrow."""

from __future__ import annotations

import gzip
import re
from abc import abstractmethod
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.ipc as ipc
import pyarrow.parquet as pq
from scipy import sparse

from attar.data.files.celltext import TEXT, cell_texts, quoted
from attar.data.files.filestream import MOST
from attar.data.files.views import plain, plain_type
from attar.data.files.writer import Writer
from attar.errors import DataError, FileError, first_line

# A row group of Parquet is full at so many rows, or bytes.
GROUP_ROWS, GROUP_BYTES = 1 << 17, 1 << 26
UNITS = ("s", "ms", "us", "ns")
# What pandas calls an index without a name.
INDEX = re.compile(r"__index_level_\d+__")


class TableWriter(Writer):
    """Writes the rows of a table; the first piece says which columns, of which types.

    A column of ``datetime64[s]`` without a time of day is one of dates, as it is when dates are
    read. An index of numbers in a row is not written; any other is, where the format has a place
    for it.
    """

    _schema: pa.Schema = None

    def write(self, piece: Any) -> None:
        """Write the next rows."""
        try:
            table = self._table(piece)
            if self._schema is None:
                table = _settled(table)
                self._schema = table.schema
                self._begin(table.schema)
            self._put(self._alike(table))
        except (DataError, FileError):
            raise
        except (pa.ArrowException, TypeError, ValueError) as error:
            reason = first_line("; ".join(map(str, error.args)))
            raise DataError(f"{self.path} cannot hold this data: {reason}.") from None

    def finish(self) -> None:
        """Write what is left."""
        if self._schema is None:
            raise self._nothing()

    @abstractmethod
    def _begin(self, schema: pa.Schema) -> None:
        """Write what comes before the rows."""

    @abstractmethod
    def _put(self, table: pa.Table) -> None:
        """Write rows."""

    def _table(self, piece: Any) -> pa.Table:
        return as_table(piece, self.names)

    def _alike(self, table: pa.Table) -> pa.Table:
        if table.schema.names != self._schema.names:
            raise FileError(
                f"{self.path} began with the columns {', '.join(self._schema.names)}, and cannot "
                f"go on with {', '.join(table.schema.names)}."
            )
        columns = map(self._alike_column, self._schema, table.columns)
        return pa.Table.from_arrays(list(columns), schema=self._schema)

    def _alike_column(self, field: pa.Field, column: pa.ChunkedArray) -> pa.ChunkedArray:
        if column.type == field.type:
            return column
        if (
            pa.types.is_null(column.type)
            or {column.type, field.type} == {pa.string(), pa.large_string()}
            or (field.type == pa.date32() and _are_dates(column))
        ):
            return column.cast(field.type)
        raise FileError(
            f"{self.path} began with {field.type} in the column {field.name!r}, and cannot go on "
            f"with {column.type}."
        )


class CsvWriter(TableWriter):
    """Writes CSV: UTF-8, commas, a line of names; missing values are empty."""

    def __init__(self, path: Path, file: IO[bytes], names: Sequence[str] | None = None) -> None:
        super().__init__(path, file, names)
        self._units: dict[str, int] = defaultdict(int)

    def _table(self, piece: Any) -> pa.Table:
        table = super()._table(piece)
        unnamed = [name for name in table.schema.names if INDEX.fullmatch(name)]
        return table.drop_columns(unnamed)

    def _begin(self, schema: pa.Schema) -> None:
        self.file.write(
            (",".join(quoted(pa.array(schema.names, TEXT)).to_pylist()) + "\n").encode()
        )

    def _put(self, table: pa.Table) -> None:
        for batch in table.to_batches(MOST):
            columns = list(map(self._texts, batch.schema.names, batch.columns))
            if len(columns) == 1:
                # An empty line would be no row.
                columns[0] = pc.if_else(pc.equal(columns[0], ""), '""', columns[0])
            lines = pc.binary_join_element_wise(*columns, ",").to_pylist()
            self.file.write(("\n".join(lines) + "\n").encode())

    def _texts(self, name: str, column: pa.Array) -> pa.Array:
        if pa.types.is_timestamp(column.type):
            column = self._rounded(name, column)
        return cell_texts(column)

    def _rounded(self, name: str, column: pa.Array) -> pa.Array:
        """Return points in time in the coarsest unit that holds all of them up to here."""
        while UNITS[self._units[name]] != column.type.unit:
            try:
                return column.cast(pa.timestamp(UNITS[self._units[name]], column.type.tz))
            except pa.ArrowInvalid:
                self._units[name] += 1
        return column


class GzippedCsvWriter(CsvWriter):
    """Writes compressed CSV, the same bytes for the same rows."""

    def __init__(self, path: Path, file: IO[bytes], names: Sequence[str] | None = None) -> None:
        packed = gzip.GzipFile("", "wb", 6, file, mtime=0)
        super().__init__(path, cast(IO[bytes], packed), names)

    def close(self) -> None:
        """Write the end of the compressed data."""
        self.file.close()


class ParquetWriter(TableWriter):
    """Writes Parquet, with row groups of a good size whatever the pieces are."""

    _writer: pq.ParquetWriter = None

    def _begin(self, schema: pa.Schema) -> None:
        self._held: list[pa.Table] = []
        self._writer = pq.ParquetWriter(self.file, schema)

    def _put(self, table: pa.Table) -> None:
        self._held.append(table)
        rows, size = sum(map(len, self._held)), sum(held.nbytes for held in self._held)
        if rows >= GROUP_ROWS or size >= GROUP_BYTES:
            self._flush()

    def finish(self) -> None:
        """Write the last row group."""
        super().finish()
        self._flush()

    def close(self) -> None:
        """Write the footer."""
        if self._writer is not None:
            self._writer.close()

    def _flush(self) -> None:
        if self._held:
            self._writer.write_table(pa.concat_tables(self._held), row_group_size=2 * GROUP_ROWS)
            self._held.clear()


class ArrowWriter(TableWriter):
    """Writes Arrow's file format, which is Feather's too."""

    _writer: ipc.RecordBatchFileWriter = None

    def _begin(self, schema: pa.Schema) -> None:
        options = ipc.IpcWriteOptions(compression="lz4", unify_dictionaries=True)
        self._writer = ipc.new_file(self.file, schema, options=options)

    def _put(self, table: pa.Table) -> None:
        self._writer.write_table(table, max_chunksize=MOST)

    def close(self) -> None:
        """Write the footer."""
        if self._writer is not None:
            self._writer.close()


def as_table(piece: Any, names: Sequence[str] | None = None) -> pa.Table:
    """Return rows of any form as an Arrow table.

    Raises
    ------
    DataError
        If they are an array that is no matrix.
    """
    if isinstance(piece, pd.DataFrame):
        numbered = isinstance(piece.index, pd.RangeIndex)
        return pa.Table.from_pandas(piece, preserve_index=not numbered)
    if hasattr(piece, "__arrow_c_stream__"):
        return _plain(pa.table(piece))
    if sparse.issparse(piece):
        raise DataError("A sparse matrix doesn't go into a table: write .npz.")
    array = np.asarray(piece)
    if array.ndim != 2:
        raise DataError("Images don't go into a table: write .npy, .npz or a folder.")
    names = names or [f"x{i}" for i in range(array.shape[1])]
    return pa.table([pa.array(column) for column in array.T], names=list(names))


def _plain(table: pa.Table) -> pa.Table:
    columns = [
        pa.chunked_array(list(map(plain, column.chunks)), plain_type(column.type))
        for column in table.columns
    ]
    return pa.Table.from_arrays(columns, table.schema.names, metadata=table.schema.metadata)


def _settled(table: pa.Table) -> pa.Table:
    """Return a first piece, with types for columns that might turn out to be of any."""
    columns = list(table.columns)
    for i, column in enumerate(columns):
        if pa.types.is_null(column.type):
            columns[i] = column.cast(pa.string())
        elif _are_dates(column):
            columns[i] = column.cast(pa.date32())
    return pa.Table.from_arrays(columns, table.schema.names, metadata=table.schema.metadata)


def _are_dates(column: pa.ChunkedArray) -> bool:
    if column.type != pa.timestamp("s"):
        return False
    return bool(column.cast(pa.date32()).cast(column.type).equals(column))
