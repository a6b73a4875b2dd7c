"""Text, exactly, in few bytes: by context mixing, primed by the training lines of a model."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd

from attar.codec.compact import Reader, number
from attar.codec.literals import LiteralReader, damaged, refusing
from attar.codec.rans import PRECISION, Decoder, Encoder
from attar.codec.symbols import Channels
from attar.codec.values import Encoded, Opened, Values
from attar.data.files.base import readable
from attar.data.kind import Json
from attar.data.lines import Lines
from attar.errors import DataError
from attar.likelihoods.alphabets import Integers, Residues
from attar.likelihoods.context_mixing import Lanes, MixingTables
from attar.remote import file_at

Rows = list[str | bytes]

# A chunk has so many bytes, or one row: so it never has more rows than a file allows.
BYTES = (1 << 20) - 1
# A byte never takes less than 1/11,400 of one: its bits have probabilities up to 1 - 2^-14.
MOST = 11_400
# So many steps of all lanes are given to the coder at once.
STEPS = 1 << 10


def encoded_text(tables: MixingTables, text: bytes) -> bytes:
    """Return a text in fewer bytes.

    Examples
    --------
    >>> tables = MixingTables.primed(b"To be, or not to be. " * 20)
    >>> data = encoded_text(tables, b"Not to be, or to be, or not to be.")
    >>> len(data) < 25, decoded_text(tables, data)
    (True, b'Not to be, or to be, or not to be.')
    """
    if not text:
        return number(0)
    bits, zeros = Lanes(tables.copy(), len(text)).over(text)
    encoder = Encoder()
    for start in range(0, len(bits), STEPS):
        ones = bits[start : start + STEPS].ravel().astype(bool)
        share = zeros[start : start + STEPS].ravel()
        encoder.push(np.where(ones, share, 0), np.where(ones, (1 << PRECISION) - share, share))
    return number(len(text)) + encoder.finish(lanes=1)


def decoded_text(tables: MixingTables, data: bytes) -> bytes:
    """Return the text that was encoded.

    Raises
    ------
    FileError
        If the bytes are damaged.
    """
    with refusing():
        reader = Reader(data, 0)
        length = reader.number()
    rest = data[reader.place :]
    if length > MOST * len(rest):
        raise damaged()
    if not length:
        return b""
    decoder = Decoder(rest)
    text = Lanes(tables.copy(), length).coded(decoder.pop_binary)
    decoder.done()
    return text


@dataclass(frozen=True)
class Form:
    """In which form the user has text.

    Attributes
    ----------
    container : str
        ``file`` (its bytes), ``list``, ``tuple``, ``array``, ``series`` or ``frame``.
    strings : bool
        Whether rows are strings; else bytes.
    dtype : str
        Of an array or a column.
    name : str or None
        Of a column.
    """

    container: str
    strings: bool = True
    dtype: str = ""
    name: str | None = None

    def __str__(self) -> str:
        """Say what it is."""
        if self.container == "file":
            return "a file, byte for byte"
        article = "an" if self.container == "array" else "a"
        return f"{article} {self.container} of {'strings' if self.strings else 'bytes'}"

    @classmethod
    def of(cls, X: object) -> tuple[Self, Rows]:
        """Return the form of rows, and a list of these.

        Raises
        ------
        DataError
            If they are no strings, or no bytes, or have an index that is not 0, 1, 2, ...
        """
        container, dtype, name = "list", "", None
        if isinstance(X, pd.DataFrame):
            if X.shape[1] != 1:
                raise DataError(
                    f"A table of {X.shape[1]} columns is no text: give one column, as "
                    "table[['title']], or the path of the file."
                )
            container, X = "frame", X.iloc[:, 0]
        if isinstance(X, pd.Series):
            if not X.index.equals(pd.RangeIndex(len(X))) or not isinstance(X.name, str | None):
                raise DataError(
                    "A column of text has the index 0, 1, 2, ... and a string as its name, or "
                    "none: give column.reset_index(drop=True)."
                )
            container = "series" if container == "list" else container
            dtype, name = str(X.dtype), X.name
        elif isinstance(X, np.ndarray):
            container, dtype = "array", X.dtype.str
        elif isinstance(X, tuple):
            container = "tuple"
        elif not isinstance(X, list):
            raise DataError(
                f"Text is a list of strings or the path of a file, not {type(X).__name__}."
            )
        rows: Rows = X.tolist() if isinstance(X, np.ndarray | pd.Series) else list(X)
        strings = bool(rows) and isinstance(rows[0], str)
        for i, row in enumerate(rows):
            if not isinstance(row, str if strings else bytes):
                raise DataError(
                    f"Row {i + 1:,} is of the type {type(row).__name__}: rows of text are all "
                    "strings, or all bytes; give '' for missing ones."
                )
        return cls(container, strings, dtype, name), rows

    def whole(self, rows: Rows) -> object:
        """Return rows in this form."""
        if self.container in ("list", "tuple"):
            return rows if self.container == "list" else tuple(rows)
        if self.container == "array":
            return np.array(rows, dtype=self.dtype)
        column = pd.Series(rows, dtype=self.dtype, name=self.name)
        return column if self.container == "series" else column.to_frame(self.name)


class TextValues(Values):
    """Text as it is, coded as a whole.

    Parameters
    ----------
    tables : MixingTables
    form : Form
    mean_cells : float
        The mean number of bytes of a row, a line break included.
    """

    def __init__(self, tables: MixingTables, form: Form, mean_cells: float = 1.0) -> None:
        self.tables, self.form, self.mean_cells = tables, form, mean_cells
        self.channels = Channels(())

    def encode(self, data: object) -> Encoded:
        """Return a piece of a file, or some rows, in few bytes."""
        if isinstance(data, bytes):
            text, rows = data, lines_of(data)
        else:
            assert isinstance(data, list)
            text, rows = b"".join(_line(row) for row in data), len(data)
        return Encoded(rows, _NO_SYMBOLS, _NO_RESIDUES, encoded_text(self.tables, text))

    def opened(self, n: int, literals: bytes) -> Opened:
        """Return the piece of a file, or the rows."""
        text = decoded_text(self.tables, literals)
        found: bytes | Rows = text
        if self.form.container != "file":
            *lines, end = text.split(b"\n")
            with refusing():
                found = [_row(line, self.form.strings) for line in lines]
            if end or len(found) != n:
                raise damaged()
        return Opened(np.zeros((n, 0), bool), found, LiteralReader(b""))

    def decode(self, symbols: Integers, residues: Residues, opened: Opened) -> bytes | Rows:
        """Return what was opened."""
        found: bytes | Rows = opened.form
        return found

    def joined(self, parts: Sequence[Any]) -> Any:
        """Return pieces as one, in the user's form."""
        if self.form.container == "file":
            return b"".join(parts)
        return self.form.whole([row for part in parts for row in part])

    def to_json(self) -> Json:
        """Return the form, and the mean number of bytes."""
        return {"text": asdict(self.form), "mean_cells": self.mean_cells}

    @classmethod
    def from_json(cls, tables: MixingTables, data: Json) -> Self:
        """Return the values that :meth:`to_json` described.

        Raises
        ------
        FileError
            If they are none.
        """
        with refusing():
            return cls(tables, Form(**data["text"]), float(data["mean_cells"]))


