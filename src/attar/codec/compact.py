"""Compressed files of a few bytes of overhead: magic, format, numbers and bytes, a checksum.

Numbers are integers of 7 bits a byte, the lowest first; all bytes but the last have the high bit.
The last four bytes are the CRC-32 of all before.
"""

from __future__ import annotations

import zlib
from contextlib import suppress
from pathlib import Path

from attar.errors import ArchiveError, FileError
from attar.remote import file_at

CHECKSUM = 4


def sealed(magic: bytes, format_: int, body: bytes) -> bytes:
    """Return a file with its checksum."""
    data = magic + bytes([format_]) + body
    return data + zlib.crc32(data).to_bytes(CHECKSUM, "little")


def unsealed(source: str | Path | bytes, magic: bytes, format_: int) -> Reader:
    """Return a reader of the body of a file.

    Raises
    ------
    FileError
        If it cannot be read.
    ArchiveError
        If it is damaged, of a newer format, or begins otherwise.
    """
    name, data = _beginning(source, magic)
    body, checksum = data[:-CHECKSUM], data[-CHECKSUM:]
    if zlib.crc32(body).to_bytes(CHECKSUM, "little") != checksum:
        raise ArchiveError(f"{name} is damaged or cut: its checksum is wrong.")
    return _body(name, body, magic, format_)


def unsealed_part(source: str | Path | bytes, magic: bytes, format_: int) -> Reader:
    """Return a reader of the beginning of a file, of which the end may be missing.

    Raises
    ------
    FileError
        If it cannot be read.
    ArchiveError
        If it is of a newer format, or begins otherwise.
    """
    name, data = _beginning(source, magic)
    whole = zlib.crc32(data[:-CHECKSUM]).to_bytes(CHECKSUM, "little") == data[-CHECKSUM:]
    return _body(name, data[:-CHECKSUM] if whole else data, magic, format_)


def _beginning(source: str | Path | bytes, magic: bytes) -> tuple[str, bytes]:
    name, data = named(source)
    if not data.startswith(magic):
        raise ArchiveError(f"{name} is not a compressed file of attar's.")
    return name, data


def _body(name: str, body: bytes, magic: bytes, format_: int) -> Reader:
    if body[len(magic) : len(magic) + 1] != bytes([format_]):
        raise ArchiveError(
            f"{name} has another format than {format_}, which this attar reads: update attar, or "
            "compress the data again."
        )
    return Reader(body, len(magic) + 1)


def named(source: str | Path | bytes) -> tuple[str, bytes]:
    """Return what a file is called, and its bytes.

    Raises
    ------
    FileError
        If it cannot be read.
    """
    if isinstance(source, bytes):
        return "What was to be decompressed", source
    try:
        return str(source), file_at(source).read_bytes()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise FileError(f"{source} cannot be read: {reason}.") from None


def begins_with(path: str | Path, magic: bytes) -> bool:
    """Return whether a file begins so."""
    with suppress(OSError), file_at(path).open("rb") as file:
        return file.read(len(magic)) == magic
    return False


class Reader:
    """Reads numbers and bytes from a place on."""

    def __init__(self, data: bytes, place: int) -> None:
        self.data, self.place, self.marked = data, place, place

    @property
    def ended(self) -> bool:
        """Whether nothing is left."""
        return self.place >= len(self.data)

    def end(self) -> None:
        """Skip what is left."""
        self.place = len(self.data)

    def take(self, length: int) -> bytes:
        """Return so many bytes."""
        if self.place + length > len(self.data):
            raise IndexError
        self.place += length
        return self.data[self.place - length : self.place]

    def since(self) -> bytes:
        """Return the bytes that were read since the last call."""
        found, self.marked = self.data[self.marked : self.place], self.place
        return found

    def number(self) -> int:
        """Return an integer."""
        found, shift = 0, 0
        while True:
            (byte,) = self.take(1)
            found |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return found

    def sized(self) -> bytes:
        """Return bytes with their length before them."""
        return self.take(self.number())


def number(value: int) -> bytes:
    """Return the bytes of an integer.

    Examples
    --------
    >>> list(number(5)), list(number(300))
    ([5], [172, 2])
    """
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    found.append(value)
    return bytes(found)


def sized(data: bytes) -> bytes:
    """Return bytes with their length before them."""
    return number(len(data)) + data
