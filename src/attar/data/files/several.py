"""Several files of one table."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import cached_property
from glob import glob, has_magic
from pathlib import Path

import pyarrow as pa

from attar.data.files.base import TableStream, of_schema
from attar.data.files.tabular import STREAMS
from attar.errors import DataError, FileError, SettingError
from attar.remote import Url, file_at


class Files(TableStream):
    r"""The rows of several files of tables, one after the other.

    Each file is recognized by itself, whatever its format. All have the same columns, in any order;
    a column that is of integers here and of real numbers there is of real numbers.

    Parameters
    ----------
    paths : sequence of str, path or stream
        Files, URLs, and patterns such as ``"sales-*.csv"``, whose files are taken in order of their
        names.

    Raises
    ------
    FileError
        If there is no such file, or no file fits a pattern.
    SettingError
        If a file is no table.
    DataError
        When read, if the columns differ, or one holds numbers here and text there.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     _ = Path(folder, "a.csv").write_text("x,y\n1,a\n")
    ...     _ = Path(folder, "b.csv").write_text("y;x\nb;0,5\n")
    ...     print(Files([f"{folder}/*.csv"]).read())
         x  y
    0  1.0  a
    1  0.5  b
    """

    def __init__(self, paths: Sequence[str | os.PathLike[str] | TableStream]) -> None:
        self.streams = [stream for path in paths for stream in _streams(path)]
        if not self.streams:
            raise FileError("There are no files: give one at least.")
        super().__init__(self.streams[0].path)

    @property
    def fingerprint(self) -> str:
        """Those of all files."""
        return "\n".join(stream.fingerprint for stream in self.streams)

    @property
    def size(self) -> int:
        """That of all files."""
        return sum(stream.size for stream in self.streams)

    @property
    def rows(self) -> None:
        """None: rows must be counted."""

    @property
    def units(self) -> list[TableStream]:
        """Those of all files."""
        return [unit for stream in self.streams for unit in stream.units]

    def _schema(self) -> pa.Schema:
        return self._common

    @cached_property
    def _common(self) -> pa.Schema:
        common: pa.Schema = None
        for stream in self.streams:
            schema = _with_times(stream._schema())
            stream._require_unique(schema.names)
            common = schema if common is None else self._with(common, schema, stream.path)
        return common

    def _with(self, common: pa.Schema, schema: pa.Schema, path: Path) -> pa.Schema:
        """Return the columns that hold those of a further file too."""
        other = next(iter(set(common.names) ^ set(schema.names)), None)
        if other is not None:
            has, lacks = (self.path, path) if other in common.names else (path, self.path)
            raise DataError(f"{has} has a column {other!r}, which {lacks} has not: drop or add it.")
        fields = []
        for field in common:
            pair = [pa.schema([field]), pa.schema([schema.field(field.name)])]
            try:
                fields += pa.unify_schemas(pair, promote_options="permissive")
            except pa.ArrowException:
                raise DataError(
                    f"Column {field.name!r} holds {field.type} in {self.path}, and "
                    f"{schema.field(field.name).type} in {path}: bring them to one type."
                ) from None
        return pa.schema(fields)

    def _with_missing(self, names: list[str]) -> set[str]:
        return {name for stream in self.streams for name in stream._with_missing(names)}

    def _batches(self, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
        names = columns or self._common.names
        types = pa.schema([self._common.field(name) for name in names])
        for stream in self.streams:
            for batch in stream._batches(columns):
                yield of_schema(batch, types)


def _with_times(schema: pa.Schema) -> pa.Schema:
    """Return a schema with datetimes in place of dates, which another file may have."""
    pairs = [(field.name, field.type) for field in schema]
    return pa.schema([(n, pa.timestamp("s") if pa.types.is_date(t) else t) for n, t in pairs])


def matching(path: Path) -> list[Path]:
    """Return the files that fit a pattern, in order; a path that is none, as it is.

    Raises
    ------
    FileError
        If no file fits.
    """
    if not has_magic(str(path)) or (not isinstance(path, Url) and path.exists()):
        return [path]
    found = path.matches() if isinstance(path, Url) else list(map(Path, _sorted(str(path))))
    if not found:
        raise FileError(f"No file fits {path}.")
    return found


def _sorted(pattern: str) -> list[str]:
    return sorted(glob(pattern, recursive=True))


def _streams(path: str | os.PathLike[str] | TableStream) -> list[TableStream]:
    if isinstance(path, TableStream):
        return [path]
    return list(map(_stream, matching(file_at(path))))


def _stream(path: Path) -> TableStream:
    name = path.name.lower()
    for suffix, stream in STREAMS.items():
        if name.endswith(suffix):
            return stream(path)
    raise SettingError(
        f"{path} is no table, and several files are read as one table: give a folder of pictures "
        f"or of sound, or files of {', '.join(STREAMS)}."
    )
