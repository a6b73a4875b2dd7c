"""How evenly codes of symbols use their codebooks.

Positions that share a codebook are measured together as one column: ``symbols.reshape(-1, 1)``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[Any]


def usage(symbols: Rows, sizes: Sequence[int]) -> Rows:
    """Return the share of each codebook's entries that occur at all: (positions,).

    Parameters
    ----------
    symbols : integer array (n, positions)
    sizes : sequence of int
        How many symbols there are at each position.
    """
    return np.array([np.mean(shares > 0) for shares in _shares(symbols, sizes)])


def perplexity(symbols: Rows, sizes: Sequence[int]) -> Rows:
    """Return how many symbols, evenly used, would say as much: (positions,).

    It is exp(H) of the symbols' entropy H in nats: the codebook's size where all are used alike,
    1 where one is used alone. Parameters are those of :func:`usage`.
    """
    from scipy.special import entr

    entropies = np.array([entr(shares).sum() for shares in _shares(symbols, sizes)])
    effective: Rows = np.exp(entropies)
    return effective


def relative_perplexity(symbols: Rows, sizes: Sequence[int]) -> Rows:
    """Return the perplexity as a share of the codebook's size: (positions,)."""
    share: Rows = perplexity(symbols, sizes) / np.asarray(sizes)
    return share


def _shares(symbols: Rows, sizes: Sequence[int]) -> list[Rows]:
    """Return how often each symbol is used, for each position: (size,) each, with sum 1."""
    columns = zip(symbols.T, sizes, strict=True)
    return [np.bincount(column, minlength=size) / len(symbols) for column, size in columns]
