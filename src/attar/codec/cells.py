"""Cells of few values: their symbols, and the ranges of these under a likelihood."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from attar.codec.latents import PRECISION, Symbols
from attar.codec.rounding import PROBABILITY_ERROR, Array, Guard
from attar.data.cells import Boolean, Category
from attar.data.images import Images
from attar.data.kind import Rows
from attar.data.table import Table
from attar.errors import SettingError
from attar.likelihoods import LikelihoodModule
from attar.predictor import Predictor

# A cell has so many values at most.
MOST_VALUES = 1024
# The decimals of steps: see ``Margins``.
DECIMALS = 6
# So many probabilities are computed at once.
AT_ONCE, CACHED = 1 << 22, 1 << 18
# Where every value of a cell is less likely than e to this, all are taken for equally likely.
LEAST_LOG_PROBABILITY = -1000.0

LEAVE_OUT = "leave the column out, or fit with recipe='lossless'"


@dataclass(frozen=True)
class CellLevels:
    """Evenly spaced values of each raw cell: low, low + step, ...

    Attributes
    ----------
    low, step : array (*cells)
    sizes : int array (*cells)
        The number of values of each cell.

    Examples
    --------
    >>> levels = CellLevels(np.array([0.0, -1.0]), np.array([1.0, 0.5]), np.array([2, 5]))
    >>> symbols, known = levels.symbols(np.array([[1.0, 0.5], [2.0, 0.1]]))
    >>> symbols[known], known
    (array([[1, 3]]), array([ True, False]))
    """

    low: Array
    step: Array
    sizes: NDArray[np.int64]

    @classmethod
    def of(cls, predictor: Predictor) -> Self:
        """Return the values that the cells of a model's data had in the fit, and those between.

        Raises
        ------
        SettingError
            If a cell has real values, or too many.
        """
        kind = predictor.preparation.kind
        if isinstance(kind, Images):
            if np.dtype(kind.dtype).kind not in "bui":
                raise _refusal(f"Pixels are {kind.dtype}", "give integers, such as uint8")
            low, high = (
                np.broadcast_to(np.reshape(end, (-1, 1, 1)), kind.shape).astype(np.float64)
                for end in (kind.low, kind.high)
            )
            step = np.ones(kind.shape)
            names = ["A pixel"] * low.size
        elif isinstance(kind, Table):
            low, high, step = (np.array(x) for x in zip(*_spans(kind, predictor), strict=True))
            names = [f"Column {cell.name!r}" for cell in kind.cells]
        else:
            raise _refusal(f"Rows of {kind.name} have real numbers", "fit on a table or on images")
        sizes = np.rint((high - low) / step).astype(np.int64) + 1
        if sizes.max() > MOST_VALUES:
            name = names[int(sizes.argmax())]
            raise _refusal(f"{name} has {sizes.max():,} possible values", LEAVE_OUT)
        return cls(low, step, sizes)

    def symbols(self, rows: Rows) -> tuple[Symbols, NDArray[np.bool_]]:
        """Return symbols (n, *cells), and which rows (n,) have these values only, bit for bit."""
        places = (np.nan_to_num(rows.astype(np.float64)) - self.low) / self.step
        symbols = np.rint(places).clip(0, self.sizes - 1).astype(np.int64)
        back = self.values(symbols).astype(rows.dtype)
        same = (back == rows) & (np.signbit(back) == np.signbit(rows))
        return symbols, same.all(tuple(range(1, rows.ndim)))

    def values(self, symbols: Symbols) -> Array:
        """Return the values of symbols (n, *cells)."""
        values: Array = (self.low + symbols * self.step).round(DECIMALS)
        return values

    def of_cell(self, place: tuple[int, ...]) -> Array:
        """Return the values of one cell."""
        symbols = np.arange(self.sizes[place])
        values: Array = (self.low[place] + symbols * self.step[place]).round(DECIMALS)
        return values


def _spans(kind: Table, predictor: Predictor) -> list[tuple[float, float, float]]:
    """Return the lowest and the highest value of each cell of a table, and their step."""
    margins, spans = predictor.margins, []
    numbers = {} if margins is None else {int(place): j for j, place in enumerate(margins.places)}
    for i, cell in enumerate(kind.cells):
        match cell:
            case Category():
                spans.append((0.0, len(cell.categories) - 1.0, 1.0))
            case Boolean():
                spans.append((0.0, 1.0, 1.0))
            case _ if margins is not None and i in numbers and margins.steps[numbers[i]]:
                low, high = margins.quantiles[[0, -1], numbers[i]].tolist()
                spans.append((low, high, float(margins.steps[numbers[i]])))
            case _:
                raise _refusal(f"Column {cell.name!r} has real numbers", LEAVE_OUT)
    return spans


def _refusal(what: str, advice: str) -> SettingError:
    return SettingError(
        f"{what}, but bits-back coding needs cells of at most {MOST_VALUES:,} evenly spaced "
        f"values: {advice}."
    )


class CellRanges:
    """The ranges of symbols of cells, as integers from 0 to 2^20.

    The size of a range is one more than the symbol's probability times 2^20 - (number of symbols).

    Parameters
    ----------
    likelihood : LikelihoodModule
    levels : CellLevels
    prepared : callable
        From raw rows (n, *cells) to prepared ones.
    starts : int array (cells,)
        Where the prepared cells of each raw cell begin.
    parameters : Tensor (1, *parameters' shape)
        The likelihood's, of any row.

    Raises
    ------
    SettingError
        If the likelihood is not one of each cell by itself.
    """

    # Those of a guard: for cells far out, and for ranges.
    sites = 2

    def __init__(
        self,
        likelihood: LikelihoodModule,
        levels: CellLevels,
        prepared: Callable[[Rows], Tensor],
        starts: Symbols,
        parameters: Tensor,
    ) -> None:
        self.likelihood, self.starts = likelihood, starts
        self.sizes = levels.sizes.ravel()
        self.width, self.cells = int(self.sizes.max()), np.arange(len(self.sizes))
        places = np.arange(self.width).reshape(-1, *[1] * levels.sizes.ndim)
        self.values = prepared(levels.values(np.minimum(places, levels.sizes - 1)))
        self._check(parameters)
        # Of what is below each symbol: the least range, and the edge where it ends.
        self.least = np.minimum(np.arange(self.width + 1), self.sizes[:, None])
        self.edges: Array | None = None
        closed = self.likelihood.cdf(parameters[None], self.values[:1]) is not None
        if closed and self.values[0].numel() == len(self.cells):
            flat = self.values.reshape(self.width, -1).numpy()
            self.edges = np.full((self.width + 1, len(self.cells)), -np.inf)
            self.edges[1:-1] = (flat[1:] + flat[:-1]) / 2
            self.edges[np.arange(self.width + 1)[:, None] >= self.sizes] = np.inf

    def _check(self, parameters: Tensor) -> None:
        """Refuse a likelihood of whole rows."""
        low, high = self.values[:1], self.values[-1:]
        odd = self.starts.searchsorted(np.arange(low.numel()), "right") % 2 == 1
        mask = torch.from_numpy(odd.reshape(low.shape))
        first, last, mixed = (
            self.likelihood.log_prob(parameters[None], rows)
            for rows in (low, high, torch.where(mask, high, low))
        )
        if not torch.allclose(mixed, torch.where(mask, last, first), rtol=1e-9, atol=1e-9):
            raise SettingError(
                "Bits-back coding needs a likelihood of each cell by itself, but this model's is "
                "one of whole rows: fit images with likelihood='logistic-mixture', counts with "
                "'poisson', other tables with 'auto'."
            )

    def of(
        self, parameters: Tensor, symbols: Symbols, guard: Guard, site: int
    ) -> tuple[Symbols, Symbols]:
        """Return where the ranges of symbols (B, cells) start and end."""
        ends = np.stack([symbols, symbols + 1], -1)
        if self.edges is None:
            below = np.take_along_axis(self._summed(parameters, guard, site), ends, 2)
        else:
            edges = self.edges[np.moveaxis(ends, -1, 0), self.cells]
            below = self._closed(parameters, edges)
        places = ends + (self.cells * (self.width + 1))[:, None]
        found = self._integers(below, guard, site + 1, places)
        found += self.least[self.cells[:, None], ends]
        return found[..., 0], found[..., 1]

    def table(self, parameters: Tensor, guard: Guard, site: int) -> Symbols:
        """Return where the ranges of all symbols start, and 2^20: (B, cells, symbols + 1)."""
        if self.edges is None:
            below = self._summed(parameters, guard, site)
        else:
            below = self._closed(parameters, self.edges[:, None])
        table = self._integers(below, guard, site + 1)
        table += self.least
        return table

    def _integers(
        self, below: Array, guard: Guard, site: int, places: Symbols | None = None
    ) -> Symbols:
        below *= (1 << PRECISION) - self.sizes[:, None]
        flat = below.reshape(len(below), -1)
        places = None if places is None else places.reshape(flat.shape)
        error = PROBABILITY_ERROR * 2.0**PRECISION
        return guard.rounded(flat, site, error, places).astype(np.int64).reshape(below.shape)

    def _closed(self, parameters: Tensor, edges: Array) -> Array:
        """Return the distribution function at edges (k, B or 1, cells): (B, cells, k)."""
        count, rows, cells = len(edges), len(parameters), len(self.cells)
        below = np.empty((rows, cells, count))
        at_once = max(1, CACHED // (count * cells))
        for start in range(0, rows, at_once):
            some = slice(start, start + at_once)
            at = edges if edges.shape[1] == 1 else edges[:, some]
            values = torch.from_numpy(at).reshape(*at.shape[:2], *self.values.shape[1:])
            found = self.likelihood.cdf(parameters[None, some], values)
            assert found is not None
            below[some] = found.reshape(count, -1, cells).numpy().transpose(1, 2, 0)
        return below

    def _summed(self, parameters: Tensor, guard: Guard, site: int) -> Array:
        """Return sums of the probabilities below each symbol: (B, cells, symbols + 1)."""
        rows = len(parameters)
        logs = np.empty((rows, len(self.cells), self.width))
        at_once = max(1, AT_ONCE // (4 * rows * self.values[0].numel()))
        for start in range(0, self.width, at_once):
            values = self.values[start : start + at_once, None]
            found = self.likelihood.log_prob(parameters[None], values)
            cells = found.reshape(len(values), rows, -1).numpy()
            cells = np.add.reduceat(cells, self.starts, axis=-1)
            logs[..., start : start + at_once] = np.moveaxis(cells, 0, -1)
        largest = logs.max(-1, keepdims=True)
        far = guard.flagged(largest[..., 0] < LEAST_LOG_PROBABILITY, site)
        np.exp(logs - largest, out=logs)
        logs[far] = 1
        logs[:, np.arange(self.width) >= self.sizes[:, None]] = 0
        below = np.zeros((*logs.shape[:2], self.width + 1))
        np.cumsum(logs, -1, out=below[..., 1:])
        below /= below[..., -1:].copy()
        return below
