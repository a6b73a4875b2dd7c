"""Writers of tables and arrays."""

from __future__ import annotations

import gzip
import json
import re
import shutil
import tempfile
import zipfile
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from io import BufferedIOBase
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.ipc as ipc
import pyarrow.parquet as pq
from pandas.api.extensions import ExtensionDtype
from scipy import sparse

from attar.data.files.base import MAX_ROWS, plain, plain_type
from attar.data.kind import Rows
from attar.data.lines import SUFFIXES as TEXTS
from attar.data.stream import SupportsArrow
from attar.data.text import are_texts, as_bytes, as_string
from attar.errors import DataError, FileError, first_line, warn
from attar.remote import Url, file_at
from attar.storage import written_whole


class Writer(ABC):
    """Writes rows to an open file.

    Parameters
    ----------
    path : Path
        The file's name, for messages.
    file : binary file
    names : sequence of str or None
        The column names of arrays (n, columns), where the format has them.
    """

    def __init__(
        self, path: Path, file: BufferedIOBase, names: Sequence[str] | None = None
    ) -> None:
        self.path, self.file, self.names = path, file, names

    @abstractmethod
    def write(self, piece: object) -> None:
        """Write the next rows, of the same form as the first.

        Parameters
        ----------
        piece : DataFrame, array (n, ...), sparse matrix, or a table with ``__arrow_c_stream__``

        Raises
        ------
        DataError
            If the format cannot hold such rows.
        FileError
            If they are of another form than those before.
        """

    @abstractmethod
    def finish(self) -> None:
        """Write what comes after the last row.

        Raises
        ------
        DataError
            If there were no rows.
        """

    def close(self) -> None:
        """Release all resources, also after a failure."""
        self.file.flush()

    def _nothing(self) -> DataError:
        return DataError(f"There are no rows to write to {self.path}.")


class NpyWriter(Writer):
    """Writes an array (n, ...) in NumPy's own format."""

    _dtype: np.dtype | None = None
    _shape: tuple[int, ...] = ()
    _rows = 0

    def write(self, piece: object) -> None:
        """Write the next rows; frames as the array of their values."""
        if sparse.issparse(piece):
            raise DataError(f"{self.path} cannot hold a sparse matrix: write .npz.")
        array = np.ascontiguousarray(as_array(piece))
        if array.dtype.hasobject:
            raise DataError(
                f"{self.path} holds numbers only, and this data has others: write a table "
                "(.csv, .parquet or .feather)."
            )
        if self._dtype is None:
            self._dtype, self._shape = array.dtype, array.shape[1:]
            self._write_header(self._dtype)
        if (array.dtype, array.shape[1:]) != (self._dtype, self._shape):
            raise FileError(
                f"{self.path} began with rows of {self._dtype} and shape {self._shape}, and cannot "
                f"go on with {array.dtype} and {array.shape[1:]}."
            )
        self.file.write(array.reshape(-1).view(np.uint8).data)
        self._rows += len(array)

    def finish(self) -> None:
        """Write the number of rows into the header."""
        if self._dtype is None:
            raise self._nothing()
        self.file.seek(0)
        self._write_header(self._dtype)

    def _write_header(self, dtype: np.dtype) -> None:
        # NumPy leaves room in it for any number of rows.
        header = {
            "descr": np.lib.format.dtype_to_descr(dtype),
            "fortran_order": False,
            "shape": (self._rows, *self._shape),
        }
        np.lib.format.write_array_header_1_0(self.file, header)


class NpzWriter(Writer):
    """Writes an array (n, ...) named X to a compressed archive, or a sparse matrix as SciPy does.

    An array goes to a temporary file first; sparse matrices are kept until all are there.
    """

    def __init__(
        self, path: Path, file: BufferedIOBase, names: Sequence[str] | None = None
    ) -> None:
        super().__init__(path, file, names)
        self._temporary = tempfile.TemporaryFile(dir=_beside(path))  # noqa: SIM115
        self._array = NpyWriter(path, self._temporary)
        self._matrices: list[sparse.spmatrix | sparse.sparray] = []

    def write(self, piece: object) -> None:
        """Write the next rows."""
        if sparse.issparse(piece):
            self._matrices.append(piece)
        else:
            self._array.write(piece)

    def finish(self) -> None:
        """Compress the rows."""
        if self._matrices:
            layout = self._matrices[0].format
            sparse.save_npz(self.file, sparse.vstack(self._matrices, format=layout))
            return
        self._array.finish()
        self._temporary.seek(0)
        with (
            zipfile.ZipFile(self.file, "w", zipfile.ZIP_DEFLATED) as archive,
            archive.open("X.npy", "w", force_zip64=True) as entry,
        ):
            shutil.copyfileobj(self._temporary, entry, 1 << 20)

    def close(self) -> None:
        """Delete the temporary file."""
        self._temporary.close()


