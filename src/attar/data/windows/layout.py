"""Windows: series on a regular grid, cut into windows, and averaged back to their points."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Rows = NDArray[Any]
Integers = NDArray[np.intp]

WINDOW = 96
WINDOWS = 20_000


@dataclass(frozen=True)
class Layout:
    """Where points lie on one line of grid steps, and where windows cut it.

    Series follow each other on the line. Where a series lacks a whole window of steps or more, it
    is cut there into stretches, so that each window holds a point. A stretch that is shorter than
    a window is filled up at its end. The last window of a stretch ends with it.

    Attributes
    ----------
    order : int array (m,)
        The points' numbers in the order of the line.
    places : int array (m,)
        The steps at which they lie, ascending.
    starts : int array (n,)
        The first step of each window, ascending.
    window, length : int
        The steps of a window, and of the line.
    """

    order: Integers
    places: Integers
    starts: Integers
    window: int
    length: int

    @classmethod
    def of(cls, order: Integers, steps: Integers, window: int, stride: int) -> Self:
        """Return the layout of points.

        Parameters
        ----------
        order : int array (m,)
            The points' numbers by series and time.
        steps : int array (m,)
            How many steps each point in this order comes after the one before; 0 where a series
            begins.
        window : int
        stride : int
            The steps from a window to the next.
        """
        begins = (steps == 0) | (steps > window)
        first = np.flatnonzero(begins)
        stretch = np.cumsum(begins) - 1
        covered = np.cumsum(np.where(begins, 0, steps))
        inside = covered - covered[first][stretch]
        lengths = np.maximum(inside[np.append(first[1:], len(steps)) - 1] + 1, window)
        offsets = np.cumsum(lengths) - lengths
        room = lengths - window
        counts = -(-room // stride) + 1
        of = np.repeat(np.arange(len(counts)), counts)
        number = np.arange(len(of)) - (np.cumsum(counts) - counts)[of]
        starts = offsets[of] + np.minimum(number * stride, room[of])
        return cls(order, offsets[stretch] + inside, starts, window, int(lengths.sum()))

    def cut(self, values: Rows) -> Rows:
        """Return the windows of points (m, channels): (n, channels, window), NaN between them."""
        line = np.full((values.shape[1], self.length), np.nan, values.dtype)
        line[:, self.places] = values[self.order].T
        views = sliding_window_view(line, self.window, axis=1)
        windows: Rows = views[:, self.starts].transpose(1, 0, 2)
        return windows

    def averaged(self, windows: Rows) -> Rows:
        """Return the mean of all windows at each point, in double precision: (m, channels).

        A NaN counts for nothing; where all are NaN, so is the mean.
        """
        steps = (self.starts[:, None] + np.arange(self.window)).ravel()
        points = np.empty((len(self.order), windows.shape[1]))
        for channel in range(windows.shape[1]):
            values = windows[:, channel].ravel()
            known = ~np.isnan(values)
            total = np.bincount(steps, np.where(known, values, 0.0), self.length)
            count = np.bincount(steps, known, self.length)
            mean = np.divide(total, count, np.full(self.length, np.nan), where=count > 0)
            points[self.order, channel] = mean[self.places]
        return points

    def ends(self) -> tuple[Integers, Integers]:
        """Return the numbers of the first and of the last point in each window."""
        first = np.searchsorted(self.places, self.starts)
        last = np.searchsorted(self.places, self.starts + self.window) - 1
        return self.order[first], self.order[last]


def suitable_window(lengths: Integers) -> int:
    """Return 96 steps; fewer where most series are shorter, or where ten windows find no place.

    Parameters
    ----------
    lengths : int array (series,)
        The points of each series.
    """
    return max(2, min(WINDOW, int(np.median(lengths)), int(lengths.sum()) // 10))


def suitable_stride(window: int, points: int) -> int:
    """Return about an eighth of a window; up to half of it where that makes too many windows.

    A stride that has a factor in common with the length of a day, week or year would show only
    some of its phases: on hourly loads, principal components of windows 12 steps apart make twice
    the error of those of windows 11 steps apart.
    """
    most = min(window / 2, max(window / 8, points / WINDOWS))
    return next((s for s in range(int(most), 1, -1) if math.gcd(s, 2 * 3 * 5 * 7) == 1), 1)
