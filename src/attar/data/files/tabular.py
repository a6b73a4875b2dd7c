"""Parquet and Arrow files, and the streams of all files of tables by suffix."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

import pyarrow as pa
import pyarrow.ipc as ipc
import pyarrow.parquet as pq

from attar.data.files.base import TableStream, plain, plain_type, readable, rows_of_a_piece
from attar.data.files.csv import Csv
from attar.data.files.excel import excel
from attar.data.files.jsonlines import JsonLines
from attar.errors import FileError


class ParquetStream(TableStream):
    """The rows of a Parquet file, in pieces that do not depend on its row groups.

    Parameters
    ----------
    path : str or Path
    groups : sequence of int or None
        Some of its row groups, whose rows alone are read.
    """

    def __init__(self, path: str | Path, groups: Sequence[int] | None = None) -> None:
        super().__init__(path)
        self.groups = groups

    @cached_property
    def rows(self) -> int:
        """The number of rows."""
        with readable(self.path), self._opened() as file:
            return sum(file.metadata.row_group(i).num_rows for i in self._groups(file))

    @property
    def units(self) -> list[TableStream]:
        """The row groups."""
        with readable(self.path), self._opened() as file:
            return [type(self)(self.path, (i,)) for i in self._groups(file)]

    def _groups(self, file: pq.ParquetFile) -> Sequence[int]:
        return range(file.num_row_groups) if self.groups is None else self.groups

    def _opened(self) -> pq.ParquetFile:
        # Through a buffer, a row group is in memory only page by page.
        return pq.ParquetFile(self.path, buffer_size=1 << 16, pre_buffer=False)

    def _schema(self) -> pa.Schema:
        with self._opened() as file:
            return file.schema_arrow

    def _with_missing(self, names: list[str]) -> set[str]:
        """Return those of these columns that have missing values."""
        counts: dict[str, list[int | None]] = {name: [] for name in names}
        with self._opened() as file:
            for i in self._groups(file):
                group = file.metadata.row_group(i)
                for column in map(group.column, range(group.num_columns)):
                    if column.path_in_schema in counts:
                        statistics = column.statistics
                        known = statistics is not None and statistics.has_null_count
                        missing = statistics.null_count if known else None
                        counts[column.path_in_schema].append(missing)
        unknown = [name for name, found in counts.items() if None in found or not found]
        some = {name for name, found in counts.items() if any(found)}
        return some | super()._with_missing([name for name in unknown if name not in some])

    def _batches(self, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
        with self._opened() as file:
            size, groups = rows_of_a_piece(_row_bytes(file)), self._groups(file)
            for batch in file.iter_batches(size, row_groups=groups, columns=columns):
                batch.validate(full=True)
                yield batch


class FeatherStream(TableStream):
    """The rows of a Feather or Arrow file, also of one in Arrow's streaming format.

    Batches are read as they are in the file: a large compressed one takes its full size in memory.

    Parameters
    ----------
    path : str or Path
    """

    @property
    def rows(self) -> None:
        """None: the format has only the number of rows of each batch."""

    def _schema(self) -> pa.Schema:
        with self._opened() as reader:
            fields = [(field.name, plain_type(field.type)) for field in reader.schema]
            return pa.schema(fields, reader.schema.metadata)

    def _batches(self, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
        places = None if columns is None else list(map(self._schema().get_field_index, columns))
        with self._opened(places) as reader:
            if isinstance(reader, ipc.RecordBatchFileReader):
                reader = map(reader.get_batch, range(reader.num_record_batches))
            for batch in reader:
                # Arrow trusts what it maps: damage must be found before it is followed.
                batch.validate(full=True)
                arrays = list(map(plain, batch.columns))
                yield pa.RecordBatch.from_arrays(arrays, batch.schema.names)

    @contextmanager
    def _opened(
        self, places: list[int] | None = None
    ) -> Iterator[ipc.RecordBatchFileReader | ipc.RecordBatchStreamReader]:
        with self.path.open("rb") as file:
            start = file.read(6)
        if start.startswith(b"FEA1"):
            raise FileError(f"{self.path} is of Feather's first version: write it again.")
        options = ipc.IpcReadOptions(included_fields=places)
        with pa.memory_map(os.fspath(self.path)) as source:
            open_ = ipc.open_file if start == b"ARROW1" else ipc.open_stream
            yield open_(source, options=options)


def _row_bytes(file: pq.ParquetFile) -> int:
    """Return how many bytes a row takes, by the columns' types and by what is in the file."""
    metadata = file.metadata
    groups = map(metadata.row_group, range(metadata.num_row_groups))
    stored = sum(group.total_byte_size for group in groups)
    bits = sum(field.type.bit_width for field in file.schema_arrow if _has_width(field.type))
    return max(int(bits) // 8, int(stored) // max(1, int(metadata.num_rows)))


def _has_width(type_: pa.DataType) -> bool:
    return bool(pa.types.is_primitive(type_) or pa.types.is_dictionary(type_))


STREAMS: dict[str, Callable[[Path], TableStream]] = {
    ".csv": Csv,
    ".csv.gz": Csv,
    ".tsv": Csv,
    ".tsv.gz": Csv,
    ".jsonl": JsonLines,
    ".jsonl.gz": JsonLines,
    ".parquet": ParquetStream,
    ".feather": FeatherStream,
    ".arrow": FeatherStream,
    **dict.fromkeys((".xlsx", ".xlsm", ".xlsb", ".xls", ".ods"), excel),
}
