"""Measures of reconstructions and likelihoods, on arrays."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
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


def accuracy(rows: Rows, reconstructed: Rows) -> float:
    """Return the share of cells that come back as they were, of those not missing; 1 for none.

    Cells are levels of any type: bits, whole numbers, words.
    """
    known = ~pd.isna(rows)
    return float((rows == reconstructed)[known].mean()) if known.any() else 1.0


def log_mean_exp(values: Rows) -> Rows:
    """Return log Σ exp(v) / K over the first axis, K long; -∞ where all are -∞."""
    top: Rows = values.max(0)
    shift = np.where(np.isfinite(top), top, 0.0)
    with np.errstate(divide="ignore"):
        mean: Rows = np.log(np.exp(values - shift).mean(0))
    return shift + mean


def bits_per_dimension(nats: float, cells: int) -> float:
    """Return the bits that a cell takes, where a row of ``cells`` takes ``nats``."""
    return nats / (cells * math.log(2))