def _beside(path: Path) -> Path | None:
    """Return the folder of a file; that of temporary ones where it is at a URL."""
    return None if isinstance(path, Url) else path.parent


def as_array(piece: object) -> Rows:
    """Return rows of any form as an array; missing integers of a table become NaN."""
    if isinstance(piece, SupportsArrow) and not isinstance(piece, pd.DataFrame):
        piece = pa.table(piece).to_pandas()
    if isinstance(piece, pd.DataFrame):
        masked = [name for name, dtype in piece.dtypes.items() if _is_masked(dtype)]
        piece = piece.astype(dict.fromkeys(masked, np.float64)).to_numpy()
    return np.asarray(piece)


def _is_masked(dtype: np.dtype | ExtensionDtype) -> bool:
    return pd.api.types.is_extension_array_dtype(dtype) and pd.api.types.is_numeric_dtype(dtype)


TEXT = pa.string()


def cell_texts(column: pa.Array) -> pa.Array:
    """Return a column as the cells of a CSV file: text, empty where a value is missing.

    Numbers have the fewest digits that read as the same value, floating point with ``.0`` where it
    is an integer. Booleans are ``True`` and ``False``. Dates and times are of ISO 8601 with a
    blank between them. Text is in quotes where it must be.

    Raises
    ------
    TypeError
        If CSV has no text for the values: bytes, lists.
    """
    type_ = column.type
    if pa.types.is_dictionary(type_):
        texts = cell_texts(column.dictionary).take(column.indices)
    elif pa.types.is_floating(type_):
        texts = _floats(column)
    elif pa.types.is_boolean(type_):
        texts = pc.if_else(column, "True", "False")
    elif pa.types.is_duration(type_):
        texts = pa.array(map(str, column.to_pandas()), TEXT)
        texts = pc.if_else(column.is_null(), None, texts)
    elif pa.types.is_string(type_) or pa.types.is_large_string(type_):
        texts = quoted(column.cast(TEXT))
    elif pa.types.is_time(type_):
        texts = pc.replace_substring_regex(column.cast(TEXT), r"\.0+$", "")
    elif pa.types.is_primitive(type_) or pa.types.is_decimal(type_) or pa.types.is_null(type_):
        texts = column.cast(TEXT)
    else:
        raise TypeError(f"values of type {type_} cannot be written as CSV")
    return texts.fill_null("")


def quoted(texts: pa.Array) -> pa.Array:
    """Return texts, in quotes where a comma, a quote or a new line would be misread."""
    special = pc.match_substring_regex(texts, '[",\\r\\n]')
    if not pc.any(special).as_py():
        return texts
    doubled = pc.replace_substring(texts, '"', '""')
    return pc.if_else(special, pc.binary_join_element_wise('"', doubled, '"', ""), texts)


def _floats(column: pa.Array) -> pa.Array:
    if pa.types.is_float16(column.type):
        column = column.cast(pa.float32())
    texts = pc.replace_substring_regex(column.cast(TEXT), r"^(-?\d+)$", r"\1.0")
    return pc.if_else(pc.is_nan(column), None, texts)


# A row group of Parquet is full at so many rows, or bytes.
GROUP_ROWS, GROUP_BYTES = 1 << 17, 1 << 26
UNITS = ("s", "ms", "us", "ns")
# pandas' name for an index without one.
INDEX = re.compile(r"__index_level_\d+__")


