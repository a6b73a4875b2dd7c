"""Arrays from files, whole or in pieces."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from attar.data.files.filestream import FileStream, readable, rows_of_a_piece
from attar.data.kind import Rows
from attar.errors import DataError, FileError


class NpyStream(FileStream):
    """The array (n, ...) of an ``.npy`` file, in pieces along its first axis.

    Parameters
    ----------
    path : str or Path

    Raises
    ------
    FileError
        When read, if it is no such file, or shorter than it says, or holds Python objects.
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

    def _copied(self, part: slice) -> Rows:
        # Each time from a new map: pages count as memory for as long as they are mapped.
        return np.array(self._mapped()[part], order="C", subok=False)

    def _mapped(self) -> Rows:
        with readable(self.path):
            try:
                array: Rows = np.lib.format.open_memmap(self.path, mode="r")
            except (ValueError, OverflowError) as error:
                raise FileError(f"{self.path} {_fault(str(error))}.") from None
        if not array.ndim:
            raise DataError(f"{self.path} holds a single value: save an array of rows.")
        return array


def _fault(message: str) -> str:
    if "objects" in message:
        return "holds Python objects, which are never loaded: save an array of numbers"
    if "mmap length" in message or "too large" in message:
        return "is damaged: it promises more data than it has"
    return "is no .npy file, or a damaged one"
