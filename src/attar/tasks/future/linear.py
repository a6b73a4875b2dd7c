"""Linear forecasts of windows, in closed form."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Array = NDArray[np.float64]

# Lengths of histories that are tried, and how many windows are learnt from at most.
HISTORIES = (1, 2, 3, 6, 12, 24, 48, 96, 168, 336, 512, 720)
MOST, AT_ONCE = 100_000, 4096

# What is added to the variance of a history, so that quiet ones do not weigh without limit.
QUIET = 0.25

# Weights of the penalty, and how much all channels count beside a channel's own windows.
PENALTIES = tuple(10.0**power for power in np.arange(-5, 2.1, 0.5))
OTHERS = (np.inf, 3.0, 0.3)

# So many channels may have weights of their own: more are summed, as memory grows with them.
CHANNELS = 16

# A window counts by this power of the share of it that is known.
KNOWN = 4


@dataclass(frozen=True)
class WindowMoments:
    """Sums of products over windows, from which every shorter history is solved too.

    Attributes
    ----------
    products : array (channels, history, history + horizon)
        Of the steps of the history with those of the window.
    squares : array (channels,)
        Sums of squares of what is to be forecast.
    count : float
        The number of windows of all channels, where those with gaps count less.
    """

    products: Array
    squares: Array
    count: float

    @classmethod
    def of(
        cls,
        parts: Sequence[Array],
        known: Sequence[NDArray[np.bool_]],
        history: int,
        horizon: int,
    ) -> Self:
        """Return those of all windows of some series, each less the last value of its history.

        A window weighs 1 / (the variance of its history + ``QUIET``).

        Parameters
        ----------
        parts : sequence of array (steps, channels)
            In units of their deviations, without gaps.
        known : sequence of bool array (steps, channels)
            Where a value was known. Little is learnt of windows that are mostly filled.
        history, horizon : int
        """
        channels, length = parts[0].shape[1], history + horizon
        places = np.arange(channels) if channels <= CHANNELS else np.zeros(channels, np.intp)
        products = np.zeros((places[-1] + 1, history, length))
        squares = np.zeros(len(products))
        total = sum(max(0, len(part) - length + 1) for part in parts) * channels
        stride, count = -(-max(1, total) // MOST), 0.0
        for part, is_known in zip(parts, known, strict=True):
            if len(part) < length:
                continue
            share = sliding_window_view(is_known, length, axis=0)[::stride].mean(-1)
            windows = sliding_window_view(part, length, axis=0)[::stride]
            for start in range(0, len(windows), AT_ONCE):
                some = slice(start, start + AT_ONCE)
                for channel in range(channels):
                    rows = windows[some, channel] - windows[some, channel, history - 1, None]
                    weights = 1 / (rows[:, :history].var(1) + QUIET)
                    counts = share[some, channel] ** KNOWN
                    weights *= counts
                    weighted = weights[:, None] * rows
                    products[places[channel]] += rows[:, :history].T @ weighted
                    squares[places[channel]] += (rows[:, history:] * weighted[:, history:]).sum()
                    count += float(counts.sum())
        return cls(products, squares, count)

    def __add__(self, other: WindowMoments) -> WindowMoments:
        return WindowMoments(
            self.products + other.products, self.squares + other.squares, self.count + other.count
        )

    @property
    def history(self) -> int:
        """The steps of the longest history."""
        return int(self.products.shape[1])

    def summed(self) -> WindowMoments:
        """Return those of all channels as if they were one."""
        return WindowMoments(
            self.products.sum(0, keepdims=True), self.squares.sum(keepdims=True), self.count
        )

    def parts(self, history: int) -> tuple[Array, Array]:
        """Return products of a shorter history with itself, and with the horizon."""
        first = self.history - history
        own = self.products[:, first:]
        return own[:, :, first : self.history], own[:, :, self.history :]

    def error(self, weights: Array) -> float:
        """Return the weighted sum of squared errors of forecasts.

        Parameters
        ----------
        weights : array (channels or 1, history, horizon)
        """
        own, ahead = self.parts(weights.shape[1])
        return float(self.squares.sum() + ((own @ weights - 2 * ahead) * weights).sum())


def decay(history: int) -> Array:
    """Return how much the weight of each step is penalized: in proportion to its age."""
    return np.arange(history, 0, -1) / 100


@dataclass(frozen=True)
class Shape:
    """What a linear forecast is solved with.

    Attributes
    ----------
    history : int
    penalty : float
        Its weight, for each window.
    others : float
        How much all channels count beside a channel's own windows; infinity: only all.
    """

    history: int
    penalty: float
    others: float

    @classmethod
    def best(cls, train: WindowMoments, held_out: WindowMoments, histories: Sequence[int]) -> Self:
        """Return the shape whose solution on some windows has the least error on others."""
        errors = {
            (history, penalty): held_out.summed().error(weights)
            for history in histories
            for penalty, weights in _path(train.summed(), history)
        }
        history, penalty = min(errors, key=errors.__getitem__)
        least, found = errors[history, penalty], cls(history, penalty, np.inf)
        for others in OTHERS[1:] if len(train.squares) > 1 else ():
            for more in (penalty, 10**0.5 * penalty):
                shape = cls(history, more, others)
                error = held_out.error(shape.solve(train))
                if error < least:
                    least, found = error, shape
        return found

    def solve(self, moments: WindowMoments) -> Array:
        """Return weights (channels or 1, history, horizon) of the least penalized error."""
        whole = moments.summed()
        own, ahead = whole.parts(self.history)
        penalty = np.diag(self.penalty * moments.count * decay(self.history))
        if self.others == np.inf:
            return np.asarray(np.linalg.solve(own + penalty, ahead), np.float64)
        share = self.others / len(moments.squares)
        each, each_ahead = moments.parts(self.history)
        penalty = penalty * (1 + self.others) / len(moments.squares)
        found = np.linalg.solve(each + share * own + penalty, each_ahead + share * ahead)
        return np.asarray(found, np.float64)


def _path(moments: WindowMoments, history: int) -> Iterator[tuple[float, Array]]:
    """Yield the weights of each penalty, all from one decomposition."""
    own, ahead = moments.parts(history)
    root = decay(history) ** -0.5
    values, vectors = np.linalg.eigh(root[:, None] * own[0] * root)
    turned = vectors.T @ (root[:, None] * ahead[0])
    for penalty in PENALTIES:
        shrunk = turned / (np.maximum(values, 0) + penalty * moments.count)[:, None]
        yield penalty, (root[:, None] * (vectors @ shrunk))[None]


@dataclass(frozen=True)
class LinearForecaster:
    """A linear forecast of all steps of a horizon, from a history less its last value.

    Attributes
    ----------
    weights : list of array (channels or 1, history, horizon)
        By the length of the history: for a series that is shorter than the longest, the longest
        that it has is taken.

    Examples
    --------
    A series that doubles every step, is forecast from its last two steps.

    >>> steps = 2.0 ** np.arange(12)[:, None]
    >>> moments = WindowMoments.of([steps], [steps > 0], history=2, horizon=1)
    >>> forecaster = LinearForecaster.of(moments, Shape(2, 1e-9, np.inf))
    >>> forecaster.forecast(np.array([[3.0], [6.0]])).round(3)
    array([[12.]])
    """

    weights: list[Array]

    @classmethod
    def of(cls, moments: WindowMoments, shape: Shape) -> Self:
        """Return the solution, and those of shorter histories."""
        shorter = [
            Shape(history, shape.penalty, np.inf).solve(moments)
            for history in HISTORIES
            if history < shape.history
        ]
        return cls([*shorter, shape.solve(moments)])

    @property
    def histories(self) -> list[int]:
        """The steps of each history, ascending."""
        return [weights.shape[1] for weights in self.weights]

    def forecast(self, rows: Array) -> Array:
        """Return what comes after the last of some rows (steps, channels): (horizon, channels)."""
        return np.asarray(self.rolling(rows, np.array([len(rows)]))[0])

    def rolling(self, rows: Array, origins: NDArray[np.intp]) -> Array:
        """Return forecasts from several origins, each from the rows before it.

        Parameters
        ----------
        rows : array (steps, channels)
        origins : int array (n,)
            The numbers of the first steps that are forecast, at least 1.

        Returns
        -------
        array (n, horizon, channels)
        """
        horizon, channels = self.weights[0].shape[2], rows.shape[1]
        found = np.empty((len(origins), horizon, channels))
        limits = [*self.histories, np.inf]
        for weights, (history, longer) in zip(self.weights, pairwise(limits), strict=True):
            chosen = np.flatnonzero((origins >= history) & (origins < longer))
            for start in range(0, len(chosen), AT_ONCE):
                places = chosen[start : start + AT_ONCE]
                windows = sliding_window_view(rows, int(history), axis=0)
                past = windows[origins[places] - int(history)].transpose(1, 0, 2)
                last = past[..., -1:]
                found[places] = ((past - last) @ weights + last).transpose(1, 2, 0)
        return found