class TableWriter(Writer):
    """Writes the rows of a table; the first piece defines the columns and their types.

    A column of ``datetime64[s]`` without a time of day, which is how dates are read, is written as
    dates. A ``RangeIndex`` is not written; any other index is, where the format can hold it.
    """

    _schema: pa.Schema = None

    def write(self, piece: object) -> None:
        """Write the next rows."""
        try:
            table = self._table(piece)
            if self._schema is None:
                table = _with_definite_types(table)
                self._schema = table.schema
                self._begin(table.schema)
            self._put(self._conformed(table))
        except (DataError, FileError):
            raise
        except (pa.ArrowException, TypeError, ValueError) as error:
            reason = first_line("; ".join(map(str, error.args)))
            raise DataError(f"{self.path} cannot hold this data: {reason}.") from None

    def finish(self) -> None:
        """Write the rest."""
        if self._schema is None:
            raise self._nothing()

    @abstractmethod
    def _begin(self, schema: pa.Schema) -> None:
        """Write what comes before the rows."""

    @abstractmethod
    def _put(self, table: pa.Table) -> None:
        """Write rows."""

    def _table(self, piece: object) -> pa.Table:
        return as_table(piece, self.names)

    def _conformed(self, table: pa.Table) -> pa.Table:
        if table.schema.names != self._schema.names:
            raise FileError(
                f"{self.path} began with the columns {', '.join(self._schema.names)}, and cannot "
                f"go on with {', '.join(table.schema.names)}."
            )
        columns = map(self._conformed_column, self._schema, table.columns)
        return pa.Table.from_arrays(list(columns), schema=self._schema)

    def _conformed_column(self, field: pa.Field, column: pa.ChunkedArray) -> pa.ChunkedArray:
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
    """Writes CSV: UTF-8, commas, a header line; missing values are empty."""

    def __init__(
        self, path: Path, file: BufferedIOBase, names: Sequence[str] | None = None
    ) -> None:
        super().__init__(path, file, names)
        self._units: dict[str, int] = defaultdict(int)

    def _table(self, piece: object) -> pa.Table:
        table = super()._table(piece)
        unnamed = [name for name in table.schema.names if INDEX.fullmatch(name)]
        return table.drop_columns(unnamed)

    def _begin(self, schema: pa.Schema) -> None:
        self.file.write(
            (",".join(quoted(pa.array(schema.names, TEXT)).to_pylist()) + "\n").encode()
        )

    def _put(self, table: pa.Table) -> None:
        for batch in table.to_batches(MAX_ROWS):
            columns = list(map(self._texts, batch.schema.names, batch.columns))
            if len(columns) == 1:
                # An empty line would not be read as a row.
                columns[0] = pc.if_else(pc.equal(columns[0], ""), '""', columns[0])
            lines = pc.binary_join_element_wise(*columns, ",").to_pylist()
            self.file.write(("\n".join(lines) + "\n").encode())

    def _texts(self, name: str, column: pa.Array) -> pa.Array:
        if pa.types.is_timestamp(column.type):
            column = self._rounded(name, column)
        return cell_texts(column)

    def _rounded(self, name: str, column: pa.Array) -> pa.Array:
        """Return datetimes in the coarsest unit that holds all up to here."""
        while UNITS[self._units[name]] != column.type.unit:
            try:
                return column.cast(pa.timestamp(UNITS[self._units[name]], column.type.tz))
            except pa.ArrowInvalid:
                self._units[name] += 1
        return column


class ParquetWriter(TableWriter):
    """Writes Parquet, in row groups whose size does not depend on the pieces."""

    _writer: pq.ParquetWriter = None

    def _begin(self, schema: pa.Schema) -> None:
        self._pending: list[pa.Table] = []
        self._writer = pq.ParquetWriter(self.file, schema)

    def _put(self, table: pa.Table) -> None:
        self._pending.append(table)
        rows, size = sum(map(len, self._pending)), sum(table.nbytes for table in self._pending)
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
        if self._pending:
            self._writer.write_table(pa.concat_tables(self._pending), row_group_size=2 * GROUP_ROWS)
            self._pending.clear()


class ArrowWriter(TableWriter):
    """Writes Arrow's file format, which is Feather's too."""

    _writer: ipc.RecordBatchFileWriter = None

    def _begin(self, schema: pa.Schema) -> None:
        options = ipc.IpcWriteOptions(compression="lz4", unify_dictionaries=True)
        self._writer = ipc.new_file(self.file, schema, options=options)

    def _put(self, table: pa.Table) -> None:
        self._writer.write_table(table, max_chunksize=MAX_ROWS)

    def close(self) -> None:
        """Write the footer."""
        if self._writer is not None:
            self._writer.close()


def as_table(piece: object, names: Sequence[str] | None = None) -> pa.Table:
    """Return rows of any form as an Arrow table.

    Raises
    ------
    DataError
        If they are sparse, or an array that is no matrix.
    """
    if isinstance(piece, pd.DataFrame):
        default = isinstance(piece.index, pd.RangeIndex)
        return pa.Table.from_pandas(piece, preserve_index=not default)
    if isinstance(piece, SupportsArrow):
        return _plain(pa.table(piece))
    if sparse.issparse(piece):
        raise DataError("A sparse matrix doesn't go into a table: write .npz.")
    if are_texts(piece):
        return pa.table({"text": _arrow_texts(piece)})
    array = np.asarray(piece)
    if array.ndim != 2:
        raise DataError("Images don't go into a table: write .npy, .npz or a folder.")
    names = names or [f"x{i}" for i in range(array.shape[1])]
    return pa.table([pa.array(column) for column in array.T], names=list(names))


