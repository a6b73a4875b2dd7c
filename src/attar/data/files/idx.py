"""The IDX format of MNIST: a few bytes of header, then one array."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attar.errors import FileError

_DTYPES = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}


def unpacked(path: Path) -> bytes:
    """Return a file's content, uncompressed where its name ends in ``.gz``.

    Raises
    ------
    FileError
        If it cannot be uncompressed.
    """
    opener = gzip.open if path.name.endswith(".gz") else open
    try:
        with opener(path, "rb") as file:
            content: bytes = file.read()
    except (gzip.BadGzipFile, EOFError, zlib.error):
        raise FileError(f"{path} is damaged: it cannot be uncompressed.") from None
    return content


def read_idx(path: Path) -> NDArray[Any]:
    """Return the array in an IDX file.

    Raises
    ------
    FileError
        If it is no IDX file, or shorter or longer than it says.
    """
    return parse_idx(unpacked(path), path)


def parse_idx(content: bytes, path: Path) -> NDArray[Any]:
    """Return the array in the content of an IDX file; the path is for messages.

    Raises
    ------
    FileError
        If it is no IDX file, or shorter or longer than it says.
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
            f"{path} is damaged: it promises {expected} bytes of data and has "
            f"{len(content) - start}."
        )
    array = np.frombuffer(content, dtype, offset=start).reshape(shape)
    return array.astype(dtype.newbyteorder("="), copy=False)
