"""Streams: data larger than memory, in pieces of the user's own form."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import Any


class Stream(ABC):
    """Data in pieces that can be gone through again and again, always in the same order."""

    @property
    def bytes(self) -> int | None:
        """How much memory all of it takes, where that is known beforehand."""
        return None

    @abstractmethod
    def __iter__(self) -> Iterator[Any]:
        """Yield the pieces: frames, or arrays, of some thousand rows each."""

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """What tells this data from other data: its place, size and time of change."""


def pieces(data: Any) -> Iterable[Any]:
    """Return the pieces of a stream, or data in memory as the one piece that it is."""
    return data if isinstance(data, Stream) else [data]