def _arrow_texts(texts: object) -> pa.Array:
    """Return texts as an Arrow array, which has no place for lone surrogates."""
    try:
        return pa.array(texts)
    except UnicodeEncodeError:
        raise DataError(
            "A text has a lone surrogate, which no table can hold: write .jsonl or .txt."
        ) from None


def _plain(table: pa.Table) -> pa.Table:
    columns = [
        pa.chunked_array(list(map(plain, column.chunks)), plain_type(column.type))
        for column in table.columns
    ]
    return pa.Table.from_arrays(columns, table.schema.names, metadata=table.schema.metadata)


def _with_definite_types(table: pa.Table) -> pa.Table:
    """Return a first piece with types for columns without values, and dates as such."""
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


@contextmanager
def writer_for(path: str | Path, names: Sequence[str] | None = None) -> Iterator[Writer]:
    """Yield a writer of rows to a file, in the format that its suffix names.

    The file is there at the end, whole; after an error there is none. Memory does not grow with the
    number of rows.

    Parameters
    ----------
    path : str or Path
    names : sequence of str or None
        The column names of arrays (n, columns) in a table; by default x0, x1, ...

    Raises
    ------
    FileError
        If the suffix is unknown, or the file cannot be written.
    DataError
        If no piece is written.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from attar.data.source import read
    >>> with TemporaryDirectory() as folder:
    ...     with writer_for(f"{folder}/codes.csv", ["z0", "z1"]) as writer:
    ...         writer.write(np.array([[0.5, 1.0]]))
    ...         writer.write(np.array([[2.0, -1.0]]))
    ...     read(f"{folder}/codes.csv").data
        z0   z1
    0  0.5  1.0
    1  2.0 -1.0
    """
    path = file_at(path)
    suffix = next((suffix for suffix in SUFFIXES if path.name.endswith(suffix)), None)
    if suffix is None:
        raise FileError(
            f"{path} has a suffix that attar does not write: use one of {', '.join(SUFFIXES)}."
        )
    with (
        written_whole(path) as beside,
        beside.open("wb") as raw,
        gzip.GzipFile("", "wb", 6, raw, mtime=0)
        if suffix == ".csv.gz"
        else nullcontext(raw) as file,
    ):
        writer = WRITERS[suffix](path, file, names)
        try:
            yield writer
            writer.finish()
        finally:
            writer.close()


class TextWriter(Writer):
    """Writes texts, each on a line of its own."""

    def write(self, piece: object) -> None:
        """Write the next texts: a sequence, or the rows of a table's only column."""
        column = "text"
        if isinstance(piece, pd.DataFrame) and piece.shape[1] == 1:
            column, piece = str(piece.columns[0]), piece.iloc[:, 0]
        if not are_texts(piece):
            raise DataError(f"{self.path} holds text only: write .csv, .parquet or .npy.")
        self.file.writelines(line + b"\n" for line in self._lines(as_bytes(piece), column))

    def finish(self) -> None:
        """Check that there were texts."""
        if not self.file.tell():
            raise self._nothing()

    @abstractmethod
    def _lines(self, texts: list[bytes], column: str) -> list[bytes]:
        """Return the lines of texts of a column."""


class PlainTextWriter(TextWriter):
    """Writes texts as they are; line breaks within a text become blanks, with a warning."""

    def _lines(self, texts: list[bytes], column: str) -> list[bytes]:
        lines = [b" ".join(text.splitlines()) for text in texts]
        changed = sum(line != text for line, text in zip(lines, texts, strict=True))
        if changed:
            warn(f"{changed:,} texts have line breaks, which are blanks in {self.path}.")
        return lines


class JsonLinesWriter(TextWriter):
    """Writes texts as JSON objects."""

    def _lines(self, texts: list[bytes], column: str) -> list[bytes]:
        return [json.dumps({column: as_string(text)}).encode() for text in texts]


WRITERS: dict[str, type[Writer]] = {
    ".csv": CsvWriter,
    ".csv.gz": CsvWriter,
    ".parquet": ParquetWriter,
    ".feather": ArrowWriter,
    ".arrow": ArrowWriter,
    ".npy": NpyWriter,
    ".npz": NpzWriter,
    ".jsonl": JsonLinesWriter,
    **dict.fromkeys(TEXTS, PlainTextWriter),
}
SUFFIXES = tuple(WRITERS)
