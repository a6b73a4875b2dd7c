"""JSON lines: an object with the values of a row on each line."""

from __future__ import annotations

import gzip
import io
import json
import re
from collections.abc import Iterator
from functools import cached_property

import pyarrow as pa
import pyarrow.json as arrow

from attar.data.files.base import TableStream
from attar.errors import DataError, FileError

# So many bytes are read at once; a line may be longer.
BLOCK = 1 << 22

# Arrow takes integers of more than 64 bits for floating point numbers.
LONG = re.compile(rb"[:,\[]\s*(-?\d{19,})\s*[,}\]]")


class JsonLines(TableStream):
    r"""A file of JSON lines, also a compressed one (``.gz``).

    A column's type holds the values of all rows; text that is a date is a date.

    Parameters
    ----------
    path : str or Path

    Raises
    ------
    FileError
        When read, if a line is no JSON object, a number has too many digits, or text has a lone
        surrogate.
    DataError
        When read, if it is empty, or a column holds values of several types.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> path = Path(tempfile.mkdtemp()) / "a.jsonl"
    >>> _ = path.write_text('{"a": 1}\n{"a": 2.5, "b": "x"}\n')
    >>> print(JsonLines(path).read())
         a    b
    0  1.0  NaN
    1  2.5    x
    """

    @property
    def rows(self) -> None:
        """None: rows must be counted."""

    def _schema(self) -> pa.Schema:
        return self._types

    def _batches(self, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
        options = arrow.ParseOptions(explicit_schema=self._types)
        for _, block in self._blocks():
            table = arrow.read_json(io.BytesIO(block), parse_options=options)
            yield from table.select(columns or self._types.names).to_batches()

    @cached_property
    def _types(self) -> pa.Schema:
        schema, last = pa.schema([]), 0
        for first, block in self._blocks():
            try:
                found = arrow.read_json(io.BytesIO(block)).schema
                both = _with_text(schema, found), _with_text(found, schema)
                schema = pa.unify_schemas(both, promote_options="permissive")
            except pa.ArrowException as error:
                raise self._refusal(first, block, str(error)) from None
            long = LONG.search(block)
            if long is not None:
                line = first + block.count(b"\n", 0, long.start())
                raise FileError(
                    f"{self.path} has {long[1].decode()} in line {line}, more than a number holds "
                    "exactly: write it as text."
                )
            last = first
        if not last:
            raise DataError(f"{self.path} is empty: it needs a JSON object on each line.")
        void = [pa.float64() if pa.types.is_null(type_) else type_ for type_ in schema.types]
        return pa.schema(zip(schema.names, void, strict=True))

    def _blocks(self) -> Iterator[tuple[int, bytes]]:
        """Yield whole lines, and the number of the first."""
        opener = gzip.open if self.path.suffix.lower() == ".gz" else open
        line = 1
        with opener(self.path, "rb") as file:
            while lines := file.readlines(BLOCK):
                block = b"".join(lines)
                if block.strip():
                    yield line, block
                line += len(lines)

    def _refusal(self, first: int, block: bytes, message: str) -> FileError | DataError:
        for number, line in enumerate(block.splitlines(), first):
            try:
                row = json.loads(line or b"{}")
            except ValueError as error:
                return FileError(f"{self.path} cannot be read: line {number} is no JSON ({error}).")
            if not isinstance(row, dict):
                return FileError(f"{self.path} cannot be read: line {number} is no JSON object.")
        if "surrogate" in message:
            return FileError(
                f"{self.path} has a lone surrogate, such as \\ud800, which no table can hold "
                f"({message}): leave it out, or give the texts as a list."
            )
        return DataError(f"{self.path} has values of several types in a column: {message}.")


def _with_text(schema: pa.Schema, other: pa.Schema) -> pa.Schema:
    """Return a schema where dates are text if they are text in the other."""
    text = {field.name for field in other if field.type == pa.string()}
    dates = {field.name for field in schema if pa.types.is_timestamp(field.type)}
    fields = [f.with_type(pa.string()) if f.name in text & dates else f for f in schema]
    return pa.schema(fields)
