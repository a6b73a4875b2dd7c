"""CSV files, of any dialect."""

from __future__ import annotations

import codecs
import csv
import io
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import islice, pairwise
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as arrow

from attar.data.columns.notations import FALSE, MISSING_WORDS, RIVALS, SOME, TRUE, ColumnNotation
from attar.data.files.base import TableStream, readable
from attar.errors import DataError, FileError, SettingError, first_line, warn

# Where several are possible the first is taken: commas have other uses in text.
DELIMITERS = ("\t", ";", "|", ",")

# Arrow reads some blocks ahead. No line may be longer than one.
BLOCK = 1 << 20
# The delimiter is found in so many bytes, and rows.
HEAD, RECORDS = 1 << 16, 100

DECIMAL = r"[-+]?[0-9]+([.,][0-9]+)?"
RAGGED = re.compile(r"Row #(\d+): Expected (\d+) columns, got (\d+)")
MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


@dataclass(frozen=True)
class Dialect:
    """How the text of a file is divided into cells.

    Attributes
    ----------
    encoding, delimiter : str
    skipped : int
        How many lines are before the header: one that names the delimiter, as Excel writes it.
    """

    encoding: str
    delimiter: str
    skipped: int = 0


class Csv(TableStream):
    r"""A CSV file with a header line, also a compressed one (``.gz``).

    Each file is recognized by itself: its encoding (UTF-8, UTF-16, else Windows-1252), the
    delimiter (comma, semicolon, tab or ``|``), the decimal sign and the groups of digits, and the
    type of each column, inferred from all rows: integers, real numbers, also with a unit (``5 %``,
    ``$1.50``), booleans, dates with the year, the day or the month first, times of day, else text.
    Integers that begin with a 0 or have more than 64 bits are text.

    Missing values are empty cells and those that say ``NA``, ``N/A``, ``n/a``, ``#N/A``, ``NaN``,
    ``nan``, ``NaT``, ``NULL``, ``null``, ``None``, ``<NA>``, ``?`` or ``-``.

    Parameters
    ----------
    path : str or Path
    delimiter : str or None
        The character between cells.
    decimal : str or None
        ``"."`` or ``","``: the decimal sign.
    encoding : str or None
        A name that Python knows, such as ``"cp1251"``.
    na : str, number, or sequence of them
        Further words for a missing value, such as -999.

    Raises
    ------
    SettingError
        If an option is none of these.
    FileError
        When read, if there is no such file, or one of its lines is malformed.
    DataError
        When read, if it is empty, two columns have the same name, or a numeric column holds text.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> path = Path(tempfile.mkdtemp()) / "sales.csv"
    >>> _ = path.write_text("day;amount\n31.12.2024;1.234,50 €\n02.01.2025;?\n", "cp1252")
    >>> print(Csv(path).read())
             day  amount
    0 2024-12-31  1234.5
    1 2025-01-02     NaN
    >>> Csv(path).description
    "cp1252, delimiter ';', decimal ',', 'day' day first, 'amount' in €"
    """

    def __init__(
        self,
        path: str | Path,
        delimiter: str | None = None,
        decimal: str | None = None,
        encoding: str | None = None,
        na: str | float | Iterable[str | float] = (),
    ) -> None:
        super().__init__(path)
        self.delimiter = {"tab": "\t", "\\t": "\t"}.get(delimiter or "", delimiter)
        self.decimal, self.encoding = decimal, encoding
        words = (na,) if isinstance(na, str | int | float) else na
        self.na = tuple(map(str, words))
        _check(self.delimiter, decimal, encoding)

    @property
    def fingerprint(self) -> str:
        """The file's, and the options."""
        options = (self.delimiter, self.decimal, self.encoding, self.na)
        return super().fingerprint + (f" {options}" if any(options) else "")

    @property
    def rows(self) -> None:
        """None: rows must be counted."""

    @property
    def description(self) -> str:
        """What was recognized, and not given, in words."""
        with readable(self.path):
            dialect, chosen = self._dialect, {n: c.chosen for n, c in self._columns.items()}
        delimiter = "tab" if dialect.delimiter == "\t" else repr(dialect.delimiter)
        said = [] if self.encoding else [dialect.encoding]
        said += [] if self.delimiter else [f"delimiter {delimiter}"]
        comma = any(notation.convention == "," for notation in chosen.values())
        decimal = ["decimal ','"] if comma else []
        columns = [
            f"{name!r} {notation.name}" for name, notation in chosen.items() if notation.name
        ]
        return ", ".join([*said, *decimal, *columns])

    def _schema(self) -> pa.Schema:
        return pa.schema([(name, column.type) for name, column in self._columns.items()])

    def _with_missing(self, names: list[str]) -> set[str]:
        return {name for name in names if self._columns[name].missing}

    def _batches(self, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
        chosen = {name: column.chosen for name, column in self._columns.items()}
        types = {name: pa.string() if n.rewrites else n.type for name, n in chosen.items()}
        with self._opened(types) as reader:
            for batch in reader:
                pairs = zip(chosen.values(), batch.columns, strict=True)
                arrays = [n.parse(column) if n.rewrites else column for n, column in pairs]
                yield pa.RecordBatch.from_arrays(arrays, schema=self._schema())

    @cached_property
    def _columns(self) -> dict[str, ColumnNotation]:
        with self._opened({}) as reader:
            names: list[str] = reader.schema.names
        if _is_row(names):
            warn(
                f"The first line of {self.path} holds numbers, but is taken for the names of the "
                "columns: if it is a row, write names above it."
            )
        self._require_unique(names)
        columns = {name: ColumnNotation(self.decimal) for name in names}
        last = None
        with self._opened(dict.fromkeys(names, pa.string())) as reader:
            for batch in reader:
                for column, texts in zip(columns.values(), batch.columns, strict=True):
                    column.add(texts)
                last = batch.column(len(names) - 1)[-1].as_py()
        if last and "\n" in last and not self._ends_quoted():
            raise FileError(f"{self.path} cannot be read: a quote is never closed.")
        self._settle(columns)
        for name, column in columns.items():
            if column.invalid:
                text, row = column.invalid
                raise DataError(
                    f"{self.path} has {text[:40]!r} in about line {row + 2}, where column {name!r} "
                    f"holds numbers: if it stands for a missing value, give na={text[:40]!r} "
                    "(--na), else give the table as Parquet."
                )
        return columns

    def _settle(self, columns: dict[str, ColumnNotation]) -> None:
        """Read columns that can be read in two ways as the others are, else as is usual."""
        local = self._dialect.delimiter != ","
        for rivals in RIVALS:
            found = {name: c.conventions & set(rivals) for name, c in columns.items()}
            certain = {convention for one in found.values() if len(one) == 1 for convention in one}
            for name in (name for name, both in found.items() if len(both) == 2):
                column = columns[name]
                plain = not column.chosen.rewrites  # such as 1.234
                usual = rivals[0] if plain else rivals[local]
                column.settle(next(iter(certain)) if len(certain) == 1 else usual)
                if len(certain) > 1 or (not certain and (local or not plain)):
                    warn(self._doubt(name, column))

    def _doubt(self, name: str, column: ColumnNotation) -> str:
        value = column.chosen.parse(pa.array([column.example]))[0]
        advice = "name the sign with decimal= (--decimal)"
        if column.chosen.convention in ("day", "month"):
            advice = "write dates as year-month-day"
        return (
            f"Column {name!r} of {self.path} can be read in two ways: {column.example!r} is read "
            f"as {value}; if that is wrong, {advice}."
        )

    @contextmanager
    def _opened(self, types: dict[str, pa.DataType]) -> Iterator[arrow.CSVStreamingReader]:
        dialect = self._dialect
        try:
            with self._bytes() as source:
                yield arrow.open_csv(
                    source,
                    # Only in one thread are rows counted.
                    arrow.ReadOptions(
                        use_threads=False,
                        block_size=BLOCK,
                        skip_rows=dialect.skipped,
                        encoding=dialect.encoding,
                    ),
                    arrow.ParseOptions(delimiter=dialect.delimiter, newlines_in_values=True),
                    arrow.ConvertOptions(
                        column_types=types,
                        null_values=self._missing,
                        true_values=TRUE,
                        false_values=FALSE,
                        strings_can_be_null=True,
                    ),
                )
        except (pa.ArrowInvalid, UnicodeError) as error:
            raise self._refusal(str(error)) from None

    @property
    def _missing(self) -> list[str]:
        words = (*MISSING_WORDS, *self.na)
        return ["", *words, *(f" {word}" for word in words)]

    @cached_property
    def _dialect(self) -> Dialect:
        encoding = self.encoding or self._found_encoding()
        with self._bytes() as source:
            head = source.read(HEAD).decode(encoding, "replace").removeprefix("\ufeff")
        named = re.match(r"sep=(.)\r?\n", head)
        if named is not None:
            return Dialect(encoding, self.delimiter or named[1], 1)
        return Dialect(encoding, self.delimiter or _found_delimiter(head))

    def _found_encoding(self) -> str:
        with self._bytes() as source:
            block = source.read(BLOCK)
            for mark, encoding in MARKS.items():
                if block.startswith(mark):
                    return encoding
            for place, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):
                half = block[place:SOME:2]
                if half.count(0) > len(half) / 2:
                    return encoding
            decoder, plain = codecs.getincrementaldecoder("utf-8-sig")(), True
            while block:
                try:
                    plain &= decoder.decode(block).isascii()
                except UnicodeDecodeError as error:
                    plain &= block[: error.start].isascii()
                    # Western letters beyond ASCII stand between others that are not.
                    western = plain and not re.search(rb"[\x80-\xff]{3}", block)
                    return "cp1252" if western else "utf-8"
                block = source.read(BLOCK)
        return "utf-8"

    def _bytes(self) -> pa.NativeFile:
        packed = "gzip" if self.path.suffix.lower() == ".gz" else None
        return pa.input_stream(os.fspath(self.path), compression=packed)

    def _refusal(self, message: str) -> FileError | DataError:
        encoding, ragged = self._dialect.encoding, RAGGED.search(message)
        bad = next((i for i, line in enumerate(self._lines(), 1) if "\ufffd" in line), None)
        if "Empty CSV" in message:
            return DataError(f"{self.path} is empty: it needs a header line and rows.")
        if ragged:
            line, expected, found = ragged.groups()
            reason = f"about line {line} the number of fields is {found}, not {expected}"
        elif bad is not None:
            reason = (
                f"line {bad} is not in {encoding}; name the encoding with encoding= (--encoding)"
            )
        elif "straddling" in message:
            reason = f"a quote is never closed, or a line longer than {BLOCK >> 20} MB"
        else:
            reason = first_line(message)
        return FileError(f"{self.path} cannot be read: {reason}.")

    def _lines(self) -> Iterator[str]:
        with self._bytes() as source:
            yield from io.TextIOWrapper(source, self._dialect.encoding, "replace")

    def _ends_quoted(self) -> bool:
        """Whether the last line ends with a quote, and not with two, which stand for one."""
        *_, last = (line.strip() for line in self._lines() if line.strip())
        return (len(last) - len(last.rstrip('"'))) % 2 == 1


