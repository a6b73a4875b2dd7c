"""Text as a kind of data: a row of tokens for each line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import copy
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attar.data.kind import Json, Kind, Portion, Rows
from attar.data.lines import SUFFIXES, Lines
from attar.data.scaling import Scaling, Unscaled
from attar.data.stream import Sample
from attar.data.summary import Moments, Summary
from attar.data.tokens import Tokens, Vocabulary
from attar.errors import DataError, warn
from attar.token_ids import END, PAD

# The vocabulary is learned from so many bytes at most, and a text has so many tokens at most.
LEARNED, LONGEST = 1 << 24, 128

# A table's only column is text where it has so many rows, which are mostly different.
FEWEST = 20

# Lengths are multiples of this.
STEP = 8

# What a description has as it is.
FIELDS = ("length", "column", "binary", "paragraphs", "split")

# Strings of the user's form, or bytes.
Texts = Sequence[str | bytes] | NDArray[Any] | pd.Series | pd.DataFrame


@dataclass(frozen=True)
class Text(Kind):
    """The form of text: lines, or the strings of a column.

    A row has the tokens of a text, an end, and nothing behind it. A text that is longer is cut.

    Parameters
    ----------
    vocabulary : Vocabulary
    length : int
        The tokens of a row, the end included.
    column : str or None
        The column of a table that the text is; None for lines.
    binary : bool
        Whether texts are bytes, not strings.
    paragraphs : bool
        Whether a text is a paragraph of a file, not a line.
    split : int or None
        Of how many words texts of files are at most; longer ones are split.
    contents : tuple of (str, str)
        What the texts of the fit are like, in words; lengths and repetitions are a sample's.
    """

    vocabulary: Vocabulary
    length: int
    column: str | None = None
    binary: bool = False
    paragraphs: bool = False
    split: int | None = None
    contents: tuple[tuple[str, str], ...] = ()

    name = "text"
    part = "token"
    hidden: ClassVar[float] = 0.0

    @property
    def shape(self) -> tuple[int, ...]:
        """(length,)."""
        return (self.length,)

    @classmethod
    def of(cls, pieces: Iterable[object]) -> tuple[Self, Summary]:
        """Return the form and the summary of text, from one pass over it.

        Raises
        ------
        DataError
            If all texts are equal.
        """
        sample: Sample[list[bytes]] = Sample(lambda texts, places: [texts[i] for i in places])
        column, binary, size = None, False, 0
        for piece in pieces:
            texts, column, binary = as_bytes(piece), _column(piece), is_binary(piece)
            size += sum(map(len, texts))
            sample.add(texts, len(texts))
        if not sample.seen:
            raise DataError("There are no texts: give at least two.")
        kept, places = sample.result(lambda parts: [text for part in parts for text in part])
        different = len(set(kept))
        if len(kept) > 1 and different == 1:
            raise DataError("All texts are equal: there is nothing to learn.")
        vocabulary = Vocabulary.learned(_at_most(kept, LEARNED))
        tokens = vocabulary.encode(kept)
        lengths = [len(text) for text in tokens]
        longest = int(np.argmax(lengths))
        contents = (
            ("texts", f"{sample.seen:,}, of {size:,} bytes"),
            ("repeated", f"{1 - different / len(kept):.1%} of the texts"),
            ("vocabulary", f"{vocabulary.size:,} tokens"),
            ("median length", f"{np.median(lengths):,.0f} tokens"),
            ("longest", f"{lengths[longest]:,} tokens, in text {places[longest]:,}"),
        )
        length = min(LONGEST, -(-(max(lengths) + 1) // STEP) * STEP)
        kind = cls(vocabulary, length, column, binary, contents=contents)
        if isinstance(pieces, Lines):
            kind = replace(kind, paragraphs=pieces.paragraphs, split=pieces.split)
        kind._warn_of_long(tokens)
        rows = kind.padded(tokens)
        return kind, Summary(sample.seen, Moments.of(kind.columns(rows)), rows, places)

    def accepts(self, other: type[Kind]) -> bool:
        """Return whether data of another kind may be taken: a table that has the column may."""
        return super().accepts(other) or (self.column is not None and other.name == "table")

    def refusal(self, shape: tuple[int, ...], other: type[Kind]) -> str:
        """Return why data of another kind are refused, and how to give the text of a table."""
        words = super().refusal(shape, other)
        if other.name != "table":
            return words
        return (
            f"{words.removesuffix('.')}: give its text alone, as a .txt file or "
            "attar.Lines(path, column), or fit on a column, with --column NAME."
        )

    def rows(self, data: object) -> Rows:
        """Return the tokens of texts: (n, length); texts that are longer are cut.

        Raises
        ------
        DataError
            If the data are no texts.
        """
        return self.padded(self.vocabulary.encode(as_bytes(data, self.column)))

    def padded(self, tokens: Sequence[Tokens]) -> Rows:
        """Return tokens of texts with an end, and cut: (n, length)."""
        rows = np.full((len(tokens), self.length), PAD, np.float32)
        for row, text in zip(rows, tokens, strict=True):
            row[: len(text)] = text[: self.length]
            if len(text) < self.length:
                row[len(text)] = END
        return rows

    def changed(self, data: object) -> None:
        """Warn of texts that are longer than those of the fit, and are cut."""
        self._warn_of_long(self.vocabulary.encode(as_bytes(data, self.column)))

    def lines(self, path: Path | Lines) -> Lines:
        """Return the texts of a file as those of the fit were read, where nothing else is said."""
        if isinstance(path, Lines):
            lines = copy(path)
            lines.paragraphs, lines.split = (
                path.paragraphs or self.paragraphs,
                path.split or self.split,
            )
            return lines
        plain = path.name.lower().endswith(SUFFIXES)
        column = None if plain else self.column
        return Lines(path, column, self.paragraphs, split=self.split)

    def passthrough(self, data: object) -> object:
        """Return the array, or the column of pandas, in whose form texts come back."""
        return data if isinstance(data, np.ndarray | pd.Series | pd.DataFrame) else None

    def restore(self, rows: Rows, passthrough: object = None) -> Texts:
        """Return the texts of tokens: in the form of some data, else as a list or as a column."""
        return self.formed(
            [self.vocabulary.decode(row) for row in rows.astype(int).tolist()], passthrough
        )

    def formed(self, found: Sequence[bytes], passthrough: object = None) -> Texts:
        """Return texts in the form of some data, else as a list or as a column."""
        texts = list(found) if self.binary else [as_string(text) for text in found]
        if isinstance(passthrough, np.ndarray):
            return np.array(texts, object if passthrough.dtype == object else None)
        if isinstance(passthrough, pd.Series):
            return pd.Series(texts, passthrough.index, name=passthrough.name)
        if isinstance(passthrough, pd.DataFrame):
            return pd.DataFrame({self.column or passthrough.columns[0]: texts}, passthrough.index)
        return texts if self.column is None else pd.DataFrame({self.column: texts})

    def joined(self, parts: Sequence[Texts]) -> Texts:
        """Return pieces as one."""
        if tables := [part for part in parts if isinstance(part, pd.DataFrame)]:
            return pd.concat(tables)
        if columns := [part for part in parts if isinstance(part, pd.Series)]:
            return pd.concat(columns)
        if arrays := [part for part in parts if isinstance(part, np.ndarray)]:
            return np.concatenate(arrays)
        return [text for part in parts if isinstance(part, list) for text in part]

    def scaling(self, summary: Summary) -> Scaling:
        """Return none: tokens are numbers of an alphabet."""
        return Unscaled()

    def columns(self, rows: Rows) -> Rows:
        """Return all tokens as one column."""
        return rows.reshape(-1, 1)

    def spread(self, per_column: NDArray[np.float64], neutral: float) -> NDArray[np.float64]:
        """Return the one value."""
        return per_column

    def residuals(self, prepared: Rows, decoded: Rows) -> Rows:
        """Return 1 where a token is another, else 0; NaN behind the end of a text."""
        wrong: Rows = np.where(prepared == PAD, np.nan, decoded != prepared)
        return wrong

    @property
    def remarks(self) -> list[tuple[str, str]]:
        """What the texts are like."""
        return list(self.contents)

    @property
    def portions(self) -> list[Portion]:
        """The text."""
        return [Portion(self.column or "text", "text", slice(0, 1))]

    def feature_names(self) -> list[str]:
        """Return the places of tokens."""
        return [f"token{i}" for i in range(self.length)]

    def to_json(self) -> Json:
        """Return the form as plain JSON data."""
        return {
            "merges": [list(pair) for pair in self.vocabulary.merges],
            "contents": [list(pair) for pair in self.contents],
            **{name: getattr(self, name) for name in FIELDS},
        }

    @classmethod
    def from_json(cls, data: Json) -> Self:
        """Return the form that :meth:`to_json` described."""
        merges = tuple((int(a), int(b)) for a, b in data["merges"])
        contents = tuple((name, words) for name, words in data["contents"])
        fields = {name: data[name] for name in FIELDS}
        return cls(Vocabulary(merges), **fields, contents=contents)

    def _warn_of_long(self, tokens: Sequence[Tokens]) -> None:
        long = sum(len(text) > self.length for text in tokens)
        if long:
            warn(
                f"{long:,} of {len(tokens):,} texts have more than {self.length:,} tokens, and are "
                "cut there: split them, as attar.Lines(path, split=...) or --split does."
            )


def as_bytes(data: object, column: str | None = None) -> list[bytes]:
    """Return texts as bytes, in UTF-8; lone surrogates stay.

    Raises
    ------
    DataError
        If one of them is neither a string nor bytes.
    """
    if isinstance(data, pd.DataFrame):
        if column is not None and column not in data.columns:
            raise DataError(f"X has no column {column!r}, which the model was fitted on.")
        data = data[data.columns[0] if column is None else column]
    if isinstance(data, str | bytes) or not isinstance(data, Iterable):
        raise DataError("A single text is no data: give a list of texts.")
    texts, missing, types = list[bytes](), 0, set[type]()
    for i, text in enumerate(data):
        if isinstance(text, str):
            texts.append(text.encode("utf-8", "surrogatepass"))
            types.add(str)
        elif isinstance(text, bytes):
            texts.append(text)
            types.add(bytes)
        elif text is None or text is pd.NA or text != text:
            texts.append(b"")
            missing += 1
        else:
            raise DataError(f"Text {i} is {text!r}, which is no string.")
    if len(types) > 1:
        raise DataError("Some texts are strings and some are bytes: decode those that are bytes.")
    if missing:
        warn(f"{missing:,} texts are missing, and count as empty.")
    return texts


def as_string(text: bytes) -> str:
    r"""Return the string of bytes, with a replacement character where they are none.

    Examples
    --------
    >>> as_string(b"caf\xc3\xa9"), as_string(b"caf\xe9")
    ('café', 'caf�')
    """
    try:
        return text.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return text.decode("utf-8", "replace")


def are_texts(data: object) -> bool:
    """Return whether data in memory are strings or bytes, one after the other."""
    if isinstance(data, pd.Series):
        return pd.api.types.infer_dtype(data, skipna=True) in ("string", "bytes")
    if isinstance(data, np.ndarray):
        return data.ndim == 1 and (
            data.dtype.kind in "US" or (data.dtype == object and are_texts(data.tolist()))
        )
    if not isinstance(data, list | tuple) or not data:
        return False
    return all(isinstance(text, str | bytes) or text is None for text in islice(data, 1000))


def is_column_of_texts(data: object) -> bool:
    """Return whether data are a table whose only column has strings that are mostly different."""
    if not isinstance(data, pd.DataFrame) or data.shape[1] != 1 or len(data) < FEWEST:
        return False
    name, column = data.columns[0], data.iloc[:, 0]
    return isinstance(name, str) and are_texts(column) and column.nunique() > len(column) / 2


def is_binary(data: object, column: str | None = None) -> bool:
    """Return whether texts are bytes."""
    if isinstance(data, pd.DataFrame):
        data = data[data.columns[0] if column is None else column]
    return isinstance(data, Iterable) and any(isinstance(text, bytes) for text in islice(data, 99))


def _column(data: object) -> str | None:
    return str(data.columns[0]) if isinstance(data, pd.DataFrame) else None


def _at_most(texts: Sequence[bytes], size: int) -> Iterable[bytes]:
    """Yield texts until there are so many bytes."""
    for text in texts:
        if size <= 0:
            return
        yield text
        size -= len(text)