def opened_text(X: object, tables: MixingTables) -> tuple[TextValues, Iterator[bytes | Rows]]:
    """Return how text becomes bytes, and the text in pieces.

    Raises
    ------
    DataError
        If it is no text.
    FileError
        If there is no such file, or it cannot be read.
    """
    path = X.path if isinstance(X, Lines) else X
    if isinstance(path, str | os.PathLike):
        path = file_at(path)
        sizes = [(len(piece), lines_of(piece)) for piece in pieces_of_file(path)]
        size, rows = map(sum, zip(*sizes, strict=True))
        values = TextValues(tables, Form("file"), size / max(1, rows))
        return values, pieces_of_file(path)
    form, found = Form.of(X)
    size = sum(len(_line(row)) for row in found)
    return TextValues(tables, form, size / max(1, len(found))), _pieces_of_rows(found)


def text_bytes(X: object) -> bytes:
    """Return text as a general compressor gets it: a file, or rows as lines."""
    path = X.path if isinstance(X, Lines) else X
    if isinstance(path, str | os.PathLike):
        return b"".join(pieces_of_file(file_at(path)))
    return b"".join(_bytes(row) + b"\n" for row in Form.of(X)[1])


def pieces_of_file(path: Path) -> Iterator[bytes]:
    """Yield the bytes of a file in pieces; one where it is empty."""
    with readable(path), path.open("rb") as file:
        yield file.read(BYTES)
        while piece := file.read(BYTES):
            yield piece


def lines_of(text: bytes) -> int:
    """Return the number of lines, of which the last may have no end."""
    return text.count(b"\n") + (not text.endswith(b"\n") and bool(text))


def _pieces_of_rows(rows: Rows) -> Iterator[Rows]:
    """Yield rows that have so many bytes together, or one; nothing where there are none."""
    start = size = 0
    for i, row in enumerate(rows):
        length = len(_line(row))
        if i > start and size + length > BYTES:
            yield rows[start:i]
            start, size = i, 0
        size += length
    yield rows[start:]


def _bytes(row: str | bytes) -> bytes:
    return row if isinstance(row, bytes) else row.encode("utf-8", "surrogatepass")


def _line(row: str | bytes) -> bytes:
    """Return a row as a line, in which a line break is two bytes that UTF-8 does not have."""
    return _bytes(row).replace(b"\xfe", b"\xfe\0").replace(b"\n", b"\xfe\1") + b"\n"


def _row(line: bytes, string: bool) -> str | bytes:
    row = line.replace(b"\xfe\1", b"\n").replace(b"\xfe\0", b"\xfe")
    return row.decode("utf-8", "surrogatepass") if string else row


_NO_SYMBOLS, _NO_RESIDUES = np.zeros((0, 0), np.int64), np.zeros(0, np.uint64)
