"""Partitions of integers into intervals whose lengths are powers of two."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
Array = NDArray[np.float64]

# What an interval must save, in bits, for the parameter that it is.
LEAST = 2.0

# How strongly intervals of more than one integer are made to hold equal shares of the values: what
# conditions tell about a value is finer than where all values are.
EQUAL = 10.0

# Halvings of the range in which the price of an interval is searched for.
STEPS = 20


@dataclass(frozen=True)
class _Level:
    """The intervals of one length that hold values.

    Attributes
    ----------
    starts : int array
        Their numbers: the interval k holds the integers from k 2^b on.
    counts : array
        How many values each holds.
    parents : int array
        The place of the interval twice as long that each lies in.
    """

    starts: Integers
    counts: Array
    parents: Integers


def partition(points: Integers, top: int, size: int) -> tuple[Integers, Integers]:
    """Return the intervals that suit some values best: where they start, and their bits.

    An interval of b bits holds the 2^b integers from a multiple of 2^b on. Together they hold all
    integers that an interval of ``top`` bits with one of the values holds. They are the shortest
    description of the values, each uniform in its interval, of all partitions with so many
    intervals at most: found by dynamic programming, as regression trees are pruned.

    Parameters
    ----------
    points : int array (n,)
    top : int
        The bits of the longest interval.
    size : int
        The largest number of intervals.

    Examples
    --------
    >>> starts, bits = partition(np.array([3] * 50 + list(range(8, 16))), 4, 8)
    >>> starts.tolist(), bits.tolist()
    ([0, 2, 3, 4, 8, 12], [1, 0, 0, 2, 2, 2])
    """
    values, counts = np.unique(points, return_counts=True)
    levels = _levels(values, counts.astype(np.float64), top)
    cheap, dear = LEAST, LEAST
    while len(_intervals(levels, dear)[0]) > size and dear < 1e12:
        cheap, dear = dear, 4 * dear
    for _ in range(STEPS if dear > cheap else 0):
        price = np.sqrt(cheap * dear)
        if len(_intervals(levels, price)[0]) > size:
            cheap = price
        else:
            dear = price
    return _intervals(levels, dear)


def _levels(values: Integers, counts: Array, top: int) -> list[_Level]:
    levels = []
    for _ in range(top + 1):
        halves = values >> 1
        first = np.flatnonzero(np.diff(halves, prepend=halves[0] - 1))
        parents = np.zeros(len(values), np.int64)
        parents[first[1:]] = 1
        levels.append(_Level(values, counts, parents.cumsum()))
        values, counts = halves[first], np.add.reduceat(counts, first)
    return levels


def _intervals(levels: list[_Level], price: float) -> tuple[Integers, Integers]:
    """Return the best partition where each interval costs a price in bits."""
    total = levels[0].counts.sum()
    best = np.zeros(0)
    whole = []
    for bits, level in enumerate(levels):
        n = level.counts
        leaf = n * (bits - np.log2(n)) + price
        if bits:
            leaf += EQUAL * n**2 / total
            parents = levels[bits - 1].parents
            # A half without values is an interval too.
            empty = 2 - np.bincount(parents, minlength=len(n))
            split = np.bincount(parents, best, len(n)) + price * empty
        else:
            split = np.full(len(n), np.inf)
        whole.append(leaf <= split)
        best = np.minimum(leaf, split)
    return _leaves(levels, whole)


def _leaves(levels: list[_Level], whole: list[NDArray[np.bool_]]) -> tuple[Integers, Integers]:
    starts, lengths = [], []
    reached = np.ones(len(levels[-1].starts), bool)
    for bits in range(len(levels) - 1, -1, -1):
        level = levels[bits]
        kept = level.starts[reached & whole[bits]]
        starts.append(kept << bits)
        lengths.append(np.full(len(kept), bits))
        if not bits:
            break
        halved = reached & ~whole[bits]
        below = levels[bits - 1]
        reached = halved[below.parents]
        halves = (level.starts[halved, None] * 2 + [0, 1]).ravel()
        empty = np.setdiff1d(halves, below.starts[reached])
        starts.append(empty << (bits - 1))
        lengths.append(np.full(len(empty), bits - 1))
    order = np.argsort(np.concatenate(starts))
    return np.concatenate(starts)[order], np.concatenate(lengths)[order]
