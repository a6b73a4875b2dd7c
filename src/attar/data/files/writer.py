"""What writes rows to an open file, piece by piece."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from attar.errors import DataError


class Writer(ABC):
    """Writes rows to a file that is open.

    Parameters
    ----------
    path : Path
        The file's name, for messages.
    file : binary file
    names : sequence of str or None
        The columns of arrays (n, columns), where the format has room for them.
    """

    def __init__(self, path: Path, file: IO[bytes], names: Sequence[str] | None = None) -> None:
        self.path, self.file, self.names = path, file, names

    @abstractmethod
    def write(self, piece: Any) -> None:
        """Write the next rows, of the same form as the first.

        Parameters
        ----------
        piece : DataFrame, array (n, ...), or a table that speaks Arrow's C interface

        Raises
        ------
        DataError
            If the format has no place for such rows.
        FileError
            If they are of another form than those before.
        """

    @abstractmethod
    def finish(self) -> None:
        """Write what can be written only when all rows are.

        Raises
        ------
        DataError
            If there were none.
        """

    def close(self) -> None:
        """Let go of what was taken, also after a failure."""
        self.file.flush()

    def _nothing(self) -> DataError:
        return DataError(f"There are no rows to write to {self.path}.")
