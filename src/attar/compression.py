"""Compression by a fitted model: data as bytes, and back, the very same or within error bounds."""

from __future__ import annotations

import bz2
import lzma
import os
import struct
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from itertools import islice
from math import ceil
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from attar.codec.coding import coding_of
from attar.codec.container import MAX_ROWS, ArchiveReader, ArchiveWriter, Chunk
from attar.codec.forms import digest, opened, part_of, raw_bytes, values_from
from attar.codec.values import Values
from attar.data.series import Windows
from attar.data.source import Data
from attar.data.text import Text
from attar.errors import ArchiveError, DataError, SettingError
from attar.estimator import Autoencoder
from attar.isolation import default_settings, exact_products, one_thread
from attar.remote import file_at

# A chunk has about so many cells: enough for large matrix products and many lanes of the coder.
# Tables of the frequencies of a column's symbols are of all its rows. So many chunks are coded at
# once.
CELLS, ROWS, WORKERS = 1 << 21, 1 << 12, 8

_LENGTH = struct.Struct("<I")

T = TypeVar("T")
U = TypeVar("U")


@dataclass(frozen=True)
class Rate:
    """What some data take, compressed.

    Attributes
    ----------
    rows : int
    cells : float
        Of a row, on average: a cell is a pixel's channel, or a column.
    raw_bytes, bytes, model_bytes : int
        Of the data as they are, compressed, and of the model file.
    general, general_bytes : str, int
        The best general compressor of ``bz2`` and ``xz``, and what it takes.
    """

    rows: int
    cells: float
    raw_bytes: int
    bytes: int
    model_bytes: int
    general: str
    general_bytes: int

    @property
    def bits_per_row(self) -> float:
        """The compressed bits of a row."""
        return 8 * self.bytes / max(1, self.rows)

    @property
    def bits_per_dimension(self) -> float:
        """The compressed bits of a cell."""
        return self.bits_per_row / max(1, self.cells)

    @property
    def pays_from(self) -> int | None:
        """The number of rows from which model and data together are smaller than the best others.

        None where they never are.
        """
        saved = (self.general_bytes - self.bytes) / max(1, self.rows)
        return None if saved <= 0 else ceil(self.model_bytes / saved)

    def to_json(self) -> dict[str, object]:
        """Return the figures as plain JSON data."""
        return {
            "rows": self.rows,
            "raw_bytes": self.raw_bytes,
            "bytes": self.bytes,
            "bits_per_row": self.bits_per_row,
            "bits_per_dimension": self.bits_per_dimension,
            "model_bytes": self.model_bytes,
            "best_general": self.general,
            "best_general_bytes": self.general_bytes,
            "pays_from_rows": self.pays_from,
        }


