"""Displays: how the rows of a kind of data look on the page."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray

from attar.data.kind import Rows
from attar.predictor import Predictor
from attar.reporting.colours import Attribute


@dataclass(frozen=True)
class Examples:
    """Some rows with their codes and reconstructions.

    Attributes
    ----------
    rows, reconstructed : rows (n, *cells)
        Raw; cells that are NaN in ``rows`` are predicted in ``reconstructed``.
    prepared, decoded : array (n, *shape)
        The same as prepared values, on which the error is measured.
    residuals : array (n, *shape)
        By how much they differ, NaN where a value is missing.
    codes : array (n, d)
    times : array (n, 2) or None
        The times of the first and of the last step, where rows are windows of dates or numbers.
    """

    rows: Rows
    reconstructed: Rows
    prepared: Rows
    decoded: Rows
    residuals: Rows
    codes: Rows
    times: Rows | None = None

    @classmethod
    def of(cls, predictor: Predictor, rows: Rows, times: Rows | None = None) -> Self:
        """Return rows (n, *cells) with their codes and reconstructions."""
        codes = predictor.encode(rows)
        reconstructed, decoded = decode(predictor, codes)
        prepared = predictor.preparation.prepare(rows).numpy()
        residuals = predictor.preparation.kind.residuals(prepared, decoded)
        return cls(rows, reconstructed, prepared, decoded, residuals, codes, times)

    def at(self, places: NDArray[np.intp]) -> Examples:
        """Return some of the rows."""
        return Examples(
            self.rows[places],
            self.reconstructed[places],
            self.prepared[places],
            self.decoded[places],
            self.residuals[places],
            self.codes[places],
            None if self.times is None else self.times[places],
        )

    @property
    def errors(self) -> NDArray[np.float64]:
        """The mean squared error of the prepared cells that are not missing, for each row."""
        return nan_mean(np.square(self.residuals.reshape(len(self.codes), -1)), 1)


def nan_mean(values: Rows, axis: int | tuple[int, ...]) -> NDArray[np.float64]:
    """Return the mean of the values that are not NaN along axes, in double precision; 0 of none."""
    known = ~np.isnan(values)
    total = np.where(known, values, 0).sum(axis, dtype=np.float64)
    return np.asarray(total / np.maximum(known.sum(axis), 1))


def decode(predictor: Predictor, codes: Rows) -> tuple[Rows, Rows]:
    """Return decoded codes (n, d): as raw rows (n, *cells), and as prepared ones (n, *shape)."""
    decoded = predictor.decode(codes)
    return predictor.possible([decoded]), decoded.numpy()


@dataclass(frozen=True)
class Interpolation:
    """Decoded codes on the line between those of two rows.

    Attributes
    ----------
    start, end : str
        The names of the two rows.
    rows, decoded : rows (steps, *cells), array (steps, *shape)
        Raw, and prepared.
    """

    start: str
    end: str
    rows: Rows
    decoded: Rows


class Display(ABC):
    """The look of rows of one kind.

    Attributes
    ----------
    row : str
        What one row is called.
    compared, sampled : int
        The numbers of rows compared with their reconstructions, and of generated samples.
    """

    row: ClassVar[str] = "row"
    compared: ClassVar[int]
    sampled: ClassVar[int]

    @property
    @abstractmethod
    def title(self) -> str:
        """What the rows are, in words."""

    def cell(self, examples: Examples, row: int, part: int, expected: bool = True) -> str:
        """Return the value of a part of a row, and the expected one, in words; empty for many."""
        return ""

    def originals(self, rows: Rows, names: Sequence[str]) -> list[Element]:
        """Return raw rows (n, *cells) as they are; nothing where their cells say it better."""
        return []

    @abstractmethod
    def attributes(self, examples: Examples) -> Iterable[Attribute]:
        """Return what can colour the map of rows."""

    @abstractmethod
    def reconstructions(
        self, examples: Examples, names: Sequence[str], order: str
    ) -> list[Element]:
        """Return originals beside reconstructions; ``order`` says how they are sorted."""

    def denoised(
        self, clean: Rows, noisy: Rows, found: Rows, names: Sequence[str]
    ) -> list[Element]:
        """Return raw rows with noise beside what is left without, and clean; nothing of tables."""
        return []

    @abstractmethod
    def interpolations(self, interpolations: Sequence[Interpolation]) -> list[Element]:
        """Return the interpolations, step by step."""

    def neighbours(
        self,
        rows: Rows,
        places: NDArray[np.intp],
        nearest: NDArray[np.intp],
        distances: NDArray[np.float64],
    ) -> list[Element]:
        """Return some rows with those whose codes are nearest; nothing of rows that aren't texts.

        Parameters
        ----------
        rows : rows (n, *cells)
        places : int array (m,)
            Where the rows are.
        nearest : int array (m, k)
            Where the nearest are.
        distances : array (m, k)
            Those of the codes, ascending.
        """
        return []

    @abstractmethod
    def samples(self, rows: Rows, drawn: bool = True) -> list[Element]:
        """Return generated raw rows (n, *cells), drawn or expected ones."""


class PictureDisplay(Display):
    """The look of rows that are pictures."""

    @abstractmethod
    def pixels(self, rows: Rows) -> list[NDArray[np.uint8]]:
        """Return raw rows as gray (height, width) or colour (height, width, 3 or 4) bytes."""

    @abstractmethod
    def differences(self, rows: Rows, reconstructed: Rows) -> list[NDArray[np.uint8]]:
        """Return the differences of raw rows as RGBA: red above the original, blue below."""
