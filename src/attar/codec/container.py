"""The compressed file (``.atz``): chunks of rows that stand alone, every byte under a checksum.

::

    start    magic, format, lengths of header and model
    header   zlib of JSON: the fingerprint of the model and a schema; digest of start and header
    model    with its digest; or nothing
    chunks   bytes
    table    for each chunk its last row and byte, digest of the decoded bytes, CRC-32 of the stored
    end      number of chunks, digest of header and table

Numbers are little-endian, digests BLAKE2b of 128 bits. Writing streams; reading checks what it
touches, and takes memory for what the file holds, whatever it claims.
"""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self, overload

import numpy as np

from attar.errors import ArchiveError, FileError, SettingError
from attar.remote import file_at
from attar.storage import written_whole

MAGIC = b"\x93ATZ"
FORMAT = 1
DIGEST_BYTES = 16
# Limits of what a file may claim: the bytes of its JSON, and the rows of a chunk.
MAX_HEADER = 1 << 24
MAX_ROWS = 1 << 20

_START = struct.Struct("<4sHIQ")
_END = struct.Struct(f"<I{DIGEST_BYTES}s")
_ENTRY = np.dtype(
    [("row", "<u8"), ("byte", "<u8"), ("digest", f"V{DIGEST_BYTES}"), ("checksum", "<u4")]
)


def digest_of(*pieces: bytes) -> bytes:
    """Return the BLAKE2b digest, 128 bits, of bytes in pieces."""
    digest = blake2b(digest_size=DIGEST_BYTES)
    for piece in pieces:
        digest.update(piece)
    return digest.digest()


class ArchiveWriter:
    """Writes a compressed file chunk by chunk; a path gets it whole, at the end, or not at all.

    Parameters
    ----------
    file
        A path, or a binary file that is written to.
    fingerprint
        Identifies the model that decodes the chunks.
    schema
        Whatever the decoder needs beside the model: anything that JSON can say.
    model
        The bytes of the model file, where they are to be inside.

    Raises
    ------
    FileError
        On leaving the ``with`` block, if the place cannot be written to, or the disk is full.

    Examples
    --------
    >>> import io
    >>> file = io.BytesIO()
    >>> with ArchiveWriter(file, fingerprint="a1b2", schema={"columns": ["x"]}) as writer:
    ...     writer.write(b"coded", rows=2, digest=digest_of(b"decoded"))
    >>> archive = ArchiveReader(file.getvalue())
    >>> archive.rows, archive.schema, archive[0].read()
    (2, {'columns': ['x']}, b'coded')
    """

    def __init__(
        self, file: str | Path | BinaryIO, fingerprint: str, schema: object, model: bytes = b""
    ) -> None:
        text = json.dumps({"fingerprint": fingerprint, "schema": schema}, separators=(",", ":"))
        if len(text) > MAX_HEADER:
            raise SettingError(f"The schema has {len(text):,} bytes: {MAX_HEADER:,} at most.")
        header = zlib.compress(text.encode(), 9)
        start = _START.pack(MAGIC, FORMAT, len(header), len(model)) + header
        self._target = file
        self._digest = digest_of(start)
        self._beginning = start + self._digest
        self._model = model + digest_of(model) if model else b""
        self._entries: list[tuple[int, int, bytes, int]] = []
        self._rows, self._bytes = 0, len(self._beginning) + len(self._model)

    def __enter__(self) -> Self:
        with ExitStack() as files:
            if isinstance(self._target, str | os.PathLike):
                temporary = files.enter_context(written_whole(file_at(self._target)))
                self._file: BinaryIO = files.enter_context(temporary.open("wb"))
            else:
                self._file = self._target
            self._file.write(self._beginning)
            self._file.write(self._model)
            self._files = files.pop_all()
        return self

    def write(self, data: bytes, rows: int, digest: bytes) -> None:
        """Write a chunk.

        Parameters
        ----------
        data
            The chunk's compressed bytes.
        rows
            The number of rows in it.
        digest
            What :func:`digest_of` says of the bytes that they decode to.
        """
        if not 0 <= rows <= MAX_ROWS:
            raise SettingError(f"A chunk of {rows:,} rows is too long: {MAX_ROWS:,} at most.")
        if len(digest) != DIGEST_BYTES:
            raise SettingError(f"A digest has {DIGEST_BYTES} bytes, not {len(digest)}.")
        self._file.write(data)
        self._rows, self._bytes = self._rows + int(rows), self._bytes + len(data)
        self._entries.append((self._rows, self._bytes, digest, zlib.crc32(data)))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            self._files.__exit__(kind, error, trace)
            return
        with self._files:
            table = np.array(self._entries, _ENTRY).tobytes()
            count = len(self._entries)
            self._file.write(table)
            self._file.write(_END.pack(count, _digest_of_table(self._digest, table, count)))


