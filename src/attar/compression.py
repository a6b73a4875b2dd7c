"""Lossless compression by a fitted model: data as bytes, and the very same data back."""

from __future__ import annotations

import bz2
import json
import lzma
import os
import struct
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import blake2b
from io import BytesIO
from itertools import islice
from math import prod
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import numpy as np
import pandas as pd
import torch

from attar.codec.causal import CausalCoder
from attar.codec.container import ArchiveReader, ArchiveWriter, Chunk, digest_of
from attar.codec.csv_bytes import CsvLayout, CsvValues, csv_pieces
from attar.codec.exact import exact, exact_of
from attar.codec.rans import Decoder, Encoder
from attar.codec.values import Values, values_from_json, values_of
from attar.data.columns import frames
from attar.data.source import Data, read
from attar.data.stream import Stream
from attar.data.table import MixedTable
from attar.errors import ArchiveError, DataError, FileError, SettingError
from attar.estimator import Autoencoder, load
from attar.isolation import one_thread
from attar.likelihoods import Causal, Derived

# A chunk has about so many cells: enough for large matrix products, few enough for a cache.
CELLS = 1 << 20

# How much of a file is read to recognize its layout.
BEGINNING = 1 << 20

_LENGTH = struct.Struct("<I")

T = TypeVar("T")


