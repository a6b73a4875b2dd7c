"""Texts of files: a line, a paragraph, or a cell of a column each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby, islice
from pathlib import Path

import pandas as pd

from attar.checks import positive_integer
from attar.data.files.base import FileStream, readable
from attar.data.files.tabular import STREAMS
from attar.errors import DataError, FileError, SettingError, unknown

SUFFIXES = (".txt", ".text", ".log", ".md")

# So many texts are a piece.
PIECE = 1 << 14


class Lines(FileStream):
    r"""The texts of a file, in pieces.

    Parameters
    ----------
    path : str, Path or FileStream
        Of plain text (.txt, .text, .log, .md), or of a table with a column of text.
    column : str or None
        The column of a table.
    paragraphs : bool, default False
        Whether plain text has a text in each paragraph, not in each line: blank lines are between
        them.
    encoding : str, default "utf-8"
        Of plain text.
    split : int or None
        Texts of more words are split into parts of so many at most; None leaves them whole.

    Raises
    ------
    SettingError
        If the encoding is unknown, or a table is given without a column.
    FileError
        If the file cannot be read, or has another encoding.
    DataError
        If it has no such column.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder, "a.txt")
    ...     _ = path.write_text("one\ntwo words\n")
    ...     Lines(path).read()
    ['one', 'two words']
    """

    def __init__(
        self,
        path: str | Path | FileStream,
        column: str | None = None,
        paragraphs: bool = False,
        encoding: str = "utf-8",
        split: int | None = None,
    ) -> None:
        super().__init__(path.path if isinstance(path, FileStream) else path)
        self.column, self.paragraphs, self.encoding = column, paragraphs, encoding
        self.split = None if split is None else positive_integer("split", split)
        self.table = path if isinstance(path, FileStream) else _table(self.path)
        if self.table is not None and column is None:
            raise SettingError(f"{self.path} is a table: name the column that has the text.")
        if self.table is None and column is not None:
            raise SettingError(f"{self.path} is no table, and has no column {column!r}.")
        try:
            "".encode(encoding)
        except LookupError:
            raise SettingError(f"There is no encoding {encoding!r}: use utf-8 or cp1252.") from None

    @property
    def fingerprint(self) -> str:
        """The file's, and how it is read."""
        how = self.column, self.paragraphs, self.encoding, self.split
        return f"{super().fingerprint} {how}"

    @property
    def bytes(self) -> int:
        """Those of the file."""
        return self.size

    @property
    def rows(self) -> None:
        """None: texts must be counted."""

    def __iter__(self) -> Iterator[list[str] | pd.DataFrame]:
        if self.table is not None:
            for frame in self.table:
                yield self._of_column(frame)
            return
        texts = self._split(self._paragraphs() if self.paragraphs else self._lines())
        while piece := list(islice(texts, PIECE)):
            yield piece

    def read(self) -> list[str] | pd.DataFrame:
        """Return all texts: a list, or a table of one column."""
        frames, texts = list[pd.DataFrame](), list[str]()
        for piece in self:
            if isinstance(piece, pd.DataFrame):
                frames.append(piece)
            else:
                texts += piece
        return pd.concat(frames) if frames else texts

    def _lines(self) -> Iterator[str]:
        encoding = "utf-8-sig" if self.encoding == "utf-8" else self.encoding
        with readable(self.path), self.path.open(encoding=encoding) as file:
            try:
                for line in file:
                    yield line.removesuffix("\n")
            except UnicodeDecodeError:
                raise FileError(
                    f"{self.path} is not {self.encoding} {self._place(encoding)}: give its "
                    "encoding, such as cp1252."
                ) from None

    def _place(self, encoding: str) -> str:
        """Return where the first byte is that is not of the encoding."""
        with self.path.open("rb") as file:
            before = 0
            for line in file:
                try:
                    line.decode(encoding)
                except UnicodeDecodeError as error:
                    return f"at byte {before + error.start:,}"
                before += len(line)
        return "at its end"

    def _paragraphs(self) -> Iterator[str]:
        for text, lines in groupby(self._lines(), key=lambda line: bool(line.strip())):
            if text:
                yield "\n".join(lines)

    def _split(self, texts: Iterable[str]) -> Iterator[str]:
        for text in texts:
            words = text.split() if self.split else []
            if self.split is None or len(words) <= self.split:
                yield text
                continue
            for start in range(0, len(words), self.split):
                yield " ".join(words[start : start + self.split])

    def _of_column(self, frame: pd.DataFrame) -> pd.DataFrame:
        if self.column not in frame.columns:
            raise DataError(str(unknown("column", str(self.column), map(str, frame.columns))))
        found = frame[[self.column]]
        if self.split is None:
            return found
        texts = found[self.column].dropna().astype(str)
        return pd.DataFrame({self.column: list(self._split(texts))})


def _table(path: Path) -> FileStream | None:
    """Return the table of a file; None where it is no table."""
    name = path.name.lower()
    return next((one(path) for suffix, one in STREAMS.items() if name.endswith(suffix)), None)