@dataclass(frozen=True)
class Chunk:
    """Rows ``start`` to ``stop`` of a compressed file, and where their bytes are."""

    archive: ArchiveReader = field(repr=False)
    start: int
    stop: int
    place: int
    length: int
    digest: bytes
    checksum: int

    @property
    def rows(self) -> int:
        """The number of rows."""
        return self.stop - self.start

    def read(self) -> bytes:
        """Return the compressed bytes.

        Raises
        ------
        ArchiveError
            If they are damaged.
        """
        data = self.archive._read(self.place, self.length)
        if zlib.crc32(data) != self.checksum:
            raise self.archive._damaged(f"rows {self.start:,} to {self.stop:,}")
        return data

    def check(self, digest: bytes) -> None:
        """Check the digest of the bytes that the chunk was decoded to.

        Raises
        ------
        ArchiveError
            If they are not those that were compressed.
        """
        if digest != self.digest:
            raise ArchiveError(
                f"{self.archive.name} is damaged, or of another model: rows {self.start:,} to "
                f"{self.stop:,} were decoded to something else than was compressed."
            )


class ArchiveReader(Sequence[Chunk]):
    """The chunks of a compressed file, in order; none is read before it is asked for.

    Parameters
    ----------
    source
        A path, or the bytes of a file.

    Attributes
    ----------
    fingerprint
        Identifies the model that decodes the chunks.
    schema
        What the writer was given.
    rows
        The number of rows in all chunks.

    Raises
    ------
    FileError
        If there is no such file, or it may not be read.
    ArchiveError
        If it is damaged, of a newer format, or no compressed file.

    Examples
    --------
    >>> import io
    >>> file = io.BytesIO()
    >>> with ArchiveWriter(file, fingerprint="a1b2", schema=None) as writer:
    ...     for start in 0, 10, 20:
    ...         writer.write(b"coded", rows=10, digest=digest_of(b"decoded"))
    >>> archive = ArchiveReader(file.getvalue())
    >>> [(chunk.start, chunk.stop) for chunk in archive.chunks_of(12, 21)]
    [(10, 20), (20, 30)]
    >>> archive[2].check(digest_of(b"decoded"))
    """

    fingerprint: str
    schema: Any

    def __init__(self, source: str | Path | bytes) -> None:
        self._source = source if isinstance(source, bytes) else file_at(source)
        self.name = "What was to be decompressed" if isinstance(source, bytes) else str(source)
        self._size = len(source) if isinstance(source, bytes) else self._size_of_file()
        header_digest = self._read_header()
        self._read_table(header_digest)

    @property
    def rows(self) -> int:
        """The number of rows in all chunks."""
        return int(self._rows[-1])

    @property
    def model(self) -> bytes | None:
        """The bytes of the model file, if they are inside.

        Raises
        ------
        ArchiveError
            If they are damaged.
        """
        if not self._model_length:
            return None
        data = self._read(self._model_place, self._model_length + DIGEST_BYTES)
        model, digest = data[:-DIGEST_BYTES], data[-DIGEST_BYTES:]
        if digest_of(model) != digest:
            raise self._damaged("the model inside")
        return model

    def chunks_of(self, start: int, stop: int) -> Sequence[Chunk]:
        """Return the chunks with any of the rows ``start`` to ``stop``, without the last."""
        if start >= stop:
            return ()
        first = int(np.searchsorted(self._rows[1:], start, "right"))
        last = int(np.searchsorted(self._rows[1:], stop, "left"))
        return self[first : last + 1]

    def __len__(self) -> int:
        return len(self._table)

    @overload
    def __getitem__(self, index: int) -> Chunk: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Chunk]: ...
    def __getitem__(self, index: int | slice) -> Chunk | Sequence[Chunk]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        index = range(len(self))[index]
        stop, end, digest, checksum = self._table[index].item()
        start, place = int(self._rows[index]), int(self._bytes[index])
        return Chunk(self, start, stop, place, end - place, digest, checksum)

    def _read_header(self) -> bytes:
        """Read the header, and return its digest."""
        start = self._read(0, min(_START.size, self._size))
        if not start.startswith(MAGIC):
            raise ArchiveError(f"{self.name} is not a compressed file of attar's.")
        if len(start) < _START.size:
            raise self._damaged("the header")
        _, format_, length, self._model_length = _START.unpack(start)
        if format_ != FORMAT:
            raise ArchiveError(
                f"{self.name} has format {format_}, and this attar reads {FORMAT}: "
                "update attar, or compress the data again."
            )
        self._model_place = _START.size + length + DIGEST_BYTES
        model_end = self._model_length + DIGEST_BYTES * bool(self._model_length)
        self._chunks_place = self._model_place + model_end
        if self._chunks_place + _END.size > self._size:
            raise self._damaged("the header")
        header = self._read(_START.size, length)
        digest = self._read(_START.size + length, DIGEST_BYTES)
        if digest_of(start, header) != digest:
            raise self._damaged("the header")
        try:
            inflate = zlib.decompressobj()
            described = json.loads(inflate.decompress(header, MAX_HEADER))
            self.fingerprint, self.schema = str(described["fingerprint"]), described["schema"]
        except (zlib.error, ValueError, RecursionError, LookupError, TypeError):
            raise self._damaged("the header") from None
        return digest

    def _read_table(self, header_digest: bytes) -> None:
        count, digest = _END.unpack(self._read(self._size - _END.size, _END.size))
        place = self._size - _END.size - count * _ENTRY.itemsize
        if place < self._chunks_place:
            raise self._damaged("the table of chunks")
        table = self._read(place, count * _ENTRY.itemsize)
        if _digest_of_table(header_digest, table, count) != digest:
            raise self._damaged("the table of chunks")
        self._table = np.frombuffer(table, _ENTRY)
        self._rows = np.concatenate([[np.uint64(0)], self._table["row"]])
        self._bytes = np.concatenate([[np.uint64(self._chunks_place)], self._table["byte"]])
        if not (
            (self._rows[1:] >= self._rows[:-1]).all()
            and (self._rows[1:] - self._rows[:-1] <= MAX_ROWS).all()
            and (self._bytes[1:] >= self._bytes[:-1]).all()
            and self._bytes[-1] == place
        ):
            raise self._damaged("the table of chunks")

    def _read(self, place: int, length: int) -> bytes:
        """Return bytes of the file; a file is opened each time, so that threads may share this."""
        if isinstance(self._source, bytes):
            data = self._source[place : place + length]
        else:
            try:
                with self._source.open("rb") as file:
                    file.seek(place)
                    data = file.read(length)
            except OSError as error:
                raise self._unreadable(error) from None
        if len(data) != length:
            raise self._damaged("its end")
        return data

    def _size_of_file(self) -> int:
        assert not isinstance(self._source, bytes)
        try:
            with self._source.open("rb") as file:
                return file.seek(0, 2)
        except OSError as error:
            raise self._unreadable(error) from None

    def _unreadable(self, error: OSError) -> FileError:
        reason = (error.strerror or str(error)).lower()
        return FileError(f"{self.name} cannot be read: {reason}.")

    def _damaged(self, what: str) -> ArchiveError:
        return ArchiveError(f"{self.name} is damaged or cut: the checksum of {what} is wrong.")


def _digest_of_table(header_digest: bytes, table: bytes, count: int) -> bytes:
    return digest_of(header_digest, table, struct.pack("<I", count))
