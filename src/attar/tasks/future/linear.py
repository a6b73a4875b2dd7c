"""Linear forecasts of windows, in closed form."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from itertools import pairwise
from operator import add
from typing import Self

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Array = NDArray[np.float64]
Integers = NDArray[np.intp]

# Lengths of histories that are tried, and how many windows are used at most.
HISTORIES = (1, 2, 3, 6, 12, 24, 48, 96, 168, 336, 512, 720)
MOST, AT_ONCE = 100_000, 4096

# What is added to the variance of a history, so that quiet ones do not weigh without limit.
QUIET = 0.25

# Weights of the penalty, and how much all groups count beside a group's own windows.
PENALTIES = tuple(10.0**power for power in np.arange(-5, 2.1, 0.5))
OTHERS = (np.inf, 3.0, 0.3)

# Histories are blended up to this ratio of errors.
ALIKE = 1.01

# A window counts by this power of the share of it that is known.
KNOWN = 4


@dataclass(frozen=True)
class WindowMoments:
    """Sums of products over windows, from which every shorter history is solved too.

    Attributes
    ----------
    products : array (groups, history, history + horizon)
        Of the steps of the history with those of the window.
    squares : array (groups,)
        Sums of squares of what is to be forecast.
    count : float
        The number of windows of all groups, where those with gaps count less.
    """

    products: Array
    squares: Array
    count: float

    @classmethod
    def of(
        cls,
        parts: Sequence[Array],
        known: Sequence[NDArray[np.bool_]],
        groups: Sequence[Integers],
        history: int,
        horizon: int,
    ) -> Self:
        """Return those of all windows of some series, each minus the last value of its history.

        A window weighs 1 / (the variance of its history + ``QUIET``).

        Parameters
        ----------
        parts : sequence of array (steps, channels)
            In units of their deviations, without gaps.
        known : sequence of bool array (steps, channels)
            Where a value was known. Windows that are mostly filled have little weight.
        groups : sequence of int array (channels,)
            The group of each channel of each series.
        history, horizon : int
        """
        channels, length = parts[0].shape[1], history + horizon
        products = np.zeros((1 + max(int(group.max()) for group in groups), history, length))
        squares = np.zeros(len(products))
        total = sum(max(0, len(part) - length + 1) for part in parts) * channels
        stride, count = -(-max(1, total) // MOST), 0.0
        for part, is_known, group in zip(parts, known, groups, strict=True):
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
                    products[group[channel]] += rows[:, :history].T @ weighted
                    squares[group[channel]] += (rows[:, history:] * weighted[:, history:]).sum()
                    count += float(counts.sum())
        return cls(products, squares, count)

    def __add__(self, other: WindowMoments) -> WindowMoments:
        return WindowMoments(
            self.products + other.products, self.squares + other.squares, self.count + other.count
        )

    def __sub__(self, other: WindowMoments) -> WindowMoments:
        return WindowMoments(
            self.products - other.products, self.squares - other.squares, self.count - other.count
        )

    @property
    def history(self) -> int:
        """The steps of the longest history."""
        return int(self.products.shape[1])

    def summed(self) -> WindowMoments:
        """Return those of all groups as if they were one."""
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
        weights : array (groups or 1, history, horizon)
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
        How much all groups count beside a group's own windows; infinity: only all.
    """

    history: int
    penalty: float
    others: float

    def solve(self, moments: WindowMoments) -> Array:
        """Return weights (groups or 1, history, horizon) of the least penalized error."""
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


@dataclass(frozen=True)
class Blend:
    """The mean of the solutions of some shapes, as their errors are much the same.

    Attributes
    ----------
    shapes : tuple of Shape
        The one of the least cross-validated error, and those of longer histories that are within
        ``ALIKE`` of it: the penalty on old steps makes these cheap, and their mean varies less.
    """

    shapes: tuple[Shape, ...]

    @classmethod
    def best(cls, folds: Sequence[WindowMoments], histories: Sequence[int]) -> Self:
        """Return the blend of the least cross-validated error.

        Groups have weights of their own only where these are better in each fold.

        Parameters
        ----------
        folds : sequence of WindowMoments
            Each is forecast from the solution of the others. A single one, from its own.
        histories : sequence of int
        """
        errors = dict.fromkeys(((h, penalty) for h in histories for penalty in PENALTIES), 0.0)
        for rest, fold in ((rest.summed(), fold.summed()) for rest, fold in _splits(folds)):
            for history in histories:
                for penalty, error in _path(rest, fold, history):
                    errors[history, penalty] += error
        best = min(errors, key=errors.__getitem__)
        shapes = [Shape(*best, np.inf)]
        for longer in (history for history in histories if history > best[0]):
            penalty = min(PENALTIES, key=lambda penalty: errors[longer, penalty])
            if errors[longer, penalty] < ALIKE * errors[best]:
                shapes.append(Shape(longer, penalty, np.inf))
        found = cls(tuple(shapes))
        common = least = found.errors(folds)
        for others in OTHERS[1:] if len(folds[0].squares) > 1 else ():
            for more in (1.0, 10**0.5):
                blend = cls(
                    tuple(replace(s, penalty=more * s.penalty, others=others) for s in shapes)
                )
                own = blend.errors(folds)
                if (own < common).all() and own.sum() < least.sum():
                    found, least = blend, own
        return found

    @property
    def history(self) -> int:
        """The longest."""
        return self.shapes[-1].history

    def errors(self, folds: Sequence[WindowMoments]) -> Array:
        """Return the weighted sum of squared errors in each fold, forecast from the others."""
        return np.array([fold.error(self.solve(rest)) for rest, fold in _splits(folds)])

    def solve(self, moments: WindowMoments) -> Array:
        """Return weights (groups or 1, history, horizon)."""
        found = [
            np.pad(shape.solve(moments), ((0, 0), (self.history - shape.history, 0), (0, 0)))
            for shape in self.shapes
        ]
        return np.asarray(np.mean(found, axis=0))

    def common(self) -> Blend:
        """Return the same with common weights only."""
        return Blend(tuple(replace(shape, others=np.inf) for shape in self.shapes))


