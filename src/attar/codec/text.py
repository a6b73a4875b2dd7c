"""Text, exactly, in few bytes: by context mixing, primed by the lines that a model was fitted on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd

from attar.codec.coding import SymbolCoding
from attar.codec.compact import Reader, number
from attar.codec.literals import LiteralReader, damaged, refusing
from attar.codec.rans import PRECISION, Decoder, Encoder
from attar.codec.symbols import Channels, Mask
from attar.codec.values import Encoded, Opened, Values
from attar.data.kind import Json
from attar.errors import DataError, FileError
from attar.likelihoods.alphabets import Integers, Residues
from attar.likelihoods.context_mixing import Lanes, MixingTables

Rows = list[str] | list[bytes]

# A chunk has so many bytes, or one row: so it never has more rows than a file allows.
BYTES = (1 << 20) - 1
# A byte never takes less than 1/2850 of one: its bits have probabilities up to 1 - 2^-12.
MOST = 2850
# So many steps of all lanes are given to the coder at once.
STEPS = 1 << 10


def encoded_text(tables: MixingTables, text: bytes) -> bytes:
    """Return a text in fewer bytes.

    Examples
    --------
    >>> tables = MixingTables.primed(b"To be, or not to be. " * 20)
    >>> data = encoded_text(tables, b"Not to be.")
    >>> len(data), decoded_text(tables, data)
    (8, b'Not to be.')
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


class TextCoding(SymbolCoding):
    """No symbols: a text is coded as a whole, by these tables.

    Parameters
    ----------
    packed : mapping of str to array
        What primed tables are in a model file.
    """

    def __init__(self, packed: Mapping[str, NDArray[np.uint8]]) -> None:
        self.alphabets, self.tables = (), MixingTables.unpacked(packed)

    def encode(self, channels: Channels, symbols: Integers, residues: Residues) -> bytes:
        """Return nothing."""
        return b""

    def decode(self, channels: Channels, hidden: Mask, data: bytes) -> tuple[Integers, Residues]:
        """Return nothing."""
        if data:
            raise damaged()
        return _NO_SYMBOLS, _NO_RESIDUES


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
                    f"A table of {X.shape[1]} columns is no text: give the column of the text."
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
        rows = X.tolist() if isinstance(X, np.ndarray | pd.Series) else list(X)
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
