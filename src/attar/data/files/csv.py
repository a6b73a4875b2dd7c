"""CSV files."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as csv

from attar.data.files.base import TableStream
from attar.errors import DataError, FileError, first_line

MISSING = ("", "NA", "N/A", "#N/A", "NaN", "nan", "NULL", "null", "<NA>")
TRUE, FALSE = ("True", "true", "TRUE"), ("False", "false", "FALSE")

# In each row, a type holds all that those before it hold.
PROMOTIONS = (
    (pa.int64(), pa.float64()),
    (pa.bool_(),),
    (pa.date32(), pa.timestamp("us"), pa.timestamp("ns")),
    (pa.timestamp("us", "UTC"), pa.timestamp("ns", "UTC")),
)
NUMBER = r"^[ \t]*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?[ \t]*$"
IDENTIFIER = r"^[ \t]*-?0[0-9xX]"

# A column of which more than this share are numbers is numeric, and its other values are errors.
# To save time, the share is that among the first values of each batch.
NUMERIC_SHARE, FIRST = 0.9, 1000


class CellType:
    """The type of a column of text, inferred from all its values, which come in batches.

    It is the first of these that holds them all: integers (64 bits), floating point (double
    precision), booleans, dates, datetimes (of microseconds or nanoseconds, local or UTC), text.
    Integers that begin with a 0 are identifiers: text. Columns without values are floating point.

    Attributes
    ----------
    missing : bool
        Whether a value is missing.
    """

    def __init__(self) -> None:
        self.missing = False
        self._types: tuple[pa.DataType, ...] | None = None
        self._values = self._numbers = self._rows = 0
        self._identifiers = False
        self._first_text: tuple[str, int] | None = None

    @property
    def type(self) -> pa.DataType:
        """The type."""
        if self._types is None:
            return pa.float64()
        return self._types[0] if self._types else pa.string()

    @property
    def invalid(self) -> tuple[str, int] | None:
        """The first value that is no number, and its row, in a column that is mostly numeric."""
        if self._identifiers or self._numbers <= NUMERIC_SHARE * self._values:
            return None
        return self._first_text

    def add(self, texts: pa.Array) -> None:
        """Update the type by the next rows: strings, null where a value is missing."""
        values = texts.drop_null()
        self.missing |= len(values) < len(texts)
        if len(values):
            self._promote(values)
            self._count(values[:FIRST])
            if self._types == () and not self._identifiers and self._first_text is None:
                self._first_text = _first_text(texts, self._rows)
        self._rows += len(texts)

    def _promote(self, values: pa.Array) -> None:
        rows = PROMOTIONS if self._types is None else (self._types,)
        candidates = (row[i:] for row in rows for i in range(len(row)))
        self._types = next((types for types in candidates if _all_are(types[0], values)), ())
        if self._is_numeric and _any_match(IDENTIFIER, values):
            self._identifiers, self._types = True, ()

    def _count(self, values: pa.Array) -> None:
        self._values += len(values)
        if self._is_numeric:
            self._numbers += len(values)
        elif not self._types:
            self._numbers += pc.match_substring_regex(values, NUMBER).true_count
            self._identifiers |= _any_match(IDENTIFIER, values)

    @property
    def _is_numeric(self) -> bool:
        return bool(self._types and self._types[-1] == pa.float64())


def _all_are(type_: pa.DataType, texts: pa.Array) -> bool:
    if type_ == pa.bool_():
        return bool(pc.all(pc.is_in(texts, value_set=pa.array(TRUE + FALSE))).as_py())
    if pa.types.is_integer(type_) or pa.types.is_floating(type_):
        texts = pc.ascii_trim(texts, " \t")
    try:
        # A cast goes on to the end after it has failed, slowly: a few values are tried first.
        texts[:FIRST].cast(type_)
        texts.cast(type_)
    except pa.ArrowInvalid:
        return False
    return True


def _first_text(texts: pa.Array, start: int) -> tuple[str, int] | None:
    place = pc.match_substring_regex(texts, NUMBER).index(False).as_py()
    return None if place < 0 else (texts[place].as_py(), start + place)


def _any_match(pattern: str, texts: pa.Array) -> bool:
    return bool(pc.any(pc.match_substring_regex(texts, pattern)).as_py())


# Arrow reads some blocks ahead. No line may be longer than one.
BLOCK = 1 << 20
RAGGED = re.compile(r"Row #(\d+): Expected (\d+) columns, got (\d+)")


class CsvStream(TableStream):
    """The rows of a CSV file (UTF-8, commas, a header line), also of a compressed one.

    The columns' types are inferred from all rows, in a first pass, so that they are the same
    however the file is read: see :class:`CellType`. Missing values are empty cells and those that
    say ``NA``, ``N/A``, ``#N/A``, ``NaN``, ``nan``, ``NULL``, ``null`` or ``<NA>``; other words,
    such as ``None`` or ``n/a``, are text.

    Parameters
    ----------
    path : str or Path

    Raises
    ------
    FileError
        When read, if it is no such file, or one of its lines is malformed.
    DataError
        When read, if it is empty, two columns have the same name, or a numeric column holds text.
    """

    @property
    def rows(self) -> None:
        """None: rows must be counted."""

    def _schema(self) -> pa.Schema:
        return pa.schema([(name, cell.type) for name, cell in self._cells.items()])

    def _with_missing(self, names: list[str]) -> set[str]:
        return {name for name in names if self._cells[name].missing}

    def _batches(self, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
        with self._opened({name: cell.type for name, cell in self._cells.items()}) as reader:
            yield from reader

    @cached_property
    def _cells(self) -> dict[str, CellType]:
        names = self._names()
        cells = {name: CellType() for name in names}
        last = None
        with self._opened(dict.fromkeys(names, pa.string())) as reader:
            for batch in reader:
                for cell, texts in zip(cells.values(), batch.columns, strict=True):
                    cell.add(texts)
                last = batch.column(len(names) - 1)[-1].as_py()
        if last and "\n" in last and not self._ends_quoted():
            raise FileError(f"{self.path} cannot be read: a quote is never closed.")
        for name, cell in cells.items():
            if cell.invalid:
                text, row = cell.invalid
                raise DataError(
                    f"{self.path} has {text[:40]!r} in about line {row + 2}, where column {name!r} "
                    "holds numbers: leave such cells empty, or give the table as Parquet."
                )
        return cells

    def _names(self) -> list[str]:
        with self._opened({}) as reader:
            names: list[str] = reader.schema.names
        if len(names) == 1 and (";" in names[0] or "\t" in names[0]):
            raise FileError(f"{self.path} has no commas between its fields: save it with commas.")
        self._require_unique(names)
        return names

    @contextmanager
    def _opened(self, types: dict[str, pa.DataType]) -> Iterator[csv.CSVStreamingReader]:
        try:
            with pa.input_stream(str(self.path), compression="detect") as source:
                yield csv.open_csv(
                    source,
                    # Only in one thread are rows counted.
                    csv.ReadOptions(use_threads=False, block_size=BLOCK),
                    csv.ParseOptions(newlines_in_values=True),
                    csv.ConvertOptions(
                        column_types=types,
                        null_values=MISSING,
                        true_values=TRUE,
                        false_values=FALSE,
                        strings_can_be_null=True,
                    ),
                )
        except (pa.ArrowInvalid, UnicodeDecodeError) as error:
            raise self._refusal(str(error)) from None

    def _refusal(self, message: str) -> FileError | DataError:
        lines = enumerate(self._lines(), 1)
        bad = next((i for i, line in lines if not _is_utf8(line)), None)
        ragged = RAGGED.search(message)
        if bad is not None:
            reason = f"line {bad} is not in UTF-8; save it in that encoding"
        elif "Empty CSV" in message:
            return DataError(f"{self.path} is empty: it needs a header line and rows.")
        elif ragged:
            line, expected, found = ragged.groups()
            reason = f"about line {line} the number of fields is {found}, not {expected}"
        elif "straddling" in message:
            reason = f"a quote is never closed, or a line longer than {BLOCK >> 20} MB"
        else:
            reason = first_line(message)
        return FileError(f"{self.path} cannot be read: {reason}.")

    def _lines(self) -> Iterator[bytes]:
        opener = gzip.open if self.path.suffix == ".gz" else open
        with opener(self.path, "rb") as file:
            yield from file

    def _ends_quoted(self) -> bool:
        """Whether the last line ends with a quote, and not with two, which stand for one."""
        *_, last = (line.strip() for line in self._lines() if line.strip())
        return (len(last) - len(last.rstrip(b'"'))) % 2 == 1


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True