class Codec:
    """Compression of data by a fitted model; decompressed data are bit-exact.

    With a likelihood that has error bounds, such as ``Causal(error_bound=0.01)``, decompressed
    numbers are within these bounds, and all else is exact.

    ::

        data ─ values ─► symbols ─ network on integers ─► frequencies ─ coder ─► bytes
                     ├─► residues ──────────────────────────────────────┘         │
                     └─► literals ────────────────────────────────────────────────┴─► chunk

    The model decides how few bytes it takes, and never whether it works: what it has not seen is
    stored as it is.

    Parameters
    ----------
    model : Autoencoder
        Fitted with ``recipe="lossless"``; or with another recipe that has a density or a discrete
        code, on cells of few values, for bits-back coding; or, with any recipe, on text, which is
        coded by context mixing that the training lines have primed.

    Attributes
    ----------
    kind : Kind
        The form of the data.
    window : int
        How many rows are coded together: those of a window of series, else one.
    cells : int
        How many values a row has.
    fingerprint : str
        Identifies the model.

    Raises
    ------
    SettingError
        If the model is one that does not compress.

    Examples
    --------
    >>> import attar
    >>> from attar.data import datasets
    >>> images = datasets.load("digits", "train")[0].astype("uint8")
    >>> ae = attar.Autoencoder("lossless", epochs=1, random_state=0).fit(images[:400])
    >>> codec = Codec(ae)
    >>> data = codec.compress(images[400:500])
    >>> bool((codec.decompress(data) == images[400:500]).all()), len(data) < 6400
    (True, True)
    """

    @default_settings()
    def __init__(self, model: Autoencoder) -> None:
        fitted = model._fitted
        self.model, self.kind = model, fitted.kind
        # A row is a row of the user's data: of series one point of a window.
        self.window = self.kind.window if isinstance(self.kind, Windows) else 1
        self.cells = self.kind.dimensions // self.window
        self._coding = coding_of(fitted)
        self.fingerprint = fitted.fingerprint

    @property
    def chunk(self) -> int:
        """How many rows are compressed at once."""
        if isinstance(self.kind, Text):  # so many bytes are a chunk, and a row has one at least
            return MAX_ROWS
        rows = max(1, min(ROWS, CELLS // max(1, self.cells)))
        return max(1, rows // self.window) * self.window

    def compress(self, X: Data) -> bytes:
        """Return data as bytes: a compressed file in memory.

        Parameters
        ----------
        X : array, table, list of strings or of bytes, or path
            Of the model's kind. Of a CSV file the bytes of the file are compressed; by a model of
            text, those of any file.

        Raises
        ------
        DataError
            If they are of another kind, or have other columns.
        """
        file = BytesIO()
        self._write(X, file)
        return file.getvalue()

    def compress_file(
        self,
        X: Data,
        path: str | Path,
        with_model: bool = False,
        on_rows: Callable[[int], None] | None = None,
    ) -> None:
        """Write data to a compressed file (.atz), which appears whole or not at all.

        Parameters
        ----------
        X : array, table, or path
        path : path
        with_model : bool
            Whether the file holds the model too, so that nothing else is needed to read it.
        on_rows : callable or None
            Gets the number of rows that were written so far, after each chunk.
        """
        self._write(X, file_at(path), with_model, on_rows)

    def decompress(self, data: bytes) -> Any:
        """Return the data that were compressed; of a CSV file, or one of text, its bytes.

        Raises
        ------
        ArchiveError
            If the bytes are damaged, of another model, or no compressed file.
        """
        return Archive(ArchiveReader(data), self)[:]

    def rate(self, X: Data) -> Rate:
        """Return what data take, compressed, beside the best general compressor.

        Parameters
        ----------
        X : array, table, or path
        """
        data, raw = self.compress(X), raw_bytes(X, self.kind)
        others = {"bz2": len(bz2.compress(raw, 9)), "xz": len(lzma.compress(raw, preset=9))}
        best, size = min(others, key=others.__getitem__), len(model_bytes(self.model))
        archive = ArchiveReader(data)
        rows, cells = archive.rows, float(archive.schema["cells"])
        return Rate(rows, cells, len(raw), len(data), size, best, others[best])

    @default_settings()
    def _write(
        self,
        X: Data,
        file: Path | BinaryIO,
        with_model: bool = False,
        on_rows: Callable[[int], None] | None = None,
    ) -> None:
        values, pieces = opened(X, self.kind, self._coding, self.chunk)
        cells = self.cells if values.mean_cells is None else values.mean_cells
        schema = {"csv": values.of_csv, "cells": cells, "values": values.to_json()}
        if values.bounds:
            schema["error_bounds"] = values.bounds
        model, written = model_bytes(self.model) if with_model else b"", 0
        with ArchiveWriter(file, self.fingerprint, schema, model) as writer:
            for data, rows, mark in _in_parallel(
                lambda piece: self._encoded(values, piece), pieces
            ):
                writer.write(data, rows, mark)
                written += rows
                if on_rows is not None:
                    on_rows(written)

    @default_settings()
    def _encoded(self, values: Values, piece: Any) -> tuple[bytes, int, bytes]:
        """Return a chunk's bytes, its rows, and the digest of what it decodes to."""
        found = values.encode(piece)
        coded = self._coding.encode(values.channels, found.symbols, found.residues)
        head = _LENGTH.pack(len(found.literals)) + found.literals
        if values.bounds:  # the digest is of the decompressed piece
            opened = values.opened(found.rows, found.literals)
            piece = values.decode(found.symbols, found.residues, opened)
        return head + coded, found.rows, digest(piece)

    @default_settings()
    def _decoded(self, values: Values, chunk: Chunk) -> Any:
        """Return the rows of a chunk."""
        if chunk.rows > self.chunk:
            raise ArchiveError(f"A chunk claims {chunk.rows:,} rows: it is damaged.")
        data = chunk.read()
        start = _LENGTH.size + int.from_bytes(data[: _LENGTH.size], "little")
        literals = values.opened(chunk.rows, data[_LENGTH.size : start])
        found = self._coding.decode(values.channels, literals.hidden, data[start:])
        rows = values.decode(*found, literals)
        chunk.check(digest(rows))
        return rows


class Archive:
    """A compressed file, of which rows are decompressed as they are asked for: ``archive[i:j]``.

    Parameters
    ----------
    reader : ArchiveReader
    codec : Codec

    Raises
    ------
    ArchiveError
        If it was compressed by another model.
    """

    def __init__(self, reader: ArchiveReader, codec: Codec) -> None:
        if reader.fingerprint != codec.fingerprint:
            raise ArchiveError(
                f"{reader.name} was compressed by another model, of the fingerprint "
                f"{reader.fingerprint[:12]}, than this one, {codec.fingerprint[:12]}: give that."
            )
        self.reader, self.codec = reader, codec
        try:
            self.values = values_from(codec.kind, codec._coding, reader.schema["values"])
        except (LookupError, TypeError, AttributeError):
            raise ArchiveError(
                f"{reader.name} is damaged: its schema is of another form."
            ) from None

    def __len__(self) -> int:
        return self.reader.rows

    def __getitem__(self, rows: slice) -> Any:
        """Return some rows, in the user's own form; only the chunks that hold them are decoded."""
        if not isinstance(rows, slice) or rows.step not in (None, 1):
            raise SettingError("Rows of a compressed file are taken as archive[i:j].")
        start, stop, _ = rows.indices(len(self))
        chunks = self.reader.chunks_of(start, stop) or self.reader[:1]
        parts = list(self.pieces(chunks))
        if not parts:
            raise DataError(f"{self.reader.name} holds no rows.")
        whole = self.values.joined(parts)
        if not isinstance(whole, bytes):
            return part_of(whole, start - chunks[0].start, max(start, stop) - chunks[0].start)
        if stop - start != len(self):
            raise SettingError("Of a compressed file of lines take all rows: archive[:].")
        return whole

    def pieces(self, chunks: Iterable[Chunk] | None = None) -> Iterator[Any]:
        """Yield the rows of chunks, or of all, one chunk after the other."""
        return _in_parallel(
            lambda chunk: self.codec._decoded(self.values, chunk),
            self.reader if chunks is None else chunks,
        )


def open_archive(path: str | Path, model: Autoencoder | None = None) -> Archive:
    """Return a compressed file, of which rows are decompressed as they are asked for.

    Parameters
    ----------
    path : path
    model : Autoencoder or None
        None where the file holds the model.

    Raises
    ------
    FileError
        If there is no such file.
    ArchiveError
        If it is damaged, needs a model, or is of another one.
    """
    reader = ArchiveReader(path)
    model = model or model_inside(path, reader.model)
    return Archive(reader, Codec(model))


def _in_parallel(function: Callable[[T], U], items: Iterable[T]) -> Iterator[U]:
    """Yield results in order, of as many items at once as there are cores, eight at most."""
    workers, rest = min(WORKERS, os.cpu_count() or 1), iter(items)
    with one_thread(), exact_products(), ThreadPoolExecutor(workers) as pool:
        while some := list(islice(rest, workers)):
            yield from pool.map(function, some)


def model_bytes(model: Autoencoder) -> bytes:
    """Return the bytes of a model file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.attar"
        model.save(path)
        return path.read_bytes()


def model_inside(path: str | Path, data: bytes | None) -> Autoencoder:
    """Return the model that a compressed file holds.

    Raises
    ------
    ArchiveError
        If it holds none.
    """
    if not data:
        raise ArchiveError(f"{path} does not hold its model: give the one it was written with.")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.attar"
        path.write_bytes(data)
        return Autoencoder.load(path)
