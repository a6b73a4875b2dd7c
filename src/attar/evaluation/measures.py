"""Measures of reconstructions and codes, on arrays of prepared values."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[Any]


def mean_squared_error(rows: Rows, reconstructed: Rows) -> float:
    """Return the mean of (x - x̂)² over all cells that are not missing (NaN); 0 for none."""
    squares = np.square(rows - reconstructed)
    mean = float(np.mean(squares, dtype=np.float64))
    if not math.isnan(mean):
        return mean
    known = squares[~np.isnan(squares)]
    return float(known.mean(dtype=np.float64)) if len(known) else 0.0


def psnr(error: float) -> float:
    """Return the peak signal-to-noise ratio of a mean squared error of values from 0 to 1, in dB.

    It is -10 log₁₀ MSE.
    """
    return -10 * math.log10(error) if error else math.inf


def log_mean_exp(values: Rows) -> Rows:
    """Return log Σ exp(v) / K over the first axis, K long."""
    top: Rows = values.max(0)
    mean: Rows = np.exp(values - top).mean(0)
    return top + np.log(mean)