@dataclass(frozen=True)
class Rate:
    """What some data take, compressed.

    Attributes
    ----------
    rows, cells : int
        A cell is a pixel's channel, or a column of a row.
    raw_bytes, bytes, model_bytes : int
        Of the data as they are, compressed, and of the model file.
    general, general_bytes : str, int
        The best general compressor of ``bz2`` and ``xz``, and what it takes.
    """

    rows: int
    cells: int
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
        return None if saved <= 0 else int(np.ceil(self.model_bytes / saved))

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
    """Lossless compression of data by a fitted model; what comes back is equal to the last bit.

    ::

        data ─ values ─► symbols ─ network on integers ─► frequencies ─ coder ─► bytes
                     ├─► residues ──────────────────────────────────────┘         │
                     └─► literals ────────────────────────────────────────────────┴─► chunk

    The model decides how few bytes it takes, and never whether it works: what it has not seen is
    stored as it is.

    Parameters
    ----------
    model : Autoencoder
        Fitted with ``recipe="lossless"``.

    Raises
    ------
    SettingError
        If the model is of a recipe that does not compress.

    Examples
    --------
    >>> import attar
    >>> images = attar.data.datasets.load("digits").data.astype("uint8")
    >>> ae = attar.Autoencoder("lossless", epochs=1, random_state=0).fit(images[:400])
    >>> codec = Codec(ae)
    >>> data = codec.compress(images[400:500])
    >>> bool((codec.decompress(data) == images[400:500]).all()), len(data) < 6400
    (True, True)
    """

    def __init__(self, model: Autoencoder) -> None:
        self.model = model
        fitted = model._fitted
        if not isinstance(fitted.likelihood, Causal):
            raise SettingError(
                f"A model with the likelihood {fitted.likelihood.name!r} does not compress: fit "
                "with recipe='lossless'."
            )
        self.kind = fitted.kind
        device = fitted.predictor.device
        self.coder = CausalCoder.of(fitted.on(torch.device("cpu")).predictor.model).on(device)
        known = fitted.likelihood.channels
        self.alphabets = [None if isinstance(one, Derived) else one for one in known]
        self.fingerprint = _fingerprint(model)

    @property
    def chunk(self) -> int:
        """How many rows are compressed at once."""
        return max(1, min(1 << 16, CELLS // self._cells))

    @property
    def _cells(self) -> int:
        """How many cells a row has."""
        return max(1, prod(self.kind.shape[1:]) * len(self.alphabets))

    def compress(self, X: Data) -> bytes:
        """Return data as bytes: a compressed file in memory.

        Parameters
        ----------
        X : array, table, or path
            Of the model's kind. Of a CSV file the bytes of the file are compressed.

        Raises
        ------
        DataError
            If they are of another kind, or have other columns.
        """
        file = BytesIO()
        self._write(X, file)
        return file.getvalue()

    def compress_file(self, X: Data, path: str | Path, with_model: bool = False) -> None:
        """Write data to a compressed file (.atz), which appears whole or not at all.

        Parameters
        ----------
        X : array, table, or path
        path : path
        with_model : bool
            Whether the file holds the model too, so that nothing else is needed to read it.
        """
        self._write(X, Path(path), with_model)

    def decompress(self, data: bytes) -> Any:
        """Return the data that were compressed; of a CSV file its bytes.

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
        data = self.compress(X)
        archive = ArchiveReader(data)
        raw = b"".join(_bytes_of(X) if isinstance(X, str | Path) else _pieces_of(X))
        others = {"bz2": len(bz2.compress(raw, 9)), "xz": len(lzma.compress(raw, preset=9))}
        best = min(others, key=others.__getitem__)
        size = len(_model_bytes(self.model))
        return Rate(archive.rows, self._cells, len(raw), len(data), size, best, others[best])

    def _write(self, X: Data, file: Path | BinaryIO, with_model: bool = False) -> None:
        values, pieces = self._opened(X)
        schema = {"csv": isinstance(values, CsvValues), "values": values.to_json()}
        model = _model_bytes(self.model) if with_model else b""

        def coded(piece: Any) -> tuple[bytes, int, bytes]:
            return self._encoded(values, piece)

        with ArchiveWriter(file, self.fingerprint, schema, model) as writer:
            for data, rows, digest in _in_parallel(coded, pieces):
                writer.write(data, rows, digest)

    def _opened(self, X: Data) -> tuple[Values, Iterable[Any]]:
        """Return how data become symbols, and their pieces."""
        if isinstance(X, str | Path) and _is_csv(X) and isinstance(self.kind, MixedTable):
            with _reading(Path(X)) as file:
                beginning = file.read(BEGINNING)
            layout = CsvLayout.of(beginning)
            csv = CsvValues.of(self.kind, self.alphabets, _whole_lines(beginning, layout))
            return csv, _csv_pieces(Path(X), csv.layout, self.chunk)
        data: Any = read(X, part="test", kind=self.kind).data
        if isinstance(data, Stream):
            raise DataError(
                "A file in pieces is compressed as CSV or as an array: give a .csv, .npy or .npz."
            )
        data = data if frames.is_table(data) else np.asarray(data)
        starts = range(0, max(1, len(data)), self.chunk)
        pieces = (_rows_of(data, start, start + self.chunk) for start in starts)
        return values_of(self.kind, self.alphabets, _rows_of(data, 0, self.chunk)), pieces

    def _encoded(self, values: Values, piece: Any) -> tuple[bytes, int, bytes]:
        """Return a chunk's bytes, its rows, and the digest of what it decodes to."""
        found = values.encode(piece)
        encoder, hidden = Encoder(), values.channels.hidden(found.symbols)
        symbols = found.symbols
        self.coder.encode(encoder, _on_grid(symbols), _on_grid(~hidden))
        values.channels.push(encoder, symbols, found.residues)
        head = _LENGTH.pack(len(found.literals)) + found.literals
        return head + encoder.finish(), len(symbols), digest_of(*_pieces_of(piece))

    def _decoded(self, values: Values, chunk: Chunk) -> Any:
        """Return the rows of a chunk."""
        data, n = chunk.read(), chunk.rows
        if len(data) < _LENGTH.size:
            raise ArchiveError("A chunk of the compressed data ends too early.")
        (length,) = _LENGTH.unpack_from(data)
        opened = values.opened(n, data[_LENGTH.size : _LENGTH.size + length])
        decoder, hidden = Decoder(data[_LENGTH.size + length :]), opened.hidden
        sizes = np.array([alphabet.size for alphabet in values.channels.alphabets])
        given = np.where(hidden, sizes.reshape(-1, *[1] * (hidden.ndim - 2)), 0)
        symbols = self.coder.decode(decoder, _on_grid(given), _on_grid(~hidden))
        symbols = symbols.reshape(hidden.shape)
        residues = values.channels.pop(decoder, symbols)
        decoder.done()
        rows = values.decode(symbols, residues, opened)
        chunk.check(*_pieces_of(rows))
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
        schema = reader.schema
        kind, alphabets = codec.kind, codec.alphabets
        try:
            described = schema["values"]
            if schema["csv"] and isinstance(kind, MixedTable):
                self.values: Values = CsvValues.from_json(kind, alphabets, described)
            else:
                self.values = values_from_json(kind, alphabets, described)
        except (LookupError, TypeError, AttributeError):
            raise ArchiveError(
                f"{reader.name} is damaged: its schema is of another form."
            ) from None

    def __len__(self) -> int:
        return self.reader.rows

    def __getitem__(self, rows: slice) -> Any:
        """Return some rows, in the user's own form; only the chunks that hold them are decoded."""
        start, stop, step = rows.indices(len(self))
        if step != 1:
            raise SettingError("Rows of a compressed file are taken without a step: archive[i:j].")
        chunks = self.reader.chunks_of(start, stop) or self.reader[:1]
        parts = list(self.pieces(chunks))
        if not parts:
            raise DataError(f"{self.reader.name} holds no rows.")
        whole = self.values.joined(parts)
        if isinstance(self.values, CsvValues):
            if stop - start != len(self):
                raise SettingError("Of a compressed CSV file take all rows: archive[:].")
            return whole
        skipped = chunks[0].start
        some = slice(start - skipped, stop - skipped)
        return whole.iloc[some] if isinstance(whole, pd.DataFrame) else whole[some]

    def pieces(self, chunks: Iterable[Chunk] | None = None) -> Iterator[Any]:
        """Yield the rows of chunks, or of all, one chunk after the other."""
        yield from _in_parallel(
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
    if model is None:
        inside = reader.model
        if inside is None:
            raise ArchiveError(f"{path} does not hold its model: give the one it was written with.")
        model = _model_of(inside)
    return Archive(reader, Codec(model))


def _rows_of(data: Any, start: int, stop: int) -> Any:
    """Return some rows of a table or an array."""
    if isinstance(data, pd.DataFrame):
        return data.iloc[start:stop]
    return data[start:stop] if isinstance(data, np.ndarray) else data.slice(start, stop - start)


def _on_grid(rows: np.ndarray) -> np.ndarray:
    """Return rows (n, channels, *places) with two axes of places."""
    return rows.reshape(*rows.shape, *[1] * (4 - rows.ndim))


def _in_parallel(function: Any, items: Iterable[T]) -> Iterator[Any]:
    """Yield results in order, of as many items at once as there are cores."""
    workers, rest = os.cpu_count() or 1, iter(items)
    with one_thread(), ThreadPoolExecutor(workers) as pool:
        while some := list(islice(rest, workers)):
            yield from pool.map(function, some)


def _pieces_of(rows: Any) -> Iterator[bytes]:
    """Yield what makes some data what they are, as bytes."""
    if isinstance(rows, bytes):
        yield rows
    elif isinstance(rows, np.ndarray):
        yield f"{rows.dtype.str}{rows.shape}".encode()
        yield _content(exact(rows))
    else:
        frame = rows if isinstance(rows, pd.DataFrame) else pd.DataFrame(rows)
        yield json.dumps([str(name) for name in frame.columns]).encode()
        for i in range(frame.shape[1]):
            yield _content(exact_of(frame.iloc[:, i]))


def _content(cells: np.ndarray) -> bytes:
    if cells.dtype.kind == "O":
        return "\0".join(map(str, cells.ravel())).encode("utf-8", "surrogatepass")
    return cells.tobytes()


def _fingerprint(model: Autoencoder) -> str:
    """Return what identifies a model: a digest of its weights and of what it was fitted to."""
    fitted = model._fitted
    digest = blake2b(digest_size=16)
    described = fitted.to_json()
    parts = {name: described[name] for name in ("recipe", "network", "likelihood", "kind")}
    digest.update(json.dumps(parts, sort_keys=True).encode())
    for name, tensor in sorted(fitted.predictor.model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _model_bytes(model: Autoencoder) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.attar"
        model.save(path)
        return path.read_bytes()


def _model_of(data: bytes) -> Autoencoder:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.attar"
        path.write_bytes(data)
        return load(path)


def _is_csv(source: str | Path) -> bool:
    return str(source).endswith((".csv", ".tsv", ".txt")) and Path(source).is_file()


def _reading(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise FileError(f"{path} cannot be read: {reason}.") from None


def _bytes_of(path: str | Path) -> Iterator[bytes]:
    with _reading(Path(path)) as file:
        yield file.read()


def _csv_pieces(path: Path, layout: CsvLayout, rows: int) -> Iterator[bytes]:
    with _reading(path) as file:
        yield from csv_pieces(file, layout, rows)


def _whole_lines(beginning: bytes, layout: CsvLayout) -> bytes:
    """Return the lines that are whole, or all where none is."""
    if len(beginning) < BEGINNING:
        return beginning
    end = beginning.rfind(layout.end.encode(layout.encoding))
    return beginning[: end + 1] if end > 0 else beginning