def _splits(folds: Sequence[WindowMoments]) -> list[tuple[WindowMoments, WindowMoments]]:
    """Return pairs of all other folds and a fold."""
    if len(folds) == 1:
        return [(folds[0], folds[0])]
    whole = reduce(add, folds)
    return [(whole - fold, fold) for fold in folds]


def _path(rest: WindowMoments, fold: WindowMoments, history: int) -> Iterator[tuple[float, float]]:
    """Yield the error in a fold for each penalty, all from one decomposition of the others."""
    own, ahead = rest.parts(history)
    root = decay(history) ** -0.5
    values, vectors = np.linalg.eigh(root[:, None] * own[0] * root)
    basis = root[:, None] * vectors
    turned = basis.T @ ahead[0]
    own, ahead = fold.parts(history)
    squares = (basis.T @ own[0] @ basis) * (turned @ turned.T)
    products = (turned * (basis.T @ ahead[0])).sum(1)
    for penalty in PENALTIES:
        shrunk = 1 / (np.maximum(values, 0) + penalty * rest.count)
        error = fold.squares.sum() + shrunk @ squares @ shrunk - 2 * shrunk @ products
        yield penalty, float(error)


@dataclass(frozen=True)
class LinearForecaster:
    """A linear forecast of all steps of a horizon, from a history minus its last value.

    Attributes
    ----------
    weights : list of array (groups + 1 or 1, history, horizon)
        By the length of the history: for a series that is shorter than the longest, the longest
        that it has is taken. The last are the common weights, of a channel without a group (-1).

    Examples
    --------
    A series that doubles every step, is forecast from its last two steps.

    >>> steps = 2.0 ** np.arange(12)[:, None]
    >>> group = np.array([0])
    >>> moments = WindowMoments.of([steps], [steps > 0], [group], history=2, horizon=1)
    >>> forecaster = LinearForecaster.of(moments, Blend((Shape(2, 1e-9, np.inf),)))
    >>> forecaster.forecast(np.array([[3.0], [6.0]]), group).round(3)
    array([[12.]])
    """

    weights: list[Array]

    @classmethod
    def of(cls, moments: WindowMoments, blend: Blend) -> Self:
        """Return the solution, and those of shorter histories."""
        first = blend.shapes[0]
        shorter = [
            Blend((replace(first, history=history),))
            for history in HISTORIES
            if history < blend.history
        ]
        found = []
        for each in (*shorter, blend):
            own = [] if first.others == np.inf else [each.solve(moments)]
            found.append(np.concatenate([*own, each.common().solve(moments)]))
        return cls(found)

    @property
    def histories(self) -> list[int]:
        """The steps of each history, ascending."""
        return [weights.shape[1] for weights in self.weights]

    def forecast(self, rows: Array, groups: Integers) -> Array:
        """Return what comes after the last of some rows (steps, channels): (horizon, channels)."""
        return np.asarray(self.rolling(rows, groups, np.array([len(rows)]))[0])

    def rolling(self, rows: Array, groups: Integers, origins: Integers) -> Array:
        """Return forecasts from several origins, each from the rows before it.

        Parameters
        ----------
        rows : array (steps, channels)
        groups : int array (channels,)
            The group of each channel; -1 for none.
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
            own = weights[groups] if len(weights) > 1 else weights
            for start in range(0, len(chosen), AT_ONCE):
                places = chosen[start : start + AT_ONCE]
                windows = sliding_window_view(rows, int(history), axis=0)
                past = windows[origins[places] - int(history)].transpose(1, 0, 2)
                last = past[..., -1:]
                found[places] = ((past - last) @ own + last).transpose(1, 2, 0)
        return found
