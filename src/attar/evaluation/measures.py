"""Measures of reconstructions and codes, on arrays of prepared values."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[Any]


def mean_squared_error(rows: Rows, reconstructed: Rows) -> float:
    """Return the mean over all cells of (x - x̂)²."""
    return float(np.mean(np.square(rows - reconstructed), dtype=np.float64))


def explained_variance(rows: Rows, reconstructed: Rows) -> float:
    """Return 1 - Σ (x - x̂)² / Σ (x - mean of its column)²; 0 where nothing varies."""
    variation = float(np.sum(np.square(rows - rows.mean(0)), dtype=np.float64))
    if not variation:
        return 0.0
    error = float(np.sum(np.square(rows - reconstructed), dtype=np.float64))
    return 1 - error / variation


def psnr(rows: Rows, reconstructed: Rows) -> float:
    """Return the peak signal-to-noise ratio in dB for values from 0 to 1: -10 log₁₀ MSE."""
    error = mean_squared_error(rows, reconstructed)
    return -10 * math.log10(error) if error else math.inf


def log_mean_exp(values: Rows) -> Rows:
    """Return log Σ exp(v) / K over the first axis, K long."""
    top: Rows = values.max(0)
    mean: Rows = np.exp(values - top).mean(0)
    return top + np.log(mean)
