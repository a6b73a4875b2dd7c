"""The distributions of single columns of a table, and draws that are given them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from attar.data.kind import Rows
from attar.data.table import Table

Array = NDArray[np.float64]

# The most decimals of a step, and the largest number of steps that is exact.
DECIMALS, LARGEST = 6, 2**52

# At most so many quantiles of a column, and of all together; as many rows as they are taken from.
QUANTILES, MOST, ROWS = 1025, 1 << 21, 1 << 16


@dataclass(frozen=True)
class Margins:
    """The quantiles of the numbers of a table, evenly spaced in probability, and their steps.

    Attributes
    ----------
    places : int array (d,)
        The cells of a raw row that are numbers.
    quantiles : array (q, d)
        From the smallest value to the largest; NaN for a cell without values.
    steps : array (d,)
        All values of a cell are whole steps apart, of at most six decimals; 0 where none is found.

    Examples
    --------
    The ranks of rows stay, and their distribution becomes the other one, spikes included:

    >>> from attar.data.table import NumericTable
    >>> kind = NumericTable("float64", 1)
    >>> train = Margins.of(np.array([[0.0], [0.0], [0.0], [7.0], [8.0]]), kind)
    >>> drawn = np.array([[-1.0], [-0.5], [0.1], [0.4], [2.0]])
    >>> train.imposed_on(drawn, Margins.of(drawn, kind)).ravel().tolist()
    [0.0, 0.0, 0.0, 7.0, 8.0]
    """

    places: NDArray[np.intp]
    quantiles: Array
    steps: Array

    @classmethod
    def of(cls, rows: Rows, kind: Table) -> Self:
        """Return the quantiles of raw rows (n, cells)."""
        places = _numbers(kind)
        count = min(QUANTILES, max(65, MOST // max(1, len(places))))
        some = rows[:: -(-len(rows) // ROWS)]
        quantiles, steps = np.full((count, len(places)), np.nan), np.zeros(len(places))
        for j, place in enumerate(places):
            values = some[:, place]
            known = np.sort(values[~np.isnan(values)])
            if len(known):
                # Values that occur, not means of two.
                ranks = np.rint(np.linspace(0, len(known) - 1, count)).astype(int)
                quantiles[:, j], steps[j] = known[ranks], _step(np.unique(known))
        return cls(places, quantiles, steps)

    @classmethod
    def restored(cls, tensors: Mapping[str, Tensor], kind: Table) -> Self:
        """Return the margins of a table that :meth:`tensors` wrote down."""
        return cls(_numbers(kind), tensors["quantiles"].numpy(), tensors["steps"].numpy())

    def tensors(self) -> dict[str, Tensor]:
        """Return quantiles and steps, by name."""
        return {name: torch.from_numpy(getattr(self, name)) for name in ("quantiles", "steps")}

    def imposed_on(self, rows: Rows, own: Margins) -> Rows:
        """Return raw rows, each number replaced by that of the same rank.

        Parameters
        ----------
        rows : array (n, cells)
        own : Margins
            Of the distribution that the rows are from.
        """
        imposed = rows.copy()
        for j, place in enumerate(self.places):
            ranks = _ranks(rows[:, place], own.quantiles[:, j]) * (len(self.quantiles) - 1)
            imposed[:, place] = _at(self.quantiles[:, j], ranks)
        return self.within(imposed)

    def possible(self, rows: Rows) -> Rows:
        """Return raw rows of expected values without impossible ones.

        Numbers that are never negative stay so, and those that are 0 or 1 stay between them.
        """
        found = rows.copy()
        found[:, self.places] = rows[:, self.places].clip(*self.limits)
        return found

    @property
    def limits(self) -> tuple[Array, Array]:
        """The smallest and the largest possible number of each cell."""
        low, high = self.quantiles[[0, -1]]
        floor = np.where(low >= 0, 0.0, -np.inf)
        ceiling = np.where((low >= 0) & (high <= 1) & (self.steps == 1), 1.0, np.inf)
        return floor, ceiling

    def within(self, rows: Rows) -> Rows:
        """Return raw rows, each number replaced by the nearest one in range, in whole steps."""
        found = rows.copy()
        for j, place in enumerate(self.places):
            low, high = self.quantiles[[0, -1], j]
            values = rows[:, place].clip(low, high)
            if step := self.steps[j]:
                values = (low + np.rint((values - low) / step) * step).round(DECIMALS)
            found[:, place] = values
        return found


def _numbers(kind: Table) -> NDArray[np.intp]:
    return np.flatnonzero([cell.scaled for cell in kind.cells])


def _step(values: Rows) -> float:
    """Return the largest number that distinct sorted values are whole multiples of apart, or 0."""
    for scale in 10.0 ** np.arange(DECIMALS + 1):
        if np.abs(values[[0, -1]]).max() * scale > LARGEST:
            return 0.0
        # The first few save most of the work.
        if all(_are_whole(x, scale) for x in (values[:100], values)):
            steps = np.diff(np.rint(values.astype(np.float64) * scale).astype(np.int64))
            return float(np.gcd.reduce(steps) / scale) if len(steps) else 0.0
    return 0.0


def _are_whole(values: Rows, scale: float) -> bool:
    whole = np.rint(values.astype(np.float64) * scale) / scale
    # Sums and products of decimals differ from them in the last digits.
    digits = 8 * np.finfo(values.dtype if values.dtype.kind == "f" else np.float64).eps
    return bool((np.abs(whole - values) <= digits * np.abs(values)).all())


def _ranks(values: Array, quantiles: Array) -> Array:
    """Return the ranks of values from 0 to 1; of equal quantiles the middle one."""
    grid = np.linspace(0, 1, len(quantiles))
    low = np.interp(values, quantiles, grid)
    high = 1 - np.interp(-values, -quantiles[::-1], grid)
    ranks: Array = (low + high) / 2
    return ranks


def _at(quantiles: Array, ranks: Array) -> Array:
    """Return the quantiles at real ranks from 0 to q - 1.

    Between two values of which one occurs often, there may be none: the nearer one is taken.
    """
    below = np.minimum(ranks.astype(int), len(quantiles) - 2)
    repeated = np.append(np.diff(quantiles) == 0, False)
    repeated |= np.roll(repeated, 1)
    fraction = ranks - below
    spike = repeated[below] | repeated[below + 1]
    fraction = np.where(spike, np.rint(fraction), fraction)
    values: Array = quantiles[below] * (1 - fraction) + quantiles[below + 1] * fraction
    return values
