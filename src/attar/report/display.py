"""What a kind of data must show of itself on the page."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar
from xml.etree.ElementTree import Element

from attar.data.kind import Rows
from attar.report.shown import Shown


@dataclass(frozen=True)
class Walk:
    """What lies between the codes of two rows.

    Attributes
    ----------
    start, end : str
        What the two rows are called.
    rows, decoded : rows (steps, *cells), array (steps, *shape)
        What codes on the straight line stand for: raw, and prepared.
    """

    start: str
    end: str
    rows: Rows
    decoded: Rows


class Display(ABC):
    """Shows rows of one kind.

    Parameters
    ----------
    kind : Kind
    shown : Shown
        All rows that the page may show.

    Attributes
    ----------
    row : str
        What one row is called.
    compared, sampled : int
        How many rows it compares, and how many samples it shows.
    """

    row: ClassVar[str] = "row"
    compared: ClassVar[int]
    sampled: ClassVar[int]

    @abstractmethod
    def __init__(self, kind: Any, shown: Shown) -> None: ...

    @property
    @abstractmethod
    def form(self) -> str:
        """What one row is, in words."""

    @abstractmethod
    def compare(self, shown: Shown, names: Sequence[str]) -> list[Element]:
        """Return originals beside reconstructions."""

    @abstractmethod
    def walks(self, walks: Sequence[Walk]) -> list[Element]:
        """Return the walks, step by step."""

    @abstractmethod
    def samples(self, rows: Rows, decoded: Rows) -> list[Element]:
        """Return new rows, raw (n, *cells) and prepared (n, *shape)."""
