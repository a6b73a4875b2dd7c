"""What a report shows of each kind of data."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray

from attar.data.kind import Rows
from attar.predictor import Predictor


@dataclass(frozen=True)
class Shown:
    """Some rows and what the model makes of them.

    Attributes
    ----------
    rows, back : rows (n, *cells)
        Raw, NaN where a cell is missing; nothing is missing in ``back``.
    prepared, decoded : array (n, *shape)
        The same in prepared units, those of the error.
    codes : array (n, d)
    """

    rows: Rows
    back: Rows
    prepared: Rows
    decoded: Rows
    codes: Rows

    @classmethod
    def of(cls, predictor: Predictor, rows: Rows) -> Self:
        """Return rows (n, *cells) with what the model makes of them."""
        codes = predictor.encode(rows)
        back, decoded = brought_back(predictor, codes)
        return cls(rows, back, predictor.preparation.prepare(rows).numpy(), decoded, codes)

    def at(self, places: NDArray[np.intp]) -> Shown:
        """Return some of the rows."""
        return Shown(
            self.rows[places],
            self.back[places],
            self.prepared[places],
            self.decoded[places],
            self.codes[places],
        )

    @property
    def off(self) -> Rows:
        """How far each prepared cell is off (n, *shape), NaN where it is missing."""
        off: Rows = self.decoded - self.prepared
        return off

    @property
    def errors(self) -> NDArray[np.float64]:
        """The mean squared error of the prepared cells that are not missing, for each row."""
        return known_mean(np.square(self.off.reshape(len(self.codes), -1)), 1)


def known_mean(values: NDArray[Any], axis: int | tuple[int, ...]) -> NDArray[np.float64]:
    """Return the mean of what is not missing (NaN) along axes, in double precision; 0 of none."""
    known = ~np.isnan(values)
    total = np.where(known, values, 0).sum(axis, dtype=np.float64)
    return np.asarray(total / np.maximum(known.sum(axis), 1))


def brought_back(predictor: Predictor, codes: Rows) -> tuple[Rows, Rows]:
    """Return what codes (n, d) stand for: raw rows (n, *cells), and prepared ones (n, *shape)."""
    decoded = predictor.decode(codes)
    return predictor.preparation.raw(decoded), decoded.numpy()


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