def write_cells(path: Path, rows: Iterable[Sequence[object]]) -> None:
    """Write rows of values to a CSV file, the names of the columns first.

    Raises
    ------
    DataError
        If one of them is bytes.
    """
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        for row in rows:
            if any(isinstance(value, bytes) for value in row):
                raise DataError("A column holds bytes, which are no data: leave it out.")
            writer.writerow(row)


def _found_delimiter(head: str) -> str:
    r"""Return the delimiter that gives most rows as many cells as the header, and two at least.

    Examples
    --------
    >>> _found_delimiter("price, EUR;pieces\n1,50;3\n")
    ';'
    """
    shares = {}
    for delimiter in DELIMITERS:
        records = csv.reader(io.StringIO(head, newline=""), delimiter=delimiter)
        counts = [len(record) for record in islice(records, RECORDS) if record]
        if len(head) == HEAD:
            counts.pop()
        if counts and counts[0] > 1:
            shares[delimiter] = counts.count(counts[0]) / len(counts)
    return max(shares, key=shares.__getitem__, default=",")


def _is_row(names: list[str]) -> bool:
    """Return whether names are numbers, and no ascending ones such as years or wavelengths.

    Examples
    --------
    >>> _is_row(["5.1", "3.5", "setosa"]), _is_row(["0", "1"]), _is_row(["land", "2020", "2021"])
    (True, False, False)
    """
    numbers = [float(name.replace(",", ".")) for name in names if re.fullmatch(DECIMAL, name)]
    ascending = all(a < b for a, b in pairwise(numbers))
    if any(number % 1 for number in numbers):
        return len(numbers) < 3 or not ascending
    return len(numbers) == len(names) and not ascending


def _check(delimiter: str | None, decimal: str | None, encoding: str | None) -> None:
    """Refuse options that no CSV file can have.

    Raises
    ------
    SettingError
        If one is such.
    """
    if delimiter is not None and (len(delimiter) != 1 or delimiter in '"\r\n'):
        raise SettingError(
            f"The delimiter is one character, such as ';', or the word tab, not {delimiter!r}."
        )
    if decimal not in (None, ".", ","):
        raise SettingError(f"The decimal sign is '.' or ',', not {decimal!r}.")
    if encoding is not None:
        try:
            codecs.lookup(encoding)
        except LookupError:
            raise SettingError(
                f"Python knows no encoding named {encoding!r}: give one such as 'cp1252'."
            ) from None
