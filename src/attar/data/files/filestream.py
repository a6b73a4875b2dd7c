"""Streams from one file, and how a file that cannot be read is told of."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from attar.data.stream import Stream
from attar.errors import AttarError, FileError, first_line

# A piece has about this many bytes, and no more than so many rows, or fewer.
BYTES, MOST, FEWEST = 10 << 20, 1 << 16, 1 << 10


class FileStream(Stream):
    """The rows of one file, in pieces.

    Parameters
    ----------
    path : str or Path
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    @property
    def fingerprint(self) -> str:
        """The file's place, size and time of change."""
        with readable(self.path):
            facts = self.path.stat()
        return f"{self.path.resolve()} {facts.st_size} {facts.st_mtime_ns}"

    @property
    @abstractmethod
    def rows(self) -> int | None:
        """How many rows there are, if the file says so; None where they must be counted."""

    @abstractmethod
    def read(self) -> Any:
        """Return all pieces as one: what is read whole and what is streamed are the same."""


@contextmanager
def readable(path: str | Path) -> Iterator[None]:
    """Tell in one sentence what keeps a file from being read.

    Raises
    ------
    FileError
        In place of whatever a reader raises.
    """
    try:
        yield
    except AttarError:
        raise
    except PermissionError:
        raise FileError(f"{path} may not be read: change its permissions.") from None
    except FileNotFoundError:
        raise FileError(f"There is no file {path}.") from None
    except Exception as error:  # on damaged files readers raise whatever they like
        raise FileError(f"{path} cannot be read: {first_line(error)}.") from None


def rows_of_a_piece(width: int) -> int:
    """Return how many rows a piece has where a row takes so many bytes."""
    return max(FEWEST, min(MOST, BYTES // max(1, width)))
