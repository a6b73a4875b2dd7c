"""CSV files, byte for byte: their layout, how their cells are written, and their values."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from typing import BinaryIO

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from attar.codec.literals import LiteralReader, LiteralWriter, damaged, refusing
from attar.codec.styles import MOST_DECIMALS, WHOLE, CellStyle, style_of, unquoted
from attar.codec.values import (
    Encoded,
    Opened,
    TableCells,
    Values,
    read_differing,
    within,
    write_differing,
)
from attar.data.columns.arrow import floats
from attar.data.columns.frames import in_order
from attar.data.files.csv import DELIMITERS, MARKS
from attar.data.kind import Json
from attar.data.table import MixedTable
from attar.likelihoods.alphabets import Alphabet, Array, Integers, Residues
from attar.likelihoods.memory import Memory

# How many bytes are read at once, and the longest line that is one.
BLOCK, LONGEST = 1 << 20, 1 << 24

# The names of the columns are in one of so many lines, after a mark of the encoding.
HEAD, MARK = 20, "\ufeff"

# Bytes that are no text in an encoding come back as they were.
LOSSLESS = "surrogateescape"

Texts = list[str]


@dataclass(frozen=True)
class CsvLayout:
    """How the bytes of a file are divided into cells.

    Parameters
    ----------
    encoding, delimiter, end : str
    head : str
        What is before the first row, with the names of the columns.
    names : tuple of str
    """

    encoding: str
    delimiter: str
    end: str
    head: str
    names: tuple[str, ...]

    @classmethod
    def plain(cls, names: Sequence[str]) -> CsvLayout:
        """Return the layout of UTF-8, commas, and a first line of plain names."""
        return cls("utf-8", ",", "\n", ",".join(names) + "\n", tuple(names))

    @classmethod
    def of(
        cls,
        data: bytes,
        delimiter: str | None = None,
        encoding: str | None = None,
        names: Collection[str] = (),
    ) -> CsvLayout:
        r"""Return the layout of a file.

        Parameters
        ----------
        data : bytes
            Its beginning, with the names of the columns.
        delimiter, encoding : str or None
            None: they are recognized.
        names : collection of str
            Those that the columns should have.

        Examples
        --------
        >>> layout = CsvLayout.of(b'sep=;\r\n"a";b\r\n1;2\r\n')
        >>> layout.names, layout.end, layout.encoding
        (('a', 'b'), '\r\n', 'utf-8')
        """
        encoding = encoding or _encoding_of(data)
        text = data.decode(encoding, LOSSLESS if _narrow(encoding) else "replace")
        end = "\r\n" if "\r\n" in text else "\n" if "\n" in text or "\r" not in text else "\r"
        lines = _whole(text.split(end, HEAD)[:HEAD], end)
        skipped = lines[0].lstrip(MARK)[:4] == "sep="
        title = lines[min(int(skipped), len(lines) - 1)].removeprefix(MARK)
        head = "".join(line + end for line in lines[: 1 + skipped])
        rivals = reversed(DELIMITERS) if delimiter is None else [delimiter]
        found = {one: [*map(unquoted, _fields(title, one) or [title])] for one in rivals}
        delimiter = max(found, key=lambda one: (set(found[one]) == set(names), len(found[one])))
        return cls(encoding, delimiter, end, head, tuple(found[delimiter]))

    def text(self, data: bytes) -> str | None:
        """Return bytes as text; None where the text would not give them back."""
        escapes = LOSSLESS if _narrow(self.encoding) else "strict"
        try:
            text = data.decode(self.encoding, escapes)
            return text if text.encode(self.encoding, escapes) == data else None
        except UnicodeError:
            return None

    def bytes(self, text: str) -> bytes:
        """Return text as bytes.

        Raises
        ------
        FileError
            If it has letters that the encoding has not.
        """
        try:
            return text.encode(self.encoding, LOSSLESS if _narrow(self.encoding) else "strict")
        except UnicodeError:
            raise damaged() from None


def csv_pieces(file: BinaryIO, layout: CsvLayout, rows: int) -> Iterator[bytes]:
    r"""Yield a file in pieces of so many rows, which are cut where lines end.

    Examples
    --------
    >>> import io
    >>> data = b'a,b\n1,2\n3,"4\n5"\n6,7'
    >>> list(csv_pieces(io.BytesIO(data), CsvLayout.of(data), 2))
    [b'a,b\n1,2\n', b'3,"4\n5"\n6,7']
    """
    quote = '"'.encode(layout.encoding)
    piece: list[bytes] = []
    count = size = 0
    inside = False
    for line in _lines(file, layout.end.encode(layout.encoding)):
        piece.append(line)
        size += len(line)
        inside ^= bool(line.count(quote) & 1)
        count += not inside
        if count == rows or size > LONGEST:
            yield b"".join(piece)
            piece, count, size, inside = [], 0, 0, False
    if piece:
        yield b"".join(piece)


class CsvValues(Values):
    r"""Pieces of a CSV file, byte for byte.

    Lines whose number of cells is not that of the columns are literals; and of cells, those that
    their value, written as others of the column are, does not give back.

    Parameters
    ----------
    kind : MixedTable
    alphabets : sequence of (Alphabet or None)
        Of each cell of the kind; None: its column is stored as literals.
    layout : CsvLayout
        With the columns of the kind, in any order.
    styles : sequence of CellStyle
        The usual ones of the file's columns.
    memories : sequence of Memory
        Of cells that have an alphabet, counted among these.

    Examples
    --------
    >>> import pandas as pd
    >>> from attar.likelihoods.alphabets import OneHot
    >>> kind, _ = MixedTable.fit([pd.DataFrame({"colour": ["red", "blue", "red"]})])
    >>> data = b'colour\nred\nblue\n"red"\n\ngreen'
    >>> values = CsvValues.of(kind, [OneHot(2)], data)
    >>> encoded = values.encode(data)
    >>> encoded.symbols.ravel().tolist()
    [1, 0, 1, 2, 2]
    >>> values.decode(encoded.symbols, encoded.residues, values.opened(5, encoded.literals))
    b'colour\nred\nblue\n"red"\n\ngreen'
    """

    of_csv = True

    def __init__(
        self,
        kind: MixedTable,
        alphabets: Sequence[Alphabet | None],
        layout: CsvLayout,
        styles: Sequence[CellStyle],
        memories: Sequence[Memory] = (),
    ) -> None:
        self.layout, self.styles = layout, tuple(styles)
        self.cells = TableCells(kind, alphabets, memories)
        self.channels = self.cells.channels
        by_name = {column.name: column for column in kind.fields}
        self._columns = [by_name[name] for name in layout.names]

    @classmethod
    def of(
        cls,
        kind: MixedTable,
        alphabets: Sequence[Alphabet | None],
        data: bytes,
        delimiter: str | None = None,
        encoding: str | None = None,
        memories: Sequence[Memory] = (),
    ) -> CsvValues:
        """Return the values of a file.

        Parameters
        ----------
        kind : MixedTable
        alphabets : sequence of (Alphabet or None)
        data : bytes
            The first piece.
        delimiter, encoding : str or None
            None: they are recognized.
        memories : sequence of Memory

        Raises
        ------
        DataError
            If its columns are not those of the kind.
        """
        layout = CsvLayout.of(data, delimiter, encoding, {column.name for column in kind.fields})
        empty = pa.table([pa.nulls(0)] * len(layout.names), list(layout.names))
        in_order(empty, [column.name for column in kind.fields])
        values = cls(kind, alphabets, layout, [CellStyle()] * len(layout.names), memories)
        text = layout.text(data)
        if text is None:
            return values
        rows = CsvLines.of(text.removeprefix(layout.head), layout)
        return cls(kind, alphabets, layout, values._styles(rows), memories)

    @property
    def bounds(self) -> dict[str, float]:
        """The error bounds of columns that have one."""
        return self.cells.bounds

    def encode(self, data: object) -> Encoded:
        """Return a piece as symbols, residues and literals."""
        assert isinstance(data, bytes)
        writer = LiteralWriter()
        text = self.layout.text(data)
        writer.number(text is None)
        if text is None:
            writer.blob(data)
            text = ""
        headed = text.startswith(self.layout.head)
        writer.number(headed)
        lines = CsvLines.of(text[len(self.layout.head) * headed :], self.layout)
        lines.write(writer)
        styles = self._styles(lines)
        usual = tuple(styles) == self.styles
        writer.text("" if usual else json.dumps([[*asdict(style).values()] for style in styles]))
        pairs = zip(self._columns, styles, lines.columns, strict=True)
        table = {column.name: style.read(column, raw) for column, style, raw in pairs}
        symbols, residues = self.channels.encode(self.cells.rows(table, len(lines)))
        hidden = self.channels.hidden(symbols)
        for i in range(hidden.shape[1]):
            writer.places(hidden[:, i])
        written = self._written(self.channels.decode(symbols, residues), styles)
        for column, style, raw, known in zip(
            self._columns, styles, lines.columns, written, strict=True
        ):
            bound, near = self.bounds.get(column.name), None
            if bound is not None:
                values, back = (floats(style.read(column, each)) for each in (raw, known))
                near = within(values, back, bound)
            write_differing(writer, _objects(raw), _objects(known), near)
        return Encoded(len(symbols), symbols, residues, writer.finish())

    def opened(self, n: int, literals: bytes) -> Opened:
        """Return the literals of n rows, read as far as symbols need them."""
        reader = LiteralReader(literals)
        blob = reader.blob() if reader.number() else None
        headed = reader.number()
        lines = CsvLines.read(reader, n)
        text = reader.text()
        with refusing():
            styles = [CellStyle(*style) for style in json.loads(text)] if text else self.styles
            if len(styles) != len(self._columns) or max(s.decimals for s in styles) > MOST_DECIMALS:
                raise damaged()
        masks = [reader.places(n) for _ in self.channels.alphabets]
        hidden = np.stack(masks, 1) if masks else np.zeros((n, 0), bool)
        return Opened(hidden, (blob, headed, lines, styles), reader)

    @refusing()
    def decode(self, symbols: Integers, residues: Residues, opened: Opened) -> bytes:
        """Return the piece that was encoded."""
        blob, headed, lines, styles = opened.form
        written = self._written(self.channels.decode(symbols, residues), styles)
        columns = [read_differing(opened.reader, _objects(known)).tolist() for known in written]
        if blob is not None:
            return bytes(blob)
        text = replace(lines, columns=columns).text(self.layout)
        return self.layout.bytes(self.layout.head * bool(headed) + text)

    def joined(self, parts: Sequence[bytes]) -> bytes:
        """Return pieces as one."""
        return b"".join(parts)

    def to_json(self) -> Json:
        """Return layout and styles, where they are not plain."""
        plain = CsvLayout.plain([column.name for column in self.cells.kind.fields])
        styles = [_differing(style, CellStyle()) for style in self.styles]
        return {"layout": _differing(self.layout, plain), "styles": styles}

    @classmethod
    def from_json(
        cls,
        kind: MixedTable,
        alphabets: Sequence[Alphabet | None],
        data: Json,
        memories: Sequence[Memory] = (),
    ) -> CsvValues:
        """Return the values of a form that :meth:`to_json` described.

        Raises
        ------
        FileError
            If it is not of this kind.
        """
        with refusing():
            plain = CsvLayout.plain([column.name for column in kind.fields])
            layout = replace(plain, **data["layout"])
            layout = replace(layout, names=tuple(layout.names))
            styles = [CellStyle(**style) for style in data["styles"]]
            return cls(kind, alphabets, layout, styles, memories)

    def _styles(self, lines: CsvLines) -> list[CellStyle]:
        known = zip(self._columns, lines.columns, self.styles, strict=True)
        styles = [style_of(one, raw, self.layout.delimiter, usual) for one, raw, usual in known]
        # Numbers within an error bound have other decimals than those of the file.
        return [
            replace(style, decimals=WHOLE) if column.name in self.bounds else style
            for column, style in zip(self._columns, styles, strict=True)
        ]

    def _written(self, rows: Array, styles: Sequence[CellStyle]) -> list[Texts]:
        """Return the cells of the file that follow from rows of coded cells alone."""
        arrays = self.cells.arrays(rows)
        pairs = zip(self._columns, styles, strict=True)
        return [style.write(arrays[column.name], self.layout.delimiter) for column, style in pairs]


@dataclass(frozen=True)
class CsvLines:
    """Lines of a CSV file.

    Attributes
    ----------
    columns : list of list of str
        The cells, as they are written, of all lines that have the right number of them.
    odd : bool array (lines,)
        Which lines are others.
    others : list of str
    ended : bool
        Whether the last line has an end.
    """

    columns: list[Texts]
    odd: NDArray[np.bool_]
    others: Texts
    ended: bool

    def __len__(self) -> int:
        return len(self.columns[0]) if self.columns else int(np.sum(~self.odd))

    @classmethod
    def of(cls, text: str, layout: CsvLayout) -> CsvLines:
        """Return the lines of a text."""
        lines = text.split(layout.end)
        ended = not lines[-1]
        if ended:
            lines.pop()
        width = len(layout.names)
        if '"' in text:
            joined = _whole(lines, layout.end)
            # A quote that is left open by mistake joins lines that are whole by themselves.
            right = [len(_fields(line, layout.delimiter) or ()) == width for line in joined]
            pairs = zip(joined, right, strict=True)
            lines = [x for one, kept in pairs for x in ([one] if kept else one.split(layout.end))]
        fields = [_fields(line, layout.delimiter) for line in lines]
        odd = np.array([one is None or len(one) != width for one in fields], bool)
        rows = [one for one, other in zip(fields, odd, strict=True) if one and not other]
        columns = [list(column) for column in zip(*rows, strict=True)] or [[]] * width
        others = [line for line, other in zip(lines, odd, strict=True) if other]
        return cls(columns, odd, others, ended)

    def write(self, writer: LiteralWriter) -> None:
        """Add all but the columns."""
        writer.number(len(self.others) << 1 | self.ended)
        if self.others:
            writer.places(self.odd)
            writer.texts(self.others)

    @classmethod
    def read(cls, reader: LiteralReader, n: int) -> CsvLines:
        """Return the next lines, n of which have cells, without these."""
        head = reader.number()
        count = head >> 1
        odd, others = np.zeros(n, bool), []
        if count:
            odd = reader.places(n + count)
            if int(odd.sum()) != count:
                raise damaged()
            others = reader.texts(count)
        return cls([], odd, others, bool(head & 1))

    def text(self, layout: CsvLayout) -> str:
        """Return the lines as text."""
        rows = map(layout.delimiter.join, zip(*self.columns, strict=True))
        others = iter(self.others)
        lines = [next(others) if other else next(rows) for other in self.odd.tolist()]
        return layout.end.join(lines) + layout.end * (self.ended and bool(lines))


def _differing(one: CsvLayout | CellStyle, usual: CsvLayout | CellStyle) -> Json:
    """Return what differs from what is usual, by name."""
    return {name: value for name, value in asdict(one).items() if value != getattr(usual, name)}


def _lines(file: BinaryIO, end: bytes) -> Iterator[bytes]:
    """Yield the lines of a file, and very long ones in parts."""
    rest = b""
    while block := file.read(BLOCK):
        *lines, rest = (rest + block).split(end)
        for line in lines:
            yield line + end
        if len(rest) > LONGEST:
            yield rest
            rest = b""
    if rest:
        yield rest


def _narrow(encoding: str) -> bool:
    """Return whether any bytes are text, some of it escaped, and come back."""
    return not encoding.startswith(tuple(MARKS.values()))


def _encoding_of(data: bytes) -> str:
    for mark, encoding in MARKS.items():
        if data.startswith(mark):
            order = "le" if mark[0] == 0xFF else "be"
            return f"{encoding}-{order}"
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        # The piece may end within a letter.
        return "utf-8" if error.start > len(data) - 4 else "cp1252"
    return "utf-8"


def _whole(lines: Texts, end: str) -> Texts:
    """Return lines, of which those with a quote that is left open go on in the next one."""
    joined: Texts = []
    begun: Texts = []
    inside = False
    for line in lines:
        begun.append(line)
        inside ^= bool(line.count('"') & 1)
        if not inside:
            joined.append(end.join(begun))
            begun = []
    return joined + ([end.join(begun)] if begun else [])


CELL = r'"(?:[^"]|"")*"|[^{0}"]*'


def _fields(line: str, delimiter: str) -> Texts | None:
    """Return the cells of a line as they are written; None where quotes are misplaced."""
    if '"' not in line:
        return line.split(delimiter)
    cell = _cell(delimiter)
    fields, place = [], 0
    while True:
        match = cell.match(line, place)
        assert match is not None  # it may be empty
        fields.append(match[0])
        place = match.end()
        if place == len(line):
            return fields
        if line[place] != delimiter:
            return None
        place += 1


@cache
def _cell(delimiter: str) -> re.Pattern[str]:
    return re.compile(CELL.format(re.escape(delimiter)))


def _objects(texts: Texts) -> NDArray[np.object_]:
    objects = np.empty(len(texts), object)
    objects[:] = texts
    return objects
