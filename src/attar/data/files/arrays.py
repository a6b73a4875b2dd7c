"""Array files: .npy and IDX."""

from __future__ import annotations

import gzip
import math
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from attar.data.arrays import native_array
from attar.data.files.base import FileStream, readable, rows_of_a_piece
from attar.data.kind import Rows
from attar.errors import DataError, FileError

_DTYPES = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}


def unpacked(path: Path) -> bytes:
    """Return a file's content, uncompressed where its name ends in ``.gz``.

    Raises
    ------
    FileError
        If it cannot be read or uncompressed.
    """
    opener = gzip.open if path.name.endswith(".gz") else open
    with readable(path), opener(path, "rb") as file:
        content: bytes = file.read()
    return content


def read_idx(path: Path) -> Rows:
    """Return the array in an IDX file.

    Raises
    ------
    FileError
        If it is no IDX file, or shorter or longer than its header says.
    """
    return parse_idx(unpacked(path), path)


def parse_idx(content: bytes, path: Path) -> Rows:
    """Return the array in the content of an IDX file; the path is for messages.

    Raises
    ------
    FileError
        If it is no IDX file, or shorter or longer than its header says.
    """
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] not in _DTYPES:
        raise FileError(f"{path} is no IDX file: it does not begin as one.")
    dtype, dimensions = np.dtype(_DTYPES[content[2]]), content[3]
    start = 4 + 4 * dimensions
    if len(content) < start:
        raise FileError(f"{path} is damaged: it ends inside its header.")
    shape = struct.unpack_from(f">{dimensions}I", content, 4)
    expected = math.prod(shape) * dtype.itemsize
    if len(content) - start != expected:
        raise FileError(
            f"{path} is damaged: its header says {expected} bytes of data, and it has "
            f"{len(content) - start}."
        )
    array = np.frombuffer(content, dtype, offset=start).reshape(shape)
    return array.astype(dtype.newbyteorder("="), copy=False)


class NpyStream(FileStream):
    """The array (n, ...) of an ``.npy`` file, in pieces along its first axis.

    Parameters
    ----------
    path : str or Path

    Raises
    ------
    FileError
        When read, if it is no such file, or shorter than its header says, or holds Python objects.
    DataError
        When read, if it holds a single value.
    """

    def __iter__(self) -> Iterator[Rows]:
        """Yield the pieces, as arrays in memory."""
        array = self._mapped()
        n, step = len(array), rows_of_a_piece(array[:1].nbytes)
        del array
        for start in range(0, max(1, n), step):
            yield self._copied(slice(start, start + step))

    def read(self) -> Rows:
        """Return the whole array."""
        return self._copied(slice(None))

    @property
    def bytes(self) -> int:
        """How much memory the array takes."""
        return self._mapped().nbytes

    @property
    def rows(self) -> int:
        """The length of the array."""
        return len(self._mapped())

    def _copied(self, rows: slice) -> Rows:
        # Each time from a new map: pages count as memory for as long as they are mapped.
        return native_array(np.array(self._mapped()[rows], order="C", subok=False))

    def _mapped(self) -> Rows:
        with readable(self.path):
            try:
                array: Rows = np.lib.format.open_memmap(self.path, mode="r")
            except (ValueError, OverflowError) as error:
                raise FileError(f"{self.path} {_reason(str(error))}.") from None
        if not array.ndim:
            raise DataError(f"{self.path} holds a single value: save an array of rows.")
        return array


def _reason(message: str) -> str:
    if "objects" in message:
        return "holds Python objects, which are never loaded: save an array of numbers"
    if "mmap length" in message or "too large" in message:
        return "is damaged: it has less data than its header says"
    return "is no .npy file, or a damaged one"
